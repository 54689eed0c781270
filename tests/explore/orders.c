/* orders [STRIDE [PART]]: every network of some kinds, in every order in which one worker can run
   it. Each run has to be by the rules, and all together must reach every outcome that the reference
   has, if those who wait are served in the order in which they came and a fair choice goes on
   behind the guard that it took: that much the library decides by itself. What the contract allows
   beyond, where anybody who waits may be met and any guard taken, is counted.

   STRIDE: only every so many-th network. PART: only kinds whose name contains it. */
#include <string.h>

#include "tests/explore/light.h"

enum { MOST_WORDS = 48, MOST_LISTS = 2400, MOST_RUNS = 2000000 };

#define R(c)                                                                                       \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_READ, .pri = true, .n = 1, .guards = { {G_READ, c, false} }     \
    }
#define W(c)                                                                                       \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_READ, .pri = true, .n = 1, .guards = { {G_WRITE, c, false} }    \
    }
#define CHECKED(k, c)                                                                              \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_CHECKED, .pri = true, .n = 1, .guards = { {k, c, false} }       \
    }
#define TRY(k, c)                                                                                  \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_TRY, .pri = true, .n = 2, .guards = {                           \
            {k, c, false},                                                                         \
            {G_SKIP, 0, false}                                                                     \
        }                                                                                          \
    }
#define LIMITED(k, c)                                                                              \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_CHECKED, .pri = true, .n = 2, .guards = {                       \
            {k, c, false},                                                                         \
            {G_LATER, 0, false}                                                                    \
        }                                                                                          \
    }
#define ALT2(p, k, c, l, d)                                                                        \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_ALT, .pri = p, .n = 2, .guards = {                              \
            {k, c, false},                                                                         \
            {l, d, false}                                                                          \
        }                                                                                          \
    }
#define ALT3(p, k, c, l, d, m)                                                                     \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_ALT, .pri = p, .n = 3, .guards = {                              \
            {k, c, false},                                                                         \
            {l, d, false},                                                                         \
            {m, 0, false}                                                                          \
        }                                                                                          \
    }
#define POISON_(c)                                                                                 \
    {                                                                                              \
        .kind = POISONS, .n = 1, .guards = { {G_READ, c, false} }                                  \
    }
#define RETIRE_(k, c)                                                                              \
    {                                                                                              \
        .kind = RETIRES, .n = 1, .guards = { {k, c, false} }                                       \
    }

/* No two fair choices begin with one end: then none displaces the other's mark, and the library's
   table of such marks, which is filled by and by, never has to say where one begins. */

/* Networks of `n_actors`, each of which does one list of up to `length` of these; no two orders of
 * the lists. */
struct kind {
    const char *name;
    unsigned n_channels, n_actors, length, stride;
    struct op words[MOST_WORDS];
};

static const struct kind kinds[] = {
    {"two actors, one channel",
     1,
     2,
     2,
     1,
     {R(0), W(0), CHECKED(G_READ, 0), CHECKED(G_WRITE, 0), TRY(G_READ, 0), TRY(G_WRITE, 0),
      LIMITED(G_READ, 0), LIMITED(G_WRITE, 0), ALT2(true, G_READ, 0, G_WRITE, 0),
      ALT2(false, G_READ, 0, G_LATER, 0), POISON_(0), RETIRE_(G_READ, 0), RETIRE_(G_WRITE, 0)}},
    {"three actors, one channel",
     1,
     3,
     2,
     64,
     {R(0), W(0), TRY(G_READ, 0), TRY(G_WRITE, 0), ALT2(true, G_WRITE, 0, G_READ, 0), POISON_(0)}},
    {"three actors, two channels",
     2,
     3,
     1,
     1,
     {R(0), W(0), R(1), W(1), TRY(G_READ, 0), TRY(G_WRITE, 0), POISON_(0), RETIRE_(G_READ, 1),
      ALT2(true, G_READ, 0, G_READ, 1), ALT2(true, G_READ, 0, G_WRITE, 1),
      ALT2(true, G_WRITE, 0, G_READ, 1), ALT2(true, G_WRITE, 1, G_WRITE, 0),
      ALT2(false, G_READ, 1, G_READ, 0), ALT2(false, G_WRITE, 0, G_READ, 1),
      ALT2(false, G_WRITE, 0, G_WRITE, 1), ALT3(false, G_READ, 0, G_WRITE, 1, G_LATER),
      ALT3(true, G_WRITE, 0, G_READ, 1, G_SKIP), ALT3(false, G_WRITE, 1, G_WRITE, 0, G_NOW)}},
    {"two actors, two channels",
     2,
     2,
     2,
     4,
     {R(0), W(0), R(1), W(1), TRY(G_READ, 1), POISON_(1), RETIRE_(G_WRITE, 0),
      ALT2(true, G_READ, 0, G_READ, 1), ALT2(true, G_READ, 1, G_WRITE, 0),
      ALT2(false, G_WRITE, 0, G_READ, 1), ALT2(false, G_WRITE, 1, G_WRITE, 0),
      ALT3(true, G_READ, 0, G_WRITE, 1, G_LATER)}},
    {"four actors, two channels",
     2,
     4,
     1,
     16,
     {R(0), W(0), R(1), W(1), ALT2(true, G_READ, 0, G_READ, 1), ALT2(true, G_WRITE, 0, G_READ, 1),
      ALT2(false, G_WRITE, 1, G_WRITE, 0), ALT2(false, G_READ, 0, G_WRITE, 1)}},
};

