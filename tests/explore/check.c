#include "tests/explore/check.h"

#include <string.h>

/* ---- sets ---- */

static uint64_t hash(const void *data, size_t size, uint64_t h)
{
    const unsigned char *at = data;
    uint64_t word;
    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&word, at, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    for (; size > 0; size--)
        h = (h ^ *at++) * 0x100000001b3ull;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
    return (h ^ h >> 32) | 1;
}

void seen_forget(struct seen *seen)
{
    seen->age++;
    seen->n = 0;
}

static void put(struct seen *seen, uint64_t h)
{
    size_t i = h & (seen->room - 1);
    while (seen->ages[i] == seen->age && seen->slots[i] != h)
        i = (i + 1) & (seen->room - 1);
    seen->ages[i] = seen->age;
    seen->slots[i] = h;
}

static void widen(struct seen *seen)
{
    struct seen old = *seen;
    seen->room = old.room ? old.room * 4 : 4096;
    seen->slots = calloc(seen->room, sizeof *seen->slots);
    seen->ages = calloc(seen->room, sizeof *seen->ages);
    seen->age = 1;
    MUST(seen->slots && seen->ages);
    for (size_t i = 0; i < old.room; i++)
        if (old.ages[i] == old.age)
            put(seen, old.slots[i]);
    free(old.slots);
    free(old.ages);
}

bool seen_add(struct seen *seen, const void *state, size_t size, uint64_t note)
{
    if (seen->n * 2 >= seen->room)
        widen(seen);
    uint64_t h = hash(state, size, note * 0x9e3779b97f4a7c15ull + 1);
    size_t i = h & (seen->room - 1);
    for (; seen->ages[i] == seen->age; i = (i + 1) & (seen->room - 1))
        if (seen->slots[i] == h)
            return false;
    seen->ages[i] = seen->age;
    seen->slots[i] = h;
    seen->n++;
    return true;
}

/* ---- the search ---- */

enum { POSTPONED = 99 }; /* `look` of a choice that has let others run */

struct search {
    const struct network *net;
    const struct history *history;
    int workers;
    struct outcome told; /* by the history */
    struct seen seen;
};

static bool has_seen(const struct search *search, const struct m_state *s, unsigned actor)
{
    const struct m_actor *a = &s->actors[actor];
    const struct op *op = model_op(search->net, s, actor);
    if (actor == janitor_of(search->net))
        return true;
    const struct sight *sight = &search->told.seen[actor][a->pc];
    if (sight->how == 2)
        return is_hard(op) && a->status != S_OK &&
               (sight->status == S_OK || sight->status == a->status);
    return sight->how == 1 && sight->status == a->status && sight->guard == a->guard &&
           sight->value == a->value;
}

/* Whatever is done must have been seen. */
static bool agrees(const struct search *search, const struct m_state *s)
{
    for (unsigned a = 0; a < search->net->n_actors; a++)
        if (s->actors[a].phase == DONE && !has_seen(search, s, a))
            return false;
    return true;
}

static bool happens(const struct search *search, struct m_state *s, const struct event *event)
{
    const struct network *net = search->net;
    struct m_actor *a = &s->actors[event->actor];
    switch (event->what) {
    case BEGINS:
        if (a->phase != READY || a->pc >= net->actors[event->actor].n_ops)
            return false;
        model_start(net, s, event->actor);
        return true;
    case RETURNS:
        if (a->phase != DONE || (a->status != S_OK && is_hard(model_op(net, s, event->actor))))
            return false;
        model_go_on(net, s, event->actor);
        return true;
    case ENDS:
        if (a->phase == READY && a->pc == net->actors[event->actor].n_ops)
            model_start(net, s, event->actor);
        else if (a->phase == DONE && a->status != S_OK && is_hard(model_op(net, s, event->actor)))
            model_die(s, event->actor);
        else
            return false;
        return true;
    case TIME_IS_UP:
        if (!model_has_limit(net, s, event->actor))
            return false;
        model_time_is_up(net, s, event->actor);
        return agrees(search, s);
    default:
        return model_is_quiet(net, s);
    }
}

static bool search_from(struct search *search, const struct m_state *s, uint32_t at);

static bool search_steps(struct search *search, const struct m_state *s, uint32_t at,
                         unsigned actor, bool must)
{
    struct m_state next[MOST_STEPS + 1];
    unsigned how = search->workers == ONE_WORKER ? 0 : M_STEPWISE;
    unsigned n = model_step(search->net, s, actor, how, next);
    bool waits = false;
    for (unsigned i = 0; i < n; i++) {
        waits |= next[i].actors[actor].phase == WAITING;
        if (agrees(search, &next[i]) && search_from(search, &next[i], at))
            return true;
    }
    if (!must || !waits || !is_alt(model_op(search->net, s, actor)))
        return false;
    next[0] = *s;
    next[0].actors[actor].look = POSTPONED;
    return search_from(search, &next[0], at);
}

