/* What the processes of a crash campaign have in common: a queue, a lock, a value with a lock, a
   semaphore and a manager with a list and a lock. Each use is written down before and after, so
   that what a killed process had done and not told is known, and nothing else may differ. */
#ifndef TESTS_STRESS_COMMONS_H
#define TESTS_STRESS_COMMONS_H

#include <stdbool.h>
#include <stddef.h>

/* In the root. Makes them; looks at what they hold at the end, and frees them. */
bool commons_open(void);
bool commons_close(void);
/* Blocks of the arena that a manager leaves for as long as the program lives. */
size_t commons_blocks_that_stay(void);

/* In process `me` of the ledger: one use, of a random one. */
void commons_use(unsigned me, unsigned long long *random);

/* In the root: now and then the server of the manager is killed. True, unless that hangs. */
bool commons_strike(unsigned long long *random);
/* After a round: what the dead of it had in flight. */
bool commons_round_over(void);

int commons_descriptors(void); /* that were open after commons_open() */
int commons_children(void);    /* of this process, but the server */
bool commons_is_alive(int pid);
const char *commons_doing(unsigned p);
void commons_print(void);

#endif
