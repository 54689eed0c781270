/* How the workers of a pool begin and end, and the pool itself. */
#include "tests/ipc/pool_tasks.h"

/* ---- life of workers ---- */

static int own_pid(const int *x, int *result, void *context)
{
    (void)x;
    (void)context;
    *result = (int)getpid();
    return 0;
}

TEST(a_worker_is_replaced_after_so_many_tasks, .times = 2)
{
    const int n = 60, most = 7;
    int *a = numbers(n), *pids = calloc((size_t)n, sizeof *pids);
    uvcsp_pool *pool = POOL(2, .maxtasksperchild = most);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(uvcsp_pool_map(pool, own_pid, a, n, pids, 1 + _i), UVCSP_OK);
        for (int i = 0; i < n && !house_light(); i++) {
            int same = 0;
            for (int j = 0; j < n; j++)
                same += pids[j] == pids[i];
            ck_assert_int_le(same, most * (1 + _i));
        }
    }
    uvcsp_pool_free(pool);
    free(a);
    free(pids);
}

static void *opens(void *initarg)
{
    int *counter = initarg, *context = malloc(sizeof *context);
    MUST(context);
    *context = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST) * 1000;
    DEFER(free, context);
    return context;
}

static int adds_context(const int *x, int *result, void *context)
{
    *result = *x + *(int *)context;
    return 0;
}

TEST(what_the_initializer_gives_is_the_context_of_the_tasks)
{
    int *counter = seen_by_all(sizeof *counter), a[] = {1, 2, 3}, results[3];
    uvcsp_pool *pool = POOL(1, .initializer = opens, .initarg = counter);
    ck_assert_int_eq(uvcsp_pool_map(pool, adds_context, a, 3, results, 1), UVCSP_OK);
    ck_assert(results[0] == 1001 && results[1] == 1002 && results[2] == 1003);
    uvcsp_pool_free(pool);
    ck_assert_int_eq(*counter, 1);
    int seven = 7;
    pool = POOL(1, .initarg = &seven);
    ck_assert_int_eq(uvcsp_pool_map(pool, adds_context, a, 3, results, 0), UVCSP_OK);
    ck_assert_int_eq(results[2], 10);
    uvcsp_pool_free(pool);
}

static void *ends(void *initarg)
{
    (void)initarg;
    no_leak_check = true;
    uvcsp_exit_process();
}

TEST(a_pool_whose_workers_cannot_start_is_broken_and_says_so)
{
    int a[100] = {0};
    long results[100];
    house_capture(2);
    uvcsp_pool *pool = POOL(2, .initializer = ends);
    int rc = uvcsp_pool_map(pool, square, a, 100, results, 1);
    int later = uvcsp_pool_map(pool, square, a, 100, results, 1);
    char *said = house_captured();
    ck_assert_int_eq(rc, UVCSP_TASK_DIED);
    ck_assert_int_eq(later, -EPIPE);
    ck_assert_contains(said, "its workers cannot be started");
    ck_assert_contains(uvcsp_pool_why(pool),
                       "task 0 of 100: UVCSP_TASK_DIED: its workers cannot be started");
    free(said);
    uvcsp_pool_free(pool);
}

static void *is_killed_five_times(void *initarg)
{
    _Atomic int *starts = initarg;
    if (atomic_fetch_add(starts, 1) < 5)
        raise(SIGKILL);
    return NULL;
}

TEST(workers_that_are_killed_before_they_are_ready_are_replaced)
{
    if (house_light())
        return;
    _Atomic int *starts = seen_by_all(sizeof *starts);
    int a[] = {1, 2, 3};
    long results[3];
    house_capture(2);
    uvcsp_pool *pool = POOL(1, .initializer = is_killed_five_times, .initarg = (void *)starts);
    int rc = uvcsp_pool_map(pool, square, a, 3, results, 1);
    uvcsp_pool_free(pool);
    free(house_captured());
    ck_assert_int_eq(rc, UVCSP_OK);
    ck_assert_int_eq(results[2], 9);
    ck_assert_int_eq(atomic_load(starts), 6);
}

/* ---- ends ---- */

