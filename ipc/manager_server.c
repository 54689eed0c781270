/* The server: a process that lets others connect, and one for each that has. The table of objects (manager_object.c) is theirs
   together; they run in turn and only wait between operations, or in usp_wait_in(). */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/manager.h"
#include "process/process.h"
#include "runtime/report.h"

/* ---- one request ---- */

static int run_object(struct usp_object *object, const char *name, struct usp_request *request)
{
    if (object->type == &usp_type_own)
        return usp_own_run(object, name, request);
    for (const struct usp_op *op = object->type->ops; op->name; op++) {
        if (strcmp(op->name, name) != 0)
            continue;
        if (request->n < op->least || request->n > op->most)
            return usp_fail(request, UVCSP_TYPE_ERROR, "'%s' takes %zu to %zu arguments, not %zu", name, op->least,
                            op->most, request->n);
        return op->run(object, request);
    }
    return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "a %s has no operation '%s'", object->type->name, name);
}

#define FEW 6 /* arguments that need no memory of their own */

struct args {
    json_t **at;
    size_t n;
    json_t *few[FEW];
};

static int take_args(struct args *args, const char *at, const char *end)
{
    size_t n;
    args->at = args->few;
    args->n = 0;
    if (!usp_decode_array(&at, end, &n))
        return -EINVAL;
    if (n > FEW)
        args->at = malloc(n * sizeof *args->at);
    for (; args->at && args->n < n; args->n++)
        if (!(args->at[args->n] = usp_decode(&at, end)))
            return -EINVAL;
    return !args->at ? -ENOMEM : at == end ? 0 : -EINVAL;
}

static void drop_args(struct args *args)
{
    while (args->n > 0)
        json_decref(args->at[--args->n]);
    if (args->at != args->few)
        free(args->at);
}

static int run_operation(struct usp_server *server, uint64_t id, const char *op, struct usp_request *request)
{
    if (id == 0)
        return usp_manager_run(server, op, request);
    struct usp_object *object = usp_object_of(server, id);
    if (!object)
        return usp_fail(request, UVCSP_NO_SUCH_OBJECT, "the object was freed");
    object->pins++;
    int rc = run_object(object, op, request);
    if (--object->pins == 0 && object->freed)
        usp_object_delete(object);
    return rc;
}

/* The bytes are not looked at any more once an operation runs: the answer may be made in their place. */
static int run(struct usp_session *session, const char *data, size_t size, struct usp_request *request)
{
    uint64_t id;
    char op[256];
    if (size < sizeof id + 1)
        return usp_fail(request, -EINVAL, "this is no request");
    const char *at = data, *end = data + size;
    memcpy(&id, at, sizeof id);
    size_t length = (unsigned char)at[sizeof id];
    at += sizeof id + 1;
    if ((size_t)(end - at) < length)
        return usp_fail(request, -EINVAL, "this is no request");
    memcpy(op, at, length);
    op[length] = '\0';
    struct args args;
    int rc = take_args(&args, at + length, end);
    request->argv = args.at;
    request->n = args.n;
    if (rc == -EINVAL)
        rc = usp_fail(request, rc, "the arguments cannot be decoded: text that is not UTF-8, or nested too deep");
    if (rc == 0)
        rc = run_operation(session->server, id, op, request);
    drop_args(&args);
    json_decref(request->own);
    return rc;
}

static void answer(struct usp_session *session, int status, const struct usp_request *request)
{
    struct usp_packet *packet = &session->line.packet;
    int32_t word = status;
    usp_packet_reset(packet);
    packet->deeper = USP_DEEPER;
    usp_packet_put(packet, &word, sizeof word);
    json_t *words = status ? json_string(request->words) : NULL;
    if (status && !words) /* they quote the request */
        words = json_string("what was asked for cannot be quoted: it is not UTF-8");
    json_t *none = words ? words : json_null();
    usp_encode(packet, !status && request->result ? request->result : none);
    json_decref(none);
}

int usp_serve(struct usp_session *session, const void *data, size_t size)
{
    struct usp_request request;
    memset(&request, 0, offsetof(struct usp_request, words) + 1);
    request.session = session;
    int status = run(session, data, size, &request);
    if (status == USP_CLIENT_GONE) {
        json_decref(request.result);
        return status;
    }
    if (status == -ENOMEM && !request.words[0])
        (void)usp_fail(&request, status, "no memory in the server");
    answer(session, status, &request);
    if (session->line.packet.error)
        answer(session, usp_fail(&request, session->line.packet.error, "the result cannot be encoded"), &request);
    json_decref(request.result);
    return session->line.packet.error;
}

/* ---- arguments and results ---- */

