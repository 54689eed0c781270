#include "runtime/link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "runtime/failpoint.h"
#include "runtime/report.h"
#include "runtime/worker.h"

#define SMALL_PAYLOAD 8192 /* up to here a payload that the socket does not take is copied and queued */
#define SCRATCH_SIZE 8192  /* small, for what is read here beyond the headers is copied once more */
#define BACKLOG 4096

/* A task that waits until a link is confirmed; it lies on the stack of its fibre. */
struct waiter {
    struct waiter *next;
    struct usp_task *task;
};

struct link {
    uv_pipe_t pipe;
    struct link *next, *prev;
    unsigned peer;        /* USP_MAX_WORKERS until its HELLO has come */
    uint32_t generation;  /* of the peer's record */
    bool closing;
    bool confirmed;       /* the peer has accepted it: what is sent arrives, or the peer has ended */
    struct waiter *waiting; /* for that */
    bool enough;          /* a payload was read whole, to where it belongs: nothing more is likely to be there */
    /* what is being received */
    struct usp_frame frame;
    size_t have;          /* bytes of the header */
    char *place;          /* of the payload */
    size_t left;          /* bytes of the payload still to come */
};

struct request {
    uv_write_t write;
    size_t room; /* for a payload, besides the header */
    struct usp_task *stream;
    char copy[];
};

struct usp_link_hooks usp_link_hooks;

static struct link *links;
static struct link *by_peer[USP_MAX_WORKERS];
static uv_pipe_t listener;
static bool listening;
static unsigned n_queued;
static struct request *spare;
static char scratch[SCRATCH_SIZE];
static char waste[4096];

/* ---- receiving ---- */

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void wake_waiting(struct link *link, int status)
{
    while (link->waiting) {
        struct waiter *waiter = link->waiting;
        link->waiting = waiter->next;
        usp_link_hooks.sent(waiter->task, status);
    }
}

static void close_link(struct link *link)
{
    if (link->closing)
        return;
    link->closing = true;
    if (link->peer < USP_MAX_WORKERS && by_peer[link->peer] == link)
        by_peer[link->peer] = NULL;
    if (link->next)
        link->next->prev = link->prev;
    if (link->prev)
        link->prev->next = link->next;
    else
        links = link->next;
    if (link->left > 0 && link->place)
        usp_link_hooks.lost(&link->frame, link->place);
    wake_waiting(link, -ENOTCONN);
    uv_close((uv_handle_t *)&link->pipe, closed);
}

/* Whoever knows the address could connect. It has to be the same user, by the word of the kernel,
   and to know the secret that lies in the arena. (Its process may have ended since; what it sent
   still counts.) */
