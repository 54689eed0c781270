/* Semaphores: a channel with room for as many names as there are tokens. To acquire is to write
   one's name, to release is to take it out.

   Who releases a token that it does not hold takes out the oldest name, whosever that is: a
   semaphore may be used as a signal. If there is no name, the semaphore grows by one token (a
   bounded one refuses). Since it is empty then, its buffer can be replaced by a larger one. The
   tokens that a dead process held come back, but for those that came by such growth: they were
   signals, and it has seen them. */
#include <uvcsp/sync.h>

#include <errno.h>
#include <limits.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/sync.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define KIND USP_KIND(USP_SEMAPHORE)

/* ---- the channel's lock is held ---- */

/* Takes out a name; the oldest comes in its place. It is noted down first, for a supervisor. */
static void take_out(struct usp_sync *sync, uint32_t i)
{
    struct usp_channel *channel = sync->channel;
    sync->moving_to = i;
    sync->moving_read = channel->read;
    atomic_signal_fence(memory_order_seq_cst);
    sync->moving = true;
    atomic_signal_fence(memory_order_seq_cst);
    USP_FAILPOINT("token-to-move");
    *usp_name_at(channel, i) = *usp_name_at(channel, channel->read);
    USP_FAILPOINT("token-moved");
    usp_name_drop(channel);
    atomic_signal_fence(memory_order_seq_cst);
    sync->moving = false;
}

static void finish_moving(struct usp_sync *sync)
{
    struct usp_channel *channel = sync->channel;
    if (sync->moving && channel->read == sync->moving_read &&
        *usp_name_at(channel, sync->moving_to) == *usp_name_at(channel, channel->read))
        usp_name_drop(channel);
    sync->moving = false;
}

static bool take_out_one_of(struct usp_sync *sync, const struct usp_task *task)
{
    const struct usp_channel *channel = sync->channel;
    for (uint32_t i = channel->read; i != channel->written; i++)
        if (*usp_name_at(channel, i) == task) {
            take_out(sync, i);
            return true;
        }
    return false;
}

static bool make_room(struct usp_channel *channel)
{
    size_t slots = (size_t)channel->mask + 1;
    if (channel->capacity < slots)
        return true;
    if (slots > INT_MAX / 2)
        return false;
    char *larger = usp_arena_alloc(2 * slots * sizeof(struct usp_task *), USP_BLOCK_MESSAGE);
    if (!larger)
        return false;
    char *old = channel->buffer;
    usp_arena_set_owner(old, usp_worker_index()); /* if it dies, what is not the channel's is its own, and goes with it */
    USP_FAILPOINT("semaphore-to-grow");
    channel->buffer = larger; /* before the mask, which fits the larger one in any case */
    USP_FAILPOINT("semaphore-grows");
    atomic_signal_fence(memory_order_seq_cst);
    channel->mask = (uint32_t)(2 * slots - 1);
    usp_arena_set_owner(larger, USP_NOBODY);
    usp_arena_free(old);
    return true;
}

/* `lease` says whether the task may hold a token at all. */
static int give_back(struct usp_sync *sync, const struct usp_task *task,
                     const struct usp_lease *lease)
{
    struct usp_channel *channel = sync->channel;
    if (usp_buffered(channel) > 0) {
        if (!task || !lease || lease->holds == 0 || !take_out_one_of(sync, task))
            usp_name_drop(channel);
        return 0;
    }
    if (sync->bounded || channel->capacity == INT_MAX)
        return -EOVERFLOW;
    if (!make_room(channel))
        return -ENOMEM;
    channel->capacity++;
    return 0;
}

static void serve(struct usp_channel *channel)
{
    while (channel->waiting[USP_WRITER].head && usp_buffered(channel) < channel->capacity)
        usp_refill(channel);
}

void usp_semaphore_gone(struct usp_sync *sync, const struct usp_gone *gone)
{
    struct usp_channel *channel = sync->channel;
    usp_lock(channel);
    finish_moving(sync);
    for (uint32_t i = channel->read; i != channel->written; i++) {
        if (!usp_is_gone(gone, *usp_name_at(channel, i)))
            continue;
        take_out(sync, i); /* what comes in its place has been looked at */
        if (channel->capacity > sync->initial)
            channel->capacity--;
        else
            atomic_fetch_add(&sync->deaths, 1);
    }
    serve(channel);
    usp_unlock(channel);
}

