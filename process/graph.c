#include "process/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "runtime/arena.h"
#include "runtime/sources.h"

#define EXITING 4 /* of the flags in /proc/PID/stat */

/* Room for one more in an array of the graph. */
static bool make_room(struct usp_graph *graph, void **arrayp, uint32_t n, uint32_t *roomp, size_t size)
{
    if (n < *roomp)
        return true;
    uint32_t room = *roomp ? 2 * *roomp : 64;
    void *more = graph->failed || room < n ? NULL : realloc(*arrayp, room * size);
    if (!more) {
        graph->failed = true;
        return false;
    }
    *arrayp = more;
    *roomp = room;
    return true;
}
#define ROOM(graph, array)                                                                         \
    make_room(graph, (void **)&(graph)->array, (graph)->n_##array, &(graph)->room_##array,         \
              sizeof *(graph)->array)

static bool in_time(struct usp_graph *graph, uint32_t n)
{
    if (graph->deadline && n % 256 == 0 && uv_hrtime() > graph->deadline)
        graph->failed = true;
    return !graph->failed;
}

/* ---- channels and workers ---- */

/* A process without parameters has no task before it runs. It is in the queue of a worker then, which does not sleep. */
static bool is_awake(unsigned index)
{
    return index == usp_worker_index() ? usp_sched.head != NULL
                                       : !atomic_load(&usp_worker_of(index)->sleeping);
}

static void collect_spot(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_graph *graph = arg;
    struct usp_channel *channel = block;
    if (!in_time(graph, graph->n_spots) || channel->magic != USP_CHANNEL_MAGIC || !ROOM(graph, spots))
        return;
    graph->spots[graph->n_spots++] = (struct usp_spot){
        .channel = channel,
        .moves = atomic_load_explicit(&channel->moves, memory_order_acquire),
        .vague = channel->loose || channel->lenient || (channel->held && !channel->maker),
    };
}

static int spot_by_address(const void *key, const void *element)
{
    const struct usp_channel *a = key, *b = ((const struct usp_spot *)element)->channel;
    return a < b ? -1 : a > b;
}

static uint32_t spot_of(const struct usp_graph *graph, const struct usp_channel *channel)
{
    if (graph->n_spots == 0)
        return USP_NONE_OF;
    const struct usp_spot *spot =
        bsearch(channel, graph->spots, graph->n_spots, sizeof *spot, spot_by_address);
    return spot ? (uint32_t)(spot - graph->spots) : USP_NONE_OF;
}

/* Where the program has the loop, something of it may use any end of that worker: while it is awake, for all that is
   known. */
static bool is_foreign(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    if (!atomic_load(&worker->lent))
        return false;
    if (index == usp_worker_index())
        return usp_sched_has_foreign();
    return !atomic_load(&worker->sleeping) || atomic_load(&worker->foreign);
}

static void collect_places(struct usp_graph *graph)
{
    graph->deaths = atomic_load(&usp_shared->deaths);
    graph->n_places = atomic_load(&usp_shared->n_records);
    graph->places = calloc(graph->n_places, sizeof *graph->places);
    graph->failed |= !graph->places;
    for (unsigned i = 0; i < graph->n_places && !graph->failed; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        graph->places[i] = (struct usp_place){
            .runs = atomic_load(&worker->runs), /* before the others are looked at */
            .tasks_made = atomic_load(&worker->tasks_made),
            .state = atomic_load(&worker->state),
            .generation = worker->generation,
            .parent = atomic_load(&worker->parent),
            .foreign = is_foreign(i),
            .awake = is_awake(i),
        };
    }
}

/* ---- processes ---- */

/* The offers of a task of another worker, which may just be changing them. */
static const struct usp_offer *offers_of(const struct usp_task *task, uint32_t *np)
{
    const struct usp_wait *wait = (const struct usp_wait *)task->room;
    const struct usp_offer *table = wait->table;
    *np = wait->n;
    if (*np <= 1)
        return &wait->first;
    if (!usp_arena_is(table, USP_BLOCK_OFFERS) || *np > usp_arena_size(table) / sizeof *table)
        *np = 0;
    return table;
}

static enum usp_node_kind kind_of(struct usp_task *task)
{
    unsigned commit = usp_commit_state(atomic_load_explicit(&task->commit, memory_order_acquire));
    uint8_t state = *(volatile uint8_t *)&task->hope.state;
    if (state & USP_HOPE_UNBORN)
        return USP_NODE_UNBORN;
    if (state & USP_HOPE_JOINS)
        return USP_NODE_JOINS;
    if (state & USP_HOPE_ENDS)
        return USP_NODE_ENDS;
    return commit == USP_OPEN && !(state & USP_HOPE_ARMING) ? USP_NODE_WAITS : USP_NODE_RUNS;
}

