/* Sets of outcomes, and the set of all that the reference allows. */
#include <string.h>

#include "tests/explore/check.h"

static uint64_t hash_of(const struct outcome *outcome)
{
    uint64_t h = 0xcbf29ce484222325ull;
    const unsigned char *at = (const unsigned char *)outcome;
    for (size_t i = 0; i < sizeof *outcome; i++)
        h = (h ^ at[i]) * 0x100000001b3ull;
    return (h ^ h >> 31) * 0x9e3779b97f4a7c15ull | 1;
}

static size_t slot_of(const struct outcomes *set, const struct outcome *outcome, uint64_t h)
{
    size_t mask = set->room * 2 - 1, i = h & mask;
    while (set->hashes[i] && (set->hashes[i] != h ||
                              memcmp(&set->all[set->places[i]], outcome, sizeof *outcome) != 0))
        i = (i + 1) & mask;
    return i;
}

static void widen(struct outcomes *set)
{
    set->room = set->room ? set->room * 2 : 64;
    set->all = realloc(set->all, set->room * sizeof *set->all);
    free(set->hashes);
    free(set->places);
    set->hashes = calloc(set->room * 2, sizeof *set->hashes);
    set->places = calloc(set->room * 2, sizeof *set->places);
    MUST(set->all && set->hashes && set->places);
    for (size_t k = 0; k < set->n; k++) {
        uint64_t h = hash_of(&set->all[k]);
        size_t i = slot_of(set, &set->all[k], h);
        set->hashes[i] = h;
        set->places[i] = (uint32_t)k;
    }
}

bool outcomes_hold(const struct outcomes *set, const struct outcome *outcome)
{
    return set->room > 0 && set->hashes[slot_of(set, outcome, hash_of(outcome))] != 0;
}

bool outcomes_add(struct outcomes *set, const struct outcome *outcome)
{
    if (set->n == set->room)
        widen(set);
    uint64_t h = hash_of(outcome);
    size_t i = slot_of(set, outcome, h);
    if (set->hashes[i])
        return false;
    set->hashes[i] = h;
    set->places[i] = (uint32_t)set->n;
    set->all[set->n++] = *outcome;
    return true;
}

void outcomes_clear(struct outcomes *set)
{
    if (set->room > 0)
        memset(set->hashes, 0, set->room * 2 * sizeof *set->hashes);
    set->n = 0;
}

/* ---- all of them ---- */

struct walk {
    const struct network *net;
    unsigned how;
    struct outcomes *set;
    struct seen seen;
};

/* How far the network is, and what has been seen on the way. */
struct place {
    struct m_state state;
    struct outcome outcome;
};

static void walk_from(struct walk *walk, const struct place *place);

/* The actor comes back from an operation: what it has seen. False: it ends by it. */
static bool come_back(const struct walk *walk, struct place *place, unsigned actor)
{
    struct m_actor *a = &place->state.actors[actor];
    struct sight *sight = &place->outcome.seen[actor][a->pc];
    bool dies = a->status != S_OK && is_hard(model_op(walk->net, &place->state, actor));
    if (dies) {
        *sight = (struct sight){.how = 2};
        model_die(&place->state, actor);
        return false;
    }
    *sight = (struct sight){1, a->status, a->guard, a->value};
    model_go_on(walk->net, &place->state, actor);
    return true;
}

static void walk_step(struct walk *walk, const struct place *place, unsigned actor)
{
    struct m_state next[MOST_STEPS + 1];
    unsigned n = model_step(walk->net, &place->state, actor, walk->how, next);
    for (unsigned i = 0; i < n; i++) {
        struct place then = {next[i], place->outcome};
        /* what ends it at once leaves nobody the time to do anything between */
        if (then.state.actors[actor].phase == DONE && !come_back(walk, &then, actor)) {
            struct m_state gone;
            model_step(walk->net, &then.state, actor, walk->how, &gone);
            then.state = gone;
        }
        walk_from(walk, &then);
    }
}

static void walk_start(struct walk *walk, const struct place *place, unsigned actor)
{
    struct place then = *place;
    model_start(walk->net, &then.state, actor);
    walk_step(walk, &then, actor);
}

static void walk_quiet(struct walk *walk, const struct place *place)
{
    const struct network *net = walk->net;
    struct place then = *place;
    if (model_is_over(net, &then.state) && then.state.actors[janitor_of(net)].pc > 0) {
        outcomes_add(walk->set, &then.outcome);
        return;
    }
    bool any = false;
    for (unsigned a = 0; a < net->n_actors; a++)
        if (model_has_limit(net, &place->state, a)) {
            any = true;
            then = *place;
            model_time_is_up(net, &then.state, a);
            walk_from(walk, &then);
        }
    if (any)
        return;
    unsigned janitor = janitor_of(net);
    for (unsigned a = 0; a < net->n_actors; a++)
        if (then.state.actors[a].phase == WAITING || then.state.actors[a].phase == JOINING)
            then.outcome.stuck |= (uint8_t)(1 << a);
    for (unsigned c = 0; c < net->n_channels; c++) {
        struct m_state next;
        model_start(net, &then.state, janitor);
        model_step(net, &then.state, janitor, walk->how, &next);
        then.state = next;
        model_go_on(net, &then.state, janitor);
    }
    walk_from(walk, &then);
}

static void walk_from(struct walk *walk, const struct place *place)
{
    if (!seen_add(&walk->seen, place, sizeof *place, 0))
        return;
    bool any = false;
    for (unsigned a = 0; a < walk->net->n_actors; a++) {
        unsigned phase = place->state.actors[a].phase;
        if (phase == READY) {
            walk_start(walk, place, a);
            any = true;
        } else if (phase == DONE) {
            struct place then = *place;
            if (come_back(walk, &then, a))
                walk_from(walk, &then);
            else
                walk_step(walk, &then, a);
            any = true;
            if (then.state.actors[a].phase == READY)
                break; /* nobody else sees a difference */
        }
    }
    if (!any)
        walk_quiet(walk, place);
}

void outcomes_enumerate(const struct network *net, unsigned how, struct outcomes *set)
{
    static struct walk walk;
    walk.net = net;
    walk.how = how;
    walk.set = set;
    seen_forget(&walk.seen);
    outcomes_clear(set);
    struct place place;
    memset(&place, 0, sizeof place);
    model_begin(net, &place.state);
    walk_from(&walk, &place);
}
