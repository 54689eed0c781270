/* Workers: forked, single-threaded operating-system processes with one loop each.

   The table of workers lies in the arena. A record is reserved by the parent before it forks, so that what
   the child will own can be given to it beforehand. Index 0 is the root.

   Wake-up. Each worker has a mailbox, a stack of woken tasks that anybody pushes on and only the worker
   empties, and a flag that says that it sleeps (or is about to), and how. A waker pushes first and then looks at
   the flag; the sleeper sets the flag first and then looks at the mailbox. Both are sequentially consistent,
   so one of the two sees the other; a waker that takes the flag down rings: a futex, or a frame on the link.

   Death. The parent sees it by pidfd. It marks the record DEAD, has the floors above repair what the dead
   one may have left half done (usp_worker_hooks.died), marks it BURIED, counts `deaths` up and rings everybody.
   Each worker then looks through its own tasks for claims that died with their claimer, and answers in
   `deaths_seen`. Only when all have answered are the blocks and the record of the dead one used again. Whoever
   spins for a lock of a dead worker frees it, without waiting for the parent.

   The root is the subreaper: the workers of a worker that has ended, in whatever state, and the dead whose burial
   it has not finished, become the root's. All of a burial can be done twice.

   Birth. Parent and child agree on the child's existence in one word, `birth`, by compare-and-swap: a child whose
   parent died first finds its record withdrawn, and only tells the root that there is somebody to reap. */
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

/* Signals that the library uses between its own workers. The bell does no harm to a process that has become
   another program meanwhile, and knows nothing of it. */
#define USP_SIGNAL_BELL SIGURG           /* stands in for the bell where no link can be had */
#define USP_SIGNAL_ORPHAN (SIGRTMAX - 4) /* the parent has died */

enum usp_worker_state {
    USP_WORKER_FREE,
    USP_WORKER_RESERVED, /* by a parent that is about to fork */
    USP_WORKER_RUNNING,
    USP_WORKER_ENDED,    /* cleanly; nothing of it is left */
    USP_WORKER_DEAD,     /* otherwise; being looked after */
    USP_WORKER_BURIED,   /* looked after; survivors are to see what they have lost by it */
};

enum usp_sleep {
    USP_AWAKE,
    USP_IN_THE_LOOP, /* or about to sleep there: a bell wakes it */
    USP_ON_ITS_WORD, /* in a futex, and the word is `sleeping` */
};

struct usp_worker {
    _Alignas(128) _Atomic uint32_t state;
    _Atomic uint32_t sleeping;   /* enum usp_sleep */
    _Atomic(struct usp_task *) mailbox;
    _Atomic uint32_t deaths_seen;
    _Atomic uint32_t walk;       /* it looks through what others may free, since usp_shared->walks was this; or 0 */
    _Atomic uint32_t knocked;    /* there may be something on a link that it does not know of (sleep.c) */
    _Atomic uint32_t streams;    /* frames on their way to it that did not fit into a socket */
    _Atomic uint32_t processor;  /* where it ran when it last gave up its processor; for a guess (linger.c) */
    _Atomic uint32_t orphan;     /* its parent has died; the root is to take it over */
    _Atomic uint32_t parent;
    _Atomic uint64_t birth;      /* generation << 32 | pid; 0 for the pid: not yet; USP_UNBORN: never */
    _Atomic uint64_t undertaker; /* who puts right what it has left: generation << 32 | index */
    _Atomic uint64_t suspected;  /* generation << 32 | when it was first found dead, in milliseconds (patrol.c) */
    _Atomic uint32_t counted;    /* in n_running */
    _Atomic uint64_t changes, changes_told; /* of counts of uses (channels/common.h): ever begun, and known to others to be done */
    uint32_t generation;         /* of this record */
    pid_t pid;
    int start_error;             /* errno by which its start failed, or USP_PARENT_ENDED; 0 otherwise */
    _Atomic int address_size;    /* 0: it does not listen yet */
    char address[24];            /* of its listening socket, in the abstract namespace */
    const char *name;            /* of its first process */
    /* for those who look for deadlocks (process/graph.h) */
    _Atomic uint32_t runs;       /* usp_sched.runs */
    _Atomic uint32_t lent;       /* the program has its loop ... */
    _Atomic uint32_t foreign;    /* ... and what the loop had of the program's when the worker last fell asleep */
    _Atomic uint32_t tasks_made;
    uint16_t handle_of;          /* as in struct usp_hope */
    struct usp_task *waiter;
    const void *handle;
};

