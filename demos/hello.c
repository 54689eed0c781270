/* hello: two processes in parallel.

   P1 and P2 each sleep for a second, each in a forked worker of its own. Since they sleep at the
   same time, the whole program takes one second, not two. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: hello [seconds]\n"
    "\n"
    "Two processes sleep for `seconds` (1) in parallel and say that they are exiting;\n"
    "then the program says that it is terminating. It takes one nap, not two.\n";

PROCESS(P1, VAL(int, seconds), OUT(bool, done))
{
    uvcsp_sleep(seconds);
    printf("P1 exiting\n");
    fflush(stdout);
    WRITE(done, true);
}

/* The channel is there for the order of the two lines only: either process could be the first to
   wake up, and so P2 waits until P1 has spoken. */
PROCESS(P2, VAL(int, seconds), IN(bool, p1_done))
{
    uvcsp_sleep(seconds);
    (void)READ(p1_done);
    printf("P2 exiting\n");
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int seconds = demo_size(argc, argv, 1, 1, 0, 3600);

    double start = uvcsp_now();
    CHAN(bool) done = CHANNEL(bool);
    int failed = PAR(P1(seconds, done), P2(seconds, done));
    printf("Terminating\n");

    double took = uvcsp_now() - start;
    demo_expect(seconds == 0 || took < 2 * seconds, "they slept one after the other");
    return failed != 0;
}
