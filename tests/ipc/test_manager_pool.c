/* The pools of a manager: tasks by name, and their errors. */
#include "tests/ipc/manager_pool.h"

/* ---- the forms ---- */

TEST(apply_map_and_starmap_give_the_values)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_size(pool), 2);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[7]"), &v), 0);
    is(v, "49");
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "nothing", NULL, &v), 0);
    is(v, "null");
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1,2,3,4,5]"), 0, &v), 0);
    is(v, "[1,4,9,16,25]");
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[]"), 0, &v), 0);
    is(v, "[]");
    ck_assert_int_eq(uvcsp_mpool_map(pool, "echo", json("[[1,2],{\"a\":null}]"), 1, &v), 0);
    is(v, "[[1,2],{\"a\":null}]");
    ck_assert_int_eq(uvcsp_mpool_starmap(pool, "difference", json("[[5,3],[3,5],[0,0]]"), 2, &v), 0);
    is(v, "[2,-2,0]");
    ck_assert_int_eq(uvcsp_mpool_starmap(pool, "difference", json("[[5,3],1]"), 2, &v), UVCSP_TYPE_ERROR);
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1]"), -1, &v), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("{}"), 0, &v), UVCSP_TYPE_ERROR);
}

TEST(the_asynchronous_forms_give_a_result_that_can_be_asked)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    json_t *v = NULL;
    uvcsp_proxy one = uvcsp_mpool_apply_async(pool, "await_event", json_pack("[o]", uvcsp_proxy_json(event)));
    ck_assert_int_eq(uvcsp_mresult_get(one, &v, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mresult_wait(one, 0.001), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mresult_ready(one), 0);
    ck_assert_int_eq(uvcsp_mresult_successful(one), UVCSP_VALUE_ERROR);
    ck_assert_int_eq(uvcsp_mresult_next(one, &v, -1), UVCSP_NO_SUCH_OPERATION);
    uvcsp_proxy many = uvcsp_mpool_map_async(pool, "square", json("[3,4]"), 1);
    ck_assert_int_eq(uvcsp_mresult_get(many, &v, -1), 0);
    is(v, "[9,16]");
    ck_assert_int_eq(uvcsp_mevent_set(event), 0);
    ck_assert_int_eq(uvcsp_mresult_get(one, &v, -1), 0);
    is(v, "5");
    ck_assert_int_eq(uvcsp_mresult_get(one, &v, 0), 0);
    is(v, "5");
    ck_assert_int_eq(uvcsp_mresult_ready(one), 1);
    ck_assert_int_eq(uvcsp_mresult_successful(one), 1);
    many = uvcsp_mpool_starmap_async(pool, "difference", json("[[1,1],[2,1]]"), 0);
    ck_assert_int_eq(uvcsp_mresult_get(many, &v, -1), 0);
    is(v, "[0,1]");
    ck_assert_int_eq(uvcsp_proxy_free(many), 0);
    ck_assert_int_eq(uvcsp_mresult_get(many, &v, -1), UVCSP_NO_SUCH_OBJECT);
}

TEST(values_are_handed_out_in_order_or_as_they_come)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL), event = uvcsp_manager_event(m);
    json_t *v = NULL;
    uvcsp_proxy ordered = uvcsp_mpool_imap(pool, "square", json("[1,2,\"x\",4]"), 0);
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, -1), 0);
    is(v, "1");
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, 10), 0);
    is(v, "4");
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, -1), UVCSP_TYPE_ERROR);
    ck_assert_contains(uvcsp_call_error(), "call 2 of 4: an integer is needed");
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, -1), 0);
    is(v, "16");
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, -1), UVCSP_STOP_ITERATION);
    ck_assert_int_eq(uvcsp_mresult_next(ordered, &v, 0), UVCSP_STOP_ITERATION);
    /* one call waits, so that the other, behind it, comes first */
    json_t *calls = json_pack("[o,i]", uvcsp_proxy_json(event), 3);
    uvcsp_proxy as_they_come = uvcsp_mpool_imap_unordered(pool, "await_event", calls, 1);
    ck_assert_int_eq(uvcsp_mresult_next(as_they_come, &v, -1), UVCSP_TYPE_ERROR);
    ck_assert_contains(uvcsp_call_error(), "call 1 of 2: no event");
    ck_assert_int_eq(uvcsp_mresult_next(as_they_come, &v, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_mresult_next(as_they_come, &v, 0.001), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_mevent_set(event), 0);
    ck_assert_int_eq(uvcsp_mresult_next(as_they_come, &v, -1), 0);
    is(v, "5");
    ck_assert_int_eq(uvcsp_mresult_next(as_they_come, &v, -1), UVCSP_STOP_ITERATION);
    ck_assert_str_eq(uvcsp_manager_error_name(UVCSP_STOP_ITERATION), "UVCSP_STOP_ITERATION");
}

