/* READ and WRITE of plain values, the case that has to be fast.

   Either the partner waits: it is claimed, the value is copied from its stack or to it, and it is put on the run
   queue. Or it does not: then this process leaves its offer and parks, and there is nothing left to do once
   it has been woken. So the parked process need not come back here: usp_park_tail() is entered
   by a jump, saves what a call preserves, and whoever resumes the fibre lands in the caller of READ. That saves two
   returns, which no processor predicts across a switch of stacks.

   The fastest of all is a channel that is biased to this worker: then the partner is of this worker too, and dies
   with it, so no order of stores has to be kept. The end says of what kind the channel was made; one comparison
   says that it still is, biased to this worker, and that this is the library's thread (usp_gates).
   At a full or an empty buffer a process parks in the same way. What is not ordinary takes the general way of io.c: a message
   that is not plain, an ended channel, a partner in another worker, and a wake-up with an outcome (usp_wake
   then redirects the saved resumption to resumed_slowly).

   A cold way is a function of its own with the parameters of the hot one, in the same registers: so the hot one need not move
   them about before it knows which way to go. Nothing in fast() calls a function but as its last act, so that its common paths save no register. */
#include <string.h>

#include "channels/io.h"
#include "channels/lane.h"
#include "channels/lock.h"
#include "channels/transfer.h"
#include "runtime/foresight.h"
#include "runtime/report.h"

static inline bool good(const struct usp_end *end, enum usp_side side)
{
    return end && end->magic == USP_END_MAGIC && end->side == side;
}

__attribute__((noinline, cold, noreturn)) static void bad_end(void *end, enum usp_side side, const char *site)
{
    usp_fatal("%s: %s: %s", site, side == USP_READER ? "READ" : "WRITE",
              end ? "this is no end for that, or it was freed" : "the end is NULL");
}

__attribute__((noinline)) static void end_badly(struct usp_end *end, int rc, const char *site)
{
    if (rc > 0 || rc == USP_KILLED)
        usp_end_process(rc, end->channel);
    usp_fatal("%s: %s on channel '%s': %s", site, end->side == USP_READER ? "READ" : "WRITE",
              end->channel->name, strerror(-rc));
}

__attribute__((noinline)) static void generally(struct usp_end *end, void *value, const char *site)
{
    uint32_t used = usp_common_used(usp_current()->task);
    int rc = usp_transact(end, value, -1, 0, site);
    if (rc != 0)
        end_badly(end, rc, site);
    usp_common_leave(usp_current()->task, used);
}

#ifdef USP_PARK_TAIL
/* A process that parked by usp_park_tail() was woken with an outcome. */
static void resumed_slowly(void)
{
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    struct usp_end *end = wait->end;
    const char *site = self->site;
    void *value = wait->first.data;
    int rc = usp_after_wait(self, &wait->first, 0);
    if (rc == USP_RETRY)
        generally(end, value, site);
    else if (rc != 0)
        end_badly(end, rc, site);
}
#endif

void usp_fast_init(void)
{
#ifdef USP_PARK_TAIL
    usp_tail_hook = resumed_slowly;
#endif
}

/* The partner is in another worker; it has been claimed. */
__attribute__((noinline)) static void finish_far(struct usp_end *end, void *value, const char *site,
                                                 struct usp_offer *offer)
{
    struct usp_bytes bytes = {value, end->channel->size, NULL};
    int rc = usp_step_finish(end, value, &bytes, offer);
    if (rc == USP_RETRY)
        generally(end, value, site);
    else if (rc != 0)
        end_badly(end, rc, site);
}

/* NULL, or no end for that; or it has retired; or it waits for a message and takes none. */
__attribute__((noinline)) static void odd_end(struct usp_end *end, void *value, const char *site, enum usp_side side)
{
    USP_ENTER();
    if (!good(end, side))
        bad_end(end, side, site);
    generally(end, value, site);
}

/* ---- a channel that other workers have ends of ---- */

