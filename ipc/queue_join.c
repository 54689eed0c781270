/* Items that are not done yet, and who waits for them. */
#include <errno.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/queue.h"
#include "ipc/sync.h"
#include "runtime/report.h"

static bool unfinished(struct usp_store *queue)
{
    struct usp_channel *items = queue->items;
    usp_lock(items);
    int32_t n = (int32_t)(usp_counted(items, USP_WRITER) + items->passed - queue->done);
    usp_unlock(items);
    return n > 0;
}

/* Counts one more as done, if that many were taken out. */
static bool count_done(struct usp_store *queue)
{
    struct usp_channel *items = queue->items;
    usp_lock(items);
    bool good = (int32_t)(usp_counted(items, USP_READER) + items->passed - queue->done) > 0;
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

static bool is_freed(const struct usp_store *queue)
{
    return *(const volatile uint32_t *)&queue->magic != USP_STORE_MAGIC;
}

/* The mark on `idle` may be an old one: it goes before the items are counted, so that whoever
   finishes the last of them sets it again. That of a queue that was freed stays. */
static bool has_to_wait(struct usp_store *queue)
{
    usp_lock(queue->idle);
    if (!is_freed(queue))
        queue->idle->ended = 0;
    usp_unlock(queue->idle);
    return unfinished(queue);
}

/* A worker may have died between its last item and the mark: who waits looks again. */
static void died(void *block)
{
    struct usp_store *queue = block;
    if (queue->magic == USP_STORE_MAGIC && atomic_load(&queue->joining) > 0)
        usp_store_end(queue->idle);
}

/* What was counted has not arrived, and may have been the last that was not done. */
static void one_less(struct usp_channel *items)
{
    struct usp_common *common = items->lenient == USP_LENIENT ? items->common : NULL;
    if (common)
        died((char *)common - offsetof(struct usp_store, common));
}

__attribute__((constructor)) static void set_hooks(void)
{
    usp_store_died = died;
    usp_one_less_passed = one_less;
}

/* UVCSP_OK: look again. */
static int rest(struct usp_store *queue, double deadline, int none)
{
    char nothing;
    double left = deadline < 0 ? -1 : deadline - (double)uv_hrtime() * 1e-9;
    if (deadline >= 0 && left <= 0)
        return none;
    int rc = usp_transact(&queue->resting, &nothing, left, UVCSP_TIMEOUT, "uvcsp_queue_join");
    if (rc == USP_KILLED)
        usp_end_process(rc, NULL);
    if (is_freed(queue)) /* maybe all was done before */
        return unfinished(queue) ? UVCSP_RETIRED : UVCSP_OK;
    if (rc == UVCSP_POISONED) /* all wait for ever */
        return UVCSP_RETIRED;
    return rc < 0 ? rc : UVCSP_OK;
}

static int join(struct usp_store *queue, double timeout)
{
    double deadline = timeout < 0 ? -1 : (double)uv_hrtime() * 1e-9 + timeout;
    int rc = UVCSP_OK;
    atomic_fetch_add(&queue->joining, 1); /* one that is killed here is counted for ever: no harm */
    while (rc == UVCSP_OK && has_to_wait(queue))
        rc = rest(queue, deadline, timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT);
    atomic_fetch_sub(&queue->joining, 1);
    return rc;
}

int (uvcsp_queue_join)(void *x, double timeout)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_join");
    if (!queue || !usp_timeout_is_good(timeout, "uvcsp_queue_join"))
        return -EINVAL;
    struct usp_task *self = usp_current()->task;
    uint32_t used = usp_common_used(self);
    int rc = join(queue, timeout);
    usp_common_leave(self, used);
    return rc;
}