/* False: it is about to change. */
static bool collect_wants(struct usp_graph *graph, struct usp_node *node)
{
    uint32_t n;
    const volatile struct usp_offer *offers = offers_of(node->task, &n);
    const struct usp_hope *hope = &node->task->hope;
    node->want = graph->n_wants;
    node->n_events = hope->n_events;
    node->event = hope->event;
    if ((n == 0 && node->n_events == 0) || hope->sources & ~(1u << USP_SOURCE_EVENT))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct usp_want want = {graph->n_nodes, spot_of(graph, offers[i].channel), offers[i].ticket,
                                offers[i].side};
        if (!offers[i].queued || want.channel == USP_NONE_OF || !ROOM(graph, wants))
            return false;
        graph->wants[graph->n_wants++] = want;
    }
    node->n_wants = n;
    return true;
}

static void collect_node(void *block, unsigned owner, void *arg)
{
    struct usp_graph *graph = arg;
    struct usp_task *task = block;
    unsigned worker = task->worker;
    if (!in_time(graph, graph->n_nodes) || !ROOM(graph, nodes))
        return;
    struct usp_node node = {.task = task, .worker = worker, .kind = (uint8_t)kind_of(task)};
    node.epoch = *(volatile uint32_t *)&task->hope.epoch;
    node.serves = *(volatile uint8_t *)&task->hope.state & USP_HOPE_SERVES;
    bool lives = owner == worker && worker < graph->n_places &&
                 graph->places[worker].state == USP_WORKER_RUNNING;
    uint32_t n_wants = graph->n_wants;
    if (!lives || graph->places[worker].foreign ||
        (node.kind == USP_NODE_WAITS && !collect_wants(graph, &node))) {
        graph->n_wants = n_wants;
        node.n_wants = 0;
        node.kind = USP_NODE_RUNS;
    }
    graph->main_ends |= node.kind == USP_NODE_ENDS;
    if (worker < graph->n_places)
        graph->places[worker].n_nodes++;
    graph->nodes[graph->n_nodes++] = node;
}

static int node_by_address(const void *key, const void *element)
{
    const struct usp_task *a = key, *b = ((const struct usp_node *)element)->task;
    return a < b ? -1 : a > b;
}

uint32_t usp_graph_node_of(const struct usp_graph *graph, const struct usp_task *task)
{
    if (!task || graph->n_nodes == 0)
        return USP_NONE_OF;
    const struct usp_node *node =
        bsearch(task, graph->nodes, graph->n_nodes, sizeof *node, node_by_address);
    return node ? (uint32_t)(node - graph->nodes) : USP_NONE_OF;
}

/* ---- ends ---- */

static void add_hold(struct usp_graph *graph, const struct usp_task *task,
                     const struct usp_channel *channel, uint8_t side, bool known)
{
    uint32_t spot = spot_of(graph, channel);
    if (spot == USP_NONE_OF || graph->spots[spot].vague)
        return; /* whoever waits there has hope, or waits for it is not known whom */
    uint32_t node = usp_graph_node_of(graph, task);
    if (node == USP_NONE_OF)
        graph->spots[spot].vague = true; /* on its way, or made for a process that is not yet there */
    else if (ROOM(graph, holds))
        graph->holds[graph->n_holds++] = (struct usp_hold){node, spot, 0, side, known};
}

static void collect_end(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_graph *graph = arg;
    const volatile struct usp_end *end = block;
    if (in_time(graph, graph->n_holds) && end->magic == USP_END_MAGIC)
        add_hold(graph, end->task, end->channel, end->side, end->known);
}

static int hold_by_node(const void *a, const void *b)
{
    uint32_t x = ((const struct usp_hold *)a)->node, y = ((const struct usp_hold *)b)->node;
    return x < y ? -1 : x > y;
}

static void collect_holds(struct usp_graph *graph)
{
    usp_arena_each(USP_BLOCK_END, collect_end, graph);
    for (uint32_t i = 0; i < graph->n_spots && !graph->failed; i++) {
        const volatile struct usp_channel *channel = graph->spots[i].channel;
        if (channel->held && !graph->spots[i].vague)
            add_hold(graph, channel->maker, graph->spots[i].channel, USP_MADE, false);
    }
    if (graph->failed || graph->n_holds == 0)
        return;
    qsort(graph->holds, graph->n_holds, sizeof *graph->holds, hold_by_node);
    for (uint32_t i = 0; i < graph->n_holds; i++) {
        struct usp_node *node = &graph->nodes[graph->holds[i].node];
        if (node->n_holds++ == 0)
            node->hold = i;
        if (!graph->holds[i].known || node->worker >= graph->n_places)
            continue;
        graph->holds[i].next_known = graph->places[node->worker].first_known;
        graph->places[node->worker].first_known = i + 1;
    }
}

/* ---- confirming ---- */

