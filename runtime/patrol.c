/* Deaths that nobody has seen yet: whoever waits for a dead worker, or has nothing to do, finds out by itself. */
#include "runtime/patrol.h"

#include <stdlib.h>
#include <sys/wait.h>

#include "runtime/arena.h"
#include "runtime/burial.h"
#include "runtime/watch.h"
#include "runtime/worker.h"
#include "runtime/young.h"

#define AROUND_MS 300 /* between two looks around */
#define AT_A_TIME 16  /* records in one of them */
static uv_timer_t around;
static bool looks_around USP_YOUNG;

/* Has the process of a record that is RUNNING ended? Then it has crashed, for a worker that ends
   says so first. Asks the kernel, not the record: the parent may not have seen it yet. */
static bool has_crashed(struct usp_worker *worker)
{
    uint32_t generation = worker->generation;
    pid_t pid = worker->pid;
    if (atomic_load(&worker->state) == USP_WORKER_DEAD ||
        atomic_load(&worker->state) == USP_WORKER_BURIED)
        return true;
    bool ended = pid > 0 && usp_process_has_ended(pid);
    /* If it is RUNNING still, the record is still that of the process asked for: it cannot be
       used again before this worker has answered. */
    return ended && worker->generation == generation && worker->pid == pid &&
           atomic_load(&worker->state) == USP_WORKER_RUNNING;
}

bool usp_supervise_has_ended(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    return atomic_load(&worker->state) != USP_WORKER_RUNNING || has_crashed(worker);
}

/* How a process has ended that is another's child. False: it has been reaped. */
static bool code_of_zombie(pid_t pid, int *codep)
{
    int status = usp_zombie_status(pid);
    if (status < 0)
        return false;
    *codep = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

/* A parent that computes sees no death. So whoever has nothing to do looks now and then whether
   some worker is dead and nobody has looked after it since the last time. The parent reaps it and
   tells when it comes to it. */
static void look_around(uv_timer_t *timer)
{
    static uint32_t *suspected; /* generations */
    static unsigned next;
    (void)timer;
    uint32_t n = atomic_load(&usp_shared->n_records);
    if (!suspected)
        suspected = calloc(USP_MAX_WORKERS, sizeof *suspected);
    for (unsigned i = 0; suspected && i < AT_A_TIME && i < n; i++) {
        unsigned index = next++ % n;
        struct usp_worker *worker = usp_worker_of(index);
        uint32_t state = atomic_load(&worker->state);
        if (index == 0 || index == usp_worker_index() || state == USP_WORKER_BURIED ||
            atomic_load(&worker->parent) == usp_worker_index() || !has_crashed(worker))
            continue;
        if (suspected[index] != worker->generation) {
            suspected[index] = worker->generation;
            continue;
        }
        char how[200];
        int code;
        if (!code_of_zombie(worker->pid, &code))
            continue; /* the parent is about it */
        usp_describe_end(worker, code, how, sizeof how);
        usp_put_right(index, code == 0 ? NULL : how);
    }
}

int usp_patrol_start(void)
{
    if (looks_around)
        return 0;
    int rc = uv_timer_init(usp_loop(), &around);
    if (rc == 0)
        rc = uv_timer_start(&around, look_around, AROUND_MS, AROUND_MS);
    if (rc < 0)
        return rc;
    uv_unref((uv_handle_t *)&around);
    looks_around = true;
    return 0;
}

void usp_patrol_forget(void)
{
    looks_around = false;
}

/* Only what frees the locks: the caller may hold others, and the rest of a burial needs them. */
bool usp_supervise_stuck(unsigned holder)
{
    if (holder >= USP_MAX_WORKERS || holder == usp_worker_index())
        return false;
    struct usp_worker *worker = usp_worker_of(holder);
    if (!has_crashed(worker))
        return false;
    uint32_t running = USP_WORKER_RUNNING;
    atomic_compare_exchange_strong(&worker->state, &running, USP_WORKER_DEAD);
    usp_arena_recover(holder);
    if (usp_worker_hooks.seize)
        usp_worker_hooks.seize(holder);
    return true;
}
