/* Several workers, whose steps are decided one by one, against the reference: networks of a list,
   depth first, and random ones, by priority.

   several
   several deep [BOUND [MOST [PART]]]
       only the first kind: a worker is made to wait up to BOUND times; up to MOST runs of each
   several lots [N [FIRST]]
       only the second kind, from FIRST on
   several one SEED
       one of the second kind, told in full
   several again NAME DECISION:WHICH ...
       one of the first kind, told in full */
#include <string.h>

#include "tests/explore/control.h"

enum { TIMES = 16, CHANGES = 3 };

#define READ_(c)                                                                                   \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_READ, .pri = true, .n = 1, .guards = { {G_READ, c, false} }     \
    }
#define WRITE_(c)                                                                                  \
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
#define ALT2(k, c, l, d)                                                                           \
    {                                                                                              \
        .kind = CHOICE, .via = VIA_ALT, .pri = true, .n = 2, .guards = {                           \
            {k, c, false},                                                                         \
            {l, d, false}                                                                          \
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
#define ACTOR(w, count, ...)                                                                       \
    {                                                                                              \
        .n_ops = count, .parent = NOBODY, .worker = w, .ops = { __VA_ARGS__ }                      \
    }

static const struct known {
    const char *name;
    struct network net;
} known[] = {
    {"write-and-read",
     {1, 2, {{.width = 4}}, {ACTOR(0, 2, WRITE_(0), WRITE_(0)), ACTOR(1, 2, READ_(0), READ_(0))}}},
    {"there-and-back",
     {2,
      2,
      {{.width = 4}, {.width = 4, .shared = true}},
      {ACTOR(0, 2, WRITE_(0), READ_(1)), ACTOR(1, 2, READ_(0), WRITE_(1))}}},
    {"choices-meet",
     {2,
      2,
      {{.width = 4}, {.width = 4}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_WRITE, 1)), ACTOR(1, 1, ALT2(G_READ, 1, G_WRITE, 0))}}},
    {"choices-and-a-writer",
     {2,
      3,
      {{.width = 4}, {.width = 4, .shared = true}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_READ, 1)), ACTOR(1, 1, ALT2(G_WRITE, 1, G_READ, 0)),
       ACTOR(2, 1, WRITE_(0))}}},
    {"choices-in-a-circle",
     {3,
      3,
      {{.width = 4}, {.width = 4}, {.width = 4}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_WRITE, 1)), ACTOR(1, 1, ALT2(G_READ, 1, G_WRITE, 2)),
       ACTOR(2, 1, ALT2(G_READ, 2, G_WRITE, 0))}}},
    {"two-readers",
     {1,
      3,
      {{.width = 4}},
      {ACTOR(0, 2, WRITE_(0), TRY(G_WRITE, 0)), ACTOR(1, 1, READ_(0)), ACTOR(2, 1, READ_(0))}}},
    {"full-buffer",
     {1,
      3,
      {{.capacity = 1, .width = 4}},
      {ACTOR(0, 2, WRITE_(0), WRITE_(0)), ACTOR(1, 1, WRITE_(0)),
       ACTOR(2, 2, READ_(0), READ_(0))}}},
    {"buffer-and-choice",
     {2,
      2,
      {{.capacity = 1, .width = 4}, {.width = 4}},
      {ACTOR(0, 2, WRITE_(0), ALT2(G_WRITE, 0, G_WRITE, 1)),
       ACTOR(1, 2, ALT2(G_READ, 1, G_READ, 0), READ_(0))}}},
    {"lanes",
     {1,
      3,
      {{.capacity = 2, .width = 4}},
      {ACTOR(0, 2, WRITE_(0), WRITE_(0)), ACTOR(1, 1, WRITE_(0)),
       ACTOR(2, 3, READ_(0), READ_(0), READ_(0))}}},
    {"lanes-of-two-readers",
     {1,
      3,
      {{.capacity = 2, .width = 4}},
      {ACTOR(0, 3, WRITE_(0), TRY(G_WRITE, 0), WRITE_(0)), ACTOR(1, 1, READ_(0)),
       ACTOR(2, 2, TRY(G_READ, 0), READ_(0))}}},
    {"lanes-and-a-choice",
     {2,
      3,
      {{.capacity = 2, .width = 4}, {.width = 4}},
      {ACTOR(0, 2, WRITE_(0), ALT2(G_WRITE, 0, G_WRITE, 1)), ACTOR(1, 1, WRITE_(0)),
       ACTOR(2, 3, READ_(0), ALT2(G_READ, 1, G_READ, 0), READ_(0))}}},
    {"lanes-refilled",
     {2,
      3,
      {{.capacity = 2, .width = 4}, {.width = 4}},
      {ACTOR(0, 4, WRITE_(0), WRITE_(0), WRITE_(0), WRITE_(1)), ACTOR(1, 1, TRY(G_WRITE, 0)),
       ACTOR(2, 4, READ_(0), READ_(1), READ_(0), READ_(0))}}},
    {"lanes-and-poison",
     {1,
      3,
      {{.capacity = 2, .width = 4}},
      {ACTOR(0, 2, CHECKED(G_WRITE, 0), CHECKED(G_WRITE, 0)), ACTOR(1, 2, CHECKED(G_WRITE, 0), POISON_(0)),
       ACTOR(2, 2, CHECKED(G_READ, 0), CHECKED(G_READ, 0))}}},
    {"lanes-and-retirement",
     {1,
      2,
      {{.capacity = 2, .width = 4}},
      {ACTOR(0, 2, WRITE_(0), WRITE_(0)),
       ACTOR(1, 3, CHECKED(G_READ, 0), CHECKED(G_READ, 0), CHECKED(G_READ, 0))}}},
    {"poison",
     {1,
      2,
      {{.width = 4}},
      {ACTOR(0, 2, CHECKED(G_WRITE, 0), POISON_(0)),
       ACTOR(1, 2, CHECKED(G_READ, 0), CHECKED(G_READ, 0))}}},
    {"poison-from-elsewhere",
     {1,
      3,
      {{.width = 4}},
      {ACTOR(0, 1, CHECKED(G_WRITE, 0)), ACTOR(1, 1, CHECKED(G_READ, 0)),
       ACTOR(2, 1, POISON_(0))}}},
    {"poison-and-a-choice",
     {2,
      2,
      {{.width = 4}, {.width = 4}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_READ, 1)),
       ACTOR(1, 2, CHECKED(G_READ, 0), CHECKED(G_WRITE, 1))}}},
    {"poison-twice",
     {3,
      2,
      {{.width = 4}, {.width = 4}, {.width = 4}},
      {ACTOR(0, 1, ALT2(G_READ, 1, G_READ, 2)),
       {.n_ops = 1, .parent = NOBODY, .worker = 1, .ends = {0, 1 << 1}, .ops = {READ_(0)}}}}},
    {"poison-of-a-buffer",
     {1,
      2,
      {{.capacity = 1, .width = BYTES}},
      {ACTOR(0, 3, CHECKED(G_WRITE, 0), CHECKED(G_WRITE, 0), POISON_(0)),
       ACTOR(1, 2, CHECKED(G_READ, 0), CHECKED(G_READ, 0))}}},
    {"retirement",
     {1,
      2,
      {{.width = 4}},
      {ACTOR(0, 1, WRITE_(0)), ACTOR(1, 2, CHECKED(G_READ, 0), CHECKED(G_READ, 0))}}},
    {"reader-retires",
     {1,
      2,
      {{.capacity = 1, .width = 4}},
      {ACTOR(0, 3, CHECKED(G_WRITE, 0), CHECKED(G_WRITE, 0), CHECKED(G_WRITE, 0)),
       ACTOR(1, 1, READ_(0))}}},
    {"choice-and-retirement",
     {2,
      2,
      {{.width = 4}, {.width = 4}},
      {ACTOR(0, 2, ALT2(G_READ, 0, G_READ, 1), ALT2(G_READ, 0, G_READ, 1)),
       ACTOR(1, 2, WRITE_(1), RETIRE_(G_WRITE, 0))}}},
    {"trying",
     {1,
      2,
      {{.width = 4}},
      {ACTOR(0, 2, TRY(G_WRITE, 0), WRITE_(0)), ACTOR(1, 2, TRY(G_READ, 0), READ_(0))}}},
    {"a-limit",
     {1,
      2,
      {{.width = 4}},
      {ACTOR(0, 1, WRITE_(0)), ACTOR(1, 2, LIMITED(G_READ, 0), LIMITED(G_READ, 0))}}},
    {"limits-meet",
     {1,
      2,
      {{.width = 4, .shared = true}},
      {ACTOR(0, 1, LIMITED(G_WRITE, 0)), ACTOR(1, 1, LIMITED(G_READ, 0))}}},
    {"a-limit-and-a-choice",
     {2,
      2,
      {{.width = 4}, {.width = 4}},
      {ACTOR(0, 1,
             {.kind = CHOICE,
              .via = VIA_ALT,
              .pri = true,
              .n = 3,
              .guards = {{G_READ, 0, false}, {G_WRITE, 1, false}, {G_LATER, 0, false}}}),
       ACTOR(1, 1, ALT2(G_WRITE, 0, G_READ, 1))}}},
    {"long-by-pipe",
     {1,
      2,
      {{.width = 5000}},
      {ACTOR(0, 2, WRITE_(0), WRITE_(0)), ACTOR(1, 2, READ_(0), READ_(0))}}},
    {"long-shared",
     {1,
      2,
      {{.width = 5000, .shared = true}},
      {ACTOR(0, 2, WRITE_(0), WRITE_(0)), ACTOR(1, 2, READ_(0), READ_(0))}}},
    {"long-and-choice",
     {2,
      2,
      {{.width = 5000}, {.width = 100}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_WRITE, 1)), ACTOR(1, 1, ALT2(G_READ, 1, G_WRITE, 0))}}},
    {"two-in-a-worker",
     {2,
      3,
      {{.width = 4}, {.width = 4}},
      {ACTOR(0, 1, ALT2(G_READ, 0, G_READ, 1)), ACTOR(1, 1, WRITE_(0)), ACTOR(1, 1, WRITE_(1))}}},
    {"bias-taken-away",
     {1,
      3,
      {{.width = 4}},
      {ACTOR(0, 1, CHECKED(G_READ, 0)), ACTOR(0, 1, CHECKED(G_WRITE, 0)),
       ACTOR(1, 1, POISON_(0))}}},
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static struct {
    unsigned long runs, networks, complete, outcomes, strayed, marks;
    unsigned bad;
} total;
static struct seen seen;

