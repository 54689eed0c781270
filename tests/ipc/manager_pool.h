/* What the tests of a manager's pools have in common: the tasks, and a manager that knows them. */
#ifndef TESTS_IPC_MANAGER_POOL_H
#define TESTS_IPC_MANAGER_POOL_H

#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static uvcsp_manager *m;

static inline json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value) {
        fprintf(stderr, "the test has wrong JSON: %s\n", text);
        abort();
    }
    return value;
}

static inline void is(json_t *value, const char *expected)
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

static inline int start(void)
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

static inline int stop(void)
{
    return uvcsp_manager_stop(m) || uvcsp_shutdown();
}

#endif
