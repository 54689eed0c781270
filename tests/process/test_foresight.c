/* The scheduler remembers who ran after whom, where there are many processes. */
#include <uvcsp.h>

#include "channels/channel.h"
#include "runtime/foresight.h"
#include "tests/fixture.h"

enum { MANY = 2000, FEW = 500, ROUNDS = 5, MESSAGES = 20000 };

#ifdef USP_PARK_TAIL /* else READ and WRITE resume nobody themselves */
#define FORESEES true
#else
#define FORESEES false
#endif

static unsigned trust(void)
{
    return usp_sched.foresight.trust;
}

static bool trusts(void)
{
    return trust() >= USP_ENOUGH_TRUST;
}

static bool rests(void)
{
    return usp_sched.foresight.rests;
}

PROCESS(passes_on, IN(int, in), OUT(int, out))
{
    for (int i = 0; i < ROUNDS; i++)
        WRITE(out, READ(in) + 1);
}

/* `trusted`: in every round but the first two. */
PROCESS(sends_a_token_around, OUT(int, out), IN(int, in), VAL(int, n), VAL(bool *, trusted))
{
    *trusted = true;
    for (int i = 0; i < ROUNDS; i++) {
        WRITE(out, i);
        ck_assert_int_eq(READ(in), i + n - 1);
        if (i > 1)
            *trusted = *trusted && trusts();
    }
}

static bool goes_around(int n)
{
    static CHAN(int) c[2 * MANY];
    ck_assert_int_eq(CHANNELS(int, c, n), 0);
    bool trusted = false;
    ck_assert_int_eq(CO_FOR(i, n, i == 0 ? sends_a_token_around(c[0], c[n - 1], n, &trusted)
                                         : passes_on(c[i - 1], c[i])), 0);
    for (int i = 0; i < n; i++)
        uvcsp_channel_free(c[i]);
    return trusted;
}

TEST(processes_that_run_in_the_same_order_again_and_again_are_foreseen)
{
    ck_assert_int_eq(goes_around(MANY), FORESEES);
}

TEST(where_there_are_few_processes_nobody_is_remembered)
{
    goes_around(FEW);
    ck_assert_uint_eq(usp_sched.foresight.turn, 0);
}

PROCESS(listens, IN(int, in), VAL(long *, sum))
{
    for (;;)
        *sum += READ(in);
}

PROCESS(writes_to_anyone, VAL(CHAN(int) *, c), VAL(bool *, trusted), VAL(bool *, rested))
{
    static OUT_END(int) out[MANY];
    for (int i = 0; i < MANY; i++)
        out[i] = OUT_OF(c[i]);
    uint64_t random = 1;
    for (int i = 0; i < MESSAGES; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        WRITE(out[(random >> 33) % MANY], 1);
        *trusted = *trusted || trusts();
        *rested = *rested || rests();
    }
    for (int i = 0; i < MANY; i++)
        POISON(out[i]);
}

/* Has nobody been remembered for a while? */
static bool go_in_any_order(void)
{
    static CHAN(int) c[MANY];
    ck_assert_int_eq(CHANNELS(int, c, MANY), 0);
    long sum = 0;
    bool trusted = false, rested = false;
    ck_assert_int_ge(CO_FOR(i, MANY + 1, i < MANY ? listens(c[i], &sum) : writes_to_anyone(c, &trusted, &rested)), 0);
    ck_assert_int_eq(sum, MESSAGES);
    ck_assert(!trusted);
    for (int i = 0; i < MANY; i++)
        uvcsp_channel_free(c[i]);
    return rested;
}

TEST(processes_that_run_in_any_order_are_not_foreseen_and_soon_nobody_is_remembered)
{
    ck_assert_int_eq(go_in_any_order(), FORESEES);
}

TEST(it_is_tried_again_when_a_worker_has_done_something_else_for_a_while)
{
    go_in_any_order();
    bool foreseen = false;
    for (int i = 0; i < 10 && !foreseen; i++)
        foreseen = goes_around(MANY);
    ck_assert_int_eq(foreseen, FORESEES);
    ck_assert(!FORESEES || !rests());
}

TEST(who_has_ended_is_remembered_without_harm)
{
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(goes_around(i % 2 ? MANY : 2 * MANY), FORESEES);
    unsigned turn = usp_sched.foresight.turn;
    goes_around(FEW);
    ck_assert_uint_eq(usp_sched.foresight.turn, turn);
}

PROCESS(begins_anew)
{
    ck_assert_uint_eq(trust(), 0);
    for (int i = 0; i < USP_FORESIGHT; i++)
        ck_assert_ptr_null(usp_sched.foresight.recent[i]);
    ck_assert_int_eq(goes_around(MANY), FORESEES);
}

TEST(a_worker_does_not_foresee_the_processes_of_its_parent)
{
    if (house_light())
        return;
    goes_around(MANY);
    ck_assert_int_eq(PAR(begins_anew(), begins_anew()), 0);
}

SUITE("foresight", .after = uvcsp_shutdown)
