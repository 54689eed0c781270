/* Did what happened happen by the rules? A run is written down as a history: when an operation
   began, when it came back and with what. The check looks for points between the two at which the
   operations take effect, one after the other, so that the reference gives the same results
   (linearizability: Herlihy and Wing, "Linearizability: a correctness condition for concurrent
   objects", 1990; the search: Wing and Gong, "Testing and verifying concurrent objects", 1993).

   The outcome of a run is what each actor has seen, without the order. The reference can also be
   asked for all outcomes of a network. */
#ifndef TESTS_EXPLORE_CHECK_H
#define TESTS_EXPLORE_CHECK_H

#include "tests/explore/model.h"

enum happening {
    BEGINS,  /* an operation */
    RETURNS, /* ... has come back */
    ENDS,    /* the actor */
    TIME_IS_UP,
    QUIET, /* nobody can go on any more; the janitor comes */
};

struct event {
    uint8_t what, actor;
    uint8_t status, guard, value; /* RETURNS */
};

enum { MOST_EVENTS = 160 };

struct history {
    uint32_t n;
    struct event events[MOST_EVENTS];
};

/* What an actor has seen of an operation. */
struct sight {
    uint8_t how; /* 0: nothing; 1: it came back; 2: the actor ended in it */
    uint8_t status, guard, value;
};

struct outcome {
    struct sight seen[MOST_ACTORS][MOST_OPS];
    uint8_t stuck; /* a bit for each that had to be freed by the janitor */
};

enum { SEVERAL_WORKERS, ONE_WORKER };

/* One worker: an operation takes effect when it begins, but for a choice that has let others run
 * first. */
bool check_history(const struct network *net, const struct history *history, int workers);
void check_print(FILE *to, const struct network *net, const struct history *history);

/* The outcome of a history. */
void outcome_of(const struct network *net, const struct history *history, struct outcome *outcome);
void outcome_print(FILE *to, const struct network *net, const struct outcome *outcome);

/* A set of outcomes. */
struct outcomes {
    struct outcome *all;
    size_t n, room;
    uint64_t *hashes; /* of 2 * room slots */
    uint32_t *places;
};
/* False: it was there. */
bool outcomes_add(struct outcomes *set, const struct outcome *outcome);
bool outcomes_hold(const struct outcomes *set, const struct outcome *outcome);
void outcomes_clear(struct outcomes *set);
/* All that the reference allows, if one operation is done after the other. */
void outcomes_enumerate(const struct network *net, unsigned how, struct outcomes *set);

/* A set of states that have been seen; `note`: what else distinguishes them. */
struct seen {
    uint64_t *slots;
    uint32_t *ages;
    uint32_t age;
    size_t n, room;
};
void seen_forget(struct seen *seen);
/* False: it was there. */
bool seen_add(struct seen *seen, const void *state, size_t size, uint64_t note);

#endif
