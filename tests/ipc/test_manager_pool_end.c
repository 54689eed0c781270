/* The pools of a manager: their end, and what becomes of them when somebody dies. */
#include "tests/ipc/manager_pool.h"

TEST(a_pool_that_was_closed_does_what_it_has_and_takes_no_more)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_join(pool, -1), UVCSP_VALUE_ERROR);
    uvcsp_proxy result = uvcsp_mpool_apply_async(pool, "await_event", json_pack("[o]", uvcsp_proxy_json(event)));
    ck_assert_int_eq(uvcsp_mpool_close(pool), 0);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[2]"), &v), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_mpool_join(pool, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mpool_join(pool, 0.001), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mevent_set(event), 0);
    ck_assert_int_eq(uvcsp_mpool_join(pool, -1), 0);
    ck_assert_int_eq(uvcsp_mresult_get(result, &v, 0), 0);
    is(v, "5");
}

TEST(what_a_terminated_or_freed_pool_has_not_done_is_cancelled, .times = 2)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    json_t *v = NULL;
    uvcsp_proxy result = uvcsp_mpool_map_async(
        pool, "await_event", json_pack("[o,o]", uvcsp_proxy_json(event), uvcsp_proxy_json(event)), 1);
    ck_assert_int_eq(_i == 0 ? uvcsp_mpool_terminate(pool) : uvcsp_proxy_free(pool), 0);
    ck_assert_int_eq(uvcsp_mresult_get(result, &v, -1), UVCSP_TASK_CANCELLED);
    if (_i == 0)
        ck_assert_int_eq(uvcsp_mpool_join(pool, -1), 0);
    else
        ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[2]"), &v), UVCSP_NO_SUCH_OBJECT);
}

PROCESS(is_cancelled, VAL(uvcsp_proxy, pool), VAL(uvcsp_proxy, event), OUT(int, out))
{
    WRITE(out, 0);
    json_t *v = NULL, *args = json_pack("[o]", uvcsp_proxy_json(event));
    int rc = uvcsp_mpool_apply(pool, "await_event", args, &v);
    MUST(rc == UVCSP_TASK_CANCELLED || rc == UVCSP_NO_SUCH_OBJECT);
}

TEST(who_waits_for_a_task_of_a_pool_that_is_freed_is_told, .times = PLACEMENTS)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 1, NULL), event = uvcsp_manager_event(m);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_process waits = is_cancelled(pool, event, c);
    uvcsp_handle *h = _i == FORKED ? uvcsp_spawn(waits) : uvcsp_go(waits);
    (void)READ(in);
    ck_assert_int_eq(uvcsp_proxy_free(pool), 0);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
}

TEST(a_worker_that_dies_is_told_and_replaced)
{
    if (house_light())
        return;
    json_t *v = NULL;
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    house_capture(2);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "die", NULL, &v), UVCSP_TASK_DIED);
    ck_assert_contains(uvcsp_call_error(), "signal 9");
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1,2,3,4]"), 1, &v), 0);
        is(v, "[1,4,9,16]");
    }
    free(house_captured());
}

PROCESS(dies_with_a_task, VAL(uvcsp_proxy, pool), VAL(uvcsp_proxy, event), OUT(uvcsp_proxy, out))
{
    json_t *args = json_pack("[o]", uvcsp_proxy_json(event)), *v = NULL;
    uvcsp_proxy result = uvcsp_mpool_apply_async(pool, "await_event", json_incref(args));
    WRITE(out, result);
    (void)uvcsp_mpool_apply(pool, "await_event", args, &v);
    MUST(!"reached");
}

TEST(a_client_that_dies_gives_back_its_results)
{
    if (house_light())
        return;
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    CHAN(uvcsp_proxy) c = CHANNEL(uvcsp_proxy);
    IN_END(uvcsp_proxy) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *h = SPAWN(dies_with_a_task(pool, event, c));
    uvcsp_proxy result = READ(in);
    kill(uvcsp_pid(h), SIGKILL);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    int rc;
    while ((rc = uvcsp_mresult_wait(result, 0)) == UVCSP_WOULD_BLOCK)
        ;
    ck_assert_int_eq(rc, UVCSP_NO_SUCH_OBJECT);
    ck_assert_int_eq(uvcsp_mevent_set(event), 0);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[3]"), &v), 0);
    is(v, "9");
    free(house_captured());
}

TEST(a_manager_that_is_stopped_ends_its_pools)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    uvcsp_proxy result = uvcsp_mpool_apply_async(pool, "await_event", json_pack("[o]", uvcsp_proxy_json(event)));
    ck_assert_ptr_nonnull(result.manager);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mresult_get(result, &v, -1), UVCSP_RETIRED);
}

TEST(a_manager_that_is_killed_takes_its_pools_along)
{
    if (house_light())
        return;
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1,2]"), 1, &v), 0);
    json_decref(v);
    house_capture(2);
    uvcsp_proxy result = uvcsp_mpool_apply_async(pool, "await_event", json_pack("[o]", uvcsp_proxy_json(event)));
    ck_assert_ptr_nonnull(result.manager);
    kill(uvcsp_manager_pid(m), SIGKILL);
    ck_assert_int_eq(uvcsp_mresult_get(result, &v, -1), UVCSP_POISONED);
    ck_assert_contains(uvcsp_call_error(), "signal 9");
    free(house_captured());
} /* and the fixture finds no worker that is left */

PROCESS(uses_it_without_end, VAL(uvcsp_proxy, pool), OUT(int, out))
{
    char *text = malloc(2000);
    memset(text, 'x', 2000);
    for (int i = 0;; i++) {
        json_t *v = NULL;
        uvcsp_proxy result = uvcsp_mpool_imap(pool, "echo", json_pack("[i,s#,i]", i, text, 2000, i), 1);
        MUST_BE(uvcsp_mpool_map(pool, "square", json("[1,2,3]"), 1, &v), 0);
        json_decref(v);
        MUST_BE(uvcsp_mresult_next(result, &v, -1), 0);
        json_decref(v);
        MUST_BE(uvcsp_mresult_next(result, &v, -1), 0);
        json_decref(v);
        MUST_BE(uvcsp_proxy_free(result), 0);
        if (i == 0)
            WRITE(out, 0);
    }
}

TEST(clients_killed_at_any_moment_do_not_harm_a_pool, .seconds = 60)
{
    if (house_light())
        return;
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    json_t *v = NULL;
    house_capture(2);
    srand(3);
    for (int i = 0; i < 20; i++) {
        CHAN(int) c = CHANNEL(int);
        IN_END(int) in = IN_OF(c);
        uvcsp_handle *h = SPAWN(uses_it_without_end(pool, c));
        (void)READ(in);
        for (int k = rand() % 5; k > 0; k--)
            ck_assert_int_eq(uvcsp_mpool_apply(pool, "nothing", NULL, NULL), 0);
        kill(uvcsp_pid(h), SIGKILL);
        ck_assert_int_eq(uvcsp_join(h, -1), 0);
        ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1,2,3]"), 1, &v), 0);
        is(v, "[1,4,9]");
        RETIRE(in);
    }
    free(house_captured());
}

SUITE("manager_pool_end", .before = start, .after = stop)
