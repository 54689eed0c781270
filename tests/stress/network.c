/* Random networks, compared with a ledger.

   A round makes a few channels (both carriers, capacities 0 to 3, short, long and variable
   messages) and a few processes in a few workers, and lets them communicate in every form that
   there is: READ and WRITE, checked, with a timeout, or only tried, and choices that offer both
   sides of the same channels. Each message has a number. Who has sent it, and who has received it,
   writes that down in shared memory, and at the end of the round the two sides have to agree
   (ledger.h).

       flow     writers only write, readers choose among all that they read: it has to come to its
   end, and every message arrives once meet     everybody reads and writes everything by choice; it
   has to come to its end as well chaos    anything, with timeouts; what is sent arrives once, or
   lies in a buffer at the end crash    meet, and one of the workers is killed: nothing arrives
   twice, and all come to their end poison   meet, and one of the processes poisons a channel:
   likewise

   A round that does not come to its end has lost a wake-up. The command line is that of stress.h.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/stress/traffic.h"

enum mode { FLOW, MEET, CHAOS, CRASH, POISONED, MODES };
static const char *const modes[] = {"flow", "meet", "chaos", "crash", "poison", NULL};

static struct plan {
    struct traffic traffic;
    enum mode mode;
    unsigned n_workers;
    unsigned worker_of[MAX_PROCESSES];
    unsigned poisoner, poisoned_after, killed_after;
} plan;

/* ---- processes ---- */

static void flow(struct node *node)
{
    while (node->n_sent < node->plan->quota) {
        struct port *port = node_writer(node);
        if (!port)
            break;
        if (node_below(node, 2))
            node_choose(node, false, true, node_below(node, 4) == 0);
        else if (port->type == SHORT && node_below(node, 2))
            node_give(node, port);
        else
            node_operate(node, port, true, node_below(node, 4) != 0);
        node_dawdle(node);
    }
    node_retire_writers(node);
    if (node->n_ports == 1 && node->ports[0].type == SHORT && node->ports[0].in)
        for (;;)
            node_take(node, &node->ports[0]);
    while (node_choose(node, true, false, node_below(node, 8) == 0))
        node_dawdle(node);
}

static bool poison(struct node *node)
{
    if (node->me != plan.poisoner || node->n_sent < plan.poisoned_after)
        return true;
    struct port *port = &node->ports[node_below(node, node->n_ports)];
    uvcsp_poison(port->in ? port->in : port->out);
    return false;
}

static void chaos(struct node *node)
{
    for (unsigned i = 0; i < 2 * node->plan->quota && node->n_sent < node->plan->quota; i++) {
        struct port *port = &node->ports[node_below(node, node->n_ports)];
        switch (node_below(node, 5)) {
        case 0:
            node_choose(node, true, true, true);
            break;
        case 1:
            node_choose(node, true, false, true);
            break;
        case 2:
            node_choose(node, false, true, true);
            break;
        case 3:
            if (port->out)
                node_operate(node, port, true, false);
            break;
        default:
            if (port->in)
                node_operate(node, port, false, false);
        }
        node_dawdle(node);
    }
    node_retire_writers(node);
    /* what is in the buffers may stay there */
    for (unsigned i = 0; i < 20; i++)
        node_choose(node, true, false, true);
}

static void body(struct node *node)
{
    if (plan.mode == FLOW)
        flow(node);
    else if (plan.mode == CHAOS)
        chaos(node);
    else
        node_meet(node, plan.mode == POISONED ? poison : NULL);
}

/* Kills one of the workers once enough has been sent. */
PROCESS(killer, VAL(unsigned, victim))
{
    for (int i = 0; i < 2000 && atomic_load(&ledger->n_sent) < plan.killed_after; i++)
        uvcsp_sleep(0.0005);
    int pid = atomic_load(&ledger->of[victim].pid);
    if (pid > 0)
        kill(pid, SIGKILL);
}

/* ---- a round ---- */

