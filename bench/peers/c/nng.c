/* nng CASE...: messages between two processes over ipc: a pair of sockets there and back, PUSH and
   PULL for one direction. The sockets are made after the fork. */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include "peer.h"

struct way {
    size_t size;
    bool both;
    int room;
    pid_t parent;
    nng_socket socket;
};

struct way *way_new(size_t size, bool both, int room)
{
    static struct way way;
    way = (struct way){.size = size, .both = both, .room = room, .parent = getpid()};
    return &way;
}

void way_open(struct way *way, bool child)
{
    char address[64];
    snprintf(address, sizeof address, "abstract://uvcsp-bench-%d", (int)way->parent);
    int failed = way->both ? nng_pair0_open(&way->socket)
                 : child   ? nng_push0_open(&way->socket)
                           : nng_pull0_open(&way->socket);
    if (failed)
        exit(1);
    nng_socket_set_int(way->socket, NNG_OPT_SENDBUF, way->room);
    nng_socket_set_int(way->socket, NNG_OPT_RECVBUF, way->room);
    nng_socket_set_size(way->socket, NNG_OPT_RECVMAXSZ, 0);
    if (!child) {
        failed = nng_listen(way->socket, address, NULL, 0);
    } else { /* the other may not listen yet */
        for (int i = 0; i < 1000 && (failed = nng_dial(way->socket, address, NULL, 0)) != 0; i++)
            usleep(1000);
    }
    if (failed)
        exit(1);
}

bool way_give(struct way *way, const char *bytes)
{
    return nng_send(way->socket, (void *)bytes, way->size, 0) == 0;
}

bool way_take(struct way *way, char *bytes)
{
    size_t size = way->size;
    return nng_recv(way->socket, bytes, &size, 0) == 0 && size == way->size;
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {PEER_KINDS, {0}};
    for (int i = 1; i < argc; i++)
        if (!bench_run(kinds, argv[i]))
            return bench_no_such_case(argv[i]);
    return 0;
}