/* ---- public ---- */

static uvcsp_semaphore *make(int value, bool bounded, const char *site)
{
    if (value < 0) {
        USP_ENTER();
        usp_report("%s: a semaphore of %d tokens", site ? site : "?", value);
        errno = EINVAL;
        return NULL;
    }
    /* the largest buffer has 2^30 slots, of which only those of tokens that are held are ever
     * touched */
    struct usp_sync *sync =
        usp_sync_new(USP_SEMAPHORE, value > 0 ? (uint32_t)value : 1, 0, "semaphore", site);
    if (!sync)
        return NULL;
    sync->channel->capacity = (uint32_t)value;
    sync->initial = (uint32_t)value;
    sync->bounded = bounded;
    return (uvcsp_semaphore *)sync;
}

uvcsp_semaphore *uvcsp_semaphore_new_at(int value, const char *site)
{
    return make(value, false, site);
}

uvcsp_semaphore *uvcsp_bounded_semaphore_new_at(int value, const char *site)
{
    return make(value, true, site);
}

void uvcsp_semaphore_free(uvcsp_semaphore *semaphore)
{
    usp_sync_free(semaphore, KIND, "uvcsp_semaphore_free");
}

static int acquired(struct usp_sync *sync, struct usp_lease *lease)
{
    lease->holds++;
    uint32_t deaths = atomic_load_explicit(&sync->deaths, memory_order_relaxed);
    while (deaths > 0)
        if (atomic_compare_exchange_weak(&sync->deaths, &deaths, deaths - 1))
            return UVCSP_OWNER_DIED;
    return UVCSP_OK;
}

int (uvcsp_semaphore_acquire)(uvcsp_semaphore *semaphore, double seconds)
{
    struct usp_sync *sync = usp_sync_of(semaphore, KIND, "uvcsp_semaphore_acquire");
    if (!sync || !usp_timeout_is_good(seconds, "uvcsp_semaphore_acquire"))
        return -EINVAL;
    struct usp_task *self = usp_sync_self("uvcsp_semaphore_acquire");
    struct usp_lease *lease = usp_lease();
    if (!lease)
        return -ENOMEM;
    uint32_t used = usp_common_used(self);
    int rc = usp_transact(&sync->end, &self, seconds, UVCSP_TIMEOUT, "uvcsp_semaphore_acquire");
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    rc = rc == 0 ? acquired(sync, lease) : rc;
    usp_common_leave(self, used);
    return rc;
}

int uvcsp_semaphore_release(uvcsp_semaphore *semaphore)
{
    struct usp_sync *sync = usp_sync_of(semaphore, KIND, "uvcsp_semaphore_release");
    if (!sync)
        return -EINVAL;
    struct usp_lease *lease = usp_lease();
    struct usp_channel *channel = sync->channel;
    usp_lock(channel);
    int rc = give_back(sync, usp_current()->task, lease);
    USP_FAILPOINT("token-back");
    if (rc == 0)
        serve(channel);
    USP_FAILPOINT("token-served");
    usp_unlock(channel);
    if (rc == -EOVERFLOW)
        usp_report("uvcsp_semaphore_release: the semaphore has all of its %u tokens",
                   channel->capacity);
    return rc;
}

int uvcsp_semaphore_value(uvcsp_semaphore *semaphore)
{
    struct usp_sync *sync = usp_sync_of(semaphore, KIND, "uvcsp_semaphore_value");
    if (!sync)
        return -EINVAL;
    usp_lock(sync->channel);
    int value = (int)(sync->channel->capacity - usp_buffered(sync->channel));
    usp_unlock(sync->channel);
    return value;
}

uvcsp_guard uvcsp_on_semaphore(uvcsp_semaphore *semaphore)
{
    return usp_guard_of_name(semaphore, KIND, "ON_SEMAPHORE");
}
