/* Queues.

   A queue is a buffered channel that nobody owns, and an end of each side that belongs to nobody: whoever has the
   queue's pointer reads and writes by these. They do not count. Ends that do count are made from the channel, for the
   processes that are handed it; the last one of a side closes the queue, and so does uvcsp_queue_close(): for the
   channel both are the same mark in `ended`.

   What has been put in is `written`, what went through the buffer, and `passed`, what went past it to a consumer that
   waited. Unfinished is what of that was not said to be done; the number is compared by its sign, since a
   consumer may be done with an item before its producer has counted it. Whoever joins reads from `idle`, a
   channel on which nobody ever writes: it is marked as retired when nothing is unfinished. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uvcsp/queue.h>

#include "channels/channel.h"
#include "channels/io.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define QUEUE_MAGIC 0x65756575u
#define LARGEST (64u << 20) /* bytes of the buffer of a queue without a size */
#define LOOK_AGAIN 1.0      /* seconds */

struct queue {
    uint32_t magic;
    bool unlimited;
    bool told;                 /* that its limit was met */
    _Atomic uint32_t done;
    struct usp_channel *items;
    struct usp_channel *idle;
    struct usp_end in, out, resting; /* of nobody; the last one of `idle` */
};

static struct queue *queue_of(void *x, const char *what)
{
    struct queue *queue = x;
    if (x && usp_arena_holds(x, sizeof *queue) && queue->magic == QUEUE_MAGIC)
        return queue;
    usp_report("%s: %s", what, x ? "this is no queue, or it was freed" : "the queue is NULL");
    return NULL;
}

/* ---- making and freeing ---- */

static struct usp_channel *common_channel(size_t size, enum uvcsp_type type, long capacity, const char *site)
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

static struct queue *make(long capacity, size_t size, enum uvcsp_type type, const char *site)
{
    struct queue *queue = usp_arena_alloc(sizeof *queue, USP_BLOCK_SHARED);
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
    queue->items->lenient = USP_LENIENT;
    queue->in = nobodys(queue->items, USP_READER);
    queue->out = nobodys(queue->items, USP_WRITER);
    queue->resting = nobodys(queue->idle, USP_READER);
    atomic_signal_fence(memory_order_seq_cst);
    queue->magic = QUEUE_MAGIC;
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
    struct queue *queue = make(capacity, size, type, site);
    if (!queue) {
        usp_report("%s: no room in the shared arena for a queue of %ld items (UVCSP_ARENA sets its size)", site,
                   capacity);
        errno = ENOMEM;
        return NULL;
    }
    queue->unlimited = maxsize == 0;
    return queue;
}

uvcsp_queue *uvcsp_queue_new(long maxsize)
{
    return uvcsp_queue_new_of(maxsize, sizeof(json_t *), UVCSP_TYPE_JSON, "uvcsp_queue_new");
}

/* Marks a channel as ended for both sides, and tells who waits. */
static void end_channel(struct usp_channel *channel)
{
    usp_lock(channel);
    channel->ended |= USP_NO_WRITERS;
    channel->slow = 1;
    usp_wake_side(channel, USP_READER, UVCSP_RETIRED);
    usp_wake_side(channel, USP_WRITER, UVCSP_RETIRED);
    usp_unlock(channel);
}

int uvcsp_queue_close(void *x)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, "uvcsp_queue_close");
    if (!queue)
        return -EINVAL;
    end_channel(queue->items);
    return 0;
}

void uvcsp_queue_free(void *x)
{
    USP_ENTER();
    struct queue *queue = x ? queue_of(x, "uvcsp_queue_free") : NULL;
    if (!queue)
        return;
    end_channel(queue->items);
    end_channel(queue->idle);
    queue->magic = USP_GONE_MAGIC;
    queue->in.magic = queue->out.magic = queue->resting.magic = USP_GONE_MAGIC;
    usp_channel_disown(queue->items);
    usp_channel_disown(queue->idle);
    usp_arena_free(queue);
}

/* ---- putting and getting ---- */

/* A queue without a size meets its limit all the same; not without a word. */
static void look_at_limit(struct queue *queue)
{
    const struct usp_channel *channel = queue->items;
    if (!queue->unlimited || queue->told || usp_buffered(channel) < channel->capacity)
        return;
    queue->told = true;
    usp_report("queue '%s': %u items wait in it and nobody takes them out; whoever puts one in waits from now on",
               channel->name, channel->capacity);
}

static int transact(struct usp_end *end, void *value, double timeout, const char *site)
{
    int none = timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
    int rc = usp_transact(end, value, timeout, none, site);
    if (__builtin_expect(rc == USP_KILLED, 0))
        usp_end_process(rc, end->channel);
    return rc;
}

