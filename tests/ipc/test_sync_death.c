/* What becomes of locks, semaphores, conditions and barriers when a process that uses them dies. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define ROUNDS (house_valgrind() ? 2 : 15)

static uvcsp_handle *started(uvcsp_process process, IN_END(int) in)
{
    uvcsp_handle *handle = SPAWN(process);
    ck_assert_int_eq(READ(in), 1);
    return handle;
}

static void killed(uvcsp_handle *handle)
{
    uvcsp_kill(handle);
    ck_assert_int_eq(uvcsp_join(handle, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGKILL);
}

static void ended_well(uvcsp_handle *handle)
{
    ck_assert_int_eq(uvcsp_join(handle, 10), 0);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
}

/* ---- lock ---- */

PROCESS(holds_lock, VAL(uvcsp_lock *, l), OUT(int, ready), IN(int, never))
{
    MUST_BE(uvcsp_lock_acquire(l, -1), UVCSP_OK);
    WRITE(ready, 1);
    (void)READ(never);
}

PROCESS(chooses_lock, VAL(uvcsp_lock *, l), OUT(int, ready), IN(int, never))
{
    WRITE(ready, 1);
    int x;
    MUST(ALT(ON_READ(never, &x), ON_LOCK(l)) == 1);
    MUST(uvcsp_lock_after_death(l));
    MUST_BE(uvcsp_lock_release(l), 0);
}

PROCESS(acquires_lock, VAL(uvcsp_lock *, l), OUT(int, ready), IN(int, never))
{
    WRITE(ready, 1);
    (void)never;
    MUST_BE(uvcsp_lock_acquire(l, -1), UVCSP_OWNER_DIED);
    MUST_BE(uvcsp_lock_release(l), 0);
}

TEST(a_lock_passes_from_a_killed_holder_to_who_waits, .times = 2, .seconds = 60)
{
    if (house_light())
        return;
    uvcsp_lock *l = uvcsp_lock_new();
    for (int round = 0; round < ROUNDS; round++) {
        CHAN(int)
        c = CHANNEL(int),
        d = CHANNEL(int), never = CHANNEL(int), never_too = CHANNEL(int);
        OUT_END(int) keeps = OUT_OF(never), keeps_too = OUT_OF(never_too);
        uvcsp_handle *holder = started(holds_lock(l, c, never), IN_OF(c));
        uvcsp_handle *heir =
            started(_i ? chooses_lock(l, d, never_too) : acquires_lock(l, d, never_too), IN_OF(d));
        if (round % 2)
            uvcsp_sleep(0.002);
        killed(holder);
        ended_well(heir);
        RETIRE(keeps);
        RETIRE(keeps_too);
        ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_OK);
        ck_assert_int_eq(uvcsp_lock_release(l), 0);
    }
}

PROCESS(ends_with_lock, VAL(uvcsp_lock *, l), VAL(uvcsp_semaphore *, s), VAL(bool, chooses))
{
    if (chooses)
        MUST(ALT(ON_LOCK(l)) == 0 && ALT(ON_SEMAPHORE(s)) == 0);
    else
        MUST(uvcsp_lock_acquire(l, -1) == 0 && uvcsp_semaphore_acquire(s, -1) == 0);
}

TEST(a_process_that_returns_gives_back_what_it_holds, .times = 2 * PLACEMENTS)
{
    uvcsp_lock *l = uvcsp_lock_new();
    uvcsp_semaphore *s = uvcsp_semaphore_new(2);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, ends_with_lock(l, s, _i / PLACEMENTS)), 0);
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_semaphore_value(s), 2);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_OK);
}

PROCESS(exits_with_lock, VAL(uvcsp_lock *, l), VAL(int, status))
{
    MUST(uvcsp_lock_acquire(l, -1) >= 0);
    no_leak_check = true;
    exit(status);
}

TEST(a_worker_that_exits_gives_back_what_it_holds, .times = 2)
{
    if (house_light())
        return;
    uvcsp_lock *l = uvcsp_lock_new();
    ck_assert_int_eq(PAR(exits_with_lock(l, _i)), _i);
    ck_assert_int_eq(uvcsp_lock_acquire(l, 5), UVCSP_OWNER_DIED);
}

/* ---- semaphore ---- */

PROCESS(holds_tokens, VAL(uvcsp_semaphore *, s), VAL(int, n), OUT(int, ready), IN(int, never))
{
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_semaphore_acquire(s, -1), UVCSP_OK);
    WRITE(ready, 1);
    (void)READ(never);
}