/* Many orders of steps are the same order of events. */
static bool judge(void)
{
    if (!control_run())
        return false;
    total.runs++;
    total.marks += control->steps;
    total.strayed += control->strayed;
    return !seen_add(&seen, run->history.events, run->history.n * sizeof run->history.events[0],
                     0) ||
           check_history(&run->net, &run->history, SEVERAL_WORKERS);
}

static bool tell(const char *program, const char *how)
{
    total.bad++;
    printf("not by the rules; `%s %s` tells it\n", program, how);
    control_print(stdout);
    fflush(stdout);
    return false;
}

static bool deep(const char *program, const struct known *k, unsigned bound, unsigned long most)
{
    unsigned long first = total.runs, strayed = total.strayed;
    bool more = true;
    run->net = k->net;
    network_complete(&run->net);
    control->strategy = DEPTH_FIRST;
    control->bound = bound;
    control->n_decisions = 0;
    seen_forget(&seen);
    for (; more && total.runs - first < most; more = control_next())
        if (!judge()) {
            char how[2000];
            int n = snprintf(how, sizeof how, "again %s", k->name);
            for (unsigned d = 0; d < control->n_decisions && n < 1900; d++)
                if (control->made[d] > 0)
                    n += snprintf(how + n, sizeof how - (size_t)n, " %u:%u", d, control->made[d]);
            return tell(program, how);
        }
    total.networks++;
    total.complete += !more;
    printf("%-24s %8lu runs (%lu strayed), %s; %zu different ones\n", k->name, total.runs - first,
           total.strayed - strayed, more ? "not all" : "all", seen.n);
    fflush(stdout);
    return true;
}

