/* The lock of a channel, where it is not a matter of two stores. */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels/lock.h"

static bool can_bias;

void usp_bias_init(void)
{
    can_bias = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

uint32_t usp_bias_of(unsigned worker)
{
    return can_bias && worker < USP_MAX_WORKERS ? worker + 1 : 0;
}

/* Who holds it, or keeps it from being had: its index, or UINT32_MAX. */
static unsigned holder_of(const struct usp_channel *channel)
{
    uint32_t holder = atomic_load_explicit(&channel->lock, memory_order_relaxed);
    if (holder)
        return holder - 1;
    uint32_t bias = atomic_load_explicit(&channel->bias, memory_order_relaxed);
    return bias & USP_REVOKING ? bias - 1 - USP_REVOKING : UINT32_MAX;
}

static unsigned insider_of(const struct usp_channel *channel)
{
    uint32_t inside = atomic_load_explicit(&channel->inside, memory_order_relaxed);
    return inside >= USP_REPAIRING ? inside - USP_REPAIRING : channel->home;
}

static void relax(unsigned *rounds, unsigned holder)
{
    for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    if (++*rounds % 4 == 0)
        sched_yield();
    if (*rounds % 256 == 0)
        usp_supervise_stuck(holder);
}

/* The bias is about to go: from here on it is the tickets that the queues are rebuilt by. Nobody else can have the lock meanwhile. */
static void number(struct usp_channel *channel)
{
    for (enum usp_side side = USP_READER; side <= USP_WRITER; side++)
        for (struct usp_offer *offer = channel->waiting[side].head; offer; offer = offer->next)
            offer->ticket = channel->ticket++;
}

/* The bias is marked so, with REVOKING: waits until the owner is not inside, and clears it. */
static void bias_wait(struct usp_channel *channel, uint32_t mark)
{
    unsigned rounds = 0;
    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
    while (atomic_load_explicit(&channel->inside, memory_order_acquire)) {
        USP_SPINS(&channel->inside);
        relax(&rounds, insider_of(channel));
    }
    /* Its owner may have given it away itself meanwhile, and to another worker. Who has the lock although it is marked repairs what a
       dead owner has left, and those who waited there are dead as well. */
    if (atomic_load(&channel->bias) == mark && atomic_load(&channel->lock) == 0)
        number(channel);
    atomic_compare_exchange_strong_explicit(&channel->bias, &mark, 0, memory_order_release, memory_order_relaxed);
}

void usp_lane_relax(unsigned *rounds, uint32_t holder)
{
    relax(rounds, holder >= USP_REPAIRS ? holder - USP_REPAIRS : holder - 1);
}

void usp_lanes_clear(struct usp_channel *channel)
{
    for (enum usp_side side = USP_READER; side <= USP_WRITER; side++) {
        _Atomic uint32_t *holder = &channel->lanes[side].holder;
        unsigned rounds = 0;
        uint32_t in;
        while ((in = atomic_load(holder)) != 0) {
            USP_SPINS(holder);
            usp_lane_relax(&rounds, in);
        }
    }
}

/* One try to take the bias away. It may be that somebody else does, or nobody has it. */
static void take_bias(struct usp_channel *channel)
{
    uint32_t owner = atomic_load_explicit(&channel->bias, memory_order_relaxed);
    uint32_t mark = USP_REVOKING | (usp_worker_index() + 1);
    if (owner == 0 || owner & USP_REVOKING || !atomic_compare_exchange_strong(&channel->bias, &owner, mark))
        return;
    USP_FAILPOINT("bias-revoking");
    bias_wait(channel, mark);
    USP_FAILPOINT("bias-gone");
}

/* The holder may have been preempted, or have died: then whoever finds that out takes the lock over. */
void usp_lock_slowly(struct usp_channel *channel)
{
    unsigned rounds = 0;
    while (!usp_try_lock(channel)) {
        take_bias(channel);
        if (atomic_load(&channel->lock))
            USP_SPINS(&channel->lock);
        else
            USP_SPINS(&channel->bias);
        relax(&rounds, holder_of(channel));
    }
}

void usp_unbias(struct usp_channel *channel)
{
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) == usp_worker_index() + 1)
        return;
    number(channel);
    atomic_store_explicit(&channel->lock, (uint16_t)(usp_worker_index() + 1), memory_order_relaxed);
    atomic_store_explicit(&channel->bias, 0, memory_order_release);
    usp_unlock_biased(channel);
}
