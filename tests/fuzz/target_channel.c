/* Channels against a simple model: a few light processes do what the input says, one thing after
   the other, and each time it has to be the model's answer: who may go on, with which result, and
   who waits.

   Input, first the capacities and the width of a message, then orders of four kinds: a process
   reads or writes, waiting or not; chooses among any guards; retires an end; or the root poisons a
   channel. The model knows what each channel holds and who waits for what. Of several partners that
   wait any may be taken, of several guards that are ready any by a fair choice and the first by the
   other. */
#include <uvcsp.h>

#include "runtime/arena.h"
#include "tests/fuzz/fuzz.h"

enum { ACTORS = 4, CHANNELS = 3, MOST_GUARDS = 4, MOST_ORDERS = 64, SETTLES = 8 };

struct message {
    int value;
    char filler[100];
};

struct guard {
    unsigned channel;
    bool write;
};

enum task { CHOOSE, COMMUNICATE, GIVE_UP, QUIT };

static struct actor {
    /* the order */
    enum task task;
    bool patient; /* waits for ever; else it does not wait at all */
    enum uvcsp_choice mode;
    unsigned n;
    struct guard guards[MOST_GUARDS];
    struct message messages[MOST_GUARDS]; /* to be written, or where they are read */
    bool busy;
    /* what came of it */
    int taken; /* the guard; -1: none */
    int status;
    /* ends that it has; for the model */
    bool has[2][CHANNELS];
} actors[ACTORS];

static struct {
    int capacity, n;
    int values[4];
    bool poisoned;
} model[CHANNELS];

static void *channels[CHANNELS];
static size_t size_of_message;
static int next_value;

/* ---- the processes ---- */

static void choose(struct actor *a, void *const *ins, void *const *outs)
{
    uvcsp_guard guards[MOST_GUARDS + 1];
    for (unsigned i = 0; i < a->n; i++)
        guards[i] = (uvcsp_guard){.kind = a->guards[i].write ? UVCSP_GUARD_WRITE : UVCSP_GUARD_READ,
                                  .on = true,
                                  .subject = a->guards[i].write ? outs[a->guards[i].channel]
                                                                : ins[a->guards[i].channel],
                                  .data = &a->messages[i]};
    guards[a->n] = (uvcsp_guard)ON_SKIP;
    int taken = uvcsp_alt(guards, a->n + !a->patient, a->mode);
    a->status = taken >= 0 ? UVCSP_OK : -taken;
    a->taken = taken >= 0 ? taken : uvcsp_alt_failed();
    if (taken == (int)a->n) {
        a->status = UVCSP_WOULD_BLOCK;
        a->taken = -1;
    }
}

static void communicate(struct actor *a, void *const *ins, void *const *outs)
{
    unsigned c = a->guards[0].channel;
    void *value = &a->messages[0], *end = a->guards[0].write ? outs[c] : ins[c];
    if (a->patient || a->mode == UVCSP_FAIR) {
        double seconds = a->patient ? -1 : 0;
        a->status = a->guards[0].write ? uvcsp_end_write(end, value, seconds, "model")
                                       : uvcsp_end_read(end, value, seconds, "model");
        MUST(a->status != UVCSP_WOULD_BLOCK);
        if (a->status == UVCSP_TIMEOUT)
            a->status = UVCSP_WOULD_BLOCK;
    } else {
        a->status = a->guards[0].write ? uvcsp_end_write_try(end, value, "model")
                                       : uvcsp_end_read_try(end, value, "model");
    }
    a->taken = a->status == UVCSP_WOULD_BLOCK ? -1 : 0;
}

PROCESS(actor, VAL(struct actor *, a), INS(int, ins, n_ins), OUTS(int, outs, n_outs))
{
    void *const *in = (void *const *)ins, *const *out = (void *const *)outs;
    MUST(n_ins == CHANNELS && n_outs == CHANNELS);
    for (;; a->busy = false) {
        while (!a->busy)
            uvcsp_yield();
        if (a->task == CHOOSE)
            choose(a, in, out);
        else if (a->task == COMMUNICATE)
            communicate(a, in, out);
        else if (a->task == GIVE_UP)
            uvcsp_retire(a->guards[0].write ? out[a->guards[0].channel] : in[a->guards[0].channel]);
        else
            return;
    }
}

/* ---- the model ---- */

static bool side_has_ends(unsigned c, bool write)
{
    for (int i = 0; i < ACTORS; i++)
        if (actors[i].has[write][c])
            return true;
    return false;
}

static bool offers(const struct actor *a, unsigned c, bool write)
{
    for (unsigned i = 0; a->busy && i < a->n; i++)
        if (a->guards[i].channel == c && a->guards[i].write == write)
            return true;
    return false;
}

static bool somebody_offers(const struct actor *but, unsigned c, bool write)
{
    for (int i = 0; i < ACTORS; i++)
        if (&actors[i] != but && offers(&actors[i], c, write))
            return true;
    return false;
}

