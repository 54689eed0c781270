/* Whose turn it is among light processes: whoever has been given a message comes next, but keeps nobody from running for
   long. Without a seed, which makes it anybody's turn. */
#include "tests/contract/contract.h"

PROCESS(passes_on, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(begins, OUT(int, out))
{
    WRITE(out, UVCSP_OK);
}

PROCESS(counts_and_ends, VAL(CHAN(int), c), VAL(int, turns))
{
    for (int i = 0; i < turns; i++)
        uvcsp_yield();
    POISON(c);
}

TEST(two_that_feed_each_other_for_ever_do_not_keep_others_from_running)
{
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    MUST_BE(CO(passes_on(there, back), passes_on(back, there), begins(there), counts_and_ends(there, 1000),
               counts_and_ends(back, 1000)), UVCSP_OK);
}

TEST(many_that_feed_each_other_do_not_keep_others_from_running)
{
    enum { N = 40 };
    CHAN(int) round[N];
    for (int i = 0; i < N; i++)
        round[i] = CHANNEL(int);
    uvcsp_handle *ring[N], *starts[N / 2];
    for (int i = 0; i < N; i++)
        ring[i] = GO(passes_on(round[i], round[(i + 1) % N]));
    for (int i = 0; i < N / 2; i++)
        starts[i] = GO(begins(round[2 * i]));
    MUST_BE(CO(counts_and_ends(round[0], 1000)), UVCSP_OK);
    for (int i = 0; i < N; i++)
        MUST_BE(uvcsp_join(ring[i], -1), UVCSP_OK);
    for (int i = 0; i < N / 2; i++)
        uvcsp_join(starts[i], -1);
}

PROCESS(numbers, OUT(int, out), VAL(int *, written))
{
    for (;; ++*written)
        WRITE(out, *written);
}

PROCESS(reads_one, IN(int, in), VAL(CHAN(int), first), VAL(int *, written), VAL(int *, then))
{
    uvcsp_yield();
    (void)READ(in);
    *then = *written;
    POISON(first);
}

TEST(what_feeds_a_pipeline_does_not_run_ahead_of_what_empties_it)
{
    enum { STAGES = 100 };
    CHAN(int) c[STAGES + 1];
    for (int i = 0; i <= STAGES; i++)
        c[i] = CHANNEL(int);
    int written = 0, then = -1;
    MUST_BE(CO_FOR(i, STAGES + 2,
                   i == 0 ? reads_one(c[STAGES], c[0], &written, &then)
                   : i <= STAGES ? passes_on(c[i - 1], c[i]) : numbers(c[0], &written)),
            UVCSP_OK);
    if (!getenv("UVCSP_SEED"))
        ck_assert_int_le(then, STAGES / 4);
}
SUITE("turns", .after = uvcsp_shutdown)
