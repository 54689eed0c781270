/* Managers: the objects and their operations, errors, proxies. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static uvcsp_manager *m;

static int start(void)
{
    m = uvcsp_manager_start(NULL);
    return default_signals() || !m;
}

static int stop(void)
{
    return uvcsp_manager_stop(m) || uvcsp_shutdown();
}

static json_t *json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);
    if (!value) {
        fprintf(stderr, "the test has wrong JSON: %s (%s)\n", text, error.text);
        abort();
    }
    return value;
}

static uvcsp_proxy made(const char *type, const char *args)
{
    uvcsp_proxy proxy = {NULL, 0};
    int rc = uvcsp_manager_create(m, type, json(args), &proxy);
    if (rc != 0)
        ck_abort_msg("%s(%s): %s: %s", type, args, uvcsp_manager_error_name(rc), uvcsp_call_error());
    return proxy;
}

/* One operation: its arguments, what it answers, its result, and the value of the object then; "" where that is not looked at. */
struct row {
    const char *op, *args;
    int status;
    const char *result, *value;
};

static void is(const json_t *value, const char *expected, const char *what)
{
    json_t *right = json(expected);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    bool good = json_equal(value, right);
    if (!good)
        ck_abort_msg("%s: %s, and not %s", what, text, expected);
    free(text);
    json_decref(right);
}

static void run(uvcsp_proxy proxy, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        char what[200];
        snprintf(what, sizeof what, "row %zu, %s(%s)", i, row->op, row->args);
        json_t *result = NULL, *value = NULL;
        int rc = uvcsp_call(proxy, row->op, json(row->args), &result);
        if (rc != row->status)
            ck_abort_msg("%s: %s, and not %s: %s", what, uvcsp_manager_error_name(rc),
                         uvcsp_manager_error_name(row->status), uvcsp_call_error());
        ck_assert_msg((rc == 0) == (result != NULL), "%s: a result where there is none, or none", what);
        if (rc != 0)
            ck_assert_msg(uvcsp_call_error()[0], "%s: no words", what);
        if (*row->result)
            is(result, row->result, what);
        if (*row->value) {
            ck_assert_int_eq(uvcsp_proxy_copy(proxy, &value), 0);
            is(value, row->value, what);
        }
        json_decref(result);
        json_decref(value);
    }
}
#define RUN_ROWS(proxy, rows) run((proxy), (rows), sizeof(rows) / sizeof((rows)[0]))

#define INDEX UVCSP_INDEX_ERROR
#define KEY UVCSP_KEY_ERROR
#define VALUE UVCSP_VALUE_ERROR
#define TYPE UVCSP_TYPE_ERROR
#define NO_OP UVCSP_NO_SUCH_OPERATION

/* ---- the types ---- */

