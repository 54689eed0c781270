/* list */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

/* ---- equal, and less ---- */

/* Numbers by their value, as 1 and 1.0 are the same; the rest as Jansson has it. */
bool usp_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_array(a) && json_is_array(b)) {
        size_t n = json_array_size(a);
        if (n != json_array_size(b))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!usp_equal(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    return json_equal(a, b);
}

/* -1, 0, 1; or 2 where there is no order. */
static int compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_string(a) && json_is_string(b)) {
        int c = strcmp(json_string_value(a), json_string_value(b));
        return (c > 0) - (c < 0);
    }
    if (json_is_boolean(a) && json_is_boolean(b))
        return json_is_true(a) - json_is_true(b);
    if (!json_is_array(a) || !json_is_array(b))
        return 2;
    size_t n = json_array_size(a), m = json_array_size(b);
    for (size_t i = 0; i < n && i < m; i++) {
        const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
        int c = usp_equal(x, y) ? 0 : compare(x, y);
        if (c != 0)
            return c;
    }
    return (n > m) - (n < m);
}

/* ---- indices and slices ---- */

static int index_of(struct usp_request *request, json_int_t index, size_t length, size_t *indexp)
{
    json_int_t at = index < 0 ? index + (json_int_t)length : index;
    if (at < 0 || at >= (json_int_t)length)
        return usp_fail(request, UVCSP_INDEX_ERROR, "index %lld of %zu elements", (long long)index, length);
    *indexp = (size_t)at;
    return 0;
}

int usp_arg_index(struct usp_request *request, size_t i, size_t length, size_t *indexp)
{
    json_int_t index;
    int rc = usp_arg_integer(request, i, &index);
    return rc ? rc : index_of(request, index, length, indexp);
}

/* One side of a slice, brought into what is there. */
static int cut_side(struct usp_request *request, size_t i, json_int_t length, json_int_t low, json_int_t high,
                    json_int_t otherwise, json_int_t *atp)
{
    const json_t *arg = usp_arg(request, i);
    *atp = otherwise;
    if (!arg || json_is_null(arg))
        return 0;
    int rc = usp_arg_integer(request, i, atp);
    if (rc)
        return rc;
    *atp += *atp < 0 ? length : 0;
    *atp = *atp < low ? low : *atp > high ? high : *atp;
    return 0;
}

int usp_arg_cut(struct usp_request *request, size_t length, struct usp_cut *cut)
{
    json_int_t n = (json_int_t)length, to;
    cut->step = 1;
    const json_t *step = usp_arg(request, 2);
    int rc = !step || json_is_null(step) ? 0 : usp_arg_integer(request, 2, &cut->step);
    if (rc == 0 && cut->step == 0)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "the step of a slice is 0");
    if (rc)
        return rc;
    if (cut->step < -n - 1)
        cut->step = -n - 1; /* beyond the whole either way */
    else if (cut->step > n + 1)
        cut->step = n + 1;
    bool up = cut->step > 0;
    json_int_t low = up ? 0 : -1, high = up ? n : n - 1;
    rc = cut_side(request, 0, n, low, high, up ? 0 : n - 1, &cut->from);
    if (rc == 0)
        rc = cut_side(request, 1, n, low, high, up ? n : -1, &to);
    if (rc)
        return rc;
    json_int_t span = up ? to - cut->from : cut->from - to, step_size = up ? cut->step : -cut->step;
    cut->n = span <= 0 ? 0 : (size_t)((span + step_size - 1) / step_size);
    return 0;
}

int usp_arg_new_slice(struct usp_request *request, const json_t *array, struct usp_cut *cut)
{
    int rc = usp_arg_cut(request, json_array_size(array), cut);
    return rc ? rc : usp_arg_array(request, 3);
}

static size_t cut_at(const struct usp_cut *cut, size_t i)
{
    return (size_t)(cut->from + (json_int_t)i * cut->step);
}

