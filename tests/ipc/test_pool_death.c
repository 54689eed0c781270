/* Pools whose workers die. */
#include "tests/ipc/pool_tasks.h"

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

SUITE("pool_death", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