TEST(a_list_does_what_pythons_does)
{
    static const struct row rows[] = {
        {"append", "[3]", 0, "null", "[1,2,3]"},
        {"extend", "[[4,5]]", 0, "null", "[1,2,3,4,5]"},
        {"extend", "[4]", TYPE, "", "[1,2,3,4,5]"},
        {"insert", "[0,\"a\"]", 0, "null", "[\"a\",1,2,3,4,5]"},
        {"insert", "[-1,\"b\"]", 0, "null", "[\"a\",1,2,3,4,\"b\",5]"},
        {"insert", "[99,9]", 0, "null", "[\"a\",1,2,3,4,\"b\",5,9]"},
        {"insert", "[-99,0]", 0, "null", "[0,\"a\",1,2,3,4,\"b\",5,9]"},
        {"pop", "[]", 0, "9", "[0,\"a\",1,2,3,4,\"b\",5]"},
        {"pop", "[1]", 0, "\"a\"", "[0,1,2,3,4,\"b\",5]"},
        {"pop", "[-2]", 0, "\"b\"", "[0,1,2,3,4,5]"},
        {"pop", "[6]", INDEX, "", "[0,1,2,3,4,5]"},
        {"pop", "[-7]", INDEX, "", ""},
        {"pop", "[\"x\"]", TYPE, "", ""},
        {"get", "[-1]", 0, "5", ""},
        {"get", "[6]", INDEX, "", ""},
        {"get", "[]", TYPE, "", ""},
        {"set", "[0,10]", 0, "null", "[10,1,2,3,4,5]"},
        {"set", "[6,10]", INDEX, "", "[10,1,2,3,4,5]"},
        {"remove", "[10]", 0, "null", "[1,2,3,4,5]"},
        {"remove", "[10]", VALUE, "", "[1,2,3,4,5]"},
        {"index", "[3]", 0, "2", ""},
        {"index", "[3.0]", 0, "2", ""},
        {"index", "[3,3]", VALUE, "", ""},
        {"index", "[3,0,2]", VALUE, "", ""},
        {"index", "[9]", VALUE, "", ""},
        {"count", "[2]", 0, "1", ""},
        {"contains", "[2]", 0, "true", ""},
        {"contains", "[{}]", 0, "false", ""},
        {"len", "[]", 0, "5", ""},
        {"reverse", "[]", 0, "null", "[5,4,3,2,1]"},
        {"sort", "[]", 0, "null", "[1,2,3,4,5]"},
        {"sort", "[true]", 0, "null", "[5,4,3,2,1]"},
        {"slice", "[1,3]", 0, "[4,3]", ""},
        {"slice", "[]", 0, "[5,4,3,2,1]", ""},
        {"slice", "[null,null,-1]", 0, "[1,2,3,4,5]", ""},
        {"slice", "[null,null,2]", 0, "[5,3,1]", ""},
        {"slice", "[-2,null]", 0, "[2,1]", ""},
        {"slice", "[3,1]", 0, "[]", ""},
        {"slice", "[3,0,-2]", 0, "[2,4]", ""},
        {"slice", "[-100,100,9223372036854775807]", 0, "[5]", ""},
        {"slice", "[null,null,-9223372036854775807]", 0, "[1]", ""},
        {"slice", "[0,1,0]", VALUE, "", ""},
        {"set_slice", "[1,3,1,[\"x\",\"y\",\"z\"]]", 0, "null", "[5,\"x\",\"y\",\"z\",2,1]"},
        {"set_slice", "[2,2,1,[0]]", 0, "null", "[5,\"x\",0,\"y\",\"z\",2,1]"},
        {"set_slice", "[null,null,3,[7,8,9]]", 0, "null", "[7,\"x\",0,8,\"z\",2,9]"},
        {"set_slice", "[null,null,3,[7,8]]", VALUE, "", "[7,\"x\",0,8,\"z\",2,9]"},
        {"set_slice", "[null,null,-3,[1,2,3]]", 0, "null", "[3,\"x\",0,2,\"z\",2,1]"},
        {"del_slice", "[null,null,2]", 0, "null", "[\"x\",2,2]"},
        {"del", "[0]", 0, "null", "[2,2]"},
        {"del", "[2]", INDEX, "", ""},
        {"concat", "[[1]]", 0, "[2,2,1]", "[2,2]"},
        {"repeat", "[2]", 0, "[2,2,2,2]", "[2,2]"},
        {"repeat", "[99999999999]", VALUE, "", ""},
        {"multiply", "[2]", 0, "null", "[2,2,2,2]"},
        {"multiply", "[-1]", 0, "null", "[]"},
        {"pop", "[]", INDEX, "", ""},
        {"sort", "[]", 0, "null", "[]"},
        {"extend", "[[[\"b\",1],[\"a\",2],[\"a\",1,0]]]", 0, "null", ""},
        {"sort", "[]", 0, "null", "[[\"a\",1,0],[\"a\",2],[\"b\",1]]"},
        {"append", "[1]", 0, "null", ""},
        {"sort", "[]", TYPE, "", "[[\"a\",1,0],[\"a\",2],[\"b\",1],1]"},
        {"clear", "[]", 0, "null", "[]"},
        {"str", "[]", 0, "\"[]\"", ""},
        {"fly", "[]", NO_OP, "", ""},
        {"append", "[]", TYPE, "", "[]"},
        {"append", "[1,2]", TYPE, "", "[]"},
    };
    RUN_ROWS(made("list", "[[1,2]]"), rows);
    ck_assert_int_eq(uvcsp_manager_create(m, "list", json("[5]"), &(uvcsp_proxy){0}), TYPE);
}

