/* The task: the part of a process that other workers can see, one block in the arena.

   A process that waits publishes what it waits for (the channel floor does that, in `room`), sets its
   commit word to OPEN, and parks. Whoever has something for it claims it by one compare-and-swap on
   the commit word, from OPEN to (worker of the claimer, index of the guard); only one can win. The
   winner leaves the outcome in `outcome`, does what it has to do, and wakes the task. The claimer stands
   in the word, so that survivors can tell whose claim has died with its worker.

       NONE      runs, or waits for nothing that could be claimed
       OPEN      waits, may be claimed
       CLAIMED   taken by (worker, index); will be woken, or looked after if that worker dies: it has to
                 look again, unless the claimer has marked the claim DONE before
       DEAD      its own worker has died */
#ifndef USP_RUNTIME_TASK_H
#define USP_RUNTIME_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { USP_NONE = 0, USP_OPEN = 1, USP_DEAD = 2, USP_CLAIMED = 3, USP_DONE = 4 /* a bit */ };

#define USP_ROOM 152 /* bytes of the channel floor in a task; it asserts that they suffice */

struct usp_fibre;
struct usp_uses;

/* What the worker of a task says of it to those who look for deadlocks (process/graph.h), and is not in its offers. A
   plain READ or WRITE writes none of it. */
struct usp_hope {
    union {
        uint64_t all;             /* of these */
        struct {
            uint8_t state;        /* USP_HOPE_... */
            uint8_t sources;      /* armed: 1 << kind for each */
            uint8_t n_events;     /* of them that are events */
            uint8_t told;         /* by those who look: USP_TOLD_... */
            uint16_t handle_of;   /* the worker that has its handle, plus 1; 0: there is none */
        };
    };
    uint32_t epoch;           /* another one for each wait that is no plain READ or WRITE */
    struct usp_task *waiter;  /* waits in PAR, CO or SEQ for its end; of an unborn one: will start it */
    const void *handle;       /* the event that is set at its end, in the memory of that worker */
    const void *event;        /* the event that it waits for, the last one armed */
};

enum {
    USP_HOPE_ARMING = 1, /* its commit word is open, but it still runs */
    USP_HOPE_UNBORN = 2, /* prepared, not started */
    USP_HOPE_JOINS = 4,  /* waits in PAR, CO or SEQ */
    USP_HOPE_ENDS = 8,   /* main, which waits for all others to end */
    USP_HOPE_SERVES = 16, /* the library's own: it waits for what others want */
};
enum {
    USP_TOLD_LOST = 1,     /* it has been told that this one waits for ever */
    USP_TOLD_DEADLOCK = 2, /* whom it waits for was ended for that reason */
    USP_TOLD_ENDED = 4,    /* a wait of its own was */
    USP_TOLD_WOKEN = 8,    /* the same; but this it takes off itself */
};

/* What a rendezvous touches comes first, in two lines of the cache. */
struct usp_task {
    _Atomic uint64_t commit;
    struct usp_fibre *fibre;     /* private to the worker of the task */
    const char *site;            /* file:line of the call in which it waits */
    union {
        uint32_t waking;         /* both of these */
        struct {
            int16_t outcome;     /* what the claimer has to say; 0 unless it says otherwise */
            uint8_t woken;       /* in the run queue, or running, since it was last opened */
        };
    };
    uint16_t worker;             /* index in the worker table */
    uint8_t flags;               /* USP_TASK_... */
    _Alignas(16) unsigned char room[USP_ROOM];
    struct usp_task *mail_next;  /* in its worker's mailbox */
    const char *name;            /* of the process; a string constant */
    struct usp_hope hope;
    _Atomic uint32_t *word;      /* usp_arena_word() of its block */
    struct usp_uses *uses;       /* the channel floor's: what must not go while it uses it; or NULL */
};

enum {
    USP_TASK_STREAMING = 1, /* a link is reading from, or writing to, its memory */
    USP_TASK_MAIN = 2,
};

static inline uint64_t usp_commit_claimed(unsigned worker, uint32_t index)
{
    return USP_CLAIMED | (uint64_t)index << 8 | (uint64_t)worker << 40;
}
static inline unsigned usp_commit_state(uint64_t commit)
{
    return commit & 3;
}
static inline uint32_t usp_commit_index(uint64_t commit)
{
    return (uint32_t)(commit >> 8);
}
static inline unsigned usp_commit_worker(uint64_t commit)
{
    return (unsigned)(commit >> 40);
}

/* Claims a waiting task for `worker`. Acquires what the task wrote before it opened (its offers); the
   release that it pairs with is the store of OPEN in usp_task_open. */
static inline bool usp_task_claim(struct usp_task *task, unsigned worker, uint32_t index)
{
    uint64_t open = USP_OPEN;
    return atomic_compare_exchange_strong_explicit(&task->commit, &open,
                                                   usp_commit_claimed(worker, index),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* The communication has taken effect where others can see it; what is left to do is to wake the task. */
static inline void usp_task_done(struct usp_task *task)
{
    atomic_fetch_or_explicit(&task->commit, USP_DONE, memory_order_release);
}

/* Before a task is opened that will arm a source, or do something else that others see, before it parks; and when it
   parks at last. */
static inline void usp_task_arming(struct usp_task *task)
{
    task->hope.epoch++;
    task->hope.state |= USP_HOPE_ARMING;
    atomic_signal_fence(memory_order_seq_cst);
}
static inline void usp_task_armed(struct usp_task *task)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint8_t *)&task->hope.state = task->hope.state & (uint8_t)~USP_HOPE_ARMING;
}

static inline void usp_task_open(struct usp_task *task)
{
    task->waking = 0;
    atomic_store_explicit(&task->commit, USP_OPEN, memory_order_release);
}

#endif
