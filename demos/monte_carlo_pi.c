/* monte_carlo_pi: pi from random points, by a farm of workers.

   Of the points in a square, pi / 4 lie in the circle inside it. The farmer hands out batches,
   whichever worker is free takes the next, and the collector adds up.

                +--> worker --+
     farmer ----+--> worker --+----> collector
                +--> worker --+
       batches (one channel)   hits (one channel)

   The number of a batch is the seed of its random numbers. So the result does not depend on how
   many workers there are, or on which of them was given what. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: monte_carlo_pi [workers] [batches] [points]\n"
    "\n"
    "Estimates pi from `batches` (64) batches of `points` (20000) random points each,\n"
    "which are counted by `workers` (4) forked workers.\n";

PROCESS(farmer, VAL(int, batches), OUT(int, jobs))
{
    for (int i = 0; i < batches; i++)
        WRITE(jobs, i);
}

/* The generator is splitmix64 of Steele, Lea and Flood. */
static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

PROCESS(worker, VAL(int, points), IN(int, jobs), OUT(long, results))
{
    for (;;) {
        uint64_t state = (uint64_t)READ(jobs) << 32;
        long hits = 0;
        for (int i = 0; i < points; i++) {
            uint64_t bits = random_bits(&state), x = bits >> 33, y = (uint32_t)bits >> 1;
            hits += x * x + y * y < (uint64_t)1 << 62;
        }
        WRITE(results, hits);
    }
}

PROCESS(collector, VAL(int, batches), VAL(int, points), IN(long, results))
{
    long hits = 0;
    for (int i = 0; i < batches; i++)
        hits += READ(results);

    double n = (double)batches * points, pi = 4 * (double)hits / n;
    printf("%ld of %.0f points hit the circle: pi is about %.3f\n", hits, n, pi);

    /* Five standard deviations of the mean, squared to do without a root. */
    double off = pi - 3.14159265358979;
    demo_expect(off * off < 25 * 2.697 / n, "this is too far from pi");
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 3, help);
    int workers = demo_size(argc, argv, 1, 4, 1, 64);
    int batches = demo_size(argc, argv, 2, 64, 1, 1000000);
    int points = demo_size(argc, argv, 3, 20000, 1, 100000000);

    CHAN(int) jobs = CHANNEL(int);
    CHAN(long) results = CHANNEL(long);
    uvcsp_process farm[64 + 2] = {farmer(batches, jobs), collector(batches, points, results)};
    for (int i = 0; i < workers; i++)
        farm[2 + i] = worker(points, jobs, results);
    return uvcsp_par(farm, (size_t)workers + 2) != 0;
}
