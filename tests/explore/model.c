#include "tests/explore/model.h"

#include <string.h>

static unsigned offer_of(unsigned actor, unsigned guard)
{
    return actor * MOST_GUARDS + guard;
}

static void withdraw(struct m_state *s, unsigned actor)
{
    for (unsigned c = 0; c < MOST_CHANNELS; c++)
        for (int side = 0; side < 2; side++) {
            struct m_channel *channel = &s->channels[c];
            unsigned n = 0;
            for (unsigned i = 0; i < channel->n_waiting[side]; i++)
                if (channel->waiting[side][i] / MOST_GUARDS != actor)
                    channel->waiting[side][n++] = channel->waiting[side][i];
            memset(&channel->waiting[side][n], 0, channel->n_waiting[side] - n);
            channel->n_waiting[side] = (uint8_t)n;
        }
}

static void done(struct m_state *s, unsigned actor, unsigned guard, enum status status,
                 uint8_t value)
{
    struct m_actor *a = &s->actors[actor];
    if (a->phase == WAITING)
        withdraw(s, actor);
    a->phase = DONE;
    a->guard = (uint8_t)guard;
    a->status = (uint8_t)status;
    a->value = value;
    a->look = a->start = 0;
}

/* ---- the end of a channel ---- */

static void tell_all(struct m_state *s, unsigned c, enum status status)
{
    struct m_channel *channel = &s->channels[c];
    for (int side = 0; side < 2; side++)
        while (channel->n_waiting[side] > 0) {
            unsigned offer = channel->waiting[side][0];
            done(s, offer / MOST_GUARDS, offer % MOST_GUARDS, status, 0);
        }
}

static void drop_buffer(struct m_channel *channel)
{
    channel->n = 0;
    memset(channel->held, 0, sizeof channel->held);
}

static void poison(struct m_state *s, unsigned c)
{
    if (s->channels[c].poisoned)
        return;
    s->channels[c].poisoned = 1;
    drop_buffer(&s->channels[c]);
    tell_all(s, c, S_POISONED);
}

static void retire(const struct network *net, struct m_state *s, unsigned actor, unsigned c,
                   unsigned side)
{
    struct m_actor *a = &s->actors[actor];
    struct m_channel *channel = &s->channels[c];
    if (!(a->ends[side] & 1 << c))
        return;
    a->ends[side] &= (uint8_t) ~(1 << c);
    if (--channel->n_ends[side] > 0)
        return;
    channel->over |= (uint8_t)(1 << side);
    tell_all(s, c, S_RETIRED);
    if (side == READS && !net->channels[c].lenient)
        drop_buffer(channel);
}

/* ---- the end of an actor ---- */

static void join_ends(const struct network *net, struct m_state *s, unsigned actor,
                      const uint8_t given[2])
{
    for (int side = 0; side < 2; side++)
        for (unsigned c = 0; c < net->n_channels; c++) {
            if (!(net->actors[actor].ends[side] & 1 << c))
                continue;
            struct m_channel *channel = &s->channels[c];
            if (net->channels[c].lenient & 2)
                channel->over &= (uint8_t) ~(1 << side);
            if (channel->over & 1 << side)
                continue;
            channel->n_ends[side]++;
            s->actors[actor].ends[side] |= (uint8_t)(1 << c);
            if (!(given[side] & 1 << c))
                retire(net, s, actor, c, (unsigned)side);
        }
}

static void be_gone(const struct network *net, struct m_state *s, unsigned actor)
{
    s->actors[actor].phase = GONE;
    unsigned parent = net->actors[actor].parent;
    if (parent != NOBODY && --s->actors[parent].left == 0)
        done(s, parent, 0, S_OK, 0);
}

/* Writing ends go first, and of a side the last one: the order in which they are listed. */
static void release_one(const struct network *net, struct m_state *s, unsigned actor)
{
    struct m_actor *a = &s->actors[actor];
    for (unsigned side = 2; side-- > 0;)
        for (unsigned c = net->n_channels; c-- > 0;) {
            if (!(a->ends[side] & 1 << c))
                continue;
            if (a->status == S_POISONED && !net->channels[c].lenient)
                poison(s, c);
            retire(net, s, actor, c, side);
            return;
        }
    be_gone(net, s, actor);
}

