/* The channel, its ends and its offers, as they lie in the arena.

   A channel has two queues of offers, one for each side: processes that wait to read, processes that wait
   to write. Under its lock, at most one of them holds offers that could match (but for a process that
   offers both; it never meets itself, because it looks before it offers). A buffer, where there is one, stands
   between: readers wait only when it is empty, writers only when it is full.

       take         unlink offers of the other side until one can be claimed (usp_task_claim)
       finish       claimed, no lock held: move the message, then wake the partner
       wait         with all locks of the choice held: write the offers, open the commit word, enqueue

   Everything that has to survive a crash of its holder at any instruction is either one store, or can be
   rebuilt: the queues from the offers of all open tasks, the buffer because `written` and `read`, or
   the counts of its lanes, are its only truth. */
#ifndef USP_CHANNELS_CHANNEL_H
#define USP_CHANNELS_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uvcsp/channel.h>

#include "channels/common.h"
#include "runtime/failpoint.h"
#include "runtime/task.h"
#include "runtime/worker.h"

enum usp_side { USP_READER, USP_WRITER };
static inline enum usp_side usp_other(enum usp_side side)
{
    return (enum usp_side)(1 - side);
}

#define USP_SMALL 32 /* a message up to here lies in the offer itself */

struct usp_channel;

/* "Here I would read (write)": the offer of a guard. It lies in its task, or in the task's table. */
struct usp_offer {
    struct usp_offer *next, *prev;
    struct usp_channel *channel;
    struct usp_task *task;
    void *data;          /* the reader's destination, the writer's bytes: memory of its worker */
    uint32_t index;      /* of the guard */
    uint32_t ticket;     /* order of arrival, to rebuild a queue. While the channel is biased a plain READ or WRITE only counts on:
                            what matters then is that it is another one than at its last wait */
    uint64_t length;     /* of the bytes */
    union {
        uint64_t marks;  /* all of these */
        struct {
            uint8_t side;
            uint8_t queued;      /* but see usp_was_taken() */
            uint8_t single;      /* of a wait with nothing else in it: only who holds the channel's lock can claim it */
            uint8_t filled;      /* the bytes are in `small` or `stash` */
            uint8_t no_room;     /* they should be, but the arena had no room for them */
            uint8_t looks;       /* of an end that looks: it is woken by a message, and the message stays where it is */
            uint8_t passed;      /* of a lenient channel: the message is counted in there, until it has arrived */
            uint8_t stands;      /* USP_STANDS ...: of a choice that is ready to run, and waits no more than that (near.c) */
        };
    };
    void *stash;         /* the bytes in a block of the arena, or NULL */
    char small[USP_SMALL] __attribute__((aligned(8)));
};

/* While `head` is NULL, `tail` says nothing; neither does `prev` of the first. */
struct usp_queue {
    struct usp_offer *head, *tail;
};

enum {
    USP_POISONED = 1,
    USP_NO_READERS = 2, /* the last reader has retired */
    USP_NO_WRITERS = 4,
};

enum {
    USP_LENIENT = 1, /* an end whose process fails only retires, and what is buffered stays */
    USP_REVIVES = 2, /* a side that has retired comes back with a new end */
};

enum { USP_STANDS = 1, USP_STOOD = 2 /* and it was taken */ };
enum { USP_LOOKS = 1, USP_LOOKS_FOR_A_MESSAGE = 2 /* and the end is told to it as to others */ };

#define USP_CHANNEL_MAGIC 0x6e616863u
#define USP_END_MAGIC 0x73646e65u
#define USP_GONE_MAGIC 0x656e6f67u

/* What the fast ways tell channels apart by; but for the last also an index into usp_gates. */
enum {
    USP_RENDEZVOUS,
    USP_BUFFERED_4, /* values of 4 bytes */
    USP_BUFFERED_8,
    USP_BUFFERED,   /* of another size */
    USP_GENERALLY,  /* not plain, or ended: nothing for fast.c */
};