int usp_fail(struct usp_request *request, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(request->words, sizeof request->words, format, args);
    va_end(args);
    return status;
}

int usp_arg_integer(struct usp_request *request, size_t i, json_int_t *valuep)
{
    const json_t *arg = usp_arg(request, i);
    if (!json_is_integer(arg))
        return usp_fail(request, UVCSP_TYPE_ERROR, "argument %zu is no integer", i + 1);
    *valuep = json_integer_value(arg);
    return 0;
}

int usp_arg_string(struct usp_request *request, size_t i, const char **textp)
{
    *textp = json_string_value(usp_arg(request, i));
    return *textp ? 0 : usp_fail(request, UVCSP_TYPE_ERROR, "argument %zu is no string", i + 1);
}

int usp_arg_array(struct usp_request *request, size_t i)
{
    return json_is_array(usp_arg(request, i)) ? 0 : usp_fail(request, UVCSP_TYPE_ERROR, "argument %zu is no array", i + 1);
}

int usp_arg_timeout(struct usp_request *request, size_t i, double *secondsp)
{
    *secondsp = -1;
    const json_t *arg = usp_arg(request, i);
    if (!arg || json_is_null(arg))
        return 0;
    if (!json_is_number(arg))
        return usp_fail(request, UVCSP_TYPE_ERROR, "argument %zu is no number of seconds", i + 1);
    *secondsp = json_number_value(arg);
    return 0;
}

json_t *usp_args(struct usp_request *request)
{
    if (!request->argv)
        return request->args;
    json_decref(request->own);
    request->own = json_array();
    for (size_t i = 0; i < request->n; i++)
        if (json_array_append(request->own, request->argv[i]) < 0)
            return NULL;
    return request->own;
}

int usp_give(struct usp_request *request, json_t *result)
{
    json_decref(request->result);
    request->result = result;
    return result ? 0 : -ENOMEM;
}

int usp_op_copy(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_incref(object->value));
}

int usp_op_str(struct usp_object *object, struct usp_request *request)
{
    char *text = json_dumps(object->value, JSON_ENCODE_ANY);
    json_t *result = text ? json_string(text) : NULL;
    free(text);
    return usp_give(request, result);
}

/* ---- sessions ---- */

struct usp_session *usp_session_new(struct usp_server *server, const char *who)
{
    struct usp_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->server = server;
    snprintf(session->who, sizeof session->who, "%s", who);
    session->next = server->sessions;
    if (server->sessions)
        server->sessions->prev = session;
    server->sessions = session;
    return session;
}

void usp_session_taken(struct usp_session *session)
{
    json_decref(session->item);
    session->item = NULL;
}

void usp_session_end(struct usp_session *session, const char *cause)
{
    struct usp_server *server = session->server;
    char text[200];
    snprintf(text, sizeof text, "process '%s' has ended", session->who);
    for (struct usp_object *object = server->watching, *next; object; object = next) {
        next = object->next_watching; /* it may be freed */
        object->type->left(object, session, cause != NULL, cause ? cause : text);
    }
    if (session->prev)
        session->prev->next = session->next;
    else
        server->sessions = session->next;
    if (session->next)
        session->next->prev = session->prev;
    struct usp_object *queue = session->item ? usp_object_of(server, session->item_of) : NULL;
    if (queue)
        usp_queue_take_back(queue, session->item);
    else
        json_decref(session->item);
    usp_line_deinit(&session->line);
    free(session);
}

/* The four ends that the client has sent. */
static struct usp_session *meet(struct usp_server *server, UVCSP_IN_END(uvcsp_end) handover)
{
    uvcsp_end ends[4];
    for (int i = 0; i < 4; i++)
        if (uvcsp_read(handover, &ends[i]))
            return NULL;
    UVCSP_RETIRE(handover);
    UVCSP_IN_END(struct usp_cell) in = UVCSP_AS_IN(struct usp_cell, ends[0]);
    struct usp_session *session =
        server->closing ? NULL : usp_session_new(server, ((struct usp_end *)(void *)in)->channel->name);
    if (!session || usp_line_init(&session->line) != 0) {
        if (session)
            usp_session_end(session, NULL);
        return NULL;
    }
    session->line.in = in;
    session->line.out = UVCSP_AS_OUT(struct usp_cell, ends[1]);
    session->line.long_in = UVCSP_AS_IN(uvcsp_bytes, ends[2]);
    session->line.long_out = UVCSP_AS_OUT(uvcsp_bytes, ends[3]);
    return session;
}

static void tell_processor(uvcsp_manager *manager)
{
    int processor = sched_getcpu();
    if (atomic_load_explicit(&manager->processor, memory_order_relaxed) != processor)
        atomic_store_explicit(&manager->processor, processor, memory_order_relaxed);
}

