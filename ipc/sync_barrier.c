/* Barriers. Those who have arrived stand in the queue of the readers, but for the last of a round,
   who runs the action and releases the others: first it claims them all, then it counts the round,
   then it wakes them. If one of them has given up meanwhile, the round is broken. So a process that
   is woken because the last one died can tell by the count of rounds which it was.

   The barrier knows who has waited at it and has not ended since, and is broken when the worker of
   one of them dies. */
#include <uvcsp/sync.h>

#include <errno.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/sync.h"
#include "runtime/report.h"

#define KIND USP_KIND(USP_BARRIER)
#define MORE_NAMES                                                                                 \
    14 /* who takes part may change; of more than that, and twice the parties, the first is        \
          forgotten */

uvcsp_barrier *uvcsp_barrier_new_at(int parties, int (*action)(void *), void *arg, const char *site)
{
    if (parties < 1 || parties > 1 << 20) {
        USP_ENTER();
        usp_report("%s: a barrier of %d parties", site ? site : "?", parties);
        errno = EINVAL;
        return NULL;
    }
    struct usp_sync *sync =
        usp_sync_new(USP_BARRIER, 0, 2 * (uint32_t)parties + MORE_NAMES, "barrier", site);
    if (!sync)
        return NULL;
    sync->initial = (uint32_t)parties;
    sync->action = action;
    sync->arg = arg;
    return (uvcsp_barrier *)sync;
}

void uvcsp_barrier_free(uvcsp_barrier *barrier)
{
    usp_sync_free(barrier, KIND, "uvcsp_barrier_free");
}

/* ---- the channel's lock is held ---- */

static void remember(struct usp_sync *sync, struct usp_task *self)
{
    for (uint32_t i = 0; i < sync->n_names; i++)
        if (sync->names[i].task == self)
            return;
    for (uint32_t i = 0; i < sync->n_names; i++)
        if (!sync->names[i].task) {
            sync->names[i].task = self;
            return;
        }
    sync->names[sync->next_name++ % sync->n_names].task = self;
}

static void break_it(struct usp_sync *sync)
{
    sync->broken = true;
    sync->breaks++;
    sync->arrived = 0;
    usp_wake_side(sync->channel, USP_READER, UVCSP_BROKEN);
}

/* Lets the first of the queue, who have waited for this round, go on. The claimed are linked by
 * their offers. */
static int release_round(struct usp_sync *sync)
{
    struct usp_offer *claimed = NULL, *offer;
    uint32_t n = 1;
    while (n < sync->initial && (offer = usp_take(sync->channel, USP_READER))) {
        offer->next = claimed;
        claimed = offer;
        n++;
    }
    USP_FAILPOINT("round-claimed");
    int outcome = n == sync->initial ? UVCSP_OK : UVCSP_BROKEN;
    if (outcome == UVCSP_OK) {
        sync->arrived -= n;
        atomic_signal_fence(memory_order_seq_cst);
        sync->generation++;
        USP_FAILPOINT("round-counted");
    } else {
        break_it(sync);
    }
    while (claimed) {
        struct usp_task *task = claimed->task;
        claimed = claimed->next;
        task->outcome = outcome;
        usp_wake_any(task);
        USP_FAILPOINT("round-woken");
    }
    return outcome;
}

/* ---- waiting ---- */

/* The last one; the lock is held, and is released. */
static int complete(struct usp_sync *sync)
{
    int failed = 0;
    uint32_t breaks = sync->breaks;
    if (sync->action) {
        sync->actor = usp_current()->task;
        usp_unlock(sync->channel);
        failed = sync->action(sync->arg);
        usp_lock(sync->channel);
        sync->actor = NULL;
    }
    if (failed && sync->breaks == breaks)
        break_it(sync);
    int rc = sync->breaks != breaks ? UVCSP_BROKEN : release_round(sync);
    usp_unlock(sync->channel);
    return failed ? failed : rc;
}

