/* Conditions and barriers. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define N (house_valgrind() ? 50 : 1000)

/* ---- condition ---- */

struct box {
    int turn, rounds, waiting, woken;
};

struct whose {
    struct box *box;
    int turn;
};

static bool is_turn(void *arg)
{
    struct whose *whose = arg;
    return whose->box->turn == whose->turn;
}

PROCESS(takes_turns, VAL(uvcsp_condition *, c), VAL(struct box *, box), VAL(int, me), VAL(int, n),
        VAL(int, rounds))
{
    struct whose whose = {box, me};
    for (int i = 0; i < rounds; i++) {
        MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
        MUST_BE(uvcsp_condition_wait_for(c, is_turn, &whose, -1), UVCSP_OK);
        box->turn = (me + 1) % n;
        box->rounds++;
        MUST_BE(uvcsp_condition_notify_all(c), 0);
        MUST_BE(uvcsp_condition_release(c), 0);
    }
}

TEST(processes_take_turns_by_a_condition, .times = 2 * PLACEMENTS, .seconds = 60)
{
    uvcsp_lock *l = _i / PLACEMENTS ? uvcsp_lock_new() : NULL;
    uvcsp_condition *c = uvcsp_condition_new(l);
    struct box *box = SHARED_RAW_VALUE(struct box);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, takes_turns(c, box, 0, 4, N),
                         takes_turns(c, box, 1, 4, N),
                         WORKER(takes_turns(c, box, 2, 4, N), takes_turns(c, box, 3, 4, N))),
                     0);
    ck_assert_int_eq(box->rounds, 4 * N);
    uvcsp_condition_free(c);
    uvcsp_lock_free(l);
}

PROCESS(waits_once, VAL(uvcsp_condition *, c), VAL(struct box *, box))
{
    MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
    MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK); /* given up altogether, and had back twice */
    box->waiting++;
    MUST_BE(uvcsp_condition_wait(c, -1), UVCSP_OK);
    box->woken++;
    MUST_BE(uvcsp_condition_release(c), 0);
    MUST_BE(uvcsp_condition_release(c), 0);
    MUST_BE(uvcsp_condition_release(c), -EPERM);
}

static void wait_until(uvcsp_condition *c, const volatile int *what, int n)
{
    for (;;) {
        MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
        bool there = *what == n;
        MUST_BE(uvcsp_condition_release(c), 0);
        if (there)
            return;
        uvcsp_sleep(0.001);
    }
}

PROCESS(notifies_one_two_and_all, VAL(uvcsp_condition *, c), VAL(struct box *, box))
{
    static const int n[] = {1, 2, 3}, woken[] = {1, 3, 5};
    wait_until(c, &box->waiting, 5);
    for (int i = 0; i < 3; i++) {
        MUST_BE(uvcsp_condition_acquire(c, -1), UVCSP_OK);
        MUST_BE(i < 2 ? uvcsp_condition_notify(c, (unsigned)n[i]) : uvcsp_condition_notify_all(c),
                0);
        MUST(box->woken == (i ? woken[i - 1] : 0));
        MUST_BE(uvcsp_condition_release(c), 0);
        wait_until(c, &box->woken, woken[i]);
    }
}

