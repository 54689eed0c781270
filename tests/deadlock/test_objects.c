/* Deadlocks at the objects of the floor above: locks, shared blocks, queues, pipes, pools, managers. There all of the
   program is hope; where nobody has any, it is told, and ended. */
#include "tests/deadlock/deadlock.h"

/* ---- what is told ---- */

static void note(void *noted)
{
    *(int *)noted += 1;
}

PROCESS(locks, VAL(uvcsp_lock *, mine), VAL(uvcsp_lock *, other), IN(int, in), OUT(int, out), VAL(int *, status))
{
    ck_assert_int_eq(uvcsp_lock_acquire(mine, -1), UVCSP_OK);
    int x = 0;
    (void)ALT(ON_READ(in, &x), ON_WRITE(out, x)); /* both have theirs */
    *status = uvcsp_lock_acquire(other, -1);
}

TEST(two_that_wait_for_each_others_locks_are_told)
{
    uvcsp_lock *one = uvcsp_lock_new(), *two = uvcsp_lock_new();
    CHAN(int) c = CHANNEL(int);
    int *status = SHARED_ARRAY(int, 2);
    char *said = TOLD(PAR(locks(one, two, c, c, &status[0]), locks(two, one, c, c, &status[1])));
    ck_assert_int_eq(count_of(said, "channel 'lock of "), 2);
    ck_assert_contains(said, "the cycle: 'locks'");
    ck_assert_int_eq(count_of(said, "waits for 'locks'"), 2);
    /* either may be told first, and then release the lock that the other waits for */
    ck_assert(status[0] == UVCSP_POISONED || status[1] == UVCSP_POISONED);
    free(said);
}

PROCESS(locks_blocks, VAL(int *, mine), VAL(int *, other), IN(int, in), OUT(int, out), VAL(int *, n_ended))
{
    DEFER(note, n_ended);
    LOCKED(mine) {
        int x = 0;
        (void)ALT(ON_READ(in, &x), ON_WRITE(out, x)); /* both have theirs */
        LOCKED(other) {
            *other += 1;
        }
    }
}

TEST(two_that_wait_for_each_others_blocks_are_ended_as_by_poison)
{
    CHAN(int) c = CHANNEL(int);
    int *one = SHARED_VALUE(int, 0), *two = SHARED_VALUE(int, 0), *ended = SHARED_ARRAY(int, 2);
    char *said = TOLD(PAR(locks_blocks(one, two, c, c, &ended[0]), locks_blocks(two, one, c, c, &ended[1])));
    ck_assert_contains(said, "the cycle: 'locks_blocks'");
    ck_assert_ptr_null(strstr(said, "freed"));
    ck_assert_ptr_null(strstr(said, "killed"));
    ck_assert_int_eq(ended[0] + ended[1], 2);
    ck_assert_int_lt(*one + *two, 2);
    ck_assert_int_eq(uvcsp_shared_lock(one, 0), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_shared_unlock(one), 0);
    free(said);
}

PROCESS(gets, VAL(uvcsp_queue *, queue), VAL(int *, status))
{
    json_t *item;
    *status = uvcsp_queue_get(queue, &item, -1);
}

TEST(who_waits_for_an_item_that_nobody_puts_into_a_queue_is_told)
{
    uvcsp_queue *queue = uvcsp_queue_new(3);
    int *status = SHARED_VALUE(int, 0);
    free(TOLD(PAR(gets(queue, status), gets(queue, status))));
    ck_assert_int_eq(*status, UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_queue_put_new(queue, json_integer(1), 0), UVCSP_OK);
    uvcsp_queue_free(queue);
}

PROCESS(waits_for_connection, VAL(uvcsp_conn *, conn), VAL(bool, polls), VAL(int *, result))
{
    *result = polls ? uvcsp_conn_poll(conn, -1) : uvcsp_wait(&conn, 1, -1);
}

TEST(who_waits_for_something_to_receive_that_nobody_sends_is_told)
{
    uvcsp_conn *a, *b;
    int *results = SHARED_ARRAY(int, 2);
    ck_assert_int_eq(uvcsp_pipe(&a, &b, true), 0);
    free(TOLD(PAR(waits_for_connection(a, true, &results[0]), waits_for_connection(b, false, &results[1]))));
    ck_assert_int_eq(results[0], UVCSP_RETIRED);
    ck_assert_int_eq(results[1], -UVCSP_RETIRED);
}

PROCESS(joins_queue, VAL(uvcsp_queue *, queue), VAL(int *, status))
{
    *status = uvcsp_queue_join(queue, -1);
}

