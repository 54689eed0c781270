/* The face of connections: it checks what it is given, turns values into bytes and back, and leaves
   the rest to the kind of the connection. */
#include "ipc/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/message.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define ON_STACK 64 /* connections of a uvcsp_wait up to here need no memory */

struct uvcsp_conn *usp_conn_of(uvcsp_conn *conn, const char *what, int *rcp)
{
    USP_ENTER();
    if (__builtin_expect(conn && usp_arena_is(conn, USP_BLOCK_END) &&
                             usp_arena_size(conn) >= sizeof *conn && conn->magic == USP_CONN_MAGIC,
                         1)) {
        if (!conn->socket || conn->worker == usp_worker_index())
            return conn;
        usp_report("%s: this socket is another worker's; hand it over as VAL(uvcsp_conn *, c)",
                   what);
    } else {
        usp_report("%s: %s", what,
                   conn ? "this is no connection, or it was closed, or handed on"
                        : "the connection is NULL");
    }
    *rcp = conn ? -EBADF : -EINVAL;
    return NULL;
}

int usp_conn_killed(int rc)
{
    if (__builtin_expect(rc == USP_KILLED, 0))
        usp_end_process(rc, NULL);
    return rc;
}

static int null_argument(const char *what)
{
    usp_report("%s: NULL where a place or data is needed", what);
    return -EINVAL;
}

/* ---- bytes ---- */

static int send_bytes(uvcsp_conn *conn, const uvcsp_bytes *bytes, const char *what)
{
    return conn->socket ? usp_socket_send(conn, bytes) : usp_pipe_send(conn, bytes, what);
}

static int recv_bytes(uvcsp_conn *conn, uvcsp_bytes *bytes, const char *what)
{
    return conn->socket ? usp_socket_recv(conn, bytes) : usp_pipe_recv(conn, bytes, what);
}

int (uvcsp_conn_send_bytes)(uvcsp_conn *conn, const void *data, size_t size)
{
    const char *what = "uvcsp_conn_send_bytes";
    int rc;
    if (!usp_conn_of(conn, what, &rc))
        return rc;
    if (!data && size > 0)
        return null_argument(what);
    return send_bytes(conn, &(uvcsp_bytes){(void *)(uintptr_t)data, size}, what);
}

int (uvcsp_conn_recv_bytes)(uvcsp_conn *conn, void **datap, size_t *sizep)
{
    const char *what = "uvcsp_conn_recv_bytes";
    int rc;
    if (!usp_conn_of(conn, what, &rc))
        return rc;
    if (!datap || !sizep)
        return null_argument(what);
    uvcsp_bytes bytes;
    rc = recv_bytes(conn, &bytes, what);
    if (rc != 0)
        return rc;
    *datap = bytes.data;
    *sizep = bytes.size;
    return 0;
}

int (uvcsp_conn_recv_bytes_into)(uvcsp_conn *conn, void *buffer, size_t room, size_t *sizep)
{
    const char *what = "uvcsp_conn_recv_bytes_into";
    size_t unwanted;
    int rc;
    if (!usp_conn_of(conn, what, &rc))
        return rc;
    if (!buffer && room > 0)
        return null_argument(what);
    sizep = sizep ? sizep : &unwanted;
    return conn->socket ? usp_socket_recv_into(conn, buffer, room, sizep)
                        : usp_pipe_recv_into(conn, buffer, room, sizep, what);
}

/* ---- values ---- */

/* Jansson writes values that are nested more deeply than it reads. */
static bool too_deep(const char *text, size_t length)
{
    if (length <= 2 * JSON_PARSER_MAX_DEPTH)
        return false;
    int depth = 0;
    for (bool quoted = false; *text; text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted)
            text += *text == '\\';
        else if (*text == '[' || *text == '{')
            depth++;
        else if (*text == ']' || *text == '}')
            depth--;
        if (depth > JSON_PARSER_MAX_DEPTH)
            return true;
    }
    return false;
}

/* The text of a value, as recv_bytes has it; NULL: it cannot be encoded. */
static char *text_of(const json_t *value, size_t *lengthp)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    *lengthp = text ? strlen(text) : 0;
    if (text && too_deep(text, *lengthp)) {
        free(text);
        text = NULL;
    }
    return text;
}

int (uvcsp_conn_send)(uvcsp_conn *conn, json_t *value)
{
    const char *what = "uvcsp_conn_send";
    int rc;
    if (!usp_conn_of(conn, what, &rc))
        return rc;
    size_t length = 0;
    char *text = value ? text_of(value, &length) : NULL;
    if (!text) {
        usp_report("%s: %s", what,
                   value ? "this value cannot be encoded"
                         : "the value is NULL; what made it has failed");
        return -EINVAL;
    }
    rc = send_bytes(conn, &(uvcsp_bytes){text, length}, what);
    free(text);
    return rc;
}

int (uvcsp_conn_send_new)(uvcsp_conn *conn, json_t *value)
{
    int rc = (uvcsp_conn_send)(conn, value);
    json_decref(value);
    return rc;
}

int (uvcsp_conn_recv)(uvcsp_conn *conn, json_t **valuep)
{
    const char *what = "uvcsp_conn_recv";
    int rc;
    if (!usp_conn_of(conn, what, &rc))
        return rc;
    if (!valuep)
        return null_argument(what);
    uvcsp_bytes text;
    rc = recv_bytes(conn, &text, what);
    if (rc != 0)
        return rc;
    json_t *value =
        text.size ? json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    free(text.data);
    if (!value)
        return -EBADMSG;
    *valuep = value;
    return 0;
}

/* ---- waiting ---- */

