/* What the synchronisation primitives and the shared values have in common.

   A lock is a channel of capacity 1: who writes its name in the buffer holds it. To wait for it is
   to wait as a writer, so it can be a guard of a choice, and the name is in the buffer before the
   lock counts as taken: one store does both. A semaphore is the same with room for more names. An
   event is a channel on which all look at the one message and nobody takes it. Conditions and
   barriers use only the queue of readers of a channel on which nobody writes.

   A name is the address of the holder's task in the arena. So whoever looks after a dead worker can
   tell what it held, and what it was about to take: the channels floor has put that right before
   the hook of this one is called.

   Each object is a block of the arena of kind USP_BLOCK_SHARED, owned by the worker of its maker.
   What a process has made, and whether it may hold something, is in its lease, private to its
   worker. The lease hangs at the end of what the process has deferred, so that it runs after all
   else. */
#ifndef USP_IPC_SYNC_H
#define USP_IPC_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include <uvcsp/alt.h>

#include "channels/channel.h"
#include "process/process.h"
#include "runtime/failpoint.h"

/* ---- sync_lease.c ---- */

/* Something that goes when the process that made it ends. */
struct usp_made {
    struct usp_made *next, **at; /* `at` NULL: in no list */
    void (*free)(struct usp_made *);
};

struct usp_lease {
    struct usp_process *process;
    struct usp_task *task; /* of the process */
    unsigned long serial;
    struct usp_made *made;
    long holds; /* what it may hold: never less than what it does */
};
#define USP_MAY_HOLD (1L << 40) /* in `holds`: it chooses, and a choice is not counted */

/* The lease of the running process; NULL for a callback of the loop, and without memory. */
struct usp_lease *usp_lease_slowly(void);
extern struct usp_lease *usp_last_lease;
static inline struct usp_lease *usp_lease_at_hand(void) /* NULL: ask usp_lease_slowly() */
{
    struct usp_process *process = usp_current()->process;
    struct usp_lease *lease = usp_last_lease;
    bool its = lease && lease->process == process && lease->serial == process->serial;
    return __builtin_expect(its, 1) ? lease : NULL;
}
static inline struct usp_lease *usp_lease(void)
{
    struct usp_lease *lease = usp_lease_at_hand();
    return lease ? lease : usp_lease_slowly();
}
void usp_made_link(struct usp_made *made, void (*free)(struct usp_made *));
void usp_made_unlink(struct usp_made *made);

/* A worker has died: called for every block of the arena that might be a queue. Set by queue_join.c. */
extern void (*usp_store_died)(void *block);

/* ---- sync_later.c ---- */

/* What was to be freed while a walk went on, if it can be by now: called where something is made or freed, or a
   death is seen. */
void usp_free_what_can_be(void);

/* Calls fn for each block of kind USP_BLOCK_SHARED. What it sees there with the magic of an object is not
   freed before that is over. */
void usp_walk_shared(void (*fn)(void *block, unsigned owner, void *arg), void *arg);
/* A block without a magic any more: it is freed when no walk of another worker's is left that may
   have seen one: at once, as a rule, and else at the next occasion. No lock is held. */
void usp_free_unwalked(void *block, void (*free)(void *block));

/* ---- sync.c: objects ---- */

enum usp_sync_kind {
    USP_LOCK = 1,
    USP_RLOCK,
    USP_SEMAPHORE,
    USP_EVENT,
    USP_CONDITION,
    USP_BARRIER
};

#define USP_SYNC_MAGIC 0x636e7973u
#define USP_SYNC_BURIED 0x69727562u /* a dead worker had made it, and not every survivor has seen that */

struct usp_name { /* of a task; of a participant of a barrier */
    struct usp_task *task;
};

struct usp_sync {
    uint32_t magic;
    uint8_t kind;
    bool after_death; /* of a lock: the one before did not release it; stays until it is released */
    bool bounded;
    bool broken;      /* barrier */
    uint32_t depth;   /* how often more than once the holder has it */
    uint32_t wakes;   /* lock: waiters that were woken to try again */
    uint32_t initial; /* semaphore; parties of a barrier */
    _Atomic uint32_t
        deaths; /* semaphore: tokens that came back from the dead and were not taken since */
    struct usp_channel *channel;
    struct usp_end end;    /* nobody's: for who acquires, or looks */
    struct usp_made made;  /* private to the maker's worker */
    struct usp_sync *lock; /* of a condition, which holds it: who waits there comes back to it */
    bool own_lock;
    bool moving; /* semaphore: the oldest name is about to take the place `moving_to`, ... */
    uint32_t moving_to, moving_read; /* ... and then to be dropped where it was */
    uint32_t arrived;                /* barrier */
    uint32_t generation;             /* rounds that were completed */
    uint32_t breaks;
    struct usp_task *actor; /* who runs the action */
    uint32_t n_names, next_name;
    int (*action)(void *);
    void *arg;
    struct usp_common common;        /* who waits here, or comes back to it */
    struct usp_name names[]; /* barrier: who takes part */
};

