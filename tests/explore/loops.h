#ifndef TESTS_EXPLORE_LOOPS_H
#define TESTS_EXPLORE_LOOPS_H

enum { MOST_WORKERS = 3 };

/* Can be polled: a loop that has something to do is readable. */
extern int loops[MOST_WORKERS];
/* In the root, before the workers are there. */
void loops_init(unsigned n_workers);
/* In each of the workers. */
void loops_exchange(unsigned me, unsigned n_workers);

#endif
