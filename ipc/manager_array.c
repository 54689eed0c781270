/* array: a fixed number of numbers of one kind. And value: a single value of any. */
#include <errno.h>
#include <string.h>

#include "ipc/manager.h"

struct array {
    struct usp_object object;
    char typecode; /* 'i', 'd' */
};

/* The number as an element; NULL with an error. */
static json_t *element(const struct array *array, struct usp_request *request, json_t *number, int *rcp)
{
    bool good = array->typecode == 'i' ? json_is_integer(number) : json_is_number(number);
    json_t *fresh = NULL;
    if (!good) {
        *rcp = usp_fail(request, UVCSP_TYPE_ERROR, "an array of type '%c' has no such elements", array->typecode);
        return NULL;
    }
    fresh = array->typecode == 'i' || json_is_real(number) ? json_incref(number) : json_real(json_number_value(number));
    *rcp = fresh ? 0 : -ENOMEM;
    return fresh;
}

static json_t *elements(const struct array *array, struct usp_request *request, const json_t *values, int *rcp)
{
    json_t *fresh = json_array();
    *rcp = fresh ? 0 : -ENOMEM;
    for (size_t i = 0; i < json_array_size(values) && *rcp == 0; i++) {
        json_t *one = element(array, request, json_array_get(values, i), rcp);
        if (one && json_array_append_new(fresh, one) < 0)
            *rcp = -ENOMEM;
    }
    if (*rcp == 0)
        return fresh;
    json_decref(fresh);
    return NULL;
}

static int create(struct usp_object *object, struct usp_request *request)
{
    struct array *array = (struct array *)object;
    const char *code;
    int rc = usp_arg_string(request, 0, &code);
    if (rc == 0 && strcmp(code, "i") != 0 && strcmp(code, "d") != 0)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "the type of an array is 'i' or 'd'");
    if (rc == 0)
        rc = usp_arg_array(request, 1);
    if (rc)
        return rc;
    array->typecode = code[0];
    object->value = elements(array, request, usp_arg(request, 1), &rc);
    return rc;
}

static int set(struct usp_object *object, struct usp_request *request)
{
    size_t at;
    int rc = usp_arg_index(request, 0, json_array_size(object->value), &at);
    if (rc)
        return rc;
    json_t *one = element((struct array *)object, request, usp_arg(request, 1), &rc);
    return rc ? rc : json_array_set_new(object->value, at, one);
}

static int set_slice(struct usp_object *object, struct usp_request *request)
{
    struct usp_cut cut;
    int rc = usp_arg_new_slice(request, object->value, &cut);
    if (rc)
        return rc;
    json_t *fresh = elements((struct array *)object, request, usp_arg(request, 3), &rc);
    if (rc == 0 && json_array_size(fresh) != cut.n)
        rc = usp_fail(request, UVCSP_VALUE_ERROR, "%zu values for a slice of %zu", json_array_size(fresh), cut.n);
    for (size_t i = 0; i < cut.n && rc == 0; i++)
        (void)json_array_set(object->value, (size_t)(cut.from + (json_int_t)i * cut.step), json_array_get(fresh, i));
    json_decref(fresh);
    return rc;
}

static int update(struct usp_object *object, struct usp_request *request)
{
    size_t at;
    json_t *fresh, *result;
    int rc = usp_update_element(object, request, &at, &fresh, &result);
    if (rc)
        return rc;
    json_t *one = element((struct array *)object, request, fresh, &rc);
    json_decref(fresh);
    if (rc) {
        json_decref(result);
        return rc;
    }
    (void)usp_give(request, result);
    return json_array_set_new(object->value, at, one);
}

static const struct usp_op ops[] = {
    {"get", usp_op_get, 1, 1}, {"set", set, 2, 2}, {"slice", usp_op_slice, 0, 3}, {"set_slice", set_slice, 4, 4},
    {"len", usp_op_len, 0, 0}, {"index", usp_op_index, 1, 3}, {"count", usp_op_count, 1, 1},
    {"contains", usp_op_contains, 1, 1}, {"update", update, 2, 4}, {"copy", usp_op_copy, 0, 0},
    {"str", usp_op_str, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_array = {"array", sizeof(struct array), create, NULL, NULL, ops, NULL};

/* ---- value ---- */

static int value_create(struct usp_object *object, struct usp_request *request)
{
    object->value = request->n > 0 ? json_incref(usp_arg(request, 0)) : json_null();
    return 0;
}

static int value_set(struct usp_object *object, struct usp_request *request)
{
    json_decref(object->value);
    object->value = json_incref(usp_arg(request, 0));
    return 0;
}

static int value_update(struct usp_object *object, struct usp_request *request)
{
    const char *how;
    json_t *fresh, *result;
    int rc = usp_arg_string(request, 1, &how);
    if (rc == 0)
        rc = usp_op_update(request, object->value, how, usp_arg(request, 2), &fresh, &result);
    if (rc)
        return rc;
    json_decref(object->value);
    object->value = fresh;
    return usp_give(request, result);
}

static const struct usp_op value_ops[] = {
    {"get", usp_op_copy, 0, 0}, {"set", value_set, 1, 1}, {"update", value_update, 2, 4},
    {"copy", usp_op_copy, 0, 0}, {"str", usp_op_str, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_value = {"value", sizeof(struct usp_object), value_create, NULL, NULL, value_ops, NULL};