json_t *usp_cut_out(const json_t *array, const struct usp_cut *cut)
{
    json_t *out = json_array();
    for (size_t i = 0; out && i < cut->n; i++)
        if (json_array_append(out, json_array_get(array, cut_at(cut, i))) < 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

/* ---- what only looks ---- */

int usp_op_len(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer((json_int_t)json_array_size(object->value)));
}

int usp_op_get(struct usp_object *object, struct usp_request *request)
{
    size_t at = 0;
    int rc = usp_arg_index(request, 0, json_array_size(object->value), &at);
    return rc ? rc : usp_give(request, json_incref(json_array_get(object->value, at)));
}

int usp_op_slice(struct usp_object *object, struct usp_request *request)
{
    struct usp_cut cut;
    int rc = usp_arg_cut(request, json_array_size(object->value), &cut);
    return rc ? rc : usp_give(request, usp_cut_out(object->value, &cut));
}

/* The first at or after `from` that is equal; the length if none is. */
static size_t search(const json_t *array, const json_t *value, size_t from)
{
    size_t n = json_array_size(array);
    while (from < n && !usp_equal(json_array_get(array, from), value))
        from++;
    return from;
}

static int not_there(struct usp_request *request)
{
    return usp_fail(request, UVCSP_VALUE_ERROR, "no element is equal to that");
}

int usp_op_index(struct usp_object *object, struct usp_request *request)
{
    json_int_t n = (json_int_t)json_array_size(object->value), from, to;
    int rc = cut_side(request, 1, n, 0, n, 0, &from);
    if (rc == 0)
        rc = cut_side(request, 2, n, 0, n, n, &to);
    if (rc)
        return rc;
    json_int_t at = (json_int_t)search(object->value, usp_arg(request, 0), (size_t)from);
    return at < to ? usp_give(request, json_integer(at)) : not_there(request);
}

int usp_op_count(struct usp_object *object, struct usp_request *request)
{
    json_int_t count = 0;
    size_t n = json_array_size(object->value);
    for (size_t i = 0; i < n; i++)
        count += usp_equal(json_array_get(object->value, i), usp_arg(request, 0));
    return usp_give(request, json_integer(count));
}

int usp_op_contains(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_boolean(search(object->value, usp_arg(request, 0), 0) < json_array_size(object->value)));
}

/* ---- what changes it ---- */

static int create(struct usp_object *object, struct usp_request *request)
{
    int rc = request->n > 0 ? usp_arg_array(request, 0) : 0;
    if (rc)
        return rc;
    object->value = request->n > 0 ? json_incref(usp_arg(request, 0)) : json_array();
    return object->value ? 0 : -ENOMEM;
}

static int done(int rc)
{
    return rc < 0 ? -ENOMEM : 0;
}

static int append(struct usp_object *object, struct usp_request *request)
{
    return done(json_array_append(object->value, usp_arg(request, 0)));
}

static int extend(struct usp_object *object, struct usp_request *request)
{
    int rc = usp_arg_array(request, 0);
    return rc ? rc : done(json_array_extend(object->value, usp_arg(request, 0)));
}

static int insert(struct usp_object *object, struct usp_request *request)
{
    json_int_t n = (json_int_t)json_array_size(object->value), at;
    int rc = usp_arg_integer(request, 0, &at);
    if (rc)
        return rc;
    at += at < 0 ? n : 0;
    at = at < 0 ? 0 : at > n ? n : at;
    return done(json_array_insert(object->value, (size_t)at, usp_arg(request, 1)));
}

static int take_out(struct usp_object *object, struct usp_request *request, size_t at, bool give)
{
    if (give)
        (void)usp_give(request, json_incref(json_array_get(object->value, at)));
    (void)json_array_remove(object->value, at);
    return 0;
}

static int pop(struct usp_object *object, struct usp_request *request)
{
    size_t at = 0, n = json_array_size(object->value);
    int rc = request->n > 0 ? usp_arg_index(request, 0, n, &at) : index_of(request, -1, n, &at);
    return rc ? rc : take_out(object, request, at, true);
}

