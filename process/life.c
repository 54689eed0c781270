#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/valgrind.h"

/* ---- joining channels ---- */

/* Calls fn for the place of every end among the arguments; stops at the first that is not 0. */
static int each_end(struct usp_process *process,
                    int (*fn)(void **place, enum usp_side side, void *arg), void *arg)
{
    for (const struct uvcsp_param *p = process->kind->params; p->kind != UVCSP_PARAM_END; p++) {
        char *at = (char *)process->args + p->offset;
        size_t n = 1;
        void **places = (void **)at;
        switch (p->kind) {
        case UVCSP_PARAM_INS_KIND:
        case UVCSP_PARAM_OUTS_KIND:
            memcpy(&places, at, sizeof places);
            memcpy(&n, (char *)process->args + p->n_offset, sizeof n);
            break;
        case UVCSP_PARAM_IN_KIND:
        case UVCSP_PARAM_OUT_KIND:
            break;
        default:
            continue;
        }
        enum usp_side side = p->kind == UVCSP_PARAM_IN_KIND || p->kind == UVCSP_PARAM_INS_KIND
                                 ? USP_READER : USP_WRITER;
        for (size_t i = 0; i < n; i++) {
            int rc = fn(&places[i], side, arg);
            if (rc)
                return rc;
        }
    }
    return 0;
}

struct usp_conn_hooks usp_conn_hooks;