void model_die(struct m_state *state, unsigned actor)
{
    state->actors[actor].phase = RELEASING;
}

/* ---- a choice ---- */

enum { WAITS, TAKEN, NO_SUCH };

/* Makes the channel's first, or `pick`-th, partner of that side go on. `met`: who. */
static bool take(struct m_state *s, unsigned c, unsigned side, unsigned pick, uint8_t value,
                 unsigned *metp)
{
    if (pick >= s->channels[c].n_waiting[side])
        return false;
    *metp = s->channels[c].waiting[side][pick];
    done(s, *metp / MOST_GUARDS, *metp % MOST_GUARDS, S_OK, value);
    return true;
}

static uint8_t written_by(const struct m_state *s, unsigned offer)
{
    unsigned actor = offer / MOST_GUARDS;
    return value_of(actor, s->actors[actor].pc, offer % MOST_GUARDS);
}

static int take_read(struct m_state *s, unsigned actor, unsigned g, unsigned c, unsigned capacity,
                     unsigned pick)
{
    struct m_channel *channel = &s->channels[c];
    unsigned met;
    if (channel->n > 0) {
        uint8_t value = channel->held[0];
        if (pick > 0 && pick >= channel->n_waiting[WRITES])
            return NO_SUCH;
        channel->held[0] = channel->held[1];
        channel->held[--channel->n] = 0;
        if (take(s, c, WRITES, pick, 0, &met))
            channel->held[channel->n++] = written_by(s, met);
        done(s, actor, g, S_OK, value);
        return TAKEN;
    }
    if (capacity == 0 && take(s, c, WRITES, pick, 0, &met)) {
        done(s, actor, g, S_OK, written_by(s, met));
        return TAKEN;
    }
    return pick ? NO_SUCH : WAITS;
}

static int take_write(struct m_state *s, unsigned actor, unsigned g, unsigned c, unsigned capacity,
                      unsigned pick)
{
    struct m_channel *channel = &s->channels[c];
    uint8_t value = value_of(actor, s->actors[actor].pc, g);
    unsigned met;
    if (!take(s, c, READS, pick, value, &met)) {
        if (pick > 0)
            return NO_SUCH;
        if (channel->n >= capacity)
            return WAITS;
        channel->held[channel->n++] = value;
    }
    done(s, actor, g, S_OK, 0);
    return TAKEN;
}

/* One guard, if it is ready. `pick`: which partner, of several. */
static int take_guard(const struct network *net, struct m_state *s, unsigned actor, unsigned g,
                      unsigned pick)
{
    const struct guard *guard = &model_op(net, s, actor)->guards[g];
    if (guard->off)
        return pick ? NO_SUCH : WAITS;
    if (!communicates(guard)) {
        if (pick == 0 && guard->kind != G_LATER)
            done(s, actor, g, S_OK, 0);
        return pick ? NO_SUCH : guard->kind == G_LATER ? WAITS : TAKEN;
    }
    unsigned c = guard->channel, side = guard->kind, capacity = net->channels[c].capacity;
    struct m_channel *channel = &s->channels[c];
    enum status status = channel->poisoned                            ? S_POISONED
                         : !(s->actors[actor].ends[side] & 1 << c)    ? S_RETIRED
                         : channel->over && (side || channel->n == 0) ? S_RETIRED
                                                                      : S_OK;
    if (status == S_OK)
        return side == READS ? take_read(s, actor, g, c, capacity, pick)
                             : take_write(s, actor, g, c, capacity, pick);
    if (pick == 0)
        done(s, actor, g, status, 0);
    return pick ? NO_SUCH : TAKEN;
}

