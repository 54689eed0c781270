/* The arguments of a process: each end among them becomes one of its own before it runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/valgrind.h"

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


void usp_process_adopt(struct usp_process *process)
{
    each_end(process, link_to_task, process->task);
    usp_process_each_conn(process, adopt_conn, process->task);
}