/* One network and one order for each seed; TIMES orders for each network. */
static bool by_lots(uint64_t seed)
{
    network_random(&run->net, seed / TIMES, control->n_workers);
    control->strategy = BY_PRIORITY;
    control->seed = seed;
    control->n_changes = (unsigned)(seed % CHANGES + 1);
    control->expected = 200;
    return judge();
}

static bool lots(const char *program, unsigned long n, uint64_t first)
{
    for (uint64_t seed = first; seed < first + n; seed++) {
        if (seed % TIMES == 0)
            seen_forget(&seen);
        if (!by_lots(seed)) {
            char how[40];
            snprintf(how, sizeof how, "one %llu", (unsigned long long)seed);
            return tell(program, how);
        }
    }
    return true;
}

static bool again(int argc, char **argv)
{
    bool good = true;
    control->bound = MOST_DECISIONS;
    control->strategy = DEPTH_FIRST;
    for (const struct known *k = known; k < known + N_KNOWN; k++) {
        if (strcmp(k->name, argv[2]) != 0)
            continue;
        run->net = k->net;
        network_complete(&run->net);
        control->n_decisions = 0;
        for (int i = 3; i < argc; i++) {
            unsigned d, which;
            MUST(sscanf(argv[i], "%u:%u", &d, &which) == 2 && d < MOST_DECISIONS);
            while (control->n_decisions <= d)
                control->made[control->n_decisions++] = 0;
            control->made[d] = (uint8_t)which;
        }
        good = judge();
        control_print(stdout);
    }
    return good;
}

