/* Listeners: clients prove that they know the key, each at its own pace.

   A listener is a listening socket, the clients that have connected and have not proved anything
   yet, and an epoll of them all, so that it is one descriptor to wait for. A client is known by its
   place in a short table; while all places are taken, no more are accepted. Whoever waits in
   uvcsp_accept() looks after all of them, and gets the first one that has passed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/address.h"
#include "ipc/auth.h"
#include "ipc/conn.h"
#include "runtime/report.h"

#define PLACES 32
#define PATIENCE 5.0 /* seconds for a client to prove itself */
#define BACKLOG 64

struct client {
    int fd; /* -1: the place is free */
    int pid;
    double deadline;
    struct usp_auth_hello hello;
    struct usp_auth_proof proof;
    size_t have; /* bytes of the proof */
};

struct uvcsp_listener {
    uvcsp_listener *next;
    unsigned long serial; /* by which its maker knows it at its end: another may lie here then */
    char *key;
    int fd, epoll;
    struct sockaddr_un path;
    dev_t device; /* of the socket's file: another one of that name is not ours to remove */
    ino_t inode;
    size_t n_clients;
    struct client clients[PLACES];
};

static uvcsp_listener *listeners; /* of this worker */
static uvcsp_listener *inherited; /* of its parents: of no use here */

static uvcsp_listener *listener_of(const uvcsp_listener *wanted, const char *what)
{
    uvcsp_listener *listener = listeners;
    while (listener && listener != wanted)
        listener = listener->next;
    if (!listener)
        usp_report("%s: %s", what,
                   wanted ? "this is no listener of this worker, or it was closed"
                          : "the listener is NULL");
    return listener;
}

/* ---- making and closing ---- */

static int watch(uvcsp_listener *listener, int fd, uint32_t place)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = place};
    return epoll_ctl(listener->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Is there a socket of that name on which nobody listens any more? */
static bool is_left_over(const struct sockaddr_un *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)path, sizeof *path) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_to(uvcsp_listener *listener)
{
    const struct sockaddr *path = (const struct sockaddr *)&listener->path;
    int rc = bind(listener->fd, path, sizeof listener->path) < 0 ? -errno : 0;
    if (rc == -EADDRINUSE && is_left_over(&listener->path)) {
        unlink(listener->path.sun_path);
        rc = bind(listener->fd, path, sizeof listener->path) < 0 ? -errno : 0;
    }
    struct stat status;
    if (rc == 0 && stat(listener->path.sun_path, &status) < 0)
        rc = -errno;
    if (rc == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
        rc = listen(listener->fd, BACKLOG) < 0 ? -errno : 0;
    }
    return rc;
}

static int open_all(uvcsp_listener *listener, const char *key)
{
    listener->key = strdup(key);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listener->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!listener->key || listener->fd < 0 || listener->epoll < 0)
        return listener->key ? -errno : -ENOMEM;
    int rc = bind_to(listener);
    return rc < 0 ? rc : watch(listener, listener->fd, PLACES);
}

static void forget_client(uvcsp_listener *listener, struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    listener->n_clients--;
}

static void close_all(const uvcsp_listener *listener)
{
    for (size_t i = 0; i < PLACES; i++)
        if (listener->clients[i].fd >= 0)
            close(listener->clients[i].fd);
    if (listener->fd >= 0)
        close(listener->fd);
    if (listener->epoll >= 0)
        close(listener->epoll);
}

/* Closes what is open, in any state; the file stays. */
static void release(uvcsp_listener *listener)
{
    close_all(listener);
    if (listener->key)
        explicit_bzero(listener->key, strlen(listener->key));
    free(listener->key);
    free(listener);
}

static void remove_file(const uvcsp_listener *listener)
{
    struct stat status;
    if (listener->inode != 0 && stat(listener->path.sun_path, &status) == 0 &&
        status.st_ino == listener->inode && status.st_dev == listener->device)
        unlink(listener->path.sun_path);
}

