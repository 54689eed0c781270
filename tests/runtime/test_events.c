/* Events within a worker. */
#include "tests/runtime/sources.h"

static struct usp_event event;

static void wait_for_event(void *arg)
{
    ck_assert_int_eq(usp_event_arm(usp_current()->task, 11, &event), 0);
    ck_assert_uint_eq(told(), 11);
    (*(int *)arg)++;
}

TEST(an_event_wakes_all_who_wait_and_stays_true)
{
    int n = 0;
    for (int i = 0; i < 10; i++)
        go(wait_for_event, &n);
    wait_until_waiting(10);
    ck_assert_int_eq(n, 0);
    usp_event_set(&event);
    usp_event_set(&event);
    wait_for_others();
    ck_assert_int_eq(n, 10);
    ck_assert_ptr_null(event.waiting);
    ck_assert_int_eq(usp_event_arm(&main_task, 12, &event), 0);
    ck_assert_uint_eq(told(), 12);
}

TEST(an_event_may_be_gone_before_those_who_waited_for_it_run, .times = 3)
{
    int n = 0;
    for (int i = 0; i <= _i; i++)
        go(wait_for_event, &n);
    wait_until_waiting(_i + 1);
    usp_event_set(&event);
    memset(&event, 0xff, sizeof event);
    wait_for_others();
    ck_assert_int_eq(n, _i + 1);
}

static void set_three_then_one(void *arg)
{
    struct usp_event *events = arg;
    usp_event_set(&events[3]);
    usp_event_set(&events[1]);
}

TEST(the_first_of_several_events_is_the_one_that_is_told)
{
    struct usp_event events[5] = {0};
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_int_eq(usp_event_arm(&main_task, i, &events[i]), 0);
    go(set_three_then_one, events);
    ck_assert_uint_eq(told(), 3);
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_null(events[i].waiting);
    wait_for_others();
}

/* One task in the middle of the queue after the other is told something else and leaves. */
TEST(those_who_leave_the_queue_of_an_event_do_not_disturb_the_others)
{
    struct usp_event one = {0};
    for (uint32_t i = 0; i < 6; i++)
        ck_assert_int_eq(usp_event_arm(&main_task, i, &one), 0);
    usp_sources_disarm(&main_task);
    ck_assert_ptr_null(one.waiting);
    int n = 0;
    event = (struct usp_event){0};
    go(wait_for_event, &n);
    wait_until_waiting(1);
    ck_assert_int_eq(usp_event_arm(&main_task, 1, &event), 0);
    go(wait_for_event, &n);
    wait_until_waiting(2);
    usp_sources_disarm(&main_task);
    usp_event_set(&event);
    wait_for_others();
    ck_assert_int_eq(n, 2);
}

SUITE("events", .before = before, .after = after)
