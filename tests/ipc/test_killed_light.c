/* A light process that is ended by uvcsp_kill() runs nothing of what it deferred. What it held, or
   had open, or had made is given back all the same, as if it had returned. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

struct held {
    uvcsp_lock *lock;
    uvcsp_rlock *rlock;
    uvcsp_semaphore *semaphore;
    uvcsp_condition *condition;
    int *block;
    int *named;
};

/* Starts it, waits until it has all that it wants and waits, and kills it. */
static void start_and_kill(uvcsp_process process, IN_END(bool) ready)
{
    uvcsp_handle *h = GO(process);
    (void)READ(ready);
    uvcsp_kill(h);
    ck_assert_int_eq(uvcsp_join(h, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(h), -SIGKILL);
}

static void is_not_run(void *arg)
{
    *(int *)arg += 1;
}

PROCESS(holds_all, VAL(struct held *, o), VAL(int *, run), OUT(bool, ready), IN(bool, never))
{
    DEFER(is_not_run, run);
    MUST_BE(uvcsp_lock_acquire(o->lock, -1), UVCSP_OK);
    MUST(ALT(ON_RLOCK(o->rlock)) == 0);
    MUST_BE(uvcsp_rlock_acquire(o->rlock, -1), UVCSP_OK);
    MUST_BE(uvcsp_semaphore_acquire(o->semaphore, -1), UVCSP_OK);
    MUST_BE(uvcsp_condition_acquire(o->condition, -1), UVCSP_OK);
    MUST_BE(uvcsp_shared_lock(o->named, -1), UVCSP_OK);
    LOCKED (o->block) {
        WRITE(ready, true);
        (void)READ(never);
    }
}

PROCESS(takes_all, VAL(struct held *, o), VAL(int, expected))
{
    MUST_BE(uvcsp_lock_acquire(o->lock, 10), expected);
    MUST_BE(uvcsp_rlock_acquire(o->rlock, 10), expected);
    MUST_BE(uvcsp_rlock_release(o->rlock), 0);
    MUST_BE(uvcsp_rlock_release(o->rlock), -EPERM); /* it was its own, and once */
    MUST_BE(uvcsp_semaphore_acquire(o->semaphore, 10), expected);
    MUST_BE(uvcsp_condition_acquire(o->condition, 10), expected);
    MUST_BE(uvcsp_shared_lock(o->block, 10), expected);
    MUST_BE(uvcsp_shared_lock(o->named, 10), expected);
    MUST_BE(uvcsp_shared_unlock(o->named), 0);
    MUST_BE(uvcsp_shared_unlock(o->block), 0);
    MUST_BE(uvcsp_condition_release(o->condition), 0);
    MUST_BE(uvcsp_semaphore_release(o->semaphore), 0);
    MUST_BE(uvcsp_lock_release(o->lock), 0);
}

TEST(what_it_held_goes_to_the_next_who_is_told)
{
    char name[40];
    snprintf(name, sizeof name, "test.killed.%d", (int)getpid());
    struct held o = {uvcsp_lock_new(),       uvcsp_rlock_new(),
                     uvcsp_semaphore_new(1), uvcsp_condition_new(NULL),
                     SHARED_VALUE(int, 0),   uvcsp_shared_open(name, sizeof(int))};
    int run = 0;
    CHAN(bool) ready = CHANNEL(bool), never = CHANNEL(bool);
    OUT_END(bool) keeps = OUT_OF(never);
    house_capture(2);
    start_and_kill(holds_all(&o, &run, ready, never), IN_OF(ready));
    ck_assert_int_eq(CO(takes_all(&o, UVCSP_OWNER_DIED)),
                     0); /* its task may lie where the dead one's lay */
    ck_assert_int_eq(CO(takes_all(&o, UVCSP_OK)), 0);
    free(house_captured());
    ck_assert_int_eq(run, 0);
    RETIRE(keeps);
}

PROCESS(makes_all, VAL(struct held *, o), OUT(bool, ready), IN(bool, never))
{
    o->lock = uvcsp_lock_new();
    o->semaphore = uvcsp_semaphore_new(1);
    o->block = SHARED_VALUE(int, 0);
    WRITE(ready, true);
    (void)READ(never);
}

TEST(what_it_made_goes_with_it)
{
    struct held o;
    CHAN(bool) ready = CHANNEL(bool), never = CHANNEL(bool);
    OUT_END(bool) keeps = OUT_OF(never);
    house_capture(2);
    start_and_kill(makes_all(&o, ready, never), IN_OF(ready));
    ck_assert_int_eq(uvcsp_lock_acquire(o.lock, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_semaphore_acquire(o.semaphore, 0), -EINVAL);
    ck_assert_uint_eq(COUNT_OF_SHARED(o.block), 0);
    free(house_captured());
    RETIRE(keeps);
}

static char address[40];

PROCESS(accepts, OUT(bool, ready), IN(bool, never))
{
    uvcsp_listener *listener = uvcsp_listen(address, "key");
    MUST(listener);
    WRITE(ready, true);
    MUST(uvcsp_accept(listener, 10));
    WRITE(ready, true);
    (void)READ(never);
}

PROCESS(connects, OUT(uvcsp_conn *, made))
{
    uvcsp_conn *conn = uvcsp_connect(address, "key", 10);
    MUST(conn);
    WRITE(made, conn);
    json_t *value;
    MUST_BE(uvcsp_conn_recv(conn, &value), UVCSP_RETIRED);
}

TEST(its_sockets_are_closed_and_its_address_is_free)
{
    snprintf(address, sizeof address, "test-killed-%d", (int)getpid());
    CHAN(bool) ready = CHANNEL(bool), never = CHANNEL(bool);
    CHAN(uvcsp_conn *) made = CHANNEL(uvcsp_conn *);
    IN_END(bool) in = IN_OF(ready);
    IN_END(uvcsp_conn *) conns = IN_OF(made);
    OUT_END(bool) keeps = OUT_OF(never);
    house_capture(2);
    uvcsp_handle *server = GO(accepts(ready, never));
    (void)READ(in);
    uvcsp_handle *client = SPAWN(connects(made));
    (void)READ(conns);
    (void)READ(in);
    uvcsp_kill(server);
    ck_assert_int_eq(uvcsp_join(server, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(client, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(client), 0);
    uvcsp_listener *another = uvcsp_listen(address, "key");
    ck_assert_ptr_nonnull(another);
    uvcsp_listener_close(another);
    free(house_captured());
    RETIRE(keeps);
}

static int sleeps(const int *argument, int *result, void *context)
{
    (void)argument;
    (void)result;
    (void)context;
    uvcsp_sleep(1000);
    return 0;
}

PROCESS(has_a_pool, VAL(uvcsp_result **, result), OUT(bool, ready), IN(bool, never))
{
    int arguments[4] = {0};
    *result = uvcsp_pool_map_async(POOL(2), sleeps, arguments, 4, int, 1);
    MUST(*result);
    WRITE(ready, true);
    (void)READ(never);
}

TEST(its_pool_is_terminated_and_who_waits_for_it_is_told)
{
    uvcsp_result *result;
    CHAN(bool) ready = CHANNEL(bool), never = CHANNEL(bool);
    OUT_END(bool) keeps = OUT_OF(never);
    house_capture(2);
    start_and_kill(has_a_pool(&result, ready, never), IN_OF(ready));
    ck_assert_int_eq(uvcsp_result_get(result, (int *)NULL, 10), UVCSP_TASK_CANCELLED);
    uvcsp_result_free(result);
    free(house_captured());
    RETIRE(keeps);
}

PROCESS(holds_of_a_manager, VAL(uvcsp_proxy, lock), OUT(bool, ready), IN(bool, never))
{
    MUST_BE(uvcsp_mlock_acquire(lock, -1), 0);
    WRITE(ready, true);
    (void)READ(never);
}

PROCESS(waits_at_a_manager, VAL(uvcsp_proxy, lock), OUT(bool, ready))
{
    MUST_BE(uvcsp_mlock_acquire(lock, 0), UVCSP_WOULD_BLOCK);
    WRITE(ready, true);
    (void)uvcsp_mlock_acquire(lock, -1); /* it does not come back */
    WRITE(ready, false);
}

TEST(a_manager_gives_the_lock_of_one_that_held_it_or_waited_for_it_to_the_next)
{
    uvcsp_manager *m = uvcsp_manager_start(NULL);
    uvcsp_proxy lock = uvcsp_manager_lock(m);
    CHAN(bool) ready = CHANNEL(bool), said = CHANNEL(bool), never = CHANNEL(bool);
    IN_END(bool) in = IN_OF(ready), waits_in = IN_OF(said);
    OUT_END(bool) keeps = OUT_OF(never);
    house_capture(2);
    uvcsp_handle *holds = GO(holds_of_a_manager(lock, ready, never));
    (void)READ(in);
    uvcsp_handle *waits = GO(waits_at_a_manager(lock, said));
    ck_assert(READ(waits_in));
    uvcsp_yield();
    uvcsp_kill(waits);
    ck_assert_int_eq(uvcsp_join(waits, 10), UVCSP_OK);
    uvcsp_kill(holds);
    ck_assert_int_eq(uvcsp_join(holds, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_mlock_acquire(lock, 10), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_mlock_release(lock), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(lock, 10), 0);
    free(house_captured());
    RETIRE(keeps);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
}

SUITE("killed_light", .before = default_signals, .after = uvcsp_shutdown)