/* Could the guard be taken now, and with which status? -1: it would have to wait. An end that is
   both retired and poisoned may say either. */
static int status_of(const struct actor *a, const struct guard *guard, bool *eitherp)
{
    unsigned c = guard->channel;
    bool retired = !a->has[guard->write][c];
    *eitherp = retired && model[c].poisoned;
    if (model[c].poisoned)
        return UVCSP_POISONED;
    if (retired || (guard->write && !side_has_ends(c, false)))
        return UVCSP_RETIRED;
    if (guard->write ? model[c].n < model[c].capacity : model[c].n > 0)
        return UVCSP_OK;
    if (somebody_offers(a, c, !guard->write) && (guard->write || model[c].capacity == 0))
        return UVCSP_OK;
    return !guard->write && !side_has_ends(c, true) ? UVCSP_RETIRED : -1;
}

/* ---- what happened ---- */

static bool was_busy[ACTORS];

static void remember_who_waits(void)
{
    for (int i = 0; i < ACTORS; i++)
        was_busy[i] = actors[i].busy;
}

static void settle(void)
{
    for (int i = 0; i < SETTLES; i++)
        uvcsp_yield();
}

static bool has_ended_wait(int i)
{
    return was_busy[i] && !actors[i].busy;
}

/* The one among those who waited, besides `a`, that has taken part; nobody else may have gone on.
 */
static struct actor *partner(const struct actor *a, unsigned c, bool write)
{
    struct actor *found = NULL;
    for (int i = 0; i < ACTORS; i++)
        if (&actors[i] != a && has_ended_wait(i)) {
            MUST(!found);
            found = &actors[i];
        }
    MUST(found && found->status == UVCSP_OK && found->taken >= 0);
    MUST(found->guards[found->taken].channel == c && found->guards[found->taken].write == write);
    return found;
}

static void nobody_else(const struct actor *a)
{
    for (int i = 0; i < ACTORS; i++)
        MUST(&actors[i] == a || !has_ended_wait(i));
}

static void push(unsigned c, int value)
{
    MUST(model[c].n < model[c].capacity);
    model[c].values[model[c].n++] = value;
}

static void after_read(const struct actor *a, unsigned c, int value, bool writers)
{
    if (model[c].n == 0) {
        const struct actor *b = partner(a, c, true);
        MUST(b->messages[b->taken].value == value);
        return;
    }
    MUST(value == model[c].values[0]);
    memmove(model[c].values, model[c].values + 1, sizeof model[c].values - sizeof(int));
    model[c].n--;
    if (!writers) {
        nobody_else(a);
        return;
    }
    const struct actor *b = partner(a, c, true);
    push(c, b->messages[b->taken].value);
}

static void after_write(const struct actor *a, unsigned c, int value, bool readers)
{
    if (!readers) {
        nobody_else(a);
        push(c, value);
        return;
    }
    const struct actor *b = partner(a, c, false);
    MUST(b->messages[b->taken].value == value);
}

/* An order to communicate: what the model says of it, and what has come of it. */
static void carry_out(struct actor *a)
{
    int could[MOST_GUARDS], first = -1;
    bool either[MOST_GUARDS], others[MOST_GUARDS];
    for (unsigned i = 0; i < a->n; i++) {
        could[i] = status_of(a, &a->guards[i], &either[i]);
        others[i] = somebody_offers(a, a->guards[i].channel, !a->guards[i].write);
        if (could[i] >= 0 && first < 0)
            first = (int)i;
    }
    /* writers that wait at a full buffer move up when it is read */
    bool writers[MOST_GUARDS];
    for (unsigned i = 0; i < a->n; i++)
        writers[i] = somebody_offers(a, a->guards[i].channel, true);
    a->busy = true;
    remember_who_waits();
    settle();
    if (a->busy) {
        MUST(a->patient && first < 0);
        nobody_else(a);
        return;
    }
    if (a->taken < 0) {
        MUST(a->status == UVCSP_WOULD_BLOCK && !a->patient);
        MUST(first < 0 ||
             (a->task == CHOOSE && a->mode == UVCSP_FAIR)); /* ON_SKIP is ready as well */
        nobody_else(a);
        return;
    }
    int i = a->taken;
    MUST((unsigned)i < a->n && could[i] >= 0);
    MUST(a->mode == UVCSP_FAIR || i == first);
    MUST(a->status == could[i] || (either[i] && a->status == UVCSP_RETIRED));
    if (a->status != UVCSP_OK)
        nobody_else(a);
    else if (a->guards[i].write)
        after_write(a, a->guards[i].channel, a->messages[i].value, others[i]);
    else
        after_read(a, a->guards[i].channel, a->messages[i].value, writers[i]);
}

/* A channel has ended on a side: who waited there is told, and nobody else. `ended`: which offers.
 */
