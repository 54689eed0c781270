/* The end of managers, and of objects that somebody waits for. */
#include <sched.h>

#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/contract/contract.h"

static uvcsp_manager *m;

static int start(void)
{
    if (default_signals())
        return 1;
    m = uvcsp_manager_start(NULL);
    return !m;
}

static int stop(void)
{
    return uvcsp_manager_stop(m) || uvcsp_shutdown();
}

/* Whatever one can wait for: the object, what makes it one that has to be waited for, the operation that waits. */
static const struct {
    const char *type, *args, *before, *before_args, *op, *op_args;
} waits[] = {
    {"lock", "[]", "acquire", "[]", "acquire", "[]"},
    {"rlock", "[]", "acquire", "[]", "acquire", "[]"},
    {"semaphore", "[0]", NULL, NULL, "acquire", "[]"},
    {"bounded_semaphore", "[1]", "acquire", "[]", "acquire", "[]"},
    {"event", "[]", NULL, NULL, "wait", "[]"},
    {"barrier", "[3]", NULL, NULL, "wait", "[]"},
    {"condition", "[]", NULL, NULL, "wait", "[]"},
    {"queue", "[1]", NULL, NULL, "get", "[]"},
    {"queue", "[1]", "put", "[1]", "put", "[2]"},
    {"queue", "[1]", "put", "[1]", "join", "[]"},
};

static json_t *args_of(const char *text)
{
    return json_loads(text, 0, NULL);
}

PROCESS(waits_for_what_is_freed, VAL(uvcsp_proxy, p), VAL(int, row), OUT(int, ready))
{
    if (strcmp(waits[row].type, "condition") == 0)
        MUST_BE(uvcsp_mlock_acquire(p, -1), 0);
    WRITE(ready, 1);
    MUST_BE(uvcsp_call(p, waits[row].op, args_of(waits[row].op_args), NULL), UVCSP_NO_SUCH_OBJECT);
}

TEST(whatever_one_waits_for_can_be_freed, .times = sizeof waits / sizeof *waits)
{
    uvcsp_proxy p;
    ck_assert_int_eq(uvcsp_manager_create(m, waits[_i].type, args_of(waits[_i].args), &p), 0);
    if (waits[_i].before)
        ck_assert_int_eq(uvcsp_call(p, waits[_i].before, args_of(waits[_i].before_args), NULL), 0);
    for (enum placement placement = FORKED; placement < PLACEMENTS; placement++) {
        CHAN(int) c = CHANNEL(int);
        IN_END(int) in = IN_OF(c);
        uvcsp_process process = waits_for_what_is_freed(p, _i, c);
        uvcsp_handle *h = placement == FORKED ? uvcsp_spawn(process) : uvcsp_go(process);
        (void)READ(in);
        if (placement == LIGHT)
            uvcsp_yield();
        int rc = uvcsp_proxy_free(p);
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(uvcsp_join(h, -1), 0);
        ck_assert_int_eq(uvcsp_exit_code(h), 0);
        ck_assert_int_eq(uvcsp_manager_create(m, waits[_i].type, args_of(waits[_i].args), &p), 0);
        if (waits[_i].before)
            ck_assert_int_eq(uvcsp_call(p, waits[_i].before, args_of(waits[_i].before_args), NULL), 0);
    }
}

/* ---- managers ---- */

