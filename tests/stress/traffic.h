/* Processes that communicate in every form that there is, on a few channels of three types, and
   write each message down (ledger.h). A program draws a plan, makes the channels, and gives the
   body that each process is to run. */
#ifndef TESTS_STRESS_TRAFFIC_H
#define TESTS_STRESS_TRAFFIC_H

#include <uvcsp.h>

#include "tests/stress/ledger.h"
#include "tests/stress/stress.h"

enum message_type { SHORT, LONG, BYTES, MESSAGE_TYPES };

struct short_message {
    unsigned number, check;
};
struct long_message {
    struct short_message head;
    char filler[(64 << 10) - sizeof(struct short_message)];
};

struct node;
struct traffic {
    unsigned n_channels, n_processes;
    enum message_type types[MAX_CHANNELS];
    int capacities[MAX_CHANNELS];
    bool reads[MAX_PROCESSES][MAX_CHANNELS], writes[MAX_PROCESSES][MAX_CHANNELS];
    unsigned quota;    /* messages of each process */
    size_t most_bytes; /* of a message of variable length; at least 70,000 */
    unsigned long long seed;
    void (*body)(struct node *node);
};

struct port {
    enum message_type type;
    unsigned channel;
    void *in, *out;    /* NULL when it has none, or when that has ended */
    unsigned composed; /* the number of the message that lies ready, and 1 */
    struct long_message *long_in, *long_out;
    struct short_message short_in, short_out;
    uvcsp_bytes bytes_in, bytes_out;
    char *store;
};

struct node {
    const struct traffic *plan;
    unsigned me, n_ports, n_sent;
    struct port ports[MAX_CHANNELS];
    unsigned long long random;
};

/* The channels of the plan, with random carriers; and the value of process `p`. */
void traffic_channels(const struct traffic *plan, void **channels);
uvcsp_process traffic_member(const struct traffic *plan, unsigned p, void *const *channels);

unsigned node_below(struct node *node, unsigned n);
/* A choice among all that is open, `reads` and `writes`. False when nothing was. */
bool node_choose(struct node *node, bool reads, bool writes, bool impatient);
/* A plain operation on one port, which has that end. */
void node_operate(struct node *node, struct port *port, bool write, bool patient);
/* Now and then another kind of waiting. */
void node_dawdle(struct node *node);
/* Some port that is open for writing; NULL. */
struct port *node_writer(struct node *node);
void node_retire_writers(struct node *node);
/* READ and WRITE on a port of short messages: they may end the process. */
void node_take(struct node *node, struct port *port);
void node_give(struct node *node, struct port *port);
/* Everybody reads and writes everything by choice, until all messages have been sent and the others
   have ended. `pause`, if not NULL, is called after each; false: leave the rest. */
void node_meet(struct node *node, bool (*pause)(struct node *node));

#endif