int main(int argc, char **argv)
{
    const char *setup = getenv("UVCSP_STRESS"), *mode = argc > 1 ? argv[1] : "";
    bool large = setup && strcmp(setup, "large") == 0, good = true;
    unsigned long bound = large ? 2 : 1, most = large ? 100000 : 1500, n = large ? 1000000 : 6000;
    uint64_t first = 0;
    control_init(MOST_WORKERS);
    control_start();
    if (strcmp(mode, "one") == 0 && argc > 2) {
        good = by_lots(strtoull(argv[2], NULL, 0));
        control_print(stdout);
        printf("%s\n", good ? "by the rules" : "not by the rules");
    } else if (strcmp(mode, "again") == 0 && argc > 2) {
        good = again(argc, argv);
        printf("%s\n", good ? "by the rules" : "not by the rules");
    } else {
        const char *part = argc > 4 ? argv[4] : "";
        if (strcmp(mode, "deep") == 0) {
            bound = argc > 2 ? strtoul(argv[2], NULL, 0) : bound;
            most = argc > 3 ? strtoul(argv[3], NULL, 0) : most;
        } else if (strcmp(mode, "lots") == 0) {
            n = argc > 2 ? strtoul(argv[2], NULL, 0) : n;
            first = argc > 3 ? strtoull(argv[3], NULL, 0) : first;
        }
        for (const struct known *k = known;
             k < known + N_KNOWN && good && strcmp(mode, "lots") != 0; k++)
            if (strstr(k->name, part))
                good = deep(argv[0], k, (unsigned)bound, most);
        if (good && strcmp(mode, "deep") != 0)
            good = lots(argv[0], n, first);
        printf("%lu runs of %.0f marks, %lu of them not as planned; %u not by the rules\n",
               total.runs, total.runs ? (double)total.marks / (double)total.runs : 0.0,
               total.strayed, total.bad);
    }
    control_stop();
    return !good;
}
