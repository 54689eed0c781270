/* How hope spreads over the picture that graph.c has taken. Each node, channel, worker and group is reached once; so it
   takes no longer than the picture is large. */
#include "process/graph.h"

#include <stdlib.h>

/* ---- groups ---- */

static int by_key(const void *a, const void *b)
{
    const struct usp_group *x = a, *y = b;
    if (x->key != y->key)
        return (uintptr_t)x->key < (uintptr_t)y->key ? -1 : 1;
    return x->worker < y->worker ? -1 : x->worker > y->worker;
}

/* The first with this key; all of them follow each other. */
static struct usp_group *group_of(const struct usp_graph *graph, const void *key, uint32_t worker)
{
    struct usp_group wanted = {.key = key, .worker = worker};
    uint32_t low = 0, high = graph->n_groups;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_key(&graph->groups[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < graph->n_groups && by_key(&graph->groups[low], &wanted) == 0 ? &graph->groups[low] : NULL;
}

static void give_hope(struct usp_graph *graph, uint32_t index)
{
    struct usp_node *node = &graph->nodes[index];
    if (node->hope)
        return;
    node->hope = true;
    graph->n_hope++;
    graph->queue[graph->n_queued++] = index;
}

enum change { ENTERS, LEAVES };

static void change_group(struct usp_graph *graph, const void *key, uint32_t worker, enum change change)
{
    struct usp_group *group = key ? group_of(graph, key, worker) : NULL, *end = graph->groups + graph->n_groups;
    struct usp_group wanted = {.key = key, .worker = worker};
    for (; group && group < end && by_key(group, &wanted) == 0; group++) {
        if (change == ENTERS)
            group->left++;
        else if (--group->left == 0)
            give_hope(graph, group->node);
    }
}

static void change_groups_of(struct usp_graph *graph, const struct usp_node *node, enum change change)
{
    const struct usp_hope *hope = &node->task->hope;
    if (node->kind == USP_NODE_RUNS) /* never was in one */
        return;
    if (node->kind != USP_NODE_UNBORN)
        change_group(graph, hope->waiter, 0, change);
    if (hope->handle_of)
        change_group(graph, hope->handle, hope->handle_of, change);
    change_group(graph, node->task, USP_STARTER, change);
}

static void change_groups_of_place(struct usp_graph *graph, unsigned index, enum change change)
{
    const struct usp_worker *worker = usp_worker_of(index);
    change_group(graph, worker->waiter, 0, change);
    if (worker->handle_of)
        change_group(graph, worker->handle, worker->handle_of, change);
}

static bool make_groups(struct usp_graph *graph)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        n += graph->nodes[i].kind != USP_NODE_RUNS;
    graph->groups = malloc((n ? n : 1) * sizeof *graph->groups);
    if (!graph->groups)
        return false;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        struct usp_group group = {.node = i};
        if (node->kind == USP_NODE_JOINS)
            group.key = node->task;
        else if (node->kind == USP_NODE_UNBORN)
            group.key = node->task->hope.waiter, group.worker = USP_STARTER;
        else if (node->kind == USP_NODE_WAITS && node->n_events == 1)
            group.key = node->event, group.worker = node->worker + 1;
        if (group.key)
            graph->groups[graph->n_groups++] = group;
    }
    if (graph->n_groups > 1)
        qsort(graph->groups, graph->n_groups, sizeof *graph->groups, by_key);
    return true;
}

/* ---- workers ---- */

static bool is_awaited(const struct usp_graph *graph, unsigned index)
{
    return index > 0 && graph->places[index].state == USP_WORKER_RUNNING;
}

static void count_places(struct usp_graph *graph)
{
    for (unsigned i = 0; i < graph->n_places; i++) {
        if (!is_awaited(graph, i))
            continue;
        change_groups_of_place(graph, i, ENTERS);
        if (graph->places[i].parent < graph->n_places)
            graph->places[graph->places[i].parent].left++;
    }
}

static void one_less(struct usp_graph *graph, unsigned index);

/* Nothing keeps it from ending. */
static void may_end(struct usp_graph *graph, unsigned index)
{
    graph->places[index].ends = true;
    if (!is_awaited(graph, index))
        return;
    change_groups_of_place(graph, index, LEAVES);
    if (graph->places[index].parent < graph->n_places)
        one_less(graph, graph->places[index].parent);
}

static void one_less(struct usp_graph *graph, unsigned index)
{
    if (--graph->places[index].left == 0 && !graph->places[index].ends)
        may_end(graph, index);
}

/* ---- spreading ---- */

static void reach_spot(struct usp_graph *graph, struct usp_spot *spot)
{
    if (spot->hope)
        return;
    spot->hope = true;
    for (uint32_t i = 0; i < spot->n_wants; i++)
        give_hope(graph, graph->wants[graph->by_spot[spot->first_want + i]].node);
}