TEST(a_dict_does_what_pythons_does)
{
    static const struct row rows[] = {
        {"set", "[\"b\",2]", 0, "null", "{\"a\":1,\"b\":2}"},
        {"get", "[\"b\"]", 0, "2", ""},
        {"get", "[\"c\"]", KEY, "", ""},
        {"get", "[\"c\",0]", 0, "0", "{\"a\":1,\"b\":2}"},
        {"get", "[1]", TYPE, "", ""},
        {"setdefault", "[\"c\",3]", 0, "3", "{\"a\":1,\"b\":2,\"c\":3}"},
        {"setdefault", "[\"c\",4]", 0, "3", ""},
        {"update", "[{\"a\":9,\"d\":4}]", 0, "null", "{\"a\":9,\"b\":2,\"c\":3,\"d\":4}"},
        {"update", "[3]", TYPE, "", ""},
        {"keys", "[]", 0, "[\"a\",\"b\",\"c\",\"d\"]", ""},
        {"values", "[]", 0, "[9,2,3,4]", ""},
        {"items", "[]", 0, "[[\"a\",9],[\"b\",2],[\"c\",3],[\"d\",4]]", ""},
        {"len", "[]", 0, "4", ""},
        {"contains", "[\"d\"]", 0, "true", ""},
        {"contains", "[\"e\"]", 0, "false", ""},
        {"popitem", "[]", 0, "[\"d\",4]", "{\"a\":9,\"b\":2,\"c\":3}"},
        {"pop", "[\"a\"]", 0, "9", "{\"b\":2,\"c\":3}"},
        {"pop", "[\"a\"]", KEY, "", ""},
        {"pop", "[\"a\",null]", 0, "null", ""},
        {"del", "[\"b\"]", 0, "null", "{\"c\":3}"},
        {"del", "[\"b\"]", KEY, "", ""},
        {"update", "[\"c\",\"add\",4]", 0, "7", "{\"c\":7}"},
        {"update", "[\"n\",\"add\",1]", KEY, "", "{\"c\":7}"},
        {"update", "[\"n\",\"add\",1,0]", 0, "1", "{\"c\":7,\"n\":1}"},
        {"clear", "[]", 0, "null", "{}"},
        {"popitem", "[]", KEY, "", ""},
    };
    RUN_ROWS(made("dict", "[{\"a\":1}]"), rows);
}

TEST(a_namespace_has_attributes_and_looks_like_pythons)
{
    static const struct row rows[] = {
        {"str", "[]", 0, "\"Namespace(x=1, y=1)\"", ""},
        {"update", "[\"x\",\"add\",5]", 0, "6", ""},
        {"update", "[\"y\",\"mul\",10]", 0, "10", ""},
        {"set", "[\"_hidden\",true]", 0, "null", ""},
        {"set", "[\"a\",[null,\"t\"]]", 0, "null", ""},
        {"str", "[]", 0, "\"Namespace(a=[null, \\\"t\\\"], x=6, y=10)\"", ""},
        {"get", "[\"_hidden\"]", 0, "true", ""},
        {"get", "[\"z\"]", KEY, "", ""},
        {"del", "[\"x\"]", 0, "null", ""},
        {"del", "[\"x\"]", KEY, "", ""},
        {"keys", "[]", NO_OP, "", ""},
    };
    RUN_ROWS(made("namespace", "[{\"y\":1,\"x\":1}]"), rows);
}