#define USP_UNBORN 0xffffffffu
#define USP_PARENT_ENDED 4096 /* no errno */
#define USP_NO_UNDERTAKER UINT64_MAX

/* What those who look at a program from outside go by: the layout of this and of the task. */
#define USP_SHARED_TAG                                                                             \
    (0x75766373700000ull ^ (uint64_t)sizeof(struct usp_shared) << 20 ^ sizeof(struct usp_task))

/* A worker has the whole program end: it says so, rings the root, and the root calls exit(1). */
enum usp_over { USP_GOES_ON, USP_TO_END, USP_ENDS };

#define USP_PROCESSORS 64 /* places for them: by number, modulo this */

struct usp_shared {
    uint64_t tag;                /* USP_SHARED_TAG */
    _Atomic uint32_t deaths;
    _Atomic uint32_t walks;      /* counts what is freed when nobody looks at it any more: see `walk` */
    _Atomic uint32_t walking;    /* workers that do, or have died of it */
    _Atomic uint32_t orphans;    /* counts what the root is to take over or to reap */
    _Atomic int32_t strays[16];  /* pids of children without a record, to be reaped by the root */
    _Atomic uint32_t n_records;  /* records ever used */
    _Atomic uint32_t n_running;  /* workers but the root */
    _Atomic uint32_t patrolled;  /* when somebody last looked for those who are dead; milliseconds */
    _Atomic uint32_t patrol_next; /* and whom to look at next */
    uint64_t secret;             /* who knows it has the arena mapped */
    _Atomic uint64_t watcher;    /* who looks for deadlocks just now: generation << 32 | index, plus 1; or 0 */
    _Atomic uint64_t watched;    /* when that was last done; nanoseconds */
    _Atomic uint64_t watch_cost; /* and how long it took */
    _Atomic uint64_t watch_state; /* what it found to be so: a sum over all workers */
    _Atomic uint32_t over;       /* enum usp_over */
    pid_t root;
    struct {
        _Alignas(64) _Atomic uint64_t ticks;
    } used[USP_PROCESSORS];      /* by workers, as far as they have left it since; for a guess (linger.c) */
    struct usp_worker workers[USP_MAX_WORKERS];
};
extern struct usp_shared *usp_shared;

static inline struct usp_worker *usp_worker_of(unsigned index)
{
    return &usp_shared->workers[index];
}

/* If it sleeps it is woken, and looks at its mailbox. */
void usp_worker_rouse(unsigned index);
/* The same in any case: somebody who has died may have been about to. */
void usp_worker_ring(unsigned index);
/* Something has been written to a link of that worker's. */
void usp_worker_knock(unsigned index);

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
   fibre has. `rests`: the caller is about to wait. 0; or -errno, and then there is no worker, and the record is the
   caller's to release. */
int usp_worker_fork(unsigned index, void (*run)(void *), void *arg, usp_ended_fn *ended,
                    void *ended_arg, bool rests);
/* After one or several of these, and before anything else: watches the new workers. (Not each as soon as it is there, or the
   next ones would have to close its pidfd.) */
void usp_worker_watch(void);
/* Children of this worker that have not ended. */
unsigned usp_worker_children(void);
/* Has it ever reserved a record for one? */
bool usp_worker_had_children(void);
/* Sends a signal to a child of this worker; does nothing when it has ended. */
void usp_worker_signal(unsigned index, int signum);
bool usp_worker_is_root(void);
/* Has this worker been sent SIGTERM? Its processes end where they wait, and then it dies of that. */
bool usp_worker_asked_to_end(void);
/* A process ends because of that. */
void usp_terminate_cuts(void);
/* SIGKILL to a child. When this returns it is dead, as a rule, and what it has left is put right: nobody
   meets it any more. */
void usp_worker_kill(unsigned index);
/* A signal to each that a process waits for which is to end itself. */
void usp_worker_signal_waited_for(int signum);
/* SIGTERM to all children of this worker. */
void usp_worker_terminate_children(void);
/* SIGTERM to all children of this worker, SIGKILL after two seconds; waits for them. */
void usp_worker_end_children(void);
/* Is this operating-system process the one that the library was initialised, or forked, in? */
bool usp_runtime_is_home(void);
/* Which one that is. */
pid_t usp_runtime_home(void);
/* Ends the operating-system process of a worker. */
__attribute__((noreturn)) void usp_worker_leave(int code);

