/* What the random programs have in common: a command line, a seed, rounds, and a limit for each.

       program [seconds [seed [mode]]]      UVCSP_PAR=light: all in one worker

   The seed of the first round is printed; each round has the next. A round that does not come to
   its end within the limit ends the program with its seed (STRESS_STOP in the environment: it stops
   instead, for a debugger). */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Is this the large setup (UVCSP_STRESS=large in the environment)? */
bool stress_is_large(void);

/* A random number below `n`, from the state of a generator. */
unsigned stress_below(unsigned long long *state, unsigned n);
/* The state for a seed: near seeds give sequences that have nothing in common. */
unsigned long long stress_seeded(unsigned long long seed);

/* Memory that all workers started from here on share, zeroed. */
void *stress_shared(size_t size);

struct stress {
    double large;             /* seconds with UVCSP_STRESS=large in the environment */
    unsigned limit;           /* seconds for a round */
    const char *const *modes; /* up to NULL; may be NULL */
    bool (*round)(unsigned long long seed, int mode, bool light); /* `mode` is -1 for any */
    bool (*enough)(void); /* besides the seconds; NULL: only they count */
};
int stress_main(const struct stress *stress, int argc, char **argv);

#endif
