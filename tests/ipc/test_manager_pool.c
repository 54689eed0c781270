/* The pools of a manager: tasks by name, their errors, what becomes of them when somebody dies. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static uvcsp_manager *m;

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value) {
        fprintf(stderr, "the test has wrong JSON: %s\n", text);
        abort();
    }
    return value;
}

static void is(json_t *value, const char *expected)
{
    json_t *right = json(expected);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (!json_equal(value, right))
        ck_abort_msg("%s, and not %s", text, expected);
    free(text);
    json_decref(right);
    json_decref(value);
}

/* ---- tasks ---- */

static int square(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager;
    const json_t *x = json_array_get(args, 0);
    if (json_array_size(args) != 1 || !json_is_integer(x))
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "an integer is needed");
    *valuep = json_integer(json_integer_value(x) * json_integer_value(x));
    return 0;
}

static int difference(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager;
    *valuep = json_integer(json_integer_value(json_array_get(args, 0)) - json_integer_value(json_array_get(args, 1)));
    return 0;
}

static int echo(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager;
    *valuep = json_incref(json_array_get(args, 0));
    return 0;
}

static int nothing(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager, (void)args, (void)valuep;
    return 0;
}

static int positive(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager, (void)args, (void)valuep;
    return 7;
}

/* A value that is nested too deep. */
static int dig(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager, (void)args;
    *valuep = json_array();
    for (int i = 0; i <= UVCSP_MANAGER_DEPTH; i++)
        *valuep = json_pack("[o]", *valuep);
    return 0;
}

static int die(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager, (void)args, (void)valuep;
    raise(SIGKILL);
    return 0;
}

/* Until the event is set. */
static int await_event(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    uvcsp_proxy event;
    if (uvcsp_proxy_of(manager, json_array_get(args, 0), &event) != 0)
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "no event");
    *valuep = json_integer(5);
    int rc = uvcsp_mevent_wait(event, -1);
    return rc == UVCSP_NO_SUCH_OBJECT ? rc : rc != 0;
}

static int start_value;

static int begin_with(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager, (void)valuep;
    if (json_array_size(args) != 1)
        return uvcsp_manager_fail(UVCSP_VALUE_ERROR, "it cannot begin with nothing");
    start_value = (int)json_integer_value(json_array_get(args, 0));
    return 0;
}

static int add_to_start(uvcsp_manager *manager, const json_t *args, json_t **valuep)
{
    (void)manager;
    *valuep = json_integer(start_value + json_integer_value(json_array_get(args, 0)));
    return 0;
}

static int start(void)
{
    if (default_signals() || uvcsp_manager_register_task("square", square) || uvcsp_manager_register_task("difference", difference) ||
        uvcsp_manager_register_task("echo", echo) || uvcsp_manager_register_task("nothing", nothing) ||
        uvcsp_manager_register_task("positive", positive) || uvcsp_manager_register_task("dig", dig) ||
        uvcsp_manager_register_task("die", die) || uvcsp_manager_register_task("await_event", await_event) ||
        uvcsp_manager_register_task("begin_with", begin_with) ||
        uvcsp_manager_register_task("add_to_start", add_to_start))
        return 1;
    m = uvcsp_manager_start(NULL);
    return !m;
}

static int stop(void)
{
    return uvcsp_manager_stop(m) || uvcsp_shutdown();
}

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
    ck_assert_int_eq(uvcsp_manager_stop(there), 0);
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

/* ---- ends ---- */

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

SUITE("manager_pool", .before = start, .after = stop)
