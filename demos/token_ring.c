/* token_ring: a token goes round and round, through light processes and across workers.

   The stations of the ring are light processes. They are dealt out in equal runs to a few forked
   workers, so most hops stay within one worker, and one in a while crosses over to the next. A
   station cannot tell the difference.

        worker 0           worker 1           worker 2
     +-> s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> s6 -> s7 -> s8 -+
     |                                                       |
     +-------------------------------------------------------+

   Each station adds one to the token, so at the end the token knows how often it was passed on. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: token_ring [stations] [laps] [workers]\n"
    "\n"
    "Sends a token `laps` (20) times round a ring of `stations` (1000) light processes,\n"
    "which live in `workers` (4) forked workers. Tells the time of one hop on stderr.\n";

PROCESS(station, IN(long, in), OUT(long, out))
{
    for (;;)
        WRITE(out, READ(in) + 1);
}

/* The first station brings the token, counts the laps, and takes the token away at the end. Then it
   returns, which retires its ends; the stations after it meet that one by one, and end too. */
PROCESS(first_station, IN(long, in), OUT(long, out), VAL(int, stations), VAL(int, laps))
{
    long token = 0;
    double start = uvcsp_now();
    for (int i = 0; i < laps; i++) {
        WRITE(out, token + 1);
        token = READ(in);
    }
    double seconds = uvcsp_now() - start;

    long hops = (long)stations * laps;
    demo_expect(token == hops, "each station adds one in each lap");
    printf("%d stations, %d laps: the token was passed on %ld times\n", stations, laps, token);
    fprintf(stderr, "%.0f ns a hop\n", seconds * 1e9 / (double)hops);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 3, help);
    int stations = demo_size(argc, argv, 1, 1000, 2, 1000000);
    int laps = demo_size(argc, argv, 2, 20, 1, 1000000);
    int workers = demo_size(argc, argv, 3, 4, 1, 64);
    if (workers > stations)
        workers = stations;

    /* Station i reads from ring[i] and writes to the one after it. */
    CHAN(long) *ring = malloc((size_t)stations * sizeof *ring);
    uvcsp_process *ps = malloc((size_t)stations * sizeof *ps);
    if (!ring || !ps || CHANNELS(long, ring, stations) != 0)
        return 1;
    ps[0] = first_station(ring[0], ring[1], stations, laps);
    for (int i = 1; i < stations; i++)
        ps[i] = station(ring[i], ring[(i + 1) % stations]);

    uvcsp_process groups[64];
    for (int w = 0; w < workers; w++) {
        long from = (long)stations * w / workers;
        long to = (long)stations * (w + 1) / workers;
        groups[w] = uvcsp_worker(ps + from, (size_t)(to - from));
    }
    int failed = uvcsp_par(groups, (size_t)workers);
    free(ps);
    free(ring);
    return failed != 0;
}
