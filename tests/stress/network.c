/* Random networks, compared with a ledger.

   A round makes a few channels (both carriers, capacities 0 to 3, short, long and variable messages) and a few
   processes in a few workers, and lets them communicate in every form that there is: READ and WRITE, checked, with
   a timeout, or only tried, and choices that offer both sides of the same channels. Each message has a number.
   Who has sent it, and who has received it, writes that down in shared memory, and at the end of the round the
   two sides have to agree.

       flow     writers only write, readers choose among all that they read: it has to come to its end, and every
                message arrives once
       meet     everybody reads and writes everything by choice; it has to come to its end as well
       chaos    anything, with timeouts; what is sent arrives once, or lies in a buffer at the end
       crash    meet, and one of the workers is killed: nothing arrives twice, and all come to their end
       poison   meet, and one of the processes poisons a channel: likewise

   A round that does not come to its end within LIMIT seconds has lost a wake-up.

   network [seconds [seed [mode]]]     UVCSP_PAR=light: all in one worker */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <uvcsp.h>

#define MAX_CHANNELS 5
#define MAX_PROCESSES 8
#define MAX_MESSAGES 400 /* of one process */
#define LIMIT 30

enum mode { FLOW, MEET, CHAOS, CRASH, POISONED, MODES };
static const char *const mode_names[] = {"flow", "meet", "chaos", "crash", "poison"};
enum type { SHORT, LONG, BYTES, TYPES };

struct short_message {
    unsigned number, check;
};
struct long_message {
    unsigned number, check;
    char filler[30000];
};

struct ledger {
    _Atomic unsigned sent[MAX_PROCESSES][MAX_MESSAGES];
    _Atomic unsigned received[MAX_PROCESSES][MAX_MESSAGES];
    _Atomic unsigned channel[MAX_PROCESSES][MAX_MESSAGES];
    _Atomic unsigned broken; /* messages whose contents were wrong */
    _Atomic int pids[MAX_PROCESSES];
    _Atomic unsigned n_sent;
};
static struct ledger *ledger;

struct plan {
    enum mode mode;
    unsigned n_channels, n_processes, n_workers;
    enum type types[MAX_CHANNELS];
    int capacities[MAX_CHANNELS];
    unsigned worker_of[MAX_PROCESSES];
    bool reads[MAX_PROCESSES][MAX_CHANNELS], writes[MAX_PROCESSES][MAX_CHANNELS];
    unsigned quota;
    unsigned poisoner, poisoned_after, killed_after;
    unsigned long long seed;
};

