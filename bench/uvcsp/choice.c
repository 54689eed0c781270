/* Choice in one worker over `number` channels: fair and by priority; where all are ready, one, or
   none; and output guards. */
#include "bench.h"

static uvcsp_guard *reading(size_t n, CHAN(int) *channels, int *x)
{
    uvcsp_guard *guards = bench_get(n, sizeof *guards);
    DEFER(free, guards);
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(IN_OF(channels[i]), x);
    return guards;
}

static void choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *name)
{
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 1000; i++)
            if (uvcsp_alt(guards, n, mode) < 0)
                exit(1);
    while (bench_goes_on(&bench, 1000));
    bench_tell(name, bench_ns(&bench), "ns");
}

PROCESS(chooses, VAL(CHAN(int) *, channels), VAL(size_t, n), VAL(enum uvcsp_choice, mode),
        VAL(const char *, name))
{
    int x;
    uvcsp_guard *guards = reading(n, channels, &x);
    uvcsp_yield();
    choose(guards, n, mode, name);
}

/* ---- all: at each channel a writer has something to say ---- */

static void all(const char *name, long number, enum uvcsp_choice mode)
{
    CHAN(int) *channels = bench_channels(number, 0);
    CO_FOR(i, number + 1,
           i < number ? bench_source(channels[i]) : chooses(channels, (size_t)number, mode, name));
    free(channels);
}

static void all_fair(const char *name, long number)
{
    all(name, number, UVCSP_FAIR);
}

static void all_pri(const char *name, long number)
{
    all(name, number, UVCSP_PRI);
}

/* ---- one: there is always something in the buffer of the last channel (all but once in a
 * thousand) ---- */

static void one(const char *name, long number, enum uvcsp_choice mode)
{
    CHAN(int) *channels = bench_channels(number, 0);
    channels[number - 1] = CHANNEL(int, .capacity = 1024);
    CO(bench_source(channels[number - 1]), chooses(channels, (size_t)number, mode, name));
    free(channels);
}

static void one_fair(const char *name, long number)
{
    one(name, number, UVCSP_FAIR);
}

static void one_pri(const char *name, long number)
{
    one(name, number, UVCSP_PRI);
}

/* ---- none: the choice waits at all channels, then somebody writes to one of them. A communication
   more tells him that it is his turn. ---- */

PROCESS(writes_later, IN(int, go), OUTS(int, outs, n))
{
    for (size_t i = 0;; i = i + 1 < n ? i + 1 : 0) {
        (void)READ(go);
        WRITE(outs[i], 1);
    }
}

PROCESS(waits, OUT(int, go), VAL(CHAN(int) *, channels), VAL(size_t, n),
        VAL(enum uvcsp_choice, mode), VAL(const char *, name))
{
    int x;
    uvcsp_guard *guards = reading(n, channels, &x);
    uvcsp_yield();
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 100; i++) {
            WRITE(go, i);
            if (uvcsp_alt(guards, n, mode) < 0)
                exit(1);
        }
    while (bench_goes_on(&bench, 100));
    bench_tell(name, bench_ns(&bench), "ns");
}

static void none(const char *name, long number, enum uvcsp_choice mode)
{
    CHAN(int) *channels = bench_channels(number, 0), go = CHANNEL(int);
    CO(writes_later(go, channels, (size_t)number), waits(go, channels, (size_t)number, mode, name));
    free(channels);
}

static void none_fair(const char *name, long number)
{
    none(name, number, UVCSP_FAIR);
}

static void none_pri(const char *name, long number)
{
    none(name, number, UVCSP_PRI);
}

/* ---- output guards: at each channel a reader waits ---- */

PROCESS(sink, IN(int, in))
{
    for (;;)
        (void)READ(in);
}

PROCESS(offers, VAL(CHAN(int) *, channels), VAL(size_t, n), VAL(const char *, name))
{
    uvcsp_guard *guards = bench_get(n, sizeof *guards);
    DEFER(free, guards);
    int x = 1;
    for (size_t i = 0; i < n; i++) {
        guards[i] = ON_WRITE(OUT_OF(channels[i]), 0);
        guards[i].data = &x;
    }
    uvcsp_yield();
    choose(guards, n, UVCSP_FAIR, name);
}

static void out(const char *name, long number)
{
    CHAN(int) *channels = bench_channels(number, 0);
    CO_FOR(i, number + 1, i < number ? sink(channels[i]) : offers(channels, (size_t)number, name));
    free(channels);
}

const struct bench_kind choice_kinds[] = {
    {"alt-all-", all_fair},   {"alt-all-pri-", all_pri},
    {"alt-one-", one_fair},   {"alt-one-pri-", one_pri},
    {"alt-none-", none_fair}, {"alt-none-pri-", none_pri},
    {"alt-out-", out},        {0},
};