static void serve_all(struct usp_server *server, UVCSP_IN_END(uvcsp_end) handover)
{
    struct usp_session *session = meet(server, handover);
    if (!session)
        return;
    struct usp_line *line = &session->line;
    uvcsp_bytes request;
    int rc;
    while ((rc = usp_line_receive(line, &request)) == UVCSP_OK) {
        tell_processor(server->manager);
        usp_serving(false);
        rc = usp_serve(session, request.data, request.size);
        usp_serving(true);
        usp_line_taken(line, &request);
        if (rc == 0)
            rc = usp_line_send(line, session->item != NULL);
        if (rc)
            break;
        usp_session_taken(session);
    }
    (void)uvcsp_retire(line->out);
    (void)uvcsp_retire(line->long_out);
    while (rc < 0 && usp_line_receive(line, &request) == UVCSP_OK) /* an answer went nowhere: the client's death is not known yet */
        usp_line_taken(line, &request);
    const char *cause = uvcsp_cause(line->in);
    usp_session_end(session, cause ? cause : uvcsp_cause(line->out));
}

UVCSP_PROCESS(manager_session, IN(uvcsp_end, handover), VAL(struct usp_server *, server))
{
    usp_serving(true);
    serve_all(server, handover);
    usp_server_unref(server);
}

/* ---- the server ---- */

struct usp_server *usp_server_new(uvcsp_manager *manager, const uvcsp_manager_options *options)
{
    struct usp_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->refs = 1;
    server->manager = manager;
    server->published = json_object();
    server->name = strdup(options->name ? options->name : "manager");
    server->address = options->address ? strdup(options->address) : NULL;
    server->key = options->key ? strdup(options->key) : NULL;
    return server;
}

void usp_server_unref(struct usp_server *server)
{
    if (--server->refs > 0)
        return;
    for (size_t i = 0; i < server->n_places; i++)
        if (server->places[i].object)
            usp_object_delete(server->places[i].object);
    free(server->places);
    json_decref(server->published);
    free(server->name);
    free(server->address);
    free(server->key);
    free(server);
}

/* Each session waits for a request, or in an operation for that and something else, and finds its end retired. */
static void close_all(struct usp_server *server)
{
    server->closing = true;
    usp_remote_stop(server);
    usp_pools_end(server);
    for (struct usp_session *session = server->sessions; session; session = session->next)
        if (session->line.in)
            (void)uvcsp_retire(session->line.in);
    usp_server_unref(server);
}

UVCSP_PROCESS(manager, IN(uvcsp_end, join), OUT(int, ready), VAL(struct usp_server *, server))
{
    int rc = server->address ? usp_remote_listen(server) : 0;
    (void)uvcsp_write(ready, &rc);
    UVCSP_RETIRE(ready);
    uvcsp_end end;
    usp_serving(true);
    while (rc == 0 && uvcsp_read(join, &end) == UVCSP_OK) {
        UVCSP_IN_END(uvcsp_end) handover = UVCSP_AS_IN(uvcsp_end, end);
        server->refs++;
        uvcsp_handle *handle = uvcsp_go(manager_session(handover, server));
        if (!handle)
            usp_server_unref(server);
        uvcsp_handle_free(handle);
        usp_end_release((struct usp_end *)(void *)handover, USP_LEAVE_RETIRE, NULL);
    }
    close_all(server);
}

int usp_server_start(struct usp_server *server)
{
    uvcsp_manager *itself = server->manager;
    UVCSP_CHAN(int) ready = UVCSP_CHANNEL(int, .name = "ready");
    UVCSP_IN_END(int) in = ready ? UVCSP_IN_OF(ready) : NULL;
    int rc = in ? 0 : -ENOMEM;
    itself->handle = rc == 0 ? uvcsp_spawn(manager((UVCSP_CHAN(uvcsp_end))(void *)itself->join, ready, server)) : NULL;
    if (rc == 0 && !itself->handle)
        rc = errno ? -errno : -EAGAIN;
    bool forked = itself->handle && uvcsp_pid(itself->handle) != getpid();
    if (itself->handle && uvcsp_read(in, &rc) != UVCSP_OK)
        rc = -ECHILD;
    if (in)
        usp_end_release((struct usp_end *)(void *)in, USP_LEAVE_RETIRE, NULL);
    uvcsp_channel_free(ready);
    itself->pid = rc == 0 ? uvcsp_pid(itself->handle) : 0;
    if (forked || !itself->handle)
        usp_server_unref(server); /* this worker's copy */
    return rc;
}
