/* What a manager's clients wait for: queues, locks, semaphores, events, conditions, barriers; and what becomes of it when one of them dies. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static uvcsp_manager *m;

static int start(void)
{
    m = uvcsp_manager_start(NULL);
    return default_signals() || !m;
}

static int stop(void)
{
    return uvcsp_manager_stop(m) || uvcsp_shutdown();
}

static void killed(uvcsp_handle *handle)
{
    uvcsp_kill(handle);
    ck_assert_int_eq(uvcsp_join(handle, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGKILL);
}

static void ended_well(uvcsp_handle *handle)
{
    ck_assert_int_eq(uvcsp_join(handle, 20), 0);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
}

/* Held, whether or not the one before has died with it. */
static void held_now(int rc)
{
    if (rc != UVCSP_OK && rc != UVCSP_OWNER_DIED)
        ck_abort_msg("%s: %s", uvcsp_manager_error_name(rc), uvcsp_call_error());
}

/* ---- queue ---- */

PROCESS(puts_some, VAL(uvcsp_proxy, q), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_mqueue_put(q, json_integer(i), -1), 0);
}

PROCESS(gets_some, VAL(uvcsp_proxy, q), VAL(int, n), OUT(long, out))
{
    long sum = 0;
    for (int i = 0; i < n; i++) {
        json_t *v = NULL;
        MUST_BE(uvcsp_mqueue_get(q, &v, -1), 0);
        sum += (long)json_integer_value(v);
        json_decref(v);
        MUST_BE(uvcsp_mqueue_task_done(q), 0);
    }
    WRITE(out, sum);
}

PROCESS(totals, IN(long, in), VAL(uvcsp_proxy, q), VAL(long, expected))
{
    long a = READ(in);
    MUST(a + READ(in) == expected);
    MUST_BE(uvcsp_mqueue_join(q, -1), 0);
    MUST(uvcsp_mqueue_size(q) == 0);
}

TEST(a_queue_waits_for_room_and_for_items, .times = PLACEMENTS)
{
    int n = house_valgrind() ? 20 : 200;
    uvcsp_proxy q = uvcsp_manager_queue(m, 3);
    CHAN(long) c = CHANNEL(long);
    ck_assert_int_eq(RUN(_i, puts_some(q, n), puts_some(q, n), gets_some(q, n, c), gets_some(q, n, c),
                         totals(c, q, (long)n * (n - 1))), 0);
}

TEST(a_queue_tells_full_and_empty_apart)
{
    uvcsp_proxy q = uvcsp_manager_queue(m, 2);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 0.01), UVCSP_TIMEOUT);
    ck_assert_ptr_null(v);
    ck_assert_int_eq(uvcsp_mqueue_put(q, json_integer(1), 0), 0);
    ck_assert_int_eq(uvcsp_mqueue_put(q, json_null(), 0), 0);
    ck_assert_int_eq(uvcsp_mqueue_full(q), 1);
    ck_assert_int_eq(uvcsp_mqueue_put(q, json_integer(3), 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mqueue_put(q, json_integer(3), 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 0), 0);
    ck_assert_int_eq(json_integer_value(v), 1);
    json_decref(v);
    ck_assert_int_eq(uvcsp_mqueue_join(q, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mqueue_task_done(q), 0);
    ck_assert_int_eq(uvcsp_mqueue_task_done(q), 0);
    ck_assert_int_eq(uvcsp_mqueue_task_done(q), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_mqueue_join(q, 0), 0);
    ck_assert_int_eq(uvcsp_mqueue_size(q), 1);
    ck_assert_int_eq(uvcsp_call_long(q, "put", 2, json_null(), json_string("soon")), UVCSP_TYPE_ERROR);
}

PROCESS(gets_for_ever, VAL(uvcsp_proxy, q), OUT(int, ready))
{
    WRITE(ready, 1);
    for (;;) {
        json_t *v = NULL;
        MUST_BE(uvcsp_mqueue_get(q, &v, -1), 0);
        json_decref(v);
    }
}

TEST(a_getter_that_dies_while_it_waits_takes_nothing_along)
{
    house_capture(2);
    for (int i = 0; i < 10; i++) {
        CHAN(int) c = CHANNEL(int);
        IN_END(int) in = IN_OF(c);
        uvcsp_proxy q = uvcsp_manager_queue(m, 0);
        uvcsp_handle *h = SPAWN(gets_for_ever(q, c));
        (void)READ(in);
        killed(h);
        json_t *v = NULL;
        ck_assert_int_eq(uvcsp_mqueue_put(q, json_integer(i), 0), 0);
        /* the server may yet have to learn of the death: then the item comes back when it does */
        ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 10), 0);
        ck_assert_int_eq(json_integer_value(v), i);
        json_decref(v);
        RETIRE(in);
    }
    free(house_captured());
}

