/* READ and WRITE of a plain value at a channel that is biased to this worker, by the checked forms and by choices: what can be
   done at once, with a partner that waits or with the buffer. Where the partner is a choice it is one like any other. */
#include "channels/io.h"
#include "channels/lock.h"

/* Others wait. The lock is held, and is released. */
static inline enum usp_at_once meet(struct usp_channel *channel, enum usp_side side, void *value)
{
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer;
    struct usp_task *task = NULL;
    while (!task && (offer = queue->head)) {
        usp_unlink_head(queue, offer);
        task = usp_claim_near(offer);
    }
    usp_unlock_biased(channel);
    if (!task)
        return USP_MET_NOBODY;
    usp_copy(side == USP_READER ? value : offer->data, side == USP_READER ? offer->data : value,
             channel->size);
    usp_ready_partner(task->fibre, side == USP_WRITER);
    return USP_MET;
}

enum usp_at_once usp_at_once(struct usp_end *end, enum usp_side side, void *value)
{
    if (!usp_is_ordinary_of_any_kind(end, side))
        return USP_NOT_AT_ONCE;
    struct usp_channel *channel = end->channel;
    uint64_t pass = usp_gates[end->kind];
    if (!usp_may_pass(channel, pass))
        return USP_NOT_AT_ONCE;
    if (end->kind == USP_RENDEZVOUS && !channel->waiting[usp_other(side)].head)
        return USP_MET_NOBODY;
    if (!usp_pass(channel, pass))
        return USP_NOT_AT_ONCE;
    if (end->kind == USP_RENDEZVOUS)
        return meet(channel, side, value);
    bool done = usp_use_buffer(end, value);
    usp_unlock_biased(channel);
    if (done)
        return USP_MET;
    /* readers that wait are given the message by the general way */
    return side == USP_WRITER && channel->waiting[USP_READER].head ? USP_NOT_AT_ONCE : USP_MET_NOBODY;
}