/* Somebody in it has hope, and may end those whose handles it has, and use the ends that are known there. */
static void reach_place(struct usp_graph *graph, unsigned index)
{
    if (graph->places[index].hope)
        return;
    graph->places[index].hope = true;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        if (node->task->hope.handle_of == index + 1 ||
            (node->worker < graph->n_places && usp_worker_of(node->worker)->handle_of == index + 1))
            give_hope(graph, i);
    }
    for (uint32_t i = graph->places[index].first_known; i > 0; i = graph->holds[i - 1].next_known)
        reach_spot(graph, &graph->spots[graph->holds[i - 1].channel]);
}

static void leave(struct usp_graph *graph, const struct usp_node *node)
{
    for (uint32_t i = 0; i < node->n_holds; i++)
        reach_spot(graph, &graph->spots[graph->holds[node->hold + i].channel]);
    change_groups_of(graph, node, LEAVES);
    if (node->worker >= graph->n_places)
        return;
    reach_place(graph, node->worker);
    if (node->kind != USP_NODE_RUNS)
        one_less(graph, node->worker);
}

static void spread_queue(struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_queued; i++)
        leave(graph, &graph->nodes[graph->queue[i]]);
    graph->n_queued = 0;
}

/* Those who wait for it is not known whom: also for an event that no process or worker sets by ending, but something of
   the floor above; or for several. */
static void reach_vague(struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_spots; i++)
        if (graph->spots[i].vague)
            reach_spot(graph, &graph->spots[i]);
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].kind == USP_NODE_WAITS && (graph->nodes[i].n_events > 1 || graph->nodes[i].vague))
            give_hope(graph, i);
}

/* Nobody is in it who is without hope so far. */
static void reach_empty(struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_groups; i++) {
        const struct usp_group *group = &graph->groups[i];
        struct usp_node *node = &graph->nodes[group->node];
        if (group->left > 0)
            continue;
        if (node->kind == USP_NODE_WAITS)
            node->vague = true;
        else
            give_hope(graph, group->node);
    }
}

static bool sort_wants(struct usp_graph *graph)
{
    graph->by_spot = malloc((graph->n_wants ? graph->n_wants : 1) * sizeof *graph->by_spot);
    graph->queue = malloc((graph->n_nodes ? graph->n_nodes : 1) * sizeof *graph->queue);
    if (!graph->by_spot || !graph->queue)
        return false;
    for (uint32_t i = 0; i < graph->n_wants; i++)
        graph->spots[graph->wants[i].channel].n_wants++;
    uint32_t first = 0;
    for (uint32_t i = 0; i < graph->n_spots; i++) {
        graph->spots[i].first_want = first;
        first += graph->spots[i].n_wants;
        graph->spots[i].n_wants = 0;
    }
    for (uint32_t i = 0; i < graph->n_wants; i++) {
        struct usp_spot *spot = &graph->spots[graph->wants[i].channel];
        graph->by_spot[spot->first_want + spot->n_wants++] = i;
    }
    return true;
}

/* Nobody has had an end of that side yet (or it would have retired): somebody knows the channel from a message, a structure
   or a global variable, for whom would one wait else? */
static bool is_promised(const struct usp_spot *spot, enum usp_side side)
{
    return ((const volatile struct usp_channel *)spot->channel)->n_ends[side] == 0;
}

/* Who waits for a channel of which it has the other side itself never meets itself: that end is for others of its
   worker, who know it by its address. */
static void find_shared(struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        for (uint32_t k = 0; k < node->n_holds && node->n_wants > 0; k++) {
            const struct usp_hold *hold = &graph->holds[node->hold + k];
            if (hold->side != USP_MADE)
                graph->spots[hold->channel].own[hold->side] = i + 1;
        }
        for (uint32_t k = 0; k < node->n_wants; k++) {
            const struct usp_want *want = &graph->wants[node->want + k];
            struct usp_spot *spot = &graph->spots[want->channel];
            enum usp_side other = usp_other((enum usp_side)want->side);
            spot->vague |= spot->own[other] == i + 1 || is_promised(spot, other);
        }
    }
}

void usp_graph_spread(struct usp_graph *graph)
{
    find_shared(graph);
    if (!sort_wants(graph) || !make_groups(graph)) {
        graph->failed = true;
        return;
    }
    count_places(graph);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        change_groups_of(graph, node, ENTERS);
        if (node->kind != USP_NODE_RUNS)
            graph->places[node->worker].left++;
    }
    for (unsigned i = 0; i < graph->n_places; i++)
        if (graph->places[i].left == 0 && !graph->places[i].ends)
            may_end(graph, i);
    for (unsigned i = 0; i < graph->n_places; i++)
        if (graph->places[i].state == USP_WORKER_RUNNING && graph->places[i].awake)
            reach_place(graph, i);
    reach_empty(graph);
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].kind == USP_NODE_RUNS)
            give_hope(graph, i);
    spread_queue(graph);
    if (graph->n_hope > 0 || graph->limbo) {
        reach_vague(graph);
        spread_queue(graph);
    }
}