PROCESS(wants_tokens, VAL(uvcsp_semaphore *, s), VAL(int, n), OUT(int, ready))
{
    WRITE(ready, 1);
    for (int i = 0; i < n; i++)
        MUST(uvcsp_semaphore_acquire(s, -1) >= 0);
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_semaphore_release(s), 0);
}

TEST(the_tokens_of_a_killed_process_come_back, .seconds = 60)
{
    if (house_light())
        return;
    uvcsp_semaphore *s = uvcsp_bounded_semaphore_new(3);
    for (int round = 0; round < ROUNDS; round++) {
        CHAN(int) c = CHANNEL(int), d = CHANNEL(int), never = CHANNEL(int);
        OUT_END(int) keeps = OUT_OF(never);
        ck_assert(uvcsp_semaphore_acquire(s, 0) >= 0);
        uvcsp_handle *holder = started(holds_tokens(s, 2, c, never), IN_OF(c));
        ck_assert_int_eq(uvcsp_semaphore_value(s), 0);
        uvcsp_handle *heir = started(wants_tokens(s, 2, d), IN_OF(d));
        killed(holder);
        ended_well(heir);
        ck_assert_int_eq(uvcsp_semaphore_value(s), 2);
        ck_assert_int_eq(uvcsp_semaphore_release(s), 0);
        ck_assert_int_eq(uvcsp_semaphore_release(s), -EOVERFLOW);
        RETIRE(keeps);
    }
}

TEST(signals_that_a_killed_process_had_seen_do_not_come_back)
{
    if (house_light())
        return;
    uvcsp_semaphore *s = uvcsp_semaphore_new(0);
    CHAN(int) c = CHANNEL(int), never = CHANNEL(int);
    OUT_END(int) keeps = OUT_OF(never);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(uvcsp_semaphore_release(s), 0);
    killed(started(holds_tokens(s, 4, c, never), IN_OF(c)));
    ck_assert_int_eq(uvcsp_semaphore_value(s), 1);
    RETIRE(keeps);
}

/* ---- condition ---- */

PROCESS(waits_for_notice, VAL(uvcsp_condition *, c), VAL(int *, n), OUT(int, ready))
{
    MUST(uvcsp_condition_acquire(c, -1) >= 0);
    WRITE(ready, 1);
    MUST(uvcsp_condition_wait(c, -1) >= 0);
    *n += 1;
    MUST_BE(uvcsp_condition_release(c), 0);
}

TEST(a_killed_process_takes_no_notice_from_another, .seconds = 60)
{
    if (house_light())
        return;
    for (int round = 0; round < ROUNDS; round++) {
        uvcsp_condition *c = uvcsp_condition_new(NULL);
        int *n = SHARED_VALUE(int, 0);
        CHAN(int) d = CHANNEL(int), e = CHANNEL(int);
        uvcsp_handle *victim = started(waits_for_notice(c, n, d), IN_OF(d));
        uvcsp_handle *other = started(waits_for_notice(c, n, e), IN_OF(e));
        killed(victim);
        ck_assert(uvcsp_condition_acquire(c, -1) >=
                  0); /* both wait, or have died: the lock was given up */
        ck_assert_int_eq(uvcsp_condition_notify(c, 1), 0);
        ck_assert_int_eq(uvcsp_condition_release(c), 0);
        ended_well(other);
        ck_assert_int_eq(*n, 1);
        uvcsp_condition_free(c);
    }
}

PROCESS(is_notified_by_the_dead, VAL(uvcsp_condition *, c), VAL(int, notified), OUT(int, ready))
{
    MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
    WRITE(ready, 1);
    int status = uvcsp_condition_wait(c, notified ? -1 : 0.3); /* longer than the holder needs to begin */
    MUST(status == UVCSP_OWNER_DIED || (!notified && status == UVCSP_TIMEOUT));
    MUST_BE(uvcsp_condition_release(c), 0); /* it has the lock, and once */
    MUST_BE(uvcsp_condition_release(c), -EPERM);
}

PROCESS(notifies_and_stays, VAL(uvcsp_condition *, c), VAL(int, notifies), OUT(int, ready), IN(int, never))
{
    MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
    MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
    if (notifies)
        MUST_BE(uvcsp_condition_notify_all(c), 0);
    WRITE(ready, 1);
    (void)READ(never);
}