TEST(a_value_is_changed_in_one_request)
{
    static const struct row rows[] = {
        {"get", "[]", 0, "5", ""},
        {"update", "[null,\"add\",2]", 0, "7", "7"},
        {"update", "[null,\"sub\",10]", 0, "-3", "-3"},
        {"update", "[null,\"mul\",0.5]", 0, "-1.5", "-1.5"},
        {"update", "[null,\"div\",0]", VALUE, "", "-1.5"},
        {"update", "[null,\"div\",-3]", 0, "0.5", ""},
        {"update", "[null,\"max\",4]", 0, "4", "4"},
        {"update", "[null,\"min\",9]", 0, "4", "4"},
        {"update", "[null,\"or\",3]", 0, "7", ""},
        {"update", "[null,\"and\",6]", 0, "6", ""},
        {"update", "[null,\"xor\",2]", 0, "4", ""},
        {"update", "[null,\"add\",\"x\"]", TYPE, "", "4"},
        {"update", "[null,\"add\",9223372036854775807]", VALUE, "", "4"},
        {"update", "[null,\"cas\",[4,\"t\"]]", 0, "\"t\"", "\"t\""},
        {"update", "[null,\"cas\",[4,\"u\"]]", VALUE, "", "\"t\""},
        {"update", "[null,\"add\",\"xt\"]", 0, "\"txt\"", ""},
        {"update", "[null,\"swap\",[1]]", 0, "\"txt\"", "[1]"},
        {"update", "[null,\"append\",2]", 0, "[1,2]", ""},
        {"update", "[null,\"append_if_absent\",2]", 0, "[1,2]", "[1,2]"},
        {"update", "[null,\"append_if_absent\",3]", 0, "[1,2,3]", "[1,2,3]"},
        {"update", "[null,\"add\",[4]]", 0, "[1,2,3,4]", ""},
        {"update", "[null,\"conquer\",1]", NO_OP, "", ""},
        {"set", "[null]", 0, "null", "null"},
        {"update", "[null,\"append\",2]", TYPE, "", "null"},
    };
    RUN_ROWS(made("value", "[5]"), rows);
}

TEST(an_array_has_numbers_of_one_kind_and_keeps_its_length)
{
    static const struct row rows[] = {
        {"get", "[-1]", 0, "3", ""},
        {"set", "[0,-1]", 0, "null", "[-1,2,3]"},
        {"set", "[3,0]", INDEX, "", ""},
        {"set", "[0,1.5]", TYPE, "", "[-1,2,3]"},
        {"set", "[0,\"x\"]", TYPE, "", ""},
        {"slice", "[1]", 0, "[2,3]", ""},
        {"set_slice", "[0,2,1,[7,8]]", 0, "null", "[7,8,3]"},
        {"set_slice", "[0,2,1,[7]]", VALUE, "", "[7,8,3]"},
        {"set_slice", "[0,2,1,[7,null]]", TYPE, "", "[7,8,3]"},
        {"update", "[1,\"mul\",-1]", 0, "-8", "[7,-8,3]"},
        {"update", "[1,\"mul\",0.5]", TYPE, "", "[7,-8,3]"},
        {"append", "[1]", NO_OP, "", ""},
        {"len", "[]", 0, "3", ""},
    };
    RUN_ROWS(made("array", "[\"i\",[1,2,3]]"), rows);
    static const struct row reals[] = {{"set", "[0,1]", 0, "null", "[1.0,2.5]"}};
    RUN_ROWS(made("array", "[\"d\",[0,2.5]]"), reals);
    ck_assert_int_eq(uvcsp_manager_create(m, "array", json("[\"q\",[]]"), &(uvcsp_proxy){0}), VALUE);
}