__attribute__((noinline)) static void with_lock(struct usp_end *end, void *value, const char *site)
{
    struct usp_channel *channel = end->channel;
    enum usp_side side = (enum usp_side)end->side;
    USP_ENTER();
    if (usp_is_laned(channel)) {
        if (!usp_is_plain(channel) || !usp_lane_use_plain(channel, side, value))
            generally(end, value, site);
        return;
    }
    USP_FAILPOINT("has-no-lanes");
    if (!usp_try_lock(channel))
        return generally(end, value, site);
    USP_MARK("channel-locked-fast");
    struct usp_offer *offer = NULL;
    bool done = false;
    if (channel->slow == USP_RENDEZVOUS)
        offer = usp_take(channel, usp_other(side));
    else if (channel->slow != USP_GENERALLY && !channel->lenient && !usp_is_laned(channel)) /* now */
        done = usp_use_buffer(end, value);
    atomic_store_explicit(&channel->lock, 0, memory_order_release);
    USP_MARK("channel-unlocked-fast");
    if (done)
        return;
    if (!offer)
        return generally(end, value, site);
    struct usp_task *task = offer->task;
    if (task->worker != usp_sched.worker)
        return finish_far(end, value, site, offer);
    usp_copy(side == USP_READER ? value : offer->data,
             side == USP_READER ? offer->data : value, channel->size);
    if (side == USP_WRITER)
        usp_wake_first(task);
    else
        usp_wake(task);
}

/* ---- a channel of this worker ---- */

__attribute__((noinline)) static void unlock_and_go(struct usp_end *end, void *value, const char *site)
{
    usp_unlock_biased(end->channel);
    generally(end, value, site);
}

__attribute__((noinline)) static void refill_and_unlock(struct usp_channel *channel)
{
    usp_refill(channel);
    usp_unlock_biased(channel);
}

__attribute__((noinline)) static void wake_and_copy(struct usp_task *task, void *to,
                                                    const void *from, size_t size, enum usp_side side)
{
    usp_ready_partner(task->fibre, side == USP_WRITER); /* it does not run before this process parks */
    memcpy(to, from, size);
}

#ifdef USP_PARK_TAIL
__attribute__((noinline)) static void park_for_loop(struct usp_fibre *fibre)
{
    struct usp_fibre *next = usp_pick_slowly();
    usp_sched.current = next;
    usp_park_tail(&fibre->sp, next->sp);
}

__attribute__((noinline)) static void park_for_unborn(struct usp_fibre *fibre, struct usp_fibre *next)
{
    next = usp_fibre_bear(next);
    usp_sched.current = next;
    usp_park_tail(&fibre->sp, next->sp);
}
#endif

/* The partner waits, and has been claimed. */
static inline __attribute__((always_inline)) void meet(struct usp_channel *channel, enum usp_side side, void *value,
                                                       struct usp_offer *offer, struct usp_task *task)
{
    void *to = side == USP_READER ? value : offer->data;
    const void *from = side == USP_READER ? offer->data : value;
    /* The frame of the partner lies below the variable that it reads to or writes from, as a rule. */
    __builtin_prefetch((const char *)offer->data - 64);
    usp_unlock_biased(channel);
    if (__builtin_expect(channel->plain_size == 4, 1))
        memcpy(to, from, 4);
    else if (channel->plain_size == 8)
        memcpy(to, from, 8);
    else
        return wake_and_copy(task, to, from, channel->size, side);
    usp_ready_partner(task->fibre, side == USP_WRITER);
}

/* What a wait at that end has to say each time, but for where the value is. As a rule it is the end at which the process waited
   before. */
static inline void wait_at(struct usp_task *self, struct usp_end *end)
{
    struct usp_wait *wait = usp_wait_of(self);
    wait->n = 1;
    wait->end = end;
    wait->usual = end->task == self ? end : NULL; /* another's may go, and its place be another end's, unnoticed here */
    wait->first.channel = end->channel;
    wait->first.length = end->channel->size;
}

/* Where it goes on it needs the end and the channel at which it waited, as a rule. */
static inline __attribute__((always_inline)) void foresee(struct usp_fibre *next)
{
    if (__builtin_expect(!usp_foresees(), 1))
        return;
    const struct usp_wait *wait = next->task ? usp_wait_of(next->task) : NULL;
    usp_foresee(next, wait ? wait->end : NULL, wait ? wait->first.channel : NULL);
}

