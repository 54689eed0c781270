/* Pools: the forms, errors of tasks, wrong calls. */
#include "tests/ipc/pool_tasks.h"

/* ---- the forms ---- */

static const struct {
    int workers, n, chunk;
} maps[] = {{1, 0, 0},    {1, 1, 0},    {4, 3, 0},      {4, 1000, 0},
            {4, 1000, 1}, {3, 1000, 7}, {1, 100, 1000}, {0, 50, 1}};
enum { MAPS = sizeof maps / sizeof *maps };

TEST(map_puts_each_result_where_its_argument_was, .times = MAPS)
{
    int n = maps[_i].n, *a = numbers(n);
    long *results = calloc((size_t)n + 1, sizeof *results);
    uvcsp_pool *pool = POOL(maps[_i].workers);
    for (int round = 0; round < 3; round++) {
        memset(results, 255, (size_t)n * sizeof *results);
        ck_assert_int_eq(uvcsp_pool_map(pool, square, a, n, results, maps[_i].chunk), UVCSP_OK);
        for (int i = 0; i < n; i++)
            ck_assert_int_eq(results[i], (long)i * i);
    }
    uvcsp_pool_free(pool);
    free(a);
    free(results);
}

struct pair {
    double x;
    int n;
};

static int power(const struct pair *p, double *result, void *context)
{
    (void)context;
    *result = 1;
    for (int i = 0; i < p->n; i++)
        *result *= p->x;
    return 0;
}

TEST(a_task_of_several_arguments_takes_a_structure)
{
    static const struct pair pairs[] = {{2, 10}, {3, 2}, {0.5, 1}};
    double results[3];
    uvcsp_pool *pool = POOL(2);
    ck_assert_int_eq(uvcsp_pool_starmap(pool, power, pairs, 3, results, 0), UVCSP_OK);
    ck_assert(results[0] == 1024 && results[1] == 9 && results[2] == 0.5);
    uvcsp_result *r = uvcsp_pool_starmap_async(pool, power, pairs, 3, double, 1);
    ck_assert_int_eq(uvcsp_result_get(r, results, -1), UVCSP_OK);
    ck_assert(results[0] == 1024);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
}

TEST(apply_runs_one_task)
{
    uvcsp_pool *pool = POOL(2);
    int x = 12;
    long y = 0;
    ck_assert_int_eq(uvcsp_pool_apply(pool, square, &x, &y), UVCSP_OK);
    ck_assert_int_eq(y, 144);
    uvcsp_result *r = uvcsp_pool_apply_async(pool, square, &x, long);
    ck_assert_int_eq(uvcsp_result_wait(r, -1), UVCSP_OK);
    ck_assert(uvcsp_result_ready(r) && uvcsp_result_successful(r));
    for (int again = 0; again < 2; again++, y = 0) {
        ck_assert_int_eq(uvcsp_result_get(r, &y, 0), UVCSP_OK);
        ck_assert_int_eq(y, 144);
    }
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
}