TEST(arguments_and_values_of_any_length_go_through)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    static const size_t sizes[] = {1, 100, 230, 240, 250, 5000, 300000};
    json_t *calls = json_array(), *v = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = malloc(sizes[i]);
        memset(text, 'a' + (int)i, sizes[i]);
        json_array_append_new(calls, json_stringn(text, sizes[i]));
        free(text);
    }
    ck_assert_int_eq(uvcsp_mpool_map(pool, "echo", json_incref(calls), 0, &v), 0);
    ck_assert(json_equal(v, calls));
    json_decref(v);
    uvcsp_proxy result = uvcsp_mpool_imap(pool, "echo", json_incref(calls), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(uvcsp_mresult_next(result, &v, -1), 0);
        ck_assert(json_equal(v, json_array_get(calls, i)));
        json_decref(v);
    }
    json_decref(calls);
}

PROCESS(asks, VAL(uvcsp_proxy, pool), VAL(int, i))
{
    json_t *v = NULL;
    for (int k = 0; k < 10; k++) {
        MUST_BE(uvcsp_mpool_apply(pool, "square", json_pack("[i]", i + k), &v), 0);
        MUST(json_integer_value(v) == (i + k) * (i + k));
        json_decref(v);
    }
}

TEST(several_processes_use_one_pool, .times = PLACEMENTS)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    ck_assert_int_eq(RUN(_i, asks(pool, 1), asks(pool, 100), asks(pool, 1000)), 0);
}

TEST(another_program_names_the_tasks_of_the_managers_program)
{
    char address[64];
    snprintf(address, sizeof address, "test-manager-pool-%d", (int)getpid());
    uvcsp_manager *here = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_manager *there = uvcsp_manager_connect(address, "k", 10);
    ck_assert_ptr_nonnull(there);
    json_t *v = NULL, *calls = json_array();
    for (int i = 0; i < 3; i++)
        json_array_append_new(calls, json_pack("[i,s]", i, "two hundred and forty bytes of arguments travel with a call, and "
                                                           "a hundred and sixteen of a value with its answer; what is longer "
                                                           "than that is fetched, and delivered, by the worker of the pool that "
                                                           "has the call, which can use the manager as any other process"));
    uvcsp_proxy pool = uvcsp_manager_pool(there, 1, NULL);
    ck_assert_int_eq(uvcsp_mpool_map(pool, "echo", json_incref(calls), 0, &v), 0);
    ck_assert(json_equal(v, calls));
    json_decref(v);
    json_decref(calls);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "fly", NULL, NULL), UVCSP_NO_SUCH_OPERATION);
    ck_assert_contains(uvcsp_call_error(), "no task is called 'fly' in the program of the manager");
    /* what is between the server and its own workers */
    ck_assert_int_eq(uvcsp_call(pool, "fetch", json("[1,0]"), NULL), UVCSP_NO_SUCH_OPERATION);
    ck_assert_int_eq(uvcsp_call(pool, "deliver", json("[1,0,0]"), NULL), UVCSP_NO_SUCH_OPERATION);
    pool.manager = here;
    ck_assert_int_eq(uvcsp_call(pool, "fetch", json("[99,0]"), NULL), UVCSP_KEY_ERROR);
    pool.manager = there;
    uvcsp_proxy result = uvcsp_mpool_apply_async(pool, "echo", json("[1]"));
    ck_assert_int_eq(uvcsp_mresult_wait(result, -1), 0);
    ck_assert_int_eq(uvcsp_manager_stop(there), 0);
    result.manager = here;
    int rc;
    while ((rc = uvcsp_mresult_wait(result, -1)) == 0) /* it goes with the connection, as soon as its end is seen */
        uvcsp_yield();
    ck_assert_int_eq(rc, UVCSP_NO_SUCH_OBJECT);
    ck_assert_int_eq(uvcsp_manager_stop(here), 0);
}

/* ---- errors ---- */