static struct {
    unsigned long networks, runs, outcomes, allowed;
    unsigned bad;
} total;

static void tell(const char *what, const struct choices *choices)
{
    total.bad++;
    printf("%s\n", what);
    network_print(stdout, &run->net);
    if (!choices)
        return;
    printf("  choices:");
    for (unsigned i = 0; i < choices->n; i++)
        printf(" %u/%u", choices->made[i], choices->among[i]);
    printf("\n");
    check_print(stdout, &run->net, &run->history);
}

static void explore(void)
{
    static struct outcomes own, all, reached;
    struct choices choices = {.n = 0};
    outcomes_enumerate(&run->net, M_MARKS, &own);
    outcomes_enumerate(&run->net, M_ANY, &all);
    outcomes_clear(&reached);
    unsigned long runs = 0;
    do {
        struct outcome outcome;
        light_run_chosen(&choices);
        outcome_of(&run->net, &run->history, &outcome);
        if (!check_history(&run->net, &run->history, ONE_WORKER))
            tell("this run is not by the rules", &choices);
        else if (!outcomes_hold(&own, &outcome))
            tell("this outcome is not one that the library should reach", &choices);
        outcomes_add(&reached, &outcome);
        MUST(++runs < MOST_RUNS);
    } while (total.bad < 5 && light_next(&choices));
    for (size_t i = 0; i < own.n && total.bad < 5; i++) {
        if (!outcomes_hold(&reached, &own.all[i])) {
            tell("this outcome is never reached", NULL);
            outcome_print(stdout, &run->net, &own.all[i]);
        }
        if (!outcomes_hold(&all, &own.all[i]))
            tell("this outcome the contract does not allow", NULL);
    }
    total.networks++;
    total.runs += runs;
    total.outcomes += own.n;
    total.allowed += all.n;
}

/* ---- which networks ---- */

static unsigned n_words(const struct kind *kind)
{
    unsigned n = 0;
    while (n < MOST_WORDS && kind->words[n].n > 0)
        n++;
    return n;
}

/* The list of that number: one word, or two. */
static void set_list(struct actor *actor, const struct kind *kind, unsigned number)
{
    unsigned n = n_words(kind);
    memset(actor, 0, sizeof *actor);
    actor->parent = NOBODY;
    if (number >= n) {
        number -= n;
        actor->ops[actor->n_ops++] = kind->words[number / n];
        number %= n;
    }
    actor->ops[actor->n_ops++] = kind->words[number];
}

static void explore_kind(const struct kind *kind, unsigned stride)
{
    unsigned words = n_words(kind), lists = kind->length == 1 ? words : words + words * words;
    unsigned list[MOST_ACTORS] = {0}, n = kind->n_actors;
    unsigned long networks = total.networks, runs = total.runs, outcomes = total.outcomes,
                  allowed = total.allowed;
    unsigned long k = 0;
    for (;;) {
        for (unsigned capacities = 0; capacities < 1u << kind->n_channels; capacities++) {
            if (k++ % stride != 0)
                continue;
            memset(&run->net, 0, sizeof run->net);
            run->net.n_channels = (uint8_t)kind->n_channels;
            run->net.n_actors = (uint8_t)n;
            for (unsigned c = 0; c < kind->n_channels; c++) {
                run->net.channels[c].capacity = capacities >> c & 1;
                run->net.channels[c].width = 4;
            }
            for (unsigned a = 0; a < n; a++)
                set_list(&run->net.actors[a], kind, list[a]);
            network_complete(&run->net);
            explore();
            if (total.bad >= 5)
                return;
        }
        unsigned a = n; /* the next multiset of lists */
        while (a > 0 && list[a - 1] == lists - 1)
            a--;
        if (a == 0)
            break;
        for (unsigned next = ++list[a - 1]; a < n; a++)
            list[a] = next;
    }
    printf("%s%s: %lu networks, %lu runs; %lu outcomes, all reached, of %lu that the contract "
           "allows\n",
           kind->name, stride > 1 ? " (not all of them)" : "", total.networks - networks,
           total.runs - runs, total.outcomes - outcomes, total.allowed - allowed);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    light_init();
    const char *setup = getenv("UVCSP_STRESS");
    bool large = setup && strcmp(setup, "large") == 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && total.bad < 5; i++) {
        unsigned stride = argc > 1 ? (unsigned)atoi(argv[1]) : large ? 1 : kinds[i].stride;
        if (argc <= 2 || strstr(kinds[i].name, argv[2]))
            explore_kind(&kinds[i], stride);
    }
    return total.bad > 0;
}