TEST(a_condition_wakes_as_many_as_were_notified, .times = PLACEMENTS)
{
    uvcsp_condition *c = uvcsp_condition_new(NULL);
    struct box *box = SHARED_RAW_VALUE(struct box);
    ck_assert_int_eq(RUN(_i, waits_once(c, box), waits_once(c, box), waits_once(c, box),
                         WORKER(waits_once(c, box), waits_once(c, box)),
                         notifies_one_two_and_all(c, box)),
                     0);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

TEST(a_condition_without_notice_is_waited_for_as_long_as_said)
{
    uvcsp_condition *c = uvcsp_condition_new(NULL);
    ck_assert_int_eq(uvcsp_condition_wait(c, -1), -EPERM);
    ck_assert_int_eq(uvcsp_condition_notify(c, 1), -EPERM);
    ck_assert_int_eq(uvcsp_condition_notify_all(c), -EPERM);
    ck_assert_int_eq(uvcsp_condition_acquire(c, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_condition_notify(c, 1), 0); /* nobody waits, and nothing is kept */
    ck_assert_int_eq(uvcsp_condition_wait(c, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_condition_wait(c, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_condition_wait_for(c, never, NULL, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_condition_wait_for(c, NULL, NULL, 0.01), -EINVAL);
    ck_assert_int_eq(uvcsp_condition_release(c), 0);
    ck_assert_int_eq(uvcsp_condition_release(c), -EPERM);
}

/* ---- barrier ---- */

struct rounds {
    atomic_int arrived, indexes, actions;
};

static int counts_rounds(void *arg)
{
    struct rounds *rounds = arg;
    MUST(atomic_load(&rounds->arrived) % 4 == 0);
    rounds->actions++;
    return 0;
}

PROCESS(goes_round, VAL(uvcsp_barrier *, b), VAL(struct rounds *, rounds), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        int index = -1;
        rounds->arrived++;
        MUST_BE(uvcsp_barrier_wait(b, -1, &index), UVCSP_OK);
        MUST(index >= 0 && index < 4);
        MUST(atomic_load(&rounds->arrived) >= 4 * (i + 1) &&
             atomic_load(&rounds->actions) >= i + 1);
        rounds->indexes += index;
        MUST_BE(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
    }
}

TEST(nobody_passes_a_barrier_before_all_have_come, .times = PLACEMENTS, .seconds = 60)
{
    struct rounds *rounds = SHARED_RAW_VALUE(struct rounds);
    uvcsp_barrier *b = uvcsp_barrier_new(4, counts_rounds, rounds);
    ck_assert_int_eq(RUN(_i, goes_round(b, rounds, N), goes_round(b, rounds, N),
                         WORKER(goes_round(b, rounds, N), goes_round(b, rounds, N))),
                     0);
    ck_assert_int_eq(rounds->actions, 2 * N);
    ck_assert_int_eq(rounds->indexes, (0 + 1 + 2 + 3) * N);
    ck_assert_int_eq(uvcsp_barrier_n_waiting(b), 0);
    ck_assert_int_eq(uvcsp_barrier_parties(b), 4);
    ck_assert(!uvcsp_barrier_broken(b));
}

PROCESS(finds_it_broken, VAL(uvcsp_barrier *, b))
{
    MUST_BE(uvcsp_barrier_wait(b, -1, NULL), UVCSP_BROKEN);
}

PROCESS(breaks_it, VAL(uvcsp_barrier *, b), VAL(int, how))
{
    while (uvcsp_barrier_n_waiting(b) < 2)
        uvcsp_sleep(0.001);
    if (how == 0)
        MUST_BE(uvcsp_barrier_wait(b, 0.01, NULL), UVCSP_TIMEOUT);
    else
        MUST_BE(how == 1 ? uvcsp_barrier_abort(b) : uvcsp_barrier_reset(b), 0);
    MUST(uvcsp_barrier_broken(b) == (how < 2));
}

PROCESS(passes, VAL(uvcsp_barrier *, b))
{
    MUST_BE(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
}

TEST(who_gives_up_breaks_the_barrier_until_it_is_reset, .times = 3 * PLACEMENTS)
{
    uvcsp_barrier *b = uvcsp_barrier_new(4, NULL, NULL);
    int how = _i / PLACEMENTS;
    ck_assert_int_eq(
        RUN(_i % PLACEMENTS, finds_it_broken(b), finds_it_broken(b), breaks_it(b, how)), 0);
    if (how < 2) {
        ck_assert_int_eq(uvcsp_barrier_wait(b, -1, NULL), UVCSP_BROKEN);
        ck_assert_int_eq(uvcsp_barrier_reset(b), 0);
    }
    ck_assert(!uvcsp_barrier_broken(b));
    ck_assert_int_eq(RUN(_i % PLACEMENTS, passes(b), passes(b), passes(b), passes(b)), 0);
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

TEST(an_action_that_fails_breaks_the_barrier)
{
    uvcsp_barrier *b = uvcsp_barrier_new(1, fails, NULL);
    ck_assert_int_eq(uvcsp_barrier_wait(b, -1, NULL), -EIO);
    ck_assert_int_eq(uvcsp_barrier_wait(b, -1, NULL), UVCSP_BROKEN);
    ck_assert_ptr_null(uvcsp_barrier_new(0, NULL, NULL));
    ck_assert_int_eq(errno, EINVAL);
}

SUITE("sync_meeting", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
