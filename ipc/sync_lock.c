/* Locks: a channel of capacity 1 with the name of the holder in it.

   Who releases a lock for which others wait wakes the first of them and leaves the lock free: it
   may be taken again before that one runs, which is what keeps a lock that is in much demand from
   being handed from sleeper to sleeper. Every few times, and to a choice (which may take another
   guard when it looks again, and then the wake-up would be lost), it is handed over instead: the
   name of the next holder replaces that of the last.

   Who finds the lock taken by another worker that is awake looks a while before it waits: sections
   are short. */
#include <uvcsp/sync.h>

#include <errno.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/sync.h"
#include "runtime/report.h"

#define LOCKS (USP_KIND(USP_LOCK) | USP_KIND(USP_RLOCK))
#define SPIN_TICKS 30000 /* ten microseconds or so */
#define OFF_TICKS 500
#define OFF_TICKS_MOST 4000
#define GLANCES 4
#define HAND_OVER 8     /* every so many wake-ups */

static inline bool is_free(const struct usp_channel *channel)
{
    return *(const volatile uint32_t *)&channel->written ==
           *(const volatile uint32_t *)&channel->read;
}

/* The name in the buffer is a task's of this worker's own only if it is held by it: only it puts
   and drops its name. The counters are read first; whoever put a message in wrote its name before.
 */
static inline bool is_mine(const struct usp_sync *sync, const struct usp_task *self)
{
    if (is_free(sync->channel))
        return false;
    atomic_thread_fence(memory_order_acquire);
    return *(struct usp_task *const volatile *)usp_name_at(sync->channel, 0) == self;
}

/* To a choice that guards an rlock which its process has: in once more. The channel's lock is held.
 */
static bool again(struct usp_end *end, const void *value)
{
    struct usp_sync *sync = (struct usp_sync *)((char *)end - offsetof(struct usp_sync, end));
    const struct usp_task *self = usp_current()->task;
    if (*(struct usp_task *const *)value != self || !is_mine(sync, self))
        return false;
    sync->depth++;
    return true;
}

__attribute__((constructor)) static void let_rlocks_nest(void)
{
    usp_nests = again;
}

bool usp_lock_is_mine(const struct usp_sync *sync)
{
    return usp_current()->task && is_mine(sync, usp_current()->task);
}

/* ---- acquire ---- */

static inline bool take_if_free(struct usp_channel *channel, struct usp_task *self)
{
    if (!usp_try_lock(channel))
        return false;
    bool free = channel->written == channel->read && !channel->ended;
    if (free)
        usp_name_put(channel, self);
    atomic_store_explicit(&channel->lock, 0, memory_order_release);
    return free;
}

/* Is it worth looking a while? Not where the holder is of this worker, or asleep. */
static bool holder_runs(const struct usp_channel *channel)
{
    const struct usp_task *holder = *(struct usp_task *const volatile *)usp_name_at(channel, 0);
    if (is_free(channel) || !holder)
        return true;
    unsigned worker = holder->worker;
    return worker != usp_worker_index() && worker < USP_MAX_WORKERS &&
           !atomic_load_explicit(&usp_worker_of(worker)->sleeping, memory_order_relaxed);
}

static void keep_off(uint64_t ticks)
{
    uint64_t start = usp_ticks();
    do {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } while (usp_ticks() - start < ticks);
}

/* Who looks takes the lock's line of the cache away from who works with it. So it keeps off for
   longer and longer between two glances, and the other may take the lock many times meanwhile
   (exponential back-off: Anderson, "The performance of spin lock alternatives for shared-memory
   multiprocessors", 1990). */
static bool take_awake(struct usp_channel *channel, struct usp_task *self)
{
    uint64_t start = usp_ticks(), off = OFF_TICKS;
    do {
        keep_off(off);
        if (off < OFF_TICKS_MOST)
            off *= 2;
        for (int glance = 0; glance < GLANCES; glance++) {
            if (is_free(channel)) {
                if (take_if_free(channel, self))
                    return true;
            } else if (!holder_runs(channel)) {
                return false;
            }
        }
    } while (usp_ticks() - start < SPIN_TICKS);
    return false;
}

static inline int acquired(struct usp_sync *sync, struct usp_lease *lease)
{
    lease->holds++;
    return __builtin_expect(sync->after_death, 0) ? UVCSP_OWNER_DIED : UVCSP_OK;
}

