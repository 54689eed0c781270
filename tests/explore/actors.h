/* Carries out a network with the library, and writes down what happens. */
#ifndef TESTS_EXPLORE_ACTORS_H
#define TESTS_EXPLORE_ACTORS_H

#include <uvcsp.h>

#include "tests/explore/check.h"

/* A run; where several workers take part, in memory that they share. */
struct run {
    struct network net;
    struct history history;
    void *channels[MOST_CHANNELS];
    bool steps; /* others may run before each operation */
};
extern struct run *run;

void happened(const struct event *event);

/* The network's channels, made by the caller. */
void run_make_channels(void);
void run_free_channels(void);
/* The process value of an actor. */
uvcsp_process run_actor(unsigned actor);
/* The janitor poisons every channel. */
void run_janitor(void);

/* Of the actors of this worker that have run. */
extern struct usp_task *run_tasks[MOST_ACTORS];

/* How often this worker has changed from one process to another; a test that counts adds to it. */
extern unsigned long run_switches;

#endif