static void told(const struct actor *but, unsigned c, bool reads, bool writes, int status)
{
    for (int i = 0; i < ACTORS; i++) {
        struct actor *b = &actors[i];
        bool concerned = false;
        for (unsigned k = 0; was_busy[i] && k < b->n; k++)
            concerned =
                concerned || (b->guards[k].channel == c && (b->guards[k].write ? writes : reads));
        if (b == but)
            continue;
        MUST(has_ended_wait(i) == concerned);
        if (concerned) {
            MUST(b->status == status);
            MUST(b->guards[b->taken].channel == c);
        }
    }
}

static void give_up(struct actor *a)
{
    unsigned c = a->guards[0].channel;
    bool write = a->guards[0].write, had = a->has[write][c];
    a->has[write][c] = false;
    bool last = had && !side_has_ends(c, write) && !model[c].poisoned;
    a->n = 0;
    a->busy = true;
    remember_who_waits();
    settle();
    MUST(!a->busy);
    told(a, c, last && write, last && !write, UVCSP_RETIRED);
}

static void poison(unsigned c)
{
    remember_who_waits();
    bool first = !model[c].poisoned;
    MUST(uvcsp_poison(channels[c]) == 0);
    settle();
    model[c].poisoned = true;
    model[c].n = 0;
    told(NULL, c, first, first, UVCSP_POISONED);
}

/* ---- the input ---- */

static struct actor *idle_actor(struct input *in)
{
    struct actor *a = &actors[eat_below(in, ACTORS)];
    return a->busy ? NULL : a;
}

static void obey(struct input *in)
{
    unsigned what = eat_below(in, 16);
    if (what == 0) {
        poison(eat_below(in, CHANNELS));
        return;
    }
    struct actor *a = idle_actor(in);
    if (!a)
        return;
    a->task = what == 1 ? GIVE_UP : what < 9 ? COMMUNICATE : CHOOSE;
    a->n = a->task == CHOOSE ? 1 + eat_below(in, MOST_GUARDS) : 1;
    a->mode = eat_below(in, 2) ? UVCSP_PRI : UVCSP_FAIR;
    a->patient = eat_below(in, 4) != 0;
    for (unsigned i = 0; i < a->n; i++) {
        uint8_t which = eat_byte(in);
        a->guards[i] = (struct guard){which / 2 % CHANNELS, which % 2};
        memset(&a->messages[i], 0, sizeof a->messages[i]);
        a->messages[i].value = a->guards[i].write ? ++next_value : -1;
    }
    if (a->task == GIVE_UP)
        give_up(a);
    else
        carry_out(a);
    for (unsigned c = 0; c < CHANNELS; c++)
        if (side_has_ends(c, false))
            MUST(uvcsp_channel_size(channels[c]) == model[c].n);
}

static void begin(struct input *in, uvcsp_handle **handles)
{
    memset(actors, 0, sizeof actors);
    memset(model, 0, sizeof model);
    size_of_message = eat_below(in, 2) ? sizeof(struct message) : sizeof(int);
    for (unsigned c = 0; c < CHANNELS; c++) {
        model[c].capacity = (int)eat_below(in, 5) - 1;
        model[c].capacity = model[c].capacity < 0 ? 0 : model[c].capacity;
        channels[c] =
            uvcsp_channel_new(size_of_message, UVCSP_TYPE_PLAIN,
                              (uvcsp_channel_options){.capacity = model[c].capacity, .name = "c"});
        MUST(channels[c]);
    }
    for (int i = 0; i < ACTORS; i++) {
        memset(actors[i].has, true, sizeof actors[i].has);
        handles[i] =
            GO(actor(&actors[i], (CHAN(int) *)channels, CHANNELS, (CHAN(int) *)channels, CHANNELS));
        MUST(handles[i]);
    }
}

static void end(uvcsp_handle **handles)
{
    for (unsigned c = 0; c < CHANNELS; c++)
        poison(c);
    for (int i = 0; i < ACTORS; i++) {
        MUST(!actors[i].busy);
        actors[i].task = QUIT;
        actors[i].busy = true;
    }
    for (int i = 0; i < ACTORS; i++) {
        MUST(uvcsp_join(handles[i], -1) == UVCSP_OK);
        uvcsp_handle_free(handles[i]);
    }
    for (unsigned c = 0; c < CHANNELS; c++)
        uvcsp_channel_free(channels[c]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uvcsp_handle *handles[ACTORS];
    struct input in = {data, data + size};
    static size_t runs, blocks; /* to count takes longer than all the rest */
    uvcsp_yield();
    if (runs == 0)
        blocks = usp_arena_count(USP_BLOCK_FREE);
    begin(&in, handles);
    for (int i = 0; i < MOST_ORDERS && in.at < in.end; i++)
        obey(&in);
    end(handles);
    MUST(runs++ % 64 != 0 || usp_arena_count(USP_BLOCK_FREE) == blocks);
    return 0;
}
