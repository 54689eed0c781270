/* Conditions. Who waits stands in the queue of the readers before it releases the lock, so no
   notice is missed; and a notice goes to those who stand there, so nobody who comes later can take
   it. */
#include <uvcsp/sync.h>

#include <errno.h>
#include <limits.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/sync.h"
#include "runtime/report.h"

#define KIND USP_KIND(USP_CONDITION)
#define LOCKS (USP_KIND(USP_LOCK) | USP_KIND(USP_RLOCK))

uvcsp_condition *uvcsp_condition_new_at(void *lock, const char *site)
{
    struct usp_sync *of = lock ? usp_sync_of(lock, LOCKS, site ? site : "uvcsp_condition_new")
                               : usp_sync_new(USP_RLOCK, 1, 0, "lock of a condition", site);
    if (!of) {
        if (lock)
            errno = EINVAL;
        return NULL;
    }
    struct usp_sync *sync = usp_sync_new(USP_CONDITION, 0, 0, "condition", site);
    if (!sync) {
        if (!lock)
            usp_sync_free(of, LOCKS, "");
        return NULL;
    }
    usp_common_hold(&of->common);
    sync->lock = of;
    sync->own_lock = !lock;
    if (!lock)
        usp_made_unlink(&of->made); /* it goes with the condition */
    return (uvcsp_condition *)sync;
}

void uvcsp_condition_free(uvcsp_condition *condition)
{
    usp_sync_free(condition, KIND, "uvcsp_condition_free");
}

int (uvcsp_condition_acquire)(uvcsp_condition *condition, double seconds)
{
    struct usp_sync *sync = usp_sync_of(condition, KIND, "uvcsp_condition_acquire");
    if (!sync || !usp_timeout_is_good(seconds, "uvcsp_condition_acquire"))
        return -EINVAL;
    return usp_lock_acquire(sync->lock, seconds, "uvcsp_condition_acquire");
}

int uvcsp_condition_release(uvcsp_condition *condition)
{
    struct usp_sync *sync = usp_sync_of(condition, KIND, "uvcsp_condition_release");
    return sync ? usp_lock_release(sync->lock, "uvcsp_condition_release") : -EINVAL;
}

/* NULL with a line unless the running process holds the lock. */
static struct usp_sync *with_lock(uvcsp_condition *condition, const char *what, int *rcp)
{
    struct usp_sync *sync = usp_sync_of(condition, KIND, what);
    *rcp = sync ? -EPERM : -EINVAL;
    if (!sync || usp_lock_is_mine(sync->lock))
        return sync;
    usp_report("%s: the lock of the condition is not held by this process", what);
    return NULL;
}

struct letting_go {
    struct usp_sync *lock;
    uint32_t depth;
};

static void let_go(void *arg)
{
    struct letting_go *letting = arg;
    letting->depth = usp_lock_let_go(letting->lock);
}

/* Stays counted in: the condition, and so its lock, is there until the caller leaves it. */
static int wait(struct usp_sync *sync, double seconds)
{
    struct letting_go letting = {sync->lock, 0};
    usp_lock(sync->channel);
    if (sync->channel->ended) {
        usp_unlock(sync->channel);
        return UVCSP_POISONED;
    }
    int rc = usp_sync_park(sync, seconds, "uvcsp_condition_wait", let_go, &letting);
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    if (rc == USP_RETRY)
        rc = UVCSP_OK; /* who notified it died in the middle of that */
    int locked = usp_lock_take_back(letting.lock, letting.depth, "uvcsp_condition_wait");
    return locked != UVCSP_OK ? locked : rc;
}

int (uvcsp_condition_wait)(uvcsp_condition *condition, double seconds)
{
    int rc;
    struct usp_sync *sync = with_lock(condition, "uvcsp_condition_wait", &rc);
    if (!sync)
        return rc;
    if (!usp_timeout_is_good(seconds, "uvcsp_condition_wait"))
        return -EINVAL;
    struct usp_task *self = usp_current()->task;
    uint32_t used = usp_common_used(self);
    rc = wait(sync, seconds);
    usp_common_leave(self, used);
    return rc;
}

static int wait_for(struct usp_sync *sync, bool (*holds)(void *), void *arg, double seconds)
{
    double deadline = (double)uv_hrtime() * 1e-9 + seconds, left = seconds;
    while (!holds(arg)) {
        if (seconds >= 0) {
            left = deadline - (double)uv_hrtime() * 1e-9;
            if (left <= 0)
                return UVCSP_TIMEOUT;
        }
        int rc = wait(sync, left);
        if (rc != UVCSP_OK && rc != UVCSP_TIMEOUT)
            return rc;
    }
    return UVCSP_OK;
}

int (uvcsp_condition_wait_for)(uvcsp_condition *condition, bool (*holds)(void *), void *arg,
                             double seconds)
{
    int rc;
    struct usp_sync *sync = with_lock(condition, "uvcsp_condition_wait_for", &rc);
    if (!sync)
        return rc;
    if (!holds) {
        usp_report("uvcsp_condition_wait_for: the function is NULL");
        return -EINVAL;
    }
    if (!usp_timeout_is_good(seconds, "uvcsp_condition_wait_for"))
        return -EINVAL;
    struct usp_task *self = usp_current()->task;
    uint32_t used = usp_common_used(self);
    rc = wait_for(sync, holds, arg, seconds);
    usp_common_leave(self, used);
    return rc;
}

static int notify(uvcsp_condition *condition, unsigned n, const char *what)
{
    int rc;
    struct usp_sync *sync = with_lock(condition, what, &rc);
    if (!sync)
        return rc;
    struct usp_offer *offer;
    usp_lock(sync->channel);
    for (; n > 0 && (offer = usp_take(sync->channel, USP_READER)); n--) {
        USP_FAILPOINT("notice-to-give");
        usp_wake_any(offer->task);
    }
    usp_unlock(sync->channel);
    return 0;
}

int uvcsp_condition_notify(uvcsp_condition *condition, unsigned n)
{
    return notify(condition, n, "uvcsp_condition_notify");
}

int uvcsp_condition_notify_all(uvcsp_condition *condition)
{
    return notify(condition, UINT_MAX, "uvcsp_condition_notify_all");
}