__attribute__((noinline)) static int acquire_slowly(struct usp_sync *sync, double seconds,
                                                    const char *site, struct usp_task *self,
                                                    struct usp_lease *lease)
{
    if (seconds != 0 && take_awake(sync->channel, self))
        return acquired(sync, lease);
    struct usp_task *name =
        self; /* not in the arena: by that usp_lock_release knows that it is no choice */
    uint32_t used = usp_common_used(self);
    int rc = usp_transact(&sync->end, &name, seconds, UVCSP_TIMEOUT, site);
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    rc = rc == 0 ? acquired(sync, lease) : rc;
    usp_common_leave(self, used);
    return rc;
}

/* What the short ways of acquire and release leave over: all that is not a lock which nobody else
   wants. Apart, so that those need not save registers. */
__attribute__((noinline)) static int acquire_generally(struct usp_sync *sync, double seconds,
                                                       const char *site)
{
    struct usp_task *self = usp_current()->task;
    struct usp_lease *lease = usp_lease();
    if (__builtin_expect(!self || !lease, 0)) {
        usp_sync_self(site);
        return -ENOMEM;
    }
    if (take_if_free(sync->channel, self))
        return acquired(sync, lease);
    if (sync->kind == USP_RLOCK && is_mine(sync, self)) {
        sync->depth++;
        return sync->after_death ? UVCSP_OWNER_DIED : UVCSP_OK;
    }
    return acquire_slowly(sync, seconds, site, self, lease);
}

int usp_lock_acquire(struct usp_sync *sync, double seconds, const char *site)
{
    struct usp_task *self = usp_current()->task;
    struct usp_lease *lease = usp_lease_at_hand();
    if (__builtin_expect(self && lease && take_if_free(sync->channel, self), 1))
        return acquired(sync, lease);
    return acquire_generally(sync, seconds, site);
}

/* ---- release; the channel's lock is held, and is released ---- */

/* A choice offers its task's own name as it lies in the arena. */
static bool is_choice(const struct usp_offer *offer)
{
    return offer->data == &usp_wait_of(offer->task)->first.task;
}

static void pass_on(struct usp_sync *sync, bool death)
{
    struct usp_channel *channel = sync->channel;
    struct usp_offer *first = channel->waiting[USP_WRITER].head;
    struct usp_task *woken = NULL;
    sync->depth = 0;
    sync->after_death = death;
    usp_name_drop(channel);
    if (first && !death && !is_choice(first) && ++sync->wakes % HAND_OVER != 0) {
        struct usp_offer *offer = usp_take(channel, USP_WRITER);
        if (offer && is_choice(offer)) /* the first had given up meanwhile */
            usp_name_hand(channel, offer->task);
        else if (offer)
            offer->task->outcome = USP_RETRY;
        woken = offer ? offer->task : NULL;
    } else if (first) {
        usp_refill(channel);
    }
    USP_FAILPOINT("lock-passed-on");
    usp_unlock(channel);
    USP_FAILPOINT("lock-waiter-to-wake");
    if (woken)
        usp_wake_any(woken);
}

__attribute__((noinline)) static int release_generally(struct usp_sync *sync, const char *what)
{
    struct usp_channel *channel = sync->channel;
    struct usp_task *self = usp_current()->task;
    bool mine = self && is_mine(sync, self);
    if (!mine && (sync->kind == USP_RLOCK || is_free(channel))) {
        usp_report("%s: the lock is not held%s", what, is_free(channel) ? "" : " by this process");
        return -EPERM;
    }
    if (sync->depth > 0) {
        sync->depth--;
        return 0;
    }
    struct usp_lease *lease = mine ? usp_lease() : NULL;
    if (lease && lease->holds > 0 && lease->holds < USP_MAY_HOLD)
        lease->holds--;
    usp_lock(channel);
    USP_FAILPOINT("lock-to-release");
    if (__builtin_expect(!channel->waiting[USP_WRITER].head && channel->written != channel->read,
                         1)) {
        sync->after_death = false;
        usp_name_drop(channel);
        usp_unlock(channel);
    } else if (channel->written != channel->read) {
        pass_on(sync, false);
    } else {
        usp_unlock(channel); /* another process has released it at the same time */
    }
    return 0;
}

int usp_lock_release(struct usp_sync *sync, const char *what)
{
    struct usp_channel *channel = sync->channel;
    struct usp_task *self = usp_current()->task;
    struct usp_lease *lease = usp_lease_at_hand();
    bool simple = self && lease && lease->holds > 0 && lease->holds < USP_MAY_HOLD &&
                  is_mine(sync, self) && sync->depth == 0 && !channel->waiting[USP_WRITER].head;
    if (__builtin_expect(!simple || !usp_try_lock(channel), 0))
        return release_generally(sync, what);
    USP_FAILPOINT("lock-to-release");
    bool held =
        channel->written != channel->read; /* or another process has released it at the same time */
    if (__builtin_expect(held && channel->waiting[USP_WRITER].head, 0)) {
        usp_unlock(channel);
        return release_generally(sync, what);
    }
    if (held) {
        sync->after_death = false;
        usp_name_drop(channel);
    }
    lease->holds--;
    atomic_store_explicit(&channel->lock, 0, memory_order_release);
    return 0;
}

