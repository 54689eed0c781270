/* Where a new worker begins: the hold that its parent puts on itself, and that nothing is left of it. */
#include <sched.h>

#include "runtime/worker.h"
#include "tests/fixture.h"

static cpu_set_t allowed(void)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    return set;
}

/* The first `n` of those that the machine lets it have; false if there are fewer. */
static bool restrict_to(int n)
{
    cpu_set_t all = allowed(), some;
    CPU_ZERO(&some);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&some) < n; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &some);
    return CPU_COUNT(&some) == n && sched_setaffinity(0, sizeof some, &some) == 0;
}

static void hold_and_release(void)
{
    cpu_set_t before = allowed();
    ck_assert(usp_affinity_hold());
    cpu_set_t held = allowed();
    ck_assert_int_eq(CPU_COUNT(&held), 1);
    ck_assert(CPU_ISSET(sched_getcpu(), &held));
    usp_affinity_release();
    cpu_set_t after = allowed();
    ck_assert(CPU_EQUAL(&after, &before));
}

TEST(a_worker_that_is_held_can_run_only_where_it_is_and_one_that_is_released_where_it_could)
{
    if (!restrict_to(2))
        return;
    for (int i = 0; i < 10; i++)
        hold_and_release();
}

TEST(it_is_so_with_all_processors_and_with_fewer_and_with_all_again)
{
    cpu_set_t all = allowed();
    if (CPU_COUNT(&all) < 2)
        return;
    hold_and_release();
    if (CPU_COUNT(&all) > 2) {
        ck_assert(restrict_to(2));
        hold_and_release();
        ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
    }
    hold_and_release();
}

TEST(a_worker_that_has_but_one_processor_is_not_held_and_keeps_it)
{
    ck_assert(restrict_to(1));
    cpu_set_t before = allowed();
    ck_assert(!usp_affinity_hold());
    cpu_set_t after = allowed();
    ck_assert(CPU_EQUAL(&after, &before));
}

SUITE("affinity")
