/* How light processes begin and end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/process.h"
#include "runtime/report.h"

/* ---- ending ---- */

struct usp_process *usp_process_current(void)
{
    return usp_current()->process;
}

struct usp_join usp_no_join = {.left = SIZE_MAX};

static void tell_joiner(struct usp_join *join, bool failed)
{
    if (!join->task)
        return;
    join->failed += failed;
    if (--join->left == 0)
        usp_wake(join->task);
}

/* It has been taken off before: if it ends the process in its turn, the next one is where that goes on. */
static void run_one(struct usp_deferred *deferred)
{
    void (*fn)(void *) = deferred->fn;
    void *arg = deferred->arg;
    free(deferred);
    fn(arg);
}

static void run_last(struct usp_process *process)
{
    struct usp_deferred *deferred = process->deferred;
    process->deferred = deferred->next;
    run_one(deferred);
}

__attribute__((noinline)) void usp_process_run_deferred(struct usp_process *process)
{
    while (process->deferred)
        run_last(process);
}

/* The first that the program has deferred, taken off; or NULL. */
static struct usp_deferred *take_deferred(struct usp_process *process)
{
    struct usp_deferred **at = &process->deferred, *deferred;
    while ((deferred = *at) && deferred->always)
        at = &deferred->next;
    if (deferred)
        *at = deferred->next;
    return deferred;
}

static void drop_deferred(struct usp_process *process)
{
    struct usp_deferred *deferred;
    while ((deferred = take_deferred(process)))
        free(deferred);
}

void usp_process_run_deferred_of_program(struct usp_process *process)
{
    struct usp_deferred *deferred;
    while ((deferred = take_deferred(process)))
        run_one(deferred);
}

/* The children in the sense of SPAWN and GO outlive their starter; they must not point to its fibre. */
static void forget_parent(struct usp_fibre *gone)
{
    USP_EACH_FIBRE(fibre)
        if (fibre->parent == gone) {
            fibre->parent = gone->parent;
            if (gone->parent)
                gone->parent->n_started++;
        }
}

static void handle_ended(struct usp_process *process, struct usp_fibre *parent, int code)
{
    if (parent)
        parent->n_started--;
    usp_handle_ended(process->handle, code);
    process->handle = NULL;
}

static inline __attribute__((always_inline)) void conclude(struct usp_process *process, struct usp_fibre *fibre,
                                                           int code, const char *cause, enum usp_leave leave)
{
    struct usp_task *task = fibre->task;
    if (usp_wait_of(task)->ends)
        usp_ends_release(task, leave, cause ? cause : "poisoned; the cause is not known");
    if (usp_wait_of(task)->made)
        usp_channels_release(task);
    if (process->handle)
        handle_ended(process, fibre->parent, code);
    tell_joiner(process->join, code != 0);
    if (fibre->n_started > 0)
        forget_parent(fibre);
    fibre->task = NULL;
    usp_task_free(task);
    usp_process_release(process);
    usp_somebody_ended();
}

/* The worker was sent SIGTERM. Ends and locks stay with it: its supervisor sees to them when it has died, and tells the
   others why. */
__attribute__((noreturn)) static void finish_with_worker(struct usp_process *process, struct usp_fibre *fibre)
{
    usp_terminate_cuts();
    usp_process_run_deferred_of_program(process);
    if (process->handle) /* what another has deferred may wait for it */
        handle_ended(process, fibre->parent, -SIGTERM);
    tell_joiner(process->join, true);
    if (fibre->n_started > 0)
        forget_parent(fibre);
    usp_fibre_exit();
}

void usp_process_finish(struct usp_process *process, enum usp_how how, int signum, const char *cause)
{
    struct usp_fibre *fibre = usp_current();
    char killed[200];
    fibre->kill = 0; /* what is deferred may communicate */
    if (how == USP_BY_SIGNAL && signum == SIGTERM && usp_worker_asked_to_end())
        finish_with_worker(process, fibre);
    if (how == USP_BY_SIGNAL) {
        snprintf(killed, sizeof killed, "process '%s' (light, pid %d) was killed by signal %d (%s)",
                 process->kind->name, (int)getpid(), signum, strsignal(signum));
        if (!process->handle || !process->handle->expected)
            usp_report("%s", killed);
        cause = killed;
    }
    if (how == USP_BY_SIGNAL && signum == SIGKILL)
        drop_deferred(process);
    usp_process_run_deferred(process);
    bool poisons = how == USP_BY_POISON || how == USP_BY_SIGNAL;
    conclude(process, fibre, how == USP_BY_SIGNAL ? -signum : 0, cause,
             poisons ? USP_LEAVE_POISON : USP_LEAVE_RETIRE);
    usp_fibre_exit();
}

