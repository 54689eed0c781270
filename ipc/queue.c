/* Queues: making, putting in and taking out. The model is in queue.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uvcsp/queue.h>

#include "channels/io.h"
#include "channels/lane.h"
#include "channels/lock.h"
#include "ipc/queue.h"
#include "ipc/sync.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define LARGEST (64u << 20) /* bytes in a queue without a size */

struct usp_store *usp_store_of(void *x, const char *what)
{
    struct usp_store *queue = x;
    if (x && usp_arena_holds(x, sizeof *queue) && queue->magic == USP_STORE_MAGIC)
        return queue;
    usp_report("%s: %s", what, x ? "this is no queue, or it was freed" : "the queue is NULL");
    return NULL;
}

/* ---- making and freeing ---- */

static struct usp_channel *common_channel(size_t size, enum uvcsp_type type, long capacity,
                                          const char *site)
{
    struct usp_channel *channel = uvcsp_channel_new(
        size, type,
        (uvcsp_channel_options){.capacity = (int)capacity, .carrier = UVCSP_SHARED, .site_ = site});
    if (channel)
        usp_channel_make_common(channel);
    return channel;
}

static struct usp_end nobodys(struct usp_channel *channel, enum usp_side side)
{
    return (struct usp_end){.magic = USP_END_MAGIC, .side = (uint8_t)side, .channel = channel};
}

static void free_parts(void *block)
{
    struct usp_store *queue = block;
    usp_channel_disown(queue->items);
    usp_channel_disown(queue->idle);
    usp_arena_free(queue);
}

/* It was freed, and nobody comes back to it. Its channel may have ends still. */
static void discard(struct usp_common *common)
{
    struct usp_store *queue = (void *)((char *)common - offsetof(struct usp_store, common));
    queue->in.magic = queue->out.magic = queue->resting.magic = USP_GONE_MAGIC;
    usp_free_unwalked(queue, free_parts);
}

static struct usp_store *make(long capacity, size_t size, enum uvcsp_type type, const char *site)
{
    struct usp_store *queue = usp_arena_alloc(sizeof *queue, USP_BLOCK_SHARED);
    if (!queue)
        return NULL;
    memset(queue, 0, sizeof *queue);
    usp_arena_set_owner(queue, USP_NOBODY);
    queue->items = common_channel(size, type, capacity, site);
    queue->idle = queue->items ? common_channel(1, UVCSP_TYPE_PLAIN, 0, site) : NULL;
    if (!queue->idle) {
        if (queue->items)
            usp_channel_disown(queue->items);
        usp_arena_free(queue);
        return NULL;
    }
    usp_common_init(&queue->common, discard);
    queue->items->common = queue->idle->common = &queue->common;
    queue->items->lenient = USP_LENIENT;
    usp_lock(queue->items);
    usp_lanes_make(queue->items);
    usp_unlock(queue->items);
    queue->in = nobodys(queue->items, USP_READER);
    queue->out = nobodys(queue->items, USP_WRITER);
    queue->resting = nobodys(queue->idle, USP_READER);
    atomic_signal_fence(memory_order_seq_cst);
    queue->magic = USP_STORE_MAGIC;
    return queue;
}

void *uvcsp_queue_new_of(long maxsize, size_t size, enum uvcsp_type type, const char *site)
{
    USP_ENTER();
    site = site ? site : "uvcsp_queue_new";
    long capacity = maxsize;
    if (maxsize == 0 && size > 0) {
        size_t slot = type == UVCSP_TYPE_PLAIN ? size : 16;
        capacity = slot > LARGEST ? 1 : (long)(LARGEST / slot);
        if (capacity > UVCSP_QUEUE_LIMIT)
            capacity = UVCSP_QUEUE_LIMIT;
    }
    if (maxsize < 0 || capacity > 1 << 30 || size == 0) {
        usp_report("%s: a queue for %ld items of %zu bytes cannot be made", site, maxsize, size);
        errno = EINVAL;
        return NULL;
    }
    struct usp_store *queue = make(capacity, size, type, site);
    if (!queue) {
        usp_report(
            "%s: no room in the shared arena for a queue of %ld items (UVCSP_ARENA sets its size)",
            site, capacity);
        errno = ENOMEM;
        return NULL;
    }
    queue->unlimited = maxsize == 0;
    queue->items->enough = maxsize == 0 && type != UVCSP_TYPE_PLAIN && type != UVCSP_TYPE_END ? LARGEST : 0;
    return queue;
}

uvcsp_queue *(uvcsp_queue_new)(long maxsize)
{
    return uvcsp_queue_new_of(maxsize, sizeof(json_t *), UVCSP_TYPE_JSON, NULL);
}

