/* poison_or_retire: the two ways in which a network ends.

   Two writers feed one reader over a channel with a buffer:

     early  --+
              +--> channel --> reader
     late   --+

   `early` sends three numbers and then leaves, in one of two ways. If it retires its end, that is
   a matter of its own: `late` goes on, and the reader is told that it is over when both have gone
   and the buffer is empty. If it poisons the channel, it is over for everybody at once, and what
   is still in the buffer is lost.

   A third network shows how poison spreads: a chain of processes, of which none looks for poison,
   ends link by link when it reaches them. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: poison_or_retire [links]\n"
    "\n"
    "Ends the same network by retirement and by poison, and then a chain of `links` (5)\n"
    "processes, and tells what those who are left see.\n";

enum { RETIRE_IT, POISON_IT };

PROCESS(early, VAL(int, how), OUT(int, out), OUT(bool, left))
{
    for (int i = 1; i <= 3; i++)
        WRITE(out, i);
    if (how == POISON_IT)
        POISON(out);
    else
        RETIRE(out);
    WRITE(left, true);
}

/* Begins when `early` has left. Returning retires `out` as well. */
PROCESS(late, IN(bool, early_left), OUT(int, out), OUT(bool, left))
{
    (void)READ(early_left);
    for (int i = 11; i <= 13; i++)
        if (uvcsp_write(out, &i) != UVCSP_OK)
            break;
    WRITE(left, true);
}

/* Looks only when both have left, so that it is sure what is in the buffer. */
PROCESS(reader, VAL(int, how), IN(bool, late_left), IN(int, in))
{
    (void)READ(late_left);
    int n = 0, sum = 0, x, status;
    while ((status = uvcsp_read(in, &x)) == UVCSP_OK) {
        n++;
        sum += x;
    }
    printf("%s: the reader got %d numbers, their sum is %d, then it was told %s\n",
           how == POISON_IT ? "poison" : "retire", n, sum, uvcsp_status_name(status));
    if (how == POISON_IT)
        demo_expect(n == 0 && status == UVCSP_POISONED, "poison drops the buffer");
    else
        demo_expect(n == 6 && sum == 42 && status == UVCSP_RETIRED, "all is read before the end");
    if (status == UVCSP_POISONED)
        fprintf(stderr, "cause: %s\n", uvcsp_cause(in));
}

static int two_writers(int how)
{
    CHAN(int) c = CHANNEL(int, .capacity = 10, .name = "numbers");
    CHAN(bool) early_left = CHANNEL(bool), late_left = CHANNEL(bool);
    return PAR(early(how, c, early_left), late(early_left, c, late_left),
               reader(how, late_left, c));
}

/* The chain: each link waits for its neighbour, for ever, and none of them thinks of the end. */
PROCESS(link_of_chain, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(head, OUT(int, out), VAL(int, how))
{
    WRITE(out, 7);
    if (how == POISON_IT)
        POISON(out);
}

PROCESS(tail, IN(int, in), VAL(int, links), VAL(int, how))
{
    int x = READ(in);
    demo_expect(x == 7, "what has been sent passes first");
    int status = uvcsp_read(in, &x);
    printf("%s: after %d links the tail was told %s\n", how == POISON_IT ? "poison" : "retire",
           links, uvcsp_status_name(status));
    demo_expect(status == (how == POISON_IT ? UVCSP_POISONED : UVCSP_RETIRED),
                "it spreads as what it is");
}

static int chain(int links, int how)
{
    CHAN(int) c[64 + 1];
    if (CHANNELS(int, c, links + 1) != 0)
        return 1;
    uvcsp_process ps[64 + 2] = {head(c[0], how), tail(c[links], links, how)};
    for (int i = 0; i < links; i++)
        ps[2 + i] = link_of_chain(c[i], c[i + 1]);
    return uvcsp_par(ps, (size_t)links + 2);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int links = demo_size(argc, argv, 1, 5, 0, 64);

    return two_writers(RETIRE_IT) != 0 || two_writers(POISON_IT) != 0 ||
           chain(links, RETIRE_IT) != 0 || chain(links, POISON_IT) != 0;
}
