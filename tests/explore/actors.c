#include "channels/lock.h"
#include "tests/explore/actors.h"

#include <string.h>

#include "channels/channel.h"
#include "tests/explore/timers.h"

enum { LONGEST = 5000 };

struct run *run;
unsigned long run_switches;
struct usp_task *run_tasks[MOST_ACTORS];

void happened(const struct event *event)
{
    MUST(run->history.n < MOST_EVENTS);
    run->history.events[run->history.n++] = *event;
}

/* ---- channels ---- */

void run_make_channels(void)
{
    for (unsigned c = 0; c < run->net.n_channels; c++) {
        static const char *const names[] = {"a", "b", "c"};
        unsigned width = run->net.channels[c].width;
        uvcsp_channel_options options = {.capacity = run->net.channels[c].capacity,
                                         .name = names[c],
                                         .carrier = run->net.channels[c].shared ? UVCSP_SHARED
                                                                                : UVCSP_PIPE};
        struct usp_channel *channel =
            width == BYTES ? uvcsp_channel_new(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, options)
                           : uvcsp_channel_new(width, UVCSP_TYPE_PLAIN, options);
        MUST(channel);
        channel->lenient = run->net.channels[c].lenient;
        if (run->net.channels[c].unbiased) {
            usp_lock(channel);
            usp_unbias(channel);
            usp_unlock(channel);
        }
        run->channels[c] = channel;
    }
}

/* The last first: then the next run has them at the same addresses, by which locks are ordered. */
void run_free_channels(void)
{
    for (unsigned c = run->net.n_channels; c-- > 0;) {
        struct usp_channel *channel = run->channels[c];
        MUST(channel->waiting[0].head == NULL && channel->waiting[1].head == NULL);
        MUST(!channel->passes_to);
        MUST(channel->n_ends[0] == 0 && channel->n_ends[1] == 0 && channel->n_refs == 1);
        channel->lenient = 0; /* or it would be another floor's to free */
        uvcsp_channel_free(channel);
    }
}

/* ---- messages: the value, over and over ---- */

union message {
    unsigned char plain[LONGEST];
    uvcsp_bytes bytes;
};

static size_t length_of(uint8_t value)
{
    return value * 1237u % LONGEST;
}

static void fill(union message *message, unsigned channel, uint8_t value)
{
    unsigned width = run->net.channels[channel].width;
    if (width != BYTES) {
        memset(message->plain, value, width);
        return;
    }
    size_t size = length_of(value);
    message->bytes = (uvcsp_bytes){malloc(size + 1), size};
    MUST(message->bytes.data);
    memset(message->bytes.data, value, size);
}

static uint8_t empty(union message *message, unsigned channel)
{
    unsigned width = run->net.channels[channel].width;
    const unsigned char *at = width == BYTES ? message->bytes.data : message->plain;
    size_t size = width == BYTES ? message->bytes.size : width;
    uint8_t value = size > 0 ? at[0] : 0;
    while (size == 0 && length_of(++value) != 0)
        ;
    MUST(width != BYTES || size == length_of(value));
    for (size_t i = 0; i < size; i++)
        MUST(at[i] == value);
    if (width == BYTES)
        free(message->bytes.data);
    return value;
}

/* ---- operations ---- */

struct self {
    unsigned actor;
    void *ends[2][MOST_CHANNELS];
    union message *messages; /* of the operation that is under way, or NULL: */
    const struct op *op;
};
static union message messages[MOST_ACTORS][MOST_GUARDS];
static struct self selves[MOST_ACTORS]; /* what is deferred runs when the body has returned */

static int result_of(int rc, const struct op *op, unsigned *takenp)
{
    *takenp = 0;
    if (rc == UVCSP_TIMEOUT || rc == UVCSP_WOULD_BLOCK) {
        MUST(op->n == 2 && (rc == UVCSP_WOULD_BLOCK) == (op->via == VIA_TRY));
        *takenp = 1;
        return UVCSP_OK;
    }
    return rc;
}

static int communicate(struct self *self, const struct op *op, unsigned *takenp)
{
    const struct guard *guard = &op->guards[0];
    void *end = self->ends[guard->kind][guard->channel], *message = &self->messages[0];
    double seconds = op->n == 1 ? -1 : op->guards[1].kind == G_LATER ? AN_HOUR : 0;
    if (op->via == VIA_READ) {
        *takenp = 0;
        guard->kind == G_READ ? uvcsp_take(end, message, "explore")
                              : uvcsp_give(end, message, "explore");
        return UVCSP_OK;
    }
    if (op->via == VIA_TRY)
        return result_of(guard->kind == G_READ ? uvcsp_end_read_try(end, message, "explore")
                                               : uvcsp_end_write_try(end, message, "explore"),
                         op, takenp);
    return result_of(guard->kind == G_READ ? uvcsp_end_read(end, message, seconds, "explore")
                                           : uvcsp_end_write(end, message, seconds, "explore"),
                     op, takenp);
}

static int choose(struct self *self, const struct op *op, unsigned *takenp)
{
    uvcsp_guard guards[MOST_GUARDS];
    for (unsigned g = 0; g < op->n; g++) {
        const struct guard *guard = &op->guards[g];
        if (guard->kind == G_SKIP)
            guards[g] = (uvcsp_guard)ON_SKIP;
        else if (!communicates(guard))
            guards[g] = (uvcsp_guard)ON_TIMEOUT(guard->kind == G_NOW ? 0 : AN_HOUR);
        else
            guards[g] =
                (uvcsp_guard){.kind = guard->kind == G_READ ? UVCSP_GUARD_READ : UVCSP_GUARD_WRITE,
                              .on = true,
                              .subject = self->ends[guard->kind][guard->channel],
                              .data = &self->messages[g]};
        guards[g].on = !guard->off;
    }
    int rc = op->via == VIA_ALT
                 ? uvcsp_alt(guards, op->n, op->pri ? UVCSP_PRI : UVCSP_FAIR)
                 : uvcsp_choose(guards, op->n, op->pri ? UVCSP_PRI : UVCSP_FAIR, "explore");
    *takenp = rc >= 0 ? (unsigned)rc : (unsigned)uvcsp_alt_failed();
    return rc >= 0 ? UVCSP_OK : -rc;
}