/* ---- locks ---- */

PROCESS(increments, VAL(uvcsp_proxy, l), VAL(uvcsp_proxy, value), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        json_t *v = NULL;
        MUST_BE(uvcsp_mlock_acquire(l, -1), 0);
        MUST_BE(uvcsp_mvalue_get(value, &v), 0);
        MUST_BE(uvcsp_mvalue_set(value, json_integer(json_integer_value(v) + 1)), 0);
        json_decref(v);
        MUST_BE(uvcsp_mlock_release(l), 0);
    }
}

TEST(a_lock_excludes_others, .times = PLACEMENTS)
{
    int n = house_valgrind() ? 10 : 100;
    uvcsp_proxy l = uvcsp_manager_lock(m), value = uvcsp_manager_value(m, json_integer(0));
    ck_assert_int_eq(RUN(_i, increments(l, value, n), increments(l, value, n), increments(l, value, n)), 0);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mvalue_get(value, &v), 0);
    ck_assert_int_eq(json_integer_value(v), 3 * n);
    json_decref(v);
}

PROCESS(finds_rlock_taken, VAL(uvcsp_proxy, l))
{
    MUST_BE(uvcsp_mlock_acquire(l, 0), UVCSP_WOULD_BLOCK);
    MUST_BE(uvcsp_mlock_acquire(l, 0.01), UVCSP_TIMEOUT);
    MUST_BE(uvcsp_mlock_release(l), UVCSP_RUNTIME_ERROR);
}

PROCESS(releases_it, VAL(uvcsp_proxy, l))
{
    MUST_BE(uvcsp_mlock_release(l), 0);
}

TEST(an_rlock_is_its_holders_and_a_lock_anybodys, .times = PLACEMENTS)
{
    uvcsp_proxy r = uvcsp_manager_rlock(m), l = uvcsp_manager_lock(m);
    ck_assert_int_eq(uvcsp_mlock_release(r), UVCSP_RUNTIME_ERROR);
    ck_assert_int_eq(uvcsp_mlock_acquire(r, -1), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(r, 0), 0);
    ck_assert_int_eq(RUN(_i, finds_rlock_taken(r)), 0);
    ck_assert_int_eq(uvcsp_mlock_release(r), 0);
    ck_assert_int_eq(uvcsp_mlock_locked(r), 1);
    ck_assert_int_eq(uvcsp_mlock_release(r), 0);
    ck_assert_int_eq(uvcsp_mlock_locked(r), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(RUN(_i, releases_it(l)), 0);
    ck_assert_int_eq(uvcsp_mlock_release(l), UVCSP_RUNTIME_ERROR);
}

PROCESS(holds, VAL(uvcsp_proxy, l), OUT(int, ready), IN(int, never))
{
    MUST_BE(uvcsp_mlock_acquire(l, -1), 0);
    WRITE(ready, 1);
    (void)READ(never);
}

PROCESS(holds_and_returns, VAL(uvcsp_proxy, l))
{
    MUST_BE(uvcsp_mlock_acquire(l, -1), 0);
}

TEST(a_holder_that_dies_or_ends_is_told_to_the_next)
{
    CHAN(int) c = CHANNEL(int), never = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) held = OUT_OF(never);
    uvcsp_proxy l = uvcsp_manager_lock(m);
    house_capture(2);
    uvcsp_handle *h = SPAWN(holds(l, c, never));
    (void)READ(in);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), UVCSP_WOULD_BLOCK);
    killed(h);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 10), UVCSP_OWNER_DIED);
    ck_assert_contains(uvcsp_call_error(), "'holds'");
    ck_assert_contains(uvcsp_call_error(), "signal 9");
    ck_assert_int_eq(uvcsp_mlock_release(l), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), 0);
    ck_assert_int_eq(uvcsp_mlock_release(l), 0);
    ck_assert_int_eq(PAR(holds_and_returns(l)), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 10), UVCSP_OWNER_DIED);
    ck_assert_contains(uvcsp_call_error(), "'holds_and_returns' has ended");
    RETIRE(held);
    free(house_captured());
}

