/* Pipes: a buffered channel each way, lenient and reviving (channels/channel.h), and a connection
   for each process that takes part in a side. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/lock.h"
#include "channels/message.h"
#include "ipc/conn.h"
#include "runtime/arena.h"
#include "runtime/report.h"

/* ---- making ---- */

/* A connection with a counted end of each channel that is not NULL: of `task`, or of that worker's.
 */
static struct uvcsp_conn *new_conn(struct usp_channel *in, struct usp_channel *out,
                                   struct usp_task *task, unsigned worker)
{
    struct uvcsp_conn *conn =
        usp_end_new_in(sizeof *conn, in ? in : out, in ? USP_READER : USP_WRITER, task, worker);
    if (!conn)
        return NULL;
    memset((char *)conn + sizeof conn->first, 0, sizeof *conn - sizeof conn->first);
    conn->in = in ? &conn->first : NULL;
    conn->out = in ? NULL : &conn->first;
    if (in && out && !(conn->out = usp_end_new(out, USP_WRITER, task, worker))) {
        usp_end_release(&conn->first, USP_LEAVE_RETIRE, NULL);
        return NULL;
    }
    if (in)
        conn->look =
            (struct usp_end){.magic = USP_END_MAGIC, .side = USP_READER, .looks = 1, .channel = in};
    conn->held = true;
    conn->magic = USP_CONN_MAGIC;
    return conn;
}

static void count(struct uvcsp_conn *conn, bool counts)
{
    if (conn->in)
        usp_end_count(conn->in, counts);
    if (conn->out)
        usp_end_count(conn->out, counts);
    conn->held = counts;
}

static struct usp_channel *new_channel(const char *name, const char *site)
{
    struct usp_channel *channel =
        uvcsp_channel_new(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES,
                          (uvcsp_channel_options){.capacity = UVCSP_PIPE_CAPACITY,
                                                  .name = name,
                                                  .carrier = UVCSP_SHARED,
                                                  .site_ = site});
    if (!channel)
        return NULL;
    usp_channel_make_common(channel);
    channel->lenient = USP_LENIENT | USP_REVIVES;
    return channel;
}

static int make(uvcsp_conn **ap, uvcsp_conn **bp, struct usp_channel *to_a,
                struct usp_channel *to_b)
{
    struct usp_task *self = usp_current()->task;
    struct uvcsp_conn *a = new_conn(to_a, to_b, self, usp_worker_index());
    struct uvcsp_conn *b = a ? new_conn(to_b, to_a, self, usp_worker_index()) : NULL;
    if (!b) {
        if (a)
            usp_pipe_leave(a, USP_LEAVE_RETIRE, NULL);
        return -ENOMEM;
    }
    count(a, false); /* the maker holds a side when it uses it */
    count(b, false);
    *ap = a;
    *bp = b;
    return 0;
}

int uvcsp_pipe_at(uvcsp_conn **ap, uvcsp_conn **bp, bool duplex, const char *site)
{
    USP_ENTER();
    if (!ap || !bp) {
        usp_report("uvcsp_pipe: NULL for a connection");
        return -EINVAL;
    }
    if (!usp_current()->task)
        usp_fatal("uvcsp_pipe: a callback of the loop is no process and cannot own a connection");
    struct usp_channel *to_a = new_channel("pipe, to a", site);
    struct usp_channel *to_b = to_a && duplex ? new_channel("pipe, to b", site) : NULL;
    int rc = !to_a || (duplex && !to_b) ? -ENOMEM : make(ap, bp, to_a, to_b);
    if (rc < 0)
        usp_report("uvcsp_pipe: the shared arena is full");
    if (to_a)
        usp_channel_disown(to_a); /* from here on it lives by its ends */
    if (to_b)
        usp_channel_disown(to_b);
    return rc;
}

int (uvcsp_pipe)(uvcsp_conn **ap, uvcsp_conn **bp, bool duplex)
{
    return uvcsp_pipe_at(ap, bp, duplex, "uvcsp_pipe");
}

/* ---- handing over ---- */

int usp_pipe_join(void **place, unsigned worker, struct usp_task *task, const char *what)
{
    struct uvcsp_conn *given = *place;
    struct uvcsp_conn *conn = new_conn(given->in ? given->in->channel : NULL,
                                       given->out ? given->out->channel : NULL, task, worker);
    if (!conn) {
        usp_report("%s: the shared arena is full", what);
        return -ENOMEM;
    }
    *place = conn;
    return 0;
}