static bool timeout_is_good(double timeout, const char *site)
{
    if (timeout == timeout)
        return true;
    usp_report("%s: the timeout is not a number", site);
    return false;
}

int uvcsp_queue_put_from(void *x, const void *value, double timeout, const char *site)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, site);
    if (!queue || !timeout_is_good(timeout, site))
        return -EINVAL;
    if (!value) {
        usp_report("%s: the place of the value is NULL", site);
        return -EINVAL;
    }
    look_at_limit(queue);
    return transact(&queue->out, (void *)(uintptr_t)value, timeout, site);
}

int uvcsp_queue_get_into(void *x, void *value, double timeout, const char *site)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, site);
    if (!queue || !timeout_is_good(timeout, site))
        return -EINVAL;
    if (!value) {
        usp_report("%s: the place of the value is NULL", site);
        return -EINVAL;
    }
    return transact(&queue->in, value, timeout, site);
}

int uvcsp_queue_put(uvcsp_queue *queue, json_t *value, double timeout)
{
    if (!value) {
        USP_ENTER();
        usp_report("uvcsp_queue_put: the value is NULL; what made it has failed");
        return -EINVAL;
    }
    return uvcsp_queue_put_from(queue, &value, timeout, "uvcsp_queue_put");
}

int uvcsp_queue_put_new(uvcsp_queue *queue, json_t *value, double timeout)
{
    int rc = uvcsp_queue_put(queue, value, timeout);
    json_decref(value);
    return rc;
}

int uvcsp_queue_get(uvcsp_queue *queue, json_t **valuep, double timeout)
{
    return uvcsp_queue_get_into(queue, valuep, timeout, "uvcsp_queue_get");
}

/* ---- looking ---- */

int uvcsp_queue_size(void *x)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, "uvcsp_queue_size");
    return queue ? uvcsp_channel_size(queue->items) : -EINVAL;
}

int uvcsp_queue_empty(void *x)
{
    int size = uvcsp_queue_size(x);
    return size < 0 ? size : size == 0;
}

int uvcsp_queue_full(void *x)
{
    int size = uvcsp_queue_size(x);
    return size < 0 ? size : (uint32_t)size >= ((struct queue *)x)->items->capacity;
}

void *uvcsp_queue_channel(void *x)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, "QUEUE_CHAN");
    return queue ? queue->items : NULL;
}

void *uvcsp_queue_in(void *x)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, "QGET, ON_GET");
    return queue ? &queue->in : NULL;
}

void *uvcsp_queue_out(void *x)
{
    USP_ENTER();
    struct queue *queue = queue_of(x, "QPUT, ON_PUT");
    if (queue)
        look_at_limit(queue);
    return queue ? &queue->out : NULL;
}

/* ---- unfinished items ---- */

static bool unfinished(struct queue *queue)
{
    struct usp_channel *items = queue->items;
    usp_lock(items);
    int32_t n = (int32_t)(items->written + items->passed - queue->done);
    usp_unlock(items);
    return n > 0;
}

/* Counts one more as done, if that many were taken out. */
static bool count_done(struct queue *queue)
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
    struct queue *queue = queue_of(x, "uvcsp_queue_task_done");
    if (!queue)
        return -EINVAL;
    if (!count_done(queue)) {
        usp_report("uvcsp_queue_task_done: called once more often than items were taken out of queue '%s'",
                   queue->items->name);
        return -ERANGE;
    }
    if (!unfinished(queue))
        end_channel(queue->idle);
    return 0;
}

/* The mark on `idle` may be an old one: it goes before the items are counted, so that whoever finishes the last of
   them sets it again. */
static bool has_to_wait(struct queue *queue)
{
    usp_lock(queue->idle);
    queue->idle->ended = 0;
    usp_unlock(queue->idle);
    return unfinished(queue);
}

/* A worker that dies between its last item and the mark wakes nobody. So where there are other workers, whoever
   waits looks again from time to time. */
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
    struct queue *queue = queue_of(x, "uvcsp_queue_join");
    if (!queue || !timeout_is_good(timeout, "uvcsp_queue_join"))
        return -EINVAL;
    double deadline = timeout < 0 ? -1 : (double)uv_hrtime() * 1e-9 + timeout;
    while (has_to_wait(queue)) {
        double seconds = until(deadline);
        if (seconds == 0)
            return timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
        char nothing;
        (void)transact(&queue->resting, &nothing, seconds, "uvcsp_queue_join");
        if (queue->magic != QUEUE_MAGIC)
            return UVCSP_RETIRED;
    }
    return UVCSP_OK;
}
