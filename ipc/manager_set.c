/* set: an object whose keys are the elements as text, in one form for each, and whose values are they themselves. */
#include <errno.h>
#include <stdlib.h>

#include "ipc/manager.h"

/* 1 and 1.0 are the same element, as they are equal. */
static char *key_of(const json_t *value)
{
    double real = json_real_value(value);
    if (json_is_real(value) && real > -9e15 && real < 9e15 && real == (double)(json_int_t)real) {
        json_t *integer = json_integer((json_int_t)real);
        char *key = integer ? json_dumps(integer, JSON_ENCODE_ANY) : NULL;
        json_decref(integer);
        return key;
    }
    return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
}

/* 1: it was not there. 0: it was. -ENOMEM. */
static int put_in(json_t *set, json_t *value)
{
    char *key = key_of(value);
    int rc = !key ? -ENOMEM : json_object_get(set, key) ? 0 : json_object_set(set, key, value) == 0 ? 1 : -ENOMEM;
    free(key);
    return rc;
}

static int is_in(const json_t *set, const json_t *value)
{
    char *key = key_of(value);
    int rc = key ? json_object_get(set, key) != NULL : -ENOMEM;
    free(key);
    return rc;
}

static int take_out(json_t *set, const json_t *value)
{
    char *key = key_of(value);
    int rc = key ? json_object_del(set, key) == 0 : -ENOMEM;
    free(key);
    return rc;
}

/* A set of the array's elements; NULL without memory. */
static json_t *set_of(const json_t *array)
{
    json_t *set = json_object();
    for (size_t i = 0; set && i < json_array_size(array); i++)
        if (put_in(set, json_array_get(array, i)) < 0) {
            json_decref(set);
            return NULL;
        }
    return set;
}

static json_t *elements(const json_t *set)
{
    json_t *array = json_array(), *object = (json_t *)(uintptr_t)set;
    for (void *it = json_object_iter(object); array && it; it = json_object_iter_next(object, it))
        if (json_array_append(array, json_object_iter_value(it)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static int create(struct usp_object *object, struct usp_request *request)
{
    int rc = request->n > 0 ? usp_arg_array(request, 0) : 0;
    if (rc == 0 && !(object->value = set_of(usp_arg(request, 0))))
        rc = -ENOMEM;
    return rc;
}

static int truth(struct usp_request *request, int rc)
{
    return rc < 0 ? rc : usp_give(request, json_integer(rc));
}

static int add(struct usp_object *object, struct usp_request *request)
{
    return truth(request, put_in(object->value, usp_arg(request, 0)));
}

static int discard(struct usp_object *object, struct usp_request *request)
{
    return truth(request, take_out(object->value, usp_arg(request, 0)));
}

static int contains(struct usp_object *object, struct usp_request *request)
{
    return truth(request, is_in(object->value, usp_arg(request, 0)));
}

static int remove_it(struct usp_object *object, struct usp_request *request)
{
    int rc = take_out(object->value, usp_arg(request, 0));
    return rc < 0 ? rc : rc ? 0 : usp_fail(request, UVCSP_KEY_ERROR, "there is no such element");
}

static int pop(struct usp_object *object, struct usp_request *request)
{
    void *it = json_object_iter(object->value);
    if (!it)
        return usp_fail(request, UVCSP_KEY_ERROR, "it is empty");
    (void)usp_give(request, json_incref(json_object_iter_value(it)));
    int rc = take_out(object->value, request->result);
    return rc < 0 ? rc : 0;
}

static int len(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer((json_int_t)json_object_size(object->value)));
}

static int clear(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    (void)json_object_clear(object->value);
    return 0;
}

static int copy(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, elements(object->value));
}

static int str(struct usp_object *object, struct usp_request *request)
{
    json_t *array = elements(object->value);
    char *text = array ? json_dumps(array, 0) : NULL;
    json_decref(array);
    int rc = text ? usp_give(request, json_string(text)) : -ENOMEM;
    free(text);
    return rc;
}

/* ---- two sets ---- */

enum { HERE_ONLY = 1, BOTH = 2, THERE_ONLY = 4 };

/* Adds to `out` what is in `from`: what is not in `other` if `alone`, what is if `both`. */
static int collect(json_t *out, const json_t *from, const json_t *other, bool alone, bool both)
{
    json_t *object = (json_t *)(uintptr_t)from;
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const char *key = json_object_iter_key(it);
        if ((json_object_get(other, key) ? both : alone) && json_object_set(out, key, json_object_iter_value(it)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int combine(struct usp_object *object, struct usp_request *request, int parts, bool change)
{
    int rc = usp_arg_array(request, 0);
    if (rc)
        return rc;
    json_t *other = set_of(usp_arg(request, 0)), *out = json_object();
    rc = other && out ? 0 : -ENOMEM;
    if (rc == 0)
        rc = collect(out, object->value, other, parts & HERE_ONLY, parts & BOTH);
    if (rc == 0)
        rc = collect(out, other, object->value, parts & THERE_ONLY, false);
    json_decref(other);
    if (rc == 0 && change) {
        json_decref(object->value);
        object->value = out;
        return 0;
    }
    if (rc == 0)
        rc = usp_give(request, elements(out));
    json_decref(out);
    return rc;
}

#define COMBINE(name, parts, change)                                                               \
    static int name(struct usp_object *object, struct usp_request *request)                       \
    {                                                                                              \
        return combine(object, request, parts, change);                                           \
    }
COMBINE(set_union, HERE_ONLY | BOTH | THERE_ONLY, false)
COMBINE(intersection, BOTH, false)
COMBINE(difference, HERE_ONLY, false)
COMBINE(symmetric_difference, HERE_ONLY | THERE_ONLY, false)
COMBINE(update, HERE_ONLY | BOTH | THERE_ONLY, true)
COMBINE(intersection_update, BOTH, true)
COMBINE(difference_update, HERE_ONLY, true)

static const struct usp_op ops[] = {
    {"add", add, 1, 1}, {"discard", discard, 1, 1}, {"remove", remove_it, 1, 1}, {"contains", contains, 1, 1},
    {"pop", pop, 0, 0}, {"len", len, 0, 0}, {"clear", clear, 0, 0}, {"copy", copy, 0, 0}, {"str", str, 0, 0},
    {"union", set_union, 1, 1}, {"intersection", intersection, 1, 1}, {"difference", difference, 1, 1},
    {"symmetric_difference", symmetric_difference, 1, 1}, {"update", update, 1, 1},
    {"intersection_update", intersection_update, 1, 1}, {"difference_update", difference_update, 1, 1},
    {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_set = {"set", sizeof(struct usp_object), create, NULL, NULL, ops, NULL};
