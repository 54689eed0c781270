#include "tests/stress/traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- messages ---- */

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

/* The next message of the node, ready to be sent at the port. */
static void compose(struct node *node, struct port *port)
{
    unsigned number = node->me * MAX_MESSAGES + node->n_sent;
    struct short_message head = {number, check_of(number)};
    if (port->composed == number + 1)
        return;
    port->composed = number + 1;
    switch (port->type) {
    case SHORT:
        port->short_out = head;
        break;
    case LONG:
        port->long_out->head = head;
        memset(port->long_out->filler, (char)number, sizeof port->long_out->filler);
        break;
    default: {
        const size_t sizes[] = {8,    9,    32,    33,    100,
                                4096, 4097, 20000, 70000, node->plan->most_bytes};
        size_t size = sizes[node_below(node, sizeof sizes / sizeof sizes[0])];
        memset(port->store, (char)number, size);
        memcpy(port->store, &head, sizeof head);
        port->bytes_out = (uvcsp_bytes){port->store, size};
    }
    }
}

static bool filled_with(const char *bytes, size_t size, char c)
{
    return size == 0 || (bytes[0] == c && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static void note_received(struct port *port)
{
    struct short_message head = {0, 0};
    bool good = true;
    switch (port->type) {
    case SHORT:
        head = port->short_in;
        break;
    case LONG:
        head = port->long_in->head;
        good = filled_with(port->long_in->filler, sizeof port->long_in->filler, (char)head.number);
        break;
    default: {
        const char *data = port->bytes_in.data;
        size_t size = port->bytes_in.size;
        good = size >= sizeof head;
        if (good)
            memcpy(&head, data, sizeof head);
        good = good && filled_with(data + sizeof head, size - sizeof head, (char)head.number);
        free(port->bytes_in.data);
    }
    }
    unsigned who = head.number / MAX_MESSAGES, n = head.number % MAX_MESSAGES;
    if (!good || head.check != check_of(head.number) || who >= MAX_PROCESSES) {
        atomic_fetch_add(&ledger->broken, 1);
        return;
    }
    atomic_fetch_add(&ledger->of[who].received[n], 1);
}

static void note_sent(struct node *node, const struct port *port)
{
    struct ledger_process *of = &ledger->of[node->me];
    atomic_store(&of->channel[node->n_sent], port->channel);
    atomic_fetch_add(&of->sent[node->n_sent], 1);
    atomic_fetch_add(&ledger->n_sent, 1);
    atomic_store(&of->n_sent, ++node->n_sent);
}

/* ---- communications; each is in flight from begin() to landed() ---- */

static void begin(struct node *node, unsigned reading, bool writing)
{
    atomic_store(&ledger->of[node->me].reading, reading);
    atomic_store(&ledger->of[node->me].writing, writing);
    atomic_fetch_add(&ledger->of[node->me].steps, 1);
}

static void landed(struct node *node)
{
    begin(node, 0, false);
}

static void outcome_of_read(struct port *port, int rc)
{
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

unsigned node_below(struct node *node, unsigned n)
{
    return stress_below(&node->random, n);
}

static double moment(struct node *node)
{
    return node_below(node, 3) == 0 ? 0 : node_below(node, 4000) * 1e-6;
}

struct choice {
    uvcsp_guard guards[2 * MAX_CHANNELS + 1];
    struct port *ports[2 * MAX_CHANNELS];
    size_t n;
    unsigned reading;
    bool writing;
};

static void offer(struct choice *choice, struct node *node, struct port *port, bool write)
{
    if (write)
        compose(node, port);
    choice->ports[choice->n] = port;
    choice->guards[choice->n++] = (uvcsp_guard){
        .kind = write ? UVCSP_GUARD_WRITE : UVCSP_GUARD_READ,
        .on = true,
        .subject = write ? port->out : port->in,
        .data = write ? out_place(port) : in_place(port),
    };
    choice->writing = choice->writing || write;
    choice->reading |= write ? 0 : 1u << port->channel;
}

bool node_choose(struct node *node, bool reads, bool writes, bool impatient)
{
    struct choice choice = {.n = 0};
    unsigned turn = node->n_ports ? node_below(node, node->n_ports) : 0;
    for (unsigned i = 0; i < node->n_ports; i++) {
        struct port *port = &node->ports[(i + turn) % node->n_ports];
        if (writes && port->out)
            offer(&choice, node, port, true);
        if (reads && port->in)
            offer(&choice, node, port, false);
    }
    size_t n_guards = choice.n;
    if (n_guards == 0)
        return false;
    if (impatient)
        choice.guards[n_guards++] =
            node_below(node, 4) == 0 ? (uvcsp_guard)ON_SKIP : (uvcsp_guard)ON_TIMEOUT(moment(node));
    begin(node, choice.reading, choice.writing);
    int taken = uvcsp_alt(choice.guards, n_guards, node_below(node, 3) ? UVCSP_FAIR : UVCSP_PRI);
    int rc = UVCSP_OK;
    if (taken == -UVCSP_RETIRED || taken == -UVCSP_POISONED) {
        rc = -taken;
        taken = uvcsp_alt_failed();
    }
    if (taken < 0) {
        fprintf(stderr, "uvcsp_alt: %d\n", taken);
        abort();
    }
    if ((size_t)taken < choice.n && choice.guards[taken].kind == UVCSP_GUARD_READ)
        outcome_of_read(choice.ports[taken], rc);
    else if ((size_t)taken < choice.n)
        outcome_of_write(node, choice.ports[taken], rc);
    landed(node);
    return true;
}

void node_operate(struct node *node, struct port *port, bool write, bool patient)
{
    double seconds = patient ? -1 : moment(node);
    bool only_try = !patient && node_below(node, 3) == 0;
    int rc;
    if (write) {
        compose(node, port);
        begin(node, 0, true);
        rc = only_try ? uvcsp_end_write_try(port->out, out_place(port), "traffic")
                      : uvcsp_end_write(port->out, out_place(port), seconds, "traffic");
        outcome_of_write(node, port, rc);
    } else {
        begin(node, 1u << port->channel, false);
        rc = only_try ? uvcsp_end_read_try(port->in, in_place(port), "traffic")
                      : uvcsp_end_read(port->in, in_place(port), seconds, "traffic");
        outcome_of_read(port, rc);
    }
    landed(node);
}

void node_take(struct node *node, struct port *port)
{
    begin(node, 1u << port->channel, false);
    uvcsp_take(port->in, &port->short_in, "traffic");
    note_received(port);
    landed(node);
}

void node_give(struct node *node, struct port *port)
{
    compose(node, port);
    begin(node, 0, true);
    uvcsp_give(port->out, &port->short_out, "traffic");
    note_sent(node, port);
    landed(node);
}

static void nothing(void *arg)
{
    (void)arg;
}

void node_dawdle(struct node *node)
{
    switch (node_below(node, 40)) {
    case 0:
        uvcsp_sleep(node_below(node, 300) * 1e-6);
        break;
    case 1:
        uvcsp_yield();
        break;
    case 2:
        uvcsp_blocking(nothing, NULL);
        break;
    }
}

void node_retire_writers(struct node *node)
{
    for (unsigned i = 0; i < node->n_ports; i++)
        if (node->ports[i].out) {
            uvcsp_retire(node->ports[i].out);
            node->ports[i].out = NULL;
        }
}

struct port *node_writer(struct node *node)
{
    struct port *open[MAX_CHANNELS];
    unsigned n = 0;
    for (unsigned i = 0; i < node->n_ports; i++)
        if (node->ports[i].out)
            open[n++] = &node->ports[i];
    return n ? open[node_below(node, n)] : NULL;
}

void node_meet(struct node *node, bool (*pause)(struct node *node))
{
    while (node->n_sent < node->plan->quota) {
        if ((pause && !pause(node)) || !node_writer(node) ||
            !node_choose(node, true, true, node_below(node, 8) == 0))
            break;
        node_dawdle(node);
    }
    node_retire_writers(node);
    while (node_choose(node, true, false, node_below(node, 8) == 0))
        node_dawdle(node);
}

/* ---- processes ---- */

/* The ends of a type come in the order of the channels. */
static void take_port(struct node *node, enum message_type type, bool in, void *end)
{
    const struct traffic *plan = node->plan;
    for (unsigned c = 0; c < plan->n_channels; c++) {
        if (plan->types[c] != type || !(in ? plan->reads[node->me][c] : plan->writes[node->me][c]))
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
                port->store = malloc(plan->most_bytes);
        }
        *(in ? &port->in : &port->out) = end;
        return;
    }
    abort();
}

static void note_end(void *arg)
{
    atomic_store(&((struct ledger_process *)arg)->ended, true);
}

PROCESS(member, VAL(const struct traffic *, plan), VAL(unsigned, me),
        INS(struct short_message, si, n_si), OUTS(struct short_message, so, n_so),
        INS(struct long_message, li, n_li), OUTS(struct long_message, lo, n_lo),
        INS(uvcsp_bytes, bi, n_bi), OUTS(uvcsp_bytes, bo, n_bo))
{
    struct node node = {.plan = plan, .me = me, .random = plan->seed * 31 + me};
    DEFER(note_end, &ledger->of[me]);
    atomic_store(&ledger->of[me].pid, (int)getpid());
    struct {
        enum message_type type;
        bool in;
        void *const *ends;
        size_t n;
    } all[] = {
        {SHORT, true, (void *const *)si, n_si}, {SHORT, false, (void *const *)so, n_so},
        {LONG, true, (void *const *)li, n_li},  {LONG, false, (void *const *)lo, n_lo},
        {BYTES, true, (void *const *)bi, n_bi}, {BYTES, false, (void *const *)bo, n_bo},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        for (size_t i = 0; i < all[k].n; i++)
            take_port(&node, all[k].type, all[k].in, all[k].ends[i]);
    if (node.n_ports > 0)
        plan->body(&node);
    for (unsigned i = 0; i < node.n_ports; i++) {
        free(node.ports[i].long_in);
        free(node.ports[i].long_out);
        free(node.ports[i].store);
    }
}

/* Those of `channels` that have the type, and that the process has an end of. */
static size_t pick(const struct traffic *plan, const bool *has, enum message_type type,
                   void *const *channels, void **picked)
{
    size_t n = 0;
    for (unsigned c = 0; c < plan->n_channels; c++)
        if (has[c] && plan->types[c] == type)
            picked[n++] = channels[c];
    return n;
}

uvcsp_process traffic_member(const struct traffic *plan, unsigned p, void *const *channels)
{
    void *picked[2][MESSAGE_TYPES][MAX_CHANNELS];
    size_t n[2][MESSAGE_TYPES];
    for (int t = 0; t < MESSAGE_TYPES; t++) {
        n[0][t] = pick(plan, plan->reads[p], (enum message_type)t, channels, picked[0][t]);
        n[1][t] = pick(plan, plan->writes[p], (enum message_type)t, channels, picked[1][t]);
    }
    return member(plan, p, (CHAN(struct short_message) *)picked[0][SHORT], n[0][SHORT],
                  (CHAN(struct short_message) *)picked[1][SHORT], n[1][SHORT],
                  (CHAN(struct long_message) *)picked[0][LONG], n[0][LONG],
                  (CHAN(struct long_message) *)picked[1][LONG], n[1][LONG],
                  (CHAN(uvcsp_bytes) *)picked[0][BYTES], n[0][BYTES],
                  (CHAN(uvcsp_bytes) *)picked[1][BYTES], n[1][BYTES]);
}

void traffic_channels(const struct traffic *plan, void **channels)
{
    static const size_t sizes[] = {sizeof(struct short_message), sizeof(struct long_message),
                                   sizeof(uvcsp_bytes)};
    unsigned long long r = plan->seed + 77;
    for (unsigned c = 0; c < plan->n_channels; c++)
        channels[c] = uvcsp_channel_new(
            sizes[plan->types[c]], plan->types[c] == BYTES ? UVCSP_TYPE_BYTES : UVCSP_TYPE_PLAIN,
            (uvcsp_channel_options){.capacity = plan->capacities[c],
                                    .carrier = stress_below(&r, 2) ? UVCSP_PIPE : UVCSP_SHARED});
}