struct usp_worker_hooks {
    void (*opened)(void);                  /* there is a loop now */
    int (*enter)(void);                    /* first use in a process: initialises all floors */
    void (*seize)(unsigned index);         /* in anybody: free the locks that a dead worker holds */
    void (*died)(unsigned index, const char *how); /* in its supervisor: the same, and all else; before anybody
                                              is told. `how` is NULL after exit(0) */
    void (*retry)(struct usp_task *task);  /* in a survivor: the claim on this task died with its claimer */
    void (*received)(struct usp_task *task); /* ... had taken effect, but the task has not run since */
    void (*forgotten)(unsigned index, const char *how); /* in its supervisor: every survivor has looked */
    void (*orphan_ended)(void);            /* in the root: a child that it has taken over */
    void (*stuck)(void);                   /* in the root: nothing in the program can ever run again */
    void (*over)(void);                    /* in the root: it is to end the program */
    void (*rests)(void);                   /* it is about to sleep */
    void (*terminate)(void);               /* it has been asked to end: its processes are to */
    void (*adopted)(void);                 /* in a new worker: forget the parent's private state */
};
extern struct usp_worker_hooks usp_worker_hooks;

/* ---- between the files of this floor ---- */

/* Waits awake, for a moment and only if that has paid lately. False: it did not try. Else all that is looked
   at before a worker sleeps has to be looked at anew. */
bool usp_linger(void);
/* May the calling process, which has to wait for another worker, look awake for some microseconds before it parks? That counts as a
   turn. Then it says whether it has found what it waits for. */
bool usp_may_look_first(void);
void usp_looked_first(bool found);
/* This worker is about to give up its processor, and has it back. */
void usp_processor_leave(void);
void usp_processor_back(void);
/* Gives it up, for as long as others want it; in ticks, how long other workers have had it. */
uint64_t usp_processor_yield(void);
/* The same, if that other worker, which has just been woken for what lies in the caches, most likely shares the processor. */
void usp_processor_lend(unsigned worker);
/* What the calling thread forks next begins on the processor on which the thread is, if that can be had. */
void usp_affinity_stay(void);
/* In a worker that begins. */
void usp_linger_reset(void);
/* The same, in a new worker: what the environment says is known. */
void usp_linger_forget(void);
/* Deaths, orphans, graves: from the loop's fibre, when something may have changed. */
void usp_supervise_look(void);
/* Is there something that usp_supervise_look() should see? */
bool usp_supervise_pending(void);
/* The descriptor by which children are watched on the loop, or -1. */
int usp_supervise_watch(void);
/* Sleeps without a loop, until a child ends or something else happens. False: that is not possible, or there should be a
   loop now. */
bool usp_supervise_doze(void);
/* A child, which is counted from here on. It is to be watched before this worker waits. Without memory for it, it is killed, and
   has ended. */
void usp_supervise_add(unsigned index, pid_t pid, usp_ended_fn *ended, void *arg);
/* How many are not watched yet. */
unsigned usp_supervise_unwatched(void);
/* Watches those. One that cannot be is killed, and has ended. On the loop's stack. */
void usp_supervise_watch_new(void);
/* In a new worker: closes the parent's pidfds. */
void usp_supervise_forget(void);
void usp_supervise_deinit(void);
/* While spinning on a lock that `holder` has had for long: looks whether it has died, and frees what it holds. */
bool usp_supervise_stuck(unsigned holder);
/* Has a worker ended, in whatever way, whether or not its parent has seen it? Asks the kernel. */
bool usp_supervise_has_ended(unsigned index);
/* If there is a loop: watches children on it, and looks around for dead workers whose parents do not see it; once in
   each loop. 0 or -errno. */
int usp_supervise_start(void);
/* The root is to look for orphans and strays. */
void usp_supervise_tell_root(void);
/* In a worker that ends: what is left to do for its dead children is the root's from now on. */
void usp_supervise_hand_over(void);
/* The hook `sleep`. */
void usp_worker_sleep(void);
/* Has the loop look around, where there may be something that it does not know of. */
void usp_sleep_look(void);
void usp_sleep_forget(void);
/* It has slept otherwise, as far as links are concerned as if in the loop. */
void usp_sleep_dozed(void);
/* This worker is woken, or does not fall asleep; may be called in a signal handler. */
void usp_worker_interrupt(void);
/* Makes the loop return; the same. */
void usp_sched_interrupt(void);
/* Handlers of the signals above. */
void usp_signals_install(void);

#endif