TEST(a_set_has_each_element_once)
{
    static const struct row rows[] = {
        {"add", "[2]", 0, "0", "[1,2,{\"a\":1,\"b\":2}]"},
        {"add", "[2.0]", 0, "0", ""},
        {"add", "[{\"b\":2,\"a\":1}]", 0, "0", ""},
        {"add", "[\"1\"]", 0, "1", "[1,2,{\"a\":1,\"b\":2},\"1\"]"},
        {"contains", "[1]", 0, "1", ""},
        {"discard", "[9]", 0, "0", ""},
        {"remove", "[9]", KEY, "", ""},
        {"remove", "[{\"a\":1,\"b\":2}]", 0, "null", "[1,2,\"1\"]"},
        {"union", "[[2,3]]", 0, "[1,2,\"1\",3]", "[1,2,\"1\"]"},
        {"intersection", "[[2,3]]", 0, "[2]", ""},
        {"difference", "[[2,3]]", 0, "[1,\"1\"]", ""},
        {"symmetric_difference", "[[2,3]]", 0, "[1,\"1\",3]", ""},
        {"update", "[[3]]", 0, "null", "[1,2,\"1\",3]"},
        {"difference_update", "[[1,\"1\"]]", 0, "null", "[2,3]"},
        {"intersection_update", "[[3,4]]", 0, "null", "[3]"},
        {"len", "[]", 0, "1", ""},
        {"pop", "[]", 0, "3", "[]"},
        {"pop", "[]", KEY, "", ""},
    };
    RUN_ROWS(made("set", "[[1,2,2,{\"a\":1,\"b\":2}]]"), rows);
}

/* ---- the typed forms reach the same ---- */

TEST(the_typed_forms_say_what_the_operations_say)
{
    json_t *v = NULL;
    uvcsp_proxy list = uvcsp_manager_list(m, NULL), dict = uvcsp_manager_dict(m, NULL);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_integer(4)), 0);
    ck_assert_int_eq(uvcsp_mlist_len(list), 1);
    ck_assert_int_eq(uvcsp_mlist_index(list, json_integer(5)), VALUE);
    ck_assert_int_eq(uvcsp_mlist_get(list, 3, &v), INDEX);
    ck_assert_ptr_null(v);
    ck_assert_int_eq(uvcsp_mlist_slice(list, UVCSP_SLICE_END, UVCSP_SLICE_END, -1, &v), 0);
    is(v, "[4]", "slice");
    json_decref(v);
    ck_assert_int_eq(uvcsp_mdict_set(dict, "k", json_true()), 0);
    ck_assert_int_eq(uvcsp_mdict_has(dict, "k"), 1);
    ck_assert_int_eq(uvcsp_mdict_has(dict, "l"), 0);
    ck_assert_int_eq(uvcsp_mdict_get(dict, "l", NULL, &v), KEY);
    ck_assert_contains(uvcsp_call_error(), "'l'");
    ck_assert_int_eq(uvcsp_mdict_get(dict, "l", json_integer(1), &v), 0);
    is(v, "1", "get");
    json_decref(v);
    uvcsp_proxy array = uvcsp_manager_array(m, 'd', json("[1.5]"));
    ck_assert_int_eq(uvcsp_proxy_update(array, json_integer(0), "add", json_real(1), NULL, &v), 0);
    is(v, "2.5", "update");
    json_decref(v);
    ck_assert_int_eq(uvcsp_mset_add(uvcsp_manager_set(m, NULL), json_null()), 1);
    char *text = uvcsp_proxy_str(uvcsp_manager_namespace(m, NULL));
    ck_assert_str_eq(text, "Namespace()");
    free(text);
    ck_assert_str_eq(uvcsp_manager_error_name(UVCSP_INDEX_ERROR), "UVCSP_INDEX_ERROR");
    ck_assert_str_eq(uvcsp_manager_error_name(UVCSP_TIMEOUT), "UVCSP_TIMEOUT");
}

/* ---- several processes ---- */

