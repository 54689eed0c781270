/* Socket connections: frames over a descriptor that one process has.

       "uCSP"   4 bytes
       length   4 bytes, most significant first
       payload

   A frame is read bit by bit, as it comes, and stays in the record until it is whole and somebody
   takes it. Its length is held against the limit first, and memory is taken as the payload comes.
   What is no frame breaks the connection for good, since nobody knows where the next one would
   begin.

   The record is private memory of the worker whose descriptor it is. A connection that is handed to
   another process takes the record over; if that process is in another worker, the record and the
   descriptor are there by the fork, and this worker closes its own as soon as the arguments of the
   process go. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/conn.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define HEADER 8
#define FIRST_ROOM (64u << 10)

struct usp_socket {
    struct usp_socket *next, *prev;
    struct uvcsp_conn *conn;
    unsigned worker;
    unsigned long holder; /* serial of the process that got it; the arguments of another one say
                             whose it is */
    bool argument;
    bool sending, receiving;
    int fd;
    int broken; /* UVCSP_RETIRED at the end of file, or what was wrong */
    uint32_t limit;
    unsigned char header[HEADER];
    uint32_t length;
    size_t have; /* bytes of header and payload */
    char *data;
    size_t room;
};

static struct usp_socket *sockets; /* of this worker */
static unsigned long last_holder;  /* that has close_held() deferred */
static bool registered;

/* ---- records ---- */

static void unlink_record(struct usp_socket *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        sockets = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

/* Closes the descriptor, and forgets it. The block of the connection is not touched. */
static void discard(struct usp_socket *s)
{
    unlink_record(s);
    close(s->fd);
    free(s->data);
    free(s);
}

static void discard_with_conn(struct usp_socket *s)
{
    s->conn->magic = USP_GONE_MAGIC;
    usp_arena_free(s->conn);
    discard(s);
}

static struct uvcsp_conn *new_conn(struct usp_socket *s, unsigned worker)
{
    struct uvcsp_conn *conn = usp_arena_alloc(sizeof *conn, USP_BLOCK_END);
    if (!conn)
        return NULL;
    memset(conn, 0, sizeof *conn);
    usp_arena_set_owner(conn, worker);
    conn->socket = s;
    conn->worker = (uint16_t)worker;
    conn->magic = USP_CONN_MAGIC;
    return conn;
}

/* When a process ends: what it got and still has. */
static void close_held(void *arg)
{
    unsigned long holder = (unsigned long)(uintptr_t)arg;
    registered = registered && last_holder != holder;
    for (struct usp_socket *s = sockets, *next; s; s = next) {
        next = s->next;
        if (s->holder == holder && !s->argument)
            discard_with_conn(s);
    }
}

/* Has that done for the calling process; once, if it does not take turns with another one. */
static int close_at_end(unsigned long holder)
{
    if (registered && last_holder == holder)
        return 0;
    int rc = usp_defer_always(close_held, (void *)(uintptr_t)holder);
    registered = rc == 0;
    last_holder = holder;
    return rc;
}

struct uvcsp_conn *usp_socket_conn(int fd)
{
    unsigned long holder = usp_process_current()->serial;
    struct usp_socket *s = calloc(1, sizeof *s);
    struct uvcsp_conn *conn = s ? new_conn(s, usp_worker_index()) : NULL;
    if (!conn || close_at_end(holder) < 0) {
        usp_arena_free(conn);
        free(s);
        close(fd);
        return NULL;
    }
    s->conn = conn;
    s->fd = fd;
    s->holder = holder;
    s->worker = usp_worker_index();
    s->limit = UVCSP_CONN_LIMIT;
    s->next = sockets;
    if (sockets)
        sockets->prev = s;
    usp_conn_opens();
    sockets = s;
    return conn;
}

int usp_socket_close(struct uvcsp_conn *conn)
{
    if (conn->socket->sending || conn->socket->receiving)
        return -EBUSY;
    discard_with_conn(conn->socket);
    return 0;
}

int usp_socket_fileno(const struct uvcsp_conn *conn)
{
    return conn->socket->fd;
}

void usp_socket_set_limit(struct uvcsp_conn *conn, uint32_t limit)
{
    conn->socket->limit = limit;
}

/* ---- handing over ---- */

int usp_socket_join(void **place, unsigned worker, const char *what)
{
    struct uvcsp_conn *given = *place;
    struct usp_socket *s = given->socket;
    struct uvcsp_conn *conn = new_conn(s, worker);
    if (!conn) {
        usp_report("%s: the shared arena is full", what);
        return -ENOMEM;
    }
    given->magic = USP_GONE_MAGIC;
    usp_arena_free(given);
    s->conn = conn;
    s->worker = worker;
    s->argument = true;
    *place = conn;
    return 0;
}

static struct usp_socket *find(const void *conn)
{
    struct usp_socket *s = sockets;
    while (s && s->conn != conn)
        s = s->next;
    return s;
}

void usp_socket_ended(void *conn)
{
    struct usp_socket *s = find(conn);
    if (!s || !s->argument)
        return;
    if (s->worker == usp_worker_index())
        discard_with_conn(s);
    else
        discard(s);
}

void usp_socket_left(void *conn)
{
    struct usp_socket *s = find(conn);
    if (s)
        discard_with_conn(s);
}

void usp_sockets_forked(void)
{
    for (struct usp_socket *s = sockets, *next; s; s = next) {
        next = s->next;
        if (s->worker != usp_worker_index())
            discard(s);
    }
}

/* ---- sending ---- */

/* UVCSP_OK, UVCSP_RETIRED, -errno. */
static int send_all(int fd, struct iovec *parts, int n)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)n};
    while (message.msg_iovlen > 0) {
        ssize_t done = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno == EAGAIN) {
            int rc = uvcsp_wait_fd(fd, UV_WRITABLE, -1);
            if (rc < 0)
                return rc;
            continue;
        }
        if (done < 0 && errno != EINTR)
            return errno == EPIPE || errno == ECONNRESET ? UVCSP_RETIRED : -errno;
        for (size_t left = done < 0 ? 0 : (size_t)done; message.msg_iovlen > 0;) {
            size_t part = left < message.msg_iov->iov_len ? left : message.msg_iov->iov_len;
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + part;
            message.msg_iov->iov_len -= part;
            left -= part;
            if (message.msg_iov->iov_len > 0)
                break;
            message.msg_iov++;
            message.msg_iovlen--;
        }
    }
    return UVCSP_OK;
}