/* The lock is held by bias, and nobody waits. */
static inline __attribute__((always_inline)) void park(struct usp_channel *channel, struct usp_end *end,
                                                       enum usp_side side, void *value, const char *site)
{
    (void)channel;
    (void)side;
#ifdef USP_PARK_TAIL
    struct usp_fibre *fibre = usp_current();
    struct usp_task *self = fibre->task;
    if (__builtin_expect(self && !fibre->kill, 1)) {
        struct usp_wait *wait = usp_wait_of(self);
        struct usp_offer *offer = &wait->first;
        if (__builtin_expect(wait->usual != end, 0))
            wait_at(self, end);
        /* In the order in which it lies there: the processor takes two stores in a cycle if both are in one line. */
        offer->data = value;
        offer->ticket++;
        offer->marks = (struct usp_offer){.side = (uint8_t)side, .queued = 1, .single = 1}.marks;
        offer->next = NULL;
        self->site = site;
        usp_task_open(self);
        usp_append(&channel->waiting[side], offer);
        usp_unlock_biased(channel);
        struct usp_fibre *next = usp_sched.head;
        if (__builtin_expect(!next || --usp_sched.turns == 0, 0))
            return park_for_loop(fibre);
        usp_sched.head = next->next;
        void *sp = next->sp;
        if (__builtin_expect(!sp, 0))
            return park_for_unborn(fibre, next);
        foresee(next);
        usp_sched.current = next;
        return usp_park_tail(&fibre->sp, sp);
    }
#endif
    unlock_and_go(end, value, site);
}

/* The partner is a choice that is ready to run, and finds then that this guard was taken. */
static inline __attribute__((always_inline)) void meet_standing(struct usp_channel *channel, enum usp_side side,
                                                                void *value, struct usp_offer *offer, size_t size)
{
    offer->stands = USP_STOOD;
    memcpy(side == USP_READER ? value : offer->data, side == USP_READER ? offer->data : value, size);
    usp_unlock_biased(channel);
}

/* Others wait, but in a choice that may have taken another guard. */
__attribute__((noinline)) static void meet_or_park(struct usp_end *end, void *value, const char *site)
{
    struct usp_channel *channel = end->channel;
    enum usp_side side = (enum usp_side)end->side;
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer;
    while ((offer = queue->head)) {
        usp_unlink_head(queue, offer);
        if (offer->stands == USP_STANDS)
            return meet_standing(channel, side, value, offer, channel->size);
        struct usp_task *task = usp_claim_near(offer);
        if (task)
            return meet(channel, side, value, offer, task);
    }
    park(channel, end, side, value, site);
}

/* The same, where it is likely that it has not: without a call, so that no register is saved. */
static inline __attribute__((always_inline)) void meet_choice(struct usp_end *end, enum usp_side side, void *value,
                                                              const char *site, struct usp_offer *offer)
{
    struct usp_channel *channel = end->channel;
    if (__builtin_expect(offer->stands != USP_STANDS || channel->plain_size != 4, 0))
        return meet_or_park(end, value, site);
    usp_unlink_head(&channel->waiting[usp_other(side)], offer);
    meet_standing(channel, side, value, offer, 4);
}

/* The buffer is full or empty. */
__attribute__((noinline)) static void park_at_buffer(struct usp_end *end, void *value, const char *site)
{
    park(end->channel, end, (enum usp_side)end->side, value, site);
}

/* A reader waits, so the buffer is empty, but for one that looks and has been told and has not looked yet. */
__attribute__((noinline)) static void give_to_reader(struct usp_end *end, void *value, const char *site)
{
    struct usp_channel *channel = end->channel;
    struct usp_offer *offer;
    while ((offer = channel->waiting[USP_READER].head) && !offer->looks && usp_buffered(channel) == 0) {
        usp_unlink_head(&channel->waiting[USP_READER], offer);
        struct usp_task *task = usp_claim_near(offer);
        if (task)
            return meet(channel, USP_WRITER, value, offer, task);
    }
    unlock_and_go(end, value, site);
}

/* A buffer of values of `size` bytes; 0: of neither 4 nor 8. */
static inline __attribute__((always_inline)) void take_buffered(struct usp_end *end, struct usp_channel *channel,
                                                                void *value, size_t size, const char *site)
{
    uint32_t read = channel->read;
    if (__builtin_expect(channel->written == read, 0))
        return park_at_buffer(end, value, site);
    size_t slot = read & channel->mask;
    if (size)
        memcpy(value, channel->buffer + size * slot, size);
    else
        memcpy(value, channel->buffer + channel->size * slot, channel->size);
    atomic_signal_fence(memory_order_seq_cst);
    channel->read = read + 1;
    if (__builtin_expect(channel->waiting[USP_WRITER].head != NULL, 0))
        return refill_and_unlock(channel);
    usp_unlock_biased(channel);
}

