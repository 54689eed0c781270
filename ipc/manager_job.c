/* Jobs of a pool inside a manager: calls on their way to a worker of the pool, what the worker does with one, and what became
   of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager_job.h"
#include "runtime/report.h"

/* ---- in a worker of the pool ---- */

/* What a call has in hand. A light worker may be ended while its task waits. */
struct caller {
    const struct usp_keeper *keeper;
    json_t *args, *value;
    struct usp_packet packet;
};

static void put_down(struct caller *caller)
{
    json_decref(caller->args);
    json_decref(caller->value);
    caller->args = caller->value = NULL;
}

static void end_caller(void *arg)
{
    struct caller *caller = arg;
    put_down(caller);
    usp_packet_free(&caller->packet);
    free(caller);
}

/* Whose initializer fails, ends; three in turn, and the pool is broken. */
void *usp_call_begin(void *context)
{
    const struct usp_keeper *keeper = context;
    struct caller *caller = calloc(1, sizeof *caller);
    const char *words = "no memory";
    if (!caller || usp_defer_always(end_caller, caller) != 0) {
        free(caller);
        uvcsp_exit_process();
    }
    caller->keeper = keeper;
    if (keeper->initializer < 0)
        return caller;
    int rc = usp_task_run((uint32_t)keeper->initializer, keeper->server->manager, keeper->initargs, &caller->value, &words);
    if (rc != 0) {
        usp_report("manager '%s': the initializer of a pool has failed: %s", keeper->server->name, words);
        uvcsp_exit_process();
    }
    put_down(caller);
    return caller;
}

/* Arguments and value go by way of the manager where they are long. */
static int fetch(struct caller *caller, uvcsp_proxy pool, const struct usp_call_head *head)
{
    const char *at = (const char *)(head + 1);
    if (head->size == USP_APART)
        return uvcsp_call_with(pool, "fetch", &caller->args, 2, json_integer(head->job), json_integer(head->index));
    caller->args = usp_decode(&at, at + head->size);
    return caller->args ? 0 : usp_call_failed(-ENOMEM, "no memory for the arguments");
}

static int deliver(struct caller *caller, uvcsp_proxy pool, const struct usp_call_head *head, struct usp_call_value *to)
{
    struct usp_packet *packet = &caller->packet;
    packet->size = 0;
    packet->error = 0;
    usp_encode(packet, caller->value);
    if (packet->error == -EINVAL)
        return usp_call_failed(-EINVAL, "the value cannot be encoded");
    if (packet->error)
        return usp_call_failed(packet->error, "no memory for the value");
    if (packet->size > sizeof to->bytes) {
        to->size = USP_APART;
        return uvcsp_call_with(pool, "deliver", NULL, 3, json_integer(head->job), json_integer(head->index),
                               json_incref(caller->value));
    }
    to->size = (uint32_t)packet->size;
    memcpy(to->bytes, packet->data, packet->size);
    return 0;
}

int usp_call_run(const void *argument, void *result, void *context)
{
    const struct usp_call_head *head = argument;
    struct caller *caller = context;
    uvcsp_proxy pool = {caller->keeper->server->manager, head->pool};
    const char *words = uvcsp_call_error();
    int rc = fetch(caller, pool, head);
    if (rc == 0)
        rc = usp_task_run(head->task, pool.manager, caller->args, &caller->value, &words);
    if (rc == 0) {
        words = uvcsp_call_error();
        rc = deliver(caller, pool, head, result);
    }
    put_down(caller);
    return rc ? uvcsp_task_fail(rc, "%s", words) : 0;
}

/* ---- starting ---- */

static json_t *args_of(const struct usp_job *job, size_t i)
{
    json_t *call = json_array_get(job->calls, i);
    return job->spread ? json_incref(call) : json_pack("[O]", call);
}

static int pack(struct usp_packet *packet, const struct usp_job *job, size_t i)
{
    json_t *args = args_of(job, i);
    packet->size = 0;
    usp_encode(packet, args);
    json_decref(args);
    return args ? packet->error : -ENOMEM;
}

/* How much room the calls need that travel with their arguments. */
static int room_of(struct usp_packet *packet, const struct usp_job *job, size_t n, size_t *roomp)
{
    *roomp = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = pack(packet, job, i);
        if (rc)
            return rc;
        if (packet->size <= USP_CALL_ROOM && packet->size > *roomp)
            *roomp = packet->size;
    }
    *roomp = (*roomp + 7) & ~(size_t)7;
    return 0;
}

static int hand_in(struct usp_job *job, uvcsp_pool *pool, struct usp_call_head head, int chunk,
                   enum uvcsp_pool_order order)
{
    size_t n = json_array_size(job->calls), room, size;
    struct usp_packet packet = {.deeper = USP_DEEPER};
    int rc = room_of(&packet, job, n, &room);
    char *calls = rc == 0 ? calloc(n + 1, size = sizeof head + room) : NULL;
    rc = rc == 0 && !calls ? -ENOMEM : rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = pack(&packet, job, i);
        head.index = (uint32_t)i;
        head.size = packet.size <= room ? (uint32_t)packet.size : USP_APART;
        memcpy(calls + i * size, &head, sizeof head);
        if (rc == 0 && head.size != USP_APART)
            memcpy(calls + i * size + sizeof head, packet.data, packet.size);
    }
    if (rc == 0) {
        job->result = uvcsp_pool_start(pool, usp_call_run, calls, n, size, sizeof(struct usp_call_value), chunk, order);
        rc = job->result ? 0 : errno ? -errno : -ENOMEM;
    }
    usp_packet_free(&packet);
    free(calls);
    return rc;
}

