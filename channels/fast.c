/* READ and WRITE of plain values, the case that has to be fast.

   Either the partner waits: it is claimed, the value is copied from its stack or to it, and it is put on the run
   queue. Or it does not: then this process leaves its offer and parks, and there is nothing left to do once
   it has been woken. So the parked process need not come back here: usp_park_tail() is entered
   by a jump, saves what a call preserves, and whoever resumes the fibre lands in the caller of READ. That saves two
   returns, which no processor predicts across a switch of stacks.

   What is not ordinary takes the general way of io.c: a message that is not plain, an ended channel,
   a partner in another worker, and a wake-up with an outcome (usp_wake then redirects the saved
   resumption to resumed_slowly). */
#include <string.h>

#include "channels/io.h"
#include "channels/transfer.h"
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
    int rc = usp_transact(end, value, -1, 0, site);
    if (rc != 0)
        end_badly(end, rc, site);
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

__attribute__((noinline)) static void enter_first(void *x, enum usp_side side, void *value,
                                                  const char *site)
{
    usp_runtime_enter();
    if (!good(x, side))
        bad_end(x, side, site);
    generally(x, value, site);
}

static inline void unlock(struct usp_channel *channel, bool biased)
{
    if (__builtin_expect(biased, 1))
        usp_unlock_biased(channel);
    else
        atomic_store_explicit(&channel->lock, 0, memory_order_release);
}

/* The lock is held, there is a message. */
static inline void take_buffered(struct usp_channel *channel, void *value, bool biased)
{
    const char *slot = channel->buffer + channel->size * (channel->read & channel->mask);
    usp_copy(value, slot, channel->size);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&channel->read = channel->read + 1;
    if (__builtin_expect(channel->waiting[USP_WRITER].head != NULL, 0))
        usp_refill(channel);
    unlock(channel, biased);
}

/* The lock is held, there is room, and nobody waits for it. */
static inline void give_buffered(struct usp_channel *channel, const void *value, bool biased)
{
    char *slot = channel->buffer + channel->size * (channel->written & channel->mask);
    usp_copy(slot, value, channel->size);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&channel->written = channel->written + 1; /* the one store that puts it in */
    unlock(channel, biased);
}

/* Nothing below but the last statement of a path calls a function, so that the path on which the partner
   waits saves no register. */
static inline __attribute__((always_inline)) void fast(void *x, enum usp_side side, void *value,
                                                       const char *site)
{
    struct usp_end *end = x;
    if (__builtin_expect(!usp_here, 0))
        return enter_first(x, side, value, site);
    if (__builtin_expect(!good(end, side), 0))
        return bad_end(x, side, site);
    struct usp_channel *channel = end->channel;
    bool biased = usp_lock_biased(channel);
    if (__builtin_expect(!biased, 0) && !usp_try_lock(channel))
        return generally(end, value, site);
    if (__builtin_expect(channel->slow | end->retired, 0)) {
        unlock(channel, biased);
        return generally(end, value, site);
    }
    struct usp_offer *offer;
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    if (channel->capacity > 0) {
        if (__builtin_expect(channel->lenient, 0)) {
            unlock(channel, biased);
            return generally(end, value, site);
        }
        if (side == USP_READER && usp_buffered(channel) > 0)
            return take_buffered(channel, value, biased);
        if (side == USP_WRITER && usp_buffered(channel) < channel->capacity && !queue->head)
            return give_buffered(channel, value, biased);
    }
    while ((offer = queue->head)) {
        struct usp_task *task = offer->task;
        usp_unlink_head(queue, offer);
        if (!usp_claim(offer)) {
            if (channel->capacity > 0)
                break;
            continue;
        }
        unlock(channel, biased);
        if (__builtin_expect(task->worker != usp_sched.worker, 0))
            return finish_far(end, value, site, offer);
        size_t size = channel->size;
        void *to = side == USP_READER ? value : offer->data;
        const void *from = side == USP_READER ? offer->data : value;
        if (size == 4) {
            memcpy(to, from, 4);
        } else if (size == 8) {
            memcpy(to, from, 8);
        } else {
            usp_wake(task); /* it does not run before this process parks */
            memcpy(to, from, size);
            return;
        }
        return usp_wake(task);
    }
#ifdef USP_PARK_TAIL
    struct usp_fibre *fibre = usp_current();
    struct usp_task *self = fibre->task;
    if (__builtin_expect(self && !fibre->kill && !offer && (side == USP_READER || !channel->far), 1)) {
        struct usp_wait *wait = usp_wait_of(self);
        offer = &wait->first;
        wait->n = 1;
        wait->end = end;
        offer->channel = channel;
        offer->data = value;
        offer->side = (uint8_t)side;
        offer->single = 1;
        if (side == USP_WRITER)
            offer->length = channel->size;
        self->site = site;
        usp_task_open(self);
        usp_enqueue(offer, side);
        unlock(channel, biased);
        struct usp_fibre *next = usp_pick();
        usp_sched.current = next;
        return usp_park_tail(&fibre->sp, next->sp);
    }
#endif
    unlock(channel, biased);
    generally(end, value, site);
}

void uvcsp_take(void *in, void *value, const char *site)
{
    fast(in, USP_READER, value, site);
}

void uvcsp_give(void *out, const void *value, const char *site)
{
    fast(out, USP_WRITER, (void *)(uintptr_t)value, site);
}