static inline __attribute__((always_inline)) void give_buffered(struct usp_end *end, struct usp_channel *channel,
                                                                void *value, size_t size, const char *site)
{
    uint32_t written = channel->written;
    if (__builtin_expect(written - channel->read >= channel->capacity, 0))
        return park_at_buffer(end, value, site);
    if (__builtin_expect(channel->waiting[USP_READER].head != NULL, 0))
        return give_to_reader(end, value, site);
    size_t slot = written & channel->mask;
    if (size)
        memcpy(channel->buffer + size * slot, value, size);
    else
        memcpy(channel->buffer + channel->size * slot, value, channel->size);
    atomic_signal_fence(memory_order_seq_cst);
    channel->written = written + 1; /* the one store that puts it in */
    usp_unlock_biased(channel);
}

static inline __attribute__((always_inline)) void buffered(struct usp_end *end, struct usp_channel *channel,
                                                           enum usp_side side, void *value, size_t size,
                                                           const char *site)
{
    if (side == USP_READER)
        take_buffered(end, channel, value, size, site);
    else
        give_buffered(end, channel, value, size, site);
}

__attribute__((noinline)) static void buffered_long(struct usp_end *end, void *value, const char *site)
{
    buffered(end, end->channel, (enum usp_side)end->side, value, 0, site);
}

/* Takes the lock of a channel of this worker alone, if it is of that kind. */
static inline __attribute__((always_inline)) bool enter(struct usp_channel *channel, int kind)
{
    uint64_t pass = usp_gates[kind];
    return __builtin_expect(usp_may_pass(channel, pass), 1) && __builtin_expect(usp_pass(channel, pass), 1);
}

/* No good end, or none of a channel of this worker alone with a buffer of values of 4 bytes; or no buffer at all. */
static inline __attribute__((always_inline)) void otherwise(struct usp_end *end, enum usp_side side, void *value,
                                                            const char *site)
{
    if (__builtin_expect(!end || !usp_is_ordinary_of_any_kind(end, side), 0))
        return odd_end(end, value, site, side);
    struct usp_channel *channel = end->channel;
    if (enter(channel, USP_BUFFERED_8))
        return buffered(end, channel, side, value, 8, site);
    if (enter(channel, USP_BUFFERED))
        return buffered_long(end, value, site);
    with_lock(end, value, site);
}

__attribute__((noinline)) static void take_otherwise(struct usp_end *end, void *value, const char *site)
{
    otherwise(end, USP_READER, value, site);
}

__attribute__((noinline)) static void give_otherwise(struct usp_end *end, void *value, const char *site)
{
    otherwise(end, USP_WRITER, value, site);
}

/* No end of a channel without a buffer. */
static inline __attribute__((always_inline)) void buffered_4(struct usp_end *end, enum usp_side side, void *value,
                                                             const char *site)
{
    if (__builtin_expect(usp_is_ordinary(end, side, USP_BUFFERED_4), 1)) {
        struct usp_channel *channel = end->channel;
        if (enter(channel, USP_BUFFERED_4))
            return buffered(end, channel, side, value, 4, site);
    }
    return side == USP_READER ? take_otherwise(end, value, site) : give_otherwise(end, value, site);
}

static inline __attribute__((always_inline)) void fast(void *x, enum usp_side side, void *value,
                                                       const char *site)
{
    struct usp_end *end = x;
    if (__builtin_expect(!end, 0))
        return side == USP_READER ? take_otherwise(end, value, site) : give_otherwise(end, value, site);
    if (__builtin_expect(!usp_is_ordinary(end, side, USP_RENDEZVOUS), 0))
        return buffered_4(end, side, value, site);
    struct usp_channel *channel = end->channel;
    if (__builtin_expect(!enter(channel, USP_RENDEZVOUS), 0))
        return side == USP_READER ? take_otherwise(end, value, site) : give_otherwise(end, value, site);
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer = queue->head;
    if (!offer)
        return park(channel, end, side, value, site);
    if (__builtin_expect(!offer->single, 0))
        return meet_choice(end, side, value, site, offer);
    struct usp_task *task = usp_take_single(queue, offer);
    meet(channel, side, value, offer, task);
}

void uvcsp_take(void *in, void *value, const char *site)
{
    fast(in, USP_READER, value, site);
}

void uvcsp_give(void *out, const void *value, const char *site)
{
    fast(out, USP_WRITER, (void *)(uintptr_t)value, site);
}