/* The arguments of the operation; `*chunkp` 0 where there is none. */
static int take_args(struct usp_request *request, struct usp_job_kind kind, int *taskp, int *chunkp, json_t **callsp)
{
    const char *name;
    json_int_t chunk = 0;
    int rc = usp_arg_string(request, 0, &name);
    if (rc == 0)
        rc = usp_arg_array(request, 1);
    if (rc == 0 && request->n > 2)
        rc = usp_arg_integer(request, 2, &chunk);
    if (rc)
        return rc;
    *taskp = usp_task_find(name);
    if (*taskp < 0)
        return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "no task is called '%s' in the program of the manager", name);
    if (chunk < 0 || chunk > INT32_MAX)
        return usp_fail(request, UVCSP_VALUE_ERROR, "a chunk of %lld", (long long)chunk);
    *chunkp = (int)chunk;
    json_t *calls = usp_arg(request, 1);
    for (size_t i = 0; kind.spread && !kind.single && i < json_array_size(calls); i++)
        if (!json_is_array(json_array_get(calls, i)))
            return usp_fail(request, UVCSP_TYPE_ERROR, "the arguments of call %zu are no array", i);
    *callsp = kind.single ? json_pack("[O]", calls) : json_incref(calls);
    return *callsp ? 0 : -ENOMEM;
}

int usp_call_job_new(struct usp_pool_object *pool, struct usp_request *request, struct usp_job_kind kind,
                     struct usp_job **jobp)
{
    int task = -1, chunk = 0;
    json_t *calls = NULL;
    if (pool->keeper->pool->closing)
        return usp_fail(request, UVCSP_VALUE_ERROR, "the pool takes no more tasks: %s",
                        pool->keeper->pool->broken ? pool->keeper->pool->broken : "it was closed or terminated");
    int rc = take_args(request, kind, &task, &chunk, &calls);
    struct usp_job *job = rc == 0 ? calloc(1, sizeof *job) : NULL;
    if (!job) {
        json_decref(calls);
        return rc ? rc : -ENOMEM;
    }
    job->object.type = &usp_type_job;
    job->object.server = pool->object.server;
    job->calls = calls;
    job->spread = kind.spread;
    job->single = kind.single;
    job->owner = kind.waits ? NULL : request->session;
    job->number = ++pool->n_started;
    job->next = pool->jobs;
    job->at = &pool->jobs;
    if (pool->jobs)
        pool->jobs->at = &job->next;
    pool->jobs = job;
    struct usp_call_head head = {.pool = pool->object.id, .job = job->number, .task = (uint32_t)task};
    rc = hand_in(job, pool->keeper->pool, head, chunk, kind.order);
    if (rc) {
        usp_object_delete(&job->object);
        return rc;
    }
    *jobp = job;
    return 0;
}

static void destroy(struct usp_object *object)
{
    struct usp_job *job = (struct usp_job *)object;
    if (job->at) {
        *job->at = job->next;
        if (job->next)
            job->next->at = job->at;
    }
    for (size_t i = 0; job->apart && i < json_array_size(job->calls); i++)
        json_decref(job->apart[i]);
    free(job->apart);
    json_decref(job->calls);
    uvcsp_result_free(job->result);
}

/* ---- what a worker of the pool asks for ---- */

static int find_call(struct usp_object *object, struct usp_request *request, struct usp_job **jobp, size_t *indexp)
{
    json_int_t number = 0, index = 0;
    if (request->session->conn)
        return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "this is for the workers of the pool");
    int rc = usp_arg_integer(request, 0, &number);
    if (rc == 0)
        rc = usp_arg_integer(request, 1, &index);
    if (rc)
        return rc;
    struct usp_job *job = ((struct usp_pool_object *)object)->jobs;
    while (job && job->number != number)
        job = job->next;
    if (!job || index < 0 || (size_t)index >= json_array_size(job->calls))
        return usp_fail(request, UVCSP_KEY_ERROR, "nobody waits for that call");
    *jobp = job;
    *indexp = (size_t)index;
    return 0;
}

int usp_call_fetch(struct usp_object *object, struct usp_request *request)
{
    struct usp_job *job = NULL;
    size_t i = 0;
    int rc = find_call(object, request, &job, &i);
    return rc ? rc : usp_give(request, args_of(job, i));
}

int usp_call_deliver(struct usp_object *object, struct usp_request *request)
{
    struct usp_job *job = NULL;
    size_t i = 0;
    int rc = find_call(object, request, &job, &i);
    if (rc)
        return rc;
    if (!job->apart)
        job->apart = calloc(json_array_size(job->calls), sizeof(json_t *));
    if (!job->apart)
        return -ENOMEM;
    json_decref(job->apart[i]);
    job->apart[i] = json_incref(usp_arg(request, 2));
    return 0;
}

