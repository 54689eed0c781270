/* The lanes of a buffer that several workers use.

   Writers and readers of such a buffer need not keep each other out as long as it is neither full nor empty: the
   lock would go to and fro between two processors, with a message each time. So each side has a lane: a lock of its
   own, the count of what has entered or left, and what it has last seen of the other side's count. Both counts are looked at
   together only when a lane finds the buffer full or empty by what it has seen (as in Lamport's ring, "Proving the correctness of
   multiprocess programs", 1977, with the counts kept as in Lee et al., "A lock-free, cache-efficient shared ring buffer", 2009).

   Everything else is done under the lock of the channel as before: to wait, to choose, to end it, to look at it. Who takes that
   lock waits until nobody is in a lane, and who has taken a lane looks whether somebody has the lock; each of the two first
   writes, with a full barrier, and then looks (Dekker). So who is in a lane excludes whoever has the lock, and both
   see the buffer as it is.

   A lane holds up nobody but for a copy. Of what it guards nothing can be half done: a message is in, or out, by
   one store. So the lane of a worker that has died is freed, and as a rule that is all.

   A message of variable length may have a block of the arena, which is nobody's while it is in the buffer, or it would go with
   whoever dies. It becomes so just before it is in, and somebody's just before it is out; so the lane first notes which block, and at what
   count. Who frees the lane of a dead worker finds by that count whether the message has passed, and if not, does the rest
   backwards: the block is no longer in the buffer's way, or is the buffer's again.

   Buffers of mobile ends have no lanes, nor those of one message, which are full or empty all the time. They are
   made when a second worker is to have an end, and stay. */
#ifndef USP_CHANNELS_LANE_H
#define USP_CHANNELS_LANE_H

#include "channels/message.h"

/* Gives the channel lanes, if they are of use for it and the arena has room; the lock is held, and not by bias. */
void usp_lanes_make(struct usp_channel *channel);
/* After a crash of who was making them; the same. */
void usp_lanes_complete(struct usp_channel *channel);
/* Frees what a worker that has died held; when this returns it has been done, by whomever. No lock is held: others may be
   freeing the channel. */
void usp_lanes_seize(struct usp_channel *channel, unsigned dead);

/* Has a writer to wait? From the writers' lane alone, if there is one, and so perhaps of a while ago: false is right. The lock is not held. */
static inline bool usp_seems_full(const struct usp_channel *channel)
{
    if (!usp_is_laned(channel))
        return usp_is_full(channel);
    const struct usp_lane *lane = &channel->lanes[USP_WRITER];
    uint32_t n = __atomic_load_n(&lane->count, __ATOMIC_RELAXED) - __atomic_load_n(&lane->seen, __ATOMIC_RELAXED);
    int64_t bytes = __atomic_load_n(&lane->bytes, __ATOMIC_RELAXED) - __atomic_load_n(&lane->bytes_seen, __ATOMIC_RELAXED);
    return n >= channel->capacity || (channel->enough && bytes >= channel->enough);
}

/* READ or WRITE at a channel with lanes by an end that has not retired, no lock held, if that is all there is to do. `bytes`:
   those of the value that is written; of a plain one they are not looked at. False: nothing was done. It is full or empty, or somebody
   waits or has the lock, or it has ended, or there is no memory. */
bool usp_lane_use(struct usp_channel *channel, enum usp_side side, void *value, const struct usp_bytes *bytes);
bool usp_lane_use_plain(struct usp_channel *channel, enum usp_side side, void *value);
/* The same. Where it is full or empty, it is waited for a moment whether the other side, in another worker, does something. */
bool usp_lane_await(struct usp_channel *channel, enum usp_side side, void *value, const struct usp_bytes *bytes);

#endif
