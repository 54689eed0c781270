/* Workers: forked, single-threaded operating-system processes with one loop each.

   The table of workers lies in the arena. A record is reserved by the parent before it forks, so that what
   the child will own can be given to it beforehand. Index 0 is the root.

   Wake-up. Each worker has a mailbox, a stack of woken tasks that anybody pushes on and only the worker
   empties, and a flag that says that it sleeps (or is about to). A waker pushes first and then looks at the
   flag; the sleeper sets the flag first and then looks at the mailbox. Both are sequentially consistent,
   so one of the two sees the other; a waker that takes the flag down rings the bell (a frame on the link).

   Death. The parent sees it by pidfd. It marks the record DEAD, has the floors above repair what the dead
   one may have left half done (usp_worker_hooks.died), counts `deaths` up and rings everybody. Each
   worker then looks through its own tasks for claims that died with their claimer, and answers in `deaths_seen`.
   Only when all have answered are the blocks and the record of the dead one used again. The root is the
   subreaper: a worker whose parent has died becomes the root's to supervise. */
#ifndef USP_RUNTIME_WORKER_H
#define USP_RUNTIME_WORKER_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/scheduler.h"
#include "runtime/task.h"

#define USP_MAX_WORKERS 2048

/* Signals that the library uses between its own workers. */
#define USP_SIGNAL_BELL (SIGRTMAX - 3)   /* stands in for the bell where no link can be had */
#define USP_SIGNAL_ORPHAN (SIGRTMAX - 4) /* the parent has died */

enum usp_worker_state {
    USP_WORKER_FREE,
    USP_WORKER_RESERVED, /* by a parent that is about to fork */
    USP_WORKER_RUNNING,
    USP_WORKER_ENDED,    /* cleanly; nothing of it is left */
    USP_WORKER_DEAD,     /* otherwise; being looked after */
};

struct usp_worker {
    _Alignas(128) _Atomic uint32_t state;
    _Atomic uint32_t sleeping;
    _Atomic(struct usp_task *) mailbox;
    _Atomic uint32_t deaths_seen;
    _Atomic uint32_t orphan;     /* its parent has died; the root is to take it over */
    _Atomic uint32_t parent;
    uint32_t generation;         /* of this record */
    pid_t pid;
    int start_error;             /* errno by which its start failed, 0 otherwise */
    int address_size;
    char address[24];            /* of its listening socket, in the abstract namespace */
    const char *name;            /* of its first process */
};

struct usp_shared {
    _Atomic uint32_t deaths;
    _Atomic uint32_t orphans;
    _Atomic uint32_t n_records;  /* records ever used */
    _Atomic uint32_t n_running;  /* workers but the root */
    uint64_t secret;             /* who knows it has the arena mapped */
    pid_t root;
    struct usp_worker workers[USP_MAX_WORKERS];
};
extern struct usp_shared *usp_shared;

static inline struct usp_worker *usp_worker_of(unsigned index)
{
    return &usp_shared->workers[index];
}

/* Wakes a task of another worker: mailbox and bell. */
void usp_wake_far(struct usp_task *task);

/* Wakes a claimed task, wherever it is. It may run, and its memory be gone, before this returns. */
static inline void usp_wake_any(struct usp_task *task)
{
    if (task->worker == usp_sched.worker)
        usp_wake(task);
    else
        usp_wake_far(task);
}

/* The whole runtime of the root: arena, table, scheduler. 0 or -errno; prints nothing. */
int usp_runtime_init(void);
/* In the root, when every child has ended. 0 or -EBUSY. */
int usp_runtime_deinit(void);
/* Called at the start of every public function when usp_here is false: initialises, or aborts with a line
   when another thread of this process is the worker. */
void usp_runtime_enter(void);

#define USP_ENTER()                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!usp_here, 0))                                                        \
            usp_runtime_enter();                                                                   \
    } while (0)

/* Tells the parent's part of a worker's end. `code`: what it exited with, or -signal. `how`: NULL for a
   clean end, else the cause, valid during the call. Runs on the loop's fibre. */
typedef void usp_ended_fn(void *arg, int code, const char *how);

/* Reserves a record. Index, or -EAGAIN when the table is full. */
int usp_worker_reserve(const char *name);
void usp_worker_release(unsigned index);
/* Forks a worker that calls run(arg) on its loop's stack, to make its first fibres, and ends when its last
   fibre has. 0; or -errno and then there is no worker and the record is free again. */
int usp_worker_fork(unsigned index, void (*run)(void *), void *arg, usp_ended_fn *ended,
                    void *ended_arg);
/* Children of this worker that have not ended. */
unsigned usp_worker_children(void);
/* Sends a signal to a child of this worker; does nothing when it has ended. */
void usp_worker_signal(unsigned index, int signum);
bool usp_worker_is_root(void);
/* SIGTERM to all children of this worker, SIGKILL after two seconds; waits for them. */
void usp_worker_end_children(void);
/* Is this operating-system process the one that the library was initialised, or forked, in? */
bool usp_runtime_is_home(void);
/* From an exit handler: this worker ends with exit(0) or exit(n). */
void usp_worker_exiting(void);

struct usp_worker_hooks {
    int (*enter)(void);                    /* first use in a process: initialises all floors */
    void (*seize)(unsigned index);         /* in its supervisor: free the locks that a dead worker holds */
    void (*died)(unsigned index, const char *how); /* the same, and all else; before anybody is told */
    void (*retry)(struct usp_task *task);  /* in a survivor: the claim on this task died with its claimer */
    void (*stuck)(void);                   /* in the root: nothing in the program can ever run again */
    void (*adopted)(void);                 /* in a new worker: forget the parent's private state */
};
extern struct usp_worker_hooks usp_worker_hooks;

/* ---- between the files of this floor ---- */

/* Waits awake, for a moment and only if that has paid lately. Has something become ready? */
bool usp_linger(void);
/* In a new worker: it has not tried yet. */
void usp_linger_reset(void);
/* Deaths, orphans, graves: from the loop's fibre, when something may have changed. */
void usp_supervise_look(void);
/* Is there something that usp_supervise_look() should see? */
bool usp_supervise_pending(void);
/* Watches a child. `fd` is its pidfd, owned from here on, also when it fails. 0 or -errno. */
int usp_supervise_add(unsigned index, pid_t pid, int fd, usp_ended_fn *ended, void *arg);
/* In a new worker: closes the parent's pidfds. */
void usp_supervise_forget(void);
void usp_supervise_deinit(void);
/* While spinning on a lock that `holder` has had for long: looks whether a child has died. */
bool usp_supervise_stuck(unsigned holder);
/* Closes what the parent's loop has open, in a new worker. */
void usp_sched_forget(void);
/* Makes the loop return; may be called in a signal handler. */
void usp_sched_interrupt(void);
/* Handlers of the signals above. */
void usp_signals_install(void);

#endif
