/* zeromq CASE...: messages between two processes over ipc: a pair of sockets there and back, PUSH
   and PULL for one direction. Each process has a context of its own, made after the fork. */
#include <zmq.h>

#include "peer.h"

struct way {
    size_t size;
    bool both;
    int room;
    pid_t parent;
    void *socket;
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
    snprintf(address, sizeof address, "ipc://@uvcsp-bench-%d", (int)way->parent);
    void *context = zmq_ctx_new();
    way->socket = zmq_socket(context, way->both ? ZMQ_PAIR : child ? ZMQ_PUSH : ZMQ_PULL);
    zmq_setsockopt(way->socket, ZMQ_SNDHWM, &way->room, sizeof way->room);
    zmq_setsockopt(way->socket, ZMQ_RCVHWM, &way->room, sizeof way->room);
    if (child ? zmq_connect(way->socket, address) : zmq_bind(way->socket, address))
        exit(1);
}

bool way_give(struct way *way, const char *bytes)
{
    return zmq_send(way->socket, bytes, way->size, 0) == (int)way->size;
}

bool way_take(struct way *way, char *bytes)
{
    return zmq_recv(way->socket, bytes, way->size, 0) == (int)way->size;
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {PEER_KINDS, {0}};
    for (int i = 1; i < argc; i++)
        if (!bench_run(kinds, argv[i]))
            return bench_no_such_case(argv[i]);
    return 0;
}
