/* What the kinds of sources share; private to timers.c, descriptors.c, signals.c, events.c and
   sources.c. For the rest of the runtime there is sources.h.

   A source is in the list of its task, by which it is disarmed, and, but for a timer, in the queue
   of the one thing that it waits for, with all others that wait for the same. The queue is in order
   of arrival and needs one word: the first knows the last as its `prev`, and the last has no
   `next`. */
#ifndef USP_RUNTIME_SOURCE_H
#define USP_RUNTIME_SOURCE_H

#include "runtime/sources.h"

struct usp_source {
    struct usp_source *of_task; /* the next of its task; in the pool, the next free one */
    struct usp_source *all;     /* the next of its pool */
    struct usp_source *next, *prev;
    struct usp_task *task;
    void *subject; /* watcher or event, by its kind */
    uint32_t index;
    int fd, events; /* of a descriptor; no event when it has been told */
    enum usp_source_kind kind;
};

/* Sources of one size. What its parent had, armed or free, a new worker keeps as `left`: memory to
   be used again, whose tasks, queues and handles mean nothing any more. */
struct usp_pool {
    size_t size;
    struct usp_source *free; /* by `of_task` */
    struct usp_source *all;  /* of this worker, by `all`, the oldest last */
    struct usp_source *oldest;
    struct usp_source *left; /* by `all` */
};

/* `newp` says that it is new to this worker, and then it is zeroed. NULL: no memory. */
struct usp_source *usp_pool_take(struct usp_pool *pool, bool *newp);
void usp_pool_give(struct usp_pool *pool, struct usp_source *source);
void usp_pool_forget(struct usp_pool *pool);
/* Frees what is left over and empties the pool; gives the list of those of this worker. */
struct usp_source *usp_pool_empty(struct usp_pool *pool);

/* A source without a timer, filled in but not yet linked anywhere; NULL without memory. */
struct usp_source *usp_source_new(enum usp_source_kind kind, struct usp_task *task, uint32_t index,
                                  void *subject);
void usp_source_free(struct usp_source *source);

/* Puts the source into its task's list. */
void usp_source_link(struct usp_source *source);

/* The thing has happened: claims the task and wakes it. False if somebody else has claimed it. */
bool usp_source_fire(struct usp_source *source);

void usp_queue_append(struct usp_source **queue, struct usp_source *source);
void usp_queue_remove(struct usp_source **queue, struct usp_source *source);

/* By kind: takes back one source (out of its queue, into its pool), closes all handles, and forgets
   in a new worker what was the parent's. */
void usp_timer_disarm(struct usp_source *source);
void usp_timers_deinit(void);
void usp_timers_forget(void);

void usp_fd_disarm(struct usp_source *source);
void usp_fds_deinit(void);
void usp_fds_forget(void);

void usp_signal_disarm(struct usp_source *source);
void usp_signals_deinit(void);
void usp_signals_forget(uv_loop_t *loop);

void usp_event_disarm(struct usp_source *source);

#endif
