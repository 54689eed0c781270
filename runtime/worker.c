#include "runtime/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/failpoint.h"
#include "runtime/fork.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/young.h"

struct usp_shared *usp_shared;
struct usp_worker_hooks usp_worker_hooks;

static pid_t home USP_YOUNG; /* the process that initialised, or was forked by, the library */
static bool had_children USP_YOUNG;

/* ---- mailboxes ---- */

/* The first that is pushed on an empty one says so in its address, and neither side has to touch `mail_next`. */
#define IS_LAST 1u

static inline struct usp_task *last(struct usp_task *task)
{
    return (struct usp_task *)((uintptr_t)task | IS_LAST);
}

/* Treiber's stack ("Systems programming: coping with parallelism", 1986); it is only ever emptied
   whole, so there is no ABA. The push and the look at `sleeping` are ordered against their mirror
   image in fall_asleep() (sleep.c). */
void usp_wake_far(struct usp_task *task)
{
    unsigned index = task->worker;
    struct usp_worker *worker = usp_worker_of(index);
    struct usp_task *head = NULL;
    while (!atomic_compare_exchange_weak_explicit(&worker->mailbox, &head, head ? task : last(task),
                                                  memory_order_seq_cst, memory_order_relaxed))
        task->mail_next = head;
    USP_FAILPOINT("mail-left");
    if (atomic_load_explicit(&worker->sleeping, memory_order_seq_cst))
        usp_worker_rouse(index);
}

static inline void wake_from_mail(struct usp_task *task)
{
    __builtin_prefetch(task, 1);
    __builtin_prefetch((char *)task + 64, 1);
    usp_wake(task);
}

static void empty_mailbox(struct usp_worker *self)
{
    if (!atomic_load_explicit(&self->mailbox, memory_order_relaxed))
        return;
    struct usp_task *task = atomic_exchange_explicit(&self->mailbox, NULL, memory_order_acquire);
    USP_MARK("mail-taken");
    if ((uintptr_t)task & IS_LAST)
        return wake_from_mail((struct usp_task *)((uintptr_t)task & ~(uintptr_t)IS_LAST));
    struct usp_task *oldest = NULL;
    while (task) {
        bool is_last = (uintptr_t)task & IS_LAST;
        task = (struct usp_task *)((uintptr_t)task & ~(uintptr_t)IS_LAST);
        struct usp_task *next = is_last ? NULL : task->mail_next;
        task->mail_next = oldest;
        oldest = task;
        task = next;
    }
    while (oldest) {
        struct usp_task *next = oldest->mail_next;
        wake_from_mail(oldest);
        oldest = next;
    }
}

/* ---- the scheduler's hooks ---- */

static void drain(void)
{
    empty_mailbox(usp_worker_of(usp_worker_index()));
    if (__builtin_expect(usp_worker_asked_to_end(), 0))
        usp_terminate_look();
    if (__builtin_expect(usp_supervise_pending(), 0))
        usp_supervise_look();
}

/* ---- the table ---- */

int usp_worker_reserve(const char *name)
{
    for (unsigned i = 1; i < USP_MAX_WORKERS; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        uint32_t free = USP_WORKER_FREE;
        if (atomic_load_explicit(&worker->state, memory_order_relaxed) != USP_WORKER_FREE ||
            !atomic_compare_exchange_strong(&worker->state, &free, USP_WORKER_RESERVED))
            continue;
        worker->generation++;
        worker->name = name;
        worker->pid = 0;
        worker->start_error = 0;
        atomic_store(&worker->address_size, 0);
        atomic_store(&worker->birth, (uint64_t)worker->generation << 32);
        atomic_store(&worker->undertaker, USP_NO_UNDERTAKER);
        atomic_store(&worker->counted, 0);
        atomic_store(&worker->mailbox, NULL);
        atomic_store(&worker->sleeping, 0);
        atomic_store(&worker->knocked, 0);
        atomic_store(&worker->streams, 0);
        atomic_store(&worker->lent, atomic_load(&usp_worker_of(usp_worker_index())->lent));
        worker->handle_of = 0;
        worker->waiter = NULL;
        atomic_store(&worker->orphan, 0);
        had_children = true;
        atomic_store(&worker->parent, usp_worker_index());
        atomic_store(&worker->deaths_seen, atomic_load(&usp_shared->deaths));
        atomic_store(&worker->walk, 0);
        uint32_t n = atomic_load(&usp_shared->n_records);
        while (n <= i && !atomic_compare_exchange_weak(&usp_shared->n_records, &n, i + 1))
            ;
        return (int)i;
    }
    return -EAGAIN;
}