static int del(struct usp_object *object, struct usp_request *request)
{
    size_t at = 0;
    int rc = usp_arg_index(request, 0, json_array_size(object->value), &at);
    return rc ? rc : take_out(object, request, at, false);
}

static int remove_equal(struct usp_object *object, struct usp_request *request)
{
    size_t at = search(object->value, usp_arg(request, 0), 0);
    return at < json_array_size(object->value) ? take_out(object, request, at, false) : not_there(request);
}

static int set(struct usp_object *object, struct usp_request *request)
{
    size_t at = 0;
    int rc = usp_arg_index(request, 0, json_array_size(object->value), &at);
    return rc ? rc : done(json_array_set(object->value, at, usp_arg(request, 1)));
}

static int clear(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    return done(json_array_clear(object->value));
}

/* Puts a list made anew in the place of the old one: all of a change, or nothing. */
static int replace(struct usp_object *object, json_t *fresh)
{
    if (!fresh)
        return -ENOMEM;
    json_decref(object->value);
    object->value = fresh;
    return 0;
}

struct item {
    const json_t *value;
    size_t place;
};
static bool no_order, descending; /* of the sort that runs */

static int by_value(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = compare(x->value, y->value);
    no_order |= c == 2;
    if (c == 0 || c == 2)
        return x->place < y->place ? -1 : 1;
    return descending ? -c : c;
}

static int sort(struct usp_object *object, struct usp_request *request)
{
    size_t n = json_array_size(object->value);
    struct item *items = malloc((n + 1) * sizeof *items);
    json_t *sorted = json_array();
    int rc = items && sorted ? 0 : -ENOMEM;
    for (size_t i = 0; i < n && rc == 0; i++)
        items[i] = (struct item){json_array_get(object->value, i), i};
    no_order = false;
    descending = json_is_true(usp_arg(request, 0));
    if (rc == 0)
        qsort(items, n, sizeof *items, by_value);
    if (rc == 0 && no_order)
        rc = usp_fail(request, UVCSP_TYPE_ERROR, "there are elements that cannot be compared");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = done(json_array_append(sorted, (json_t *)(uintptr_t)items[i].value));
    free(items);
    if (rc == 0)
        return replace(object, sorted);
    json_decref(sorted);
    return rc;
}

static int reverse(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    struct usp_cut all = {(json_int_t)json_array_size(object->value) - 1, -1, json_array_size(object->value)};
    return replace(object, usp_cut_out(object->value, &all));
}

/* The list without what is cut, with `values` (NULL: nothing) where it began. */
static json_t *without(const json_t *array, const struct usp_cut *cut, const json_t *values)
{
    json_t *fresh = json_array();
    size_t n = json_array_size(array), step = (size_t)(cut->step < 0 ? -cut->step : cut->step);
    size_t first = cut->n == 0 ? (size_t)cut->from : cut->step < 0 ? cut_at(cut, cut->n - 1) : (size_t)cut->from;
    int rc = fresh ? 0 : -1;
    for (size_t i = 0; i <= n && rc == 0; i++) {
        if (i == first && values)
            rc = json_array_extend(fresh, (json_t *)(uintptr_t)values);
        bool is_cut = cut->n > 0 && i >= first && (i - first) % step == 0 && (i - first) / step < cut->n;
        if (i < n && !is_cut && rc == 0)
            rc = json_array_append(fresh, json_array_get(array, i));
    }
    if (rc == 0)
        return fresh;
    json_decref(fresh);
    return NULL;
}

static int del_slice(struct usp_object *object, struct usp_request *request)
{
    struct usp_cut cut;
    int rc = usp_arg_cut(request, json_array_size(object->value), &cut);
    return rc || cut.n == 0 ? rc : replace(object, without(object->value, &cut, NULL));
}