/* One side of a buffer that several workers use. Two lines of the cache, since processors fetch them in pairs. */
struct usp_lane {
    _Alignas(64) _Atomic uint32_t holder; /* index of the worker that is in it, plus 1 */
    uint32_t count;              /* messages that ever entered, or left */
    uint32_t seen;               /* the other lane's count, when that was last looked at */
    _Atomic uint32_t patience;   /* ticks between two looks of who waits (lane.c) */
    /* Of messages of variable length. */
    uint32_t at;                 /* what `count` was when the last one was about to pass: as long as it still is, `block` has not */
    void *block;                 /* of that message; or NULL */
    int64_t bytes;               /* that ever entered, or left; */
    int64_t bytes_then;          /* when that message has */
    int64_t bytes_seen;          /* the other lane's, when `seen` was */
    char apart[64];
};
_Static_assert(sizeof(struct usp_lane) == 128, "two lines");

/* What a communication writes to comes first, in a line of the cache. */
struct usp_channel {
    union {
        uint64_t gate;           /* all of these: what the fast ways ask, in one comparison (usp_gates). Not atomic, or no compiler
                                    would compare it where it lies; it is one load of eight bytes all the same */
        struct {
            _Atomic uint32_t bias;   /* index of the worker that it is biased to, plus 1; 0; USP_REVOKING */
            uint8_t slow;            /* USP_RENDEZVOUS ... */
            uint8_t lenient;         /* USP_LENIENT, USP_REVIVES: queues and pipes of the floor above */
            uint8_t zero[2];
        };
    };
    _Atomic uint32_t inside;     /* 1: that worker holds it; USP_REPAIRING + index: another one, after its death */
    _Atomic uint16_t lock;       /* index of the worker that holds it, plus 1 */
    uint8_t ended;               /* USP_POISONED ... */
    uint8_t far;                 /* its ends are, or have been, in more than one worker */
    uint16_t waits_last;         /* the worker of the last offer, for a guess */
    uint8_t plain_size;          /* `size`, where that is 4 or 8; else 0 */
    _Atomic uint8_t laned;       /* the buffer has lanes: they count what enters and leaves it, `written` and `read` do not */
    uint32_t ticket;
    uint32_t written, read;      /* messages that ever entered, and left, the buffer */
    struct usp_queue waiting[2];
    /* What is written to seldom, or not at all. */
    uint32_t magic;
    uint16_t home;               /* the worker whose ends it has, while not far; whom it is, or was, biased to */
    uint8_t type;                /* enum uvcsp_type */
    uint8_t carrier;
    uint32_t capacity;
    uint32_t mask;
    struct usp_lane *lanes;      /* two, for each side one, or NULL (lane.h) */
    char *buffer;                /* `mask` + 1 slots: a power of two, so that the counters may wrap */
    int64_t bytes, enough;       /* in the buffer, where it has no lanes; it is full from there on (0: no limit, and they are not
                                    counted). Only of messages of variable length */
    size_t size;                 /* of a value */
    uint32_t passed;             /* of a lenient one: messages that go past the buffer, to a reader that waited */
    uint32_t passed_before;      /* while a reader is being counted, or struck out: what holds if that is not completed ... */
    struct usp_task *passes_to;  /* ... and which reader, by `passes_at` of its offers */
    uint32_t n_ends[2];          /* not retired */
    uint32_t n_refs;             /* end records, and 1 for its maker */
    bool held;                   /* by its maker */
    uint8_t loose;               /* somebody else has used it, and not by an end of his own: anybody might */
    bool is_lock;                /* its one message is the address of the task that has it */
    _Atomic uint32_t moves;      /* ends that have been made, or have found an owner */
    struct usp_task *maker;
    struct usp_channel *made_next, *made_prev; /* other channels of that maker */
    struct usp_task *refill;     /* a writer whose message is being moved into the buffer ... */
    uint32_t refill_written;     /* ... and the count of what had entered before that */
    uint32_t passes_at;
    struct usp_common *common;   /* what is freed although others use it, and this is its channel; or NULL */
    const char *cause;
    const char *site;
    char name[];
};
_Static_assert(offsetof(struct usp_channel, magic) == 64, "that line");
_Static_assert(USP_MAX_WORKERS <= UINT16_MAX, "`lock` names a worker");

