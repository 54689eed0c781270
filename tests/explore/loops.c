/* Every worker gets the descriptors of the others' loops, by which it sees that one that sleeps has
 * something to do. */
#include "tests/explore/loops.h"

#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "runtime/scheduler.h"
#include "tests/explore/network.h"

static int sockets[MOST_WORKERS][MOST_WORKERS][2];
int loops[MOST_WORKERS];

void loops_init(unsigned n_workers)
{
    for (unsigned a = 0; a < n_workers; a++)
        for (unsigned b = 0; b < n_workers; b++)
            MUST(a == b || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets[a][b]) == 0);
}

static void send_loop(int to, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)];
    struct iovec io = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    MUST(sendmsg(to, &message, 0) == 1);
}

static int receive_loop(int from)
{
    char byte, space[CMSG_SPACE(sizeof(int))];
    struct iovec io = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd;
    MUST(recvmsg(from, &message, MSG_CMSG_CLOEXEC) == 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

void loops_exchange(unsigned me, unsigned n_workers)
{
    loops[me] = uv_backend_fd(usp_loop());
    for (unsigned w = 0; w < n_workers; w++)
        if (w != me)
            send_loop(sockets[me][w][0], loops[me]);
    for (unsigned w = 0; w < n_workers; w++)
        if (w != me)
            loops[w] = receive_loop(sockets[w][me][1]);
}
