/* What becomes of the lock of a block when its holder, or who waits for it, dies. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define ROUNDS (house_valgrind() ? 2 : 20)

/* ---- ends by poison ---- */

PROCESS(is_poisoned_inside, VAL(int *, p), IN(int, in))
{
    LOCKED (p)
        LOCKED (p) {
            *p = 1;
            (void)READ(in); /* here */
            *p = 2;
        }
}

TEST(a_process_that_is_poisoned_inside_leaves_the_lock_to_the_next, .times = PLACEMENTS)
{
    int *p = SHARED_VALUE(int, 0);
    CHAN(int) c = CHANNEL(int);
    POISON(c);
    ck_assert_int_eq(RUN(_i, is_poisoned_inside(p, c)), 0);
    ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OWNER_DIED);
    ck_assert(uvcsp_locked_after_death(p));
    ck_assert_int_eq(*p, 1);
    ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK); /* it is told once */
    ck_assert(!uvcsp_locked_after_death(p));
    ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
}

static void locks_it(void *arg)
{
    int *p = arg;
    LOCKED (p)
        *p += 10;
}

PROCESS(locks_in_what_it_deferred, VAL(int *, p), IN(int, in))
{
    DEFER(locks_it, p);
    LOCKED (p) {
        *p = 1;
        (void)READ(in);
    }
}

TEST(what_a_process_deferred_can_use_what_it_had_locked)
{
    int *p = SHARED_VALUE(int, 0);
    CHAN(int) c = CHANNEL(int);
    POISON(c);
    ck_assert_int_eq(CO(locks_in_what_it_deferred(p, c)), 0);
    ck_assert_int_eq(*p, 11);
}

/* ---- is killed ---- */

PROCESS(dies_inside, VAL(int *, p), OUT(int, out), IN(int, go))
{
    LOCKED (p) {
        *p = 1;
        WRITE(out, 1);
        (void)READ(go);
        raise(SIGKILL);
    }
}

PROCESS(comes_after, VAL(int *, p), OUT(int, out), OUT(int, seen))
{
    WRITE(out, 1);
    MUST_BE(uvcsp_shared_lock(p, -1), UVCSP_OWNER_DIED);
    MUST(*p == 1 && uvcsp_locked_after_death(p));
    *p = 2;
    MUST_BE(uvcsp_shared_unlock(p), 0);
    WRITE(seen, 1);
}

TEST(the_death_of_a_holder_is_told_to_who_waits, .times = 2, .seconds = 60)
{
    if (house_light())
        return;
    for (int round = 0; round < ROUNDS; round++) {
        int *p = SHARED_VALUE(int, 0);
        CHAN(int) ready = CHANNEL(int), go = CHANNEL(int), seen = CHANNEL(int);
        IN_END(int) in = IN_OF(ready), in_seen = IN_OF(seen);
        OUT_END(int) out = OUT_OF(go);
        uvcsp_handle *victim = SPAWN(dies_inside(p, ready, go));
        ck_assert_int_eq(READ(in), 1);
        CHAN(int) ready_too = CHANNEL(int);
        IN_END(int) in_too = IN_OF(ready_too);
        uvcsp_handle *heir =
            _i == 0 ? SPAWN(comes_after(p, ready_too, seen)) : GO(comes_after(p, ready_too, seen));
        ck_assert_int_eq(READ(in_too), 1);
        WRITE(out, 1);
        ck_assert_int_eq(uvcsp_join(victim, -1), 0);
        ck_assert_int_eq(uvcsp_exit_code(victim), -SIGKILL);
        ck_assert_int_eq(READ(in_seen), 1);
        ck_assert_int_eq(uvcsp_join(heir, -1), 0);
        ck_assert_int_eq(uvcsp_exit_code(heir), 0);
        ck_assert_int_eq(*p, 2);
        ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
        ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
        ck_assert_int_eq(uvcsp_shared_free(p), 0);
    }
}

PROCESS(waits_for_it, VAL(int *, p), OUT(int, ready))
{
    WRITE(ready, 1);
    (void)uvcsp_shared_lock(p, -1);
}

TEST(the_death_of_who_waits_is_as_if_it_had_not_waited, .seconds = 60)
{
    if (house_light())
        return;
    int *p = SHARED_VALUE(int, 0);
    for (int round = 0; round < ROUNDS; round++) {
        CHAN(int) ready = CHANNEL(int);
        IN_END(int) in = IN_OF(ready);
        ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
        uvcsp_handle *waiter = SPAWN(waits_for_it(p, ready));
        ck_assert_int_eq(READ(in), 1);
        if (round % 2)
            uvcsp_sleep(0.002); /* it waits by now, or is about to: both must do */
        uvcsp_kill(waiter);
        if (round % 3 == 0)
            ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
        ck_assert_int_eq(uvcsp_join(waiter, -1), 0);
        if (round % 3 != 0)
            ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
        int rc = uvcsp_shared_lock(p, 0); /* it may have got the lock before it died */
        ck_assert(rc == UVCSP_OK || rc == UVCSP_OWNER_DIED);
        ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    }
}

/* ---- many, and some are killed wherever they are ---- */

struct account {
    long a, b; /* equal, unless somebody died between the two */
};

PROCESS(keeps_books, VAL(struct account *, p), OUT(int, out))
{
    WRITE(out, 1);
    for (;;)
        LOCKED (p) {
            if (uvcsp_locked_after_death(p))
                p->b = p->a;
            MUST(p->a == p->b);
            p->a++;
            p->b++;
        }
}

static uvcsp_handle *start_keeper(struct account *p)
{
    CHAN(int) ready = CHANNEL(int);
    IN_END(int) in = IN_OF(ready);
    uvcsp_handle *keeper = SPAWN(keeps_books(p, ready));
    ck_assert_int_eq(READ(in), 1);
    RETIRE(in);
    return keeper;
}

static void kill_keeper(uvcsp_handle *keeper)
{
    uvcsp_kill(keeper);
    ck_assert_int_eq(uvcsp_join(keeper, -1), 0);
}

TEST(killed_wherever_they_are_they_never_keep_the_lock, .seconds = 120)
{
    if (house_light())
        return;
    struct account *p = SHARED_VALUE(struct account);
    uvcsp_handle *keepers[3];
    for (int i = 0; i < 3; i++)
        keepers[i] = start_keeper(p);
    for (int round = 0; round < 4 * ROUNDS; round++) {
        kill_keeper(keepers[round % 3]);
        int rc = uvcsp_shared_lock(p, 10.0);
        ck_assert(rc == UVCSP_OK || rc == UVCSP_OWNER_DIED);
        if (rc == UVCSP_OWNER_DIED)
            p->b = p->a;
        ck_assert(p->a == p->b);
        ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
        keepers[round % 3] = start_keeper(p);
    }
    for (int i = 0; i < 3; i++)
        kill_keeper(keepers[i]);
    ck_assert(uvcsp_shared_lock(p, 0) >= 0);
}

SUITE("shared_death", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