/* A task that goes on when the other side of a pipe is closed. */
TEST(a_result_that_is_not_there_yet_is_told_from_one_that_is)
{
    MUST(pipe(gate) == 0);
    uvcsp_pool *pool = POOL(2);
    int a[] = {1, -2, 3}, results[3] = {7, 7, 7};
    uvcsp_result *r = uvcsp_pool_map_async(pool, waits_at_gate, a, 3, int, 1);
    ck_assert(!uvcsp_result_ready(r) && !uvcsp_result_successful(r));
    ck_assert_int_eq(uvcsp_result_wait(r, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_result_get(r, results, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(results[0], 7);
    ck_assert_int_eq(ALT(ON_RESULT(r), ON_TIMEOUT(0.01)), 1);
    open_gate();
    ck_assert_int_eq(ALT(ON_RESULT(r), ON_TIMEOUT(10)), 0);
    ck_assert_int_eq(ALT(ON_RESULT(r), ON_TIMEOUT(10)), 0); /* it stays ready */
    ck_assert_int_eq(uvcsp_result_get(r, results, 0), UVCSP_OK);
    ck_assert(results[0] == 1 && results[1] == -2 && results[2] == 3);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    close_pipe();
}

PROCESS(gets, VAL(uvcsp_result *, r), VAL(int, how), VAL(int *, value), VAL(int *, rc))
{
    *rc = how == 0 ? uvcsp_result_wait(r, -1)
          : how == 1 ? uvcsp_result_get(r, value, -1)
          : how == 2 ? uvcsp_result_next(r, value, -1) : ALT(ON_RESULT(r), ON_TIMEOUT(30));
}

TEST(who_waits_for_a_result_that_is_freed_gets_it, .times = 4)
{
    MUST(pipe(gate) == 0);
    uvcsp_pool *pool = POOL(1);
    int a = -5, value = 0, rc = 77;
    uvcsp_result *r = _i == 2 ? uvcsp_pool_imap(pool, waits_at_gate, &a, 1, int, 1)
                              : uvcsp_pool_map_async(pool, waits_at_gate, &a, 1, int, 1);
    uvcsp_handle *h = GO(gets(r, _i, &value, &rc));
    uvcsp_yield();
    uvcsp_result_free(r);
    open_gate();
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(rc, UVCSP_OK);
    ck_assert_int_eq(value, _i == 1 || _i == 2 ? -5 : 0);
    uvcsp_pool_free(pool);
    close_pipe();
}

TEST(who_is_killed_while_it_waits_for_a_result_lets_it_go, .times = 4)
{
    MUST(pipe(gate) == 0);
    uvcsp_pool *pool = POOL(1);
    int a = -5, value = 0, rc = 77;
    uvcsp_result *r = _i == 2 ? uvcsp_pool_imap(pool, waits_at_gate, &a, 1, int, 1)
                              : uvcsp_pool_map_async(pool, waits_at_gate, &a, 1, int, 1);
    uvcsp_handle *h = GO(gets(r, _i, &value, &rc));
    uvcsp_yield();
    uvcsp_result_free(r);
    ck_assert_int_eq(uvcsp_kill(h), 0);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(rc, 77);
    open_gate();
    uvcsp_pool_free(pool);
    close_pipe();
}

TEST(imap_hands_results_out_in_order, .times = 2)
{
    int n = house_valgrind() ? 50 : 500, *a = numbers(n);
    uvcsp_pool *pool = POOL(3);
    uvcsp_result *r = uvcsp_pool_imap(pool, square, a, n, long, _i * 10);
    ck_assert_int_eq(uvcsp_result_index(r), -1);
    long y;
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_OK);
        ck_assert_int_eq(y, (long)i * i);
        ck_assert_int_eq(uvcsp_result_index(r), i);
    }
    ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_result_next(r, &y, 0), UVCSP_RETIRED);
    uvcsp_result_free(r);
    r = uvcsp_pool_imap(pool, square, a, 0, long, 0);
    ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_RETIRED);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(a);
}

TEST(ordered_results_wait_for_the_first_and_unordered_ones_do_not, .times = 2)
{
    MUST(pipe(gate) == 0);
    uvcsp_pool *pool = POOL(2);
    int a[20] = {-100}, y, sum = 0;
    for (int i = 1; i < 20; i++)
        a[i] = i;
    uvcsp_result *r = _i == 0 ? uvcsp_pool_imap(pool, waits_at_gate, a, 20, int, 1)
                              : uvcsp_pool_imap_unordered(pool, waits_at_gate, a, 20, int, 1);
    if (_i == 0) {
        ck_assert_int_eq(uvcsp_result_next(r, &y, 0.01), UVCSP_TIMEOUT);
        open_gate();
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_OK);
            ck_assert_int_eq(y, a[i]);
        }
    } else {
        for (int i = 1; i < 20; i++) {
            ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_OK);
            ck_assert_int_eq(uvcsp_result_index(r), y);
            sum += y;
        }
        ck_assert_int_eq(sum, 190);
        ck_assert_int_eq(uvcsp_result_next(r, &y, 0), UVCSP_TIMEOUT);
        open_gate();
        ck_assert_int_eq(uvcsp_result_next(r, &y, -1), UVCSP_OK);
        ck_assert_int_eq(y, -100);
    }
    ck_assert_int_eq(uvcsp_result_next(r, &y, 0), UVCSP_RETIRED);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    close_pipe();
}

