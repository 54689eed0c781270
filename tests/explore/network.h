/* Small networks of processes, as data: what is run, and what the reference says of it, are made
   from the same description, and by different code.

   An actor is a process that carries out a few operations, one after the other, and ends. All that
   waits is a choice: a READ is a choice of one guard, a trying form has ON_SKIP behind it, one with
   a limit a timeout. */
#ifndef TESTS_EXPLORE_NETWORK_H
#define TESTS_EXPLORE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { MOST_CHANNELS = 3, MOST_ACTORS = 6, MOST_OPS = 4, MOST_GUARDS = 3, NOBODY = 255 };

enum side { READS, WRITES };

enum guard_kind {
    G_READ = READS,
    G_WRITE = WRITES,
    G_SKIP,
    G_NOW,   /* a timeout of 0 */
    G_LATER, /* one that goes off when the test has it do so */
};

struct guard {
    uint8_t kind, channel;
    bool off;
};

enum op_kind { CHOICE, POISONS, RETIRES, RUNS };

/* By which call a choice is made. */
enum via {
    VIA_READ,    /* READ, WRITE: its failure ends the process */
    VIA_CHECKED, /* uvcsp_read, and _timeout */
    VIA_TRY,
    VIA_ALT,    /* uvcsp_alt */
    VIA_CHOOSE, /* ALT: its failure ends the process */
};

struct op {
    uint8_t kind, via, n;
    bool pri;
    bool yields;                      /* lets others run first */
    struct guard guards[MOST_GUARDS]; /* POISONS: the channel; RETIRES: the end */
    uint8_t first, last;              /* RUNS: these actors, as CO */
};

struct actor {
    uint8_t n_ops;
    uint8_t ends[2]; /* a bit for each channel, by side */
    uint8_t parent;  /* who runs it; or NOBODY */
    uint8_t worker;
    struct op ops[MOST_OPS];
};

enum { BYTES = 0xffff }; /* a width: messages of variable length */

struct network {
    uint8_t n_channels, n_actors;
    struct {
        uint8_t capacity;
        uint8_t lenient; /* as in struct usp_channel */
        bool unbiased;   /* others than its worker could use it */
        bool shared;     /* the carrier */
        uint16_t width;
    } channels[MOST_CHANNELS];
    /* the last one comes when nobody can go on, and poisons every channel */
    struct actor actors[MOST_ACTORS + 1];
};

static inline unsigned janitor_of(const struct network *net)
{
    return net->n_actors;
}
static inline bool is_hard(const struct op *op)
{
    return op->kind == CHOICE && (op->via == VIA_READ || op->via == VIA_CHOOSE);
}
static inline bool is_alt(const struct op *op)
{
    return op->kind == CHOICE && (op->via == VIA_ALT || op->via == VIA_CHOOSE);
}
static inline bool communicates(const struct guard *guard)
{
    return guard->kind <= G_WRITE;
}
/* What is written there: another value for each guard. */
static inline uint8_t value_of(unsigned actor, unsigned op, unsigned guard)
{
    return (uint8_t)(1 + (actor * MOST_OPS + op) * MOST_GUARDS + guard);
}

struct random {
    uint64_t state;
};
static inline unsigned below(struct random *random, unsigned n)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (unsigned)((z ^ z >> 31) >> 32) % n;
}
static inline bool one_in(struct random *random, unsigned n)
{
    return below(random, n) == 0;
}

/* A network of that seed. `workers`: over how many of them its actors are spread; 1: all in one. */
void network_random(struct network *net, uint64_t seed, unsigned workers);
/* Gives every actor the ends that its operations need, and the network its janitor. */
void network_complete(struct network *net);
void network_print(FILE *to, const struct network *net);
void op_print(FILE *to, const struct op *op);

#endif
