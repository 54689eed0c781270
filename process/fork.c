#include "process/fork.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/report.h"

static const char *name_of(const struct usp_process *process)
{
    if (!process->kind)
        process = process->members;
    return process ? process->kind->name : "WORKER()";
}

/* ---- in the parent ---- */

static int join(struct usp_process *process, unsigned worker)
{
    if (process->kind)
        return usp_process_join(process, worker, NULL);
    for (struct usp_process *p = process->members; p; p = p->next) {
        int rc = usp_process_join(p, worker, NULL);
        if (rc == 0)
            continue;
        for (struct usp_process *q = process->members; q != p; q = q->next)
            usp_process_leave(q, USP_LEAVE_RETIRE, NULL);
        return rc;
    }
    return 0;
}

int usp_fork_join(struct usp_process **processes, size_t n, int *workers)
{
    for (size_t i = 0; i < n; i++) {
        workers[i] = usp_worker_reserve(name_of(processes[i]));
        /* without a worker it still joins, so that its partners learn by poison that it never came */
        int rc = join(processes[i], workers[i] < 0 ? usp_worker_index() : (unsigned)workers[i]);
        if (rc == 0)
            continue;
        for (size_t k = 0; k <= i; k++) {
            if (k < i)
                usp_process_leave(processes[k], USP_LEAVE_RETIRE, NULL);
            if (workers[k] >= 0)
                usp_worker_release((unsigned)workers[k]);
        }
        return rc;
    }
    return 0;
}

/* ---- in the new worker ---- */

static void start_one(struct usp_process *process)
{
    process->next = NULL;
    if (usp_process_inherit(process) < 0) {
        usp_report("process '%s': no room to start it", process->kind->name);
        _exit(126);
    }
    usp_processes_launch(process, NULL, NULL);
}

static void run_in_child(void *arg)
{
    struct usp_process *process = arg;
    if (process->kind) {
        start_one(process);
        return;
    }
    for (struct usp_process *p = process->members, *next; p; p = next) {
        next = p->next;
        start_one(p);
    }
}

int usp_fork_launch(struct usp_process *process, int worker, usp_ended_fn *ended, void *arg, bool rests)
{
    int rc = worker;
    if (worker >= 0)
        rc = usp_worker_fork((unsigned)worker, run_in_child, process, ended, arg, rests);
    if (rc >= 0)
        return 0;
    char cause[200];
    snprintf(cause, sizeof cause, "no worker could be started for process '%s': %s",
             name_of(process), strerror(-rc));
    usp_report("%s", cause);
    usp_process_leave(process, USP_LEAVE_POISON, cause);
    if (worker >= 0)
        usp_worker_release((unsigned)worker);
    return rc;
}
