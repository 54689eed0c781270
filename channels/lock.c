/* The lock of a channel, where it is not a matter of two stores. */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels/channel.h"

static bool can_bias;

void usp_bias_init(void)
{
    can_bias = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

uint32_t usp_bias_of(unsigned worker)
{
    return can_bias && worker < USP_MAX_WORKERS ? worker + 1 : 0;
}

static void relax(unsigned *rounds)
{
    for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    if (++*rounds % 4 == 0)
        sched_yield();
    if (*rounds % 256 == 0)
        usp_supervise_stuck(0);
}

void usp_bias_wait(struct usp_channel *channel)
{
    unsigned rounds = 0;
    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
    while (atomic_load_explicit(&channel->inside, memory_order_acquire))
        relax(&rounds);
    atomic_store_explicit(&channel->bias, 0, memory_order_release);
}

/* One try to take the bias away. */
static void take_bias(struct usp_channel *channel)
{
    uint32_t owner = atomic_load_explicit(&channel->bias, memory_order_relaxed);
    if (owner != 0 && !(owner & USP_REVOKING) &&
        atomic_compare_exchange_strong(&channel->bias, &owner,
                                       USP_REVOKING | (usp_worker_index() + 1)))
        usp_bias_wait(channel);
}

/* The holder may have been preempted, or have died: then its supervisor, which may be spinning here
   itself, takes the lock over. */
void usp_lock_slowly(struct usp_channel *channel)
{
    unsigned rounds = 0;
    while (!usp_try_lock(channel)) {
        take_bias(channel);
        relax(&rounds);
    }
}

void usp_unbias(struct usp_channel *channel)
{
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) == usp_worker_index() + 1)
        return;
    atomic_store_explicit(&channel->lock, usp_worker_index() + 1, memory_order_relaxed);
    atomic_store_explicit(&channel->bias, 0, memory_order_release);
    usp_unlock_biased(channel);
}
