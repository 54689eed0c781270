/* The server: a process that lets others connect, and one for each that has. The table of objects (manager_object.c) is theirs
   together; they run in turn and only wait between operations, or in usp_wait_in(). */
#include <errno.h>
#include <stdarg.h>
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

static int run(struct usp_session *session, const char *data, size_t size, struct usp_request *request, json_t **argsp)
{
    uint64_t id;
    unsigned char length;
    char op[256];
    if (size < sizeof id + 1)
        return usp_fail(request, -EINVAL, "this is no request");
    const char *at = data, *end = data + size;
    memcpy(&id, at, sizeof id);
    length = (unsigned char)at[sizeof id];
    at += sizeof id + 1;
    if ((size_t)(end - at) < length)
        return usp_fail(request, -EINVAL, "this is no request");
    memcpy(op, at, length);
    op[length] = '\0';
    at += length;
    json_t *args = *argsp = usp_decode(&at, end);
    if (!json_is_array(args) || at != end)
        return usp_fail(request, -EINVAL, "the arguments cannot be decoded: text that is not UTF-8, or nested too deep");
    request->args = args;
    request->n = json_array_size(args);
    if (id == 0)
        return usp_manager_run(session->server, op, request);
    struct usp_object *object = usp_object_of(session->server, id);
    if (!object)
        return usp_fail(request, UVCSP_NO_SUCH_OBJECT, "the object was freed");
    object->pins++;
    int rc = run_object(object, op, request);
    if (--object->pins == 0 && object->freed)
        usp_object_delete(object);
    return rc;
}

static void answer(struct usp_session *session, int status, const struct usp_request *request)
{
    struct usp_packet *buffer = &session->answer;
    int32_t word = status;
    if (buffer->room > 1 << 20)
        usp_packet_free(buffer);
    buffer->deeper = USP_DEEPER;
    buffer->size = 0;
    buffer->error = 0;
    usp_packet_put(buffer, &word, sizeof word);
    json_t *words = status ? json_string(request->words) : NULL;
    json_t *none = words ? words : json_null();
    usp_encode(buffer, !status && request->result ? request->result : none);
    json_decref(none);
}

int usp_serve(struct usp_session *session, const void *data, size_t size)
{
    struct usp_request request = {.session = session};
    json_t *args = NULL;
    int status = run(session, data, size, &request, &args);
    json_decref(args);
    if (status == USP_CLIENT_GONE) {
        json_decref(request.result);
        return status;
    }
    if (status == -ENOMEM && !request.words[0])
        (void)usp_fail(&request, status, "no memory in the server");
    answer(session, status, &request);
    if (session->answer.error) {
        int error = session->answer.error;
        answer(session, usp_fail(&request, error, "the result cannot be encoded"), &request);
    }
    json_decref(request.result);
    return session->answer.error;
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
    usp_packet_free(&session->answer);
    free(session);
}

static void serve_all(struct usp_server *server, UVCSP_IN_END(uvcsp_end) handover)
{
    uvcsp_end first, second;
    if (uvcsp_read(handover, &first) || uvcsp_read(handover, &second))
        return;
    UVCSP_RETIRE(handover);
    UVCSP_IN_END(uvcsp_bytes) in = UVCSP_AS_IN(uvcsp_bytes, first);
    UVCSP_OUT_END(uvcsp_bytes) out = UVCSP_AS_OUT(uvcsp_bytes, second);
    struct usp_session *session =
        server->closing ? NULL : usp_session_new(server, ((struct usp_end *)(void *)in)->channel->name);
    if (!session)
        return;
    session->in = in;
    session->out = out;
    uvcsp_bytes request;
    int rc;
    while ((rc = uvcsp_read(in, &request)) == UVCSP_OK) {
        rc = usp_serve(session, request.data, request.size);
        free(request.data);
        uvcsp_bytes bytes = {session->answer.data, session->answer.size};
        if (rc == 0)
            rc = uvcsp_write(out, &bytes);
        if (rc)
            break;
        usp_session_taken(session);
    }
    UVCSP_RETIRE(out);
    while (rc < 0 && uvcsp_read(in, &request) == UVCSP_OK) /* an answer went nowhere: the client's death is not known yet */
        free(request.data);
    const char *cause = uvcsp_cause(in);
    usp_session_end(session, cause ? cause : uvcsp_cause(out));
}

UVCSP_PROCESS(manager_session, IN(uvcsp_end, handover), VAL(struct usp_server *, server))
{
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
    for (size_t i = 0; i < server->n_objects; i++)
        if (server->objects[i])
            usp_object_delete(server->objects[i]);
    free(server->objects);
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
        if (session->in)
            (void)uvcsp_retire(session->in);
    usp_server_unref(server);
}

UVCSP_PROCESS(manager, IN(uvcsp_end, join), OUT(int, ready), VAL(struct usp_server *, server))
{
    int rc = server->address ? usp_remote_listen(server) : 0;
    (void)uvcsp_write(ready, &rc);
    UVCSP_RETIRE(ready);
    uvcsp_end end;
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
