/* Workers whose parents have ended: the root is their parent then, for the kernel and for the library. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "runtime/burial.h"
#include "runtime/report.h"
#include "runtime/worker.h"
#include "runtime/young.h"

static uint32_t orphans_seen USP_YOUNG;

/* A worker whose parent has ended. */
static void take_over(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    uint64_t birth = (uint64_t)worker->generation << 32;
    siginfo_t info;
    worker->waiter = NULL; /* it was a task of the dead one's */
    char how[200];
    if (atomic_compare_exchange_strong(&worker->birth, &birth, birth | USP_UNBORN)) {
        snprintf(how, sizeof how, "no worker was started for process '%s': its parent has ended",
                 worker->name);
        /* its parent knew it: it was killed before it could say so itself, or is to find out that it is not to be */
        if (worker->pid > 0 && atomic_load(&worker->state) == USP_WORKER_RESERVED &&
            waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
            kill(worker->pid, SIGKILL);
            usp_reap(worker->pid);
        }
        usp_end_badly(index, 0, how, NULL, NULL);
        return;
    }
    pid_t pid = (pid_t)(uint32_t)birth;
    if ((uint32_t)birth != USP_UNBORN &&
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        usp_supervise_add(index, pid, NULL, NULL);
        return usp_supervise_watch_new();
    }
    /* its parent has reaped it and then ended */
    uint32_t state = atomic_load(&worker->state);
    if (state == USP_WORKER_ENDED) {
        usp_uncount(worker);
        usp_worker_release(index);
        return;
    }
    snprintf(how, sizeof how, "worker of '%s' (pid %d) has ended with its parent", worker->name,
             (int)pid);
    if (state == USP_WORKER_RUNNING)
        usp_report("%s", how);
    usp_uncount(worker);
    usp_bury(index, how);
}

static void reap_strays(void)
{
    for (size_t i = 0; i < sizeof usp_shared->strays / sizeof usp_shared->strays[0]; i++) {
        pid_t pid = atomic_exchange(&usp_shared->strays[i], 0);
        if (pid > 0)
            usp_reap(pid);
    }
}

void usp_orphans_look(void)
{
    orphans_seen = atomic_load(&usp_shared->orphans);
    reap_strays();
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++)
        if (atomic_exchange(&usp_worker_of(i)->orphan, 0))
            take_over(i);
}

bool usp_orphans_pending(void)
{
    return atomic_load(&usp_shared->orphans) != orphans_seen;
}

void usp_orphans_deinit(void)
{
    orphans_seen = 0;
}
