/* Light processes of one worker: what it costs to have many, to start and to end them. */
#include "bench.h"

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
    long per_look = n > 1000 ? 1 : 1000 / n;
    struct bench bench = bench_begin();
    do
        for (long i = 0; i < per_look; i++) {
            WRITE(out, 0);
            (void)READ(in);
        }
    while (bench_goes_on(&bench, (double)n * (double)per_look));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void ring(const char *name, long number)
{
    CHAN(int) *channels = bench_channels(number, 0);
    CO_FOR(i, number,
           i + 1 < number ? element(channels[i], channels[i + 1])
                          : head(channels[0], channels[i], number, name));
    free(channels);
}

/* ---- `number` processes that do nothing: all started, then joined ---- */

PROCESS(nothing) {}

PROCESS(spawner, VAL(const char *, name), VAL(long, n))
{
    long per_look = n > 1000 ? 1 : 1000 / n;
    for (long i = 0; n <= 1000 && i < per_look; i++) /* of many, the first time is what counts */
        CO_FOR(k, n, nothing());
    struct bench bench = bench_begin();
    do
        for (long i = 0; i < per_look; i++)
            CO_FOR(k, n, nothing());
    while (bench_goes_on(&bench, (double)n * (double)per_look));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void spawn(const char *name, long number)
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

/* ---- poison through a chain of `number` processes that wait; per process, with its end ---- */

PROCESS(poisons, VAL(CHAN(int), c), VAL(double *, start))
{
    uvcsp_yield(); /* whoever has not yet been at its READ gets there */
    *start = bench_now();
    POISON(c);
}

PROCESS(chains, VAL(const char *, name), VAL(long, n))
{
    struct bench bench = bench_begin();
    double taken = 0;
    do {
        CHAN(int) *channels = bench_channels(n + 1, 0);
        double start = 0;
        CO_FOR(i, n + 1,
               i < n ? element(channels[i], channels[i + 1]) : poisons(channels[0], &start));
        taken += bench_now() - start;
        for (long i = 0; i <= n; i++)
            uvcsp_channel_free(channels[i]);
        free(channels);
    } while (bench_goes_on(&bench, (double)n));
    bench_tell(name, taken * 1e9 / bench.n, "ns");
}

static void poison(const char *name, long number)
{
    CO(chains(name, number));
}

const struct bench_kind processes_kinds[] = {
    {"ring-", ring}, {"spawn-", spawn}, {"sieve-", sieve}, {"poison-", poison}, {0},
};
