/* Which of several ready guards a choice takes: by priority, or so that none is passed over for
   ever. */
#include "tests/contract/contract.h"

enum { MOST = 65 };
static IN_END(int) ins[MOST];
static OUT_END(int) outs[MOST];

/* Channels that always have a message. */
static void fill_channels(int n)
{
    for (int i = 0; i < n; i++) {
        CHAN(int) c = CHANNEL(int, .capacity = 1);
        ins[i] = IN_OF(c);
        outs[i] = OUT_OF(c);
        WRITE(outs[i], i);
    }
}

TEST(a_pri_choice_takes_the_first_that_is_ready_every_time)
{
    fill_channels(3);
    int x;
    for (int i = 0; i < 20; i++) {
        int k = PRI_ALT(ON_READ(ins[0], &x), ON_READ(ins[1], &x), ON_READ(ins[2], &x), ON_SKIP);
        ck_assert_int_eq(k, i % 2);
        if (k == 1) {
            WRITE(outs[0], 0);
            WRITE(outs[1], 1);
        }
    }
    ck_assert_int_eq(PRI_ALT(ON_SKIP, ON_READ(ins[0], &x)), 0);
    ck_assert_int_eq(PRI_ALT(ON_TIMEOUT(0), ON_READ(ins[0], &x)), 0);
}

/* Takes one of n, puts the message back, and checks that none was passed over n times. */
struct fairness {
    int waited[MOST + 1];
};

static void took(struct fairness *f, int n, int k)
{
    ck_assert_int_ge(k, 0);
    for (int i = 0; i < n; i++)
        if (++f->waited[i] > n && i != k)
            ck_abort_msg("guard %d of %d was ready and was not taken for %d rounds", i, n,
                         f->waited[i]);
    f->waited[k] = 0;
}

TEST(a_guard_that_stays_ready_is_taken_within_n_rounds)
{
    static const int sizes[] = {1, 2, 3, 8, 64};
    fill_channels(64);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct fairness f = {0};
        int n = sizes[s], x;
        uvcsp_guard guards[64];
        for (int i = 0; i < n; i++)
            guards[i] = ON_READ(ins[i], &x);
        for (int round = 0; round < 5 * n; round++) {
            int k = uvcsp_alt(guards, (size_t)n, UVCSP_FAIR);
            took(&f, n, k);
            ck_assert_int_eq(x, k);
            WRITE(outs[k], k);
        }
    }
}

/* PyCSP's arbitrary choice never took a ready input beside a skip guard. */
TEST(beside_a_skip_guard_the_others_are_taken_as_well, .times = 3)
{
    fill_channels(2);
    struct fairness f = {0};
    for (int round = 0; round < 30; round++) {
        int x, k = _i == 0   ? ALT(ON_SKIP, ON_READ(ins[0], &x), ON_READ(ins[1], &x))
                   : _i == 1 ? ALT(ON_READ(ins[0], &x), ON_SKIP, ON_READ(ins[1], &x))
                             : ALT(ON_READ(ins[0], &x), ON_READ(ins[1], &x), ON_SKIP);
        took(&f, 3, k);
        if (k != _i)
            WRITE(outs[x], x);
    }
}

static int take_first(int n, bool other_site)
{
    int x, k;
    if (n == 2)
        k = other_site ? ALT(ON_READ(ins[0], &x), ON_READ(ins[1], &x))
                       : ALT(ON_READ(ins[0], &x), ON_READ(ins[1], &x));
    else
        k = ALT(ON_READ(ins[0], &x), ON_READ(ins[1], &x), ON_READ(ins[2], &x));
    WRITE(outs[k], k);
    return k;
}

/* Two choices of one process over the same ends: what the one takes must not lead the other
   astray. */
TEST(two_choices_in_turn_are_fair_each, .times = 4)
{
    fill_channels(3);
    struct fairness first = {0}, second = {0};
    int n = _i % 2 ? 3 : 2;
    for (int round = 0; round < 60; round++) {
        took(&first, 2, take_first(2, false));
        took(&second, n, take_first(n, true));
        if (_i / 2)
            took(&second, n, take_first(n, true));
    }
}

TEST(many_choices_in_turn_are_fair_each)
{
    fill_channels(MOST);
    struct fairness f[8] = {0};
    uvcsp_guard guards[8][4];
    int x;
    for (int a = 0; a < 8; a++)
        for (int i = 0; i < 4; i++)
            guards[a][i] = ON_READ(ins[i == 0 ? 0 : a * 4 + i], &x);
    for (int round = 0; round < 200; round++)
        for (int a = 0; a < 8; a++) {
            int k = uvcsp_alt(guards[a], 4, UVCSP_FAIR);
            took(&f[a], 4, k);
            WRITE(outs[x], x);
        }
}

TEST(write_guards_are_taken_in_turn_as_well)
{
    fill_channels(2);
    (void)READ(ins[0]);
    (void)READ(ins[1]);
    struct fairness f = {0};
    for (int round = 0; round < 20; round++) {
        int k = ALT(ON_WRITE(outs[0], round), ON_WRITE(outs[1], round));
        took(&f, 2, k);
        ck_assert_int_eq(READ(ins[k]), round);
    }
}

TEST(a_guard_that_has_ended_does_not_keep_the_others_from_their_turn, .times = 2)
{
    CHAN(int) ended = CHANNEL(int), ready = CHANNEL(int, .capacity = 64);
    OUT_END(int) gone = OUT_OF(ended), out = OUT_OF(ready);
    IN_END(int) in = IN_OF(ready), over = IN_OF(ended);
    for (int i = 0; i < 50; i++)
        WRITE(out, i);
    if (_i)
        POISON(gone);
    else
        RETIRE(gone);
    int x;
    uvcsp_guard guards[] = {ON_READ(in, &x), ON_READ(over, &x)};
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), 0);
        ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), _i ? -UVCSP_POISONED : -UVCSP_RETIRED);
        ck_assert_int_eq(uvcsp_alt_failed(), 1);
    }
}

TEST(of_several_limits_that_are_over_the_first_counts)
{
    ck_assert_int_eq(ALT(ON_TIMEOUT(0), ON_TIMEOUT(-1), ON_TIMEOUT(-2)), 0);
    ck_assert_int_eq(ALT(ON_TIMEOUT(5), ON_TIMEOUT(-1), ON_TIMEOUT(0)), 1);
}

SUITE("fairness", .after = uvcsp_shutdown)
