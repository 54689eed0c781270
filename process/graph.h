/* Who waits for whom: a picture of the whole program, taken from the arena while it runs.

   A node is a process. It has hope if it runs, or waits for something that may happen by itself (a timer, a
   descriptor, a signal), or if somebody with hope could wake it: by a channel that it waits for, of which that one
   holds an end, or which that one has made; by ending, where it waits for an end; as a whole worker, where that has
   its handle, or an end of that channel that one of its processes has made itself or was sent: it may lie in a variable
   that all of them know. All others wait for ever. They are the greatest set that keeps to these rules; it is found by spreading
   hope from those who have it for certain.

       collect    the channels with their counts of `moves`, then the processes, then the ends
       spread     hope, along ends, handles and joins
       confirm    look at everything once more that has been found to be without hope: the same waits (by ticket and
                  epoch), the same ends (by `moves`), the same workers

   What is found twice unchanged was so at one moment in between. From then on it stays so: whoever is without hope
   can be woken by nobody but his like. So no process has to stop while this looks, and there is no false alarm.

   Of the objects of the floor above (locks, queues, pipes, results of a pool, ...), of a channel that somebody has used
   without an end of his own or of which nobody has had the other side yet, and of an end on its way it is not known who
   could use them. There everybody could; so who waits for one is lost only if nobody at all has hope. */
#ifndef USP_PROCESS_GRAPH_H
#define USP_PROCESS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channels/channel.h"

#define USP_NONE_OF UINT32_MAX

enum usp_node_kind {
    USP_NODE_RUNS,   /* or might, for all that is known */
    USP_NODE_WAITS,  /* for channels, and for handles */
    USP_NODE_JOINS,  /* in PAR, CO, SEQ */
    USP_NODE_UNBORN, /* prepared for SEQ, not started */
    USP_NODE_ENDS,   /* main, when it has returned */
};

struct usp_node {
    struct usp_task *task;
    const void *event;        /* of one handle that it waits for */
    uint32_t epoch;
    uint32_t want, n_wants;   /* its offers */
    uint32_t hold, n_holds;   /* its ends, and what it has made */
    uint32_t worker;
    uint8_t kind;
    uint8_t n_events;
    bool serves;
    bool vague;               /* it is not known who sets the event that it waits for */
    bool hope;
};

struct usp_want { /* an offer */
    uint32_t node, channel, ticket;
    uint8_t side;
};

struct usp_hold { /* an end; or, with side USP_MADE, what its maker has */
    uint32_t node, channel;
    uint32_t next_known; /* of its worker, plus 1: an end that is known there */
    uint8_t side;
    bool known;
};
#define USP_MADE 2

struct usp_spot { /* a channel */
    struct usp_channel *channel;
    uint32_t moves;
    uint32_t first_want; /* of those who wait for it: in `by_spot` */
    uint32_t n_wants;
    uint32_t own[2];     /* the last node that was found to have an end of that side, plus 1 */
    bool vague, hope;
};

/* What is awaited as a whole: the processes of a PAR, or of a handle. */
struct usp_group {
    const void *key;     /* the waiting task, or the event of the handle ... */
    uint32_t worker;     /* ... and the worker that has it, plus 1 */
    uint32_t left;       /* members without hope */
    uint32_t node;       /* who waits */
};
#define USP_STARTER UINT32_MAX /* as `worker`: the one member is the task itself, which will start the node */

struct usp_place { /* a worker */
    uint32_t state, generation, runs, tasks_made;
    uint32_t parent;
    uint32_t n_nodes;
    uint32_t first_known; /* of its holds, plus 1 */
    uint32_t left;       /* what keeps it from ending for ever: nodes and workers without hope */
    bool hope;           /* some process in it has hope */
    bool ends;           /* it may end */
    bool foreign;        /* its loop may do something */
    bool awake;          /* somebody of whom nothing can be seen yet may be about to run in it */
};

struct usp_graph {
    struct usp_node *nodes;
    struct usp_want *wants;
    struct usp_hold *holds;
    struct usp_spot *spots;
    struct usp_group *groups;
    struct usp_place *places;
    uint32_t *by_spot;          /* wants, in the order of their channels */
    uint32_t *queue;            /* of nodes that hope has reached and has not left */
    uint32_t n_nodes, n_wants, n_holds, n_spots, n_groups, n_places;
    uint32_t room_nodes, room_wants, room_holds, room_spots;
    uint32_t n_queued, n_hope;
    uint32_t deaths;
    uint64_t deadline;          /* in nanoseconds; 0: none */
    bool main_ends;
    bool limbo;                 /* a worker is being born, or buried, or awake: something is bound to happen */
    bool failed;                /* no memory, no time, or it changed too much */
};

/* Takes the picture. False: it could not be had. `deadline` is a time of uv_hrtime(), or 0. */
bool usp_graph_take(struct usp_graph *graph, uint64_t deadline);
void usp_graph_free(struct usp_graph *graph);
/* Nobody at all has hope. */
static inline bool usp_graph_is_dead(const struct usp_graph *graph)
{
    return graph->n_hope == 0 && !graph->limbo;
}

/* ---- between graph.c and hope.c ---- */

void usp_graph_spread(struct usp_graph *graph);
uint32_t usp_graph_node_of(const struct usp_graph *graph, const struct usp_task *task);

/* ---- tell.c ---- */

/* Says on stderr who waits for ever and has not been told of before, and for whom; notes that it has been told. False:
   there is nobody. */
bool usp_graph_tell(const struct usp_graph *graph);

#endif
