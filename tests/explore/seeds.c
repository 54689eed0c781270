/* seeds [N [FIRST]]: random networks in one worker, whose scheduler has a seed, against the
   reference.
   seeds one SEED: this one, told in full. */
#include <string.h>

#include "tests/explore/light.h"

enum { FEW = 20000, MANY = 1000000 };

/* Every eighth is first in, first out. */
static uint64_t order_of(uint64_t seed)
{
    return seed % 8 == 0 ? 0 : (seed + 1) * 0x9e3779b97f4a7c15ull;
}

static bool try_seed(uint64_t seed, bool talk)
{
    network_random(&run->net, seed, 1);
    if (talk)
        network_print(stdout, &run->net);
    light_run_seeded(order_of(seed));
    bool good = check_history(&run->net, &run->history, ONE_WORKER);
    if (talk)
        check_print(stdout, &run->net, &run->history);
    return good;
}

static void count(unsigned long *counts)
{
    for (uint32_t i = 0; i < run->history.n; i++) {
        const struct event *event = &run->history.events[i];
        counts[0] += event->what == BEGINS;
        counts[1] += event->what == RETURNS && event->value > 0;
    }
    struct outcome outcome;
    outcome_of(&run->net, &run->history, &outcome);
    counts[2] += outcome.stuck != 0;
}

int main(int argc, char **argv)
{
    light_init();
    if (argc == 3 && strcmp(argv[1], "one") == 0) {
        bool good = try_seed(strtoull(argv[2], NULL, 0), true);
        printf("%s\n", good ? "by the rules" : "NOT by the rules");
        return !good;
    }
    const char *setup = getenv("UVCSP_STRESS");
    unsigned long n = setup && strcmp(setup, "large") == 0 ? MANY : FEW;
    n = argc > 1 ? strtoul(argv[1], NULL, 0) : n;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    unsigned long bad = 0, counts[3] = {0};
    for (uint64_t seed = first; seed < first + n && bad < 10; seed++) {
        if (!try_seed(seed, false)) {
            bad++;
            printf("seed %llu: not by the rules; `%s one %llu` tells it\n",
                   (unsigned long long)seed, argv[0], (unsigned long long)seed);
        }
        count(counts);
    }
    printf("%lu networks: %lu operations, %lu messages, %lu networks came to a standstill; %lu not "
           "by the rules\n",
           n, counts[0], counts[1], counts[2], bad);
    return bad > 0;
}
