/* Items that are not done yet, and who waits for them. */
#include <errno.h>

#include "ipc/queue.h"
#include "runtime/report.h"

#define LOOK_AGAIN 1.0 /* seconds */

static bool unfinished(struct usp_store *queue)
{
    struct usp_channel *items = queue->items;
    usp_lock(items);
    int32_t n = (int32_t)(items->written + items->passed - queue->done);
    usp_unlock(items);
    return n > 0;
}

/* Counts one more as done, if that many were taken out. */
static bool count_done(struct usp_store *queue)
{
    struct usp_channel *items = queue->items;
    usp_lock(items);
    bool good = (int32_t)(items->read + items->passing - queue->done) > 0;
    queue->done += good;
    usp_unlock(items);
    return good;
}

int uvcsp_queue_task_done(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_task_done");
    if (!queue)
        return -EINVAL;
    if (!count_done(queue)) {
        usp_report(
            "uvcsp_queue_task_done: called once more often than items were taken out of queue '%s'",
            queue->items->name);
        return -ERANGE;
    }
    if (!unfinished(queue))
        usp_store_end(queue->idle);
    return 0;
}

/* The mark on `idle` may be an old one: it goes before the items are counted, so that whoever
   finishes the last of them sets it again. */
static bool has_to_wait(struct usp_store *queue)
{
    usp_lock(queue->idle);
    queue->idle->ended = 0;
    usp_unlock(queue->idle);
    return unfinished(queue);
}

/* A worker that dies between its last item and the mark wakes nobody. So where there are other
   workers, whoever waits looks again from time to time. */
static double until(double deadline)
{
    bool others = atomic_load(&usp_shared->n_running) > 0;
    if (deadline < 0)
        return others ? LOOK_AGAIN : -1;
    double left = deadline - (double)uv_hrtime() * 1e-9;
    return left <= 0 ? 0 : others && left > LOOK_AGAIN ? LOOK_AGAIN : left;
}

int uvcsp_queue_join(void *x, double timeout)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_join");
    if (!queue || !usp_timeout_is_good(timeout, "uvcsp_queue_join"))
        return -EINVAL;
    double deadline = timeout < 0 ? -1 : (double)uv_hrtime() * 1e-9 + timeout;
    while (has_to_wait(queue)) {
        double seconds = until(deadline);
        if (seconds == 0)
            return timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
        char nothing;
        (void)usp_store_transact(&queue->resting, &nothing, seconds, "uvcsp_queue_join");
        if (queue->magic != USP_STORE_MAGIC)
            return UVCSP_RETIRED;
    }
    return UVCSP_OK;
}
