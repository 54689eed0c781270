/* deadlock: three workers that wait for each other in a circle, and are told so.

   Each of the three reads from the one before it and then writes to the one behind it. If all begin
   by reading, nobody ever writes. In most systems such a program just stands still. Here the library
   looks, when all workers of a program have gone to sleep, whether anything in it can ever run again;
   if not, it says on standard error who waits where, on which channel, and in which circle, poisons
   the channels, and PAR returns -EDEADLK.

   With one that begins by writing, the same three pass a word round. */
#include <errno.h>
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: deadlock [rounds]\n"
    "\n"
    "Three workers in a circle, all of which wait for another, are found out and ended; then three\n"
    "of which one begins pass a number round `rounds` times (1000). The report is on standard error;\n"
    "UVCSP_DEADLOCK=off would leave them waiting.\n";

PROCESS(waits_first, IN(int, before), OUT(int, behind), VAL(int, rounds))
{
    for (int i = 0; i < rounds; i++)
        WRITE(behind, READ(before) + 1);
}

PROCESS(begins, IN(int, before), OUT(int, behind), VAL(int, rounds))
{
    int sum = 0;
    for (int i = 0; i < rounds; i++) {
        WRITE(behind, sum);
        sum = READ(before);
    }
    demo_expect(sum == 2 * rounds, "each of the other two has added one in each round");
    printf("one begins: %d rounds\n", rounds);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int rounds = demo_size(argc, argv, 1, 1000, 1, 1000000000);
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
    int status = PAR(waits_first(a, b, rounds), waits_first(b, c, rounds), waits_first(c, a, rounds));
    demo_expect(status == -EDEADLK, "a circle of waiting processes is told");
    printf("all wait: PAR returns -EDEADLK\n");
    fflush(stdout);

    CHAN(int) d = CHANNEL(int), e = CHANNEL(int), f = CHANNEL(int);
    return PAR(begins(d, e, rounds), waits_first(e, f, rounds), waits_first(f, d, rounds)) != 0;
}
