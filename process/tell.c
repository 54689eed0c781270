/* What is said of those who wait for ever: each of them with what it waits for, and a cycle if there is one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/graph.h"
#include "runtime/report.h"

#define MOST_LINES 1000
#define MOST_NAMES 12
#define MOST_EDGES 1000000 /* that are followed to find a cycle ... */
#define MOST_DEPTH 5000    /* ... and so far from where it begins */

/* ---- one process ---- */

/* When main has returned, light processes that wait for ever do not keep the program from ending. */
static bool is_news(const struct usp_graph *graph, const struct usp_node *node)
{
    return !node->hope && node->kind != USP_NODE_UNBORN && node->kind != USP_NODE_ENDS &&
           (usp_graph_is_dead(graph) ||
            !(node->task->hope.told & USP_TOLD_LOST || (graph->main_ends && node->worker == 0)));
}

static void tell_node(const struct usp_node *node)
{
    const struct usp_task *task = node->task;
    char what[600];
    if (node->kind == USP_NODE_JOINS)
        snprintf(what, sizeof what, "for the processes of its PAR, CO or SEQ to end");
    else if (!usp_describe_wait(task, what, sizeof what))
        snprintf(what, sizeof what, node->vague ? "for a pool, or a process, to be done" : "for a process to end");
    usp_report("  process '%s' (pid %d)%s%s waits %s", task->name,
               (int)usp_worker_of(node->worker)->pid, task->site ? " at " : "",
               task->site ? task->site : "", what);
}

/* ---- the cycle ---- */

struct search {
    const struct usp_graph *graph;
    uint32_t *by_spot, *first; /* holds, in the order of their channels, and where those of a channel begin */
    uint32_t *stack;           /* the way to here */
    uint8_t *seen;
    uint32_t depth, edges;
    uint32_t cycle;            /* where on the way it begins */
};
enum { NEW, ON_THE_WAY, DONE };

static bool sort_holds(struct search *search)
{
    const struct usp_graph *graph = search->graph;
    search->first = calloc(graph->n_spots + 2, sizeof *search->first);
    search->by_spot = malloc((graph->n_holds + 1) * sizeof *search->by_spot);
    search->stack = malloc((graph->n_nodes + 1) * sizeof *search->stack);
    search->seen = calloc(graph->n_nodes + 1, sizeof *search->seen);
    if (!search->first || !search->by_spot || !search->stack || !search->seen)
        return false;
    uint32_t *next = search->first + 1;
    for (uint32_t i = 0; i < graph->n_holds; i++)
        next[graph->holds[i].channel + 1]++;
    for (uint32_t i = 0; i < graph->n_spots; i++)
        next[i + 1] += next[i];
    for (uint32_t i = 0; i < graph->n_holds; i++)
        search->by_spot[next[graph->holds[i].channel]++] = i;
    return true;
}

/* Does `a` wait for the end of `b`? */
static bool joins(const struct usp_node *a, const struct usp_node *b)
{
    const struct usp_worker *worker = usp_worker_of(b->worker);
    const struct usp_hope *hope = &b->task->hope;
    if (a->kind == USP_NODE_JOINS)
        return hope->waiter == a->task || worker->waiter == a->task;
    if (a->kind != USP_NODE_WAITS || a->n_events != 1)
        return false;
    return (hope->handle_of == a->worker + 1 && hope->handle == a->event) ||
           (worker->handle_of == a->worker + 1 && worker->handle == a->event);
}

/* Who has the lock that it waits for. */
static uint32_t holder_of(const struct usp_graph *graph, const struct usp_want *want)
{
    const volatile struct usp_channel *channel = graph->spots[want->channel].channel;
    uint32_t read = channel->read;
    if (!channel->is_lock || want->side != USP_WRITER || channel->written == read)
        return USP_NONE_OF;
    struct usp_task *const volatile *names = (void *)channel->buffer;
    return usp_graph_node_of(graph, names[read & channel->mask]);
}

