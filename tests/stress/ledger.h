/* The ledger of the random networks: what each process has sent and received, in shared memory,
   written down by whoever did it as soon as it knows.

   Before it takes part in a communication a process says so (in flight: which message it offers,
   which channels it would read), and afterwards takes that back, when what has come of it is
   written down. So of a process that was killed it is known whether it may have agreed and not have
   counted. That is the one case in which the two sides may differ, and there by one message for
   each of the dead:

       received, not sent     the sender was killed with just that message in flight
       sent, not received     the message was in the buffer of a channel that ended, which holds so
   many at the most; or a reader was killed with that channel in flight */
#ifndef TESTS_STRESS_LEDGER_H
#define TESTS_STRESS_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>

#define MAX_CHANNELS 8
#define MAX_PROCESSES 24
#define MAX_MESSAGES 400 /* of one process */

struct ledger_process {
    _Atomic int pid;
    _Atomic bool ended;       /* in whatever way but by being killed */
    _Atomic bool writing;     /* in flight: the message that comes next */
    _Atomic unsigned reading; /* in flight: channels, a bit each */
    _Atomic unsigned n_sent;
    _Atomic unsigned long steps; /* operations begun and ended: it goes on */
    _Atomic unsigned sent[MAX_MESSAGES], received[MAX_MESSAGES], channel[MAX_MESSAGES];
};

struct ledger {
    _Atomic unsigned broken; /* messages whose contents were wrong */
    _Atomic unsigned n_sent;
    struct ledger_process of[MAX_PROCESSES];
};
extern struct ledger *ledger;

/* Empty; made by the first call. */
void ledger_clear(void);

struct ledger_rules {
    unsigned n_processes, n_channels;
    const int *capacities;
    bool leftovers; /* messages may be left in the buffers, or be dropped from them */
    bool killed;    /* processes that have not ended were killed, and may differ as said above */
};
struct ledger_sums {
    unsigned long received, dropped, agreed_and_killed;
};
/* Do the two sides agree? Else false, with a line for each message. Adds to `sums`, if not NULL. */
bool ledger_balances(const struct ledger_rules *rules, struct ledger_sums *sums);

#endif