/* All ways in which the guard can be taken: their number. */
static unsigned ways(const struct network *net, const struct m_state *s, unsigned actor, unsigned g,
                     unsigned how, struct m_state *next)
{
    unsigned n = 0;
    for (unsigned pick = 0; pick == 0 || (how & M_ANY && n < MOST_STEPS / MOST_GUARDS); pick++) {
        next[n] = *s;
        int rc = take_guard(net, &next[n], actor, g, pick);
        if (rc != TAKEN)
            break;
        n++;
    }
    return n;
}

static void offer(const struct network *net, struct m_state *s, unsigned actor)
{
    const struct op *op = model_op(net, s, actor);
    s->actors[actor].phase = WAITING;
    s->actors[actor].look = s->actors[actor].start = 0;
    for (unsigned g = 0; g < op->n; g++) {
        const struct guard *guard = &op->guards[g];
        if (!communicates(guard) || guard->off)
            continue;
        struct m_channel *channel = &s->channels[guard->channel];
        MUST(channel->n_waiting[guard->kind] < MOST_OFFERS);
        channel->waiting[guard->kind][channel->n_waiting[guard->kind]++] =
            (uint8_t)offer_of(actor, g);
    }
}

/* A guard that is taken only if no other is. */
static bool comes_last(const struct op *op, unsigned g)
{
    return op->guards[g].kind == G_NOW && !op->pri;
}

/* The guards in their order from the first: the ways of the first that is ready; 0: none is. */
static unsigned first_ready(const struct network *net, const struct m_state *s, unsigned actor,
                            unsigned start, unsigned how, struct m_state *next)
{
    const struct op *op = model_op(net, s, actor);
    for (int last = 0; last < 2; last++)
        for (unsigned k = 0; k < op->n; k++) {
            unsigned g = (start + k) % op->n;
            unsigned n = comes_last(op, g) == last ? ways(net, s, actor, g, how, next) : 0;
            if (n > 0)
                return n;
        }
    return 0;
}

static bool same_guards(const struct op *a, const struct op *b)
{
    return a->n == b->n && memcmp(a->guards, b->guards, a->n * sizeof a->guards[0]) == 0;
}

/* Where the choice begins, and what it notes for the next time. */
static unsigned mark_of(const struct network *net, const struct m_state *s, unsigned actor)
{
    const struct m_actor *a = &s->actors[actor];
    const struct op *op = model_op(net, s, actor);
    bool noted = a->key > 0 && same_guards(op, &net->actors[actor].ops[a->key - 1]);
    return noted ? a->next % op->n : 0;
}

static void note_mark(const struct network *net, struct m_state *s, unsigned actor)
{
    struct m_actor *a = &s->actors[actor];
    const struct op *op = model_op(net, s, actor);
    if (op->kind != CHOICE || op->pri || op->n < 2)
        return;
    a->key = (uint8_t)(a->pc + 1);
    a->next = (uint8_t)(a->guard + 1);
}

static unsigned choose_at_once(const struct network *net, const struct m_state *s, unsigned actor,
                               unsigned how, struct m_state *next)
{
    const struct op *op = model_op(net, s, actor);
    unsigned n = 0;
    if (op->pri || how & M_MARKS)
        n = first_ready(net, s, actor, op->pri ? 0 : mark_of(net, s, actor), how, next);
    else
        for (unsigned g = 0; g < op->n; g++)
            n += ways(net, s, actor, g, how, &next[n]);
    if (n > 0)
        return n;
    next[0] = *s;
    offer(net, &next[0], actor);
    return 1;
}

/* One look of a choice among several. Where all have been in vain, it looks once more at everything
 * at once. */
static unsigned choose_stepwise(const struct network *net, const struct m_state *s, unsigned actor,
                                unsigned how, struct m_state *next)
{
    const struct op *op = model_op(net, s, actor);
    const struct m_actor *a = &s->actors[actor];
    unsigned n = 0;
    for (unsigned g = 0; g < op->n && a->look == op->n; g++)
        if (comes_last(op, g) && (n = ways(net, s, actor, g, how, next)) > 0)
            return n;
    if (a->look == op->n) {
        n = first_ready(net, s, actor, 0, how, next);
        next[n] = *s;
        if (n == 0)
            offer(net, &next[n++], actor);
        return n;
    }
    unsigned starts = a->look > 0 || op->pri ? 1 : op->n;
    for (unsigned i = 0; i < starts; i++) {
        unsigned start = a->look > 0 ? a->start : i, g = (start + a->look) % op->n;
        unsigned w = comes_last(op, g) ? 0 : ways(net, s, actor, g, how, &next[n]);
        if (w == 0) {
            next[n] = *s;
            next[n].actors[actor].look++;
            next[n].actors[actor].start = (uint8_t)start;
            w = 1;
        }
        n += w;
    }
    return n;
}

