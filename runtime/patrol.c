/* Deaths that nobody has seen yet: whoever waits for a dead worker, or has nothing to do, finds out by itself. */
#include "runtime/patrol.h"

#include <sys/wait.h>

#include "runtime/arena.h"
#include "runtime/burial.h"
#include "runtime/watch.h"
#include "runtime/worker.h"
#include "runtime/young.h"

/* A look around every so many milliseconds, whoever takes it: it is enough if one worker in thirty is idle. So what a program
   uses while it waits hardly grows with its workers. */
#define AROUND_MS 300
#define MANY_WORKERS 32 /* with so many more, each wakes less often to see whether a look is due */
#define ROUNDS 4        /* looks in which all records are looked at */
#define AT_LEAST 16     /* records in a look */

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

/* True: it was found so before, and its parent has had the time to do something about it. */
static bool suspected_before(struct usp_worker *worker, uint32_t now)
{
    uint64_t since = atomic_load(&worker->suspected);
    if ((uint32_t)(since >> 32) == worker->generation)
        return now - (uint32_t)since >= AROUND_MS;
    atomic_store(&worker->suspected, (uint64_t)worker->generation << 32 | now);
    return false;
}

static void look_at(unsigned index, uint32_t now)
{
    struct usp_worker *worker = usp_worker_of(index);
    uint32_t state = atomic_load(&worker->state);
    if (index == 0 || index == usp_worker_index() || state == USP_WORKER_BURIED ||
        atomic_load(&worker->parent) == usp_worker_index() || !has_crashed(worker) || !suspected_before(worker, now))
        return;
    char how[200];
    int code;
    if (!code_of_zombie(worker->pid, &code))
        return; /* the parent is about it */
    usp_describe_end(worker, code, how, sizeof how);
    usp_put_right(index, code == 0 ? NULL : how);
}

/* It is this worker's turn. Others come to the next ones: `patrol_next` goes on from one worker to the other. */
static void look_around(uint32_t now)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    uint32_t look_at_most = n / ROUNDS > AT_LEAST ? n / ROUNDS : AT_LEAST;
    for (uint32_t i = 0; i < n && i < look_at_most; i++)
        look_at(atomic_fetch_add(&usp_shared->patrol_next, 1) % n, now);
}

static void arm(void);

/* A parent that computes sees no death. So whoever has nothing to do looks now and then whether
   some worker is dead and nobody has looked after it since the last time. The parent reaps it and
   tells when it comes to it. */
static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    uint32_t last = atomic_load(&usp_shared->patrolled); /* first: who is interrupted here is not to set the clock back */
    uint32_t now = (uint32_t)(uv_hrtime() / 1000000);
    if (now - last >= AROUND_MS / 2 && atomic_compare_exchange_strong(&usp_shared->patrolled, &last, now))
        look_around(now);
    arm();
}

static void arm(void)
{
    unsigned more = atomic_load(&usp_shared->n_running) / MANY_WORKERS;
    (void)uv_timer_start(&around, on_timer, AROUND_MS * (1 + (uint64_t)more), 0);
}

int usp_patrol_start(void)
{
    if (looks_around)
        return 0;
    int rc = uv_timer_init(usp_loop(), &around);
    if (rc < 0)
        return rc;
    arm();
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