TEST(who_waits_for_items_that_nobody_will_be_done_with_is_told)
{
    uvcsp_queue *queue = uvcsp_queue_new(3);
    int *status = SHARED_ARRAY(int, 2);
    ck_assert_int_eq(uvcsp_queue_put_new(queue, json_integer(1), 0), UVCSP_OK);
    char *said = TOLD(PAR(joins_queue(queue, &status[0]), joins_queue(queue, &status[1])));
    ck_assert_int_eq(count_of(said, "process 'joins_queue'"), 2);
    ck_assert_int_eq(status[0], UVCSP_RETIRED);
    ck_assert_int_eq(status[1], UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_queue_join(queue, 0), UVCSP_WOULD_BLOCK);
    free(said);
    uvcsp_queue_free(queue);
}

/* ---- what serves others ---- */

static CHAN(int) never;
static _Atomic int *n_begun;

static int waits_in_vain(const int *x, long *result, void *context)
{
    int read;
    (void)x;
    (void)result;
    (void)context;
    IN_END(int) in = IN_OF(never);
    atomic_fetch_add(n_begun, 1);
    int rc = uvcsp_read(in, &read);
    RETIRE(in);
    return rc;
}

static int waits_at_its_own_channel(const int *x, long *result, void *context)
{
    int read;
    (void)x;
    (void)result;
    (void)context;
    CHAN(int) own = CHANNEL(int);
    IN_END(int) in = IN_OF(own);
    return uvcsp_read(in, &read);
}

static int doubles(const int *x, long *result, void *context)
{
    (void)context;
    *result = 2 * *x;
    return 0;
}

PROCESS(waits_for_tasks_to_begin, IN(int, in), OUT(int, out), VAL(int, n))
{
    while (atomic_load(n_begun) < n)
        uvcsp_yield();
    WRITE(out, READ(in));
}

static int n_doubled(uvcsp_pool *pool)
{
    int numbers[] = {1, 2, 3, 4}, n = 0;
    long results[4] = {0};
    if (uvcsp_pool_map(pool, doubles, numbers, 4, results, 1) != UVCSP_OK)
        return 0;
    for (int i = 0; i < 4; i++)
        n += results[i] == 2 * numbers[i];
    return n;
}