TEST(no_manager_no_proxy_and_no_object_are_told)
{
    uvcsp_proxy none = {NULL, 0}, wild = {(uvcsp_manager *)(void *)&none, 1}, list = uvcsp_manager_list(m, NULL);
    house_capture(2);
    ck_assert_int_eq(uvcsp_mlist_append(none, json_integer(1)), -EINVAL);
    ck_assert_int_eq(uvcsp_mlist_append(wild, json_integer(1)), -EINVAL);
    ck_assert_int_eq(uvcsp_call(list, NULL, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(uvcsp_manager_list(NULL, NULL).manager);
    free(house_captured());
    ck_assert_int_eq(uvcsp_call(list, "len", json_integer(1), NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_mlist_append((uvcsp_proxy){m, 12345}, json_integer(1)), UVCSP_NO_SUCH_OBJECT);
    ck_assert_int_eq(uvcsp_proxy_free(list), 0);
    ck_assert_int_eq(uvcsp_proxy_free(list), UVCSP_NO_SUCH_OBJECT);
    ck_assert_int_eq(uvcsp_mlist_len(list), UVCSP_NO_SUCH_OBJECT);
    ck_assert_int_eq(uvcsp_manager_create(m, "balloon", NULL, &list), UVCSP_NO_SUCH_OPERATION);
}

TEST(a_manager_that_was_stopped_is_told_at_once)
{
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_integer(1)), UVCSP_RETIRED);
    ck_assert_contains(uvcsp_call_error(), "ended");
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    ck_assert_int_eq(uvcsp_mlist_len(list), -UVCSP_RETIRED);
    ck_assert_ptr_null(uvcsp_manager_list(m, NULL).manager);
}

PROCESS(finds_it_gone, VAL(uvcsp_proxy, list), VAL(int, expected))
{
    MUST_BE(uvcsp_mlist_append(list, json_integer(1)), expected);
}

TEST(processes_that_come_after_the_end_are_told, .times = PLACEMENTS)
{
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    uvcsp_manager_stop(m);
    ck_assert_int_eq(RUN(_i, finds_it_gone(list, UVCSP_RETIRED)), 0);
}

TEST(a_manager_that_was_killed_is_told_with_the_cause)
{
    if (house_light())
        return;
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    house_capture(2);
    kill(uvcsp_manager_pid(m), SIGKILL);
    int rc;
    while ((rc = uvcsp_mlist_append(list, json_integer(1))) == 0)
        ;
    ck_assert_int_eq(rc, UVCSP_POISONED);
    ck_assert_contains(uvcsp_call_error(), "signal 9");
    ck_assert_int_eq(PAR(finds_it_gone(list, UVCSP_POISONED)), 0);
    free(house_captured());
}

PROCESS(starts_one, OUT(uvcsp_proxy, out))
{
    uvcsp_manager *own = uvcsp_manager_start(NULL);
    MUST(own);
    uvcsp_proxy list = uvcsp_manager_list(own, NULL);
    MUST_BE(uvcsp_mlist_append(list, json_integer(1)), 0);
    WRITE(out, list);
}

TEST(a_manager_ends_with_the_process_that_started_it)
{
    CHAN(uvcsp_proxy) c = CHANNEL(uvcsp_proxy);
    IN_END(uvcsp_proxy) in = IN_OF(c);
    uvcsp_handle *h = SPAWN(starts_one(c));
    uvcsp_proxy list = READ(in);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    int rc;
    while ((rc = uvcsp_mlist_append(list, json_integer(1))) == 0)
        uvcsp_yield();
    ck_assert_int_eq(rc, UVCSP_RETIRED);
}

TEST(managers_that_were_stopped_leave_no_connections)
{
    size_t ends = 0, channels = 0;
    for (int i = 0; i < 12; i++) {
        uvcsp_manager *other = uvcsp_manager_start(NULL);
        ck_assert_int_eq(uvcsp_mvalue_set(uvcsp_manager_value(other, json_null()), json_null()), 0);
        ck_assert_int_eq(uvcsp_manager_stop(other), 0);
        if (i == 1) {
            ends = usp_arena_count(USP_BLOCK_END);
            channels = usp_arena_count(USP_BLOCK_CHANNEL);
        }
    }
    /* one of each stays, by which others are told; a connection would be four of them more */
    ck_assert_uint_lt(usp_arena_count(USP_BLOCK_END), ends + 10 + 8);
    ck_assert_uint_lt(usp_arena_count(USP_BLOCK_CHANNEL), channels + 10 + 8);
}

TEST(only_an_object_of_the_manager_is_published_by_it)
{
    uvcsp_manager *one = uvcsp_manager_start(NULL), *two = uvcsp_manager_start(NULL);
    uvcsp_proxy list = uvcsp_manager_list(one, NULL), other = uvcsp_manager_list(two, NULL), found;
    ck_assert_int_eq(uvcsp_manager_publish(one, "list", list), 0);
    house_capture(2);
    ck_assert_int_eq(uvcsp_manager_publish(one, "list", other), -EINVAL);
    ck_assert_int_eq(uvcsp_manager_publish(one, "list", (uvcsp_proxy){NULL, 1}), -EINVAL);
    char *said = house_captured();
    ck_assert_contains(said, "'list': the proxy is another manager's");
    free(said);
    ck_assert_int_eq(uvcsp_manager_find(one, "list", &found), 0);
    ck_assert(found.id == list.id);
    ck_assert_int_eq(uvcsp_manager_publish(one, "list", (uvcsp_proxy){0}), 0);
    ck_assert_int_eq(uvcsp_manager_find(one, "list", &found), UVCSP_KEY_ERROR);
    uvcsp_manager_stop(one);
    uvcsp_manager_stop(two);
}

TEST(managers_do_not_mix)
{
    uvcsp_manager *other = uvcsp_manager_start(NULL);
    uvcsp_proxy a = uvcsp_manager_value(m, json_integer(1)), b = uvcsp_manager_value(other, json_integer(2)), c;
    ck_assert_uint_eq(a.id, b.id);
    json_t *v = NULL, *p = uvcsp_proxy_json(a);
    ck_assert_int_eq(uvcsp_mvalue_get(b, &v), 0);
    ck_assert_int_eq(json_integer_value(v), 2);
    ck_assert_int_eq(uvcsp_proxy_of(other, p, &c), -EINVAL);
    ck_assert_int_eq(uvcsp_proxy_of(m, p, &c), 0);
    json_decref(v);
    json_decref(p);
    ck_assert_int_eq(uvcsp_manager_stop(other), 0);
    ck_assert_int_eq(uvcsp_mvalue_set(b, json_null()), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_mvalue_set(a, json_null()), 0);
}

/* ---- others of the caller's worker ---- */

PROCESS(ticks, VAL(bool *, over))
{
    for (int i = 0; i < 20; i++)
        uvcsp_sleep(0.001);
    *over = true;
}

PROCESS(calls_all_the_time, VAL(uvcsp_proxy, list), VAL(bool *, over))
{
    while (!*over)
        MUST_BE(uvcsp_mlist_len(list), 0);
}

PROCESS(calls_and_ticks, VAL(uvcsp_proxy, list))
{
    bool over = false;
    MUST_BE(CO(calls_all_the_time(list, &over), ticks(&over)), UVCSP_OK);
}

TEST(timers_of_a_worker_have_their_turn_while_it_calls, .times = 2, .seconds = 60)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    if (_i == 1) { /* who calls and the manager on one processor */
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        ck_assert_int_eq(sched_setaffinity(uvcsp_manager_pid(m), sizeof one, &one), 0);
        ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    }
    ck_assert_int_eq(PAR(calls_and_ticks(list)), UVCSP_OK);
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
    ck_assert_int_eq(sched_setaffinity(uvcsp_manager_pid(m), sizeof all, &all), 0);
}

TEST(a_freed_object_leaves_its_place_and_an_old_proxy_finds_nothing)
{
    uvcsp_proxy old = uvcsp_manager_value(m, json_integer(1));
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(uvcsp_proxy_free(old), 0);
        uvcsp_proxy new = uvcsp_manager_value(m, json_integer(2));
        ck_assert_uint_eq((uint32_t)new.id, (uint32_t)old.id); /* the table does not grow */
        ck_assert_uint_ne(new.id, old.id);
        ck_assert_int_eq(uvcsp_mvalue_set(old, json_null()), UVCSP_NO_SUCH_OBJECT);
        ck_assert_int_eq(uvcsp_proxy_free(old), UVCSP_NO_SUCH_OBJECT);
        old = new;
    }
}

SUITE("manager_end", .before = start, .after = stop)
