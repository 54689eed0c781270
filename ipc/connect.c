/* The client's side of a connection between programs, and what both sides do alike. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/address.h"
#include "ipc/auth.h"
#include "ipc/conn.h"
#include "runtime/report.h"

/* ---- both sides ---- */

bool usp_key_is_good(const char *key, const char *what)
{
    if (key && *key)
        return true;
    usp_report("%s: the key is %s", what, key ? "empty" : "NULL");
    return false;
}

bool usp_send_whole(int fd, const void *data, size_t size)
{
    return send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           (ssize_t)size; /* the socket is empty: it fits */
}

uvcsp_conn *usp_conn_failed(int rc)
{
    errno = -rc;
    return NULL;
}

uvcsp_conn *usp_connected(int fd, const char *what)
{
    uvcsp_conn *conn = usp_socket_conn(fd);
    if (!conn) {
        usp_report("%s: no memory for a connection", what);
        return usp_conn_failed(-ENOMEM);
    }
    return conn;
}

/* ---- the client ---- */

/* All of `size` bytes, until the deadline. 0, -ETIMEDOUT, -ECONNRESET, -errno. */
static int recv_whole(int fd, void *data, size_t size, double deadline)
{
    for (size_t have = 0; have < size;) {
        ssize_t n = recv(fd, (char *)data + have, size - have, MSG_DONTWAIT);
        if (n > 0) {
            have += (size_t)n;
            continue;
        }
        if (n == 0)
            return -ECONNRESET;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        double left = deadline < 0 ? -1 : deadline - uvcsp_now();
        if (deadline >= 0 && left <= 0)
            return -ETIMEDOUT;
        int rc = uvcsp_wait_fd(fd, UV_READABLE, left);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int prove(int fd, const char *key, double deadline)
{
    struct usp_auth_hello hello;
    struct usp_auth_proof proof;
    struct usp_auth_answer answer;
    int pid, rc = usp_auth_peer(fd, &pid);
    if (rc == 0)
        rc = recv_whole(fd, &hello, sizeof hello, deadline);
    if (rc == 0)
        rc = usp_auth_prove(key, &hello, &proof);
    if (rc == 0 && !usp_send_whole(fd, &proof, sizeof proof))
        rc = -ECONNRESET;
    if (rc == 0)
        rc = recv_whole(fd, &answer, sizeof answer, deadline);
    return rc < 0 ? rc : usp_auth_check(key, &hello, &proof, &answer);
}

/* A connected descriptor, or -errno; -ENOENT and -ECONNREFUSED: nobody listens there (yet),
 * -EAGAIN: too many wait. */
static int reach(const struct sockaddr_un *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)path, sizeof *path) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int reach_in_time(const struct sockaddr_un *path, double deadline, bool is_there)
{
    double pause = 0.001;
    for (;;) {
        int fd = reach(path);
        bool nobody = fd == -ENOENT || fd == -ECONNREFUSED;
        if (fd != -EAGAIN && (!nobody || is_there))
            return fd;
        double left = deadline < 0 ? pause : deadline - uvcsp_now();
        if (left <= 0)
            return fd;
        uvcsp_sleep(left < pause ? left : pause);
        pause = pause < 0.05 ? 2 * pause : pause;
    }
}

static int connect_to(const char *address, const char *key, double timeout, bool is_there,
                      struct sockaddr_un *path)
{
    double deadline = timeout < 0 ? -1 : uvcsp_now() + timeout;
    if (!usp_key_is_good(key, "uvcsp_connect") || !usp_timeout_is_good(timeout, "uvcsp_connect"))
        return -EINVAL;
    int rc = usp_address_path(address, path);
    if (rc < 0) {
        usp_report("uvcsp_connect: the address is %s",
                   rc == -EINVAL ? "empty or NULL" : "too long");
        return rc;
    }
    int fd = reach_in_time(path, deadline, is_there);
    rc = fd < 0 ? fd : prove(fd, key, deadline);
    if (fd >= 0 && rc < 0)
        close(fd);
    if (rc < 0 && rc != -ETIMEDOUT && !is_there)
        usp_report("uvcsp_connect: %s: %s", path->sun_path, strerror(-rc));
    return rc < 0 ? rc : fd;
}

uvcsp_conn *uvcsp_connect(const char *address, const char *key, double timeout)
{
    USP_ENTER();
    struct sockaddr_un path;
    int fd = connect_to(address, key, timeout, false, &path);
    return fd < 0 ? usp_conn_failed(fd) : usp_connected(fd, "uvcsp_connect");
}

uvcsp_conn *usp_connect_again(const char *address, const char *key, double timeout)
{
    struct sockaddr_un path;
    int fd = connect_to(address, key, timeout, true, &path);
    return fd < 0 ? usp_conn_failed(fd) : usp_connected(fd, "uvcsp_connect");
}