static unsigned random_below(unsigned long long *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

/* ---- messages ---- */

union value {
    struct short_message s;
    struct long_message *l;
    uvcsp_bytes b;
};

struct port {
    enum type type;
    unsigned channel;
    void *in, *out; /* NULL when it has none, or when that has ended */
    struct long_message *long_in, *long_out;
    struct short_message short_in, short_out;
    uvcsp_bytes bytes_in, bytes_out;
    char *store;
};

#define STORE 70000

static unsigned check_of(unsigned number)
{
    return number * 2654435761u ^ 0x5bd1e995u;
}

static void *in_place(struct port *port)
{
    return port->type == SHORT  ? (void *)&port->short_in
           : port->type == LONG ? (void *)port->long_in
                                : (void *)&port->bytes_in;
}

static void *out_place(struct port *port)
{
    return port->type == SHORT  ? (void *)&port->short_out
           : port->type == LONG ? (void *)port->long_out
                                : (void *)&port->bytes_out;
}

static void compose(struct port *port, unsigned number, unsigned long long *random)
{
    struct short_message head = {number, check_of(number)};
    switch (port->type) {
    case SHORT:
        port->short_out = head;
        break;
    case LONG:
        memcpy(port->long_out, &head, sizeof head);
        memset(port->long_out->filler, (char)number, sizeof port->long_out->filler);
        break;
    default: {
        static const size_t sizes[] = {8, 9, 32, 33, 100, 4096, 4097, 20000, STORE};
        size_t size = sizes[random_below(random, sizeof sizes / sizeof sizes[0])];
        memset(port->store, (char)number, size);
        memcpy(port->store, &head, sizeof head);
        port->bytes_out = (uvcsp_bytes){port->store, size};
    }
    }
}

static void note_received(struct port *port)
{
    struct short_message head;
    bool good = true;
    switch (port->type) {
    case SHORT:
        head = port->short_in;
        break;
    case LONG:
        memcpy(&head, port->long_in, sizeof head);
        for (size_t i = 0; i < sizeof port->long_in->filler; i++)
            good = good && port->long_in->filler[i] == (char)head.number;
        break;
    default:
        if (port->bytes_in.size < sizeof head) {
            atomic_fetch_add(&ledger->broken, 1);
            free(port->bytes_in.data);
            return;
        }
        memcpy(&head, port->bytes_in.data, sizeof head);
        for (size_t i = sizeof head; i < port->bytes_in.size; i++)
            good = good && ((char *)port->bytes_in.data)[i] == (char)head.number;
        free(port->bytes_in.data);
    }
    unsigned who = head.number / MAX_MESSAGES, n = head.number % MAX_MESSAGES;
    if (!good || head.check != check_of(head.number) || who >= MAX_PROCESSES) {
        atomic_fetch_add(&ledger->broken, 1);
        return;
    }
    atomic_fetch_add(&ledger->received[who][n], 1);
}

/* ---- processes ---- */

struct node {
    const struct plan *plan;
    unsigned me, n_ports, n_sent;
    struct port ports[MAX_CHANNELS];
    unsigned long long random;
};

static void note_sent(struct node *node, const struct port *port)
{
    atomic_store(&ledger->channel[node->me][node->n_sent], port->channel);
    atomic_fetch_add(&ledger->sent[node->me][node->n_sent], 1);
    atomic_fetch_add(&ledger->n_sent, 1);
    node->n_sent++;
}

static unsigned below(struct node *node, unsigned n)
{
    return random_below(&node->random, n);
}

static void outcome_of_read(struct node *node, struct port *port, int rc)
{
    (void)node;
    if (rc == UVCSP_OK)
        note_received(port);
    else if (rc == UVCSP_RETIRED || rc == UVCSP_POISONED)
        port->in = NULL;
}

static void outcome_of_write(struct node *node, struct port *port, int rc)
{
    if (rc == UVCSP_OK)
        note_sent(node, port);
    else if (rc == UVCSP_RETIRED || rc == UVCSP_POISONED)
        port->out = NULL;
}

static double moment(struct node *node)
{
    return below(node, 3) == 0 ? 0 : below(node, 4000) * 1e-6;
}

/* A choice among all that is open, `reads` and `writes`. False when nothing was. */
static bool choose(struct node *node, bool reads, bool writes, bool impatient)
{
    uvcsp_guard guards[2 * MAX_CHANNELS + 1] = {0};
    struct port *ports[2 * MAX_CHANNELS];
    size_t n = 0;
    unsigned number = node->me * MAX_MESSAGES + node->n_sent;
    unsigned turn = node->n_ports ? below(node, node->n_ports) : 0;
    for (unsigned i = 0; i < node->n_ports; i++) {
        struct port *port = &node->ports[(i + turn) % node->n_ports];
        if (writes && port->out) {
            compose(port, number, &node->random);
            ports[n] = port;
            guards[n++] = (uvcsp_guard){.kind = UVCSP_GUARD_WRITE, .on = true, .subject = port->out,
                                        .data = out_place(port)};
        }
        if (reads && port->in) {
            ports[n] = port;
            guards[n++] = (uvcsp_guard){.kind = UVCSP_GUARD_READ, .on = true, .subject = port->in,
                                        .data = in_place(port)};
        }
    }
    if (n == 0)
        return false;
    size_t n_guards = n;
    if (impatient)
        guards[n_guards++] = below(node, 4) == 0
                                 ? (uvcsp_guard)ON_SKIP
                                 : (uvcsp_guard)ON_TIMEOUT(moment(node));
    int taken = uvcsp_alt(guards, n_guards, below(node, 3) ? UVCSP_FAIR : UVCSP_PRI);
    int rc = UVCSP_OK;
    if (taken == -UVCSP_RETIRED || taken == -UVCSP_POISONED) {
        rc = -taken;
        taken = uvcsp_alt_failed();
    }
    if (taken < 0) {
        fprintf(stderr, "uvcsp_alt: %d\n", taken);
        abort();
    }
    if ((size_t)taken >= n)
        return true;
    if (guards[taken].kind == UVCSP_GUARD_READ)
        outcome_of_read(node, ports[taken], rc);
    else
        outcome_of_write(node, ports[taken], rc);
    return true;
}

/* A plain operation on one port. */
static void operate(struct node *node, struct port *port, bool write, bool patient)
{
    double seconds = patient ? -1 : moment(node);
    if (write) {
        compose(port, node->me * MAX_MESSAGES + node->n_sent, &node->random);
        int rc = !patient && below(node, 3) == 0
                     ? uvcsp_end_write_try(port->out, out_place(port), "network")
                     : uvcsp_end_write(port->out, out_place(port), seconds, "network");
        outcome_of_write(node, port, rc);
    } else {
        int rc = !patient && below(node, 3) == 0
                     ? uvcsp_end_read_try(port->in, in_place(port), "network")
                     : uvcsp_end_read(port->in, in_place(port), seconds, "network");
        outcome_of_read(node, port, rc);
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

static void dawdle(struct node *node)
{
    switch (below(node, 40)) {
    case 0:
        uvcsp_sleep(below(node, 300) * 1e-6);
        break;
    case 1:
        uvcsp_yield();
        break;
    case 2:
        uvcsp_blocking(nothing, NULL);
        break;
    }
}

static void retire_writers(struct node *node)
{
    for (unsigned i = 0; i < node->n_ports; i++)
        if (node->ports[i].out) {
            uvcsp_retire(node->ports[i].out);
            node->ports[i].out = NULL;
        }
}

static struct port *some_writer(struct node *node)
{
    struct port *open[MAX_CHANNELS];
    unsigned n = 0;
    for (unsigned i = 0; i < node->n_ports; i++)
        if (node->ports[i].out)
            open[n++] = &node->ports[i];
    return n ? open[below(node, n)] : NULL;
}

static void flow(struct node *node)
{
    while (node->n_sent < node->plan->quota) {
        struct port *port = some_writer(node);
        if (!port)
            break;
        if (below(node, 2))
            choose(node, false, true, below(node, 4) == 0);
        else if (port->type == SHORT && below(node, 2)) {
            compose(port, node->me * MAX_MESSAGES + node->n_sent, &node->random);
            uvcsp_give(port->out, &port->short_out, "network");
            note_sent(node, port);
        } else
            operate(node, port, true, below(node, 4) != 0);
        dawdle(node);
    }
    retire_writers(node);
    if (node->n_ports == 1 && node->ports[0].type == SHORT && node->ports[0].in)
        for (;;) {
            uvcsp_take(node->ports[0].in, &node->ports[0].short_in, "network");
            note_received(&node->ports[0]);
        }
    while (choose(node, true, false, below(node, 8) == 0))
        dawdle(node);
}

static void meet(struct node *node)
{
    while (node->n_sent < node->plan->quota) {
        if (node->plan->mode == POISONED && node->me == node->plan->poisoner &&
            node->n_sent >= node->plan->poisoned_after && node->n_ports > 0) {
            struct port *port = &node->ports[below(node, node->n_ports)];
            uvcsp_poison(port->in ? port->in : port->out ? port->out : NULL);
            break;
        }
        if (!some_writer(node) || !choose(node, true, true, below(node, 8) == 0))
            break;
        dawdle(node);
    }
    retire_writers(node);
    while (choose(node, true, false, below(node, 8) == 0))
        dawdle(node);
}

static void chaos(struct node *node)
{
    for (unsigned i = 0; i < 2 * node->plan->quota && node->n_sent < node->plan->quota; i++) {
        struct port *port = &node->ports[below(node, node->n_ports)];
        switch (below(node, 5)) {
        case 0:
            choose(node, true, true, true);
            break;
        case 1:
            choose(node, true, false, true);
            break;
        case 2:
            choose(node, false, true, true);
            break;
        case 3:
            if (port->out)
                operate(node, port, true, false);
            break;
        default:
            if (port->in)
                operate(node, port, false, false);
        }
        dawdle(node);
    }
    retire_writers(node);
    /* what is in the buffers may stay there */
    for (unsigned i = 0; i < 20; i++)
        choose(node, true, false, true);
}

#define PORTS(T, the_type, ins, n_ins, outs, n_outs)                                               \
    for (size_t i = 0; i < (n_ins); i++)                                                           \
        take_port(&node, the_type, true, ins[i]);                                                  \
    for (size_t i = 0; i < (n_outs); i++)                                                          \
        take_port(&node, the_type, false, outs[i]);

/* The ends of a type come in the order of the channels. */
static void take_port(struct node *node, enum type type, bool in, void *end)
{
    const struct plan *plan = node->plan;
    for (unsigned c = 0; c < plan->n_channels; c++) {
        if (plan->types[c] != type ||
            !(in ? plan->reads[node->me][c] : plan->writes[node->me][c]))
            continue;
        struct port *port = NULL;
        for (unsigned i = 0; i < node->n_ports; i++)
            if (node->ports[i].channel == c)
                port = &node->ports[i];
        if (port && (in ? port->in : port->out))
            continue;
        if (!port) {
            port = &node->ports[node->n_ports++];
            *port = (struct port){.type = type, .channel = c};
            if (type == LONG) {
                port->long_in = malloc(sizeof *port->long_in);
                port->long_out = malloc(sizeof *port->long_out);
            }
            if (type == BYTES)
                port->store = malloc(STORE);
        }
        *(in ? &port->in : &port->out) = end;
        return;
    }
    abort();
}

PROCESS(member, VAL(const struct plan *, plan), VAL(unsigned, me),
        INS(struct short_message, si, n_si), OUTS(struct short_message, so, n_so),
        INS(struct long_message, li, n_li), OUTS(struct long_message, lo, n_lo),
        INS(uvcsp_bytes, bi, n_bi), OUTS(uvcsp_bytes, bo, n_bo))
{
    struct node node = {.plan = plan, .me = me, .random = plan->seed * 31 + me};
    atomic_store(&ledger->pids[me], (int)getpid());
    PORTS(struct short_message, SHORT, si, n_si, so, n_so)
    PORTS(struct long_message, LONG, li, n_li, lo, n_lo)
    PORTS(uvcsp_bytes, BYTES, bi, n_bi, bo, n_bo)
    if (node.n_ports == 0)
        return;
    if (plan->mode == FLOW)
        flow(&node);
    else if (plan->mode == CHAOS)
        chaos(&node);
    else
        meet(&node);
    for (unsigned i = 0; i < node.n_ports; i++) {
        free(node.ports[i].long_in);
        free(node.ports[i].long_out);
        free(node.ports[i].store);
    }
}

/* Kills one of the workers once enough has been sent. */
PROCESS(killer, VAL(const struct plan *, plan), VAL(unsigned, victim))
{
    for (int i = 0; i < 2000 && atomic_load(&ledger->n_sent) < plan->killed_after; i++)
        uvcsp_sleep(0.0005);
    int pid = atomic_load(&ledger->pids[victim]);
    if (pid > 0)
        kill(pid, SIGKILL);
}

/* ---- a round ---- */

static void draw(struct plan *plan, unsigned long long seed, int mode, bool light)
{
    unsigned long long r = seed * 0x9e3779b97f4a7c15ull + 1;
    memset(plan, 0, sizeof *plan);
    plan->seed = seed;
    do
        plan->mode = mode >= 0 ? (enum mode)mode : (enum mode)random_below(&r, MODES);
    while (mode < 0 && light && plan->mode == CRASH);
    plan->n_channels = 1 + random_below(&r, MAX_CHANNELS);
    plan->n_processes = 2 + random_below(&r, MAX_PROCESSES - 1);
    plan->n_workers = 1 + random_below(&r, 4);
    plan->quota = 1 + random_below(&r, MAX_MESSAGES - 1);
    plan->poisoner = random_below(&r, plan->n_processes);
    plan->poisoned_after = random_below(&r, plan->quota);
    plan->killed_after = random_below(&r, plan->quota);
    for (unsigned p = 0; p < plan->n_processes; p++)
        plan->worker_of[p] = random_below(&r, plan->n_workers);
    for (unsigned c = 0; c < plan->n_channels; c++) {
        plan->types[c] = (enum type)random_below(&r, TYPES);
        plan->capacities[c] = random_below(&r, 2) ? 0 : (int)random_below(&r, 4);
        unsigned reader = random_below(&r, plan->n_processes);
        for (unsigned p = 0; p < plan->n_processes; p++) {
            bool some = random_below(&r, 4) != 0;
            switch (plan->mode) {
            case FLOW: /* the first half writes, the rest reads */
                plan->writes[p][c] = (some || p == 0) && p < plan->n_processes / 2;
                plan->reads[p][c] = (some || p == plan->n_processes - 1) && p >= plan->n_processes / 2;
                break;
            case CHAOS:
                plan->reads[p][c] = random_below(&r, 2) || p == reader;
                plan->writes[p][c] = random_below(&r, 2);
                break;
            default:
                plan->reads[p][c] = plan->writes[p][c] = true;
            }
        }
    }
}

/* The value of process `p`, from the channels of its types. */
static uvcsp_process value_of(const struct plan *plan, unsigned p, void *const *channels)
{
    CHAN(struct short_message) si[MAX_CHANNELS];
    CHAN(struct short_message) so[MAX_CHANNELS];
    CHAN(struct long_message) li[MAX_CHANNELS];
    CHAN(struct long_message) lo[MAX_CHANNELS];
    CHAN(uvcsp_bytes) bi[MAX_CHANNELS];
    CHAN(uvcsp_bytes) bo[MAX_CHANNELS];
    size_t n[2][TYPES] = {{0}};
    for (unsigned c = 0; c < plan->n_channels; c++) {
        if (plan->reads[p][c]) {
            size_t k = n[0][plan->types[c]]++;
            if (plan->types[c] == SHORT)
                si[k] = channels[c];
            else if (plan->types[c] == LONG)
                li[k] = channels[c];
            else
                bi[k] = channels[c];
        }
        if (plan->writes[p][c]) {
            size_t k = n[1][plan->types[c]]++;
            if (plan->types[c] == SHORT)
                so[k] = channels[c];
            else if (plan->types[c] == LONG)
                lo[k] = channels[c];
            else
                bo[k] = channels[c];
        }
    }
    return member(plan, p, si, n[0][SHORT], so, n[1][SHORT], li, n[0][LONG], lo, n[1][LONG], bi,
                  n[0][BYTES], bo, n[1][BYTES]);
}

static bool audit(const struct plan *plan)
{
    bool good = true;
    unsigned in_buffers[MAX_CHANNELS] = {0};
    for (unsigned p = 0; p < plan->n_processes; p++)
        for (unsigned i = 0; i < MAX_MESSAGES; i++) {
            unsigned s = atomic_load(&ledger->sent[p][i]), r = atomic_load(&ledger->received[p][i]);
            unsigned c = atomic_load(&ledger->channel[p][i]);
            bool fits;
            if (plan->mode == CRASH || plan->mode == POISONED)
                fits = r <= 1 && (plan->mode == CRASH || s >= r);
            else if (s == 1 && r == 0 && plan->mode == CHAOS)
                fits = (int)++in_buffers[c] <= plan->capacities[c];
            else
                fits = s == r && s <= 1;
            if (plan->mode == POISONED && s == 1 && r == 0 && plan->capacities[c] == 0)
                fits = false; /* what was agreed completes */
            if (!fits) {
                fprintf(stderr, "message %u of process %u (channel %u, capacity %d): sent %u, received %u\n",
                        i, p, c, plan->capacities[c], s, r);
                good = false;
            }
        }
    if (atomic_load(&ledger->broken)) {
        fprintf(stderr, "%u messages were not what was sent\n", atomic_load(&ledger->broken));
        good = false;
    }
    return good;
}

static volatile unsigned long long current_seed;

static void too_long(int signum)
{
    (void)signum;
    char text[80];
    int n = snprintf(text, sizeof text, "seed %llu does not come to its end\n", current_seed);
    if (write(2, text, (size_t)n) < 0)
        _exit(2);
    if (getenv("STRESS_STOP")) /* for a debugger */
        raise(SIGSTOP);
    _exit(1);
}

static bool run_round(unsigned long long seed, int mode, bool light)
{
    static struct plan plan;
    draw(&plan, seed, mode, light);
    memset(ledger, 0, sizeof *ledger);
    if (getenv("STRESS_VERBOSE"))
        fprintf(stderr, "seed %llu: %s, %u channels, %u processes, %u workers, %u messages\n", seed,
                mode_names[plan.mode], plan.n_channels, plan.n_processes, plan.n_workers, plan.quota);
    void *channels[MAX_CHANNELS];
    static const size_t sizes[] = {sizeof(struct short_message), sizeof(struct long_message),
                                   sizeof(uvcsp_bytes)};
    unsigned long long r = seed + 77;
    for (unsigned c = 0; c < plan.n_channels; c++)
        channels[c] = uvcsp_channel_new(
            sizes[plan.types[c]], plan.types[c] == BYTES ? UVCSP_TYPE_BYTES : UVCSP_TYPE_PLAIN,
            (uvcsp_channel_options){.capacity = plan.capacities[c],
                                    .carrier = random_below(&r, 2) ? UVCSP_PIPE : UVCSP_SHARED});
    uvcsp_process workers[6];
    size_t n_workers = 0;
    for (unsigned w = 0; w < plan.n_workers; w++) {
        uvcsp_process members[MAX_PROCESSES];
        size_t n = 0;
        for (unsigned p = 0; p < plan.n_processes; p++)
            if (plan.worker_of[p] == w)
                members[n++] = value_of(&plan, p, channels);
        if (n > 0)
            workers[n_workers++] = uvcsp_worker(members, n);
    }
    if (plan.mode == CRASH)
        workers[n_workers++] = killer(&plan, random_below(&r, plan.n_processes));
    current_seed = seed;
    alarm(LIMIT);
    int failed = uvcsp_par(workers, n_workers);
    alarm(0);
    for (unsigned c = 0; c < plan.n_channels; c++)
        uvcsp_channel_free(channels[c]);
    bool good = audit(&plan) && failed >= 0 && failed <= (plan.mode == CRASH);
    if (!good)
        fprintf(stderr, "seed %llu (%s%s): failed, %d workers failed\n", seed, mode_names[plan.mode],
                light ? ", light" : "", failed);
    return good;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 4;
    unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 0)
                                       : (unsigned long long)getpid() * 1000003u;
    int mode = -1;
    for (int i = 0; argc > 3 && i < MODES; i++)
        if (strcmp(argv[3], mode_names[i]) == 0)
            mode = i;
    const char *par = getenv("UVCSP_PAR");
    bool light = par && strcmp(par, "light") == 0;
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED)
        return 2;
    signal(SIGALRM, too_long);
    double end = uvcsp_now() + seconds;
    unsigned rounds = 0;
    printf("from seed %llu on\n", seed);
    do {
        if (!run_round(seed + rounds, mode, light))
            return 1;
        rounds++;
    } while (uvcsp_now() < end);
    printf("%u rounds\n", rounds);
    return uvcsp_shutdown() != 0;
}