static bool visit(struct search *search, uint32_t index);

static bool follow(struct search *search, uint32_t to)
{
    search->edges++;
    if (search->graph->nodes[to].hope || search->seen[to] == DONE || search->depth >= MOST_DEPTH)
        return false;
    if (search->seen[to] == NEW)
        return visit(search, to);
    for (search->cycle = 0; search->stack[search->cycle] != to;)
        search->cycle++;
    return true;
}

/* The ends of the other side of the channels that it waits for, who has the locks, and those whose end it waits for. */
static bool visit(struct search *search, uint32_t index)
{
    const struct usp_graph *graph = search->graph;
    const struct usp_node *node = &graph->nodes[index];
    search->seen[index] = ON_THE_WAY;
    search->stack[search->depth++] = index;
    for (uint32_t i = 0; i < node->n_wants && search->edges < MOST_EDGES; i++) {
        const struct usp_want *want = &graph->wants[node->want + i];
        for (uint32_t k = search->first[want->channel]; k < search->first[want->channel + 1]; k++) {
            const struct usp_hold *hold = &graph->holds[search->by_spot[k]];
            if (hold->side == usp_other((enum usp_side)want->side) && hold->node != index &&
                follow(search, hold->node))
                return true;
        }
        uint32_t holder = holder_of(graph, want);
        if (holder != USP_NONE_OF && holder != index && follow(search, holder))
            return true;
    }
    bool waits_for_end = node->kind == USP_NODE_JOINS || node->n_events == 1;
    for (uint32_t i = 0; waits_for_end && i < graph->n_nodes && search->edges < MOST_EDGES; i++)
        if (i != index && joins(node, &graph->nodes[i]) && follow(search, i))
            return true;
    search->depth--;
    search->seen[index] = DONE;
    return false;
}

static void tell_cycle(const struct usp_graph *graph)
{
    struct search search = {.graph = graph};
    bool found = false;
    bool ready = sort_holds(&search);
    for (uint32_t i = 0; ready && !found && i < graph->n_nodes; i++)
        found = !graph->nodes[i].hope && search.seen[i] == NEW && visit(&search, i);
    if (found) {
        char text[900];
        size_t n = 0;
        uint32_t length = search.depth - search.cycle;
        for (uint32_t i = 0; i <= length && n < sizeof text; i++) {
            const struct usp_node *node = &graph->nodes[search.stack[search.cycle + i % length]];
            if (i == MOST_NAMES && length > MOST_NAMES) {
                n += (size_t)snprintf(text + n, sizeof text - n, ", and so on, round %u processes", length);
                break;
            }
            n += (size_t)snprintf(text + n, sizeof text - n, "%s'%s' (pid %d)",
                                  i == 0 ? "" : i == 1 ? " waits for " : ", which waits for ",
                                  node->task->name, (int)usp_worker_of(node->worker)->pid);
        }
        usp_report("  the cycle: %s", text);
    }
    free(search.first);
    free(search.by_spot);
    free(search.stack);
    free(search.seen);
}

/* ---- all ---- */

bool usp_graph_tell(const struct usp_graph *graph)
{
    uint32_t news = 0, lines = 0;
    bool dead = usp_graph_is_dead(graph);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        news += is_news(graph, node);
    }
    if (news == 0)
        return false;
    if (dead)
        usp_report("deadlock: nothing in this program can ever run again");
    else
        usp_report("deadlock: %u process%s for ever, while others go on", news,
                   news == 1 ? " waits" : "es wait");
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        if (!is_news(graph, node))
            continue;
        node->task->hope.told |= USP_TOLD_LOST;
        if (lines++ < MOST_LINES)
            tell_node(node);
    }
    if (lines > MOST_LINES)
        usp_report("  and %u more", lines - MOST_LINES);
    tell_cycle(graph);
    return true;
}
