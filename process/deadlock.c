/* Deadlocks: when to look for them, and what is done then. What they are, and how they are found, is in graph.h.

   Any worker may look. It does so a moment after it has fallen asleep, by a timer: at once if all the others sleep as
   well, for then it may be the end of the whole program; else now and then, and never for more than a small part of
   the time. Where nothing has run since the last time nobody looks again. Of all workers one looks at a time.

   A deadlock of the whole program is told, and ended: all who wait for it are marked, and the channels that the
   others wait for are poisoned. A partial one is told, once for each process. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channels/lock.h"
#include "process/graph.h"
#include "process/process.h"
#include "runtime/report.h"
#include "runtime/young.h"

#define SOON_MS 100         /* after a worker has fallen asleep */
#define LATER_MS 1000       /* while others are awake */
#define MANY_WORKERS 64
#define SHARE 200           /* looking takes at most one part in so many of the time */
#define BUSY_NS 2000000     /* and at most so long where the worker has something else to do */
#define PATIENCE_MS 2000    /* with a root that does not end when it is told to */

static enum { REPORT, ABORT, OFF } mode;
static uv_timer_t timer;
static enum { IDLE, SOON, LATER } armed USP_YOUNG; /* the timer does not run; will go off soon; some time later */
static bool begun USP_YOUNG;        /* it is a handle of this worker's loop */
static uint32_t seen_runs USP_YOUNG; /* of this worker, when it last looked */

/* ---- what is done ---- */

static void on_late(uv_timer_t *handle)
{
    (void)handle;
    if (atomic_load(&usp_shared->over) != USP_ENDS)
        kill(usp_shared->root, SIGKILL);
}

/* A worker ends with the root, and what its processes have deferred runs then. */
static void wait_for_root(void)
{
    mode = OFF;
    uv_timer_start(&timer, on_late, PATIENCE_MS, 0);
}

static void on_over(void)
{
    atomic_store(&usp_shared->over, USP_ENDS);
    exit(1);
}

static void end_program(void)
{
    if (usp_worker_is_root())
        on_over();
    atomic_store(&usp_shared->over, USP_TO_END);
    usp_worker_ring(0);
    wait_for_root();
}

static void abort_program(void)
{
    if (usp_worker_is_root())
        abort();
    kill(usp_shared->root, SIGABRT);
    wait_for_root();
}

/* Light processes that wait for ever do not keep a program from ending. */
static bool only_light_are_left(const struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].worker != 0)
            return false;
    return graph->main_ends;
}

/* A lock, a queue and the like stay as they are: only those who wait for them are told. */
static bool is_poisoned(const struct usp_channel *channel)
{
    return !channel->lenient && (channel->maker || !channel->held);
}

struct claims {
    struct usp_task **tasks;
    uint32_t n;
};

static void claim_at(struct claims *claims, uint32_t most, struct usp_channel *channel, enum usp_side side)
{
    struct usp_offer *offer;
    usp_lock(channel);
    while (claims->n < most && (offer = usp_take(channel, side))) {
        struct usp_task *task = claims->tasks[claims->n++] = offer->task;
        task->outcome = channel->lenient ? UVCSP_RETIRED : UVCSP_POISONED;
        task->hope.told |= USP_TOLD_ENDED | USP_TOLD_WOKEN;
    }
    usp_unlock(channel);
}

/* Does this wait go? Those who serve others go only if nobody else does. */
static bool goes(const struct usp_graph *graph, const struct usp_want *want, bool servants)
{
    return servants || !graph->nodes[want->node].serves;
}

/* Is there one who has not been ended so before? The others would only wait again. */
static bool is_fresh(const struct usp_graph *graph, bool servants)
{
    for (uint32_t i = 0; i < graph->n_wants; i++)
        if (goes(graph, &graph->wants[i], servants) &&
            !(graph->nodes[graph->wants[i].node].task->hope.told & USP_TOLD_ENDED))
            return true;
    return false;
}

static bool some_go(const struct usp_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_wants; i++)
        if (goes(graph, &graph->wants[i], false))
            return true;
    return false;
}

static void claim_all(struct claims *claims, const struct usp_graph *graph, bool servants)
{
    for (uint32_t i = 0; i < graph->n_wants; i++) {
        const struct usp_want *want = &graph->wants[i];
        if (goes(graph, want, servants))
            claim_at(claims, graph->n_wants, graph->spots[want->channel].channel, (enum usp_side)want->side);
    }
}

/* First all are claimed, then the channels are poisoned, and only then does anybody run: until then no channel goes. */
static void end_deadlock(const struct usp_graph *graph)
{
    struct claims claims = {.tasks = malloc((graph->n_wants + 1) * sizeof *claims.tasks)};
    bool servants = !some_go(graph);
    if (!claims.tasks || !is_fresh(graph, servants)) {
        free(claims.tasks);
        end_program();
        return;
    }
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].kind == USP_NODE_JOINS)
            graph->nodes[i].task->hope.told |= USP_TOLD_DEADLOCK;
    claim_all(&claims, graph, servants);
    for (uint32_t i = 0; i < graph->n_wants; i++) {
        struct usp_channel *channel = graph->spots[graph->wants[i].channel].channel;
        if (goes(graph, &graph->wants[i], servants) && is_poisoned(channel))
            usp_channel_poison(channel, USP_DEADLOCK);
    }
    for (uint32_t i = 0; i < claims.n; i++)
        usp_wake_any(claims.tasks[i]);
    free(claims.tasks);
}

/* Takes a picture; false if it could not be had. Where nobody has hope but a worker that is just being born, buried or
   awake, it is too early to say whether some are lost or all. */
