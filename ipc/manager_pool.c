/* pool: a pool of workers that the server has, for all processes that use the manager. See manager_job.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager_job.h"

#define MOST_WORKERS 1000

static struct usp_pool_object *pool_of(struct usp_object *object)
{
    return (struct usp_pool_object *)object;
}

/* ---- the keeper ---- */

static void unref(struct usp_keeper *keeper)
{
    if (--keeper->refs > 0)
        return;
    if (keeper->pool)
        usp_pool_unref(keeper->pool);
    json_decref(keeper->initargs);
    free(keeper);
}

UVCSP_PROCESS(manager_pool, VAL(struct usp_keeper *, keeper))
{
    struct usp_server *server = keeper->server;
    keeper->pool = uvcsp_pool_new(keeper->n_workers, keeper->options);
    keeper->started = true;
    if (keeper->pool) {
        keeper->pool->refs++; /* of the keeper's holders */
        (void)uvcsp_join_at(&keeper->over, -1, "uvcsp_mpool_join");
        (uvcsp_pool_free)(keeper->pool);
    }
    *keeper->at = keeper->next;
    if (keeper->next)
        keeper->next->at = keeper->at;
    unref(keeper);
    usp_server_unref(server);
}

static int start(struct usp_keeper *keeper, struct usp_server *server)
{
    keeper->refs = 1;
    keeper->server = server;
    usp_handle_init(&keeper->over);
    keeper->over.light = true;
    keeper->options.name = server->name;
    keeper->options.initarg = keeper;
    keeper->options.initializer = usp_call_begin;
    keeper->next = server->keepers;
    keeper->at = &server->keepers;
    if (server->keepers)
        server->keepers->at = &keeper->next;
    server->keepers = keeper;
    keeper->refs++;
    server->refs++;
    uvcsp_handle *handle = uvcsp_go(manager_pool(keeper));
    if (!handle) {
        server->refs--;
        server->keepers = keeper->next;
        if (keeper->next)
            keeper->next->at = &server->keepers;
        keeper->refs--;
        return -ENOMEM;
    }
    uvcsp_handle_free(handle);
    while (!keeper->started)
        uvcsp_yield();
    return keeper->pool ? 0 : -ENOMEM;
}

void usp_pools_end(struct usp_server *server)
{
    for (struct usp_keeper *keeper = server->keepers; keeper; keeper = keeper->next)
        usp_event_set(&keeper->over.ended);
}

/* ---- the object ---- */

static int option(struct usp_keeper *keeper, struct usp_request *request, const char *name, json_t *value)
{
    int *number = strcmp(name, "maxtasksperchild") == 0 ? &keeper->options.maxtasksperchild
                  : strcmp(name, "retries") == 0        ? &keeper->options.retries
                                                        : NULL;
    json_int_t n = json_integer_value(value);
    if (number && json_is_integer(value) && n >= 0 && n <= INT32_MAX) {
        *number = (int)n;
        return 0;
    }
    if (strcmp(name, "initargs") == 0 && json_is_array(value)) {
        keeper->initargs = json_incref(value);
        return 0;
    }
    if (strcmp(name, "initializer") == 0 && json_is_string(value)) {
        keeper->initializer = usp_task_find(json_string_value(value));
        return keeper->initializer >= 0 ? 0
                                        : usp_fail(request, UVCSP_NO_SUCH_OPERATION, "no task is called '%s'",
                                                   json_string_value(value));
    }
    return usp_fail(request, UVCSP_TYPE_ERROR, "'%s' is no option of a pool, or has another type", name);
}

static int take_options(struct usp_keeper *keeper, struct usp_request *request)
{
    json_int_t n = 0;
    int rc = request->n > 0 ? usp_arg_integer(request, 0, &n) : 0;
    if (rc == 0 && n > MOST_WORKERS)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "a pool of more than %d workers", MOST_WORKERS);
    keeper->n_workers = n > 0 ? (int)n : 0;
    keeper->initializer = -1;
    json_t *options = usp_arg(request, 1);
    if (rc == 0 && options && !json_is_null(options) && !json_is_object(options))
        rc = usp_fail(request, UVCSP_TYPE_ERROR, "the options of a pool are no object");
    for (void *it = json_object_iter(options); it && rc == 0; it = json_object_iter_next(options, it))
        rc = option(keeper, request, json_object_iter_key(it), json_object_iter_value(it));
    if (rc == 0 && !keeper->initargs)
        keeper->initargs = json_array();
    return rc || keeper->initargs ? rc : -ENOMEM;
}