/* Marks a channel as ended for both sides, and tells who waits. */
void usp_store_end(struct usp_channel *channel)
{
    usp_lock(channel);
    channel->ended |= USP_NO_WRITERS;
    channel->slow = USP_GENERALLY;
    usp_wake_side(channel, USP_READER, UVCSP_RETIRED);
    usp_wake_side(channel, USP_WRITER, UVCSP_RETIRED);
    usp_unlock(channel);
}

int uvcsp_queue_close(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_close");
    if (!queue)
        return -EINVAL;
    usp_store_end(queue->items);
    return 0;
}

void uvcsp_queue_free(void *x)
{
    USP_ENTER();
    struct usp_store *queue = x ? usp_store_of(x, "uvcsp_queue_free") : NULL;
    if (!queue)
        return;
    queue->magic = USP_GONE_MAGIC; /* who joins looks at it when it has been told */
    atomic_thread_fence(memory_order_release);
    usp_store_end(queue->items);
    usp_store_end(queue->idle);
    usp_common_drop(&queue->common);
}

/* ---- putting and getting ---- */

/* A queue without a size meets its limit all the same; not without a word. */
static void look_at_limit(struct usp_store *queue)
{
    struct usp_channel *channel = queue->items;
    if (!queue->unlimited || queue->told || !usp_seems_full(channel))
        return;
    usp_lock(channel);
    bool full = usp_is_full(channel);
    uint32_t n = usp_buffered(channel);
    usp_unlock(channel);
    if (!full)
        return;
    queue->told = true;
    usp_report("queue '%s' has no size and meets its limit with %u items: who puts one in waits "
               "until some are taken out",
               channel->name, n);
}

int usp_store_transact(struct usp_end *end, void *value, double timeout, const char *site)
{
    int none = timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
    struct usp_task *self = usp_current()->task;
    uint32_t used = usp_common_used(self);
    int rc = usp_transact(end, value, timeout, none, site);
    if (__builtin_expect(rc == USP_KILLED, 0))
        usp_end_process(rc, end->channel);
    usp_common_leave(self, used);
    return rc;
}

int uvcsp_queue_put_from(void *x, const void *value, double timeout, const char *site)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, site);
    if (!queue || !usp_timeout_is_good(timeout, site))
        return -EINVAL;
    if (!value) {
        usp_report("%s: the place of the value is NULL", site);
        return -EINVAL;
    }
    look_at_limit(queue);
    return usp_store_transact(&queue->out, (void *)(uintptr_t)value, timeout, site);
}

int uvcsp_queue_get_into(void *x, void *value, double timeout, const char *site)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, site);
    if (!queue || !usp_timeout_is_good(timeout, site))
        return -EINVAL;
    if (!value) {
        usp_report("%s: the place of the value is NULL", site);
        return -EINVAL;
    }
    return usp_store_transact(&queue->in, value, timeout, site);
}

int (uvcsp_queue_put)(uvcsp_queue *queue, json_t *value, double timeout)
{
    if (!value) {
        USP_ENTER();
        usp_report("uvcsp_queue_put: the value is NULL; what made it has failed");
        return -EINVAL;
    }
    return uvcsp_queue_put_from(queue, &value, timeout, "uvcsp_queue_put");
}

int (uvcsp_queue_put_new)(uvcsp_queue *queue, json_t *value, double timeout)
{
    int rc = (uvcsp_queue_put)(queue, value, timeout);
    json_decref(value);
    return rc;
}

int (uvcsp_queue_get)(uvcsp_queue *queue, json_t **valuep, double timeout)
{
    return uvcsp_queue_get_into(queue, valuep, timeout, "uvcsp_queue_get");
}

/* ---- looking ---- */

int uvcsp_queue_size(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_size");
    return queue ? uvcsp_channel_size(queue->items) : -EINVAL;
}

int uvcsp_queue_empty(void *x)
{
    int size = uvcsp_queue_size(x);
    return size < 0 ? size : size == 0;
}

int uvcsp_queue_full(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "uvcsp_queue_full");
    if (!queue)
        return -EINVAL;
    usp_lock(queue->items);
    bool full = usp_is_full(queue->items);
    usp_unlock(queue->items);
    return full;
}

void *uvcsp_queue_channel(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "QUEUE_CHAN");
    return queue ? queue->items : NULL;
}

void *uvcsp_queue_in(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "QGET, ON_GET");
    return queue ? &queue->in : NULL;
}

void *uvcsp_queue_out(void *x)
{
    USP_ENTER();
    struct usp_store *queue = usp_store_of(x, "QPUT, ON_PUT");
    if (queue)
        look_at_limit(queue);
    return queue ? &queue->out : NULL;
}