int usp_socket_send(struct uvcsp_conn *conn, const uvcsp_bytes *bytes)
{
    struct usp_socket *s = conn->socket;
    if (bytes->size > s->limit)
        return -EMSGSIZE;
    if (s->sending)
        return -EBUSY;
    uint32_t length = htonl((uint32_t)bytes->size);
    unsigned char header[HEADER] = "uCSP";
    memcpy(header + 4, &length, 4);
    struct iovec parts[] = {{header, HEADER}, {bytes->data, bytes->size}};
    s->sending = true;
    int rc = send_all(s->fd, parts, 2);
    s->sending = false;
    return rc;
}

/* ---- receiving ---- */

static int take_header(struct usp_socket *s)
{
    if (memcmp(s->header, "uCSP", 4) != 0)
        return -EPROTO;
    memcpy(&s->length, s->header + 4, 4);
    s->length = ntohl(s->length);
    return s->length > s->limit ? -EMSGSIZE : 0;
}

static int make_room(struct usp_socket *s)
{
    if (s->have - HEADER < s->room)
        return 0;
    size_t room = s->room == 0 ? FIRST_ROOM : 2 * s->room;
    if (room > s->length)
        room = s->length;
    char *data = realloc(s->data, room);
    if (!data)
        return -ENOMEM;
    s->data = data;
    s->room = room;
    return 0;
}

static bool whole(const struct usp_socket *s)
{
    return s->have >= HEADER && s->have - HEADER == s->length;
}

/* Reads what is there. 0: a message is whole; USP_WAITS: it is not; UVCSP_RETIRED, -errno. */
static int pump(struct usp_socket *s)
{
    while (!s->broken && !whole(s)) {
        void *at;
        size_t wanted;
        if (s->have < HEADER) {
            at = s->header + s->have;
            wanted = HEADER - s->have;
        } else {
            int rc = make_room(s);
            if (rc < 0)
                return rc;
            at = s->data + (s->have - HEADER);
            wanted = (s->room < s->length ? s->room : s->length) - (s->have - HEADER);
        }
        ssize_t n = recv(s->fd, at, wanted, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return USP_WAITS;
        if (n < 0)
            s->broken = -errno;
        else if (n == 0)
            s->broken = s->have == 0 ? UVCSP_RETIRED : -ECONNRESET;
        s->have += n > 0 ? (size_t)n : 0;
        if (n > 0 && s->have == HEADER)
            s->broken = take_header(s);
    }
    return s->broken;
}

static int wait_whole(struct usp_socket *s, double timeout)
{
    double deadline = timeout < 0 ? -1 : uvcsp_now() + timeout;
    int rc;
    if (s->receiving)
        return -EBUSY;
    while ((rc = pump(s)) == USP_WAITS) {
        double left = deadline < 0 ? -1 : deadline - uvcsp_now();
        if (deadline >= 0 && left <= 0)
            return timeout == 0 ? UVCSP_WOULD_BLOCK : UVCSP_TIMEOUT;
        s->receiving = true;
        rc = uvcsp_wait_fd(s->fd, UV_READABLE, left);
        s->receiving = false;
        if (rc < 0)
            return rc;
    }
    return rc;
}

static void begin_next(struct usp_socket *s)
{
    s->have = 0;
    s->length = 0;
}

int usp_socket_recv(struct uvcsp_conn *conn, uvcsp_bytes *bytes)
{
    struct usp_socket *s = conn->socket;
    int rc = wait_whole(s, -1);
    if (rc != 0)
        return rc;
    *bytes = (uvcsp_bytes){s->length > 0 ? s->data : NULL, s->length};
    if (s->length > 0) {
        s->data = NULL;
        s->room = 0;
    }
    begin_next(s);
    return 0;
}

int usp_socket_recv_into(struct uvcsp_conn *conn, void *buffer, size_t room, size_t *sizep)
{
    struct usp_socket *s = conn->socket;
    int rc = wait_whole(s, -1);
    if (rc != 0)
        return rc;
    *sizep = s->length;
    if (s->length > room)
        return -EMSGSIZE;
    if (s->length > 0)
        memcpy(buffer, s->data, s->length);
    begin_next(s);
    return 0;
}

int usp_socket_poll(struct uvcsp_conn *conn, double timeout)
{
    int rc = wait_whole(conn->socket, timeout);
    return rc == UVCSP_RETIRED ? 0 : rc;
}

uvcsp_guard usp_socket_guard(struct uvcsp_conn *conn)
{
    if (!conn->socket->receiving && pump(conn->socket) != USP_WAITS)
        return (uvcsp_guard){.kind = UVCSP_GUARD_SKIP, .on = 1};
    return (uvcsp_guard){
        .kind = UVCSP_GUARD_FD, .on = 1, .number = conn->socket->fd, .events = UV_READABLE};
}
