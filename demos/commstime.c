/* commstime: the classic benchmark of CSP systems.

   Four processes make the natural numbers and print how fast they come:

          +--------+      +-------+
          | prefix |--a-->| delta |--c--> consumer
          +--------+      +-------+
              ^               |
              d               b
              |               v
              |         +-----------+
              +---------| successor |
                        +-----------+

   prefix sends a 0 first and then what it gets; successor adds one; delta copies what it gets to
   both of its outputs. So each number that the consumer sees has cost four communications.

   Nobody tells the network to stop. When the consumer has seen enough it returns, its end of `c`
   retires, delta's next WRITE meets that and ends delta, and so it goes round. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: commstime [numbers] [parallel] [workers]\n"
    "\n"
    "Runs the commstime network until the consumer has seen `numbers` (10000), and tells\n"
    "the time of one communication on stderr.\n"
    "  parallel   delta writes to both outputs at once, not to one after the other\n"
    "  workers    each process is a forked worker of its own, not a light process\n";

PROCESS(prefix, VAL(int, first), IN(int, in), OUT(int, out))
{
    WRITE(out, first);
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(successor, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in) + 1);
}

PROCESS(delta, IN(int, in), OUT(int, out1), OUT(int, out2))
{
    for (;;) {
        int x = READ(in);
        WRITE(out1, x);
        WRITE(out2, x);
    }
}

/* Writes one value. What ends this short process would not end the one that started it, so it says
   how it went. (They are light processes of one worker: the pointer is good.) */
PROCESS(write_one, OUT(int, out), VAL(int, x), VAL(bool *, ended))
{
    if (uvcsp_write(out, &x) != UVCSP_OK)
        *ended = true;
}

PROCESS(parallel_delta, IN(int, in), OUT(int, out1), OUT(int, out2))
{
    bool ended = false;
    while (!ended) {
        int x = READ(in);
        CO(write_one(out1, x, &ended), write_one(out2, x, &ended));
    }
}

PROCESS(consumer, IN(int, in), VAL(int, n))
{
    double start = uvcsp_now();
    for (int i = 0; i < n; i++)
        demo_expect(READ(in) == i, "the numbers should come in order, none missing");
    double seconds = uvcsp_now() - start;

    printf("%d numbers came in order, the last was %d\n", n, n - 1);
    fprintf(stderr, "%.0f ns a communication\n", seconds * 1e9 / (4.0 * n));
}

int main(int argc, char **argv)
{
    bool parallel = demo_word(&argc, argv, "parallel");
    bool workers = demo_word(&argc, argv, "workers");
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 10000, 1, 1000000000);

    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int);
    uvcsp_process network[] = {
        prefix(0, d, a),
        parallel ? parallel_delta(a, b, c) : delta(a, b, c),
        successor(b, d),
        consumer(c, n),
    };
    return (workers ? uvcsp_par(network, 4) : uvcsp_co(network, 4)) != 0;
}