void usp_pipe_adopt(struct uvcsp_conn *conn, struct usp_task *task)
{
    if (conn->in)
        usp_end_adopt(conn->in, task);
    if (conn->out)
        usp_end_adopt(conn->out, task);
}

void usp_pipe_leave(struct uvcsp_conn *conn, enum usp_leave how, const char *cause)
{
    struct usp_end *in = conn->in, *out = conn->out;
    conn->magic = USP_GONE_MAGIC;
    if (in && out)
        usp_end_release(out, how, cause);
    usp_end_release(in ? in : out, how, cause); /* the block goes with it */
}

void usp_pipe_close(struct uvcsp_conn *conn)
{
    if (!conn->held)
        count(conn, true); /* so that a side that nobody else holds is gone */
    struct usp_task *task = conn->first.task;
    if (task && task->worker == usp_worker_index()) {
        usp_pipe_leave(conn, USP_LEAVE_RETIRE, NULL);
        return;
    }
    /* another worker's process has it in its list */
    conn->magic = USP_GONE_MAGIC;
    if (conn->in)
        usp_end_retire(conn->in);
    if (conn->out)
        usp_end_retire(conn->out);
}

/* ---- using ---- */

static struct usp_end *end_of(struct uvcsp_conn *conn, enum usp_side side, const char *what)
{
    struct usp_end *end = side == USP_READER ? conn->in : conn->out;
    if (!end) {
        usp_report("%s: this side of a one-way pipe only %s", what,
                   side == USP_READER ? "sends" : "receives");
        return NULL;
    }
    if (__builtin_expect(!conn->held, 0))
        count(conn, true);
    return end;
}

int usp_pipe_send(struct uvcsp_conn *conn, const uvcsp_bytes *bytes, const char *what)
{
    struct usp_end *out = end_of(conn, USP_WRITER, what);
    if (!out)
        return -EBADF;
    return usp_conn_killed(usp_transact(out, (void *)(uintptr_t)bytes, -1, UVCSP_TIMEOUT, what));
}

int usp_pipe_recv(struct uvcsp_conn *conn, uvcsp_bytes *bytes, const char *what)
{
    struct usp_end *in = end_of(conn, USP_READER, what);
    if (!in)
        return -EBADF;
    return usp_conn_killed(usp_transact(in, bytes, -1, UVCSP_TIMEOUT, what));
}

/* Does what is there now, if anything, under the lock: so a message that is too long is not
 * touched. */
static int try_recv_into(struct usp_end *in, uvcsp_bytes *bytes, size_t room, size_t *sizep)
{
    struct usp_channel *channel = in->channel;
    struct usp_offer *offer = NULL;
    int rc;
    usp_lock(channel);
    if (usp_buffered(channel) > 0 && !(channel->ended & USP_POISONED) &&
        (*sizep = usp_buffer_length(channel, usp_counted(channel, USP_READER))) > room)
        rc = -EMSGSIZE;
    else
        rc = usp_step(in, bytes, NULL, &offer);
    usp_unlock(channel);
    return rc;
}

int usp_pipe_recv_into(struct uvcsp_conn *conn, void *buffer, size_t room, size_t *sizep,
                       const char *what)
{
    struct usp_end *in = end_of(conn, USP_READER, what);
    if (!in)
        return -EBADF;
    uvcsp_bytes bytes;
    int rc;
    while ((rc = try_recv_into(in, &bytes, room, sizep)) == USP_WAITS) {
        rc = usp_pipe_poll(conn, -1, what);
        if (rc != 0)
            return rc;
    }
    if (rc != 0)
        return rc;
    if (bytes.size > 0)
        memcpy(buffer, bytes.data, bytes.size);
    free(bytes.data);
    return 0;
}

int usp_pipe_poll(struct uvcsp_conn *conn, double timeout, const char *what)
{
    if (!end_of(conn, USP_READER, what))
        return -EBADF;
    char nothing;
    int none = timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
    (void)usp_was_in_deadlock();
    int rc = usp_transact(&conn->look, &nothing, timeout, none, what);
    if (rc == UVCSP_RETIRED && usp_was_in_deadlock())
        return rc;
    return usp_conn_killed(rc == UVCSP_RETIRED || rc == UVCSP_POISONED ? 0 : rc);
}

uvcsp_guard usp_pipe_guard(struct uvcsp_conn *conn)
{
    static char nothing;
    if (!end_of(conn, USP_READER, "ON_CONN"))
        return (uvcsp_guard){.kind = UVCSP_GUARD_READ, .on = 1};
    return (uvcsp_guard){
        .kind = UVCSP_GUARD_READ, .on = 1, .subject = &conn->look, .data = &nothing};
}