PROCESS(waits_for_lock, VAL(uvcsp_proxy, l), OUT(int, ready))
{
    WRITE(ready, 1);
    MUST_BE(uvcsp_mlock_acquire(l, -1), 0);
}

TEST(one_that_dies_while_it_waits_does_not_get_the_lock)
{
    uvcsp_proxy l = uvcsp_manager_lock(m);
    house_capture(2);
    for (int i = 0; i < 10; i++) {
        CHAN(int) c = CHANNEL(int);
        IN_END(int) in = IN_OF(c);
        held_now(uvcsp_mlock_acquire(l, 10));
        uvcsp_handle *h = SPAWN(waits_for_lock(l, c));
        (void)READ(in);
        killed(h);
        ck_assert_int_eq(uvcsp_mlock_release(l), 0);
        RETIRE(in);
    }
    held_now(uvcsp_mlock_acquire(l, 10));
    free(house_captured());
}

TEST(who_waits_for_what_is_freed_is_told, .times = PLACEMENTS)
{
    uvcsp_proxy l = uvcsp_manager_lock(m);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), 0);
    ck_assert_int_eq(uvcsp_proxy_free(l), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(l, 0), UVCSP_NO_SUCH_OBJECT);
}

PROCESS(waits_in_vain, VAL(uvcsp_proxy, e), VAL(int, expected), OUT(int, ready))
{
    WRITE(ready, 1);
    MUST_BE(uvcsp_mevent_wait(e, -1), expected);
}

PROCESS(frees_it, VAL(uvcsp_proxy, e), IN(int, ready))
{
    (void)READ(ready);
    MUST_BE(uvcsp_proxy_free(e), 0);
}

TEST(who_waits_while_it_is_freed_is_told, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    uvcsp_proxy e = uvcsp_manager_event(m);
    ck_assert_int_eq(RUN(_i, waits_in_vain(e, UVCSP_NO_SUCH_OBJECT, c), frees_it(e, c)), 0);
}

TEST(who_waits_while_the_manager_stops_is_told)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_handle *h = SPAWN(waits_in_vain(uvcsp_manager_event(m), UVCSP_RETIRED, c));
    (void)READ(in);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    ended_well(h);
}

PROCESS(hammers, VAL(uvcsp_proxy, l), VAL(uvcsp_proxy, value), VAL(uvcsp_proxy, q))
{
    for (;;) {
        int rc = uvcsp_mlock_acquire(l, -1);
        MUST(rc == UVCSP_OK || rc == UVCSP_OWNER_DIED);
        MUST_BE(uvcsp_proxy_update(value, NULL, "add", json_integer(1), NULL, NULL), 0);
        MUST_BE(uvcsp_mqueue_put(q, json_integer(1), -1), 0);
        MUST_BE(uvcsp_mlock_release(l), 0);
    }
}

/* What a killed client has put in is there, and what it held goes on. */
TEST(clients_killed_at_any_moment_harm_nobody, .seconds = 60)
{
    uvcsp_proxy l = uvcsp_manager_lock(m), value = uvcsp_manager_value(m, json_integer(0)), q = uvcsp_manager_queue(m, 0);
    house_capture(2);
    for (int round = 0; round < (house_valgrind() ? 2 : 25); round++) {
        uvcsp_handle *a = SPAWN(hammers(l, value, q)), *b = SPAWN(hammers(l, value, q));
        json_t *v = NULL;
        for (int i = 0; i < round % 7; i++) {
            ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 20), 0);
            json_decref(v);
        }
        killed(a);
        ck_assert_int_eq(uvcsp_mqueue_get(q, &v, 20), 0);
        json_decref(v);
        killed(b);
    }
    held_now(uvcsp_mlock_acquire(l, 20));
    json_t *v = NULL;
    while (uvcsp_mqueue_get(q, &v, 0) == 0)
        json_decref(v);
    ck_assert_int_eq(uvcsp_mlock_release(l), 0);
    free(house_captured());
}