/* Where a mobile end is. While it moves its block is its sender's, or nobody's in a buffer; a sender that hands it to
   a process of another worker notes which, so that it is not lost if that one dies before it adopts the end. */
#define USP_AT_HOME 0
#define USP_ON_ITS_WAY 1
#define USP_ON_ITS_WAY_TO(worker) (2 + (worker))

struct usp_end {
    union {
        uint64_t head;           /* all of these */
        struct {
            uint32_t magic;
            uint8_t side;
            uint8_t retired;
            uint8_t looks : 2;   /* a reading end that waits for a message, or the end, and takes nothing: USP_LOOKS ... */
            uint8_t nests : 1;   /* a writing end: where the buffer is full, usp_nests() is asked (channels/io.h) */
            uint8_t zero : 5;
            uint8_t kind;        /* USP_BUFFERED_4 ... of a channel that was made so; else 0. That it still is so its gate says */
        };
    };
    uint16_t way;                /* of a mobile end: USP_AT_HOME ... */
    bool done;                   /* its process has retired it (end.c) */
    bool known;                  /* no parameter of its process, which got it otherwise: others of its worker may know it */
    struct usp_channel *channel;
    struct usp_task *task;       /* whose it is */
    struct usp_end *next, *prev; /* other ends of that process */
    uint32_t fair_key;           /* choices that begin with this end: which, and where to start next */
    uint32_t fair_next;          /* as bytes from the first guard */
};

/* It has not retired, and waits for nothing but to communicate. */
static inline __attribute__((always_inline)) bool usp_is_ordinary(const struct usp_end *end, enum usp_side side, int kind)
{
    return end->head == (struct usp_end){.magic = USP_END_MAGIC, .side = (uint8_t)side, .kind = (uint8_t)kind}.head;
}
static inline bool usp_is_ordinary_of_any_kind(const struct usp_end *end, enum usp_side side)
{
    return (end->head & ~(struct usp_end){.kind = UINT8_MAX}.head) ==
           (struct usp_end){.magic = USP_END_MAGIC, .side = (uint8_t)side}.head;
}

/* What the floor keeps in each task. */
struct usp_wait {
    uint32_t n;                  /* offers in use */
    uint32_t room;               /* offers that fit in `table` */
    struct usp_end *end;         /* of a READ or WRITE that waits */
    struct usp_end *usual;       /* the same, if it is an end of its own and what fast.c has written of it still stands; or NULL */
    struct usp_offer first;
    struct usp_end *ends;
    struct usp_channel *made;
    struct usp_offer *table;     /* for more than one offer; a block of the arena, kept */
};
_Static_assert(sizeof(struct usp_wait) <= USP_ROOM, "the room in a task does not suffice");

static inline struct usp_wait *usp_wait_of(struct usp_task *task)
{
    return (struct usp_wait *)task->room;
}
/* So many offers are about to be written, or none are. */
static inline void usp_wait_has(struct usp_wait *wait, uint32_t n)
{
    wait->n = n;
    wait->usual = NULL;
}
static inline struct usp_offer *usp_offers_of(struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    return wait->n > 1 ? wait->table : &wait->first;
}

/* Outcomes of a wait besides those of enum uvcsp_status. */
enum {
    USP_RETRY = -1000,  /* nothing was communicated: look again */
    USP_KILLED = -1001, /* uvcsp_kill or uvcsp_terminate on a light process */
    USP_FILLED = -1002, /* done; the message lies in the reader's offer */
};