static bool introduce(struct link *link, const struct usp_frame *frame)
{
    uv_os_fd_t fd;
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (frame->worker >= USP_MAX_WORKERS || frame->length != usp_shared->secret ||
        uv_fileno((uv_handle_t *)&link->pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid())
        return false;
    /* the answer by which the peer knows that this link is read */
    struct usp_frame bell = {.type = USP_FRAME_BELL, .worker = usp_worker_index()};
    uv_buf_t buffer = uv_buf_init((char *)&bell, sizeof bell);
    if (uv_try_write((uv_stream_t *)&link->pipe, &buffer, 1) != (int)sizeof bell)
        return false;
    link->confirmed = true;
    link->peer = frame->worker;
    link->generation = frame->from_index;
    struct link *there = by_peer[link->peer];
    if ((!there || !there->confirmed) && link->generation == usp_worker_of(link->peer)->generation)
        by_peer[link->peer] = link;
    return true;
}

/* A whole header has come. False: the link is of no use. */
static bool take_frame(struct link *link)
{
    const struct usp_frame *frame = &link->frame;
    link->have = 0;
    if (link->peer == USP_MAX_WORKERS)
        return frame->type == USP_FRAME_HELLO && introduce(link, frame);
    if (!link->confirmed) {
        link->confirmed = true;
        wake_waiting(link, 0);
    }
    switch (frame->type) {
    case USP_FRAME_BELL:
        return true;
    case USP_FRAME_PULL:
        usp_link_hooks.pull(frame);
        return true;
    case USP_FRAME_DATA:
        link->place = usp_link_hooks.place(frame);
        link->left = frame->length;
        if (link->left == 0 && link->place)
            usp_link_hooks.arrived(frame, link->place);
        return true;
    default:
        return false;
    }
}

static void take_payload(struct link *link, size_t n)
{
    link->left -= n;
    if (link->left == 0 && link->place)
        usp_link_hooks.arrived(&link->frame, link->place);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct link *link = handle->data;
    if (link->enough)
        *buffer = uv_buf_init(NULL, 0); /* libuv would read until it is told EAGAIN */
    else if (link->left == 0)
        *buffer = uv_buf_init(scratch, sizeof scratch);
    else if (link->place)
        *buffer = uv_buf_init(link->place + (link->frame.length - link->left),
                              link->left > 1u << 30 ? 1u << 30 : (unsigned)link->left);
    else
        *buffer = uv_buf_init(waste, sizeof waste < link->left ? sizeof waste : (unsigned)link->left);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct link *link = stream->data;
    if (n == UV_ENOBUFS && link->enough) {
        link->enough = false;
        return;
    }
    if (n < 0) {
        close_link(link);
        return;
    }
    if (link->left > 0) { /* it has been read to where it belongs */
        take_payload(link, (size_t)n);
        link->enough = link->left == 0;
        return;
    }
    const char *at = buffer->base, *end = at + n;
    while (at < end) {
        size_t chunk = (size_t)(end - at);
        if (link->left > 0) {
            if (chunk > link->left)
                chunk = link->left;
            if (link->place)
                memcpy(link->place + (link->frame.length - link->left), at, chunk);
            take_payload(link, chunk);
        } else {
            if (chunk > sizeof link->frame - link->have)
                chunk = sizeof link->frame - link->have;
            memcpy((char *)&link->frame + link->have, at, chunk);
            link->have += chunk;
            if (link->have == sizeof link->frame && !take_frame(link)) {
                close_link(link);
                return;
            }
        }
        at += chunk;
    }
}

static struct link *new_link(unsigned peer)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->peer = peer;
    if (peer < USP_MAX_WORKERS)
        link->generation = usp_worker_of(peer)->generation;
    if (uv_pipe_init(usp_loop(), &link->pipe, 0) < 0) {
        free(link);
        return NULL;
    }
    link->pipe.data = link;
    uv_unref((uv_handle_t *)&link->pipe); /* a link by itself is no hope that anything will happen */
    link->next = links;
    if (links)
        links->prev = link;
    links = link;
    return link;
}

/* ---- connecting ---- */

/* A connection that cannot be taken is closed, not left alone: whoever has made it waits for an
   answer. */
static void turn_away(uv_stream_t *server)
{
    if (server->accepted_fd >= 0)
        close(server->accepted_fd);
    server->accepted_fd = -1;
}

static void on_connection(uv_stream_t *server, int status)
{
    struct link *link = status < 0 ? NULL : new_link(USP_MAX_WORKERS);
    if (!link) {
        if (status == 0)
            turn_away(server);
        return;
    }
    int rc = uv_accept(server, (uv_stream_t *)&link->pipe);
    if (rc < 0)
        turn_away(server);
    if (rc == 0)
        rc = uv_read_start((uv_stream_t *)&link->pipe, give_buffer, on_read);
    if (rc < 0)
        close_link(link);
}