int (uvcsp_conn_poll)(uvcsp_conn *conn, double timeout)
{
    int rc;
    if (!usp_conn_of(conn, "uvcsp_conn_poll", &rc))
        return rc;
    if (!usp_timeout_is_good(timeout, "uvcsp_conn_poll"))
        return -EINVAL;
    return conn->socket ? usp_socket_poll(conn, timeout)
                        : usp_pipe_poll(conn, timeout, "uvcsp_conn_poll");
}

static uvcsp_guard guard_of(uvcsp_conn *conn)
{
    return conn->socket ? usp_socket_guard(conn) : usp_pipe_guard(conn);
}

uvcsp_guard uvcsp_conn_guard(uvcsp_conn *conn)
{
    int rc;
    if (!usp_conn_of(conn, "ON_CONN", &rc))
        return (uvcsp_guard){.kind = UVCSP_GUARD_READ, .on = 1}; /* the choice refuses it */
    return guard_of(conn);
}

/* What woke a choice may be half a message, or have been taken by another process. */
static bool is_ready(uvcsp_conn *conn)
{
    int rc = conn->socket ? usp_socket_poll(conn, 0) : usp_pipe_poll(conn, 0, "uvcsp_wait");
    return rc != UVCSP_WOULD_BLOCK && rc != -EBUSY;
}

static int wait_for_one(uvcsp_conn *const *conns, size_t n, double timeout, uvcsp_guard *guards)
{
    double deadline = timeout < 0 ? -1 : uvcsp_now() + timeout;
    (void)usp_was_in_deadlock();
    for (;;) {
        double left = deadline < 0 ? 0 : deadline - uvcsp_now();
        for (size_t i = 0; i < n; i++)
            guards[i] = guard_of(conns[i]);
        guards[n] = UVCSP_ON_TIMEOUT(left > 0 ? left : 0);
        guards[n].on = deadline >= 0;
        int i = uvcsp_alt_at(guards, n + 1, UVCSP_FAIR, "uvcsp_wait");
        if (i < 0)
            return i;
        if ((size_t)i == n)
            return -UVCSP_TIMEOUT;
        if (usp_was_in_deadlock())
            return -UVCSP_RETIRED;
        if (is_ready(conns[i]))
            return i;
    }
}

int (uvcsp_wait)(uvcsp_conn *const *conns, size_t n, double timeout)
{
    USP_ENTER();
    if (!conns || n == 0 || n > (1u << 19)) {
        usp_report("uvcsp_wait: no connections, or over half a million");
        return -EINVAL;
    }
    if (!usp_timeout_is_good(timeout, "uvcsp_wait"))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int rc;
        if (!usp_conn_of(conns[i], "uvcsp_wait", &rc))
            return rc;
        if (!conns[i]->socket && !conns[i]->in) {
            usp_report("uvcsp_wait: connection %zu only sends", i);
            return -EBADF;
        }
    }
    uvcsp_guard few[ON_STACK + 1], *guards = few;
    if (n > ON_STACK && !(guards = malloc((n + 1) * sizeof *guards)))
        return -ENOMEM;
    int rc = wait_for_one(conns, n, timeout, guards);
    if (guards != few)
        free(guards);
    return rc;
}

/* ---- the rest ---- */

int uvcsp_conn_close(uvcsp_conn *conn)
{
    int rc;
    if (!usp_conn_of(conn, "uvcsp_conn_close", &rc))
        return rc;
    if (conn->socket)
        return usp_socket_close(conn);
    usp_pipe_close(conn);
    return 0;
}

int uvcsp_conn_fileno(uvcsp_conn *conn)
{
    int rc;
    if (!usp_conn_of(conn, "uvcsp_conn_fileno", &rc))
        return rc;
    return conn->socket ? usp_socket_fileno(conn) : -ENOTSUP;
}

int uvcsp_conn_set_limit(uvcsp_conn *conn, uint32_t limit)
{
    int rc;
    if (!usp_conn_of(conn, "uvcsp_conn_set_limit", &rc))
        return rc;
    if (!conn->socket)
        return -ENOTSUP;
    usp_socket_set_limit(conn, limit);
    return 0;
}

const char *uvcsp_conn_cause(uvcsp_conn *conn)
{
    int rc;
    if (!usp_conn_of(conn, "uvcsp_conn_cause", &rc) || conn->socket)
        return NULL;
    const char *cause = conn->in ? conn->in->channel->cause : NULL;
    return cause || !conn->out ? cause : conn->out->channel->cause;
}

/* ---- what the floor below calls ---- */

static int join(void **place, unsigned worker, struct usp_task *task, const char *what)
{
    int rc;
    struct uvcsp_conn *conn = usp_conn_of(*place, what, &rc);
    if (!conn)
        return rc;
    return conn->socket ? usp_socket_join(place, worker, what)
                        : usp_pipe_join(place, worker, task, what);
}

static void adopt(void *x, struct usp_task *task)
{
    struct uvcsp_conn *conn = x;
    if (!conn->socket)
        usp_pipe_adopt(conn, task);
}

static void leave(void *x, enum usp_leave how, const char *cause)
{
    struct uvcsp_conn *conn = x;
    if (conn->socket)
        usp_socket_left(conn);
    else
        usp_pipe_leave(conn, how, cause);
}

static void forked(void)
{
    usp_sockets_forked();
    usp_listeners_forked();
}

/* From here on a new worker has something to leave behind. */
void usp_conn_opens(void)
{
    usp_conn_hooks.forked = forked;
}

__attribute__((constructor)) static void set_hooks(void)
{
    usp_conn_hooks = (struct usp_conn_hooks){join, adopt, leave, usp_socket_ended, NULL};
}
