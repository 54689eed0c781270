/* Events: a channel with one message while the event is set. Who waits reads by an end that looks:
   it is woken by the message and leaves it where it is. */
#include <uvcsp/sync.h>

#include <errno.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/sync.h"
#include "runtime/report.h"

#define KIND USP_KIND(USP_EVENT)

uvcsp_event *uvcsp_event_new_at(const char *site)
{
    return (uvcsp_event *)usp_sync_new(USP_EVENT, 1, 0, "event", site);
}

void uvcsp_event_free(uvcsp_event *event)
{
    usp_sync_free(event, KIND, "uvcsp_event_free");
}

int uvcsp_event_set(uvcsp_event *event)
{
    struct usp_sync *sync = usp_sync_of(event, KIND, "uvcsp_event_set");
    if (!sync)
        return -EINVAL;
    usp_lock(sync->channel);
    if (usp_buffered(sync->channel) == 0)
        usp_name_put(sync->channel, NULL);
    USP_FAILPOINT("event-set");
    usp_wake_side(sync->channel, USP_READER, 0);
    usp_unlock(sync->channel);
    return 0;
}

int uvcsp_event_clear(uvcsp_event *event)
{
    struct usp_sync *sync = usp_sync_of(event, KIND, "uvcsp_event_clear");
    if (!sync)
        return -EINVAL;
    usp_lock(sync->channel);
    if (usp_buffered(sync->channel) > 0)
        usp_name_drop(sync->channel);
    usp_unlock(sync->channel);
    return 0;
}

bool uvcsp_event_is_set(uvcsp_event *event)
{
    struct usp_sync *sync = usp_sync_of(event, KIND, "uvcsp_event_is_set");
    if (!sync)
        return false;
    usp_lock(sync->channel);
    bool set = usp_buffered(sync->channel) > 0;
    usp_unlock(sync->channel);
    return set;
}

int (uvcsp_event_wait)(uvcsp_event *event, double seconds)
{
    struct usp_sync *sync = usp_sync_of(event, KIND, "uvcsp_event_wait");
    if (!sync || !usp_timeout_is_good(seconds, "uvcsp_event_wait"))
        return -EINVAL;
    void *nothing;
    struct usp_end end = sync->end;
    end.looks = USP_LOOKS_FOR_A_MESSAGE;
    struct usp_task *self = usp_current()->task;
    uint32_t used = usp_common_used(self);
    int rc = usp_transact(&end, &nothing, seconds, UVCSP_TIMEOUT, "uvcsp_event_wait");
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    usp_common_leave(self, used);
    return rc;
}

uvcsp_guard uvcsp_on_event(uvcsp_event *event)
{
    static void *nothing;
    struct usp_sync *sync = usp_sync_of(event, KIND, "ON_EVENT");
    return (uvcsp_guard){.kind = UVCSP_GUARD_READ,
                         .on = true,
                         .subject = sync ? &sync->end : NULL,
                         .data = &nothing};
}

/* It died after it had set the event, before it had woken everybody. */
void usp_event_gone(struct usp_sync *sync, const struct usp_gone *gone)
{
    (void)gone;
    usp_lock(sync->channel);
    if (usp_buffered(sync->channel) > 0)
        usp_wake_side(sync->channel, USP_READER, 0);
    usp_unlock(sync->channel);
}
