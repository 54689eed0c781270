/* What links carry: frames and payloads, received on the loop and sent by whoever has something to say.
   link_connect.c makes the links. */
#include "runtime/links.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "runtime/failpoint.h"
#include "runtime/young.h"

#define SMALL_PAYLOAD 8192 /* a request has room for so much, or for more */
#define SCRATCH_SIZE 8192  /* small, for what is read here beyond the headers is copied once more */

struct request {
    uv_write_t write;
    size_t room; /* for a payload, besides the header */
    struct usp_task *stream;
    char copy[];
};

struct usp_link_hooks usp_link_hooks;

static struct link *links USP_YOUNG;
struct link *usp_link_by_peer[USP_MAX_WORKERS];
static unsigned n_queued USP_YOUNG, n_unquiet USP_YOUNG;
static struct request *spare;
static char scratch[SCRATCH_SIZE];

/* Called where `confirmed`, `have` or `left` may have changed. */
static void count_unquiet(struct link *link)
{
    bool unquiet = !link->closing && (!link->confirmed || link->have > 0 || link->left > 0);
    if (unquiet != link->unquiet)
        n_unquiet += unquiet ? 1u : -1u;
    link->unquiet = unquiet;
}

bool usp_links_are_quiet(void)
{
    return n_unquiet == 0;
}

/* libuv may have left something unread. */
static void look_again(void)
{
    atomic_store_explicit(&usp_worker_of(usp_worker_index())->knocked, 1, memory_order_relaxed);
}

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

void usp_links_close(struct link *link)
{
    if (link->closing)
        return;
    link->closing = true;
    count_unquiet(link);
    if (link->peer < USP_MAX_WORKERS && usp_link_by_peer[link->peer] == link)
        usp_link_by_peer[link->peer] = NULL;
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

/* A whole header has come. False: the link is of no use. */
static bool take_frame(struct link *link)
{
    const struct usp_frame *frame = &link->frame;
    link->have = 0;
    if (link->peer == USP_MAX_WORKERS)
        return frame->type == USP_FRAME_HELLO && usp_links_introduce(link, frame);
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
        *buffer = uv_buf_init(scratch, SCRATCH_SIZE);
    else if (link->place)
        *buffer = uv_buf_init(link->place + (link->frame.length - link->left),
                              link->left > 1u << 30 ? 1u << 30 : (unsigned)link->left);
    else
        *buffer = uv_buf_init(scratch, SCRATCH_SIZE < link->left ? SCRATCH_SIZE : (unsigned)link->left);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct link *link = stream->data;
    if (n == UV_ENOBUFS && link->enough) {
        link->enough = false;
        return;
    }
    if (n < 0) {
        usp_links_close(link);
        return;
    }
    if ((size_t)n == buffer->len)
        look_again();
    if (link->left > 0) { /* it has been read to where it belongs */
        take_payload(link, (size_t)n);
        link->enough = link->left == 0;
        count_unquiet(link);
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
                usp_links_close(link);
                return;
            }
        }
        at += chunk;
    }
    count_unquiet(link);
}

struct link *usp_links_new(unsigned peer)
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
    count_unquiet(link);
    uv_unref((uv_handle_t *)&link->pipe); /* a link by itself is no hope that anything will happen */
    link->next = links;
    if (links)
        links->prev = link;
    links = link;
    return link;
}

int usp_links_read(struct link *link)
{
    return uv_read_start((uv_stream_t *)&link->pipe, give_buffer, on_read);
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
    const struct link *link = write->handle->data;
    n_queued--;
    if (link->generation == usp_worker_of(link->peer)->generation)
        atomic_fetch_sub(&usp_worker_of(link->peer)->streams, 1);
    give_request(request);
    if (stream)
        usp_link_hooks.sent(stream, status);
}

/* Queues what the socket has not taken: `done` bytes of header and payload have gone. Of a process that waits for that
   nothing is copied, however short it is: it must not be told that its message has gone as long as that could still be
   lost with this worker. */
