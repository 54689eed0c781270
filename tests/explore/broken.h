/* Rules broken that a line of sed cannot break; forced into a mutated file of the library. */
#ifndef TESTS_EXPLORE_BROKEN_H
#define TESTS_EXPLORE_BROKEN_H

#include "channels/channel.h"

/* usp_take, where a look and a store stand for the compare-and-swap. */
static inline struct usp_offer *take_by_store(struct usp_channel *channel, enum usp_side side)
{
    struct usp_offer *offer;
    while ((offer = channel->waiting[side].head)) {
        usp_unlink_head(&channel->waiting[side], offer);
        if (atomic_load(&offer->task->commit) != USP_OPEN)
            continue;
        USP_MARK("claimed-by-store");
        atomic_store(&offer->task->commit, usp_commit_claimed(usp_sched.worker, offer->index));
        return offer;
    }
    return NULL;
}

#endif
