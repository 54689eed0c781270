/* Processes in forked workers, messages of `number` bytes: there and back, one way, and a buffered
   stream; and what `number` workers use that wait. The carrier is the default one, which UVCSP_CARRIER in the
   environment changes. The peers are ../peers/c.

   The size of a message is known at run time only, so the channels are made, and the messages sent,
   by the plain functions under the macros. */
#include <sched.h>

#include <uvcsp/ipc.h>

#include "bench.h"

/* Of a process that takes part. Large reads to the start of a malloc block are slow on some
   machines. So: of a page. Touched. */
static char *message(size_t size)
{
    bench_join();
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        exit(1);
    memset(at, 1, size);
    return at;
}

static CHAN(char) channel(long size, int capacity)
{
    CHAN(char) c = uvcsp_channel_new((size_t)size, UVCSP_TYPE_PLAIN,
                                     (uvcsp_channel_options){.capacity = capacity});
    if (!c)
        exit(1);
    return c;
}

/* How a message is waited for. A reader that only tries never waits at the channel, so it always
   meets a writer that does. */
static void wait_for(IN_END(char) in, char *bytes, bool tries)
{
    if (!tries)
        uvcsp_take(in, bytes, UVCSP_HERE);
    else
        while (uvcsp_end_read_try(in, bytes, UVCSP_HERE) == UVCSP_WOULD_BLOCK)
            sched_yield();
}

/* ---- there and back ---- */

PROCESS(ping, OUT(char, out), IN(char, in), VAL(long, size), VAL(bool, tries),
        VAL(const char *, name))
{
    char *bytes = message((size_t)size);
    for (int i = 0; i < 10; i++) {
        uvcsp_give(out, bytes, UVCSP_HERE);
        wait_for(in, bytes, tries);
    }
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 10; i++) {
            uvcsp_give(out, bytes, UVCSP_HERE);
            wait_for(in, bytes, tries);
        }
    while (bench_goes_on(&bench, 10));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

PROCESS(pong, IN(char, in), OUT(char, out), VAL(long, size), VAL(bool, tries))
{
    char *bytes = message((size_t)size);
    for (;;) {
        if (!tries)
            uvcsp_take(in, bytes, UVCSP_HERE);
        else
            for (int status; (status = uvcsp_end_read_try(in, bytes, UVCSP_HERE)) != UVCSP_OK;) {
                if (status != UVCSP_WOULD_BLOCK)
                    return;
                sched_yield();
            }
        uvcsp_give(out, bytes, UVCSP_HERE);
    }
}

static void there_and_back(const char *name, long size, bool tries)
{
    CHAN(char) there = channel(size, 0), back = channel(size, 0);
    bench_must(PAR(ping(there, back, size, tries, name), pong(there, back, size, tries)));
}

/* Both wait as readers. */
static void round_trip(const char *name, long number)
{
    there_and_back(name, number, false);
}

/* Both wait as writers, and read by trying. */
static void writers_wait(const char *name, long number)
{
    there_and_back(name, number, true);
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
    int per_look = size < 10000 ? 100 : 10;
    for (int i = 0; i < per_look; i++)
        uvcsp_take(in, bytes, UVCSP_HERE);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < per_look; i++)
            uvcsp_take(in, bytes, UVCSP_HERE);
    while (bench_goes_on(&bench, per_look));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

static void from_source_to_sink(const char *name, long size, int capacity)
{
    CHAN(char) c = channel(size, capacity);
    bench_must(PAR(source(c, size), sink(c, size, name)));
}

static void one_way(const char *name, long number)
{
    from_source_to_sink(name, number, 0);
}

/* A buffer lies in the arena, whatever the carrier. */
static void stream(const char *name, long number)
{
    from_source_to_sink(name, number, 128);
}

/* ---- a round trip of 8 bytes while `number` other workers sleep ---- */

PROCESS(sleeper, IN(char, in))
{
    char c;
    uvcsp_take(in, &c, UVCSP_HERE);
}

/* The others end when their only writer does. */
PROCESS(ping_among, OUT(char, out), IN(char, in), OUT(char, others), VAL(const char *, name))
{
    (void)others;
    SEQ(ping(out, in, 8, false, name));
}

static void among(const char *name, long number)
{
    CHAN(char) there = channel(8, 0), back = channel(8, 0), others = channel(1, 0);
    bench_must(PAR_FOR(i, number + 2,
                       i < number    ? sleeper(others)
                       : i == number ? pong(there, back, 8, false)
                                     : ping_among(there, back, others, name)));
}

/* ---- what `number` workers use that wait for a message: of the time of one processor ---- */

PROCESS(idler, IN(char, in), VAL(clockid_t *, clock))
{
    char c;
    if (clock_getcpuclockid(getpid(), clock) != 0)
        exit(1);
    uvcsp_take(in, &c, UVCSP_HERE);
}

static double used(const clockid_t *clocks, long number)
{
    double sum = 0;
    for (long i = 0; i < number; i++)
        sum += bench_read(clocks[i]);
    return sum;
}

PROCESS(observer, OUT(char, others), VAL(const clockid_t *, clocks), VAL(long, number), VAL(const char *, name))
{
    (void)others;
    double seconds = 10 * bench_begin().limit;
    for (long i = 0; i < number; i++)
        while (clocks[i] == 0)
            uvcsp_sleep(0.001);
    uvcsp_sleep(2 * seconds); /* each looks around once for a deadlock */
    double before = used(clocks, number), start = uvcsp_now();
    uvcsp_sleep(seconds);
    bench_tell(name, (used(clocks, number) - before) / (uvcsp_now() - start) * 1e6, "us");
}

static void idle(const char *name, long number)
{
    CHAN(char) others = channel(1, 0);
    clockid_t *clocks = SHARED_RAW_ARRAY(clockid_t, number);
    bench_must(PAR_FOR(i, number + 1,
                       i < number ? idler(others, &clocks[i]) : observer(others, clocks, number, name)));
}

const struct bench_kind workers_kinds[] = {
    {"round-trip-", round_trip}, {"writers-wait-", writers_wait},
    {"far-one-way-", one_way},   {"stream-", stream},
    {"among-", among},           {"idle-", idle},
    {0},
};