void usp_worker_release(unsigned index)
{
    atomic_store(&usp_worker_of(index)->parent, USP_NOBODY); /* or an orphan of its parent it might seem to be */
    atomic_store(&usp_worker_of(index)->state, USP_WORKER_FREE);
}

bool usp_worker_is_root(void)
{
    return usp_worker_index() == 0;
}

/* ---- life of the runtime ---- */

/* A descriptor of the library's must not be taken for standard input, output or error; libuv aborts when it is to close
   one of them. */
static void open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int usp_runtime_init(void)
{
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0 || fcntl(STDERR_FILENO, F_GETFD) < 0)
        open_standard_streams();
    int rc = usp_arena_init(0);
    if (rc < 0)
        return rc;
    usp_shared = usp_arena_alloc(sizeof *usp_shared, USP_BLOCK_TABLE);
    if (!usp_shared) {
        usp_arena_deinit();
        return -ENOMEM;
    }
    memset(usp_shared, 0, sizeof *usp_shared);
    usp_shared->tag = USP_SHARED_TAG;
    rc = usp_sched_init();
    if (rc < 0) {
        usp_arena_deinit();
        return rc;
    }
    if (getrandom(&usp_shared->secret, sizeof usp_shared->secret, GRND_NONBLOCK) < 0)
        usp_shared->secret = (uintptr_t)usp_shared ^ uv_hrtime();
    home = usp_shared->root = getpid();
    struct usp_worker *self = usp_worker_of(0);
    self->pid = home;
    self->name = "main";
    usp_sched.runs = &self->runs;
    atomic_store(&self->state, USP_WORKER_RUNNING);
    atomic_store(&usp_shared->n_records, 1);
    usp_sched_hooks = (struct usp_sched_hooks){usp_supervise_doze, drain, usp_linger, usp_worker_sleep,
                                               usp_worker_finished, usp_worker_opened};
    usp_linger_reset();
    usp_lock_stuck = usp_supervise_stuck;
    return 0;
}

int usp_runtime_deinit(void)
{
    if (usp_worker_children() > 0)
        return -EBUSY;
    usp_link_deinit();
    usp_supervise_deinit();
    int rc = usp_sched_deinit();
    usp_shared = NULL;
    usp_arena_deinit();
    home = 0;
    return rc;
}

bool usp_worker_had_children(void)
{
    return had_children;
}

void usp_worker_set_home(pid_t pid)
{
    home = pid;
    had_children = false;
    usp_here_set(true); /* libraries' fork handlers run in this child too */
}

pid_t usp_runtime_home(void)
{
    return home;
}

bool usp_runtime_is_home(void)
{
    return home == getpid();
}

void usp_runtime_enter(void)
{
    if (home == getpid())
        usp_fatal("called from a thread that is not the worker's own: processes and channels belong to "
                  "the thread that first used the library");
    if (home != 0)
        usp_fatal("called in a process that was forked by other means than PAR or SPAWN");
    int rc = usp_worker_hooks.enter ? usp_worker_hooks.enter() : usp_runtime_init();
    if (rc < 0)
        usp_fatal("cannot start: %s", strerror(-rc));
}