PROCESS(adds, VAL(uvcsp_proxy, ns), VAL(uvcsp_proxy, list), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_proxy_update(ns, json_string("x"), "add", json_integer(1), NULL, NULL), 0);
        MUST_BE(uvcsp_mlist_append(list, json_integer(i)), 0);
    }
}

TEST(no_update_is_lost_between_processes, .times = PLACEMENTS)
{
    int n = house_valgrind() ? 20 : 300;
    uvcsp_proxy ns = uvcsp_manager_namespace(m, json("{\"x\":0}")), list = uvcsp_manager_list(m, NULL);
    ck_assert_int_eq(RUN(_i, adds(ns, list, n), adds(ns, list, n), adds(ns, list, n)), 0);
    json_t *x = NULL;
    ck_assert_int_eq(uvcsp_mns_get(ns, "x", &x), 0);
    ck_assert_int_eq(json_integer_value(x), 3 * n);
    json_decref(x);
    ck_assert_int_eq(uvcsp_mlist_len(list), 3 * n);
}

PROCESS(follows, VAL(uvcsp_manager *, manager), VAL(uvcsp_proxy, dict))
{
    json_t *value = NULL;
    uvcsp_proxy inner;
    MUST_BE(uvcsp_mdict_get(dict, "inner", NULL, &value), 0);
    MUST_BE(uvcsp_proxy_of(manager, value, &inner), 0);
    json_decref(value);
    MUST_BE(uvcsp_mlist_append(inner, json_integer(2)), 0);
}

TEST(a_proxy_can_be_nested_and_found_by_its_name, .times = PLACEMENTS)
{
    uvcsp_proxy dict = uvcsp_manager_dict(m, NULL), inner = uvcsp_manager_list(m, json("[1]")), found;
    ck_assert_int_eq(uvcsp_mdict_set(dict, "inner", uvcsp_proxy_json(inner)), 0);
    ck_assert_int_eq(RUN(_i, follows(m, dict)), 0);
    static const struct row rows[] = {{"copy", "[]", 0, "[1,2]", ""}};
    RUN_ROWS(inner, rows);
    ck_assert_int_eq(uvcsp_manager_find(m, "it", &found), KEY);
    ck_assert_int_eq(uvcsp_manager_publish(m, "it", inner), 0);
    ck_assert_int_eq(uvcsp_manager_find(m, "it", &found), 0);
    ck_assert_uint_eq(found.id, inner.id);
    ck_assert_int_eq(uvcsp_manager_publish(m, "it", (uvcsp_proxy){m, 0}), 0);
    ck_assert_int_eq(uvcsp_manager_find(m, "it", &found), KEY);
    json_t *no = json_integer(1);
    ck_assert_int_eq(uvcsp_proxy_of(m, no, &found), -EINVAL);
    json_decref(no);
}

PROCESS(many, VAL(uvcsp_proxy, list), VAL(int, i))
{
    MUST_BE(uvcsp_mlist_append(list, json_integer(i)), 0);
    MUST(uvcsp_mlist_contains(list, json_integer(i)) == 1);
}

TEST(hundreds_of_light_processes_use_it)
{
    int n = house_valgrind() ? 30 : 600; /* more than have a large stack */
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    ck_assert_int_eq(CO_FOR(i, n, many(list, i)), 0);
    ck_assert_int_eq(uvcsp_mlist_len(list), n);
}

/* ---- bad input ---- */

