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

#define USP_ROOM 144 /* bytes of the channel floor in a task; it asserts that they suffice */

struct usp_fibre;

struct usp_task {
    _Atomic uint64_t commit;
    struct usp_fibre *fibre;     /* private to the worker of the task */
    struct usp_task *mail_next;  /* in its worker's mailbox */
    const char *name;            /* of the process; a string constant */
    const char *site;            /* file:line of the call in which it waits */
    uint16_t worker;             /* index in the worker table */
    uint8_t flags;               /* USP_TASK_... */
    uint8_t woken;               /* in the run queue, or running, since it was last opened */
    int32_t outcome;             /* what the claimer has to say; 0 unless it says otherwise */
    _Alignas(16) unsigned char room[USP_ROOM];
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

static inline void usp_task_open(struct usp_task *task)
{
    task->woken = 0;
    task->outcome = 0;
    atomic_store_explicit(&task->commit, USP_OPEN, memory_order_release);
}

#endif
