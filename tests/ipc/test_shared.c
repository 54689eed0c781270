/* Shared values and arrays, and the lock of a block. */
#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/contract/contract.h"

/* ---- values and arrays ---- */

PROCESS(example, VAL(double *, num), VAL(int *, a))
{
    *num = 3.1415927;
    for (size_t i = 0; i < COUNT_OF_SHARED(a); i++)
        a[i] = -a[i];
}

TEST(what_one_process_writes_the_others_see, .times = PLACEMENTS)
{
    double *num = SHARED_VALUE(double, 0.0);
    int *a = SHARED_ARRAY(int, 10, ((int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    ck_assert_int_eq(RUN(_i, example(num, a)), 0);
    ck_assert(*num == 3.1415927);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(a[i], -i);
}

struct point {
    int x, y;
};

TEST(a_block_begins_as_it_was_asked_for)
{
    struct point *p = SHARED_VALUE(struct point, (struct point){1, 2});
    int *zero = SHARED_VALUE(int), *raw = SHARED_RAW_VALUE(int, 7);
    long *a = SHARED_ARRAY(long, 1000);
    char *none = SHARED_RAW_ARRAY(char, 0);
    ck_assert(p->x == 1 && p->y == 2 && *zero == 0 && *raw == 7);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(a[i], 0);
    ck_assert_uint_eq(COUNT_OF_SHARED(a), 1000);
    ck_assert_uint_eq(COUNT_OF_SHARED(p), 1);
    ck_assert_uint_eq(COUNT_OF_SHARED(none), 0);
    ck_assert_uint_eq((uintptr_t)a % 64, 0);
}

PROCESS(takes_pointers, IN(int *, in), OUT(int, out))
{
    for (;;) {
        int *p = READ(in);
        LOCKED (p)
            *p += 1;
        WRITE(out, *p);
    }
}

PROCESS(sends_pointers, OUT(int *, out), IN(int, in))
{
    for (int i = 0; i < 5; i++) {
        int *p = SHARED_VALUE(int, i);
        WRITE(out, p);
        MUST(READ(in) == i + 1);
        MUST(*p == i + 1);
    }
}

TEST(a_worker_that_was_forked_before_can_use_a_block, .times = PLACEMENTS)
{
    CHAN(int *) there = CHANNEL(int *);
    CHAN(int) back = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, takes_pointers(there, back), sends_pointers(there, back)), 0);
}

/* ---- when blocks go ---- */

PROCESS(makes_blocks, VAL(int, crashes))
{
    for (int i = 0; i < 10; i++) {
        MUST(SHARED_VALUE(int, i));
        MUST(SHARED_RAW_ARRAY(char, 100000));
    }
    if (crashes)
        raise(SIGKILL);
}

static size_t blocks(void)
{
    return usp_arena_count(USP_BLOCK_SHARED) + usp_arena_count(USP_BLOCK_CHANNEL);
}

TEST(blocks_go_with_the_process_that_made_them, .times = PLACEMENTS)
{
    int *mine = SHARED_VALUE(int, 1);
    size_t before = blocks();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(RUN(_i, makes_blocks(0)), 0);
    ck_assert_uint_eq(blocks(), before);
    ck_assert_int_eq(*mine, 1);
    ck_assert_int_eq(uvcsp_shared_free(mine), 0);
    ck_assert_int_lt(blocks(), before);
}

TEST(blocks_of_a_worker_that_was_killed_go_too)
{
    if (house_light())
        return;
    int *mine = SHARED_VALUE(int, 1);
    size_t before = blocks();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(PAR(makes_blocks(1)), 1);
    uvcsp_shared_free(NULL); /* what had to wait for survivors is freed at the next occasion */
    ck_assert_uint_eq(blocks(), before);
    ck_assert_int_eq(*mine, 1);
}

/* ---- the lock ---- */

PROCESS(increments, VAL(long *, num), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        LOCKED (num) {
            long seen = *num;
            if (i % 64 == 0)
                uvcsp_yield();
            *num = seen + 1;
        }
}

TEST(no_increment_under_the_lock_is_lost, .times = PLACEMENTS, .seconds = 60)
{
    long *num = SHARED_VALUE(long, 0);
    int n = house_valgrind() ? 500 : 20000;
    ck_assert_int_eq(RUN(_i, increments(num, n), increments(num, n), increments(num, n),
                         WORKER(increments(num, n), increments(num, n))),
                     0);
    ck_assert_int_eq(*num, 5L * n);
}

PROCESS(leaves, VAL(int *, p), VAL(int, way))
{
    for (int i = 0; i < 1; i++) {
        LOCKED (p) {
            *p += 1;
            if (way == 0)
                break;
            if (way == 1)
                continue;
            if (way == 2)
                goto out;
            if (way == 3)
                return;
            *p += 100;
        }
        *p += 10;
    }
out:
    *p += 1000;
}

TEST(however_the_body_is_left_the_lock_is_released)
{
    static const int expected[] = {1011, 1011, 1001, 1, 1111};
    for (int way = 0; way < 5; way++) {
        int *p = SHARED_VALUE(int, 0);
        ck_assert_int_eq(CO(leaves(p, way)), 0);
        ck_assert_int_eq(*p, expected[way]);
        ck_assert_int_eq(uvcsp_shared_unlock(p), -EPERM);
        ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
        ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    }
}

TEST(a_process_may_lock_what_it_has_locked)
{
    int *p = SHARED_VALUE(int, 0);
    LOCKED (p)
        LOCKED (p)
            *p = 1;
    ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_shared_lock(p, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    ck_assert_int_eq(uvcsp_shared_unlock(p), 0);
    ck_assert_int_eq(uvcsp_shared_unlock(p), -EPERM);
}

PROCESS(holds_while_it_reads, VAL(int *, p), OUT(int, ready), IN(int, in))
{
    LOCKED (p) {
        WRITE(ready, 1);
        *p = READ(in);
    }
}

PROCESS(wants_it, VAL(int *, p))
{
    MUST_BE(uvcsp_shared_lock(p, 0.01), UVCSP_TIMEOUT);
    LOCKED (p)
        MUST(*p == 5);
}

PROCESS(lets_it_go, IN(int, ready), OUT(int, out))
{
    (void)READ(ready);
    uvcsp_sleep(0.05); /* the others wait meanwhile, and do not keep this one from running */
    WRITE(out, 5);
}

TEST(who_waits_for_a_lock_does_not_block_its_worker, .times = PLACEMENTS)
{
    int *p = SHARED_VALUE(int, 0);
    CHAN(int) c = CHANNEL(int), ready = CHANNEL(int);
    IN_END(int) in = IN_OF(ready);
    uvcsp_handle *holder = _i == LIGHT ? GO(holds_while_it_reads(p, ready, c))
                                       : SPAWN(holds_while_it_reads(p, ready, c));
    ck_assert_int_eq(READ(in), 1);
    CHAN(int) again = CHANNEL(int);
    OUT_END(int) out = OUT_OF(again);
    uvcsp_handle *helper = GO(lets_it_go(again, c));
    uvcsp_handle *waiter = GO(wants_it(p));
    WRITE(out, 1);
    ck_assert_int_eq(uvcsp_join(waiter, -1), 0);
    ck_assert_int_eq(uvcsp_join(holder, -1), 0);
    ck_assert_int_eq(uvcsp_join(helper, -1), 0);
}

/* ---- bad input ---- */

TEST(what_is_no_block_is_refused)
{
    int *raw = SHARED_RAW_VALUE(int, 1), *p = SHARED_VALUE(int, 1), own;
    ck_assert_int_eq(uvcsp_shared_lock(NULL, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_lock(&own, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_lock(p + 1, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_lock(raw, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_unlock(raw), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_unlock(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_free(&own), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_free(NULL), 0);
    ck_assert_uint_eq(uvcsp_shared_count(&own), 0);
    ck_assert(!uvcsp_locked_after_death(&own));
    ck_assert_int_eq(uvcsp_shared_free(p), 0);
    ck_assert_int_eq(uvcsp_shared_free(p), -EINVAL);
    ck_assert_int_eq(uvcsp_shared_lock(p, -1), -EINVAL);
    errno = 0;
    ck_assert_ptr_null(uvcsp_shared_new(1, 0, false, NULL));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(uvcsp_shared_new(SIZE_MAX / 2, 4, false, "here"));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(SHARED_ARRAY(char, (size_t)1 << 45));
    ck_assert_int_eq(errno, ENOMEM);
}

PROCESS(frees, VAL(int *, p))
{
    MUST_BE(uvcsp_shared_free(p), -EPERM);
}

TEST(only_the_worker_of_its_maker_frees_a_block)
{
    int *p = SHARED_VALUE(int, 1);
    if (!house_light())
        ck_assert_int_eq(PAR(frees(p)), 0);
    ck_assert_int_eq(*p, 1);
}

TEST(a_raw_block_cannot_be_locked, .raises = SIGABRT)
{
    int *raw = SHARED_RAW_VALUE(int, 1);
    LOCKED (raw)
        *raw = 2;
}

SUITE("shared", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
