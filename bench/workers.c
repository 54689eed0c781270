/* Processes in forked workers: round trips, one way and buffered, by each carrier and for messages of
   `number` bytes; and what a worker costs. The peers are peers/c/socketpair and peers/c/fork_wait.

   The size of a message is known at run time only, so the channels are made, and the messages sent, by
   the plain functions under the macros. */
#include <sys/mman.h>
#include <uvcsp.h>

#include "common.h"

/* Large reads to the start of a malloc block are slow on some machines. So: of a page. Touched. */
static char *message(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        exit(1);
    memset(at, 1, size);
    return at;
}

static CHAN(char) channel(long size, int capacity, enum uvcsp_carrier carrier)
{
    CHAN(char) c = uvcsp_channel_new((size_t)size, UVCSP_TYPE_PLAIN,
                                     (uvcsp_channel_options){.capacity = capacity, .carrier = carrier});
    if (!c)
        exit(1);
    return c;
}

/* ---- there and back ---- */

PROCESS(ping, OUT(char, out), IN(char, in), VAL(long, size), VAL(const char *, name))
{
    char *bytes = message((size_t)size);
    for (int i = 0; i < 10; i++) {
        uvcsp_give(out, bytes, UVCSP_HERE);
        uvcsp_take(in, bytes, UVCSP_HERE);
    }
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 10; i++) {
            uvcsp_give(out, bytes, UVCSP_HERE);
            uvcsp_take(in, bytes, UVCSP_HERE);
        }
    while (bench_goes_on(&bench, 10));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

PROCESS(pong, IN(char, in), OUT(char, out), VAL(long, size))
{
    char *bytes = message((size_t)size);
    for (;;) {
        uvcsp_take(in, bytes, UVCSP_HERE);
        uvcsp_give(out, bytes, UVCSP_HERE);
    }
}

static void round_trip(const char *name, long size, enum uvcsp_carrier carrier)
{
    CHAN(char) there = channel(size, 0, carrier);
    CHAN(char) back = channel(size, 0, carrier);
    if (PAR(ping(there, back, size, name), pong(there, back, size)) != 0)
        exit(1);
}

static void round_trip_pipe(const char *name, long number)
{
    round_trip(name, number, UVCSP_PIPE);
}

static void round_trip_shared(const char *name, long number)
{
    round_trip(name, number, UVCSP_SHARED);
}

/* ---- one way ---- */

PROCESS(source, OUT(char, out), VAL(long, size))
{
    char *bytes = message((size_t)size);
    for (;;)
        uvcsp_give(out, bytes, UVCSP_HERE);
}

PROCESS(sink, IN(char, in), VAL(long, size), VAL(const char *, name))
{
    char *bytes = message((size_t)size);
    for (int i = 0; i < 10; i++)
        uvcsp_take(in, bytes, UVCSP_HERE);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 10; i++)
            uvcsp_take(in, bytes, UVCSP_HERE);
    while (bench_goes_on(&bench, 10));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

static void one_way(const char *name, long size, int capacity, enum uvcsp_carrier carrier)
{
    CHAN(char) c = channel(size, capacity, carrier);
    if (PAR(source(c, size), sink(c, size, name)) != 0)
        exit(1);
}

static void one_way_pipe(const char *name, long number)
{
    one_way(name, number, 0, UVCSP_PIPE);
}

static void one_way_shared(const char *name, long number)
{
    one_way(name, number, 0, UVCSP_SHARED);
}

static void buffered(const char *name, long number)
{
    one_way(name, number, 128, UVCSP_SHARED); /* a buffer lies in the arena, whatever the carrier */
}

/* ---- a PAR of `number` processes that do nothing ---- */

PROCESS(nothing)
{
}

static void par(const char *name, long number)
{
    struct bench bench = bench_begin();
    do
        if (PAR_FOR(i, number, nothing()) != 0)
            exit(1);
    while (bench_goes_on(&bench, 1));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {
        {"round-trip-pipe-", round_trip_pipe, "round-trip-pipe-8 round-trip-pipe-1048576"},
        {"round-trip-shared-", round_trip_shared, "round-trip-shared-8 round-trip-shared-1048576"},
        {"one-way-pipe-", one_way_pipe, "one-way-pipe-8 one-way-pipe-1048576"},
        {"one-way-shared-", one_way_shared, "one-way-shared-8 one-way-shared-1048576"},
        {"buffered-", buffered, "buffered-8"},
        {"par-", par, "par-1"},
        {0},
    };
    return bench_main(kinds, argc, argv);
}
