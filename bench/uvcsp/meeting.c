/* Many workers at one channel, and choices between workers. Each process is a worker of its own;
   the figure is nanoseconds for a message, all messages counted. */
#include "bench.h"

/* How many messages each reader has got, in memory that they share; a cache line each. */
struct count {
    _Alignas(64) volatile unsigned long n;
};

static struct count *counts_new(long n)
{
    void *at = mmap(NULL, (size_t)n * sizeof(struct count), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        exit(1);
    return at;
}

static double sum(const struct count *counts, long n)
{
    double total = 0;
    for (long i = 0; i < n; i++)
        total += (double)counts[i].n;
    return total;
}

/* Waits until everybody has got something, then looks how much they get in a while; sleeps
   meanwhile. The end of it is the end of all. */
PROCESS(watch, VAL(struct count *, counts), VAL(long, n), VAL(const char *, name),
        OUTS(int, channels, n_channels))
{
    for (long i = 0; i < n; i++)
        for (int wait = 0; counts[i].n == 0 && wait < 500; wait++)
            uvcsp_sleep(0.002);
    struct bench bench = bench_begin();
    double before = sum(counts, n);
    uvcsp_sleep(bench.limit);
    while (sum(counts, n) == before)
        uvcsp_sleep(bench.limit);
    bench_goes_on(&bench, sum(counts, n) - before);
    bench_tell(name, bench_ns(&bench), "ns");
    for (size_t i = 0; i < n_channels; i++)
        POISON(channels[i]);
}

PROCESS(reader, IN(int, in), VAL(struct count *, count))
{
    for (;;) {
        (void)READ(in);
        count->n++;
    }
}

/* ---- any-4x4: writers and readers of one channel ---- */

static void any_to_any(const char *name, long capacity)
{
    const char *x = strrchr(name, '-');
    long writers = strtol(x + 1, NULL, 10), readers = bench_second(name, writers);
    struct count *counts = counts_new(readers);
    CHAN(int) c = CHANNEL(int, .capacity = (int)capacity);
    bench_must(PAR_FOR(i, writers + readers + 1,
                       i < writers             ? bench_source(c)
                       : i < writers + readers ? reader(c, &counts[i - writers])
                                               : watch(counts, readers, name, &c, 1)));
}

static void any(const char *name, long number)
{
    (void)number;
    any_to_any(name, 0);
}

static void any_buffered(const char *name, long number)
{
    (void)number;
    any_to_any(name, 128);
}

/* ---- a choice over channels that end in `number` other workers ---- */

PROCESS(chooses, INS(int, in, n), VAL(struct count *, count))
{
    int x;
    uvcsp_guard *guards = bench_get(n, sizeof *guards);
    DEFER(free, guards);
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(in[i], &x);
    while (uvcsp_alt(guards, n, UVCSP_FAIR) >= 0)
        count->n++;
}

static void alt_far(const char *name, long number)
{
    struct count *count = counts_new(1);
    CHAN(int) *channels = bench_channels(number, 0);
    bench_must(PAR_FOR(i, number + 2,
                       i < number    ? bench_source(channels[i])
                       : i == number ? chooses(channels, (size_t)number, count)
                                     : watch(count, 1, name, channels, (size_t)number)));
    free(channels);
}

/* ---- choice against choice, over `number` channels, from two workers ---- */

PROCESS(offers, OUTS(int, out, n))
{
    int x = 1;
    uvcsp_guard *guards = bench_get(n, sizeof *guards);
    DEFER(free, guards);
    for (size_t i = 0; i < n; i++) {
        guards[i] = ON_WRITE(out[i], 0);
        guards[i].data = &x;
    }
    while (uvcsp_alt(guards, n, UVCSP_FAIR) >= 0)
        ;
}

static void alt_alt(const char *name, long number)
{
    struct count *count = counts_new(1);
    CHAN(int) *channels = bench_channels(number, 0);
    bench_must(PAR(offers(channels, (size_t)number), chooses(channels, (size_t)number, count),
                   watch(count, 1, name, channels, (size_t)number)));
    free(channels);
}

const struct bench_kind meeting_kinds[] = {
    {"any-", any}, {"any-buffered-", any_buffered}, {"alt-far-", alt_far}, {"alt-alt-", alt_alt},
    {0},
};