uint32_t usp_lock_let_go(struct usp_sync *sync)
{
    uint32_t depth = sync->depth;
    sync->depth = 0;
    (void)usp_lock_release(sync, "");
    return depth;
}

int usp_lock_take_back(struct usp_sync *sync, uint32_t depth, const char *site)
{
    int rc = usp_lock_acquire(sync, -1, site);
    if (rc == UVCSP_OK || rc == UVCSP_OWNER_DIED)
        sync->depth = depth;
    return rc;
}

void usp_lock_gone(struct usp_sync *sync, const struct usp_gone *gone)
{
    struct usp_channel *channel = sync->channel;
    usp_lock(channel);
    if (channel->written != channel->read && usp_is_gone(gone, *usp_name_at(channel, 0)))
        pass_on(sync, true);
    else if (channel->written == channel->read && channel->waiting[USP_WRITER].head) {
        usp_refill(channel); /* it died after it had dropped its name, before it woke anybody */
        usp_unlock(channel);
    } else {
        usp_unlock(channel);
    }
}

/* ---- public ---- */

static int acquire(void *x, unsigned kind, double seconds, const char *what)
{
    struct usp_sync *sync = usp_sync_of(x, kind, what);
    return sync && usp_timeout_is_good(seconds, what) ? usp_lock_acquire(sync, seconds, what) : -EINVAL;
}

static int release(void *x, unsigned kind, const char *what)
{
    struct usp_sync *sync = usp_sync_of(x, kind, what);
    return sync ? usp_lock_release(sync, what) : -EINVAL;
}

uvcsp_guard usp_guard_of_name(void *x, unsigned kind, const char *what)
{
    struct usp_sync *sync = usp_sync_of(x, kind, what);
    struct usp_task *self = usp_sync_self(what);
    struct usp_lease *lease = usp_lease();
    if (!sync || !lease)
        return (uvcsp_guard){.kind = UVCSP_GUARD_WRITE, .on = true};
    lease->holds |= USP_MAY_HOLD;
    return (uvcsp_guard){.kind = UVCSP_GUARD_WRITE,
                         .on = true,
                         .subject = &sync->end,
                         .data = &usp_wait_of(self)->first.task};
}

uvcsp_lock *uvcsp_lock_new_at(const char *site)
{
    return (uvcsp_lock *)usp_sync_new(USP_LOCK, 1, 0, "lock", site);
}

void uvcsp_lock_free(uvcsp_lock *lock)
{
    usp_sync_free(lock, USP_KIND(USP_LOCK), "uvcsp_lock_free");
}

int (uvcsp_lock_acquire)(uvcsp_lock *lock, double seconds)
{
    return acquire(lock, USP_KIND(USP_LOCK), seconds, "uvcsp_lock_acquire");
}

int uvcsp_lock_release(uvcsp_lock *lock)
{
    return release(lock, USP_KIND(USP_LOCK), "uvcsp_lock_release");
}

uvcsp_guard uvcsp_on_lock(uvcsp_lock *lock)
{
    return usp_guard_of_name(lock, USP_KIND(USP_LOCK), "ON_LOCK");
}

uvcsp_rlock *uvcsp_rlock_new_at(const char *site)
{
    struct usp_sync *sync = usp_sync_new(USP_RLOCK, 1, 0, "rlock", site);
    if (sync)
        sync->end.nests = 1;
    return (uvcsp_rlock *)sync;
}

void uvcsp_rlock_free(uvcsp_rlock *lock)
{
    usp_sync_free(lock, USP_KIND(USP_RLOCK), "uvcsp_rlock_free");
}

int (uvcsp_rlock_acquire)(uvcsp_rlock *lock, double seconds)
{
    return acquire(lock, USP_KIND(USP_RLOCK), seconds, "uvcsp_rlock_acquire");
}

int uvcsp_rlock_release(uvcsp_rlock *lock)
{
    return release(lock, USP_KIND(USP_RLOCK), "uvcsp_rlock_release");
}

uvcsp_guard uvcsp_on_rlock(uvcsp_rlock *lock)
{
    return usp_guard_of_name(lock, USP_KIND(USP_RLOCK), "ON_RLOCK");
}

bool uvcsp_lock_after_death(void *lock)
{
    struct usp_sync *sync = usp_sync_of(lock, LOCKS, "uvcsp_lock_after_death");
    return sync && sync->after_death && usp_lock_is_mine(sync);
}
