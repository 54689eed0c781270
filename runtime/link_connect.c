/* How links are made: the listening socket of a worker, connecting to another's, and the first frame. */
#include "runtime/links.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/failpoint.h"
#include "runtime/young.h"

#define BACKLOG 4096

bool usp_link_listens USP_YOUNG;
static int socket_ USP_YOUNG;
static bool is_open USP_YOUNG; /* it is closed with the handle */
static uv_pipe_t listener;

/* Whoever knows the address could connect. It has to be the same user, by the word of the kernel,
   and to know the secret that lies in the arena. (Its process may have ended since; what it sent
   still counts.) */
bool usp_links_introduce(struct link *link, const struct usp_frame *frame)
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
    struct link *there = usp_link_by_peer[link->peer];
    if ((!there || !there->confirmed) && link->generation == usp_worker_of(link->peer)->generation)
        usp_link_by_peer[link->peer] = link;
    return true;
}

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
    struct link *link = status < 0 ? NULL : usp_links_new(USP_MAX_WORKERS);
    if (!link) {
        if (status == 0)
            turn_away(server);
        return;
    }
    int rc = uv_accept(server, (uv_stream_t *)&link->pipe);
    if (rc < 0)
        turn_away(server);
    if (rc == 0)
        rc = usp_links_read(link);
    if (rc < 0)
        usp_links_close(link);
}

static int open_listener(void);

int usp_link_listen(void)
{
    if (usp_link_listens)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(sa_family_t); /* of that size, it asks the kernel for a free address */
    int rc = bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
    size = sizeof address;
    if (rc == 0 && getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        rc = -errno;
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    if (rc == 0 && size - sizeof(sa_family_t) > sizeof self->address)
        rc = -ENAMETOOLONG;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    socket_ = fd;
    usp_link_listens = true;
    rc = usp_sched.loop ? open_listener() : 0;
    if (rc < 0)
        return rc;
    memcpy(self->address, address.sun_path, size - sizeof(sa_family_t));
    atomic_store_explicit(&self->address_size, (int)(size - sizeof(sa_family_t)), memory_order_release);
    return 0;
}

int usp_link_opened(void)
{
    return usp_link_listens ? open_listener() : usp_link_listen();
}

static int open_listener(void)
{
    int fd = socket_;
    int rc = uv_pipe_init(usp_loop(), &listener, 0);
    is_open = rc == 0;
    if (rc == 0) {
        rc = uv_pipe_open(&listener, fd);
        if (rc == 0)
            rc = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
        else
            close(fd);
        if (rc < 0) {
            uv_close((uv_handle_t *)&listener, NULL);
            is_open = false;
        }
    } else {
        close(fd);
    }
    if (rc < 0)
        usp_link_listens = false;
    else
        uv_unref((uv_handle_t *)&listener);
    return rc;
}

/* Takes `fd`, also when it fails. */
static int read_from(unsigned worker, int fd)
{
    struct link *link = usp_links_new(worker);
    if (!link) {
        close(fd);
        return -ENOMEM;
    }
    int rc = uv_pipe_open(&link->pipe, fd);
    if (rc < 0)
        close(fd);
    else
        rc = usp_links_read(link);
    if (rc < 0)
        usp_links_close(link);
    else
        usp_link_by_peer[worker] = link;
    return rc;
}

static int connect_to(unsigned worker)
{
    struct usp_worker *peer = usp_worker_of(worker);
    int address_size = atomic_load_explicit(&peer->address_size, memory_order_acquire);
    if (address_size == 0)
        return -ENOTCONN;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, peer->address, (size_t)address_size);
    socklen_t size = (socklen_t)(sizeof(sa_family_t) + (size_t)address_size);
    /* the kernel answers for the listener, so this does not wait for the other worker to run */
    if (connect(fd, (struct sockaddr *)&address, size) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    int rc = read_from(worker, fd);
    if (rc < 0)
        return rc;
    USP_FAILPOINT("link-connected");
    struct usp_frame hello = {
        .type = USP_FRAME_HELLO,
        .worker = usp_worker_index(),
        .length = usp_shared->secret,
        .from_index = usp_worker_of(usp_worker_index())->generation,
    };
    uv_buf_t buffer = uv_buf_init((char *)&hello, sizeof hello);
    rc = uv_try_write((uv_stream_t *)&usp_link_by_peer[worker]->pipe, &buffer, 1);
    if (rc == (int)sizeof hello) {
        usp_worker_knock(worker);
        return 0;
    }
    usp_links_close(usp_link_by_peer[worker]);
    return rc < 0 ? rc : -EIO;
}

int usp_links_to(unsigned worker, struct link **linkp)
{
    struct link *link = usp_link_by_peer[worker];
    if (link && link->generation != usp_worker_of(worker)->generation) {
        /* to an earlier worker of that record; its end of file will close it */
        usp_link_by_peer[worker] = NULL;
        link = NULL;
    }
    if (!link) {
        int rc = connect_to(worker);
        if (rc < 0)
            return rc;
        link = usp_link_by_peer[worker];
    }
    *linkp = link;
    return link ? 0 : -ENOTCONN;
}

bool usp_links_knocked(void)
{
    struct pollfd p = {.fd = socket_, .events = POLLIN};
    return usp_link_listens && poll(&p, 1, 0) > 0;
}

int usp_link_socket(void)
{
    return usp_link_listens ? socket_ : -1;
}

void usp_links_forget_listener(void)
{
    if (usp_link_listens)
        usp_loop_keep_place(socket_);
    usp_link_listens = is_open = false;
}

void usp_links_close_listener(void)
{
    if (is_open)
        uv_close((uv_handle_t *)&listener, NULL);
    else if (usp_link_listens)
        close(socket_);
    usp_link_listens = is_open = false;
}