/* ---- starting ---- */

static void unprepare(struct usp_process *process)
{
    if (!process->task)
        return;
    usp_ends_release(process->task, USP_LEAVE_RETIRE, NULL);
    usp_task_free(process->task);
    process->task = NULL;
}

static int prepare(struct usp_process *process)
{
    if (usp_process_is_plain(process))
        return 0;
    process->task = usp_task_new(process->kind->name);
    if (!process->task) {
        usp_report("process '%s': the shared arena is full", process->kind->name);
        return -ENOMEM;
    }
    process->task->hope.waiter = usp_current()->task;
    process->task->hope.state = USP_HOPE_UNBORN;
    int rc = usp_process_join(process, usp_worker_index(), process->task);
    if (rc < 0) {
        usp_task_free(process->task);
        process->task = NULL;
    }
    return rc;
}

int usp_processes_prepare(struct usp_process *first)
{
    for (struct usp_process *process = first; process; process = process->next) {
        int rc = prepare(process);
        if (rc == 0)
            continue;
        for (struct usp_process *p = first; p != process; p = p->next)
            unprepare(p);
        return rc;
    }
    return 0;
}

void usp_processes_drop(struct usp_process *first)
{
    while (first) {
        struct usp_process *process = first;
        first = process->next;
        unprepare(process);
        usp_process_release(process);
    }
}