/* A worker that has been quick is given tasks ahead; they must not be stuck behind a long one. */
TEST(no_task_waits_behind_a_long_one_while_a_worker_is_idle)
{
    MUST(pipe(gate) == 0);
    const int n = 2000;
    int *a = numbers(n), y;
    a[n / 4] = -1;
    uvcsp_pool *pool = POOL(2);
    uvcsp_result *r = uvcsp_pool_imap_unordered(pool, waits_at_gate, a, n, int, 1);
    for (int i = 1; i < n; i++) {
        ck_assert_int_eq(uvcsp_result_next(r, &y, 10), UVCSP_OK);
        ck_assert_int_ge(y, 0);
    }
    open_gate();
    ck_assert_int_eq(uvcsp_result_next(r, &y, 10), UVCSP_OK);
    ck_assert_int_eq(y, -1);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(a);
    close_pipe();
}

PROCESS(maps_alone, VAL(uvcsp_pool *, pool), VAL(int, from))
{
    for (int round = 0; round < 10; round++) {
        int a[20];
        long results[20];
        for (int i = 0; i < 20; i++)
            a[i] = from + i;
        MUST_BE(uvcsp_pool_map(pool, square, a, 20, results, round), UVCSP_OK);
        for (int i = 0; i < 20; i++)
            MUST(results[i] == (long)(from + i) * (from + i));
    }
}

TEST(several_processes_of_the_maker_s_worker_use_one_pool)
{
    uvcsp_pool *pool = POOL(3);
    ck_assert_int_eq(CO_FOR(i, 20, maps_alone(pool, i * 100)), 0);
    uvcsp_pool_free(pool);
}

struct big {
    unsigned char bytes[300000];
};

static int inverts(const struct big *in, struct big *out, void *context)
{
    (void)context;
    for (size_t i = 0; i < sizeof in->bytes; i++)
        out->bytes[i] = (unsigned char)~in->bytes[i];
    return 0;
}

TEST(large_arguments_and_results_come_whole)
{
    const int n = 12;
    struct big *a = malloc(n * sizeof *a), *results = malloc(n * sizeof *results);
    unsigned char *given = (unsigned char *)a, *got = (unsigned char *)results;
    for (size_t i = 0; i < n * sizeof *a; i++)
        given[i] = (unsigned char)(i * 7 + i / 1000);
    uvcsp_pool *pool = POOL(2);
    ck_assert_int_eq(uvcsp_pool_map(pool, inverts, a, n, results, 1), UVCSP_OK);
    size_t i = 0; /* one assertion: each costs a system call */
    while (i < n * sizeof *a && got[i] == (unsigned char)~given[i])
        i++;
    ck_assert_uint_eq(i, n * sizeof *a);
    uvcsp_pool_free(pool);
    free(a);
    free(results);
}

/* ---- errors of tasks ---- */

static int fails_at_odd(const void *argument, void *result, void *context)
{
    (void)context;
    int x = *(const int *)argument;
    *(int *)result = x;
    if (x == 7)
        return -1; /* without a word */
    return x % 2 ? uvcsp_task_fail(x == 3 ? 0 : 100 + x, "%d is odd", x) : 0;
}