static bool look(uint64_t deadline)
{
    struct usp_graph graph;
    if (atomic_load(&usp_shared->over) != USP_GOES_ON)
        return true;
    bool taken = usp_graph_take(&graph, deadline);
    if (taken && (graph.n_hope > 0 || !graph.limbo)) {
        bool dead = usp_graph_is_dead(&graph), over = dead && only_light_are_left(&graph);
        bool told = !over && usp_graph_tell(&graph);
        if (told && mode == ABORT)
            abort_program();
        else if (dead && !over)
            end_deadlock(&graph);
    }
    bool looked = !graph.failed && !graph.limbo;
    usp_graph_free(&graph);
    return looked;
}

/* ---- one at a time ---- */

static uint64_t identity(void)
{
    unsigned self = usp_worker_index();
    return ((uint64_t)usp_worker_of(self)->generation << 32 | self) + 1;
}

static bool become_watcher(void)
{
    uint64_t other = atomic_load(&usp_shared->watcher);
    if (other != 0) {
        unsigned index = (unsigned)((other - 1) & UINT32_MAX);
        if (usp_worker_of(index)->generation == (uint32_t)((other - 1) >> 32) &&
            !usp_supervise_has_ended(index))
            return false;
    }
    return atomic_compare_exchange_strong(&usp_shared->watcher, &other, identity());
}

/* ---- when ---- */

struct calm {
    uint64_t state;  /* changes when anything has run */
    bool all_asleep; /* and nothing is on its way to them */
    bool lent;       /* the program has a loop, and may do something there that wakes nobody */
};

static struct calm look_around(void)
{
    struct calm calm = {.all_asleep = usp_sched.head == NULL};
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        uint32_t state = atomic_load(&worker->state);
        calm.state = calm.state * 31 + atomic_load(&worker->runs) + state + worker->generation +
                     atomic_load(&worker->foreign);
        calm.lent |= atomic_load(&worker->lent) != 0;
        if (state != USP_WORKER_FREE && i != usp_worker_index())
            calm.all_asleep &= state == USP_WORKER_RUNNING && atomic_load(&worker->sleeping) &&
                               !atomic_load(&worker->mailbox);
    }
    return calm;
}

static void on_timer(uv_timer_t *handle);

/* Where there are many workers, each looks less often: that of the last one to fall asleep is enough to see the end of all, and
   one in sixty to see that of some. */
static void arm(int when)
{
    uv_loop_t *loop = usp_loop(); /* first: where it is made, on_loop() is called */
    if (!begun) {
        begun = uv_timer_init(loop, &timer) == 0;
        uv_unref((uv_handle_t *)&timer);
    }
    unsigned more = atomic_load(&usp_shared->n_running) / MANY_WORKERS, soon = SOON_MS * (1 + more);
    unsigned ms = when == LATER ? LATER_MS * (1 + more) : soon < LATER_MS ? soon : LATER_MS;
    armed = when;
    if (!begun || uv_timer_start(&timer, on_timer, ms, 0))
        armed = IDLE;
}

/* True: it has been looked at, and nothing has to be looked at again before something has run. */
static bool watch(struct calm calm)
{
    uint64_t now = uv_hrtime(), last = atomic_load(&usp_shared->watched);
    uint64_t cost = atomic_load(&usp_shared->watch_cost);
    if (calm.all_asleep && last != 0 && calm.state == atomic_load(&usp_shared->watch_state))
        return true;
    if (now - last < cost * SHARE || (!calm.all_asleep && now - last < LATER_MS * 1000000ull))
        return false;
    if (!become_watcher())
        return false;
    bool looked = look(usp_sched.head ? now + BUSY_NS : 0);
    uint64_t end = uv_hrtime();
    atomic_store(&usp_shared->watched, end);
    atomic_store(&usp_shared->watch_cost, end - now);
    atomic_store(&usp_shared->watch_state, looked && calm.all_asleep ? calm.state : ~calm.state);
    atomic_store(&usp_shared->watcher, 0);
    return looked && calm.all_asleep;
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
    armed = IDLE;
    struct calm calm = look_around();
    seen_runs = atomic_load(&usp_worker_of(usp_worker_index())->runs);
    bool looked = watch(calm);
    if (mode == OFF) /* the program is about to end */
        return;
    if (!looked)
        arm(calm.all_asleep ? SOON : LATER);
    else if (calm.lent)
        arm(LATER);
}

static void on_rest(void)
{
    if (armed != SOON && mode != OFF &&
        atomic_load(&usp_worker_of(usp_worker_index())->runs) != seen_runs)
        arm(SOON);
}

void usp_deadlock(void)
{
    if (mode != OFF)
        look(0);
}

/* A root that never rests looks as well. */
static void on_loop(void)
{
    if (mode != OFF && usp_worker_is_root())
        arm(LATER);
}

static void read_environment(void)
{
    const char *text = getenv("UVCSP_DEADLOCK");
    mode = !text || !*text || strcmp(text, "report") == 0 ? REPORT
           : strcmp(text, "abort") == 0                  ? ABORT
           : strcmp(text, "off") == 0                    ? OFF : REPORT;
    if (text && mode == REPORT && *text && strcmp(text, "report") != 0)
        usp_report("UVCSP_DEADLOCK=%s is none of report, abort and off; it is report", text);
}

void usp_deadlock_begin(void)
{
    begun = false;
    if (usp_worker_is_root()) { /* the others inherit it */
        usp_worker_hooks.rests = on_rest;
        usp_worker_hooks.opened = on_loop;
        usp_worker_hooks.over = on_over;
        read_environment();
    }
    seen_runs = UINT32_MAX;
    armed = IDLE; /* there is no loop yet; there is a timer from the first rest on */
}
