/* What a worker costs: a PAR of `number` processes that do nothing; of one, with much memory
   resident, or with many light processes parked. The peer is ../peers/c/fork. */
#include "bench.h"

PROCESS(nothing) {}

static void par_of(const char *name, long number)
{
    bench_join();
    struct bench bench = bench_begin();
    do
        bench_must(PAR_FOR(i, number, nothing()));
    while (bench_goes_on(&bench, 1));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

static void par(const char *name, long number)
{
    par_of(name, number);
}

/* number: in MiB */
static void par_resident(const char *name, long number)
{
    size_t size = (size_t)number << 20;
    void *at =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        exit(1);
    par_of(name, 1);
    munmap(at, size);
}

PROCESS(parked, IN(int, in))
{
    (void)READ(in);
}

PROCESS(forks, OUT(int, out), VAL(const char *, name))
{
    uvcsp_yield(); /* whoever has not yet been at its READ gets there */
    par_of(name, 1);
    RETIRE(out);
}

static void par_parked(const char *name, long number)
{
    CHAN(int) c = CHANNEL(int);
    CO_FOR(i, number + 1, i < number ? parked(c) : forks(c, name));
}

const struct bench_kind forking_kinds[] = {
    {"par-", par},
    {"par-resident-", par_resident},
    {"par-parked-", par_parked},
    {0},
};