static int create(struct usp_object *object, struct usp_request *request)
{
    struct usp_keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return -ENOMEM;
    int rc = take_options(keeper, request);
    if (rc) {
        json_decref(keeper->initargs);
        free(keeper);
        return rc;
    }
    rc = start(keeper, object->server);
    if (rc)
        unref(keeper);
    else
        pool_of(object)->keeper = keeper;
    return rc;
}

/* The pool ends: jobs are told that they are cancelled, also those that operations wait for which are at it. */
static void freed(struct usp_object *object)
{
    usp_event_set(&pool_of(object)->keeper->over.ended);
}

/* Jobs outlive it. */
static void destroy(struct usp_object *object)
{
    struct usp_pool_object *pool = pool_of(object);
    for (struct usp_job *job; (job = pool->jobs);) {
        pool->jobs = job->next;
        job->at = NULL;
        job->next = NULL;
    }
    freed(object);
    unref(pool->keeper);
}

/* ---- operations ---- */

static int run(struct usp_object *object, struct usp_request *request, struct usp_job_kind kind)
{
    struct usp_job *job;
    int rc = usp_call_job_new(pool_of(object), request, kind, &job);
    if (rc)
        return rc;
    if (kind.waits) {
        rc = usp_call_job_get(job, request, -1);
        usp_object_delete(&job->object);
        return rc;
    }
    rc = usp_object_add(object->server, &job->object);
    if (rc == 0)
        return usp_give(request, json_integer((json_int_t)job->object.id));
    usp_object_delete(&job->object);
    return rc;
}

#define FORM(name, ...)                                                            \
    static int name(struct usp_object *object, struct usp_request *request)        \
    {                                                                              \
        return run(object, request, (struct usp_job_kind){__VA_ARGS__});           \
    }
FORM(apply, .spread = true, .single = true, .waits = true)
FORM(apply_async, .spread = true, .single = true)
FORM(map, .waits = true)
FORM(map_async, .waits = false)
FORM(starmap, .spread = true, .waits = true)
FORM(starmap_async, .spread = true)
FORM(imap, .order = UVCSP_POOL_ORDERED)
FORM(imap_unordered, .order = UVCSP_POOL_UNORDERED)

static int pool_close(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    return uvcsp_pool_close(pool_of(object)->keeper->pool);
}

static int terminate(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    return uvcsp_pool_terminate(pool_of(object)->keeper->pool);
}

static int join(struct usp_object *object, struct usp_request *request)
{
    uvcsp_pool *pool = pool_of(object)->keeper->pool;
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    if (rc == 0 && !pool->closing)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "the pool is neither closed nor terminated");
    if (rc || pool->ended.ended.set)
        return rc;
    struct usp_waiter waiter = {.event = &pool->ended};
    return usp_wait_in(object, request, 0, seconds, &waiter);
}

static int size(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer(uvcsp_pool_size(pool_of(object)->keeper->pool)));
}

static const struct usp_op ops[] = {
    {"apply", apply, 2, 2}, {"apply_async", apply_async, 2, 2}, {"map", map, 2, 3}, {"map_async", map_async, 2, 3},
    {"starmap", starmap, 2, 3}, {"starmap_async", starmap_async, 2, 3}, {"imap", imap, 2, 3},
    {"imap_unordered", imap_unordered, 2, 3}, {"close", pool_close, 0, 0}, {"terminate", terminate, 0, 0},
    {"join", join, 0, 1}, {"len", size, 0, 0}, {"fetch", usp_call_fetch, 2, 2},
    {"deliver", usp_call_deliver, 3, 3}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_pool = {"pool", sizeof(struct usp_pool_object), create, destroy, NULL, ops,
                                              freed};
