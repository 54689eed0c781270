/* nets: the classic nets, put together from the kit's processes.

     numbers    0, 1, 2, ...             prefix(0) -> delta -> out
                                            ^           |
                                            +- successor+

     integrate  sums of what came        in -> plus -> delta -> out
                                                ^        |
                                                +prefix(0)

     pairs      sums of neighbours       in -> delta -------> plus -> out
                                                 +---> tail ---^

     squares    numbers -> integrate -> pairs

     Fibonacci  prefix(1) -> prefix(0) -> delta -> out
                   ^                        |
                   +-------- pairs ---------+

     Hamming    prefix(1) -> delta -> out
                   ^           |            +-> buffer -> times 2 -+
                   |           +-> broadcast--> buffer -> times 3 --> merge -+
                   |                        +-> buffer -> times 5 -+         |
                   +---------------------------------------------------------+

   Pairs needs the parallel delta: its tail must have the second number before plus takes the first
   one of the next pair, and a delta that insists on an order would wait for ever. In Hamming's net
   each number comes back as three, so it needs buffers in the ring.

   None of these processes ends by itself. When the printer has enough it returns, its end of the
   channel retires, and the net is taken down by that, each process in its READ or WRITE. */
#include <uvcsp.h>
#include <uvcsp/kit.h>

#include "common.h"

static const char help[] =
    "usage: nets [n]\n"
    "\n"
    "Prints the first n (10) of the numbers, their integrals, the squares, the Fibonacci\n"
    "numbers and the Hamming numbers, each from a net of small processes.\n";

KIT(long)

PROCESS(numbers, OUT(long, out))
{
    CHAN(long) c[3];
    CHANNELS(long, c, 3);
    CO(prefix_long(0, c[2], c[0]), delta_long(c[0], out, c[1]), successor_long(c[1], c[2]));
}

PROCESS(integrate, IN(long, in), OUT(long, out))
{
    CHAN(long) c[3];
    CHANNELS(long, c, 3);
    CO(plus_long(in, c[2], c[0]), delta_long(c[0], out, c[1]), prefix_long(0, c[1], c[2]));
}

PROCESS(pairs, IN(long, in), OUT(long, out))
{
    CHAN(long) c[3];
    CHANNELS(long, c, 3);
    CO(delta_par_long(in, c[0], c[1]), tail_long(c[1], c[2]), plus_long(c[0], c[2], out));
}

PROCESS(integrals, OUT(long, out))
{
    CHAN(long) c = CHANNEL(long);
    CO(numbers(c), integrate(c, out));
}

PROCESS(squares, OUT(long, out))
{
    CHAN(long) c = CHANNEL(long);
    CO(integrals(c), pairs(c, out));
}

PROCESS(fibonacci, OUT(long, out))
{
    CHAN(long) c[4];
    CHANNELS(long, c, 4);
    CO(prefix_long(1, c[3], c[0]), prefix_long(0, c[0], c[1]), delta_long(c[1], out, c[2]),
       pairs(c[2], c[3]));
}

PROCESS(times, VAL(long, factor), IN(long, in), OUT(long, out))
{
    for (;;)
        WRITE(out, factor * READ(in));
}

/* The numbers of three rising streams in order, each once. */
PROCESS(merge, INS(long, ins, n), OUT(long, out))
{
    long heads[3];
    for (size_t i = 0; i < n; i++)
        heads[i] = READ(ins[i]);
    for (;;) {
        long least = heads[0];
        for (size_t i = 1; i < n; i++)
            least = heads[i] < least ? heads[i] : least;
        WRITE(out, least);
        for (size_t i = 0; i < n; i++)
            if (heads[i] == least)
                heads[i] = READ(ins[i]);
    }
}

PROCESS(hamming, VAL(int, n), OUT(long, out))
{
    static const long factors[] = {2, 3, 5};
    CHAN(long) copies[3], stored[3], multiples[3];
    CHAN(long) merged = CHANNEL(long), all = CHANNEL(long), back = CHANNEL(long);
    CHANNELS(long, copies, 3);
    CHANNELS(long, stored, 3);
    CHANNELS(long, multiples, 3);
    uvcsp_process net[10] = {
        prefix_long(1, merged, all),
        delta_long(all, out, back),
        broadcast_long(back, copies, 3),
        merge(multiples, 3, merged),
    };
    for (int i = 0; i < 3; i++) {
        net[4 + i] = buffer_long(n + 1, copies[i], stored[i]);
        net[7 + i] = times(factors[i], stored[i], multiples[i]);
    }
    uvcsp_co(net, 10);
}

PROCESS(print, VAL(const char *, title), VAL(int, n), IN(long, in))
{
    printf("%-10s", title);
    for (int i = 0; i < n; i++)
        printf(" %ld", READ(in));
    printf("\n");
}

static void show(const char *title, int n, uvcsp_process net, CHAN(long) result)
{
    demo_expect(CO(net, print(title, n, result)) == 0, "the net ends by itself");
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 10, 1, 85);
    CHAN(long) c[5];
    if (CHANNELS(long, c, 5) != 0)
        return 1;
    show("numbers", n, numbers(c[0]), c[0]);
    show("integrals", n, integrals(c[1]), c[1]);
    show("squares", n, squares(c[2]), c[2]);
    show("Fibonacci", n, fibonacci(c[3]), c[3]);
    show("Hamming", n, hamming(n, c[4]), c[4]);
    return 0;
}
