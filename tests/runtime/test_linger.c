/* Waiting awake before sleeping: when a worker tries it, and when it stops trying. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "runtime/worker.h"
#include "tests/fixture.h"

static int before(void)
{
    unsetenv("UVCSP_SPIN");
    return usp_runtime_init();
}

static int after(void)
{
    atomic_store(&usp_shared->n_running, 0);
    atomic_store(&usp_worker_of(0)->mailbox, NULL);
    return usp_runtime_deinit();
}

static void have_a_partner(void)
{
    atomic_store(&usp_shared->n_running, 1);
}

/* How often the worker sleeps at once before it tries. */
static int skipped(void)
{
    int n = 0;
    while (!usp_linger()) {
        n++;
        ck_assert_int_lt(n, 1000000);
    }
    return n;
}

TEST(who_has_nobody_to_wait_for_sleeps_at_once)
{
    for (int i = 0; i < 1000; i++)
        ck_assert(!usp_linger());
}

TEST(a_worker_that_lives_for_a_moment_does_not_try)
{
    have_a_partner();
    for (int i = 0; i < 5; i++)
        ck_assert(!usp_linger());
    skipped();
}

TEST(each_try_in_vain_makes_the_next_one_rarer)
{
    have_a_partner();
    skipped();
    int first = skipped(), second = skipped();
    ck_assert_int_gt(first, 50);
    ck_assert(second > first || first == 1 << 14); /* a processor taken away for long counts as a great loss */
}

TEST(tries_never_cease)
{
    have_a_partner();
    for (int i = 0; i < 10; i++)
        skipped();
    ck_assert_int_le(skipped(), 1 << 14);
}

TEST(mail_that_comes_soon_keeps_it_trying)
{
    static struct usp_task task;
    have_a_partner();
    skipped();
    skipped();
    atomic_store(&usp_worker_of(0)->mailbox, &task);
    int tries = 0;
    while (skipped() > 0) /* a try in which the worker loses its processor for long sets it back */
        ck_assert_int_lt(++tries, 10000);
}

static uint64_t used(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < USP_PROCESSORS; i++)
        sum += atomic_load(&usp_shared->used[i].ticks);
    return sum;
}

TEST(who_gives_up_its_processor_says_how_long_it_had_it)
{
    uint64_t before = used();
    usp_processor_back();
    uint64_t start = usp_ticks();
    while (usp_ticks() - start < 1000000)
        ;
    usp_processor_leave();
    ck_assert_uint_ge(used() - before, 1000000);
}

/* From now on this test stays where it is, and worker 1 has been there last. */
static unsigned share_a_processor(void)
{
    unsigned processor = (unsigned)sched_getcpu();
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(processor, &here);
    ck_assert_int_eq(sched_setaffinity(0, sizeof here, &here), 0);
    atomic_store(&usp_worker_of(1)->processor, processor);
    return processor;
}

/* Whoever gives up its processor says how long it had it. */
static bool lends(void)
{
    uint64_t before = used();
    usp_processor_lend(1);
    return used() != before;
}

TEST(a_processor_is_lent_to_a_worker_that_shares_it)
{
    share_a_processor();
    ck_assert(lends());
}

TEST(a_processor_is_not_lent_to_a_worker_that_has_another)
{
    unsigned processor = share_a_processor();
    atomic_store(&usp_worker_of(1)->processor, processor + 1);
    for (int i = 0; i < 1000; i++)
        ck_assert(!lends());
}

TEST(where_others_take_what_is_lent_it_is_not_lent_at_once_again)
{
    share_a_processor();
    pid_t other = fork();
    ck_assert_int_ge(other, 0);
    if (other == 0)
        for (;;)
            ;
    bool again = true;
    for (int tries = 0; again && tries < 10; tries++) { /* it may also lose its processor before or after it lends it */
        uint64_t taken = 0;
        while (taken < 1000000) {
            uint64_t start = usp_ticks();
            lends();
            taken = usp_ticks() - start;
        }
        again = lends();
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    ck_assert(!again);
}

static void fired(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

TEST(the_loop_has_turns_while_it_waits)
{
    bool seen = false;
    uv_timer_t timer = {.data = &seen};
    ck_assert_int_eq(uv_timer_init(usp_loop(), &timer), 0);
    ck_assert_int_eq(uv_timer_start(&timer, fired, 0, 0), 0);
    have_a_partner();
    int tries = 0;
    while (!seen) { /* a worker that loses its processor in the first round has no second one */
        skipped();
        ck_assert_int_lt(++tries, 100);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    usp_poll();
}

TEST(the_environment_can_forbid_it)
{
    setenv("UVCSP_SPIN", "0", 1);
    usp_linger_reset();
    have_a_partner();
    for (int i = 0; i < 1000; i++)
        ck_assert(!usp_linger());
}

SUITE("linger", .before = before, .after = after)
