/* The lock of a channel.

   A channel whose ends are all of one worker is biased to it: that worker takes the lock by two plain stores,
   `inside` up and down, and no atomic operation. Whoever else wants the lock first takes the bias away, for
   good: it marks the bias REVOKING, has the kernel run a memory barrier in every worker (membarrier, the slow
   half of an asymmetric Dekker protocol: Dice, Huang, Yang, "Asymmetric Dekker synchronization", 2001),
   and waits until the owner is not inside. From then on the lock is a word that names its holder.

   A buffer that several workers use has lanes besides (lane.h): who has taken the word waits until nobody is in one.

   An ordinary program never comes to that: the parent takes the bias away when it makes an end for another
   worker, before that worker exists. */
#ifndef USP_CHANNELS_LOCK_H
#define USP_CHANNELS_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channels/channel.h"
#include "runtime/failpoint.h"
#include "runtime/scheduler.h"


#define USP_REVOKING 0x10000u /* in `bias`, with the revoker's index plus 1 */
#define USP_REPAIRING 2u       /* in `inside`, with the repairer's index added */
#define USP_REPAIRS 0x10000u   /* the same, in the holder of a lane */

void usp_lock_slowly(struct usp_channel *channel);
void usp_lanes_clear(struct usp_channel *channel);
/* Waits a little for that holder of a lane, and now and then looks whether it has died. */
void usp_lane_relax(unsigned *rounds, uint32_t holder);
/* The word `lock` is this worker's: waits until nobody is in a lane, if there are any (lane.h). */
static inline void usp_keep_lanes_clear(struct usp_channel *channel)
{
    if (!usp_is_laned(channel))
        return;
    USP_MARK("lock-taken-of-lanes");
    usp_lanes_clear(channel);
}

static inline bool usp_lock_biased(struct usp_channel *channel)
{
    uint32_t mine = usp_sched.holder;
    if (atomic_load_explicit(&channel->bias, memory_order_relaxed) != mine)
        return false;
    atomic_store_explicit(&channel->inside, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* with the revoker's membarrier a full one */
    USP_MARK("inside-by-bias");
    if (__builtin_expect(atomic_load_explicit(&channel->bias, memory_order_relaxed) == mine, 1))
        return true;
    atomic_store_explicit(&channel->inside, 0, memory_order_release);
    return false;
}
/* `pass` is one of usp_gates: the channel is biased to this worker, and asks for that and no more. */
static inline bool usp_may_pass(const struct usp_channel *channel, uint64_t pass)
{
    return channel->gate == pass;
}
/* Takes the same lock, if the gate is still what usp_may_pass() has just found. */
static inline bool usp_pass(struct usp_channel *channel, uint64_t pass)
{
    atomic_store_explicit(&channel->inside, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(usp_may_pass(channel, pass), 1))
        return true;
    atomic_store_explicit(&channel->inside, 0, memory_order_release);
    return false;
}
static inline void usp_unlock_biased(struct usp_channel *channel)
{
    atomic_store_explicit(&channel->inside, 0, memory_order_release);
}

static inline bool usp_try_lock(struct usp_channel *channel)
{
    uint16_t nobody = 0;
    if (atomic_load_explicit(&channel->bias, memory_order_acquire) != 0 ||
        !atomic_compare_exchange_strong(&channel->lock, &nobody, (uint16_t)(usp_sched.worker + 1)))
        return false;
    usp_keep_lanes_clear(channel);
    return true;
}
static inline void usp_lock(struct usp_channel *channel)
{
    if (!usp_lock_biased(channel) && __builtin_expect(!usp_try_lock(channel), 0))
        usp_lock_slowly(channel);
    USP_FAILPOINT("channel-locked");
}
static inline void usp_unlock(struct usp_channel *channel)
{
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) == usp_sched.worker + 1)
        atomic_store_explicit(&channel->lock, 0, memory_order_release);
    else
        usp_unlock_biased(channel);
    USP_MARK("channel-unlocked");
}

/* The lock is held, by bias or not. Afterwards it is held, and not by bias. */
void usp_unbias(struct usp_channel *channel);
/* Registers this process for the barrier; new workers inherit that. Where the kernel has none, nothing is ever
   biased. */
void usp_bias_init(void);
/* What `bias` is for a channel of that worker's. */
uint32_t usp_bias_of(unsigned worker);

#endif
