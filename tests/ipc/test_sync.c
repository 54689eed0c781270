/* Locks, semaphores and events, by themselves and as guards. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define N (house_valgrind() ? 200 : 3000)

/* ---- lock ---- */

PROCESS(locks_and_adds, VAL(uvcsp_lock *, l), VAL(long *, sum), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_lock_acquire(l, -1), UVCSP_OK);
        long seen = *sum;
        if (i % 16 == 0)
            uvcsp_yield();
        *sum = seen + 1;
        MUST_BE(uvcsp_lock_release(l), 0);
    }
}

PROCESS(chooses_and_adds, VAL(uvcsp_lock *, l), VAL(long *, sum), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST(ALT(ON_LOCK(l), ON_TIMEOUT(60)) == 0);
        long seen = *sum;
        if (i % 16 == 0)
            uvcsp_yield();
        *sum = seen + 1;
        MUST_BE(uvcsp_lock_release(l), 0);
    }
}

TEST(a_lock_excludes_whoever_acquires_or_chooses_it, .times = PLACEMENTS, .seconds = 60)
{
    uvcsp_lock *l = uvcsp_lock_new();
    long *sum = SHARED_RAW_VALUE(long, 0);
    ck_assert_int_eq(RUN(_i, locks_and_adds(l, sum, N), locks_and_adds(l, sum, N),
                         chooses_and_adds(l, sum, N),
                         WORKER(locks_and_adds(l, sum, N), chooses_and_adds(l, sum, N))),
                     0);
    ck_assert_int_eq(*sum, 5 * N);
    uvcsp_lock_free(l);
}

TEST(a_lock_that_is_held_is_waited_for_as_long_as_said)
{
    uvcsp_lock *l = uvcsp_lock_new();
    ck_assert_int_eq(uvcsp_lock_release(l), -EPERM);
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_TIMEOUT);
    double start = uvcsp_now();
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0.02), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - start >= 0.02);
    ck_assert_int_eq(ALT(ON_LOCK(l), ON_TIMEOUT(0.01)), 1);
    ck_assert_int_eq(uvcsp_lock_release(l), 0);
    ck_assert_int_eq(PRI_ALT(ON_LOCK(l), ON_SKIP), 0);
    ck_assert_int_eq(PRI_ALT(ON_LOCK(l), ON_SKIP), 1);
    ck_assert_int_eq(uvcsp_lock_release(l), 0);
    ck_assert_int_eq(uvcsp_lock_release(l), -EPERM);
}

PROCESS(releases, VAL(uvcsp_lock *, l))
{
    MUST_BE(uvcsp_lock_release(l), 0);
}