int usp_process_each_conn(struct usp_process *process, int (*fn)(void **place, void *arg), void *arg)
{
    if (!process->kind)
        return 0;
    for (const struct uvcsp_param *p = process->kind->params; p->kind != UVCSP_PARAM_END; p++) {
        void **place = (void **)((char *)process->args + p->offset);
        int rc = p->kind == UVCSP_PARAM_CONN_KIND && *place ? fn(place, arg) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

struct joining {
    const char *name;
    unsigned worker;
    struct usp_task *task;
    size_t done;
};

static int check_end(void **place, enum usp_side side, void *arg)
{
    const char *name = arg;
    char what[160];
    snprintf(what, sizeof what, "process '%s'", name);
    struct usp_channel *channel = usp_channel_of(*place, what);
    if (!channel)
        return -EINVAL;
    const struct usp_end *end = *place;
    if (*place == channel)
        usp_channel_used(channel, usp_current()->task);
    if (end->magic == USP_END_MAGIC && end->side != side) {
        usp_report("%s: an end of the wrong direction", what);
        return -EINVAL;
    }
    return 0;
}

/* A process that is handed an end shares in it with an end of its own; one that is handed a retired end gets a
   retired one. */
static int join_end(void **place, enum usp_side side, void *arg)
{
    struct joining *joining = arg;
    struct usp_end *given = *place;
    bool is_end = given->magic == USP_END_MAGIC;
    struct usp_channel *channel = is_end ? given->channel : *place;
    struct usp_end *end = usp_end_new(channel, side, joining->task, joining->worker);
    if (!end)
        return -ENOMEM;
    if (is_end && given->retired && !end->retired)
        usp_end_retire(end);
    *place = end;
    joining->done++;
    return 0;
}

/* A process that is given a channel as a value, or somebody else's end, may use it without an end of its own. */
static void look_at_values(const struct usp_process *process)
{
    for (const struct uvcsp_param *p = process->kind->params; p->kind != UVCSP_PARAM_END; p++) {
        size_t end = p[1].kind == UVCSP_PARAM_END ? process->kind->size : p[1].offset;
        for (size_t at = p->offset; p->kind == UVCSP_PARAM_VAL_KIND && at + sizeof(void *) <= end;
             at += sizeof(void *)) {
            void *x;
            memcpy(&x, (const char *)process->args + at, sizeof x);
            USP_DEFINED(x); /* it may be padding, and then no address either */
            struct usp_channel *channel = usp_arena_is(x, USP_BLOCK_CHANNEL) ? x : NULL;
            const struct usp_end *its = usp_arena_is(x, USP_BLOCK_END) ? x : NULL;
            if (its && its->magic == USP_END_MAGIC)
                channel = its->channel;
            if (channel && channel->magic == USP_CHANNEL_MAGIC)
                usp_channel_used(channel, NULL);
        }
    }
}

static int join_conn(void **place, void *arg)
{
    struct joining *joining = arg;
    char what[160];
    snprintf(what, sizeof what, "process '%s'", joining->name);
    int rc = usp_conn_hooks.join(place, joining->worker, joining->task, what);
    joining->done += rc == 0;
    return rc;
}

struct leaving {
    enum usp_leave how;
    const char *cause;
    size_t left;
};

static int leave_conn(void **place, void *arg)
{
    struct leaving *leaving = arg;
    if (leaving->left-- == 0)
        return 1;
    usp_conn_hooks.leave(*place, leaving->how, leaving->cause);
    return 0;
}

static int adopt_conn(void **place, void *arg)
{
    usp_conn_hooks.adopt(*place, arg);
    return 0;
}

static int leave_end(void **place, enum usp_side side, void *arg)
{
    (void)side;
    struct leaving *leaving = arg;
    if (leaving->left-- == 0)
        return 1;
    usp_end_release(*place, leaving->how, leaving->cause);
    return 0;
}

static int link_to_task(void **place, enum usp_side side, void *arg)
{
    (void)side;
    usp_end_adopt(*place, arg);
    return 0;
}

int usp_process_join(struct usp_process *process, unsigned worker, struct usp_task *task)
{
    const char *name = process->kind->name;
    process->joined = true;
    if (process->kind->params[0].kind == UVCSP_PARAM_END)
        return 0;
    process->joined = false;
    int rc = each_end(process, check_end, (void *)(uintptr_t)name);
    if (rc)
        return rc;
    look_at_values(process);
    struct joining joining = {name, worker, task, 0};
    rc = each_end(process, join_end, &joining);
    if (rc) {
        usp_report("process '%s': the shared arena is full", name);
        struct leaving leaving = {USP_LEAVE_RETIRE, NULL, joining.done};
        each_end(process, leave_end, &leaving);
        return rc;
    }
    joining.done = 0;
    rc = usp_process_each_conn(process, join_conn, &joining);
    if (rc) {
        struct leaving leaving = {USP_LEAVE_RETIRE, NULL, joining.done};
        usp_process_each_conn(process, leave_conn, &leaving);
        leaving.left = SIZE_MAX;
        each_end(process, leave_end, &leaving);
    }
    process->joined = rc == 0;
    return rc;
}

void usp_process_leave(struct usp_process *process, enum usp_leave how, const char *cause)
{
    if (!process->kind) {
        for (struct usp_process *p = process->members; p; p = p->next)
            usp_process_leave(p, how, cause);
        return;
    }
    struct leaving leaving = {how, cause, SIZE_MAX};
    each_end(process, leave_end, &leaving);
    usp_process_each_conn(process, leave_conn, &leaving);
}

/* ---- starting ---- */

static struct usp_task *new_task(const char *name)
{
    struct usp_task *task = usp_arena_alloc(sizeof *task, USP_BLOCK_TASK);
    if (!task)
        return NULL;
    memset(task, 0, sizeof *task);
    task->name = name;
    task->worker = (uint16_t)usp_worker_index();
    usp_wait_of(task)->first.task = task;
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    atomic_store_explicit(&self->tasks_made, /* nobody else writes it */
                          atomic_load_explicit(&self->tasks_made, memory_order_relaxed) + 1,
                          memory_order_release);
    return task;
}

static void free_task(struct usp_task *task)
{
    usp_arena_free(usp_wait_of(task)->table);
    usp_arena_free(task);
}

static void unprepare(struct usp_process *process)
{
    usp_ends_release(process->task, USP_LEAVE_RETIRE, NULL);
    free_task(process->task);
    process->task = NULL;
}

int usp_process_prepare(struct usp_process *process)
{
    if (!process->kind) {
        for (struct usp_process *p = process->members; p; p = p->next) {
            int rc = usp_process_prepare(p);
            if (rc == 0)
                continue;
            for (struct usp_process *q = process->members; q != p; q = q->next)
                unprepare(q);
            return rc;
        }
        return 0;
    }
    process->task = new_task(process->kind->name);
    if (!process->task) {
        usp_report("process '%s': the shared arena is full", process->kind->name);
        return -ENOMEM;
    }
    process->task->hope.waiter = usp_current()->task;
    process->task->hope.state = USP_HOPE_UNBORN;
    int rc = usp_process_join(process, usp_worker_index(), process->task);
    if (rc < 0) {
        free_task(process->task);
        process->task = NULL;
    }
    return rc;
}

int usp_process_inherit(struct usp_process *process)
{
    process->task = new_task(process->kind->name);
    if (!process->task)
        return -ENOMEM;
    each_end(process, link_to_task, process->task);
    usp_process_each_conn(process, adopt_conn, process->task);
    return 0;
}

size_t usp_process_count(const struct usp_process *process)
{
    if (process->kind)
        return 1;
    size_t n = 0;
    for (const struct usp_process *p = process->members; p; p = p->next)
        n++;
    return n;
}

struct usp_process *usp_process_current(void)
{
    return usp_current()->process;
}

/* The runtime calls this through the fibre when an operation ends the process. */
static void unwind(void *process, int outcome, const char *cause)
{
    switch (outcome) {
    case UVCSP_RETIRED:
        usp_process_finish(process, USP_BY_RETIREMENT, 0, NULL);
    case UVCSP_POISONED:
        usp_process_finish(process, USP_BY_POISON, 0, cause);
    default:
        usp_process_finish(process, USP_BY_SIGNAL, usp_current()->kill, NULL);
    }
}

static void process_main(void *arg)
{
    struct usp_process *process = arg;
    usp_current()->unwind = unwind;
    process->kind->run(process->args);
    usp_process_finish(process, USP_RETURNED, 0, NULL);
}

static void tell_joiner(struct usp_join *join, bool failed)
{
    if (!join)
        return;
    join->failed += failed;
    if (--join->left == 0)
        usp_wake(join->task);
}

static void stillborn(void *arg)
{
    struct usp_process *process = arg;
    char cause[200];
    snprintf(cause, sizeof cause, "process '%s' could not be started: no memory for its stack",
             process->kind->name);
    usp_report("%s", cause);
    usp_ends_release(process->task, USP_LEAVE_POISON, cause);
    free_task(process->task);
    tell_joiner(process->join, true);
    if (process->handle)
        usp_handle_ended(process->handle, 1);
    usp_process_release(process);
    usp_somebody_ended();
}

void usp_process_launch(struct usp_process *process, struct usp_join *join,
                        struct uvcsp_handle *handle)
{
    struct usp_unborn *unborn = &process->unborn;
    process->join = join;
    process->handle = handle;
    unborn->entry = process_main;
    unborn->process = process;
    unborn->task = process->task;
    unborn->parent = usp_current() == usp_sched.loop_fibre ? NULL : usp_current();
    usp_stillborn = stillborn;
    struct usp_fibre *fibre = usp_fibre_conceive(unborn);
    process->task->hope.waiter = join ? join->task : NULL;
    process->task->hope.handle = handle ? &handle->ended : NULL;
    process->task->hope.handle_of = (uint16_t)(handle ? usp_worker_index() + 1 : 0);
    process->task->hope.state = 0;
    process->task->fibre = fibre;
    usp_ready(fibre);
}

void usp_processes_launch(struct usp_process *process, struct usp_join *join,
                          struct uvcsp_handle *handle)
{
    if (process->kind) {
        usp_process_launch(process, join, handle);
        return;
    }
    struct usp_process *member = process->members;
    process->members = NULL; /* they go their own way */
    while (member) {
        struct usp_process *next = member->next;
        member->next = NULL;
        usp_process_launch(member, join, handle);
        member = next;
    }
    usp_process_release(process);
}

/* ---- ending ---- */

void usp_process_run_deferred(struct usp_process *process)
{
    /* taken off before it runs: if it ends the process in its turn, the next one is where that goes on */
    while (process->deferred) {
        struct usp_deferred *deferred = process->deferred;
        void (*fn)(void *) = deferred->fn;
        void *arg = deferred->arg;
        process->deferred = deferred->next;
        free(deferred);
        fn(arg);
    }
}

static void drop_deferred(struct usp_process *process)
{
    for (struct usp_deferred **at = &process->deferred; *at;) {
        struct usp_deferred *deferred = *at;
        if (deferred->always) {
            at = &deferred->next;
            continue;
        }
        *at = deferred->next;
        free(deferred);
    }
}

/* The children in the sense of SPAWN and GO outlive their starter; they must not point to its fibre. */
static void forget_parent(struct usp_fibre *gone)
{
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next)
        if (fibre->parent == gone) {
            fibre->parent = gone->parent;
            if (gone->parent)
                gone->parent->started_others = true;
        }
}

void usp_process_finish(struct usp_process *process, enum usp_how how, int signum, const char *cause)
{
    struct usp_fibre *fibre = usp_current();
    char killed[200];
    fibre->kill = 0; /* what is deferred may communicate */
    if (how == USP_BY_SIGNAL) {
        snprintf(killed, sizeof killed, "process '%s' (light, pid %d) was killed by signal %d (%s)",
                 process->kind->name, (int)getpid(), signum, strsignal(signum));
        usp_report("%s", killed);
        cause = killed;
    }
    if (how == USP_BY_SIGNAL && signum == SIGKILL)
        drop_deferred(process);
    usp_process_run_deferred(process);
    struct usp_task *task = process->task;
    bool poisons = how == USP_BY_POISON || how == USP_BY_SIGNAL;
    usp_ends_release(task, poisons ? USP_LEAVE_POISON : USP_LEAVE_RETIRE,
                     cause ? cause : "poisoned; the cause is not known");
    usp_channels_release(task);
    if (process->handle)
        usp_handle_ended(process->handle, how == USP_BY_SIGNAL ? -signum : 0);
    tell_joiner(process->join, how == USP_BY_SIGNAL);
    if (fibre->started_others)
        forget_parent(fibre);
    fibre->task = NULL;
    free_task(task);
    usp_process_release(process);
    usp_somebody_ended();
    usp_fibre_exit();
}

static int defer(void (*fn)(void *), void *arg, bool always)
{
    struct usp_process *process = usp_process_current();
    if (!fn || !process) {
        usp_report("DEFER: %s", fn ? "a callback of the loop is no process" : "the function is NULL");
        return -EINVAL;
    }
    struct usp_deferred *deferred = malloc(sizeof *deferred);
    if (!deferred)
        return -ENOMEM;
    *deferred = (struct usp_deferred){process->deferred, fn, arg, always};
    process->deferred = deferred;
    return 0;
}

int uvcsp_defer(void (*fn)(void *), void *arg)
{
    USP_ENTER();
    return defer(fn, arg, false);
}

int usp_defer_always(void (*fn)(void *), void *arg)
{
    return defer(fn, arg, true);
}

void uvcsp_exit_process(void)
{
    USP_ENTER();
    struct usp_process *process = usp_process_current();
    if (!process || usp_current()->task->flags & USP_TASK_MAIN)
        exit(0);
    usp_process_finish(process, USP_RETURNED, 0, NULL);
}