/* ---- semaphores ---- */

TEST(a_bounded_semaphore_keeps_its_bound)
{
    uvcsp_proxy b = uvcsp_manager_bounded_semaphore(m, 2), s = uvcsp_manager_semaphore(m, 0);
    ck_assert_int_eq(uvcsp_msemaphore_release(b, 1), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(b, 0), 0);
    ck_assert_int_eq(uvcsp_msemaphore_release(b, 2), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(b, 0), 0);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(b, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(b, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_msemaphore_release(b, 2), 0);
    ck_assert_int_eq(uvcsp_msemaphore_value(b), 2);
    ck_assert_int_eq(uvcsp_msemaphore_release(s, 5), 0);
    ck_assert_int_eq(uvcsp_msemaphore_release(s, 0), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_msemaphore_value(s), 5);
    ck_assert_int_eq(uvcsp_manager_create(m, "semaphore", json_pack("[i]", -1), &s), UVCSP_VALUE_ERROR);
}

PROCESS(takes_two, VAL(uvcsp_proxy, s), OUT(int, ready), IN(int, never))
{
    MUST_BE(uvcsp_msemaphore_acquire(s, -1), 0);
    MUST_BE(uvcsp_msemaphore_acquire(s, -1), 0);
    WRITE(ready, 1);
    (void)READ(never);
}

TEST(what_a_dead_process_had_of_a_bounded_semaphore_comes_back)
{
    CHAN(int) c = CHANNEL(int), never = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) held = OUT_OF(never);
    uvcsp_proxy s = uvcsp_manager_bounded_semaphore(m, 3);
    house_capture(2);
    uvcsp_handle *h = SPAWN(takes_two(s, c, never));
    (void)READ(in);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(s, 0), 0);
    killed(h);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(s, 10), UVCSP_OWNER_DIED);
    ck_assert_contains(uvcsp_call_error(), "'takes_two'");
    ck_assert_int_eq(uvcsp_msemaphore_acquire(s, 10), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_msemaphore_acquire(s, 0), UVCSP_WOULD_BLOCK);
    RETIRE(held);
    free(house_captured());
}

/* ---- event, condition ---- */

PROCESS(waits_for_event, VAL(uvcsp_proxy, e))
{
    MUST_BE(uvcsp_mevent_wait(e, -1), 0);
}

PROCESS(sets_event, VAL(uvcsp_proxy, e))
{
    MUST_BE(uvcsp_mevent_set(e), 0);
}

