/* Light processes of one worker: what a communication costs. The peer that runs the same networks
   is
   ../peers/go. */
#include "bench.h"

CHAN(int) *bench_channels(long n, int capacity)
{
    CHAN(int) *channels = bench_get((size_t)n, sizeof *channels);
    if (CHANNELS(int, channels, n, .capacity = capacity) < 0)
        exit(1);
    return channels;
}

PROCESS(bench_source, OUT(int, out))
{
    for (int i = 0;; i++)
        WRITE(out, i);
}

/* ---- commstime: four communications for each number that the consumer sees ---- */

PROCESS(prefix, IN(int, in), OUT(int, out))
{
    WRITE(out, 0);
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(successor, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in) + 1);
}

PROCESS(delta, IN(int, in), OUT(int, a), OUT(int, b))
{
    for (;;) {
        int x = READ(in);
        WRITE(a, x);
        WRITE(b, x);
    }
}

PROCESS(write_one, OUT(int, out), VAL(int, x), VAL(bool *, ended))
{
    if (uvcsp_write(out, &x) != UVCSP_OK)
        *ended = true;
}

PROCESS(parallel_delta, IN(int, in), OUT(int, a), OUT(int, b))
{
    bool ended = false;
    while (!ended) {
        int x = READ(in);
        CO(write_one(a, x, &ended), write_one(b, x, &ended));
    }
}

PROCESS(consumer, IN(int, in), VAL(const char *, name), VAL(int, each))
{
    for (int i = 0; i < 1000; i++)
        (void)READ(in);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 1000; i++)
            (void)READ(in);
    while (bench_goes_on(&bench, 1000.0 * each));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void commstime(const char *name, bool parallel)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int);
    CO(prefix(d, a), parallel ? parallel_delta(a, b, c) : delta(a, b, c), successor(b, d),
       consumer(c, name, 4));
}

static void commstime_seq(const char *name, long number)
{
    (void)number;
    commstime(name, false);
}

static void commstime_par(const char *name, long number)
{
    (void)number;
    commstime(name, true);
}

/* ---- two processes ---- */

PROCESS(ping, OUT(int, out), IN(int, in), VAL(const char *, name))
{
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 1000; i++) {
            WRITE(out, i);
            (void)READ(in);
        }
    while (bench_goes_on(&bench, 1000));
    bench_tell(name, bench_ns(&bench), "ns");
}

PROCESS(pong, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

static void ping_pong(const char *name, long number)
{
    (void)number;
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    CO(ping(there, back, name), pong(there, back));
}

/* number: the capacity */
static void one_way(const char *name, long number)
{
    CHAN(int) c = CHANNEL(int, .capacity = (int)number);
    CO(bench_source(c), consumer(c, name, 1));
}

/* ---- `number` channels between two processes, used in turn ---- */

PROCESS(writes_in_turn, OUTS(int, outs, n))
{
    for (int i = 0;; i++)
        for (size_t k = 0; k < n; k++)
            WRITE(outs[k], i);
}

PROCESS(reads_in_turn, INS(int, ins, n), VAL(const char *, name))
{
    for (size_t k = 0; k < n; k++)
        (void)READ(ins[k]);
    struct bench bench = bench_begin();
    size_t rounds = 1 + 1000 / n;
    do
        for (size_t i = 0; i < rounds; i++)
            for (size_t k = 0; k < n; k++)
                (void)READ(ins[k]);
    while (bench_goes_on(&bench, (double)rounds * (double)n));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void channels_in_turn(const char *name, long number)
{
    CHAN(int) *c = bench_channels(number, 0);
    CO(writes_in_turn(c, (size_t)number), reads_in_turn(c, (size_t)number, name));
    free(c);
}

/* ---- many at one channel: `number` readers, and one writer or as many ---- */

struct crowd {
    double taken;
    double enough;
    struct bench bench;
    const char *name;
};

PROCESS(one_of_readers, IN(int, in), VAL(struct crowd *, crowd))
{
    for (;;) {
        (void)READ(in);
        if ((crowd->taken += 1) < crowd->enough)
            continue;
        if (crowd->bench.limit == 0) { /* that was the warming up */
            crowd->bench = bench_begin();
        } else if (!bench_goes_on(&crowd->bench, crowd->taken)) {
            bench_tell(crowd->name, bench_ns(&crowd->bench), "ns");
            POISON(in);
        }
        crowd->taken = 0;
    }
}

static void crowd(const char *name, long readers, long writers)
{
    CHAN(int) c = CHANNEL(int);
    struct crowd crowd = {.enough = (double)(readers + writers + 1000), .name = name};
    CO_FOR(i, readers + writers, i < readers ? one_of_readers(c, &crowd) : bench_source(c));
}

static void waiting_readers(const char *name, long number)
{
    crowd(name, number, 1);
}

static void readers_and_writers(const char *name, long number)
{
    crowd(name, number, number);
}

const struct bench_kind communication_kinds[] = {
    {"commstime-seq", commstime_seq},
    {"commstime-par", commstime_par},
    {"ping-pong", ping_pong},
    {"one-way-buffered-", one_way},
    {"one-way", one_way},
    {"channels-", channels_in_turn},
    {"waiting-readers-", waiting_readers},
    {"readers-and-writers-", readers_and_writers},
    {0},
};
