/* Light processes of one worker: what a communication, a choice and a process cost. The peer that runs
   the same networks is peers/go. */
#include <uvcsp.h>

#include "common.h"

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

PROCESS(source, OUT(int, out))
{
    for (int i = 0;; i++)
        WRITE(out, i);
}

/* number: the capacity */
static void one_way(const char *name, long number)
{
    CHAN(int) c = CHANNEL(int, .capacity = (int)number);
    CO(source(c), consumer(c, name, 1));
}

/* ---- choice over `number` channels; at each one a writer has something to say ---- */

PROCESS(chooser, INS(int, in, n), VAL(const char *, name))
{
    uvcsp_guard *guards = calloc(n, sizeof *guards);
    int x;
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(in[i], &x);
    DEFER(free, guards);
    uvcsp_yield();
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 1000; i++)
            if (uvcsp_alt(guards, n, UVCSP_FAIR) < 0)
                exit(1);
    while (bench_goes_on(&bench, 1000));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void alt(const char *name, long number)
{
    size_t n = (size_t)number;
    CHAN(int) *channels = calloc(n, sizeof *channels);
    if (CHANNELS(int, channels, n) < 0)
        exit(1);
    uvcsp_process *network = uvcsp_values_new(n + 1);
    for (size_t i = 0; i < n; i++)
        network[i] = source(channels[i]);
    network[n] = chooser(channels, n, name);
    uvcsp_co(network, n + 1);
    uvcsp_values_free(network);
    free(channels);
}

/* ---- a token that goes round a ring of `number` processes ---- */

PROCESS(element, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(head, OUT(int, out), IN(int, in), VAL(long, n), VAL(const char *, name))
{
    WRITE(out, 0);
    (void)READ(in);
    struct bench bench = bench_begin();
    do {
        WRITE(out, 0);
        (void)READ(in);
    } while (bench_goes_on(&bench, (double)n));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void ring(const char *name, long number)
{
    size_t n = (size_t)number;
    CHAN(int) *channels = calloc(n, sizeof *channels);
    if (CHANNELS(int, channels, n) < 0)
        exit(1);
    uvcsp_process *network = uvcsp_values_new(n);
    for (size_t i = 0; i + 1 < n; i++)
        network[i] = element(channels[i], channels[i + 1]);
    network[n - 1] = head(channels[0], channels[n - 1], number, name);
    uvcsp_co(network, n);
    uvcsp_values_free(network);
    free(channels);
}

/* ---- `number` processes that do nothing: all started, then joined ---- */

PROCESS(nothing)
{
}

static void spawn(const char *name, long number)
{
    int n = (int)number, per_look = n > 1000 ? 1 : 1000 / n;
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < per_look; i++)
            CO_FOR(k, n, nothing());
    while (bench_goes_on(&bench, (double)n * per_look));
    bench_tell(name, bench_ns(&bench), "ns");
}

PROCESS(spawner, VAL(const char *, name), VAL(long, number))
{
    spawn(name, number);
}

static void spawn_and_join(const char *name, long number)
{
    CO(spawner(name, number));
}

/* ---- the first `number` primes, by a pipeline that grows by a filter for each ---- */

PROCESS(numbers, OUT(int, out))
{
    for (int i = 2;; i++)
        WRITE(out, i);
}

PROCESS(filter, VAL(int, prime), IN(int, in), OUT(int, out))
{
    for (;;) {
        int n = READ(in);
        if (n % prime != 0)
            WRITE(out, n);
    }
}

PROCESS(primes, VAL(long, n), VAL(const char *, name))
{
    double start = bench_now();
    CHAN(int) c = CHANNEL(int);
    GO(numbers(c));
    IN_END(int) in = IN_OF(c);
    for (long i = 0;; i++) {
        int prime = READ(in);
        if (i == n - 1)
            break;
        CHAN(int) next = CHANNEL(int);
        GO(filter(prime, c, next));
        RETIRE(in);
        in = IN_OF(next);
        c = next;
    }
    bench_tell(name, (bench_now() - start) * 1e3, "ms");
}

static void sieve(const char *name, long number)
{
    CO(primes(number, name));
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {
        {"commstime-seq", commstime_seq, "commstime-seq"},
        {"commstime-par", commstime_par, "commstime-par"},
        {"ping-pong", ping_pong, "ping-pong"},
        {"one-way-buffered-", one_way, "one-way-buffered-128"},
        {"one-way", one_way, "one-way"},
        {"alt-", alt, "alt-2 alt-8 alt-64"},
        {"ring-", ring, "ring-10000 ring-100000"},
        {"spawn-", spawn_and_join, "spawn-1 spawn-1000 spawn-1000000"},
        {"sieve-", sieve, "sieve-1000"},
        {0},
    };
    return bench_main(kinds, argc, argv);
}