TEST(an_event_lets_all_go, .times = PLACEMENTS)
{
    uvcsp_proxy e = uvcsp_manager_event(m);
    ck_assert_int_eq(uvcsp_mevent_wait(e, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mevent_wait(e, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(RUN(_i, waits_for_event(e), waits_for_event(e), sets_event(e)), 0);
    ck_assert_int_eq(uvcsp_mevent_is_set(e), 1);
    ck_assert_int_eq(uvcsp_mevent_clear(e), 0);
    ck_assert_int_eq(uvcsp_mevent_is_set(e), 0);
}

PROCESS(takes_turns, VAL(uvcsp_proxy, c), VAL(uvcsp_proxy, turn), VAL(int, me), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_mlock_acquire(c, -1), 0);
        for (;;) {
            json_t *v = NULL;
            MUST_BE(uvcsp_mvalue_get(turn, &v), 0);
            int now = (int)json_integer_value(v);
            json_decref(v);
            if (now == me)
                break;
            MUST_BE(uvcsp_mcondition_wait(c, -1), 0);
        }
        MUST_BE(uvcsp_mvalue_set(turn, json_integer(1 - me)), 0);
        MUST_BE(uvcsp_mcondition_notify_all(c), 0);
        MUST_BE(uvcsp_mlock_release(c), 0);
    }
}

TEST(a_condition_lets_two_take_turns, .times = PLACEMENTS)
{
    int n = house_valgrind() ? 5 : 50;
    uvcsp_proxy c = uvcsp_manager_condition(m), turn = uvcsp_manager_value(m, json_integer(0));
    ck_assert_int_eq(uvcsp_mcondition_wait(c, 0), UVCSP_RUNTIME_ERROR);
    ck_assert_int_eq(uvcsp_mcondition_notify(c, 1), UVCSP_RUNTIME_ERROR);
    ck_assert_int_eq(uvcsp_mlock_acquire(c, 0), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(c, 0), 0);
    ck_assert_int_eq(uvcsp_mcondition_wait(c, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mlock_release(c), 0);
    ck_assert_int_eq(uvcsp_mlock_release(c), 0);
    ck_assert_int_eq(uvcsp_mlock_release(c), UVCSP_RUNTIME_ERROR);
    ck_assert_int_eq(RUN(_i, takes_turns(c, turn, 0, n), takes_turns(c, turn, 1, n)), 0);
}

/* ---- barrier ---- */

PROCESS(meets, VAL(uvcsp_proxy, b), VAL(int, n), OUT(long, out))
{
    long sum = 0;
    for (int i = 0; i < n; i++) {
        long place = uvcsp_mbarrier_wait(b, -1);
        MUST(place >= 0 && place < 3);
        sum += place;
    }
    WRITE(out, sum);
}

PROCESS(sums, IN(long, in), VAL(long, expected))
{
    long a = READ(in), b = READ(in);
    MUST(a + b + READ(in) == expected);
}

TEST(a_barrier_lets_its_parties_go_together, .times = PLACEMENTS)
{
    int n = house_valgrind() ? 5 : 50;
    uvcsp_proxy b = uvcsp_manager_barrier(m, 3);
    CHAN(long) c = CHANNEL(long);
    ck_assert_int_eq(RUN(_i, meets(b, n, c), meets(b, n, c), meets(b, n, c), sums(c, 3L * n)), 0);
    ck_assert_int_eq(uvcsp_mbarrier_broken(b), 0);
    ck_assert_int_eq(uvcsp_mbarrier_wait(b, 0.01), -UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mbarrier_broken(b), 1);
    ck_assert_int_eq(uvcsp_mbarrier_wait(b, -1), UVCSP_BROKEN_BARRIER);
    ck_assert_int_eq(uvcsp_mbarrier_reset(b), 0);
    ck_assert_int_eq(uvcsp_mbarrier_broken(b), 0);
    ck_assert_int_eq(uvcsp_mbarrier_abort(b), 0);
    ck_assert_int_eq(uvcsp_mbarrier_wait(b, -1), UVCSP_BROKEN_BARRIER);
    ck_assert_contains(uvcsp_call_error(), "aborted");
    ck_assert_int_eq(uvcsp_mbarrier_parties(b), 3);
    ck_assert_int_eq(uvcsp_mbarrier_waiting(b), 0);
}

PROCESS(waits_at_barrier, VAL(uvcsp_proxy, b), OUT(int, ready))
{
    WRITE(ready, 1);
    (void)uvcsp_mbarrier_wait(b, -1);
}

TEST(a_party_that_dies_breaks_the_barrier)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_proxy b = uvcsp_manager_barrier(m, 3);
    house_capture(2);
    uvcsp_handle *h = SPAWN(waits_at_barrier(b, c));
    (void)READ(in);
    while (uvcsp_mbarrier_waiting(b) == 0)
        ;
    killed(h);
    ck_assert_int_eq(uvcsp_mbarrier_wait(b, -1), UVCSP_BROKEN_BARRIER);
    ck_assert_contains(uvcsp_call_error(), "waits_at_barrier");
    free(house_captured());
}

SUITE("manager_sync", .before = start, .after = stop)