static int queue_rest(struct link *link, struct request *request, const struct usp_frame *frame,
                      const char *payload, size_t done, struct usp_task *stream)
{
    size_t header = done < sizeof *frame ? sizeof *frame - done : 0;
    size_t skip = done > sizeof *frame ? done - sizeof *frame : 0;
    size_t rest = frame->length - skip;
    bool copy = !stream;
    memcpy(request->copy, (const char *)frame + (sizeof *frame - header), header);
    if (copy && rest)
        memcpy(request->copy + header, payload + skip, rest);
    request->stream = stream;
    uv_buf_t buffers[2] = {
        {.base = request->copy, .len = header + (copy ? rest : 0)},
        {.base = copy ? NULL : (char *)(uintptr_t)payload + skip, .len = rest},
    };
    int rc = uv_write(&request->write, (uv_stream_t *)&link->pipe, buffers, copy ? 1 : 2, on_written);
    if (rc < 0)
        return rc;
    n_queued++;
    atomic_fetch_add(&usp_worker_of(link->peer)->streams, 1);
    return copy ? 0 : 1;
}

/* Half a frame has been written, and the rest cannot be: the peer sees the end of file in the
   middle of it. */
static void break_link(struct link *link)
{
    uv_os_fd_t fd;
    if (usp_link_by_peer[link->peer] == link)
        usp_link_by_peer[link->peer] = NULL;
    if (uv_fileno((uv_handle_t *)&link->pipe, &fd) == 0)
        shutdown(fd, SHUT_WR);
}

static int send_frame(unsigned worker, struct usp_frame *frame, const void *payload,
                      struct usp_task *stream)
{
    struct link *link;
    int rc = usp_links_to(worker, &link);
    if (rc < 0)
        return rc;
    struct request *request = take_request(stream ? 0 : frame->length);
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
        /* what it has sent is still to be read; the end of file closes the link */
        usp_link_by_peer[worker] = NULL;
        return rc;
    }
    USP_FAILPOINT("frame-written");
    size_t done = rc < 0 ? 0 : (size_t)rc;
    rc = 0;
    if (done < sizeof *frame + frame->length)
        rc = queue_rest(link, request, frame, payload, done, stream);
    if (frame->type != USP_FRAME_BELL)
        usp_worker_knock(worker);
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
    struct link *link = usp_link_by_peer[worker];
    return link && link->confirmed && link->generation == usp_worker_of(worker)->generation;
}

int usp_link_ready(unsigned worker, struct usp_task *task)
{
    struct link *link;
    usp_writing++;
    int rc = usp_links_to(worker, &link);
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

static bool has_bytes(struct link *link)
{
    uv_os_fd_t fd;
    int n = 0;
    return uv_fileno((uv_handle_t *)&link->pipe, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Bytes, or the end: who has connected and died before it said who it was leaves nothing else. */
static bool has_event(struct link *link)
{
    struct pollfd p = {.events = POLLIN};
    return uv_fileno((uv_handle_t *)&link->pipe, &p.fd) == 0 && poll(&p, 1, 0) > 0;
}

/* Of that worker, and of who had its record before. */
static bool is_to(const struct link *link, unsigned worker, uint32_t generation)
{
    return link->peer == worker && (int32_t)(link->generation - generation) <= 0;
}

static bool has_unread(unsigned worker, uint32_t generation)
{
    for (struct link *link = links; link; link = link->next)
        if (is_to(link, worker, generation) ? has_bytes(link)
            : link->peer == USP_MAX_WORKERS ? has_event(link)
                                            : false)
            return true;
    return usp_links_knocked();
}

void usp_link_drain(unsigned worker, uint32_t generation)
{
    while (has_unread(worker, generation))
        usp_poll();
    for (struct link *link = links, *next; link; link = next) {
        next = link->next;
        if (is_to(link, worker, generation))
            usp_links_close(link);
    }
}

void usp_link_ended(unsigned worker)
{
    for (struct link *link = links, *next; link; link = next) {
        next = link->next;
        if (link->peer == worker && !has_bytes(link))
            usp_links_close(link);
    }
    if (usp_link_by_peer[worker])
        usp_link_by_peer[worker] = NULL; /* if there is one still, the end of file closes it */
}

void usp_link_forget(void)
{
    /* Their descriptors went with the parent's loop. Only what is set is cleared: a page that is not written
       to stays shared with the parent. */
    for (struct link *link = links; link; link = link->next)
        if (link->peer < USP_MAX_WORKERS && usp_link_by_peer[link->peer])
            usp_link_by_peer[link->peer] = NULL;
    links = NULL;
    usp_links_forget_listener();
    n_queued = n_unquiet = 0;
}

void usp_link_deinit(void)
{
    free(spare);
    spare = NULL;
    while (links)
        usp_links_close(links);
    usp_links_close_listener();
}