TEST(a_pool_that_is_closed_does_what_it_has_and_no_more)
{
    const int n = 300;
    int *a = numbers(n);
    long results[300];
    uvcsp_pool *pool = POOL(2);
    uvcsp_result *r = uvcsp_pool_map_async(pool, square, a, n, long, 1);
    ck_assert_int_eq(uvcsp_pool_close(pool), 0);
    ck_assert_int_eq(uvcsp_pool_close(pool), 0);
    house_capture(2);
    ck_assert_ptr_null(uvcsp_pool_map_async(pool, square, a, n, long, 1));
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(uvcsp_pool_map(pool, square, a, n, results, 1), -EPIPE);
    char *said = house_captured();
    ck_assert_contains(said, "it is closed");
    free(said);
    ck_assert_int_eq(uvcsp_pool_join(pool, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_pool_join(pool, 0), UVCSP_OK);
    ck_assert(!house_has_child());
    uvcsp_pool_free(pool);
    ck_assert_int_eq(uvcsp_result_get(r, results, 0), UVCSP_OK); /* it outlives its pool */
    ck_assert_int_eq(results[299], 299L * 299);
    uvcsp_result_free(r);
    free(a);
}

static int never_returns(const int *x, int *result, void *context)
{
    (void)context;
    *result = *x;
    if (*x == 0)
        uvcsp_sleep(1000);
    else if (*x == 1)
        while (!house_light())
            sleep(1000);
    return 0;
}

TEST(terminate_ends_tasks_that_would_never_return, .times = 2)
{
    const int n = 100;
    int *a = numbers(n);
    house_capture(2);
    uvcsp_pool *pool = POOL(2);
    double begin = uvcsp_now();
    uvcsp_result *r = uvcsp_pool_imap(pool, never_returns, a, n, int, 1);
    int y;
    if (_i == 0)
        ck_assert_int_eq(uvcsp_result_next(r, &y, 0.05), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_pool_terminate(pool), 0);
    ck_assert_int_eq(uvcsp_pool_terminate(pool), 0);
    ck_assert_int_eq(uvcsp_result_next(r, &y, 0), UVCSP_TASK_CANCELLED);
    ck_assert(uvcsp_result_ready(r));
    ck_assert_int_eq(uvcsp_pool_join(pool, -1), UVCSP_OK);
    ck_assert(!house_has_child());
    ck_assert(uvcsp_now() - begin < 15);
    ck_assert_int_eq(uvcsp_pool_map(pool, never_returns, a, n, a, 0), -EPIPE);
    uvcsp_pool_free(pool);
    free(house_captured());
    ck_assert_int_eq(uvcsp_result_error(r, 0)->status, UVCSP_TASK_CANCELLED);
    uvcsp_result_free(r);
    free(a);
}

TEST(terminate_says_nothing)
{
    int a = -1;
    MUST(pipe(gate) == 0);
    house_capture(2);
    uvcsp_pool *pool = POOL(2);
    uvcsp_result *r = uvcsp_pool_map_async(pool, waits_at_gate, &a, 1, int, 1);
    ck_assert_int_eq(uvcsp_result_wait(r, 0.05), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_pool_terminate(pool), 0);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    char *said = house_captured();
    ck_assert_str_eq(said, "");
    free(said);
    close_pipe();
}

static void *hangs(void *initarg)
{
    (void)initarg;
    uvcsp_sleep(1000);
    return NULL;
}

static void *deaf(void *initarg)
{
    signal(SIGTERM, SIG_IGN);
    return hangs(initarg);
}

TEST(terminate_ends_workers_that_have_not_begun_and_those_that_do_not_listen, .times = 2)
{
    house_capture(2);
    uvcsp_pool *pool = POOL(2, .initializer = _i ? deaf : hangs);
    uvcsp_sleep(0.05); /* or they have not even been started, which is as good */
    double begin = uvcsp_now();
    uvcsp_pool_free(pool);
    ck_assert(uvcsp_now() - begin < 10);
    ck_assert(!house_has_child());
    free(house_captured());
}

PROCESS(forgets_its_pool, VAL(int *, a))
{
    uvcsp_pool *pool = POOL(2);
    int y;
    MUST_BE(uvcsp_pool_apply(pool, waits_at_gate, a, &y), UVCSP_OK);
    uvcsp_result *r = uvcsp_pool_map_async(pool, never_returns, a, 2, int, 1);
    MUST(r);
    uvcsp_result_free(r);
}

TEST(a_pool_ends_with_the_process_that_made_it, .times = PLACEMENTS)
{
    int *a = numbers(2);
    house_capture(2);
    ck_assert_int_eq(RUN(_i, forgets_its_pool(a)), 0);
    uvcsp_shutdown();
    free(house_captured());
    ck_assert(!house_has_child());
    free(a);
}

TEST(main_may_forget_its_pool)
{
    int *a = numbers(100);
    long y;
    uvcsp_pool *pool = POOL(2);
    ck_assert_int_eq(uvcsp_pool_apply(pool, square, a, &y), UVCSP_OK);
    uvcsp_pool *other = POOL(2);
    ck_assert_ptr_nonnull(other);
    uvcsp_pool_free(other); /* before a worker has begun */
    free(a);
}

SUITE("pool_life", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