/* The index with which a process that is to be killed is claimed. */
#define USP_INDEX_KILL 0x7fffff

/* ---- queues; the lock is held ---- */

/* `next` is NULL. */
static inline void usp_append(struct usp_queue *queue, struct usp_offer *offer)
{
    if (__builtin_expect(queue->head != NULL, 0)) {
        offer->prev = queue->tail;
        queue->tail->next = offer;
    } else {
        queue->head = offer;
    }
    USP_FAILPOINT("half-enqueued");
    queue->tail = offer;
}

/* All of it but the mark `queued`. */
static inline void usp_enqueue_at(struct usp_channel *channel, struct usp_offer *offer, enum usp_side side)
{
    offer->ticket = channel->ticket++;
    offer->next = NULL;
    usp_append(&channel->waiting[side], offer);
}

static inline void usp_enqueue(struct usp_offer *offer, enum usp_side side)
{
    usp_enqueue_at(offer->channel, offer, side);
    offer->queued = 1;
    USP_FAILPOINT("enqueued");
}

static inline void usp_unlink(struct usp_offer *offer)
{
    struct usp_queue *queue = &offer->channel->waiting[offer->side];
    if (queue->head == offer) {
        queue->head = offer->next;
        USP_FAILPOINT("half-unlinked");
    } else {
        offer->prev->next = offer->next;
        USP_FAILPOINT("half-unlinked");
        if (offer->next)
            offer->next->prev = offer->prev;
        else
            queue->tail = offer->prev;
    }
    offer->queued = 0;
}

static inline void usp_unlink_head(struct usp_queue *queue, struct usp_offer *offer)
{
    queue->head = offer->next;
    USP_FAILPOINT("head-half-unlinked");
    offer->queued = 0;
    USP_FAILPOINT("head-unlinked");
}

/* Claims the process of an offer just unlinked; the lock is held. Where only lock holders can claim it, a
   store does what a compare-and-swap does (its worker may die meanwhile: then it has died after the claim). */
static inline bool usp_claim(struct usp_offer *offer)
{
    bool claimed = true;
    if (!offer->single)
        claimed = usp_task_claim(offer->task, usp_sched.worker, offer->index);
    else
        atomic_store_explicit(&offer->task->commit, usp_commit_claimed(usp_sched.worker, offer->index),
                              memory_order_relaxed);
    USP_FAILPOINT("claimed");
    return claimed;
}

/* A single offer lies in its task. */
static inline struct usp_task *usp_task_of_single(struct usp_offer *offer)
{
    return (struct usp_task *)((char *)offer - offsetof(struct usp_task, room) -
                               offsetof(struct usp_wait, first));
}

/* The lock is held by bias: the partner is of this worker and dies with it, so nobody will ask who has claimed it. It just
   waits no more. */
static inline struct usp_task *usp_claim_single(struct usp_offer *offer)
{
    struct usp_task *task = usp_task_of_single(offer);
    atomic_store_explicit(&task->commit, USP_NONE, memory_order_relaxed);
    return task;
}
/* The same for the first of that queue. It says on that it is queued: that it is not is said by the commit word
   (usp_was_taken), and by what it writes there when it waits again, or makes that word say something else (depend_on). */
static inline struct usp_task *usp_take_single(struct usp_queue *queue, struct usp_offer *offer)
{
    queue->head = offer->next;
    return usp_claim_single(offer);
}
/* Of an offer that says that it is queued, in a task whose commit word was that. */
static inline bool usp_was_taken(const volatile struct usp_offer *offer, uint64_t commit)
{
    return offer->single && usp_commit_state(commit) == USP_NONE;
}

/* Claims where the lock is held by bias: the offer either waits or was left behind by a choice that has taken
   another. The task, to be put on the run queue; or NULL. */
