/* Timers that a process waits for. */
#include "tests/runtime/sources.h"

static void sleep_at_least(double seconds)
{
    uint64_t start = uv_hrtime();
    ck_assert_int_eq(usp_timer_arm(&main_task, 0, seconds), 0);
    told();
    ck_assert_double_ge((double)(uv_hrtime() - start), seconds * 1e9);
}

TEST(a_timer_never_fires_early)
{
    static const double lengths[] = {0.0005, 0.001, 0.00101, 1e-9, 0.0023, 0.0149};
    for (int i = 0; i < 10; i++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            sleep_at_least(lengths[k]);
}

TEST(a_timer_is_exact_when_the_loop_has_not_turned_for_long)
{
    turn_the_loop();
    uint64_t start = uv_hrtime();
    while (uv_hrtime() - start < 50000000)
        ;
    start = uv_hrtime();
    sleep_at_least(0.02);
    ck_assert_uint_lt(uv_hrtime() - start, 1000000000);
}

TEST(a_timer_of_no_time_fires_at_once)
{
    static const double lengths[] = {0, -0.0, -1, -INFINITY, NAN};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        ck_assert_int_eq(usp_timer_arm(&main_task, 7, lengths[k]), 0);
        ck_assert_uint_eq(told(), 7);
    }
}

static void on_timer(uv_timer_t *handle)
{
    usp_event_set(handle->data);
}

TEST(what_a_timer_of_the_program_makes_ready_runs_at_once)
{
    struct usp_event event = {0};
    uv_timer_t theirs;
    theirs.data = &event;
    uv_timer_init(usp_loop(), &theirs);
    for (int i = 0; i < 3; i++) {
        event.set = false;
        uv_timer_start(&theirs, on_timer, 0, 0);
        ck_assert_int_eq(usp_event_arm(&main_task, 1, &event), 0);
        ck_assert_uint_eq(told(), 1);
    }
    uv_close((uv_handle_t *)&theirs, NULL);
    turn_the_loop();
}

TEST(a_timer_of_all_time_does_not_fire)
{
    static const double lengths[] = {INFINITY, 1e300, 1e18, 1e9};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        ck_assert_int_eq(usp_timer_arm(&main_task, 1, lengths[k]), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.005), 0);
    ck_assert_uint_eq(told(), 2);
}

TEST(the_shortest_of_many_timers_is_the_one_that_is_told)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 0, 10), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 0.002), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 5), 0);
    ck_assert_uint_eq(told(), 1);
}

TEST(a_disarmed_timer_does_not_come_later)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 0.001), 0);
    usp_sources_disarm(&main_task);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.02), 0);
    ck_assert_uint_eq(told(), 2);
}

TEST(a_hundred_thousand_timers_run_at_once)
{
    int n = house_valgrind() ? 1000 : 100000;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++)
            ck_assert_int_eq(usp_timer_arm(&main_task, (uint32_t)i, 100 + i % 977), 0);
        ck_assert_int_eq(usp_timer_arm(&main_task, (uint32_t)n, 0.001), 0);
        ck_assert_uint_eq(told(), (uint32_t)n);
    }
}

static void nap(void *arg)
{
    double seconds = *(double *)arg;
    uint64_t start = uv_hrtime();
    ck_assert_int_eq(usp_timer_arm(usp_current()->task, 3, seconds), 0);
    ck_assert_uint_eq(told(), 3);
    ck_assert_double_ge((double)(uv_hrtime() - start), seconds * 1e9);
}

TEST(a_thousand_sleepers_wake_each_in_its_time)
{
    static double lengths[1000];
    for (int i = 0; i < 1000; i++) {
        lengths[i] = (i * 37 % 1000) * 0.00005;
        go(nap, &lengths[i]);
    }
    wait_for_others();
}

SUITE("timers", .before = before, .after = after)