static bool search_from(struct search *search, const struct m_state *s, uint32_t at)
{
    if (!seen_add(&search->seen, s, sizeof *s, at))
        return false;
    unsigned n = search->net->n_actors + 1;
    for (unsigned a = 0; a < n && search->workers == ONE_WORKER; a++)
        if (s->actors[a].phase == RELEASING ||
            (s->actors[a].phase == INVOKED && s->actors[a].look != POSTPONED))
            return search_steps(search, s, at, a, true);
    for (unsigned a = 0; a < n; a++)
        if ((s->actors[a].phase == INVOKED || s->actors[a].phase == RELEASING) &&
            search_steps(search, s, at, a, false))
            return true;
    if (at == search->history->n)
        return model_is_over(search->net, s);
    struct m_state next = *s;
    return happens(search, &next, &search->history->events[at]) &&
           search_from(search, &next, at + 1);
}

bool check_history(const struct network *net, const struct history *history, int workers)
{
    static struct search search;
    struct m_state state;
    search.net = net;
    search.history = history;
    search.workers = workers;
    outcome_of(net, history, &search.told);
    seen_forget(&search.seen);
    model_begin(net, &state);
    return search_from(&search, &state, 0);
}

/* ---- what happened ---- */

void outcome_of(const struct network *net, const struct history *history, struct outcome *outcome)
{
    uint8_t pc[MOST_ACTORS + 1] = {0};
    bool busy[MOST_ACTORS + 1] = {false};
    memset(outcome, 0, sizeof *outcome);
    for (uint32_t i = 0; i < history->n; i++) {
        const struct event *event = &history->events[i];
        unsigned a = event->actor;
        struct sight *sight =
            a < net->n_actors && pc[a] < MOST_OPS ? &outcome->seen[a][pc[a]] : NULL;
        if (event->what == BEGINS)
            busy[a] = true;
        if (event->what == RETURNS) {
            if (sight)
                *sight = (struct sight){1, event->status, event->guard, event->value};
            pc[a]++;
            busy[a] = false;
        }
        if (event->what == ENDS && sight && busy[a])
            *sight = (struct sight){.how = 2, .status = event->status};
        if (event->what == ENDS)
            busy[a] = false;
        for (unsigned b = 0; event->what == QUIET && b < net->n_actors; b++)
            outcome->stuck |= (uint8_t)(busy[b] << b);
    }
}

static void print_sight(FILE *to, const struct op *op, const struct sight *sight)
{
    static const char *const status[] = {"", " retired", " poisoned"};
    op_print(to, op);
    if (sight->how == 2) {
        fprintf(to, ": ended by it%s", status[sight->status]);
        return;
    }
    fprintf(to, ":");
    if (is_alt(op) || sight->guard > 0)
        fprintf(to, " guard %u", sight->guard);
    fprintf(to, "%s", status[sight->status]);
    if (sight->value)
        fprintf(to, " read %u.%u.%u", (sight->value - 1) / MOST_GUARDS / MOST_OPS,
                (sight->value - 1) / MOST_GUARDS % MOST_OPS, (sight->value - 1) % MOST_GUARDS);
}

void outcome_print(FILE *to, const struct network *net, const struct outcome *outcome)
{
    for (unsigned a = 0; a < net->n_actors; a++) {
        fprintf(to, "  actor %u:", a);
        for (unsigned i = 0; i < net->actors[a].n_ops && outcome->seen[a][i].how; i++) {
            fprintf(to, "%s ", i ? ";" : "");
            print_sight(to, &net->actors[a].ops[i], &outcome->seen[a][i]);
        }
        fprintf(to, "%s\n", outcome->stuck & 1 << a ? " (had to be freed)" : "");
    }
}

void check_print(FILE *to, const struct network *net, const struct history *history)
{
    uint8_t pc[MOST_ACTORS + 1] = {0};
    for (uint32_t i = 0; i < history->n; i++) {
        const struct event *event = &history->events[i];
        const struct op *op = &net->actors[event->actor].ops[pc[event->actor] % MOST_OPS];
        fprintf(to, "  %2u: ", i);
        if (event->what != QUIET)
            fprintf(to, event->actor < net->n_actors ? "actor %u " : "janitor ", event->actor);
        switch (event->what) {
        case BEGINS:
            fprintf(to, "begins ");
            op_print(to, op);
            break;
        case RETURNS:
            print_sight(to, op, &(struct sight){1, event->status, event->guard, event->value});
            pc[event->actor]++;
            break;
        case ENDS:
            fprintf(to, "ends");
            break;
        case TIME_IS_UP:
            fprintf(to, "is told that its time is up");
            break;
        default:
            fprintf(to, "nobody can go on");
        }
        fprintf(to, "\n");
    }
}