int usp_process_inherit(struct usp_process *process)
{
    process->task = usp_task_new(process->kind->name);
    if (!process->task)
        return -ENOMEM;
    if (!usp_process_is_plain(process))
        usp_process_adopt(process);
    return 0;
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

static __attribute__((cold, noinline)) void tell_why_not(struct usp_process *process, const char *why)
{
    char cause[200];
    snprintf(cause, sizeof cause, "process '%s' could not be started: %s", process->kind->name, why);
    usp_report("%s", cause);
    if (process->task) {
        usp_ends_release(process->task, USP_LEAVE_POISON, cause);
        usp_task_free(process->task);
    }
    tell_joiner(process->join, true);
    if (process->handle)
        handle_ended(process, process->parent, 1);
    usp_process_release(process);
    usp_somebody_ended();
}

static void stillborn(struct usp_unborn *unborn)
{
    tell_why_not((struct usp_process *)unborn, "no memory for its stack");
}

static inline void set_hope(const struct usp_process *process, struct usp_task *task)
{
    struct usp_hope *hope = &task->hope;
    struct uvcsp_handle *handle = process->handle;
    hope->waiter = process->join->task;
    hope->handle = handle ? &handle->ended : NULL;
    hope->handle_of = (uint16_t)(handle && !handle->freed ? usp_worker_index() + 1 : 0);
    hope->state = 0;
}

static void rests(struct usp_fibre *fibre)
{
    if (fibre->task)
        usp_task_keep(fibre->task);
    fibre->task = NULL;
}

static inline void take_up(struct usp_fibre *fibre, struct usp_task *task)
{
    if (__builtin_expect(fibre->task != NULL, 0))
        rests(fibre);
    fibre->task = task;
    task->fibre = fibre;
}

/* The fibre has no task for it, or it has a handle. */
static __attribute__((noinline)) bool begin_slowly(struct usp_process *process, struct usp_fibre *fibre)
{
    struct usp_task *task = usp_task_new(process->kind->name);
    if (!task)
        return false;
    set_hope(process, task);
    if (process->handle)
        process->task = task;
    take_up(fibre, task);
    return true;
}

/* The first that a fibre does for a process. One without parameters gets its task only here: until then there is nothing that
   others could see of it. */
static inline bool begin(struct usp_process *process, struct usp_fibre *fibre)
{
    if (__builtin_expect(process->task != NULL, 0)) {
        take_up(fibre, process->task);
        return true;
    }
    struct usp_task *task = fibre->task;
    if (__builtin_expect(!task || process->handle, 0))
        return begin_slowly(process, fibre);
    usp_task_unshelve(task);
    usp_task_begins(task, process->kind->name);
    task->hope.waiter = process->join->task;
    return true;
}

/* As a rule one without parameters has left nothing behind that somebody else would have to know of. */
static inline bool leaves_nothing(const struct usp_process *process, const struct usp_fibre *fibre)
{
    const struct usp_task *task = fibre->task;
    const struct usp_wait *wait = (const struct usp_wait *)task->room;
    return (process->marks | (uintptr_t)process->handle | (uintptr_t)process->deferred | (uintptr_t)process->task |
            fibre->n_started | (uintptr_t)wait->ends | (uintptr_t)wait->made | (uintptr_t)wait->table |
            (uintptr_t)task->uses) == 0;
}

/* Then the fibre keeps its task, which lies on the shelf. Who waits in usp_park() needs no more than to be ready. */
static inline struct usp_fibre *end_quietly(struct usp_process *process, struct usp_fibre *fibre)
{
    struct usp_join *join = process->join;
    usp_process_release_plain(process);
    usp_somebody_ended();
    if (join->left > 1) {
        join->left--;
        return usp_fibre_go_on(fibre);
    }
    join->task->woken = 1;
    return usp_fibre_go_on_with(fibre, join->task->fibre);
}

static __attribute__((noinline)) struct usp_fibre *end_loudly(struct usp_process *process, struct usp_fibre *fibre)
{
    fibre->kill = 0; /* what is deferred may communicate */
    if (__builtin_expect(process->deferred != NULL, 0))
        usp_process_run_deferred(process);
    conclude(process, fibre, 0, NULL, USP_LEAVE_RETIRE);
    return usp_fibre_go_on(fibre);
}

/* The body has returned; who runs next. Where a task has not been used it costs less to see that than to write it anew. */
static inline struct usp_fibre *end(struct usp_process *process, struct usp_fibre *fibre)
{
    if (__builtin_expect(!leaves_nothing(process, fibre), 0))
        return end_loudly(process, fibre);
    if (__builtin_expect(usp_task_was_used(fibre->task), 0))
        usp_task_reset(fibre->task);
    usp_task_shelve(fibre->task);
    return end_quietly(process, fibre);
}

/* One process after the other. The switch is here, and not in a function of its own: then calls and returns come in pairs,
   as the processor expects them. */
__attribute__((noreturn)) static void run(struct usp_fibre *fibre)
{
    fibre->unwind = unwind;
    for (;;) {
        struct usp_process *process = fibre->process;
        struct usp_fibre *to;
        if (__builtin_expect(begin(process, fibre), 1)) {
            process->kind->run(process->args);
            to = end(process, fibre);
        } else {
            tell_why_not(process, "the shared arena is full");
            to = usp_fibre_go_on(fibre);
        }
        if (to != fibre)
            usp_switch_to(to);
    }
}

void usp_life_init(void)
{
    usp_born = run;
    usp_rests = rests;
    usp_stillborn = stillborn;
}

size_t usp_processes_launch(struct usp_process *first, struct usp_join *join,
                            struct uvcsp_handle *handle)
{
    struct usp_fibre *parent = usp_current() == usp_sched.loop_fibre ? NULL : usp_current();
    struct usp_process *last = first;
    size_t n = 0;
    for (struct usp_process *process = first; process; process = process->next) {
        process->parent = parent;
        process->join = join ? join : &usp_no_join;
        process->handle = handle;
        if (process->task) {
            set_hope(process, process->task);
            process->task->fibre = (struct usp_fibre *)&process->unborn;
        }
        last = process;
        n++;
    }
    if (n > 0)
        usp_fibres_conceive(&first->unborn, &last->unborn, n);
    return n;
}

/* ---- what is deferred ---- */

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

void usp_defer_done(void)
{
    run_last(usp_process_current());
}

void uvcsp_exit_process(void)
{
    USP_ENTER();
    struct usp_process *process = usp_process_current();
    if (!process || usp_current()->task->flags & USP_TASK_MAIN)
        exit(0);
    usp_process_finish(process, USP_RETURNED, 0, NULL);
}
