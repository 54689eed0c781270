/* santa: the Santa Claus problem.

   Santa sleeps until he is woken by all nine of his reindeer, back from their holidays, or by
   three of his ten elves, who have a problem with the toys. With the reindeer he delivers toys;
   with the three elves he meets in his study; the elves who come meanwhile wait. If both groups
   wait for him, the reindeer come first, for Christmas can't.

   Two waiting rooms make groups out of those who knock at their doors; Santa chooses between the
   rooms with PRI_ALT. He speaks to each creature over a channel of its own: first come in, then
   go.

     reindeer --home--> [stable: 9]     --sleigh--+
                                                  +--> Santa --> one channel to each of them
     elves   --stuck--> [porch: 3]      --knock---+

   When Santa has done his years he goes home. His channels retire, and so the others end too. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: santa [years] [meetings] [watch]\n"
    "\n"
    "Santa delivers toys `years` (5) times and meets three elves `meetings` (20) times.\n"
    "  watch   he tells what happens on stderr, as it happens (the order varies)\n";

enum { REINDEER = 9, ELVES = 10, THREE = 3 };

struct group {
    int size;
    int member[REINDEER];
};

/* A reindeer or an elf: is away for up to two milliseconds, comes to the door, and does as Santa
   says. */
PROCESS(creature, VAL(int, me), OUT(int, door), IN(bool, word))
{
    for (unsigned chance = (unsigned)me;;) {
        chance = chance * 1103515245 + 12345;
        uvcsp_sleep((chance >> 16) % 2000 * 1e-6);
        WRITE(door, me);
        demo_expect(READ(word), "first Santa says come in");
        demo_expect(!READ(word), "then he says go");
    }
}

PROCESS(waiting_room, VAL(int, size), IN(int, door), OUT(struct group, full))
{
    for (;;) {
        struct group group = {.size = size};
        for (int i = 0; i < size; i++)
            group.member[i] = READ(door);
        WRITE(full, group);
    }
}

static void say_to_all(const struct group *group, OUT_END(bool) *to, bool word)
{
    for (int i = 0; i < group->size; i++)
        WRITE(to[group->member[i]], word);
}

static bool all_different(const struct group *group)
{
    for (int i = 0; i < group->size; i++)
        for (int k = 0; k < i; k++)
            if (group->member[i] == group->member[k])
                return false;
    return true;
}

PROCESS(santa, VAL(int, years), VAL(int, meetings), VAL(bool, watch), IN(struct group, sleigh),
        IN(struct group, knock), OUTS(bool, reindeer, nine), OUTS(bool, elves, ten))
{
    int year = 0, meeting = 0;
    while (year < years || meeting < meetings) {
        struct group group;
        bool toys = PRI_ALT(WHEN(year < years, ON_READ(sleigh, &group)),
                            WHEN(meeting < meetings, ON_READ(knock, &group))) == 0;
        demo_expect(all_different(&group), "nobody comes twice in one group");

        say_to_all(&group, toys ? reindeer : elves, true);
        if (toys)
            year++;
        else
            meeting++;
        if (watch && toys)
            fprintf(stderr, "Ho ho ho! Toys for the year %d, %zu reindeer harnessed\n", year, nine);
        if (watch && !toys)
            fprintf(stderr, "meeting %d, with the elves %d, %d and %d of %zu\n", meeting,
                    group.member[0], group.member[1], group.member[2], ten);
        uvcsp_sleep(0.001);
        say_to_all(&group, toys ? reindeer : elves, false);
    }
    printf("Santa delivered toys %d times, with all nine reindeer\n", year);
    printf("Santa met three elves %d times\n", meeting);
}

int main(int argc, char **argv)
{
    bool watch = demo_word(&argc, argv, "watch");
    demo_args(argc, argv, 2, help);
    int years = demo_size(argc, argv, 1, 5, 0, 100000);
    int meetings = demo_size(argc, argv, 2, 20, 0, 100000);

    CHAN(int) home = CHANNEL(int), stuck = CHANNEL(int);
    CHAN(struct group) sleigh = CHANNEL(struct group), knock = CHANNEL(struct group);
    CHAN(bool) to_reindeer[REINDEER], to_elf[ELVES];
    if (CHANNELS(bool, to_reindeer, REINDEER) != 0 || CHANNELS(bool, to_elf, ELVES) != 0)
        return 1;

    uvcsp_process herd[REINDEER], workshop[ELVES];
    for (int i = 0; i < REINDEER; i++)
        herd[i] = creature(i, home, to_reindeer[i]);
    for (int i = 0; i < ELVES; i++)
        workshop[i] = creature(i, stuck, to_elf[i]);

    return PAR(santa(years, meetings, watch, sleigh, knock, to_reindeer, REINDEER, to_elf, ELVES),
               waiting_room(REINDEER, home, sleigh),
               waiting_room(THREE, stuck, knock),
               uvcsp_worker(herd, REINDEER),
               uvcsp_worker(workshop, ELVES)) != 0;
}
