/* Whose turn it is, where that is not the first of the queue: with a seed, or when the loop's is due. */
#include <stdlib.h>

#include "runtime/report.h"
#include "runtime/scheduler.h"

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* One of the first eight of the queue, each as likely. The others keep their order, so nobody waits for ever. */
static struct usp_fibre *pick_seeded(void)
{
    unsigned n = 1;
    for (struct usp_fibre *fibre = usp_sched.head; n < 8 && (fibre = fibre->next);)
        n++;
    unsigned hops = (unsigned)(next_random(&usp_sched.seed) >> 32) % n;
    struct usp_fibre *before = NULL, *picked = usp_sched.head;
    while (hops-- > 0) {
        before = picked;
        picked = picked->next;
    }
    if (before)
        before->next = picked->next;
    else
        usp_sched.head = picked->next;
    if (usp_sched.tail == picked)
        usp_sched.tail = before;
    return picked;
}

/* Nobody is ready, or it is the loop's turn, or there is a seed. */
__attribute__((noinline)) struct usp_fibre *usp_pick_slowly(void)
{
    if (usp_sched.seed == 0 || !usp_sched.head || --usp_sched.seeded_turns <= 0)
        return usp_loop_fibre(); /* which grants turns anew */
    usp_sched.turns = 1;
    struct usp_fibre *next = pick_seeded();
    return next->sp ? next : usp_fibre_bear(next);
}

void usp_grant_favours(bool any)
{
    usp_sched.favours = usp_sched.granted = any ? USP_FAVOURS : 1;
}

void usp_grant_turns(void)
{
    struct usp_fibre *head = usp_sched.head;
    if (head && head->first && head->next) {
        usp_sched.head = head->next;
        usp_ready(head);
    }
    usp_sched.turns = usp_sched.seed == 0 ? USP_TURNS : 1;
    usp_sched.seeded_turns = USP_TURNS;
}

static uint64_t seed_base; /* 0: none */

void usp_seed(void)
{
    usp_sched.seed = seed_base ? seed_base + usp_sched.worker : 0;
}

void usp_seed_from_environment(void)
{
    const char *text = getenv("UVCSP_SEED");
    seed_base = 0;
    if (!text)
        return;
    char *rest;
    unsigned long long n = strtoull(text, &rest, 0);
    if (!*text || *rest)
        usp_report("UVCSP_SEED=%s is no number; the scheduler has its usual order", text);
    else
        seed_base = (n + 1) * 0x9e3779b97f4a7c15ull;
}