static void close_listener(uvcsp_listener *listener)
{
    uvcsp_listener **at = &listeners;
    while (*at != listener)
        at = &(*at)->next;
    *at = listener->next;
    remove_file(listener);
    release(listener);
}

void uvcsp_listener_close(uvcsp_listener *listener)
{
    USP_ENTER();
    if (listener && listener_of(listener, "uvcsp_listener_close"))
        close_listener(listener);
}

static void close_if_open(void *arg)
{
    for (uvcsp_listener *listener = listeners; listener; listener = listener->next)
        if (listener->serial == (unsigned long)(uintptr_t)arg) {
            close_listener(listener);
            return;
        }
}

/* The memory stays: a process here may have been handed the address. */
void usp_listeners_forked(void)
{
    while (listeners) {
        uvcsp_listener *listener = listeners;
        listeners = listener->next;
        close_all(listener);
        listener->next = inherited;
        inherited = listener;
    }
}

uvcsp_listener *uvcsp_listen(const char *address, const char *key)
{
    USP_ENTER();
    static unsigned long serials;
    uvcsp_listener *listener = NULL;
    int rc = usp_key_is_good(key, "uvcsp_listen") ? 0 : -EINVAL;
    if (rc == 0 && !(listener = calloc(1, sizeof *listener)))
        rc = -ENOMEM;
    if (rc == 0) {
        listener->serial = ++serials;
        listener->fd = listener->epoll = -1;
        for (size_t i = 0; i < PLACES; i++)
            listener->clients[i].fd = -1;
        rc = usp_address_own(address, &listener->path, "uvcsp_listen");
    }
    if (rc == 0 && (rc = open_all(listener, key)) < 0)
        usp_report("uvcsp_listen: %s: %s", listener->path.sun_path, strerror(-rc));
    if (rc == 0)
        rc = usp_defer_always(close_if_open, (void *)(uintptr_t)listener->serial);
    if (rc < 0) {
        if (listener) {
            remove_file(listener);
            release(listener);
        }
        errno = -rc;
        return NULL;
    }
    listener->next = listeners;
    usp_conn_opens();
    listeners = listener;
    return listener;
}

const char *uvcsp_listener_address(const uvcsp_listener *listener)
{
    USP_ENTER();
    uvcsp_listener *found = listener_of(listener, "uvcsp_listener_address");
    return found ? found->path.sun_path : NULL;
}

/* ---- clients ---- */

static void refuse(uvcsp_listener *listener, struct client *client, int rc)
{
    usp_report("uvcsp_accept: a client (pid %d) was refused: %s", client->pid,
               rc == -EACCES       ? "it is another user's"
               : rc == -EPROTO     ? "it speaks something else"
               : rc == -ETIMEDOUT  ? "it said nothing for five seconds"
               : rc == -ECONNRESET ? "it hung up before it had proved anything"
                                   : strerror(-rc));
    forget_client(listener, client);
}

static void greet(uvcsp_listener *listener)
{
    size_t i = 0;
    while (i < PLACES && listener->clients[i].fd >= 0)
        i++;
    if (i == PLACES)
        return;
    struct client *client = &listener->clients[i];
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    *client = (struct client){.fd = fd, .deadline = uvcsp_now() + PATIENCE};
    listener->n_clients++;
    int rc = usp_auth_peer(fd, &client->pid);
    if (rc == 0)
        rc = usp_auth_hello(&client->hello);
    if (rc == 0)
        rc = watch(listener, fd, (uint32_t)i);
    if (rc == 0 && !usp_send_whole(fd, &client->hello, sizeof client->hello))
        rc = -ECONNRESET;
    if (rc < 0)
        refuse(listener, client, rc);
}

