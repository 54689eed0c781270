/* Pools: as Python's multiprocessing has them, and with a report of every task. */
#include <signal.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static int square(const int *x, long *result, void *context)
{
    (void)context;
    *result = (long)*x * *x;
    return 0;
}

static int *numbers(int n)
{
    int *a = malloc((size_t)(n + 1) * sizeof *a);
    MUST(a);
    for (int i = 0; i < n; i++)
        a[i] = i;
    return a;
}

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
static int gate[2];

static int waits_at_gate(const int *x, int *result, void *context)
{
    (void)context;
    if (*x < 0)
        MUST(uvcsp_wait_fd(gate[0], UV_READABLE, -1) == UVCSP_OK);
    *result = *x;
    return 0;
}

static void open_gate(void)
{
    MUST(write(gate[1], "x", 1) == 1); /* nobody reads it: it stays open */
}

static void close_pipe(void)
{
    close(gate[0]);
    close(gate[1]);
}

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
    for (size_t i = 0; i < n * sizeof *a; i++)
        a->bytes[i] = (unsigned char)(i * 7 + i / 1000);
    uvcsp_pool *pool = POOL(2);
    ck_assert_int_eq(uvcsp_pool_map(pool, inverts, a, n, results, 1), UVCSP_OK);
    for (size_t i = 0; i < n * sizeof *a; i++)
        ck_assert_int_eq(results->bytes[i], (unsigned char)~a->bytes[i]);
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

/* ---- workers that die ---- */

enum { BY_KILL, BY_EXIT, BY_EXIT_0, BY_END, BY_RETIREMENT, DEATHS };

static void die(int how)
{
    no_leak_check = true;
    switch (how) {
    case BY_KILL:
        raise(SIGKILL);
        break;
    case BY_EXIT:
        exit(3);
    case BY_EXIT_0:
        exit(0);
    case BY_END:
        uvcsp_exit_process();
    case BY_RETIREMENT: {
        CHAN(int) c = CHANNEL(int);
        IN_END(int) in = IN_OF(c);
        OUT_END(int) out = OUT_OF(c);
        RETIRE(out);
        (void)READ(in);
    }
    }
}

struct mortal {
    int x, dies, how;
    _Atomic int *runs; /* of this task; it dies in those up to `dies` */
};

static int may_die(const struct mortal *m, int *result, void *context)
{
    (void)context;
    if (atomic_fetch_add(m->runs, 1) < m->dies)
        die(m->how);
    *result = m->x + 1;
    return 0;
}

static struct mortal *mortals(int n, int how)
{
    struct mortal *m = calloc((size_t)n, sizeof *m);
    _Atomic int *runs = seen_by_all((size_t)n * sizeof *runs);
    for (int i = 0; i < n; i++)
        m[i] = (struct mortal){i, 0, how, &runs[i]};
    return m;
}

static bool light_cannot(int how)
{
    return house_light() && how != BY_END && how != BY_RETIREMENT;
}

TEST(a_task_in_whose_middle_its_worker_ends_is_reported_and_no_other, .times = DEATHS * 2)
{
    const int n = 60, how = _i / 2;
    if (light_cannot(how))
        return;
    struct mortal *m = mortals(n, how);
    int *results = calloc((size_t)n, sizeof *results);
    m[5].dies = m[31].dies = m[32].dies = 1;
    house_capture(2);
    uvcsp_pool *pool = POOL(3);
    uvcsp_result *r = uvcsp_pool_map_async(pool, may_die, m, n, int, _i % 2 ? 1 : 0);
    int rc = uvcsp_result_get(r, results, 20);
    free(house_captured());
    ck_assert_int_eq(rc, UVCSP_TASK_DIED);
    for (int i = 0; i < n; i++) {
        const uvcsp_task_error *error = uvcsp_result_error(r, (size_t)i);
        bool died = i == 5 || i == 31 || i == 32;
        if (died || _i % 2) {
            ck_assert_int_eq(error != NULL, died);
            ck_assert_int_eq(atomic_load(m[i].runs), 1);
        } /* else those before it in its chunk have gone with it */
        ck_assert_int_eq(results[i], error ? 0 : i + 1);
        if (error) {
            ck_assert_int_eq(error->status, UVCSP_TASK_DIED);
            ck_assert_contains(error->message,
                               how == BY_KILL ? "killed by signal 9 (Killed)" : "has ended");
        }
    }
    ck_assert_int_eq(uvcsp_pool_map(pool, may_die, m, n, results, 1),
                     UVCSP_OK); /* the pool is whole again */
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(results);
    free(m);
}

