/* What objects of the floor refuse with a line: a time that is no number, a name that is none, a key that is missing. */
#include <math.h>
#include <uvcsp/ipc.h>

#include "tests/contract/refusals.h"

/* ---- times ---- */

#define NO_NUMBER "the timeout is not a number"

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static int squared(const int *x, int *result, void *context)
{
    (void)context;
    *result = *x * *x;
    return 0;
}

TEST(what_processes_share_is_not_waited_for_where_the_timeout_is_no_number)
{
    uvcsp_lock *lock = uvcsp_lock_new();
    uvcsp_rlock *rlock = uvcsp_rlock_new();
    uvcsp_semaphore *semaphore = uvcsp_semaphore_new(1);
    uvcsp_condition *condition = uvcsp_condition_new(NULL);
    uvcsp_event *event = uvcsp_event_new();
    uvcsp_barrier *barrier = uvcsp_barrier_new(1, NULL, NULL);
    int *block = SHARED_VALUE(int, 1);
    REFUSES(uvcsp_lock_acquire(lock, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_rlock_acquire(rlock, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_semaphore_acquire(semaphore, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_condition_acquire(condition, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_event_wait(event, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_barrier_wait(barrier, NAN, NULL), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_shared_lock(block, NAN), -EINVAL, NO_NUMBER);
    /* nothing was taken */
    ck_assert_int_eq(uvcsp_lock_acquire(lock, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_rlock_acquire(rlock, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_semaphore_acquire(semaphore, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_shared_lock(block, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_condition_acquire(condition, 0), UVCSP_OK);
    REFUSES(uvcsp_condition_wait(condition, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_condition_wait_for(condition, never, NULL, NAN), -EINVAL, NO_NUMBER);
    ck_assert_int_eq(uvcsp_condition_release(condition), 0);
}

TEST(nor_are_connections_and_pools)
{
    uvcsp_conn *a, *b, *none;
    int result, argument = 3;
    ck_assert_int_eq(uvcsp_pipe(&a, &b, true), 0);
    REFUSES(uvcsp_conn_poll(a, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_wait(&a, 1, NAN), -EINVAL, "uvcsp_wait: " NO_NUMBER);
    SAYS("uvcsp_connect: " NO_NUMBER, none = uvcsp_connect("nowhere", "key", NAN));
    ck_assert_ptr_null(none);
    ck_assert_int_eq(errno, EINVAL);
    uvcsp_pool *pool = POOL(1);
    uvcsp_result *later = uvcsp_pool_apply_async(pool, squared, &argument, int);
    REFUSES(uvcsp_result_wait(later, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_result_get(later, &result, NAN), -EINVAL, NO_NUMBER);
    ck_assert_int_eq(uvcsp_result_get(later, &result, -1), UVCSP_OK);
    ck_assert_int_eq(result, 9);
    uvcsp_result_free(later);
    uvcsp_pool_close(pool);
    REFUSES(uvcsp_pool_join(pool, NAN), -EINVAL, NO_NUMBER);
    ck_assert_int_eq(uvcsp_pool_join(pool, -1), UVCSP_OK);
    uvcsp_pool_free(pool);
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    uvcsp_proxy mlock = uvcsp_manager_lock(manager);
    ck_assert_int_eq(uvcsp_mlock_acquire(mlock, NAN), -EINVAL); /* there uvcsp_call_error() says it */
    ck_assert_int_eq(uvcsp_mlock_acquire(mlock, 0), UVCSP_OK);
}

/* ---- names and keys ---- */

TEST(who_calls_is_named_where_a_key_or_a_name_is_missing)
{
    uvcsp_manager *manager = NULL, *there = NULL;
    void *block = NULL;
    errno = 0;
    SAYS("uvcsp_manager_start: the key is NULL",
         manager = uvcsp_manager_start(&(uvcsp_manager_options){.address = "somewhere"}));
    ck_assert_ptr_null(manager);
    ck_assert_int_eq(errno, EINVAL);
    SAYS("uvcsp_manager_start: the key is empty",
         manager = uvcsp_manager_start(&(uvcsp_manager_options){.address = "somewhere", .key = ""}));
    ck_assert_ptr_null(manager);
    errno = 0;
    SAYS("uvcsp_manager_connect: the key is NULL", there = uvcsp_manager_connect("somewhere", NULL, 0));
    ck_assert_ptr_null(there);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    SAYS("uvcsp_shared_open: the name is NULL", block = uvcsp_shared_open(NULL, 1));
    ck_assert_ptr_null(block);
    ck_assert_int_eq(errno, EINVAL);
}

SUITE("refused", .before = default_signals, .after = uvcsp_shutdown)
