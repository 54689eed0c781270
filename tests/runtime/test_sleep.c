/* How a worker sleeps: on its word where it may, else in the loop; and what ends it. */
#include <pthread.h>
#include <sched.h>

#include "runtime/sources.h"
#include "runtime/worker.h"
#include "tests/fixture.h"

static _Atomic uint32_t how; /* it slept when the other thread saw it */

static int before(void)
{
    atomic_store(&how, USP_AWAKE);
    return usp_runtime_init();
}

static int after(void)
{
    return usp_runtime_deinit();
}

/* In the place of another worker: does something as soon as this one sleeps. */
static void *other(void *arg)
{
    void (*act)(void) = *(void (**)(void))arg;
    uint32_t seen;
    while (!(seen = atomic_load(&usp_worker_of(0)->sleeping)))
        sched_yield();
    atomic_store(&how, seen);
    if (act)
        act();
    return NULL;
}

/* How it sleeps. */
static uint32_t sleep_until(void (*act)(void))
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, other, &act), 0);
    while (atomic_load(&how) == USP_AWAKE)
        usp_worker_sleep();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(atomic_load(&usp_worker_of(0)->sleeping), USP_AWAKE);
    return how;
}

static void rouse(void)
{
    usp_worker_rouse(0);
}

static void knock(void)
{
    usp_worker_knock(0);
}

static void send_signal(void)
{
    kill(getpid(), USP_SIGNAL_BELL);
}

static void set(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void start(uv_timer_t *timer, bool *seen)
{
    *timer = (uv_timer_t){.data = seen};
    ck_assert_int_eq(uv_timer_init(usp_loop(), timer), 0);
    ck_assert_int_eq(uv_timer_start(timer, set, 20, 20), 0);
}

static void stop(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
    usp_poll();
}

TEST(who_has_nothing_in_its_loop_sleeps_on_its_word_and_is_roused)
{
    ck_assert_int_eq(sleep_until(rouse), USP_ON_ITS_WORD);
}

TEST(a_knock_ends_the_sleep_and_gives_the_loop_a_turn)
{
    bool seen = false;
    uv_timer_t timer;
    ck_assert_int_eq(sleep_until(knock), USP_ON_ITS_WORD);
    knock();
    start(&timer, &seen);
    uv_unref((uv_handle_t *)&timer);
    ck_assert_int_eq(uv_timer_start(&timer, set, 0, 0), 0);
    usp_worker_sleep();
    ck_assert(seen);
    ck_assert_int_eq(atomic_load(&usp_worker_of(0)->knocked), 0);
    stop(&timer);
}

TEST(a_signal_ends_it)
{
    usp_signals_install();
    ck_assert_int_eq(sleep_until(send_signal), USP_ON_ITS_WORD);
}

TEST(after_a_signal_it_looks_around_before_it_sleeps)
{
    usp_signals_install();
    raise(USP_SIGNAL_BELL);
    ck_assert_int_eq(atomic_load(&usp_worker_of(0)->knocked), 1);
    usp_worker_sleep();
    ck_assert_int_eq(atomic_load(&usp_worker_of(0)->knocked), 0);
}

TEST(the_timers_of_the_loop_are_kept)
{
    bool seen = false;
    uv_timer_t timer;
    start(&timer, &seen);
    uv_unref((uv_handle_t *)&timer); /* as the library's own are */
    ck_assert_int_eq(sleep_until(NULL), USP_ON_ITS_WORD);
    while (!seen)
        usp_worker_sleep();
    stop(&timer);
}

TEST(who_has_a_handle_of_the_programs_sleeps_in_the_loop)
{
    bool seen = false;
    uv_timer_t timer;
    start(&timer, &seen);
    ck_assert_int_eq(sleep_until(NULL), USP_IN_THE_LOOP);
    while (!seen)
        usp_worker_sleep();
    stop(&timer);
}

TEST(who_has_lent_its_loop_sleeps_in_it)
{
    bool seen = false;
    uv_timer_t timer;
    start(&timer, &seen);
    uv_unref((uv_handle_t *)&timer);
    atomic_store(&usp_worker_of(0)->lent, 1);
    ck_assert_int_eq(sleep_until(NULL), USP_IN_THE_LOOP);
    while (!seen)
        usp_worker_sleep();
    stop(&timer);
}

TEST(who_is_sent_more_than_a_socket_holds_sleeps_in_the_loop)
{
    bool seen = false;
    uv_timer_t timer;
    start(&timer, &seen);
    uv_unref((uv_handle_t *)&timer);
    atomic_store(&usp_worker_of(0)->streams, 1);
    ck_assert_int_eq(sleep_until(NULL), USP_IN_THE_LOOP);
    while (!seen)
        usp_worker_sleep();
    stop(&timer);
}

TEST(after_the_loop_it_looks_around_before_it_sleeps_on_its_word)
{
    bool seen = false;
    uv_timer_t timer;
    start(&timer, &seen);
    while (!seen)
        usp_worker_sleep();
    uv_unref((uv_handle_t *)&timer);
    ck_assert_int_eq(uv_timer_start(&timer, set, 0, 0), 0);
    seen = false;
    usp_worker_sleep();
    ck_assert(seen);
    stop(&timer);
}

SUITE("sleep", .before = before, .after = after)