TEST(a_task_may_be_run_again_as_often_as_retries_say, .times = 4)
{
    const int n = 40, how = house_light() ? BY_END : BY_KILL;
    struct mortal *m = mortals(n, how);
    int *results = calloc((size_t)n, sizeof *results);
    m[11].dies = 2;
    m[30].dies = 1000;
    house_capture(2);
    uvcsp_pool *pool = POOL(2, .retries = 2);
    uvcsp_result *r = uvcsp_pool_map_async(pool, may_die, m, n, int, _i * 5);
    int rc = uvcsp_result_get(r, results, 30);
    free(house_captured());
    ck_assert_int_eq(rc, UVCSP_TASK_DIED);
    ck_assert_int_eq(uvcsp_result_failed(r), 1);
    ck_assert_ptr_nonnull(uvcsp_result_error(r, 30));
    ck_assert_int_eq(atomic_load(m[11].runs), 3);
    ck_assert_int_eq(atomic_load(m[30].runs), 3);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(results[i], i == 30 ? 0 : i + 1);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(results);
    free(m);
}

static int counts(const struct mortal *m, int *result, void *context)
{
    (void)context;
    for (volatile int i = 0; i < 2000; i++)
        ;
    atomic_fetch_add(m->runs, 1);
    *result = m->x + 1;
    return 0;
}

/* Somebody kills workers at any moment, while tasks come in. Each task is run at most once, and is
   either done or reported; with retries, all are done. */
TEST(workers_that_are_killed_at_any_moment_lose_nothing, .times = 8, .seconds = 60)
{
    if (house_light())
        return;
    const int n = 4000, retries = _i % 2 ? 1000 : 0, chunk = _i / 2 == 3 ? 40 : _i / 2 * 3 + 1;
    unsigned seed = (unsigned)_i * 7919 + 1;
    struct mortal *m = mortals(n, BY_KILL);
    char *seen = calloc((size_t)n, 1);
    int y, died = 0, killed = 0;
    house_capture(2);
    uvcsp_pool *pool = POOL(3, .retries = retries);
    uvcsp_result *r = uvcsp_pool_imap_unordered(pool, counts, m, n, int, chunk);
    for (int i = 0; i < n; i++) {
        int rc = uvcsp_result_next(r, &y, 20);
        long at = uvcsp_result_index(r);
        if (rc != UVCSP_OK && (rc != UVCSP_TASK_DIED || retries > 0))
            ck_abort_msg("task %ld after %d kills: %d, %s", at, killed, rc, house_captured());
        ck_assert_int_eq(seen[at]++, 0);
        ck_assert_int_eq(y, rc == UVCSP_OK ? at + 1 : 0);
        died += rc != UVCSP_OK;
        seed = seed * 1103515245u + 12345u;
        int pid = uvcsp_pool_pid(pool, (int)(seed >> 16) % 3);
        if ((seed >> 8) % 64 == 0 && pid > 0 && killed < 60) {
            kill(pid, SIGKILL);
            killed++;
        }
    }
    ck_assert_int_eq(uvcsp_result_next(r, &y, 0), UVCSP_RETIRED);
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(house_captured());
    ck_assert_int_gt(killed, 5);
    for (int i = 0; i < n && retries == 0; i++)
        ck_assert_int_le(atomic_load(m[i].runs), 1);
    if (retries == 0 && chunk == 1)
        ck_assert_int_le(died, killed);
    free(seen);
    free(m);
}

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

TEST(a_pool_that_is_closed_replaces_a_worker_that_dies_with_work_left)
{
    const int n = 30;
    struct mortal *m = mortals(n, house_light() ? BY_END : BY_KILL);
    int results[30];
    m[0].dies = m[29].dies = 1;
    house_capture(2);
    uvcsp_pool *pool = POOL(1, .retries = 1);
    uvcsp_result *r = uvcsp_pool_map_async(pool, may_die, m, n, int, 1);
    uvcsp_pool_close(pool);
    ck_assert_int_eq(uvcsp_result_get(r, results, 20), UVCSP_OK);
    ck_assert_int_eq(uvcsp_pool_join(pool, 20), UVCSP_OK);
    free(house_captured());
    uvcsp_result_free(r);
    uvcsp_pool_free(pool);
    free(m);
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