/* ---- all steps ---- */

static void run_children(const struct network *net, struct m_state *s, unsigned actor,
                         const struct op *op)
{
    struct m_actor *a = &s->actors[actor];
    a->phase = JOINING;
    a->left = (uint8_t)(op->last - op->first + 1);
    for (unsigned b = op->first; b <= op->last; b++) {
        s->actors[b].phase = READY;
        join_ends(net, s, b, a->ends);
    }
}

unsigned model_step(const struct network *net, const struct m_state *state, unsigned actor,
                    unsigned how, struct m_state *next)
{
    const struct op *op = model_op(net, state, actor);
    if (state->actors[actor].phase == RELEASING) {
        *next = *state;
        do
            release_one(net, next, actor);
        while (!(how & M_STEPWISE) && next->actors[actor].phase == RELEASING);
        return 1;
    }
    if (op->kind == CHOICE)
        return how & M_STEPWISE && is_alt(op) ? choose_stepwise(net, state, actor, how, next)
                                              : choose_at_once(net, state, actor, how, next);
    *next = *state;
    if (op->kind == RUNS) {
        run_children(net, next, actor, op);
        return 1;
    }
    if (op->kind == POISONS)
        poison(next, op->guards[0].channel);
    else
        retire(net, next, actor, op->guards[0].channel, op->guards[0].kind);
    done(next, actor, 0, S_OK, 0);
    return 1;
}

void model_begin(const struct network *net, struct m_state *state)
{
    memset(state, 0, sizeof *state);
    for (unsigned a = 0; a <= net->n_actors; a++)
        if (net->actors[a].parent == NOBODY) {
            state->actors[a].phase = READY;
            join_ends(net, state, a, net->actors[a].ends);
        }
}

void model_start(const struct network *net, struct m_state *state, unsigned actor)
{
    struct m_actor *a = &state->actors[actor];
    a->phase = a->pc < net->actors[actor].n_ops ? INVOKED : RELEASING;
    a->status = S_OK;
}

void model_go_on(const struct network *net, struct m_state *state, unsigned actor)
{
    struct m_actor *a = &state->actors[actor];
    note_mark(net, state, actor);
    a->phase = READY;
    a->pc++;
    a->status = a->guard = a->value = 0;
}

static int limit_of(const struct network *net, const struct m_state *state, unsigned actor)
{
    const struct op *op = model_op(net, state, actor);
    for (unsigned g = 0; g < op->n && state->actors[actor].phase == WAITING; g++)
        if (op->guards[g].kind == G_LATER && !op->guards[g].off)
            return (int)g;
    return -1;
}

bool model_has_limit(const struct network *net, const struct m_state *state, unsigned actor)
{
    return limit_of(net, state, actor) >= 0;
}

void model_time_is_up(const struct network *net, struct m_state *state, unsigned actor)
{
    done(state, actor, (unsigned)limit_of(net, state, actor), S_OK, 0);
}

bool model_is_quiet(const struct network *net, const struct m_state *state)
{
    for (unsigned a = 0; a < net->n_actors; a++) {
        unsigned phase = state->actors[a].phase;
        if (phase != UNBORN && phase != WAITING && phase != JOINING && phase != GONE)
            return false;
        if (model_has_limit(net, state, a))
            return false;
    }
    return true;
}

bool model_is_over(const struct network *net, const struct m_state *state)
{
    for (unsigned a = 0; a < net->n_actors; a++)
        if (state->actors[a].phase != UNBORN && state->actors[a].phase != GONE)
            return false;
    return true;
}