static inline struct usp_task *usp_claim_near(struct usp_offer *offer)
{
    if (__builtin_expect(offer->single, 1))
        return usp_claim_single(offer);
    struct usp_task *task = offer->task;
    if (atomic_load_explicit(&task->commit, memory_order_relaxed) != USP_OPEN ||
        !usp_task_claim(task, usp_sched.worker, offer->index))
        return NULL;
    task->woken = 1;
    return task;
}

/* The first waiting partner on `side` that can be claimed, claimed; or NULL. */
static inline struct usp_offer *usp_take(struct usp_channel *channel, enum usp_side side)
{
    struct usp_offer *offer;
    while ((offer = channel->waiting[side].head)) {
        if (channel->far) { /* all that will be written to, at once */
            __builtin_prefetch(offer, 1);
            __builtin_prefetch((char *)offer + 64, 1);
            __builtin_prefetch(usp_worker_of(channel->waits_last), 1);
        }
        usp_unlink_head(&channel->waiting[side], offer);
        if (usp_claim(offer))
            return offer;
    }
    return NULL;
}

/* Acquires what the lanes were made with. */
static inline bool usp_is_laned(const struct usp_channel *channel)
{
    return __builtin_expect(atomic_load_explicit(&channel->laned, memory_order_acquire), 0);
}

/* The count of messages that ever entered the buffer, or left it; the lock is held. */
static inline uint32_t *usp_count(struct usp_channel *channel, enum usp_side side)
{
    return usp_is_laned(channel) ? &channel->lanes[side].count : side == USP_WRITER ? &channel->written : &channel->read;
}
static inline uint32_t usp_counted(const struct usp_channel *channel, enum usp_side side)
{
    return *usp_count((struct usp_channel *)(uintptr_t)channel, side);
}
static inline uint32_t usp_buffered(const struct usp_channel *channel)
{
    return usp_counted(channel, USP_WRITER) - usp_counted(channel, USP_READER);
}

/* In the buffer, of messages of variable length; where there is a limit to that. */
static inline int64_t usp_bytes_in_buffer(const struct usp_channel *channel)
{
    return usp_is_laned(channel) ? channel->lanes[USP_WRITER].bytes - channel->lanes[USP_READER].bytes : channel->bytes;
}
/* Has a writer to wait? Of one message there is always room. */
static inline bool usp_is_full(const struct usp_channel *channel)
{
    uint32_t n = usp_buffered(channel);
    return n >= channel->capacity || (channel->enough && n > 0 && usp_bytes_in_buffer(channel) >= channel->enough);
}

/* ---- channel.c ---- */

/* The channel of a channel or end; NULL with a line on stderr if `x` is neither. `what` names the call. */
struct usp_channel *usp_channel_of(void *x, const char *what);
/* A block that was a channel, which others may free meanwhile: it still is one. Nobody frees one that a worker has locked, is in a lane of,
   or takes the bias of: so what names that worker is read first, and is true if the channel stands then. */
bool usp_channel_stands(const struct usp_channel *channel);
/* A process uses the channel itself, not an end. Where it has not made it, who else may do so is not known any more. */
static inline void usp_channel_used(struct usp_channel *channel, const struct usp_task *task)
{
    if (__builtin_expect(channel->maker != task, 0))
        *(volatile uint8_t *)&channel->loose = 1;
}
/* An end has been made, or has found an owner, and can be seen; the lock is held. */
static inline void usp_channel_moved(struct usp_channel *channel)
{
    atomic_store_explicit(&channel->moves, atomic_load_explicit(&channel->moves, memory_order_relaxed) + 1,
                          memory_order_release);
}
/* Tells all who wait on a side of the channel, or on both; the lock is held. All are claimed before the first is woken:
   none who knows can meet, at another channel, one of a choice that does not. */
