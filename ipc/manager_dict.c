/* dict, and namespace, which is a dict of attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

static int create(struct usp_object *object, struct usp_request *request)
{
    const json_t *given = usp_arg(request, 0);
    if (given && !json_is_object(given))
        return usp_fail(request, UVCSP_TYPE_ERROR, "argument 1 is no object");
    object->value = given ? json_incref((json_t *)(uintptr_t)given) : json_object();
    return object->value ? 0 : -ENOMEM;
}

static int missing(struct usp_request *request, const char *key)
{
    return usp_fail(request, UVCSP_KEY_ERROR, "there is no '%s'", key);
}

static int get(struct usp_object *object, struct usp_request *request)
{
    const char *key;
    int rc = usp_arg_string(request, 0, &key);
    if (rc)
        return rc;
    json_t *value = json_object_get(object->value, key);
    value = value ? value : usp_arg(request, 1);
    return value ? usp_give(request, json_incref(value)) : missing(request, key);
}

static int set(struct usp_object *object, struct usp_request *request)
{
    const char *key;
    int rc = usp_arg_string(request, 0, &key);
    return rc ? rc : json_object_set(object->value, key, usp_arg(request, 1)) == 0 ? 0 : -ENOMEM;
}

static int del(struct usp_object *object, struct usp_request *request)
{
    const char *key;
    int rc = usp_arg_string(request, 0, &key);
    return rc ? rc : json_object_del(object->value, key) == 0 ? 0 : missing(request, key);
}

static int pop(struct usp_object *object, struct usp_request *request)
{
    const char *key = json_string_value(usp_arg(request, 0));
    int rc = get(object, request);
    if (rc == 0)
        (void)json_object_del(object->value, key);
    return rc;
}

static json_t *pair_of(void *it)
{
    return json_pack("[s,O]", json_object_iter_key(it), json_object_iter_value(it));
}

static int popitem(struct usp_object *object, struct usp_request *request)
{
    void *last = NULL;
    for (void *it = json_object_iter(object->value); it; it = json_object_iter_next(object->value, it))
        last = it;
    if (!last)
        return usp_fail(request, UVCSP_KEY_ERROR, "it is empty");
    int rc = usp_give(request, pair_of(last));
    if (rc == 0)
        (void)json_object_del(object->value, json_string_value(json_array_get(request->result, 0)));
    return rc;
}

static int setdefault(struct usp_object *object, struct usp_request *request)
{
    const char *key;
    int rc = usp_arg_string(request, 0, &key);
    if (rc)
        return rc;
    json_t *value = json_object_get(object->value, key);
    if (!value && json_object_set(object->value, key, value = usp_arg(request, 1)) < 0)
        return -ENOMEM;
    return usp_give(request, json_incref(value));
}

static int update_from(struct usp_object *object, struct usp_request *request)
{
    if (!json_is_object(usp_arg(request, 0)))
        return usp_fail(request, UVCSP_TYPE_ERROR, "argument 1 is no object");
    return json_object_update(object->value, usp_arg(request, 0)) == 0 ? 0 : -ENOMEM;
}

/* ---- all of it ---- */

enum what { KEYS, VALUES, ITEMS };

