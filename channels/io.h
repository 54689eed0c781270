/* Steps that READ and WRITE share with a choice. */
#ifndef USP_CHANNELS_IO_H
#define USP_CHANNELS_IO_H

#include "channels/channel.h"
#include "channels/message.h"

#define USP_WAITS (-1003) /* of usp_step: nothing can be done now */

/* Does the channel's state end an operation of this end? UVCSP_POISONED, UVCSP_RETIRED or 0; lock held. */
int usp_ended_status(const struct usp_channel *channel, const struct usp_end *end);

/* One operation, if it can be done now: with a waiting partner, or with the buffer. The lock is held.
   0: done, or it will be by usp_step_finish with `*offerp`, a claimed partner. USP_WAITS: not now.
   UVCSP_POISONED, UVCSP_RETIRED, -ENOMEM. */
int usp_step(struct usp_end *end, void *value, const struct usp_bytes *bytes,
             struct usp_offer **offerp);
/* Of an end that nests, when its buffer is full: may the message count as written all the same? The lock is held. Set
   by the floor above. */
extern bool (*usp_nests)(struct usp_end *end, const void *value);
/* A slot of the buffer has become free: waiting writers move up. The lock is held. */
void usp_refill(struct usp_channel *channel);

/* READ or WRITE of a plain value through the buffer, which has no lanes; the lock is held. False: nothing was done, since it
   is empty or full, or readers wait. */
static inline bool usp_use_buffer(struct usp_end *end, void *value)
{
    struct usp_channel *channel = end->channel;
    size_t size = channel->size;
    if (end->side == USP_READER && usp_buffered(channel) > 0) {
        usp_copy(value, channel->buffer + size * (channel->read & channel->mask), size);
        atomic_signal_fence(memory_order_seq_cst);
        *(volatile uint32_t *)&channel->read = channel->read + 1;
        if (channel->waiting[USP_WRITER].head)
            usp_refill(channel);
        return true;
    }
    if (end->side == USP_WRITER && usp_buffered(channel) < channel->capacity &&
        !channel->waiting[USP_READER].head) {
        usp_copy(channel->buffer + size * (channel->written & channel->mask), value, size);
        atomic_signal_fence(memory_order_seq_cst);
        *(volatile uint32_t *)&channel->written = channel->written + 1; /* the one store that puts it in */
        return true;
    }
    return false;
}
/* The same for a good end, where everything is of this worker (at_once.c). USP_NOT_AT_ONCE: that is no matter for it, and nothing
   was done. */
enum usp_at_once { USP_MET, USP_MET_NOBODY, USP_NOT_AT_ONCE };
enum usp_at_once usp_at_once(struct usp_end *end, enum usp_side side, void *value);
/* After the unlock. 0, USP_RETRY, -ENOMEM. */
int usp_step_finish(struct usp_end *end, void *value, const struct usp_bytes *bytes,
                    struct usp_offer *offer);

/* A message of a lenient channel that was counted as gone past the buffer does not arrive: the reader stays claimed until
   this returns; NULL: it is gone with its worker. No lock is held. */
void usp_not_passed(struct usp_channel *channel, struct usp_offer *reader);
/* Called by that, in whichever worker; set by the floor above. */
extern void (*usp_one_less_passed)(struct usp_channel *channel);

/* Before and after a write of a mobile end; after a read of one. */
void usp_let_go(struct usp_end *end, const void *value);
void usp_take_back(struct usp_end *end, const void *value);
void usp_take_over(struct usp_end *end, void *value);
/* A line on stderr about a value of which usp_message_bytes() gives -EINVAL. */
void usp_cannot_be_sent(const char *site, const struct usp_end *end, const void *value);

/* What an offer says in any wait but those of fast.c and near.c, before it is opened: no bytes yet, and of all marks only these. */
static inline void usp_offer_begin(struct usp_offer *offer, struct usp_channel *channel, struct usp_task *self,
                                   uint32_t index, uint64_t marks)
{
    offer->channel = channel;
    offer->task = self;
    offer->stash = NULL;
    offer->index = index;
    offer->marks = marks;
}

/* After a single wait: takes the offer back if it was not for the channel that this process was woken, and
   takes in the message. `armed`: the error by which arming a timer had failed, or 0. */
int usp_after_wait(struct usp_task *self, struct usp_offer *offer, int armed);

/* After an attempt that found nothing: who polls in a loop must not keep those from running that it polls for. */
void usp_let_others_run(void);

/* The end has no mark any more by which fair choices go on: neither has the process's habit, if it begins with it
   (near.c). */
void usp_choice_forget(const struct usp_end *end);

/* Takes back what a choice has left where it stands, if it does. `offer`: the first of its task. */
void usp_sit_down(struct usp_offer *offer);

/* Sets what the fast READ and WRITE do after an unusual wake-up. */
void usp_fast_init(void);

/* READ, WRITE and their checked forms. `seconds` negative: for ever. `none`: what to answer when there is no
   time to wait at all. Who has had to wait at a common object stays counted in: the caller leaves (common.h). */
int usp_transact(struct usp_end *end, void *value, double seconds, int none, const char *site);

#endif