static int wait_for_others(struct usp_sync *sync, double seconds)
{
    uint32_t generation = sync->generation;
    int rc = usp_sync_park(sync, seconds, "uvcsp_barrier_wait", NULL, NULL);
    if (rc == USP_RETRY) /* the last one died: after the round was counted, or before */
        rc = sync->generation != generation ? UVCSP_OK : UVCSP_BROKEN;
    if (rc == UVCSP_OK || rc == UVCSP_BROKEN || rc == UVCSP_POISONED)
        return rc;
    usp_lock(sync->channel);
    break_it(sync);
    usp_unlock(sync->channel);
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    return rc;
}

int (uvcsp_barrier_wait)(uvcsp_barrier *barrier, double seconds, int *indexp)
{
    struct usp_sync *sync = usp_sync_of(barrier, KIND, "uvcsp_barrier_wait");
    if (!sync || !usp_timeout_is_good(seconds, "uvcsp_barrier_wait"))
        return -EINVAL;
    struct usp_task *self = usp_sync_self("uvcsp_barrier_wait");
    struct usp_lease *lease = usp_lease();
    if (!lease)
        return -ENOMEM;
    lease->holds |= USP_MAY_HOLD;
    usp_lock(sync->channel);
    remember(sync, self);
    if (sync->broken || sync->channel->ended) {
        int rc = sync->broken ? UVCSP_BROKEN : UVCSP_POISONED;
        usp_unlock(sync->channel);
        return rc;
    }
    uint32_t index = sync->arrived++;
    if (indexp)
        *indexp = (int)(index % sync->initial);
    if (index + 1 == sync->initial && !sync->actor)
        return complete(sync);
    uint32_t used = usp_common_used(self);
    int rc = wait_for_others(sync, seconds);
    usp_common_leave(self, used);
    return rc;
}

void usp_barrier_gone(struct usp_sync *sync, const struct usp_gone *gone)
{
    bool known = false;
    usp_lock(sync->channel);
    for (uint32_t i = 0; i < sync->n_names; i++)
        if (sync->names[i].task && usp_is_gone(gone, sync->names[i].task)) {
            sync->names[i].task = NULL;
            known = true;
        }
    bool in_action = sync->actor && usp_is_gone(gone, sync->actor);
    if (in_action)
        sync->actor = NULL;
    if ((known && !gone->task) || in_action)
        break_it(sync);
    usp_unlock(sync->channel);
}

/* ---- the rest of its face ---- */

static struct usp_sync *locked(uvcsp_barrier *barrier, const char *what)
{
    struct usp_sync *sync = usp_sync_of(barrier, KIND, what);
    if (sync)
        usp_lock(sync->channel);
    return sync;
}

int uvcsp_barrier_abort(uvcsp_barrier *barrier)
{
    struct usp_sync *sync = locked(barrier, "uvcsp_barrier_abort");
    if (!sync)
        return -EINVAL;
    break_it(sync);
    usp_unlock(sync->channel);
    return 0;
}

int uvcsp_barrier_reset(uvcsp_barrier *barrier)
{
    struct usp_sync *sync = locked(barrier, "uvcsp_barrier_reset");
    if (!sync)
        return -EINVAL;
    break_it(sync);
    sync->broken = false;
    usp_unlock(sync->channel);
    return 0;
}

bool uvcsp_barrier_broken(uvcsp_barrier *barrier)
{
    struct usp_sync *sync = locked(barrier, "uvcsp_barrier_broken");
    if (!sync)
        return true;
    bool broken = sync->broken;
    usp_unlock(sync->channel);
    return broken;
}

int uvcsp_barrier_n_waiting(uvcsp_barrier *barrier)
{
    struct usp_sync *sync = locked(barrier, "uvcsp_barrier_n_waiting");
    if (!sync)
        return -EINVAL;
    int n = (int)sync->arrived;
    usp_unlock(sync->channel);
    return n;
}

int uvcsp_barrier_parties(uvcsp_barrier *barrier)
{
    struct usp_sync *sync = usp_sync_of(barrier, KIND, "uvcsp_barrier_parties");
    return sync ? (int)sync->initial : -EINVAL;
}
