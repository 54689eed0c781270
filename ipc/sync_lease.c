/* Leases: what a process has made and may hold. See sync.h. */
#include <stdlib.h>

#include "ipc/shared.h"
#include "ipc/sync.h"
#include "runtime/arena.h"

struct usp_lease *usp_last_lease;

static bool others_live(void)
{
    return usp_sched.n_live > 0 || usp_worker_children() > 0;
}

/* The process has ended, and what the program deferred has run. */
static void ended(void *arg)
{
    struct usp_lease *lease = arg;
    struct usp_task *task = lease->task;
    if (lease->holds > 0) {
        struct usp_gone gone = {task, 0};
        usp_walk_shared(usp_sync_let_go, &gone);
        usp_named_gone(task);
    }
    /* main ends before those that it has started: what it made goes with the arena */
    bool keep = task->flags & USP_TASK_MAIN && others_live();
    if (keep)
        usp_named_left();
    while (lease->made) {
        struct usp_made *made = lease->made;
        usp_made_unlink(made);
        if (!keep)
            made->free(made);
    }
    if (usp_last_lease == lease)
        usp_last_lease = NULL;
    free(lease);
}

/* The place of the lease in what a process has deferred: the last, where it is or will be. */
static struct usp_deferred **place_of_lease(struct usp_process *process)
{
    struct usp_deferred **at = &process->deferred;
    while (*at && (*at)->fn != ended)
        at = &(*at)->next;
    return at;
}

/* A worker in which a process calls exit(0) ends well, and nobody looks after it; nothing that was
 * deferred runs. */
static void at_exit(int status, void *arg)
{
    (void)arg;
    if (status != 0 || !usp_here || !usp_runtime_is_home() || usp_worker_is_root())
        return;
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next) {
        struct usp_process *process = fibre == usp_sched.idle ? NULL : fibre->process;
        struct usp_deferred *deferred = process ? *place_of_lease(process) : NULL;
        if (deferred)
            ended(deferred->arg);
    }
}

struct usp_lease *usp_lease_slowly(void)
{
    static bool registered;
    struct usp_process *process = usp_process_current();
    if (!process)
        return NULL;
    struct usp_deferred **at = place_of_lease(process);
    if (*at)
        return usp_last_lease = (*at)->arg;
    if (!registered)
        registered =
            on_exit(at_exit, NULL) == 0; /* later than the library's own, and so called before it */
    struct usp_lease *lease = calloc(1, sizeof *lease);
    struct usp_deferred *deferred = malloc(sizeof *deferred);
    if (!lease || !deferred) {
        free(lease);
        free(deferred);
        return NULL;
    }
    lease->process = process;
    lease->task = usp_current()->task;
    lease->serial = process->serial;
    *deferred = (struct usp_deferred){NULL, ended, lease, true};
    *at = deferred;
    return usp_last_lease = lease;
}

void usp_made_link(struct usp_made *made, void (*free)(struct usp_made *))
{
    struct usp_lease *lease = usp_lease();
    made->free = free;
    made->at = NULL;
    if (!lease)
        return;
    made->next = lease->made;
    made->at = &lease->made;
    if (made->next)
        made->next->at = &made->next;
    lease->made = made;
}

void usp_made_unlink(struct usp_made *made)
{
    if (!made->at)
        return;
    *made->at = made->next;
    if (made->next)
        made->next->at = made->at;
    made->at = NULL;
}