void usp_wake_side(struct usp_channel *channel, enum usp_side side, int outcome);
void usp_wake_sides(struct usp_channel *channel, int outcome);
/* Poisons; takes the lock. `cause` is copied. */
void usp_channel_poison(struct usp_channel *channel, const char *cause);
/* Keeps the first cause by which an end of a lenient channel has failed; takes the lock. `cause` is copied. */
void usp_channel_note(struct usp_channel *channel, const char *cause);
/* Drops a reference; the lock is held and is released here. Frees the channel with the last. */
void usp_channel_unref(struct usp_channel *channel);
/* Gives up the maker's hold on every channel that the task has made. */
void usp_channels_release(struct usp_task *task);
/* The task is about to end: whoever waits at a channel of its for a partner that never came is told so. */
void usp_channels_unmatched(struct usp_task *task);
/* The channel is no process's any more: it is held until usp_channel_disown(), and used from any worker. */
void usp_channel_make_common(struct usp_channel *channel);
/* Drops the maker's hold; takes the lock. */
void usp_channel_disown(struct usp_channel *channel);
/* Frees a message of variable length that lies in a buffer, or retires an end that does. */
void usp_buffer_drop(struct usp_channel *channel);

/* ---- end.c ---- */

/* An end of the channel for `task` (NULL: nobody's yet), counted from now on, in a worker. NULL: the arena is full. */
struct usp_end *usp_end_new(struct usp_channel *channel, enum usp_side side, struct usp_task *task,
                            unsigned worker);
/* The same, as the first member of a block of `size` bytes, which goes with it. */
void *usp_end_new_in(size_t size, struct usp_channel *channel, enum usp_side side,
                     struct usp_task *task, unsigned worker);
/* On a lenient channel: the end counts from now on, or does not; the side goes on in either case. */
void usp_end_count(struct usp_end *end, bool counts);
/* Ends a side of a channel that has no end any more, or will never have one; the lock is held. */
void usp_side_retires(struct usp_channel *channel, enum usp_side side);
/* A mobile end on its way is in no task's list. Its block stays the sender's until the receiver adopts it (a
   buffer's: nobody's), so that it is not lost with its sender. */
void usp_end_detach(struct usp_end *end);
void usp_end_adopt(struct usp_end *end, struct usp_task *task);
enum usp_leave { USP_LEAVE_RETIRE, USP_LEAVE_POISON };
/* Retires the end, or poisons its channel with the cause; then frees its record. */
void usp_end_release(struct usp_end *end, enum usp_leave how, const char *cause);
/* The same for all ends of a task. */
void usp_ends_release(struct usp_task *task, enum usp_leave how, const char *cause);
/* Retires an end, whose record stays. */
void usp_end_retire(struct usp_end *end);
/* Why the calling process may not send it: it is none, or on its way already, or another process's. NULL: it may. A callback
   of the loop may send what is of its worker, and what one has made is nobody's until a process sends it. */
const char *usp_end_stays(const void *end);
/* Why it is no end of this side; NULL: it is one. */
const char *usp_end_problem(const struct usp_end *end, enum usp_side side);
/* The same as a line on stderr and -EINVAL; 0: it is one. */
int usp_end_check(const struct usp_end *end, enum usp_side side, const char *what);

/* ---- the rest of the floor ---- */

/* "to read from channel 'c'", for a task that waits for channels; else false. */
bool usp_describe_wait(const struct usp_task *task, char *text, size_t size);

/* Ends the calling process by poison or retirement, or because it was killed. */
__attribute__((noreturn, cold)) void usp_end_process(int outcome, struct usp_channel *channel);

/* Claims a waiting process of this worker, to end it. False: it does not wait for what could be given up. */
bool usp_claim_to_kill(struct usp_task *task);

/* Takes back the offers of a process of this worker that will never run again, if it waits. */
void usp_give_up(struct usp_task *task);

/* Sets the hooks of the runtime; once in the root. */
void usp_channels_init(void);

#endif
