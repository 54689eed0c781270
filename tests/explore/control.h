/* Several workers under control: of all of them one runs, and at every marked step
   (runtime/failpoint.h) it is decided anew which. So a run is made by decisions and by nothing
   else, and can be run again.

   A worker that spins cannot go on until the word that it waits for is 0; one that sleeps, until
   its word has changed or its loop has something to do, or a timer of its is to go off, which it
   may at any time. When nobody can go on, the janitor comes. If there is nobody still, then somebody
   waits who should not.

   Decisions are made by one of two strategies. Depth first: all of them, where a worker that could
   go on is made to wait a limited number of times (Musuvathi and Qadeer, "Iterative context
   bounding for systematic testing of multithreaded programs", PLDI 2007). Or by priority: each
   worker has one, by lot, and the highest of those that can go on does; at a few steps, by lot,
   that of the running one becomes the lowest (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A
   randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010). */
#ifndef TESTS_EXPLORE_CONTROL_H
#define TESTS_EXPLORE_CONTROL_H

#include <stdatomic.h>

#include "tests/explore/actors.h"
#include "tests/explore/loops.h"

enum { MOST_DECISIONS = 1024, MOST_MARKS = 20000 };

enum strategy { FREELY, DEPTH_FIRST, BY_PRIORITY };

enum command { CARRY_OUT, LEAVE };

enum fault { NO_FAULT, SPINS_FOR_EVER, WAITS_FOR_EVER, NEVER_ENDS, HAS_DIED };

struct control {
    struct run run;
    unsigned n_workers;
    enum strategy strategy;
    enum command command;
    /* of DEPTH_FIRST: what was decided, among how many; and at which step */
    unsigned n_decisions, at;
    uint8_t made[MOST_DECISIONS], among[MOST_DECISIONS];
    unsigned bound;
    /* of BY_PRIORITY */
    uint64_t seed;
    unsigned n_changes, expected; /* steps */
    /* what came of it */
    unsigned steps, preemptions;
    unsigned strayed; /* it was not the run that the decisions had been made for */
    enum fault fault;
    const char *last; /* step */
    unsigned current;
};
extern struct control *control;

/* In the root, before anybody else is there. */
void control_init(unsigned n_workers);
void control_start(void);
/* Carries out `control->run.net`. False: it did not come to its end, and the workers are in any
 * state. */
bool control_run(void);
/* The decisions that come next, depth first. False: these were the last. */
bool control_next(void);
void control_stop(void);
/* Tells the run in full, and how to repeat it. */
void control_print(FILE *to);

#endif