static int set_slice(struct usp_object *object, struct usp_request *request)
{
    struct usp_cut cut;
    int rc = usp_arg_new_slice(request, object->value, &cut);
    if (rc)
        return rc;
    json_t *values = usp_arg(request, 3);
    const json_t *step = usp_arg(request, 2);
    if (!step || json_is_null(step) || json_integer_value(step) == 1)
        return replace(object, without(object->value, &cut, values));
    if (json_array_size(values) != cut.n)
        return usp_fail(request, UVCSP_VALUE_ERROR, "%zu values for a slice of %zu", json_array_size(values), cut.n);
    for (size_t i = 0; i < cut.n; i++)
        (void)json_array_set(object->value, cut_at(&cut, i), json_array_get(values, i));
    return 0;
}

static json_t *repeated(const json_t *array, json_int_t n)
{
    json_t *fresh = json_array();
    for (json_int_t i = 0; fresh && i < n; i++)
        if (json_array_extend(fresh, (json_t *)(uintptr_t)array) < 0) {
            json_decref(fresh);
            return NULL;
        }
    return fresh;
}

static int times(struct usp_object *object, struct usp_request *request, json_t **freshp)
{
    json_int_t n;
    int rc = usp_arg_integer(request, 0, &n);
    if (rc)
        return rc;
    size_t length = json_array_size(object->value);
    if (length > 0 && n > (json_int_t)(INT32_MAX / length))
        return usp_fail(request, UVCSP_VALUE_ERROR, "%lld times %zu elements are too many", (long long)n, length);
    *freshp = repeated(object->value, length ? n : 0);
    return *freshp ? 0 : -ENOMEM;
}

static int repeat(struct usp_object *object, struct usp_request *request)
{
    json_t *fresh;
    int rc = times(object, request, &fresh);
    return rc ? rc : usp_give(request, fresh);
}

static int multiply(struct usp_object *object, struct usp_request *request)
{
    json_t *fresh;
    int rc = times(object, request, &fresh);
    return rc ? rc : replace(object, fresh);
}

static int concat(struct usp_object *object, struct usp_request *request)
{
    int rc = usp_arg_array(request, 0);
    json_t *fresh = rc ? NULL : repeated(object->value, 1);
    if (fresh && json_array_extend(fresh, usp_arg(request, 0)) < 0) {
        json_decref(fresh);
        fresh = NULL;
    }
    return rc ? rc : usp_give(request, fresh);
}

int usp_update_element(struct usp_object *object, struct usp_request *request, size_t *atp, json_t **freshp,
                       json_t **resultp)
{
    const char *how;
    int rc = usp_arg_index(request, 0, json_array_size(object->value), atp);
    if (rc == 0)
        rc = usp_arg_string(request, 1, &how);
    return rc ? rc : usp_op_update(request, json_array_get(object->value, *atp), how, usp_arg(request, 2), freshp, resultp);
}

static int update(struct usp_object *object, struct usp_request *request)
{
    size_t at = 0;
    json_t *fresh, *result;
    int rc = usp_update_element(object, request, &at, &fresh, &result);
    if (rc)
        return rc;
    (void)usp_give(request, result);
    return done(json_array_set_new(object->value, at, fresh));
}

static const struct usp_op ops[] = {
    {"append", append, 1, 1}, {"extend", extend, 1, 1}, {"insert", insert, 2, 2}, {"pop", pop, 0, 1},
    {"remove", remove_equal, 1, 1}, {"index", usp_op_index, 1, 3}, {"count", usp_op_count, 1, 1},
    {"contains", usp_op_contains, 1, 1}, {"len", usp_op_len, 0, 0}, {"sort", sort, 0, 1},
    {"reverse", reverse, 0, 0}, {"clear", clear, 0, 0}, {"get", usp_op_get, 1, 1}, {"set", set, 2, 2},
    {"del", del, 1, 1}, {"slice", usp_op_slice, 0, 3}, {"set_slice", set_slice, 4, 4},
    {"del_slice", del_slice, 0, 3}, {"concat", concat, 1, 1}, {"repeat", repeat, 1, 1},
    {"multiply", multiply, 1, 1}, {"update", update, 2, 4}, {"copy", usp_op_copy, 0, 0},
    {"str", usp_op_str, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_list = {"list", sizeof(struct usp_object), create, NULL, NULL, ops, NULL};
