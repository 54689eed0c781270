/* What the peers in C have in common: two processes, messages of `number` bytes, and the cases
   round-trip-, far-one-way- and stream-. A peer opens a way for each direction and says how it
   gives and takes. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../common.h"

struct way; /* a connection for one direction, or for both */

/* Before the fork; `both` directions, and for how many messages there is room. */
struct way *way_new(size_t size, bool both, int room);
/* After it, in each of the two; the child writes where messages go one way. */
void way_open(struct way *way, bool child);
bool way_give(struct way *way, const char *bytes);
bool way_take(struct way *way, char *bytes);

static inline char *peer_memory(size_t size, int flags)
{
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        exit(1);
    memset(at, 1, size);
    return at;
}

/* A child that dies with its parent. */
static inline pid_t peer_fork(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        exit(1);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

static inline void peer_partner(struct way *way, size_t size, bool answers)
{
    char *bytes = peer_memory(size, MAP_PRIVATE);
    signal(SIGPIPE, SIG_IGN);
    way_open(way, true);
    bench_join();
    if (answers)
        while (way_take(way, bytes) && way_give(way, bytes))
            ;
    else
        while (way_give(way, bytes))
            ;
    _exit(0);
}

static inline void peer_measure(const char *name, long number, bool both, int room)
{
    size_t size = (size_t)number;
    struct way *way = way_new(size, both, room);
    pid_t pid = peer_fork();
    if (pid == 0)
        peer_partner(way, size, both);
    char *bytes = peer_memory(size, MAP_PRIVATE);
    way_open(way, false);
    bench_join();
    int per_look = both || size >= 10000 ? 10 : 100;
    struct bench bench = {0};
    for (int warm = 1; warm >= 0; warm--) {
        bench = bench_begin();
        do
            for (int i = 0; i < per_look; i++)
                if ((both && !way_give(way, bytes)) || !way_take(way, bytes))
                    exit(1);
        while (bench_goes_on(&bench, per_look) && !warm);
    }
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static inline void peer_round_trip(const char *name, long number)
{
    peer_measure(name, number, true, 1);
}

static inline void peer_one_way(const char *name, long number)
{
    peer_measure(name, number, false, 1);
}

static inline void peer_stream(const char *name, long number)
{
    peer_measure(name, number, false, 128);
}

#define PEER_KINDS                                                                                 \
    {"round-trip-", peer_round_trip}, {"far-one-way-", peer_one_way},                              \
    {                                                                                              \
        "stream-", peer_stream                                                                     \
    }

#endif