static void prepare(struct self *self, unsigned i, const struct op *op)
{
    self->op = op;
    for (unsigned g = 0; g < op->n; g++) {
        const struct guard *guard = &op->guards[g];
        if (guard->kind == G_WRITE)
            fill(&self->messages[g], guard->channel, value_of(self->actor, i, g));
        else if (guard->kind == G_READ)
            memset(&self->messages[g], 0xff, 16);
    }
}

/* Reading what was not written would be seen by what is there. */
static uint8_t clear(struct self *self, int status, unsigned taken)
{
    uint8_t value = 0;
    for (unsigned g = 0; self->op && g < self->op->n; g++) {
        const struct guard *guard = &self->op->guards[g];
        if (guard->kind == G_READ && status == UVCSP_OK && g == taken)
            value = empty(&self->messages[g], guard->channel);
        else if (guard->kind == G_READ)
            MUST(self->messages[g].plain[0] == 0xff);
        else if (guard->kind == G_WRITE)
            empty(&self->messages[g], guard->channel);
    }
    self->op = NULL;
    return value;
}

static void run_children(struct self *self, const struct op *op);

static void carry_out(struct self *self, unsigned i)
{
    const struct op *op = &run->net.actors[self->actor].ops[i];
    unsigned taken = 0;
    int status = UVCSP_OK;
    uint8_t value = 0;
    happened(&(struct event){.what = BEGINS, .actor = (uint8_t)self->actor});
    switch (op->kind) {
    case POISONS:
        MUST(uvcsp_poison(run->channels[op->guards[0].channel]) == 0);
        break;
    case RETIRES:
        MUST(uvcsp_retire(self->ends[op->guards[0].kind][op->guards[0].channel]) == 0);
        break;
    case RUNS:
        run_children(self, op);
        break;
    default:
        prepare(self, i, op);
        status = is_alt(op) ? choose(self, op, &taken) : communicate(self, op, &taken);
        value = clear(self, status, taken);
    }
    MUST(status >= 0 && status <= UVCSP_POISONED);
    happened(
        &(struct event){RETURNS, (uint8_t)self->actor, (uint8_t)status, (uint8_t)taken, value});
}

/* Whichever way it ends. */
static void ends(void *arg)
{
    struct self *self = arg;
    clear(self, UVCSP_POISONED, 0); /* an operation that has failed */
    run_tasks[self->actor] = NULL;
    happened(&(struct event){.what = ENDS, .actor = (uint8_t)self->actor});
}

PROCESS(actor, VAL(unsigned, me), INS(int, ins, n_ins), OUTS(int, outs, n_outs))
{
    const struct actor *actor = &run->net.actors[me];
    struct self *self = &selves[me];
    *self = (struct self){.actor = me, .messages = messages[me]};
    run_tasks[me] = usp_current()->task;
    void *const *lists[2] = {(void *const *)ins, (void *const *)outs};
    size_t n[2] = {0, 0};
    for (int side = 0; side < 2; side++)
        for (unsigned c = 0; c < run->net.n_channels; c++)
            if (actor->ends[side] & 1 << c)
                self->ends[side][c] = lists[side][n[side]++];
    MUST(n[0] == n_ins && n[1] == n_outs);
    MUST(DEFER(ends, self) == 0);
    unsigned long before = run_switches;
    for (unsigned i = 0; i < actor->n_ops; i++) {
        if ((run->steps && i > 0 && before == run_switches) || actor->ops[i].yields)
            uvcsp_yield();
        before = run_switches;
        carry_out(self, i);
    }
    if (run->steps && before == run_switches)
        uvcsp_yield();
}

static uvcsp_process actor_with(unsigned a, void *const ends[2][MOST_CHANNELS])
{
    void *lists[2][MOST_CHANNELS];
    size_t n[2] = {0, 0};
    for (int side = 0; side < 2; side++)
        for (unsigned c = 0; c < run->net.n_channels; c++)
            if (run->net.actors[a].ends[side] & 1 << c)
                lists[side][n[side]++] = ends ? ends[side][c] : run->channels[c];
    if (!ends)
        return actor(a, (CHAN(int) *)lists[0], n[0], (CHAN(int) *)lists[1], n[1]);
    return actor(a, (IN_END(int) *)lists[0], n[0], (OUT_END(int) *)lists[1], n[1]);
}

static void run_children(struct self *self, const struct op *op)
{
    uvcsp_process processes[MOST_ACTORS];
    size_t n = 0;
    for (unsigned a = op->first; a <= op->last; a++)
        processes[n++] = actor_with(a, (void *const(*)[MOST_CHANNELS])self->ends);
    MUST(uvcsp_co(processes, n) == 0);
}

uvcsp_process run_actor(unsigned a)
{
    return actor_with(a, NULL);
}

void run_janitor(void)
{
    uint8_t janitor = (uint8_t)janitor_of(&run->net);
    for (unsigned c = 0; c < run->net.n_channels; c++) {
        happened(&(struct event){.what = BEGINS, .actor = janitor});
        MUST(uvcsp_poison(run->channels[c]) == 0);
        happened(&(struct event){.what = RETURNS, .actor = janitor});
    }
}