TEST(a_lock_may_be_released_by_another_process, .times = PLACEMENTS)
{
    uvcsp_lock *l = uvcsp_lock_new();
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_OK);
    uvcsp_handle *h = _i == LIGHT ? GO(releases(l)) : SPAWN(releases(l));
    ck_assert_int_eq(uvcsp_lock_acquire(l, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
}

PROCESS(cannot_have_it, VAL(uvcsp_rlock *, l))
{
    MUST_BE(uvcsp_rlock_release(l), -EPERM);
    MUST_BE(uvcsp_rlock_acquire(l, 0), UVCSP_TIMEOUT);
    MUST(PRI_ALT(ON_RLOCK(l), ON_SKIP) == 1);
}

PROCESS(can_have_it, VAL(uvcsp_rlock *, l))
{
    MUST(PRI_ALT(ON_RLOCK(l), ON_SKIP) == 0);
    MUST_BE(uvcsp_rlock_release(l), 0);
}

TEST(an_rlock_is_released_as_often_as_it_was_acquired, .times = PLACEMENTS)
{
    uvcsp_rlock *l = uvcsp_rlock_new();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(uvcsp_rlock_acquire(l, -1), UVCSP_OK);
    ck_assert_int_eq(RUN(_i, cannot_have_it(l)), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(RUN(_i, cannot_have_it(l)), 0);
        ck_assert_int_eq(uvcsp_rlock_release(l), 0);
    }
    ck_assert_int_eq(uvcsp_rlock_release(l), -EPERM);
    ck_assert_int_eq(RUN(_i, can_have_it(l)), 0);
}

PROCESS(chooses_it_again, IN(uvcsp_rlock *, in), OUT(bool, out), IN(int, never))
{
    uvcsp_rlock *l = READ(in); /* made after this worker was */
    int x;
    MUST(ALT(ON_RLOCK(l)) == 0);
    for (int i = 0; i < 3; i++)
        MUST(PRI_ALT(ON_READ(never, &x), ON_RLOCK(l)) == 1);
    for (int i = 0; i < 4; i++) {
        WRITE(out, true);
        (void)READ(in); /* until the other has seen that it cannot be had */
        MUST_BE(uvcsp_rlock_release(l), 0);
    }
    WRITE(out, true);
    MUST_BE(uvcsp_rlock_release(l), -EPERM);
}

TEST(a_choice_takes_an_rlock_that_its_process_has_once_more, .times = PLACEMENTS)
{
    CHAN(uvcsp_rlock *) c = CHANNEL(uvcsp_rlock *);
    CHAN(bool) d = CHANNEL(bool);
    CHAN(int) never = CHANNEL(int);
    OUT_END(uvcsp_rlock *) out = OUT_OF(c);
    IN_END(bool) in = IN_OF(d);
    OUT_END(int) keeps = OUT_OF(never);
    uvcsp_handle *h =
        _i == LIGHT ? GO(chooses_it_again(c, d, never)) : SPAWN(chooses_it_again(c, d, never));
    uvcsp_rlock *l = uvcsp_rlock_new();
    WRITE(out, l);
    for (int i = 0; i < 4; i++) {
        (void)READ(in);
        ck_assert_int_eq(PRI_ALT(ON_RLOCK(l), ON_SKIP), 1);
        WRITE(out, l);
    }
    (void)READ(in);
    ck_assert_int_eq(PRI_ALT(ON_RLOCK(l), ON_SKIP), 0);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
    RETIRE(keeps);
}

/* ---- semaphore ---- */

PROCESS(enters, VAL(uvcsp_semaphore *, s), VAL(atomic_int *, inside), VAL(int, n),
        VAL(bool, chooses))
{
    for (int i = 0; i < n; i++) {
        if (chooses)
            MUST(ALT(ON_SEMAPHORE(s), ON_TIMEOUT(60)) == 0);
        else
            MUST_BE(uvcsp_semaphore_acquire(s, -1), UVCSP_OK);
        MUST(atomic_fetch_add(inside, 1) < 3);
        if (i % 16 == 0)
            uvcsp_yield();
        atomic_fetch_sub(inside, 1);
        MUST_BE(uvcsp_semaphore_release(s), 0);
    }
}

TEST(no_more_are_inside_than_there_are_tokens, .times = PLACEMENTS, .seconds = 60)
{
    uvcsp_semaphore *s = uvcsp_bounded_semaphore_new(3);
    atomic_int *inside = SHARED_RAW_VALUE(atomic_int);
    ck_assert_int_eq(RUN(_i, enters(s, inside, N, false), enters(s, inside, N, true),
                         WORKER(enters(s, inside, N, false), enters(s, inside, N, true),
                                enters(s, inside, N, false))),
                     0);
    ck_assert_int_eq(uvcsp_semaphore_value(s), 3);
}

TEST(a_bounded_semaphore_refuses_one_token_too_many)
{
    uvcsp_semaphore *s = uvcsp_bounded_semaphore_new(2);
    ck_assert_int_eq(uvcsp_semaphore_release(s), -EOVERFLOW);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_semaphore_release(s), 0);
    ck_assert_int_eq(uvcsp_semaphore_release(s), 0);
    ck_assert_int_eq(uvcsp_semaphore_release(s), -EOVERFLOW);
    ck_assert_int_eq(uvcsp_semaphore_value(s), 2);
    ck_assert_ptr_null(uvcsp_semaphore_new(-1));
    ck_assert_int_eq(errno, EINVAL);
}

TEST(a_semaphore_that_counts_signals_grows)
{
    uvcsp_semaphore *s = uvcsp_semaphore_new(0);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_TIMEOUT);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(uvcsp_semaphore_release(s), 0);
    ck_assert_int_eq(uvcsp_semaphore_value(s), 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_semaphore_acquire(s, 0), UVCSP_TIMEOUT);
}

PROCESS(signals, VAL(uvcsp_semaphore *, s), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_semaphore_release(s), 0);
}

PROCESS(counts, VAL(uvcsp_semaphore *, s), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_semaphore_acquire(s, -1), UVCSP_OK);
}

TEST(every_signal_arrives, .times = PLACEMENTS)
{
    uvcsp_semaphore *s = uvcsp_semaphore_new(0);
    ck_assert_int_eq(RUN(_i, signals(s, N), counts(s, N), signals(s, N), counts(s, N)), 0);
    ck_assert_int_eq(uvcsp_semaphore_value(s), 0);
}

/* ---- event ---- */

