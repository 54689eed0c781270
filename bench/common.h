/* What all benchmarks and peers do alike: a clock, a loop that goes on for a given time, and one
   line for each figure: case, value and unit, separated by tabs. The name of a case ends in a
   number, or in two (`any-4x4`).

   BENCH_SECONDS in the environment says how long a figure is measured (0.2), and BENCH_CLOCK what
   is counted: the time that passes; `cpu`, the processor time of the measuring process; `all`, that
   of all processes that have taken part by bench_join(), and of children that have ended. On a busy
   machine processor time is the better clock: for a case of one process that never waits, or of
   several on one processor that wait for nothing but each other, it is the time that would pass on
   a quiet one. With BENCH_OPERATIONS it is so many operations and not a time, so that instructions
   can be counted. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct bench {
    double limit; /* seconds */
    double count; /* operations, if it is not 0 */
    double start;
    double taken; /* seconds, once it is over */
    double n;     /* operations done */
};

/* Who has taken part; in memory that is shared by all who are forked. */
struct bench_party {
    int n;
    clockid_t clocks[62];
};
__attribute__((weak)) struct bench_party *bench_party;

__attribute__((constructor)) static inline void bench_party_new(void)
{
    if (bench_party)
        return;
    void *at =
        mmap(NULL, sizeof *bench_party, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_party = at == MAP_FAILED ? NULL : at;
}

/* A process, the calling one, is among those whose processor time counts. */
static inline void bench_join_pid(pid_t pid)
{
    clockid_t clock;
    if (!bench_party || clock_getcpuclockid(pid, &clock) != 0)
        return;
    int i = __atomic_fetch_add(&bench_party->n, 1, __ATOMIC_RELAXED);
    if (i < 62)
        bench_party->clocks[i] = clock;
}

static inline void bench_join(void)
{
    bench_join_pid(getpid());
}

static inline double bench_read(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

static inline double bench_now(void)
{
    static int how = -1;
    if (how < 0) {
        const char *text = getenv("BENCH_CLOCK");
        how = text && strcmp(text, "cpu") == 0 ? 1 : text && strcmp(text, "all") == 0 ? 2 : 0;
    }
    if (how < 2)
        return bench_read(how ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
    struct rusage children;
    getrusage(RUSAGE_CHILDREN, &children);
    double sum = (double)(children.ru_utime.tv_sec + children.ru_stime.tv_sec) +
                 (double)(children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1e-6;
    for (int i = 0; bench_party && i < bench_party->n && i < 62; i++)
        if (bench_party->clocks[i])
            sum += bench_read(bench_party->clocks[i]);
    return sum;
}

static inline struct bench bench_begin(void)
{
    const char *seconds = getenv("BENCH_SECONDS"), *count = getenv("BENCH_OPERATIONS");
    return (struct bench){.limit = seconds ? strtod(seconds, NULL) : 0.2,
                          .count = count ? strtod(count, NULL) : 0,
                          .start = bench_now()};
}

/* `n` operations more are done: is there time for others? */
static inline bool bench_goes_on(struct bench *bench, double n)
{
    bench->n += n;
    bench->taken = bench_now() - bench->start;
    return bench->count > 0 ? bench->n < bench->count : bench->taken < bench->limit;
}

static inline double bench_ns(const struct bench *bench)
{
    return bench->taken * 1e9 / bench->n;
}

static inline void bench_tell(const char *name, double value, const char *unit)
{
    printf("%s\t%.6g\t%s\n", name, value, unit);
    fflush(stdout);
}

/* One kind of case. `run` is given the name as asked for and the number at its end (0: it has
 * none). */
struct bench_kind {
    const char *prefix; /* "ring-" matches "ring-1000" */
    void (*run)(const char *name, long number);
};

/* Runs the case if it is of one of these kinds; the last of them is empty. */
static inline bool bench_run(const struct bench_kind *kinds, const char *name)
{
    for (const struct bench_kind *kind = kinds; kind->prefix; kind++) {
        size_t n = strlen(kind->prefix);
        if (strncmp(name, kind->prefix, n) != 0)
            continue;
        char *rest;
        long number = strtol(name + n, &rest, 10);
        if ((*rest == '\0' || *rest == 'x') && (rest == name + n || number > 0)) {
            kind->run(name, number);
            return true;
        }
    }
    return false;
}

/* The second number of a name: 3 of `any-4x3`; `otherwise` where there is none. */
static inline long bench_second(const char *name, long otherwise)
{
    const char *x = strrchr(name, 'x');
    long number = x ? strtol(x + 1, NULL, 10) : 0;
    return number > 0 ? number : otherwise;
}

static inline int bench_no_such_case(const char *name)
{
    fprintf(stderr, "no such case: %s\n", name);
    return 2;
}

static inline void *bench_get(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (!memory)
        exit(1);
    return memory;
}

#endif