/* ---- what became of it ---- */

static int value_of(const struct usp_job *job, size_t i, json_t **valuep)
{
    const struct usp_call_value *value =
        (const struct usp_call_value *)(const void *)(job->result->results + i * sizeof *value);
    const char *at = value->bytes;
    if (value->size == USP_APART)
        *valuep = json_incref(job->apart ? job->apart[i] : NULL);
    else
        *valuep = value->size <= sizeof value->bytes ? usp_decode(&at, at + value->size) : NULL;
    return *valuep ? 0 : -ENOMEM;
}

static int error_of(const struct usp_job *job, size_t i, struct usp_request *request)
{
    const uvcsp_task_error *error = uvcsp_result_error(job->result, i);
    int status = error->status == UVCSP_TASK_FAILED && error->code ? error->code : error->status;
    if (job->single)
        return usp_fail(request, status, "%s", error->message);
    return usp_fail(request, status, "call %zu of %zu: %s", i, job->result->n, error->message);
}

static int collect(const struct usp_job *job, struct usp_request *request)
{
    size_t n = job->result->n;
    for (size_t i = 0; job->result->n_failed > 0 && i < n; i++)
        if (job->result->items[i] == USP_ITEM_FAILED)
            return error_of(job, i, request);
    json_t *value = NULL, *values = job->single ? NULL : json_array();
    int rc = values || job->single ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = value_of(job, i, &value);
        if (rc == 0 && !job->single && json_array_append_new(values, value) < 0)
            rc = -ENOMEM;
    }
    if (rc == 0)
        return usp_give(request, job->single ? value : values);
    json_decref(values);
    return rc;
}

static int await(struct usp_job *job, struct usp_request *request, struct uvcsp_handle *handle, double seconds)
{
    if (handle->ended.set)
        return 0;
    struct usp_waiter waiter = {.event = handle};
    return usp_wait_in(&job->object, request, 0, seconds, &waiter);
}

int usp_call_job_get(struct usp_job *job, struct usp_request *request, double seconds)
{
    int rc = await(job, request, &job->result->all, seconds);
    return rc ? rc : collect(job, request);
}

static int get(struct usp_object *object, struct usp_request *request)
{
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    return rc ? rc : usp_call_job_get((struct usp_job *)object, request, seconds);
}

static int wait(struct usp_object *object, struct usp_request *request)
{
    struct usp_job *job = (struct usp_job *)object;
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    return rc ? rc : await(job, request, &job->result->all, seconds);
}

static int ready(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(uvcsp_result_ready(((struct usp_job *)object)->result)));
}

static int successful(struct usp_object *object, struct usp_request *request)
{
    uvcsp_result *result = ((struct usp_job *)object)->result;
    if (!uvcsp_result_ready(result))
        return usp_fail(request, UVCSP_VALUE_ERROR, "it is not ready yet");
    return usp_give(request, json_boolean(uvcsp_result_successful(result)));
}

static int next(struct usp_object *object, struct usp_request *request)
{
    struct usp_job *job = (struct usp_job *)object;
    double seconds;
    int rc = usp_arg_timeout(request, 0, &seconds);
    if (rc == 0 && job->result->order == UVCSP_POOL_ALL)
        rc = usp_fail(request, UVCSP_NO_SUCH_OPERATION, "these results are not handed out one by one");
    double deadline = seconds > 0 ? uvcsp_now() + seconds : 0;
    while (rc == 0 && (rc = (uvcsp_result_next_into)(job->result, NULL, 0, 0)) == UVCSP_TIMEOUT) {
        job->result->some.ended.set = false;
        double left = seconds > 0 ? deadline - uvcsp_now() : seconds;
        rc = await(job, request, &job->result->some, seconds > 0 && left < 1e-9 ? 1e-9 : left);
    }
    if (rc == UVCSP_RETIRED)
        return usp_fail(request, UVCSP_STOP_ITERATION, "there are no more results");
    if (rc == UVCSP_TASK_FAILED || rc == UVCSP_TASK_DIED || rc == UVCSP_TASK_CANCELLED)
        return error_of(job, (size_t)uvcsp_result_index(job->result), request);
    json_t *value = NULL;
    if (rc == 0)
        rc = value_of(job, (size_t)uvcsp_result_index(job->result), &value);
    return rc ? rc : usp_give(request, value);
}

/* Nobody else knows of it, but whom its owner has told. */
static void left(struct usp_object *object, struct usp_session *session, bool died, const char *cause)
{
    (void)died, (void)cause;
    if (((struct usp_job *)object)->owner == session)
        usp_object_free(object);
}

static const struct usp_op ops[] = {
    {"get", get, 0, 1}, {"wait", wait, 0, 1}, {"ready", ready, 0, 0}, {"successful", successful, 0, 0},
    {"next", next, 0, 1}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_job = {"result", sizeof(struct usp_job), NULL, destroy, left, ops, NULL};
