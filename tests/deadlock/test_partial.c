/* Some wait for ever while others go on: that is told, once for each of them. */
#include "tests/deadlock/deadlock.h"

/* Goes on until something has been said, which a test has stderr caught for. */
static void until_told(void)
{
    struct stat now, then;
    if (fstat(2, &then) < 0)
        abort();
    double deadline = uvcsp_now() + 15;
    do {
        uvcsp_sleep(0.01);
        if (fstat(2, &now) < 0)
            abort();
    } while (now.st_size == then.st_size && uvcsp_now() < deadline);
}

PROCESS(goes_on, OUT(int, out))
{
    (void)out;
    until_told();
}

/* It ends with a deadlock of the whole program: main has waited for the lost. */
#define TOLD_OF_SOME(run)                                                                          \
    __extension__({                                                                                \
        house_capture(2);                                                                          \
        int told_ = (run);                                                                         \
        char *said_ = house_captured();                                                            \
        ck_assert_msg(told_ == -EDEADLK, "%d: %s", told_, said_);                                  \
        ck_assert_contains(said_, "for ever, while others go on");                                 \
        ck_assert_contains(said_, NOTHING_CAN_RUN);                                                \
        *strstr(said_, NOTHING_CAN_RUN) = 0;                                                       \
        said_;                                                                                     \
    })

TEST(two_that_wait_for_each_other_are_told_while_a_third_goes_on)
{
    CHAN(int) a = CHANNEL(int, .name = "a"), b = CHANNEL(int, .name = "b"), c = CHANNEL(int);
    char *said = TOLD_OF_SOME(PAR(passes_on(a, b), passes_on(b, a), goes_on(c)));
    ck_assert_contains(said, "deadlock: 3 processes wait for ever, while others go on");
    ck_assert_int_eq(count_of(said, "process 'passes_on'"), 2);
    ck_assert_int_eq(count_of(said, "process 'main'"), 1);
    ck_assert_contains(said, "to read from channel 'a' (made at ");
    ck_assert_contains(said, "the cycle: 'passes_on'");
    ck_assert_ptr_null(strstr(said, "goes_on"));
    free(said);
}

PROCESS(computes, OUT(int, out))
{
    (void)out;
    struct stat now = {0}, then;
    if (fstat(2, &then) < 0)
        abort();
    for (double deadline = uvcsp_now() + 15; uvcsp_now() < deadline && fstat(2, &now) == 0;)
        if (now.st_size != then.st_size)
            break;
}

TEST(they_are_told_while_a_third_computes)
{
    if (house_light())
        return; /* there nobody else runs while it does */
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
    free(TOLD_OF_SOME(PAR(passes_on(a, b), passes_on(b, a), computes(c))));
}

PROCESS(yields, OUT(int, out))
{
    (void)out;
    struct stat now = {0}, then;
    if (fstat(2, &then) < 0)
        abort();
    for (double deadline = uvcsp_now() + 15; uvcsp_now() < deadline && fstat(2, &now) == 0;) {
        if (now.st_size != then.st_size)
            break;
        uvcsp_yield();
    }
}

TEST(they_are_told_in_a_worker_that_is_never_idle)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
    free(TOLD_OF_SOME(CO(passes_on(a, b), passes_on(b, a), yields(c))));
}

PROCESS(also_waits, IN(int, in))
{
    (void)READ(in);
}

TEST(who_waits_for_the_lost_is_lost_as_well)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int);
    CHAN(int) e = CHANNEL(int);
    char *said = TOLD_OF_SOME(PAR(passes_on(a, b), passes_on(b, a), passes_on(e, c), also_waits(c),
                          passes_on(b, e), goes_on(d)));
    ck_assert_contains(said, "deadlock: 6 processes wait for ever");
    ck_assert_contains(said, "process 'also_waits'");
    free(said);
}

TEST(light_and_forked_ones_are_lost_together)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int);
    char *said = TOLD_OF_SOME(PAR(WORKER(passes_on(a, b), goes_on(d)), passes_on(b, c), passes_on(c, a)));
    ck_assert_contains(said, "deadlock: 4 processes wait for ever");
    free(said);
}

PROCESS(has_children, OUT(int, out))
{
    (void)out;
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    (void)PAR(passes_on(a, b), passes_on(b, a));
}

TEST(a_parent_that_waits_for_them_is_lost_and_so_is_its_own)
{
    CHAN(int) c = CHANNEL(int);
    char *said = TOLD_OF_SOME(PAR(has_children(c), goes_on(c)));
    ck_assert_contains(said, "deadlock: 4 processes wait for ever");
    ck_assert_contains(said, "process 'has_children'");
    ck_assert_contains(said, "process 'main'");
    free(said);
}

PROCESS(lets_go, OUT(int, c), OUT(int, d), OUT(int, e))
{
    (void)e;
    until_told();
    RETIRE(c); /* there are other writers; but nobody with hope */
    uvcsp_exit_process();
    (void)d;
}

PROCESS(goes_on_longer, OUT(int, out))
{
    (void)out;
    until_told();
    until_told();
}

/* As long as somebody has ends of theirs, the second pair has hope. */
TEST(each_is_told_once_and_when_it_has_come_to_that)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int), e = CHANNEL(int);
    char *said = TOLD_OF_SOME(PAR(passes_on(a, b), passes_on(b, a), passes_on(c, d), passes_on(d, c),
                          lets_go(c, d, e), goes_on_longer(e)));
    ck_assert_contains(said, "deadlock: 3 processes wait for ever, while others go on");
    ck_assert_contains(said, "deadlock: 2 processes wait for ever, while others go on");
    ck_assert_int_eq(count_of(said, "process 'passes_on'"), 4);
    ck_assert_int_eq(count_of(said, "process 'main'"), 1);
    free(said);
}

SUITE("partial", .after = uvcsp_shutdown)
