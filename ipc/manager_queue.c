/* queue: a ring of items. Whoever finds it empty (full) waits; a put hands its item to the first getter that waits, and a get lets the
   first putter that waits put its own in. */
#include <errno.h>
#include <stdlib.h>

#include "ipc/manager.h"

enum { GETTERS = 1, PUTTERS, JOINERS };

struct queue {
    struct usp_object object;
    json_t **items;
    size_t first, n, room; /* room is a power of two */
    size_t maxsize;        /* 0: no limit */
    size_t unfinished;
};

static struct queue *queue_of(struct usp_object *object)
{
    return (struct queue *)object;
}

static int create(struct usp_object *object, struct usp_request *request)
{
    json_int_t maxsize = 0;
    int rc = request->n > 0 ? usp_arg_integer(request, 0, &maxsize) : 0;
    if (rc)
        return rc;
    queue_of(object)->maxsize = maxsize > 0 ? (size_t)maxsize : 0;
    return 0;
}

static void destroy(struct usp_object *object)
{
    struct queue *queue = queue_of(object);
    for (size_t i = 0; i < queue->n; i++)
        json_decref(queue->items[(queue->first + i) & (queue->room - 1)]);
    free(queue->items);
}

static int grow(struct queue *queue)
{
    size_t room = queue->room ? 2 * queue->room : 16;
    json_t **items = calloc(room, sizeof(json_t *));
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < queue->n; i++)
        items[i] = queue->items[(queue->first + i) & (queue->room - 1)];
    free(queue->items);
    queue->items = items;
    queue->first = 0;
    queue->room = room;
    return 0;
}

/* Takes the reference over, if it answers 0. */
static int push(struct queue *queue, json_t *item)
{
    if (queue->n == queue->room) {
        int rc = grow(queue);
        if (rc)
            return rc;
    }
    queue->items[(queue->first + queue->n++) & (queue->room - 1)] = item;
    return 0;
}

static int push_front(struct queue *queue, json_t *item)
{
    if (queue->n == queue->room) {
        int rc = grow(queue);
        if (rc)
            return rc;
    }
    queue->first = (queue->first - 1) & (queue->room - 1);
    queue->items[queue->first] = item;
    queue->n++;
    return 0;
}

static json_t *shift(struct queue *queue)
{
    json_t *item = queue->items[queue->first];
    queue->first = (queue->first + 1) & (queue->room - 1);
    queue->n--;
    return item;
}

static bool full(const struct queue *queue)
{
    return queue->maxsize > 0 && queue->n >= queue->maxsize;
}

/* Gives what is there to those who wait, and lets those put who have room now. */
static void settle(struct queue *queue)
{
    struct usp_waiter *waiter;
    for (bool changed = true; changed;) {
        changed = false;
        if (queue->n > 0 && (waiter = usp_first_waiter(&queue->object, GETTERS))) {
            waiter->item = shift(queue);
            usp_grant(waiter);
            changed = true;
        }
        if (!full(queue) && (waiter = usp_first_waiter(&queue->object, PUTTERS)) && push(queue, waiter->item) == 0) {
            waiter->item = NULL;
            queue->unfinished++;
            usp_grant(waiter);
            changed = true;
        }
    }
}

static int put(struct usp_object *object, struct usp_request *request)
{
    struct queue *queue = queue_of(object);
    double seconds;
    int rc = usp_arg_timeout(request, 1, &seconds);
    if (rc)
        return rc;
    json_t *item = json_incref(usp_arg(request, 0));
    if (!full(queue)) {
        rc = push(queue, item);
        if (rc) {
            json_decref(item);
            return rc;
        }
        queue->unfinished++;
        settle(queue);
        return 0;
    }
    struct usp_waiter waiter = {.item = item};
    rc = usp_wait_in(object, request, PUTTERS, seconds, &waiter);
    json_decref(waiter.item); /* NULL if it is in */
    return rc;
}

void usp_queue_take_back(struct usp_object *object, json_t *item)
{
    if (object->freed || push_front(queue_of(object), item) != 0)
        json_decref(item);
    else
        settle(queue_of(object));
}

/* The session keeps it until the answer has been taken. */
static int give_item(struct usp_object *object, struct usp_request *request, json_t *item)
{
    request->session->item = json_incref(item);
    request->session->item_of = object->id;
    return usp_give(request, item);
}

static int get(struct usp_object *object, struct usp_request *request)
{
    struct queue *queue = queue_of(object);
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    if (rc)
        return rc;
    if (queue->n > 0) {
        (void)give_item(object, request, shift(queue));
        settle(queue);
        return 0;
    }
    struct usp_waiter waiter = {0};
    rc = usp_wait_in(object, request, GETTERS, seconds, &waiter);
    if (rc == 0)
        return give_item(object, request, waiter.item);
    if (waiter.item)
        usp_queue_take_back(object, waiter.item);
    return rc;
}

static int task_done(struct usp_object *object, struct usp_request *request)
{
    struct queue *queue = queue_of(object);
    struct usp_waiter *waiter;
    if (queue->unfinished == 0)
        return usp_fail(request, UVCSP_VALUE_ERROR, "task_done was called more often than items were put in");
    if (--queue->unfinished == 0)
        while ((waiter = usp_first_waiter(object, JOINERS)))
            usp_grant(waiter);
    return 0;
}

static int join(struct usp_object *object, struct usp_request *request)
{
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    struct usp_waiter waiter = {0};
    return rc || queue_of(object)->unfinished == 0 ? rc : usp_wait_in(object, request, JOINERS, seconds, &waiter);
}

static int size(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer((json_int_t)queue_of(object)->n));
}

static int is_empty(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(queue_of(object)->n == 0));
}

static int is_full(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(full(queue_of(object))));
}

static const struct usp_op ops[] = {
    {"put", put, 1, 2}, {"get", get, 0, 1}, {"task_done", task_done, 0, 0}, {"join", join, 0, 1},
    {"size", size, 0, 0}, {"len", size, 0, 0}, {"empty", is_empty, 0, 0}, {"full", is_full, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_queue = {"queue", sizeof(struct queue), create, destroy, NULL, ops, NULL};