TEST(an_error_is_reported_for_its_task_alone, .times = 3)
{
    int n = 20, *a = numbers(n), results[20];
    uvcsp_pool *pool = POOL(2);
    uvcsp_result *r = uvcsp_pool_map_async(pool, fails_at_odd, a, n, int, _i * 3);
    ck_assert_int_eq(uvcsp_result_get(r, results, -1), UVCSP_TASK_FAILED);
    ck_assert(uvcsp_result_ready(r) && !uvcsp_result_successful(r));
    ck_assert_int_eq(uvcsp_result_failed(r), 10);
    for (int i = 0; i < n; i++) {
        const uvcsp_task_error *error = uvcsp_result_error(r, (size_t)i);
        ck_assert_int_eq(results[i], i % 2 ? 0 : i);
        ck_assert_int_eq(error != NULL, i % 2);
        if (!error)
            continue;
        char text[40] = "";
        if (i != 7)
            snprintf(text, sizeof text, "%d is odd", i);
        ck_assert_int_eq(error->status, UVCSP_TASK_FAILED);
        ck_assert_int_eq(error->code, i == 7 ? -1 : i == 3 ? EINVAL : 100 + i);
        ck_assert_str_eq(error->message, text);
    }
    ck_assert_ptr_null(uvcsp_result_error(r, 20));
    uvcsp_result_free(r);
    ck_assert_int_eq(uvcsp_pool_map(pool, fails_at_odd, a + 4, 4, results, 0), UVCSP_TASK_FAILED);
    ck_assert_str_eq(uvcsp_pool_why(pool), "task 1 of 4: UVCSP_TASK_FAILED, code 105: 5 is odd");
    ck_assert_int_eq(uvcsp_task_fail(9, "not in a task"), 9);
    uvcsp_pool_free(pool);
    free(a);
}

TEST(an_error_of_a_result_that_is_handed_out_comes_in_its_place)
{
    int *a = numbers(4), y;
    uvcsp_pool *pool = POOL(2);
    uvcsp_result *r = uvcsp_pool_imap(pool, fails_at_odd, a, 4, int, 1);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(uvcsp_result_next(r, &y, -1), i % 2 ? UVCSP_TASK_FAILED : UVCSP_OK);
        ck_assert_int_eq(y, i % 2 ? 0 : i);
    }
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(a);
}

/* ---- wrong calls ---- */

PROCESS(uses_the_pool_of_another, VAL(uvcsp_pool *, pool))
{
    int x = 1;
    long y;
    MUST(uvcsp_pool_apply(pool, square, &x, &y) == -EPERM);
    MUST(uvcsp_pool_close(pool) == -EPERM);
}

TEST(a_pool_of_another_worker_is_refused)
{
    if (house_light())
        return;
    uvcsp_pool *pool = POOL(1);
    house_capture(2);
    ck_assert_int_eq(PAR(uses_the_pool_of_another(pool)), 0);
    char *said = house_captured();
    ck_assert_contains(said, "of another worker");
    free(said);
    uvcsp_pool_free(pool);
}

TEST(wrong_arguments_are_refused_with_a_line)
{
    uvcsp_pool *pool = POOL(1);
    int a[2] = {0};
    long results[2];
    double other;
    house_capture(2);
    ck_assert_int_eq(uvcsp_pool_map((uvcsp_pool *)NULL, square, a, 2, results, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_pool_run(pool, NULL, a, 2, 4, results, 8, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_pool_map(pool, square, (int *)NULL, 2, results, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_pool_map(pool, square, a, 2, results, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_pool_join(pool, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_pool_pid(pool, 1), -EINVAL);
    ck_assert_int_eq(uvcsp_result_wait(NULL, 0), -EINVAL);
    ck_assert(!uvcsp_result_ready(NULL));
    uvcsp_result *r = uvcsp_pool_map_async(pool, square, a, 2, long, 0);
    ck_assert_int_eq(uvcsp_result_next(r, results, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_result_get_into(r, &other, 4, -1), -EINVAL);
    char *said = house_captured();
    ck_assert_contains(said, "the pool is NULL");
    ck_assert_contains(said, "a result has 8 bytes, not 4");
    free(said);
    ck_assert_int_eq(uvcsp_pool_map(pool, square, a, 2, (long *)NULL, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_pool_size(pool), 1);
    uvcsp_result_free(r);
    uvcsp_result_free(NULL);
    uvcsp_pool_free(NULL);
    uvcsp_pool_free(pool);
}

SUITE("pool", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
