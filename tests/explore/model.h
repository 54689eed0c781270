/* The reference: what processes and channels are by their contract, with no lock, no memory and no
   scheduler.

   A state says of each channel what it holds and who waits at it, and of each actor how far it is.
   An operation takes effect in one step, or in a few: it finds something ready and is done,
   together with whom it has met; or it waits, and whoever comes later finds it. Those who wait at a
   side are served in the order in which they came. */
#ifndef TESTS_EXPLORE_MODEL_H
#define TESTS_EXPLORE_MODEL_H

#include "tests/explore/network.h"

enum phase {
    UNBORN,
    READY,   /* between two operations */
    INVOKED, /* an operation has begun, and has had no effect yet */
    WAITING,
    JOINING,   /* waits for those that it runs */
    DONE,      /* the operation has had its effect; the actor has not gone on */
    RELEASING, /* it has ended; its ends have not all gone */
    GONE,
};

enum status { S_OK, S_RETIRED, S_POISONED }; /* as enum uvcsp_status */

enum { MOST_OFFERS = MOST_ACTORS * MOST_GUARDS, MOST_STEPS = 24 };

struct m_actor {
    uint8_t phase, pc;
    uint8_t status, guard, value; /* of a choice that is done */
    uint8_t look, start; /* of one that has looked at `look` of its guards, first at `start` */
    uint8_t left;        /* children that have not ended */
    uint8_t ends[2];
    uint8_t key,
        next; /* where its next fair choice over the guards of operation `key` - 1 begins */
};

struct m_channel {
    uint8_t poisoned, over; /* `over`: a bit for each side that has retired */
    uint8_t n_ends[2];
    uint8_t n, held[2];                            /* in the buffer */
    uint8_t n_waiting[2], waiting[2][MOST_OFFERS]; /* actor * MOST_GUARDS + guard */
};

struct m_state {
    struct m_actor actors[MOST_ACTORS + 1];
    struct m_channel channels[MOST_CHANNELS];
};

enum {
    M_ANY = 1, /* whoever waits may be met, not only who came first: what the contract promises at
                  least */
    M_MARKS =
        2, /* a fair choice begins behind the guard that it took, or that had ended, the last time; else with any */
    M_STEPWISE = 4, /* others may run between two looks of a choice, and between two ends that go */
};

void model_begin(const struct network *net, struct m_state *state);
/* The actor begins its next operation; without one it ends. */
void model_start(const struct network *net, struct m_state *state, unsigned actor);
/* An actor that has failed by what ends a process does so. */
void model_die(struct m_state *state, unsigned actor);
/* Steps of an actor that is INVOKED or RELEASING: the states that may follow. How many; at most
 * MOST_STEPS. */
unsigned model_step(const struct network *net, const struct m_state *state, unsigned actor,
                    unsigned how, struct m_state *next);
/* The time of an actor that waits with a limit is up. */
void model_time_is_up(const struct network *net, struct m_state *state, unsigned actor);
bool model_has_limit(const struct network *net, const struct m_state *state, unsigned actor);
/* It goes on behind an operation that is done. */
void model_go_on(const struct network *net, struct m_state *state, unsigned actor);
/* Nobody but the janitor can do anything. */
bool model_is_quiet(const struct network *net, const struct m_state *state);
bool model_is_over(const struct network *net, const struct m_state *state);

static inline const struct op *model_op(const struct network *net, const struct m_state *state,
                                        unsigned actor)
{
    return &net->actors[actor].ops[state->actors[actor].pc];
}

#endif