TEST(a_pool_outlives_a_deadlock_of_others_and_of_its_tasks)
{
    never = CHANNEL(int);
    n_begun = SHARED_VALUE(_Atomic int, 0);
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    house_capture(2); /* a worker of the pool may be the one that tells */
    uvcsp_pool *pool = POOL(2);
    int before = n_doubled(pool);
    uvcsp_result *result = uvcsp_pool_map_async(pool, waits_in_vain, ((int[]){1, 2}), 2, long, 1);
    int rc = PAR(waits_for_tasks_to_begin(a, b, 2), passes_on(b, a));
    char *said = house_captured();
    ck_assert_int_eq(before, 4);
    ck_assert_msg(rc == -EDEADLK, "%d: %s", rc, said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    free(said);
    ck_assert_int_eq(uvcsp_result_wait(result, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_result_failed(result), 2);
    uvcsp_result_free(result);
    ck_assert_int_eq(n_doubled(pool), 4);
    uvcsp_pool_free(pool);
}

static int line_of_map;

static int maps_in_vain(void)
{
    uvcsp_pool *pool = POOL(2);
    long results[3];
    line_of_map = __LINE__ + 1;
    int rc = uvcsp_pool_map(pool, waits_at_its_own_channel, ((int[]){1, 2, 3}), 3, results, 1);
    uvcsp_pool_free(pool);
    return rc;
}

/* The third task, which comes to a worker that has been ended in another, is a deadlock of its own. */
TEST(who_waits_for_results_of_tasks_that_wait_for_ever_is_told_and_gets_them)
{
    house_capture(2);
    int rc = maps_in_vain();
    char *said = house_captured();
    ck_assert_int_eq(count_of(said, NOTHING_CAN_RUN), 2);
    char here[60];
    snprintf(here, sizeof here, "test_objects.c:%d waits for a pool", line_of_map);
    ck_assert_contains(said, "process 'main'");
    ck_assert_contains(said, here);
    ck_assert_int_eq(rc, UVCSP_TASK_FAILED);
    free(said);
}

TEST(a_manager_outlives_a_deadlock_of_others)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    house_capture(2); /* the server may be the one that tells */
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    uvcsp_proxy list = uvcsp_manager_list(manager, json_pack("[i, i]", 1, 2));
    long before = uvcsp_mlist_len(list);
    int rc = PAR(passes_on(a, b), passes_on(b, a));
    char *said = house_captured();
    ck_assert_int_eq(before, 2);
    ck_assert_msg(rc == -EDEADLK, "%d: %s", rc, said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert_int_eq(uvcsp_mlist_len(list), 2);
    free(said);
    ck_assert_int_eq(uvcsp_manager_stop(manager), 0);
}

/* ---- what is not: somebody has hope ---- */

static struct looks looks_of_callback;

PROCESS(has_lock, VAL(uvcsp_lock *, lock), OUT(int, out), VAL(int, unused))
{
    (void)unused;
    ck_assert_int_eq(uvcsp_lock_acquire(lock, -1), UVCSP_OK);
    WRITE(out, 1);
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    ck_assert_int_eq(uvcsp_lock_release(lock), 0);
}

PROCESS(wants_lock, VAL(uvcsp_lock *, lock), IN(int, in))
{
    (void)READ(in);
    ck_assert_int_eq(uvcsp_lock_acquire(lock, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_lock_release(lock), 0);
}

TEST(a_lock_that_somebody_may_release)
{
    uvcsp_lock *lock = uvcsp_lock_new();
    CHAN(int) c = CHANNEL(int);
    QUIET(PAR(has_lock(lock, c, 0), wants_lock(lock, c)));
}

PROCESS(sets_event, VAL(uvcsp_event *, event), VAL(uvcsp_queue *, queue))
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    uvcsp_event_set(event);
    ck_assert_int_eq(uvcsp_queue_put_new(queue, json_integer(1), -1), UVCSP_OK);
}

PROCESS(wants_event, VAL(uvcsp_event *, event))
{
    ck_assert_int_eq(uvcsp_event_wait(event, -1), UVCSP_OK);
}

PROCESS(wants_item, VAL(uvcsp_queue *, queue))
{
    json_t *item;
    ck_assert_int_eq(uvcsp_queue_get(queue, &item, -1), UVCSP_OK);
    json_decref(item);
}

TEST(an_event_and_a_queue)
{
    uvcsp_event *event = uvcsp_event_new();
    uvcsp_queue *queue = uvcsp_queue_new(0);
    QUIET(PAR(sets_event(event, queue), wants_event(event), wants_event(event), wants_item(queue)));
    uvcsp_queue_free(queue);
}

/* What serves one client in the server waits for what serves another one, at a channel of which nobody else has an end. */
PROCESS(sets_far_event, VAL(uvcsp_proxy, event))
{
    for (struct looks looks = some_looks(); more(&looks);)
        uvcsp_sleep(0.02);
    ck_assert_int_eq(uvcsp_mevent_set(event), UVCSP_OK);
}

PROCESS(wants_far_event, VAL(uvcsp_proxy, event))
{
    ck_assert_int_eq(uvcsp_mevent_wait(event, -1), UVCSP_OK);
}

TEST(an_event_of_a_manager)
{
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    ck_assert_ptr_nonnull(manager);
    uvcsp_proxy event = uvcsp_manager_event(manager);
    QUIET(PAR(sets_far_event(event), wants_far_event(event), wants_far_event(event)));
    ck_assert_int_eq(uvcsp_manager_stop(manager), 0);
}

static int computes_long(const int *x, long *result, void *context)
{
    (void)context;
    struct looks looks = some_looks();
    while (more(&looks))
        if (*x == 2)
            uvcsp_sleep(0.02);
    *result = *x;
    return 0;
}

static int waits_for_results(int task)
{
    uvcsp_pool *pool = POOL(1);
    long result = 0;
    int rc = uvcsp_pool_map(pool, computes_long, &task, 1, &result, 1);
    uvcsp_pool_free(pool);
    return rc != UVCSP_OK || result != task;
}

TEST(a_task_of_a_pool_that_computes_or_sleeps)
{
    QUIET(waits_for_results(1));
    QUIET(waits_for_results(2));
}

static uvcsp_pool *pool_of_callback;

static void terminates_pool(uv_timer_t *timer)
{
    if (more(&looks_of_callback))
        return;
    ck_assert_int_eq(uvcsp_pool_terminate(pool_of_callback), 0);
    uv_close((uv_handle_t *)timer, NULL);
}

static CHAN(int) unwritten;

static int waits_for_ever(const int *x, long *result, void *context)
{
    int read;
    (void)x;
    (void)result;
    (void)context;
    IN_END(int) in = IN_OF(unwritten);
    return uvcsp_read(in, &read);
}

static int is_freed_by_callback(void)
{
    static uv_timer_t timer;
    uv_timer_init(uvcsp_loop(), &timer);
    looks_of_callback = some_looks();
    unwritten = CHANNEL(int);
    pool_of_callback = POOL(1);
    uv_timer_start(&timer, terminates_pool, 20, 20);
    long result;
    int rc = uvcsp_pool_map(pool_of_callback, waits_for_ever, &(int){1}, 1, &result, 1);
    uvcsp_pool_free(pool_of_callback);
    return rc != UVCSP_TASK_CANCELLED;
}

TEST(a_callback_that_will_terminate_the_pool_whose_results_are_waited_for)
{
    if (house_light())
        return; /* there it is told of a light process that was terminated */
    QUIET(is_freed_by_callback());
}

PROCESS(barrier_later, VAL(uvcsp_barrier *, barrier), VAL(int, late))
{
    for (struct looks looks = some_looks(); late && more(&looks);)
        uvcsp_sleep(0.02);
    ck_assert_int_eq(uvcsp_barrier_wait(barrier, -1, NULL), UVCSP_OK);
}

TEST(a_barrier_that_somebody_has_not_reached)
{
    uvcsp_barrier *barrier = uvcsp_barrier_new(3, NULL, NULL);
    QUIET(PAR(barrier_later(barrier, 0), barrier_later(barrier, 0), barrier_later(barrier, 1)));
}

/* ---- where ---- */

PROCESS(waits_at, VAL(int, which), VAL(uvcsp_lock *, held), VAL(uvcsp_event *, event), VAL(uvcsp_queue *, queue),
        VAL(uvcsp_conn *, conn), VAL(int *, block), VAL(int *, line))
{
    json_t *value;
    switch (which) {
    case 0:
        *line = __LINE__ + 1;
        (void)uvcsp_lock_acquire(held, -1);
        break;
    case 1:
        *line = __LINE__ + 1;
        (void)uvcsp_event_wait(event, -1);
        break;
    case 2:
        *line = __LINE__ + 1;
        (void)uvcsp_queue_get(queue, &value, -1);
        break;
    case 3:
        *line = __LINE__ + 1;
        (void)uvcsp_shared_lock(block, -1);
        break;
    default:
        *line = __LINE__ + 1;
        (void)uvcsp_conn_recv(conn, &value);
    }
}

TEST(who_waits_at_a_lock_an_event_a_queue_a_block_or_a_pipe_is_told_with_file_and_line, .times = 5)
{
    uvcsp_lock *lock = uvcsp_lock_new();
    uvcsp_conn *a, *b;
    int *line = SHARED_VALUE(int, 0), *block = SHARED_VALUE(int, 0);
    ck_assert_int_eq(uvcsp_pipe(&a, &b, true), 0);
    ck_assert_int_eq(uvcsp_lock_acquire(lock, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_shared_lock(block, -1), UVCSP_OK);
    char *said = TOLD(PAR(waits_at(_i, lock, uvcsp_event_new(), uvcsp_queue_new(1), a, block, line)));
    char here[60];
    snprintf(here, sizeof here, "test_objects.c:%d waits", *line);
    ck_assert_contains(said, here);
    free(said);
}

PROCESS(gets_of, VAL(uvcsp_queue *, queue), VAL(uvcsp_conn *, conn))
{
    json_t *value;
    (void)(queue ? uvcsp_queue_get(queue, &value, -1) : uvcsp_conn_recv(conn, &value));
}

TEST(queues_of_json_and_pipes_are_told_apart_by_where_they_were_made)
{
    enum { LINE = __LINE__ + 1 };
    uvcsp_queue *one = uvcsp_queue_new(1);
    uvcsp_queue *two = uvcsp_queue_new(1);
    uvcsp_conn *a, *b, *c, *d;
    ck_assert_int_eq(uvcsp_pipe(&a, &b, true), 0);
    ck_assert_int_eq(uvcsp_pipe(&c, &d, false), 0);
    char *said = TOLD(PAR(gets_of(one, a), gets_of(two, a), gets_of(NULL, a), gets_of(NULL, c)));
    for (int i = 0; i < 5; i++) {
        char here[60];
        snprintf(here, sizeof here, "test_objects.c:%d'", LINE + i);
        ck_assert_int_eq(count_of(said, here), i < 2);
        snprintf(here, sizeof here, "test_objects.c:%d)", LINE + i);
        ck_assert_int_eq(count_of(said, here), i > 2);
    }
    free(said);
    uvcsp_queue_free(one);
    uvcsp_queue_free(two);
}

TEST(a_queue_of_json_and_a_pipe_are_made_by_functions_too)
{
    uvcsp_queue *(*new)(long) = uvcsp_queue_new;
    int (*pipes)(uvcsp_conn **, uvcsp_conn **, bool) = uvcsp_pipe;
    uvcsp_queue *queue = new(1);
    uvcsp_conn *a, *b;
    ck_assert_int_eq(pipes(&a, &b, true), 0);
    char *said = TOLD(PAR(gets_of(queue, NULL), gets_of(NULL, a)));
    ck_assert_contains(said, "channel 'uvcsp_queue_new'");
    ck_assert_contains(said, "(made at uvcsp_pipe)");
    free(said);
    uvcsp_queue_free(queue);
}

SUITE("objects", .after = uvcsp_shutdown)