PROCESS(waits_for_event, VAL(uvcsp_event *, e), VAL(bool, chooses), OUT(int, ready))
{
    WRITE(ready, 1);
    if (chooses)
        MUST(ALT(ON_EVENT(e), ON_TIMEOUT(60)) == 0);
    else
        MUST_BE(uvcsp_event_wait(e, -1), UVCSP_OK);
    MUST(uvcsp_event_is_set(e));
}

PROCESS(sets_event, VAL(uvcsp_event *, e), IN(int, ready))
{
    for (int i = 0; i < 4; i++)
        (void)READ(ready);
    MUST_BE(uvcsp_event_set(e), 0);
}

TEST(all_who_wait_for_an_event_see_it, .times = PLACEMENTS)
{
    uvcsp_event *e = uvcsp_event_new();
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, waits_for_event(e, false, c), waits_for_event(e, true, c),
                         sets_event(e, c),
                         WORKER(waits_for_event(e, false, c), waits_for_event(e, true, c))),
                     0);
    ck_assert(uvcsp_event_is_set(e));
    for (int i = 0; i < 100000; i++) /* nobody uses it up */
        ck_assert_int_eq(PRI_ALT(ON_EVENT(e), ON_SKIP), 0);
    ck_assert_int_eq(uvcsp_event_set(e), 0);
    ck_assert_int_eq(uvcsp_event_clear(e), 0);
    ck_assert_int_eq(uvcsp_event_clear(e), 0);
    ck_assert(!uvcsp_event_is_set(e));
    ck_assert_int_eq(uvcsp_event_wait(e, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_event_wait(e, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(ALT(ON_EVENT(e), ON_TIMEOUT(0.01)), 1);
}

TEST(a_choice_waits_for_all_of_them_together)
{
    uvcsp_lock *l = uvcsp_lock_new();
    uvcsp_semaphore *s = uvcsp_semaphore_new(0);
    uvcsp_event *e = uvcsp_event_new();
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x;
    uvcsp_guard guards[] = {ON_LOCK(l), ON_SEMAPHORE(s), ON_EVENT(e), ON_READ(in, &x),
                            ON_TIMEOUT(0.01)};
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 0);
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 4);
    uvcsp_semaphore_release(s);
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 1);
    WRITE(out, 7);
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 3);
    uvcsp_event_set(e);
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 2);
    uvcsp_event_clear(e);
    uvcsp_lock_release(l);
    ck_assert_int_eq(uvcsp_alt(guards, 5, UVCSP_FAIR), 0);
}

/* ---- bad input ---- */

TEST(what_is_no_such_object_is_refused)
{
    uvcsp_lock *l = uvcsp_lock_new();
    int own[100] = {0};
    ck_assert_int_eq(uvcsp_lock_acquire(NULL, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_lock_acquire((uvcsp_lock *)own, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_rlock_acquire((uvcsp_rlock *)l, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_semaphore_release((uvcsp_semaphore *)l), -EINVAL);
    ck_assert_int_eq(uvcsp_event_set(NULL), -EINVAL);
    ck_assert(!uvcsp_event_is_set(NULL));
    ck_assert_int_eq(uvcsp_barrier_wait((uvcsp_barrier *)l, -1, NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_condition_wait((uvcsp_condition *)l, -1), -EINVAL);
    uvcsp_guard guards[] = {ON_LOCK((uvcsp_lock *)NULL), ON_TIMEOUT(1)};
    ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), -EINVAL);
    uvcsp_event_free((uvcsp_event *)l);
    uvcsp_lock_free(l);
    uvcsp_lock_free(l);
    uvcsp_lock_free(NULL);
    ck_assert_int_eq(uvcsp_lock_acquire(l, -1), -EINVAL);
}

PROCESS(waits_for_what_is_freed, VAL(uvcsp_lock *, l), OUT(int, ready))
{
    WRITE(ready, 1);
    int rc = uvcsp_lock_acquire(l, -1);
    MUST(rc == UVCSP_POISONED || rc == -EINVAL); /* it waits by then, or it comes too late */
}

TEST(who_waits_for_what_is_freed_is_told, .times = PLACEMENTS)
{
    uvcsp_lock *l = uvcsp_lock_new();
    ck_assert_int_eq(uvcsp_lock_acquire(l, 0), UVCSP_OK);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_handle *h =
        _i == LIGHT ? GO(waits_for_what_is_freed(l, c)) : SPAWN(waits_for_what_is_freed(l, c));
    ck_assert_int_eq(READ(in), 1);
    uvcsp_sleep(0.005);
    uvcsp_lock_free(l);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
}

SUITE("sync", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