TEST(the_error_of_a_task_comes_back_to_its_caller)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 2, NULL);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[\"x\"]"), &v), UVCSP_TYPE_ERROR);
    ck_assert_str_eq(uvcsp_call_error(), "an integer is needed");
    ck_assert_int_eq(uvcsp_mpool_map(pool, "square", json("[1,null,\"x\"]"), 1, &v), UVCSP_TYPE_ERROR);
    ck_assert_str_eq(uvcsp_call_error(), "call 1 of 3: an integer is needed");
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "positive", NULL, &v), UVCSP_RUNTIME_ERROR);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "dig", NULL, &v), -EINVAL);
    ck_assert_str_eq(uvcsp_call_error(), "the value cannot be encoded");
    uvcsp_proxy result = uvcsp_mpool_map_async(pool, "square", json("[1,null]"), 0);
    ck_assert_int_eq(uvcsp_mresult_wait(result, -1), 0);
    ck_assert_int_eq(uvcsp_mresult_successful(result), 0);
    ck_assert_int_eq(uvcsp_mresult_get(result, &v, -1), UVCSP_TYPE_ERROR);
    ck_assert_ptr_null(v);
}

TEST(a_task_that_is_not_known_is_refused_by_name)
{
    uvcsp_proxy pool = uvcsp_manager_pool(m, 1, NULL);
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "fly", NULL, &v), UVCSP_NO_SUCH_OPERATION);
    ck_assert_contains(uvcsp_call_error(), "'fly'");
    ck_assert_ptr_null(uvcsp_mpool_imap(pool, "fly", json("[]"), 0).manager);
    house_capture(2);
    ck_assert_int_eq(uvcsp_manager_register_task("square", square), -EEXIST);
    ck_assert_int_eq(uvcsp_manager_register_task("", square), -EINVAL);
    ck_assert_int_eq(uvcsp_manager_register_task("more", NULL), -EINVAL);
    free(house_captured());
}

TEST(options_that_a_pool_does_not_have_are_refused)
{
    static const struct {
        const char *args;
        int status;
    } rows[] = {{"[\"x\"]", UVCSP_TYPE_ERROR},
                {"[100000]", UVCSP_VALUE_ERROR},
                {"[1,[]]", UVCSP_TYPE_ERROR},
                {"[1,{\"retries\":\"x\"}]", UVCSP_TYPE_ERROR},
                {"[1,{\"maxtasksperchild\":-1}]", UVCSP_TYPE_ERROR},
                {"[1,{\"colour\":1}]", UVCSP_TYPE_ERROR},
                {"[1,{\"initializer\":\"fly\",\"initargs\":[1]}]", UVCSP_NO_SUCH_OPERATION}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(uvcsp_manager_create(m, "pool", json(rows[i].args), &(uvcsp_proxy){0}), rows[i].status);
        ck_assert_str_ne(uvcsp_call_error(), "");
    }
}

TEST(an_initializer_runs_first_in_each_worker)
{
    json_t *v = NULL;
    uvcsp_proxy pool = uvcsp_manager_pool(
        m, 2, json("{\"initializer\":\"begin_with\",\"initargs\":[100],\"maxtasksperchild\":2}"));
    ck_assert_int_eq(uvcsp_mpool_map(pool, "add_to_start", json("[1,2,3,4,5,6]"), 1, &v), 0);
    is(v, "[101,102,103,104,105,106]");
}

TEST(an_initializer_that_fails_breaks_the_pool_and_is_told)
{
    json_t *v = NULL;
    uvcsp_manager_stop(m);
    house_capture(2);
    m = uvcsp_manager_start(NULL);
    uvcsp_proxy pool = uvcsp_manager_pool(m, 1, json("{\"initializer\":\"begin_with\"}"));
    int rc = uvcsp_mpool_apply(pool, "square", json("[2]"), &v);
    char *said = house_captured();
    ck_assert_int_eq(rc, UVCSP_TASK_DIED);
    ck_assert_contains(uvcsp_call_error(), "cannot be started");
    ck_assert_contains(said, "it cannot begin with nothing");
    free(said);
    ck_assert_int_eq(uvcsp_mpool_apply(pool, "square", json("[2]"), &v), UVCSP_VALUE_ERROR);
    ck_assert_contains(uvcsp_call_error(), "cannot be started");
}

SUITE("manager_pool", .before = start, .after = stop)
