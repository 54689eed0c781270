/* The insides of a pool.

   job      the tasks of one call: arguments, results, what became of each. Private memory of the
            maker's worker.
   chunk    some tasks of a job that travel together. It waits in the pool's list, or lies with a
            worker.
   slot     the place of one worker: its two queues, its supervisor, and the chunks that lie with
            it, in the order in which they were put in the queue. The worker takes them in that
            order, so only the first can have been begun.

   A worker says in shared memory what it is about to begin (`begun`), before it does. So when it
   has died, the supervisor knows for each task that was not answered whether it may have run: not,
   if it lies behind that one. The queues lose nothing by the death, and the answers that are in one
   are read to the end before the dead is settled. */
#ifndef USP_IPC_POOL_H
#define USP_IPC_POOL_H

#include <stdatomic.h>

#include <uvcsp/pool.h>

#include "process/process.h"

#define USP_POOL_WINDOW 64 /* chunks that lie with a worker at most; capacity of its queues */
#define USP_POOL_WINDOW_BYTES 1048576
#define USP_POOL_QUICK 100000u /* nanoseconds: who does a chunk in less is given more ahead */
#define USP_POOL_PATIENCE 2000000u /* nanoseconds that an answer may wait for the next one */
#define USP_POOL_BAD_STARTS 3
#define USP_POOL_MESSAGE 256

/* ---- what travels ---- */

struct usp_pool_order { /* then the arguments */
    uint64_t seq;       /* of the chunk */
    uvcsp_task *task;
    uint64_t argument_size, result_size;
    uint32_t first, n; /* which tasks of the job */
    uint32_t room[2];
};

/* Then the results; then, for each task that failed, a usp_pool_failure and its text. */
struct usp_pool_answer {
    uint64_t seq;        /* 0: the worker is ready */
    uint32_t first, n;
    uint32_t n_failed;
    uint32_t nanoseconds; /* that the whole chunk took up to now, at most UINT32_MAX */
    uint64_t room;
};

struct usp_pool_failure {
    uint32_t index; /* among those of the answer */
    int32_t code;
    uint32_t length;
};

/* ---- what does not ---- */

enum { USP_ITEM_WAITS, USP_ITEM_DONE, USP_ITEM_FAILED }; /* of a task */

struct usp_failure {
    uvcsp_task_error error;
    char text[];
};

struct uvcsp_result {
    struct uvcsp_handle all;  /* tasks are done */
    struct uvcsp_handle some; /* there is something for uvcsp_result_next() */
    uvcsp_result *next; /* in the pool's list of those with tasks that nobody has been given */
    uvcsp_result *live_next, **live_at; /* in the pool's list of those that are not done */
    size_t refs; /* the program's, the pool's while it is not done, one of each chunk, of each who waits */
    uvcsp_task *task;
    enum uvcsp_pool_order order;
    size_t n, argument_size, result_size, chunk;
    size_t given;            /* tasks that have been put in chunks */
    size_t n_done, n_failed; /* done includes failed */
    size_t taken;            /* by uvcsp_result_next() */
    size_t last;             /* the index that it gave */
    uint8_t *items;
    char *arguments, *results;
    uint32_t *came;                /* UNORDERED: the indices, in the order in which they came */
    struct usp_failure **failures; /* NULL until the first */
};

struct usp_chunk {
    struct usp_chunk *next;
    uvcsp_result *job;
    uint64_t seq;
    uint32_t first, n, answered;
    int tries; /* how often a worker has died of it */
};

struct usp_slot {
    uvcsp_pool *pool;
    int index;
    void *bell;             /* a QUEUE(char): there is something to look at */
    void *orders, *answers; /* of the worker that there is now: QUEUE(uvcsp_bytes) */
    uvcsp_handle *worker;
    _Atomic uint64_t *begun; /* in the arena: usp_pool_begun() of the task that the worker is at */
    struct usp_chunk *first, *last;
    unsigned n_chunks, window;
    size_t bytes; /* of an order that it was given lately */
    int served;   /* chunks that this worker has been given */
    bool ready;   /* its initializer has returned */
    bool closed;  /* it has been told to end */
    bool doomed;  /* it has been told so by a signal */
};

struct uvcsp_pool {
    size_t refs;         /* the program's, one of each supervisor, of each who waits */
    unsigned owner;      /* worker */
    struct guard *guard; /* what the maker has deferred */
    uvcsp_pool_options options;
    int n_slots;
    struct usp_slot *slots;
    int n_supervised;
    struct uvcsp_handle ended; /* the last supervisor has */
    bool closing, terminated;
    int bad_starts;
    uint64_t seq;
    struct usp_chunk *again; /* chunks to be given out anew, first */
    struct usp_chunk *spare;
    uvcsp_result *jobs, **jobs_end; /* with tasks that nobody has been given */
    uvcsp_result *live;
    size_t n_waiting; /* chunks in `again` and in `jobs` */
    char *broken;     /* why */
    char why[USP_POOL_MESSAGE + 160];
    char name[];
};

/* Sequence numbers fit in 32 bits here: the one that is meant is among the few that lie with the
   worker. */
static inline uint64_t usp_pool_begun(uint64_t seq, uint32_t item)
{
    return seq << 32 | item;
}

/* ---- pool.c ---- */

/* The pool if it can be used here; NULL with a line. */
uvcsp_pool *usp_pool_check(uvcsp_pool *pool, const char *what, int *rcp);
void usp_pool_unref(uvcsp_pool *pool);
/* The next chunk for a worker; NULL: nothing waits. */
struct usp_chunk *usp_pool_next(uvcsp_pool *pool);
struct usp_chunk *usp_chunk_new(uvcsp_pool *pool, uvcsp_result *job, uint32_t first, uint32_t n);
void usp_chunk_free(uvcsp_pool *pool, struct usp_chunk *chunk);
/* To be given out again, before all others. */
void usp_pool_put_back(uvcsp_pool *pool, struct usp_chunk *chunk);
/* Tells the supervisors that something waits. */
void usp_pool_ring(uvcsp_pool *pool, size_t n);
/* All tasks that are not done have failed, and so will those that come. */
void usp_pool_break(uvcsp_pool *pool, const char *why);

/* ---- pool_result.c ---- */

uvcsp_result *usp_job_new(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                          size_t argument_size, size_t result_size, int chunk,
                          enum uvcsp_pool_order order);
void usp_job_unref(uvcsp_result *job);
void usp_job_done(uvcsp_result *job, size_t first, size_t n, const void *results);
void usp_job_failed(uvcsp_result *job, size_t index, int status, int code, const char *message,
                    size_t length);

/* ---- pool_give.c ---- */

/* Gives the worker as many chunks as are good for it now. */
void usp_slot_feed(struct usp_slot *slot);
/* Takes a chunk out of those that lie with the worker; NULL: it is none of them. */
struct usp_chunk *usp_slot_unlink(struct usp_slot *slot, uint64_t seq);
/* It has had as many tasks as a worker may have. */
bool usp_slot_used_up(const struct usp_slot *slot);

/* ---- pool_supervise.c ---- */

/* Starts the supervisor of a slot. 0 or -errno. */
int usp_slot_start(struct usp_slot *slot);

/* ---- pool_worker.c ---- */

/* The process value of a worker of this slot. */
uvcsp_process usp_pool_worker(struct usp_slot *slot);

#endif
