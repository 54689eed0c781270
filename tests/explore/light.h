/* Runs networks in one worker, in an order that a seed or an explorer decides. */
#ifndef TESTS_EXPLORE_LIGHT_H
#define TESTS_EXPLORE_LIGHT_H

#include "tests/explore/actors.h"

/* Once, before all. */
void light_init(void);

/* Runs `run->net`. The library's own scheduler decides, with that seed; 0: first in, first out. */
void light_run_seeded(uint64_t seed);

/* Choices that were made, and among how many. */
enum { MOST_CHOICES = 256 };
struct choices {
    unsigned n;
    uint8_t made[MOST_CHOICES], among[MOST_CHOICES];
};
/* Runs it in the order of `choices`: where they end, who came first goes first; all that is chosen
 * is added. */
void light_run_chosen(struct choices *choices);
/* The choices that come next, depth first. False: these were the last. */
bool light_next(struct choices *choices);

#endif