static int list(struct usp_object *object, struct usp_request *request, enum what what)
{
    json_t *array = json_array();
    for (void *it = json_object_iter(object->value); array && it; it = json_object_iter_next(object->value, it)) {
        json_t *one = what == KEYS ? json_string(json_object_iter_key(it))
                      : what == VALUES ? json_incref(json_object_iter_value(it)) : pair_of(it);
        if (json_array_append_new(array, one) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return usp_give(request, array);
}

static int keys(struct usp_object *object, struct usp_request *request)
{
    return list(object, request, KEYS);
}

static int values(struct usp_object *object, struct usp_request *request)
{
    return list(object, request, VALUES);
}

static int items(struct usp_object *object, struct usp_request *request)
{
    return list(object, request, ITEMS);
}

static int clear(struct usp_object *object, struct usp_request *request)
{
    (void)request;
    (void)json_object_clear(object->value);
    return 0;
}

static int len(struct usp_object *object, struct usp_request *request)
{
    return usp_give(request, json_integer((json_int_t)json_object_size(object->value)));
}

static int contains(struct usp_object *object, struct usp_request *request)
{
    const char *key;
    int rc = usp_arg_string(request, 0, &key);
    return rc ? rc : usp_give(request, json_boolean(json_object_get(object->value, key) != NULL));
}

/* update(key, how, arg, otherwise); with one argument it is Python's update */
static int update(struct usp_object *object, struct usp_request *request)
{
    const char *key, *how;
    json_t *fresh, *result;
    if (request->n == 1)
        return update_from(object, request);
    int rc = usp_arg_string(request, 0, &key);
    if (rc == 0)
        rc = usp_arg_string(request, 1, &how);
    if (rc)
        return rc;
    const json_t *old = json_object_get(object->value, key);
    old = old ? old : usp_arg(request, 3);
    if (!old)
        return missing(request, key);
    rc = usp_op_update(request, old, how, usp_arg(request, 2), &fresh, &result);
    if (rc)
        return rc;
    (void)usp_give(request, result);
    return json_object_set_new(object->value, key, fresh) == 0 ? 0 : -ENOMEM;
}

static const struct usp_op ops[] = {
    {"get", get, 1, 2}, {"set", set, 2, 2}, {"del", del, 1, 1}, {"pop", pop, 1, 2}, {"popitem", popitem, 0, 0},
    {"setdefault", setdefault, 2, 2}, {"update", update, 1, 4}, {"keys", keys, 0, 0}, {"values", values, 0, 0},
    {"items", items, 0, 0}, {"clear", clear, 0, 0}, {"len", len, 0, 0}, {"contains", contains, 1, 1},
    {"copy", usp_op_copy, 0, 0}, {"str", usp_op_str, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_dict = {"dict", sizeof(struct usp_object), create, NULL, NULL, ops, NULL};

/* ---- namespace ---- */

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void put_attribute(struct usp_packet *text, const json_t *object, const char *name)
{
    char *value = json_dumps(json_object_get(object, name), JSON_ENCODE_ANY);
    if (!value)
        text->error = -ENOMEM;
    if (text->size > strlen("Namespace("))
        usp_packet_put(text, ", ", 2);
    usp_packet_put(text, name, strlen(name));
    usp_packet_put(text, "=", 1);
    usp_packet_put(text, value, value ? strlen(value) : 0);
    free(value);
}

static int namespace_str(struct usp_object *object, struct usp_request *request)
{
    size_t n = 0;
    const char **names = malloc((json_object_size(object->value) + 1) * sizeof *names);
    if (!names)
        return -ENOMEM;
    for (void *it = json_object_iter(object->value); it; it = json_object_iter_next(object->value, it))
        if (json_object_iter_key(it)[0] != '_')
            names[n++] = json_object_iter_key(it);
    qsort(names, n, sizeof *names, by_name);
    struct usp_packet text = {0};
    usp_packet_put(&text, "Namespace(", strlen("Namespace("));
    for (size_t i = 0; i < n; i++)
        put_attribute(&text, object->value, names[i]);
    usp_packet_put(&text, ")", 1);
    int rc = text.error ? text.error : usp_give(request, json_stringn(text.data, text.size));
    usp_packet_free(&text);
    free(names);
    return rc;
}

static const struct usp_op namespace_ops[] = {
    {"get", get, 1, 1}, {"set", set, 2, 2}, {"del", del, 1, 1}, {"update", update, 1, 4},
    {"contains", contains, 1, 1}, {"copy", usp_op_copy, 0, 0}, {"str", namespace_str, 0, 0}, {NULL, NULL, 0, 0}};

const struct usp_object_type usp_type_namespace = {"namespace", sizeof(struct usp_object), create, NULL, NULL,
                                                   namespace_ops, NULL};