int usp_link_listen(void)
{
    if (listening)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(sa_family_t); /* of that size, it asks the kernel for a free address */
    int rc = bind(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
    size = sizeof address;
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        rc = -errno;
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    if (rc == 0 && size - sizeof(sa_family_t) > sizeof self->address)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        rc = uv_pipe_init(usp_loop(), &listener, 0);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    rc = uv_pipe_open(&listener, fd);
    if (rc < 0)
        close(fd);
    else
        rc = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
    if (rc < 0) {
        uv_close((uv_handle_t *)&listener, NULL);
        return rc;
    }
    memcpy(self->address, address.sun_path, size - sizeof(sa_family_t));
    self->address_size = (int)(size - sizeof(sa_family_t));
    uv_unref((uv_handle_t *)&listener);
    listening = true;
    return 0;
}

int usp_link_adopt(unsigned worker, int fd)
{
    struct link *link = new_link(worker);
    if (!link) {
        close(fd);
        return -ENOMEM;
    }
    int rc = uv_pipe_open(&link->pipe, fd);
    if (rc < 0)
        close(fd);
    else
        rc = uv_read_start((uv_stream_t *)&link->pipe, give_buffer, on_read);
    if (rc < 0) {
        close_link(link);
        return rc;
    }
    link->confirmed = true; /* from birth; the one that connect_to() makes is not */
    by_peer[worker] = link;
    return 0;
}

static int connect_to(unsigned worker)
{
    struct usp_worker *peer = usp_worker_of(worker);
    if (peer->address_size == 0)
        return -ENOTCONN;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, peer->address, (size_t)peer->address_size);
    socklen_t size = (socklen_t)(sizeof(sa_family_t) + (size_t)peer->address_size);
    /* the kernel answers for the listener, so this does not wait for the other worker to run */
    if (connect(fd, (struct sockaddr *)&address, size) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    int rc = usp_link_adopt(worker, fd);
    if (rc < 0)
        return rc;
    by_peer[worker]->confirmed = false;
    USP_FAILPOINT("link-connected");
    struct usp_frame hello = {
        .type = USP_FRAME_HELLO,
        .worker = usp_worker_index(),
        .length = usp_shared->secret,
        .from_index = usp_worker_of(usp_worker_index())->generation,
    };
    uv_buf_t buffer = uv_buf_init((char *)&hello, sizeof hello);
    rc = uv_try_write((uv_stream_t *)&by_peer[worker]->pipe, &buffer, 1);
    if (rc == (int)sizeof hello)
        return 0;
    close_link(by_peer[worker]);
    return rc < 0 ? rc : -EIO;
}

static int link_to(unsigned worker, struct link **linkp)
{
    struct link *link = by_peer[worker];
    if (link && link->generation != usp_worker_of(worker)->generation) {
        by_peer[worker] = NULL; /* to an earlier worker of that record; its end of file will close it */
        link = NULL;
    }
    if (!link) {
        int rc = connect_to(worker);
        if (rc < 0)
            return rc;
        link = by_peer[worker];
    }
    *linkp = link;
    return link ? 0 : -ENOTCONN;
}

/* ---- sending ---- */

/* What is to be queued, if the socket does not take all, is had before anything is written: half
   a frame cannot be taken back. */
static struct request *take_request(size_t most)
{
    struct request *request = spare;
    if (most <= SMALL_PAYLOAD && request) {
        spare = NULL;
        return request;
    }
    size_t room = most <= SMALL_PAYLOAD ? SMALL_PAYLOAD : most;
    request = malloc(sizeof *request + sizeof(struct usp_frame) + room);
    if (request)
        request->room = room;
    return request;
}

static void give_request(struct request *request)
{
    if (!spare && request->room == SMALL_PAYLOAD)
        spare = request;
    else
        free(request);
}

static void on_written(uv_write_t *write, int status)
{
    struct request *request = (struct request *)write;
    struct usp_task *stream = request->stream;
    n_queued--;
    give_request(request);
    if (stream)
        usp_link_hooks.sent(stream, status);
}

/* Queues what the socket has not taken: `done` bytes of header and payload have gone. */
static int queue_rest(struct link *link, struct request *request, const struct usp_frame *frame,
                      const char *payload, size_t done, struct usp_task *stream)
{
    size_t header = done < sizeof *frame ? sizeof *frame - done : 0;
    size_t skip = done > sizeof *frame ? done - sizeof *frame : 0;
    size_t rest = frame->length - skip;
    bool copy = !stream || rest <= SMALL_PAYLOAD;
    memcpy(request->copy, (const char *)frame + (sizeof *frame - header), header);
    if (copy && rest)
        memcpy(request->copy + header, payload + skip, rest);
    request->stream = copy ? NULL : stream;
    uv_buf_t buffers[2] = {
        {.base = request->copy, .len = header + (copy ? rest : 0)},
        {.base = (char *)(uintptr_t)payload + skip, .len = rest},
    };
    int rc = uv_write(&request->write, (uv_stream_t *)&link->pipe, buffers, copy ? 1 : 2, on_written);
    if (rc < 0)
        return rc;
    n_queued++;
    return copy ? 0 : 1;
}

/* Half a frame has been written, and the rest cannot be: the peer sees the end of file in the
   middle of it. */
static void break_link(struct link *link)
{
    uv_os_fd_t fd;
    if (by_peer[link->peer] == link)
        by_peer[link->peer] = NULL;
    if (uv_fileno((uv_handle_t *)&link->pipe, &fd) == 0)
        shutdown(fd, SHUT_WR);
}

static int send_frame(unsigned worker, struct usp_frame *frame, const void *payload,
                      struct usp_task *stream)
{
    struct link *link;
    int rc = link_to(worker, &link);
    if (rc < 0)
        return rc;
    struct request *request = take_request(stream ? SMALL_PAYLOAD : frame->length);
    if (!request)
        return -ENOMEM;
    frame->worker = usp_worker_index();
    USP_FAILPOINT("linked");
    uv_buf_t buffers[2] = {
        {.base = (char *)frame, .len = sizeof *frame},
        {.base = (char *)(uintptr_t)payload, .len = frame->length},
    };
    rc = uv_try_write((uv_stream_t *)&link->pipe, buffers, frame->length ? 2 : 1);
    if (rc < 0 && rc != UV_EAGAIN) {
        give_request(request);
        by_peer[worker] = NULL; /* what it has sent is still to be read; the end of file closes the link */
        return rc;
    }
    USP_FAILPOINT("frame-written");
    size_t done = rc < 0 ? 0 : (size_t)rc;
    rc = 0;
    if (done < sizeof *frame + frame->length)
        rc = queue_rest(link, request, frame, payload, done, stream);
    if (done == sizeof *frame + frame->length || rc < 0)
        give_request(request);
    if (rc < 0 && done > 0) {
        break_link(link);
        rc = done < sizeof *frame ? -EPIPE : -ECONNRESET;
    }
    return rc;
}

int usp_link_send(unsigned worker, struct usp_frame *frame, const void *payload,
                  struct usp_task *stream)
{
    usp_writing++;
    int rc = send_frame(worker, frame, payload, stream);
    usp_writing--;
    return rc;
}

bool usp_link_is_ready(unsigned worker)
{
    struct link *link = by_peer[worker];
    return link && link->confirmed && link->generation == usp_worker_of(worker)->generation;
}

int usp_link_ready(unsigned worker, struct usp_task *task)
{
    struct link *link;
    usp_writing++;
    int rc = link_to(worker, &link);
    usp_writing--;
    if (rc < 0 || link->confirmed)
        return rc;
    struct waiter waiter = {link->waiting, task};
    link->waiting = &waiter;
    task->flags |= USP_TASK_STREAMING; /* looked after by its link, as one that streams */
    usp_park();
    return usp_link_is_ready(worker) ? 0 : -ENOTCONN;
}

void usp_link_bell(unsigned worker)
{
    struct usp_frame bell = {.type = USP_FRAME_BELL};
    /* a bell that is not confirmed may be lost with its link */
    if (usp_link_send(worker, &bell, NULL, NULL) < 0 || !usp_link_is_ready(worker)) {
        pid_t pid = usp_worker_of(worker)->pid;
        if (pid > 0 &&
            atomic_load(&usp_worker_of(worker)->state) == USP_WORKER_RUNNING)
            kill(pid, USP_SIGNAL_BELL);
    }
}

unsigned usp_link_queued(void)
{
    return n_queued;
}

/* ---- ends ---- */

static bool has_unread(unsigned worker)
{
    for (struct link *link = links; link; link = link->next) {
        uv_os_fd_t fd;
        int n = 0;
        if ((link->peer == worker || link->peer == USP_MAX_WORKERS) &&
            uv_fileno((uv_handle_t *)&link->pipe, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0)
            return true;
    }
    if (listening) {
        struct pollfd p = {.events = POLLIN};
        uv_os_fd_t fd;
        if (uv_fileno((uv_handle_t *)&listener, &fd) == 0) {
            p.fd = fd;
            return poll(&p, 1, 0) > 0;
        }
    }
    return false;
}

void usp_link_drain(unsigned worker)
{
    while (has_unread(worker))
        usp_poll();
    for (struct link *link = links, *next; link; link = next) {
        next = link->next;
        if (link->peer == worker)
            close_link(link);
    }
}

void usp_link_ended(unsigned worker)
{
    struct link *link = by_peer[worker];
    if (link)
        by_peer[worker] = NULL; /* the end of file closes it */
}

void usp_link_forget(void)
{
    links = NULL; /* their descriptors went with the parent's loop */
    memset(by_peer, 0, sizeof by_peer);
    listening = false;
    n_queued = 0;
}

void usp_link_deinit(void)
{
    free(spare);
    spare = NULL;
    while (links)
        close_link(links);
    if (listening)
        uv_close((uv_handle_t *)&listener, NULL);
    listening = false;
}