static void draw_ends(struct traffic *traffic, unsigned c, unsigned long long *r)
{
    unsigned reader = stress_below(r, traffic->n_processes);
    for (unsigned p = 0; p < traffic->n_processes; p++) {
        bool some = stress_below(r, 4) != 0, first = p < traffic->n_processes / 2;
        bool reads = true, writes = true;
        if (plan.mode == FLOW) { /* the first half writes, the rest reads */
            writes = (some || p == 0) && first;
            reads = (some || p == traffic->n_processes - 1) && !first;
        } else if (plan.mode == CHAOS) {
            reads = stress_below(r, 2) || p == reader;
            writes = stress_below(r, 2);
        }
        traffic->reads[p][c] = reads;
        traffic->writes[p][c] = writes;
    }
}

static void draw(unsigned long long seed, int mode, bool light)
{
    unsigned long long r = stress_seeded(seed);
    memset(&plan, 0, sizeof plan);
    do
        plan.mode = mode >= 0 ? (enum mode)mode : (enum mode)stress_below(&r, MODES);
    while (mode < 0 && light && plan.mode == CRASH);
    struct traffic *traffic = &plan.traffic;
    traffic->seed = seed;
    traffic->body = body;
    traffic->most_bytes = 70000;
    traffic->n_channels = 1 + stress_below(&r, 5);
    traffic->n_processes = 2 + stress_below(&r, 7);
    traffic->quota = 1 + stress_below(&r, MAX_MESSAGES - 1);
    plan.n_workers = 1 + stress_below(&r, 4);
    plan.poisoner = stress_below(&r, traffic->n_processes);
    plan.poisoned_after = stress_below(&r, traffic->quota);
    plan.killed_after = stress_below(&r, traffic->quota);
    for (unsigned p = 0; p < traffic->n_processes; p++)
        plan.worker_of[p] = stress_below(&r, plan.n_workers);
    for (unsigned c = 0; c < traffic->n_channels; c++) {
        traffic->types[c] = (enum message_type)stress_below(&r, MESSAGE_TYPES);
        traffic->capacities[c] = stress_below(&r, 2) ? 0 : (int)stress_below(&r, 4);
        draw_ends(traffic, c, &r);
    }
}

static bool run_round(unsigned long long seed, int mode, bool light)
{
    draw(seed, mode, light);
    ledger_clear();
    const struct traffic *traffic = &plan.traffic;
    if (getenv("STRESS_VERBOSE"))
        fprintf(stderr, "seed %llu: %s, %u channels, %u processes, %u workers, %u messages\n", seed,
                modes[plan.mode], traffic->n_channels, traffic->n_processes, plan.n_workers,
                traffic->quota);
    void *channels[MAX_CHANNELS];
    traffic_channels(traffic, channels);
    uvcsp_process workers[5];
    size_t n_workers = 0;
    for (unsigned w = 0; w < plan.n_workers; w++) {
        uvcsp_process members[MAX_PROCESSES];
        size_t n = 0;
        for (unsigned p = 0; p < traffic->n_processes; p++)
            if (plan.worker_of[p] == w)
                members[n++] = traffic_member(traffic, p, channels);
        if (n > 0)
            workers[n_workers++] = uvcsp_worker(members, n);
    }
    if (plan.mode == CRASH)
        workers[n_workers++] = killer((unsigned)(seed % traffic->n_processes));
    int failed = uvcsp_par(workers, n_workers);
    for (unsigned c = 0; c < traffic->n_channels; c++)
        uvcsp_channel_free(channels[c]);
    struct ledger_rules rules = {
        .n_processes = traffic->n_processes,
        .n_channels = traffic->n_channels,
        .capacities = traffic->capacities,
        .leftovers = plan.mode != FLOW && plan.mode != MEET,
        .killed = plan.mode == CRASH,
    };
    bool good = ledger_balances(&rules, NULL) && failed >= 0 && failed <= (plan.mode == CRASH);
    if (!good)
        fprintf(stderr, "%s: %d workers failed\n", modes[plan.mode], failed);
    return good;
}

int main(int argc, char **argv)
{
    return stress_main(
        &(struct stress){.large = 60, .limit = 30, .modes = modes, .round = run_round}, argc, argv);
}