/* A client's bytes. Its descriptor when it has passed, else -1. */
static int listen_to(uvcsp_listener *listener, struct client *client)
{
    ssize_t n = recv(client->fd, (char *)&client->proof + client->have,
                     sizeof client->proof - client->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -1;
    if (n <= 0) {
        refuse(listener, client, -ECONNRESET);
        return -1;
    }
    client->have += (size_t)n;
    size_t magic =
        client->have < sizeof client->proof.magic ? client->have : sizeof client->proof.magic;
    if (memcmp(client->proof.magic, USP_AUTH_MAGIC, magic) != 0) {
        refuse(listener, client, -EPROTO);
        return -1;
    }
    if (client->have < sizeof client->proof)
        return -1;
    struct usp_auth_answer answer;
    int rc = usp_auth_answer(listener->key, &client->hello, &client->proof, &answer);
    if (!usp_send_whole(client->fd, &answer, sizeof answer) && rc == 0)
        rc = -ECONNRESET;
    if (rc < 0) {
        refuse(listener, client, rc);
        return -1;
    }
    int fd = client->fd;
    epoll_ctl(listener->epoll, EPOLL_CTL_DEL, fd, NULL);
    client->fd = -1;
    listener->n_clients--;
    return fd;
}

/* Whatever is there to be done now, and whoever takes too long. A descriptor, or -1. */
static int serve(uvcsp_listener *listener)
{
    struct epoll_event events[PLACES + 1];
    int n = epoll_wait(listener->epoll, events, PLACES + 1, 0), passed = -1;
    for (int i = 0; i < n && passed < 0; i++) {
        uint32_t place = events[i].data.u32;
        if (place == PLACES)
            greet(listener);
        else if (listener->clients[place].fd >= 0)
            passed = listen_to(listener, &listener->clients[place]);
    }
    double now = listener->n_clients > 0 ? uvcsp_now() : 0;
    for (size_t i = 0; i < PLACES && listener->n_clients > 0; i++)
        if (listener->clients[i].fd >= 0 && listener->clients[i].deadline <= now)
            refuse(listener, &listener->clients[i], -ETIMEDOUT);
    return passed;
}

/* How long until the first of the clients is given up, and `left` at most. */
static double patience(const uvcsp_listener *listener, double left)
{
    double now = uvcsp_now();
    for (size_t i = 0; i < PLACES; i++) {
        if (listener->clients[i].fd < 0)
            continue;
        double seconds = listener->clients[i].deadline - now;
        seconds = seconds < 0 ? 0 : seconds;
        if (left < 0 || seconds < left)
            left = seconds;
    }
    return left;
}

uvcsp_conn *uvcsp_accept(uvcsp_listener *listener, double timeout)
{
    USP_ENTER();
    if (!listener_of(listener, "uvcsp_accept") || !usp_timeout_is_good(timeout, "uvcsp_accept"))
        return usp_conn_failed(-EINVAL);
    double deadline = timeout < 0 ? -1 : uvcsp_now() + timeout;
    for (;;) {
        int fd = serve(listener);
        if (fd >= 0)
            return usp_connected(fd, "uvcsp_accept");
        double left = deadline < 0 ? -1 : deadline - uvcsp_now();
        if (deadline >= 0 && left <= 0)
            return usp_conn_failed(-ETIMEDOUT);
        if (usp_fd_ready(listener->epoll, UV_READABLE) > 0) {
            uvcsp_yield(); /* more to be done, or more clients than places */
            continue;
        }
        int rc = uvcsp_wait_fd(listener->epoll, UV_READABLE, patience(listener, left));
        if (rc < 0)
            return usp_conn_failed(rc);
        if (!listener_of(listener, "uvcsp_accept")) /* closed meanwhile */
            return usp_conn_failed(-EBADF);
    }
}

uvcsp_guard uvcsp_listener_guard(uvcsp_listener *listener)
{
    USP_ENTER();
    uvcsp_listener *found = listener_of(listener, "ON_CLIENT");
    return (uvcsp_guard){.kind = UVCSP_GUARD_FD,
                         .on = 1,
                         .number = found ? found->epoll : -1,
                         .events = UV_READABLE};
}