TEST(who_waits_at_a_condition_goes_on_when_its_holder_was_killed, .times = 2, .seconds = 60)
{
    if (house_light())
        return;
    for (int round = 0; round < ROUNDS; round++) {
        uvcsp_condition *c = uvcsp_condition_new(NULL);
        CHAN(int) d = CHANNEL(int), e = CHANNEL(int), never = CHANNEL(int);
        OUT_END(int) keeps = OUT_OF(never);
        uvcsp_handle *waits = started(is_notified_by_the_dead(c, _i, d), IN_OF(d));
        uvcsp_handle *holder = started(notifies_and_stays(c, _i, e, never), IN_OF(e));
        killed(holder);
        ended_well(waits);
        ck_assert_int_eq(uvcsp_condition_acquire(c, 0), UVCSP_OK);
        uvcsp_condition_free(c);
        RETIRE(keeps);
    }
}

/* ---- barrier ---- */

PROCESS(waits_at_barrier, VAL(uvcsp_barrier *, b), VAL(int, expected), OUT(int, ready))
{
    WRITE(ready, 1);
    MUST_BE(uvcsp_barrier_wait(b, -1, NULL), expected);
}

PROCESS(passes_and_stays, VAL(uvcsp_barrier *, b), OUT(int, ready), IN(int, never))
{
    MUST_BE(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
    WRITE(ready, 1);
    (void)READ(never);
}

static void wait_for_arrivals(uvcsp_barrier *b, int n)
{
    while (uvcsp_barrier_n_waiting(b) != n)
        uvcsp_sleep(0.001);
}

TEST(a_killed_party_breaks_the_barrier, .times = 2, .seconds = 60)
{
    if (house_light())
        return;
    for (int round = 0; round < ROUNDS; round++) {
        uvcsp_barrier *b = uvcsp_barrier_new(3 - _i, NULL, NULL);
        CHAN(int) c = CHANNEL(int), d = CHANNEL(int), never = CHANNEL(int);
        OUT_END(int) keeps = OUT_OF(never);
        IN_END(int) in = IN_OF(c);
        uvcsp_handle *victim;
        if (_i == 0) { /* where it waits */
            victim = started(waits_at_barrier(b, UVCSP_OK, c), in);
            wait_for_arrivals(b, 1);
        } else { /* after it had waited with this process once */
            victim = SPAWN(passes_and_stays(b, c, never));
            ck_assert_int_eq(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
            ck_assert_int_eq(READ(in), 1);
        }
        uvcsp_handle *other = started(waits_at_barrier(b, UVCSP_BROKEN, d), IN_OF(d));
        wait_for_arrivals(b, _i == 0 ? 2 : 1);
        killed(victim);
        ended_well(other);
        ck_assert(uvcsp_barrier_broken(b));
        ck_assert_int_eq(uvcsp_barrier_reset(b), 0);
        uvcsp_barrier_free(b);
        RETIRE(keeps);
    }
}

/* ---- event ---- */

PROCESS(sets_for_ever, VAL(uvcsp_event *, e), OUT(int, ready))
{
    WRITE(ready, 1);
    for (;;) {
        uvcsp_event_clear(e);
        uvcsp_event_set(e);
    }
}

PROCESS(sees_for_ever, VAL(uvcsp_event *, e), OUT(int, ready))
{
    WRITE(ready, 1);
    for (;;)
        MUST_BE(uvcsp_event_wait(e, -1), UVCSP_OK);
}

TEST(an_event_outlives_who_sets_it, .seconds = 60)
{
    if (house_light())
        return;
    uvcsp_event *e = uvcsp_event_new();
    for (int round = 0; round < ROUNDS; round++) {
        CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
        uvcsp_handle *setter = started(sets_for_ever(e, c), IN_OF(c));
        uvcsp_handle *viewer = started(sees_for_ever(e, d), IN_OF(d));
        killed(round % 2 ? setter : viewer);
        killed(round % 2 ? viewer : setter);
        ck_assert_int_eq(uvcsp_event_set(e), 0);
        ck_assert_int_eq(uvcsp_event_wait(e, 0), UVCSP_OK);
        ck_assert_int_eq(uvcsp_event_clear(e), 0);
    }
}

PROCESS(waits_at_a_barrier, VAL(uvcsp_barrier *, barrier))
{
    (void)uvcsp_barrier_wait(barrier, -1, NULL);
}

/* Nobody meets it any more. */
TEST(who_was_killed_by_a_call_is_dead_when_that_returns, .times = 5)
{
    if (house_light())
        return;
    uvcsp_barrier *barrier = uvcsp_barrier_new(2, NULL, NULL);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(waits_at_a_barrier(barrier));
    while (uvcsp_barrier_n_waiting(barrier) < 1)
        uvcsp_sleep(0.001);
    ck_assert_int_eq(uvcsp_kill(handle), 0);
    int waited = uvcsp_barrier_wait(barrier, 10, NULL);
    free(house_captured());
    ck_assert_int_eq(waited, UVCSP_BROKEN);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGKILL);
}

SUITE("sync_death", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