/* Makes one, in the running process's lease. NULL with errno and a line on stderr. `capacity` of
 * its channel. */
struct usp_sync *usp_sync_new(enum usp_sync_kind kind, uint32_t capacity, uint32_t n_names,
                              const char *what, const char *site);
/* Frees it; who waits for it gets UVCSP_POISONED. NULL is accepted; a line for what is none of
 * `kinds`. */
void usp_sync_free(void *x, unsigned kinds, const char *what);
/* The object behind a pointer, if it is of one of the kinds (bits); NULL with a line. */
struct usp_sync *usp_sync_of(void *x, unsigned kinds, const char *what);
#define USP_KIND(k) (1u << (k))

/* Waits as a reader of the object's channel, whose lock is held and is released here. `between` is
   called when whoever wakes can already see this process. 0 or whatever the waker says,
   UVCSP_TIMEOUT, UVCSP_POISONED, USP_RETRY (the waker died in the middle), USP_KILLED. The process
   stays counted in (channels/common.h). */
int usp_sync_park(struct usp_sync *sync, double seconds, const char *site, void (*between)(void *),
                  void *arg);

/* The task of the running process; for a callback of the loop it aborts with a line. */
struct usp_task *usp_sync_self(const char *what);

/* ---- names in a channel; its lock is held ---- */

static inline struct usp_task **usp_names_of(const struct usp_channel *channel)
{
    return (struct usp_task **)(void *)channel->buffer;
}
static inline struct usp_task **usp_name_at(const struct usp_channel *channel, uint32_t n)
{
    return &usp_names_of(channel)[n & channel->mask];
}
/* Puts a name in; there is room. The last store counts. */
static inline void usp_name_put(struct usp_channel *channel, struct usp_task *task)
{
    *(struct usp_task *volatile *)usp_name_at(channel, channel->written) = task;
    USP_FAILPOINT("name-written");
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&channel->written = channel->written + 1;
    USP_FAILPOINT("name-counted");
}
static inline void usp_name_drop(struct usp_channel *channel)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&channel->read = channel->read + 1;
    USP_FAILPOINT("name-dropped");
}
/* Puts in the name of a waiting process that has been claimed; noted down as usp_refill() does it.
 */
static inline void usp_name_hand(struct usp_channel *channel, struct usp_task *task)
{
    channel->refill_written = channel->written;
    atomic_signal_fence(memory_order_seq_cst);
    channel->refill = task;
    USP_FAILPOINT("name-to-hand");
    usp_name_put(channel, task);
    usp_task_done(task);
    USP_FAILPOINT("name-handed");
    atomic_signal_fence(memory_order_seq_cst);
    channel->refill = NULL;
}

/* ---- one file each ---- */

/* A process has ended, or its worker has died (`dead`, if `task` is NULL): puts right what it
 * leaves. */
struct usp_gone {
    const struct usp_task *task;
    unsigned dead;
};
static inline bool usp_is_gone(const struct usp_gone *gone, const struct usp_task *task)
{
    return gone->task ? task == gone->task : task->worker == gone->dead;
}
/* For a block of the arena: all that an object of it has of `arg`, a struct usp_gone. */
void usp_sync_let_go(void *block, unsigned owner, void *arg);
void usp_lock_gone(struct usp_sync *sync, const struct usp_gone *gone);
void usp_semaphore_gone(struct usp_sync *sync, const struct usp_gone *gone);
void usp_event_gone(struct usp_sync *sync, const struct usp_gone *gone);
void usp_barrier_gone(struct usp_sync *sync, const struct usp_gone *gone);

/* A guard that writes the running process's name; `kind` is a bit. */
uvcsp_guard usp_guard_of_name(void *x, unsigned kind, const char *what);

/* sync_lock.c. They have been checked to be locks or rlocks. */
int usp_lock_acquire(struct usp_sync *sync, double seconds, const char *site);
int usp_lock_release(struct usp_sync *sync, const char *what);
bool usp_lock_is_mine(const struct usp_sync *sync);
/* Releases it whatever its depth, which is returned; and takes it back. */
uint32_t usp_lock_let_go(struct usp_sync *sync);
int usp_lock_take_back(struct usp_sync *sync, uint32_t depth, const char *site);

#endif
