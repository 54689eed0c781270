/* dining: the dining philosophers, with the footman and without.

   Philosophers sit round a table, with one fork between each two. To eat, a philosopher needs
   both forks beside him; each takes his left one first. If all of them do that at the same
   moment, each waits for ever for the fork that his neighbour holds.

   A fork is a process: somebody takes it, then somebody (the same one) puts it down. The footman
   lets philosophers sit down and rise, and never lets all of them sit at once; then one at least
   finds both forks free. That is the whole difference between the two dinners here: how many may
   sit.

   The host hears of every meal. At the dinner without the footman there comes a moment when nobody
   at the table, the host and the forks included, can ever go on. The library finds that out, says
   on standard error who waits for whom, and ends the processes: PAR returns -EDEADLK. */
#include <errno.h>
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: dining [philosophers] [meals] [footman | free]\n"
    "\n"
    "Gives two dinners for `philosophers` (5). At the first they may all sit down at\n"
    "once, which goes on until nobody can eat any more; at the second the footman leaves\n"
    "one chair empty, and each eats `meals` (20) times.\n"
    "  footman   only the dinner with the footman\n"
    "  free      only the dinner without\n";

enum { FOR_EVER = -1, MOST = 64 };

PROCESS(one_fork, IN(int, take), IN(int, put))
{
    for (;;) {
        int holder = READ(take);
        demo_expect(READ(put) == holder, "a fork is put down by who took it");
    }
}

PROCESS(footman, IN(int, sit), IN(int, rise), VAL(int, chairs))
{
    int seated = 0, who;
    for (;;) {
        if (ALT(WHEN(seated < chairs, ON_READ(sit, &who)), ON_READ(rise, &who)) == 0)
            seated++;
        else
            seated--;
    }
}

PROCESS(philosopher, VAL(int, me), VAL(int, meals), OUT(int, sit), OUT(int, rise), OUT(int, eaten),
        OUT(int, take_left), OUT(int, put_left), OUT(int, take_right), OUT(int, put_right))
{
    for (int i = 0; meals == FOR_EVER || i < meals; i++) {
        WRITE(sit, me);
        WRITE(take_left, me);
        uvcsp_sleep(meals == FOR_EVER ? 0.005 : 0); /* he says something wise to his neighbour */
        WRITE(take_right, me);
        WRITE(eaten, me);
        WRITE(put_right, me);
        WRITE(put_left, me);
        WRITE(rise, me);
    }
}

/* Counts the meals, and prints how it went if all could eat. */
PROCESS(host, VAL(int, philosophers), VAL(int, meals), IN(int, eaten))
{
    int count[MOST] = {0}, who, status;
    while ((status = uvcsp_read(eaten, &who)) == UVCSP_OK)
        count[who]++;

    if (status == UVCSP_POISONED)
        return; /* nobody can go on */
    demo_expect(status == UVCSP_RETIRED && meals != FOR_EVER, "dinner ends when all have left");
    for (int i = 0; i < philosophers; i++) {
        demo_expect(count[i] == meals, "each philosopher eats as often as he wants to");
        printf("with the footman: philosopher %d has eaten %d times\n", i, count[i]);
    }
}

static int dinner(int n, int meals, int chairs)
{
    CHAN(int) take[MOST], put[MOST];
    if (CHANNELS(int, take, n) != 0 || CHANNELS(int, put, n) != 0)
        return 1;
    CHAN(int) sit = CHANNEL(int), rise = CHANNEL(int), eaten = CHANNEL(int);

    /* The forks and the footman are light processes of one worker; everybody else has a worker. */
    uvcsp_process furniture[MOST + 1], people[MOST + 2];
    for (int i = 0; i < n; i++) {
        int right = (i + 1) % n;
        furniture[i] = one_fork(take[i], put[i]);
        people[i] = philosopher(i, meals, sit, rise, eaten, take[i], put[i], take[right],
                                put[right]);
    }
    furniture[n] = footman(sit, rise, chairs);
    people[n] = uvcsp_worker(furniture, (size_t)n + 1);
    people[n + 1] = host(n, meals, eaten);
    return uvcsp_par(people, (size_t)n + 2);
}

int main(int argc, char **argv)
{
    bool only_footman = demo_word(&argc, argv, "footman");
    bool only_free = demo_word(&argc, argv, "free");
    demo_args(argc, argv, 2, help);
    int n = demo_size(argc, argv, 1, 5, 2, MOST);
    int meals = demo_size(argc, argv, 2, 20, 1, 1000000);

    if (!only_footman) {
        demo_expect(dinner(n, FOR_EVER, n) == -EDEADLK, "a dinner that cannot go on is told");
        printf("without the footman: each has a fork and waits for the other, nobody eats\n");
        fflush(stdout);
    }
    return !only_free && dinner(n, meals, n - 1) != 0;
}