static bool is_same(const struct usp_graph *graph, const struct usp_node *node)
{
    struct usp_task *task = node->task;
    const struct usp_hope *hope = &task->hope;
    uint32_t n;
    if (!usp_arena_is(task, USP_BLOCK_TASK) || task->worker != node->worker ||
        kind_of(task) != (enum usp_node_kind)node->kind ||
        *(const volatile uint32_t *)&hope->epoch != node->epoch)
        return false;
    if (node->kind != USP_NODE_WAITS)
        return true;
    const volatile struct usp_offer *offers = offers_of(task, &n);
    if (n != node->n_wants || hope->n_events != node->n_events ||
        hope->sources & ~(1u << USP_SOURCE_EVENT))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct usp_want *want = &graph->wants[node->want + i];
        const struct usp_spot *spot = &graph->spots[want->channel];
        if (offers[i].channel != spot->channel || offers[i].ticket != want->ticket ||
            offers[i].side != want->side || !offers[i].queued ||
            atomic_load_explicit(&spot->channel->moves, memory_order_acquire) != spot->moves ||
            (spot->channel->loose && !spot->vague))
            return false;
    }
    return usp_commit_state(atomic_load_explicit(&task->commit, memory_order_acquire)) == USP_OPEN;
}

/* Has a signal been sent to the worker that it has not taken yet, or is it about to end? Its parent may have killed it
   and wait for its end. `whole`: it has to be asleep. */
static bool is_disturbed(unsigned index, bool whole)
{
    char path[40], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)usp_worker_of(index)->pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = 0;
    char state;
    unsigned long flags;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
        return true;
    if ((whole && state != 'S') || flags & EXITING)
        return true;
    snprintf(path, sizeof path, "/proc/%d/status", (int)usp_worker_of(index)->pid);
    file = fopen(path, "re");
    bool pending = !file;
    while (file && fgets(text, sizeof text, file))
        if (strncmp(text, "SigPnd:", 7) == 0 || strncmp(text, "ShdPnd:", 7) == 0)
            pending |= strtoull(text + 7, NULL, 16) != 0;
    if (file)
        fclose(file);
    return pending;
}

static bool place_is_same(const struct usp_graph *graph, unsigned index, bool whole)
{
    const struct usp_place *place = &graph->places[index];
    struct usp_worker *worker = usp_worker_of(index);
    if (atomic_load(&worker->state) != place->state || worker->generation != place->generation)
        return false;
    if (atomic_load(&worker->lent) && (is_foreign(index) || atomic_load(&worker->runs) != place->runs))
        return false;
    if (whole && atomic_load(&worker->tasks_made) != place->tasks_made)
        return false;
    return place->state != USP_WORKER_RUNNING || index == usp_worker_index() ||
           (!usp_supervise_has_ended(index) && !is_disturbed(index, whole));
}

/* Where everybody counts, everybody has to be the same. */
static bool confirm(struct usp_graph *graph)
{
    bool whole = usp_graph_is_dead(graph);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct usp_node *node = &graph->nodes[i];
        if (node->hope)
            continue;
        if (!is_same(graph, node))
            return false;
        graph->places[node->worker].left = USP_NONE_OF; /* to be looked at */
    }
    for (unsigned i = 0; i < graph->n_places; i++)
        if ((whole || graph->places[i].left == USP_NONE_OF) && !place_is_same(graph, i, whole))
            return false;
    return atomic_load(&usp_shared->deaths) == graph->deaths &&
           (!whole || atomic_load(&usp_shared->n_records) == graph->n_places);
}

/* ---- all of it ---- */

static void look_for_limbo(struct usp_graph *graph)
{
    for (unsigned i = 0; i < graph->n_places; i++) {
        const struct usp_place *place = &graph->places[i];
        graph->limbo |= place->state == USP_WORKER_RUNNING ? place->n_nodes == 0 || place->awake
                                                           : place->state != USP_WORKER_FREE;
    }
}

bool usp_graph_take(struct usp_graph *graph, uint64_t deadline)
{
    *graph = (struct usp_graph){.deadline = deadline};
    usp_arena_each(USP_BLOCK_CHANNEL, collect_spot, graph);
    collect_places(graph);
    if (!graph->failed)
        usp_arena_each(USP_BLOCK_TASK, collect_node, graph);
    if (!graph->failed)
        look_for_limbo(graph);
    uint32_t n = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        n += graph->nodes[i].kind != USP_NODE_RUNS;
    if (graph->failed || n == 0) {
        graph->n_hope = graph->n_nodes;
        return false;
    }
    collect_holds(graph);
    if (!graph->failed)
        usp_graph_spread(graph);
    if (graph->failed || graph->n_hope == graph->n_nodes)
        return false;
    graph->failed = !confirm(graph);
    return !graph->failed;
}

void usp_graph_free(struct usp_graph *graph)
{
    free(graph->nodes);
    free(graph->wants);
    free(graph->holds);
    free(graph->spots);
    free(graph->groups);
    free(graph->places);
    free(graph->by_spot);
    free(graph->queue);
}