TEST(what_cannot_be_encoded_is_told_to_its_caller)
{
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    ck_assert_int_eq(uvcsp_mlist_append(list, NULL), -EINVAL);
    ck_assert_contains(uvcsp_call_error(), "cannot be encoded");
    json_t *ring = json_array();
    json_array_append(ring, ring);          /* refused by Jansson: an array in an array in itself is not */
    json_t *other = json_pack("[O]", ring);
    json_array_append_new(ring, other);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_incref(ring)), -EINVAL);
    json_array_clear(ring);
    json_decref(ring);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_string_nocheck("\xff\xfe")), -EINVAL);
    json_t *deep = json_array();
    for (int i = 0; i < UVCSP_MANAGER_DEPTH; i++)
        deep = json_pack("[o]", deep);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_incref(deep)), 0);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_pack("[o]", deep)), -EINVAL);
    ck_assert_int_eq(uvcsp_mlist_len(list), 1);
    json_t *back = NULL;
    ck_assert_int_eq(uvcsp_proxy_copy(list, &back), 0);
    json_decref(back);
}

TEST(large_values_and_many_objects_go_through)
{
    size_t n = house_valgrind() ? 1 << 16 : 4 << 20;
    char *text = malloc(n + 1);
    memset(text, 'a', n);
    text[n] = '\0';
    uvcsp_proxy value = uvcsp_manager_value(m, json_string(text));
    json_t *back = NULL;
    ck_assert_int_eq(uvcsp_mvalue_get(value, &back), 0);
    ck_assert_str_eq(json_string_value(back), text);
    json_decref(back);
    free(text);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(uvcsp_proxy_free(uvcsp_manager_value(m, json_integer(i))), 0);
}

/* ---- what a program adds ---- */

static int counter_create(const json_t *args, void **selfp)
{
    if (json_array_size(args) != 1)
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "a counter begins somewhere");
    *selfp = malloc(sizeof(long));
    *(long *)*selfp = (long)json_integer_value(json_array_get(args, 0));
    return 0;
}

static int counter_next(void *self, const json_t *args, json_t **resultp)
{
    (void)args;
    *resultp = json_integer((*(long *)self)++);
    return 0;
}

static int counter_fail(void *self, const json_t *args, json_t **resultp)
{
    (void)self, (void)args, (void)resultp;
    return uvcsp_manager_fail(UVCSP_RUNTIME_ERROR, "as it was told to");
}

static int square(const json_t *old, const json_t *arg, json_t **newp)
{
    (void)arg;
    *newp = json_integer(json_integer_value(old) * json_integer_value(old));
    return 0;
}

TEST(a_program_adds_types_and_update_functions)
{
    static const struct uvcsp_manager_op ops[] = {{"next", counter_next}, {"fail", counter_fail}, {NULL, NULL}};
    static const struct uvcsp_manager_type counter = {"counter", counter_create, free, ops};
    uvcsp_manager_stop(m);
    ck_assert_int_eq(uvcsp_manager_register(&counter), 0);
    ck_assert_int_eq(uvcsp_manager_register_update("square", square), 0);
    house_capture(2);
    ck_assert_int_eq(uvcsp_manager_register(&counter), -EEXIST);
    ck_assert_int_eq(uvcsp_manager_register_update("add", square), -EEXIST);
    ck_assert_int_eq(uvcsp_manager_register(NULL), -EINVAL);
    free(house_captured());
    m = uvcsp_manager_start(&(uvcsp_manager_options){.name = "mine"});
    static const struct row rows[] = {
        {"next", "[]", 0, "7", ""}, {"next", "[]", 0, "8", ""}, {"fail", "[]", UVCSP_RUNTIME_ERROR, "", ""},
        {"fly", "[]", NO_OP, "", ""}};
    RUN_ROWS(made("counter", "[7]"), rows);
    ck_assert_int_eq(uvcsp_call(made("counter", "[1]"), "fail", NULL, NULL), UVCSP_RUNTIME_ERROR);
    ck_assert_str_eq(uvcsp_call_error(), "as it was told to");
    ck_assert_int_eq(uvcsp_manager_create(m, "counter", NULL, &(uvcsp_proxy){0}), TYPE);
    static const struct row squares[] = {{"update", "[null,\"square\"]", 0, "25", "25"}};
    RUN_ROWS(made("value", "[5]"), squares);
}

SUITE("manager", .before = start, .after = stop)
