/* Signals that a process waits for. */
#include "tests/runtime/sources.h"

TEST(a_signal_wakes_who_waits_for_it)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 8, SIGUSR1), 0);
    raise(SIGUSR1);
    ck_assert_uint_eq(told(), 8);
    ck_assert(!usp_signal_take(SIGUSR1));
}

TEST(deliveries_without_a_waiter_are_counted)
{
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert(!usp_signal_take(SIGUSR1));
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    turn_the_loop();
    for (int i = 0; i < 3; i++)
        ck_assert(usp_signal_take(SIGUSR1));
    ck_assert(!usp_signal_take(SIGUSR1));
    ck_assert(!usp_signal_take(SIGUSR2));
    ck_assert(!usp_signal_take(0));
    ck_assert(!usp_signal_take(100000));
}

static int n_signalled;
static int order[3];

static void wait_for_signal(void *arg)
{
    ck_assert_int_eq(usp_signal_arm(usp_current()->task, 1, SIGUSR2), 0);
    ck_assert_uint_eq(told(), 1);
    order[n_signalled++] = *(int *)arg;
}

TEST(one_delivery_wakes_one_waiter_the_longest_first)
{
    static int names[] = {10, 11, 12};
    for (int i = 0; i < 3; i++) {
        go(wait_for_signal, &names[i]);
        wait_until_waiting(i + 1);
    }
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR2);
        turn_the_loop();
        wait_for_others_but(2 - i);
        ck_assert_int_eq(n_signalled, i + 1);
        ck_assert_int_eq(order[i], names[i]);
    }
    ck_assert(!usp_signal_take(SIGUSR2));
}

TEST(a_delivery_to_one_who_was_told_something_else_is_not_lost)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 1, SIGUSR1), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0), 0);
    raise(SIGUSR1);
    uint32_t index = told();
    turn_the_loop();
    ck_assert_int_eq(usp_signal_take(SIGUSR1), index == 2);
}

TEST(what_cannot_be_watched_is_told)
{
    const int bad[] = {0,       -1,     NSIG,   100000, SIGKILL,         SIGSTOP,
                       SIGSEGV, SIGBUS, SIGFPE, 32,     USP_SIGNAL_BELL, USP_SIGNAL_ORPHAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(usp_signal_watch(bad[i]), -EINVAL);
        ck_assert_int_eq(usp_signal_arm(&main_task, 0, bad[i]), -EINVAL);
    }
    ck_assert_ptr_null(main_task.fibre->sources);
}

TEST(what_was_ignored_before_is_ignored_again)
{
    signal(SIGHUP, SIG_IGN);
    ck_assert_int_eq(usp_signal_watch(SIGHUP), 0);
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert(disposition(SIGHUP) != SIG_IGN);
    usp_sources_deinit();
    ck_assert(disposition(SIGHUP) == SIG_IGN);
    ck_assert(disposition(SIGUSR1) == SIG_DFL);
}

SUITE("signals", .before = before, .after = after)
