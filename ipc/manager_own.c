/* What changes a value in one request, and what a program adds: update functions, types, tasks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"
#include "runtime/report.h"

static char why[200]; /* of uvcsp_manager_fail(), while a function of this file's tables runs */

int uvcsp_manager_fail(int status, const char *text)
{
    snprintf(why, sizeof why, "%s", text ? text : "");
    return status;
}

/* A positive answer would be taken for a condition of the library. */
static int error_of(int status, const char **wordsp)
{
    int rc = status > 0 ? UVCSP_RUNTIME_ERROR : status;
    *wordsp = why[0] ? why : uvcsp_manager_error_name(rc);
    return rc;
}

/* What a function has answered, in words. */
static int told(struct usp_request *request, int status)
{
    const char *text;
    int rc = status ? error_of(status, &text) : 0;
    return rc ? usp_fail(request, rc, "%s", text) : 0;
}

/* ---- update functions of the library ---- */

static json_t *same(const json_t *value)
{
    return json_incref((json_t *)(uintptr_t)value);
}

static int result_of(json_t *value, json_t **newp)
{
    *newp = value;
    return value ? 0 : uvcsp_manager_fail(UVCSP_VALUE_ERROR, "the result is no number");
}

static int need_numbers(const json_t *old, const json_t *arg)
{
    return json_is_number(old) && json_is_number(arg)
               ? 0 : uvcsp_manager_fail(UVCSP_TYPE_ERROR, "both have to be numbers");
}

static bool whole(const json_t *old, const json_t *arg)
{
    return json_is_integer(old) && json_is_integer(arg);
}

/* Integers exactly, or not at all; reals if one of the two is one. */
static int integer_result(bool overflow, json_int_t value, json_t **newp)
{
    return overflow ? uvcsp_manager_fail(UVCSP_VALUE_ERROR, "the result is beyond 64 bits")
                    : result_of(json_integer(value), newp);
}

static int joined(const json_t *old, const json_t *arg, json_t **newp)
{
    if (json_is_string(old))
        return result_of(json_pack("s+", json_string_value(old), json_string_value(arg)), newp);
    json_t *fresh = json_copy((json_t *)(uintptr_t)old);
    if (!fresh || json_array_extend(fresh, (json_t *)(uintptr_t)arg) < 0) {
        json_decref(fresh);
        return -ENOMEM;
    }
    *newp = fresh;
    return 0;
}

static int add(const json_t *old, const json_t *arg, json_t **newp)
{
    json_int_t value;
    if ((json_is_string(old) && json_is_string(arg)) || (json_is_array(old) && json_is_array(arg)))
        return joined(old, arg, newp);
    int rc = need_numbers(old, arg);
    if (rc)
        return rc;
    if (!whole(old, arg))
        return result_of(json_real(json_number_value(old) + json_number_value(arg)), newp);
    bool overflow = __builtin_add_overflow(json_integer_value(old), json_integer_value(arg), &value);
    return integer_result(overflow, value, newp);
}

static int sub(const json_t *old, const json_t *arg, json_t **newp)
{
    json_int_t value;
    int rc = need_numbers(old, arg);
    if (rc)
        return rc;
    if (!whole(old, arg))
        return result_of(json_real(json_number_value(old) - json_number_value(arg)), newp);
    bool overflow = __builtin_sub_overflow(json_integer_value(old), json_integer_value(arg), &value);
    return integer_result(overflow, value, newp);
}

static int mul(const json_t *old, const json_t *arg, json_t **newp)
{
    json_int_t value;
    int rc = need_numbers(old, arg);
    if (rc)
        return rc;
    if (!whole(old, arg))
        return result_of(json_real(json_number_value(old) * json_number_value(arg)), newp);
    bool overflow = __builtin_mul_overflow(json_integer_value(old), json_integer_value(arg), &value);
    return integer_result(overflow, value, newp);
}

static int div_by(const json_t *old, const json_t *arg, json_t **newp)
{
    int rc = need_numbers(old, arg);
    if (rc == 0 && json_number_value(arg) == 0)
        rc = uvcsp_manager_fail(UVCSP_VALUE_ERROR, "division by zero");
    return rc ? rc : result_of(json_real(json_number_value(old) / json_number_value(arg)), newp);
}

static bool less(const json_t *a, const json_t *b)
{
    return whole(a, b) ? json_integer_value(a) < json_integer_value(b) : json_number_value(a) < json_number_value(b);
}

static int least(const json_t *old, const json_t *arg, json_t **newp)
{
    int rc = need_numbers(old, arg);
    return rc ? rc : result_of(same(less(arg, old) ? arg : old), newp);
}

static int most(const json_t *old, const json_t *arg, json_t **newp)
{
    int rc = need_numbers(old, arg);
    return rc ? rc : result_of(same(less(old, arg) ? arg : old), newp);
}

static int bits(const json_t *old, const json_t *arg, json_t **newp, char how)
{
    if (!whole(old, arg))
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "both have to be integers");
    json_int_t a = json_integer_value(old), b = json_integer_value(arg);
    return result_of(json_integer(how == '&' ? a & b : how == '|' ? a | b : a ^ b), newp);
}

static int bits_and(const json_t *old, const json_t *arg, json_t **newp)
{
    return bits(old, arg, newp, '&');
}

static int bits_or(const json_t *old, const json_t *arg, json_t **newp)
{
    return bits(old, arg, newp, '|');
}

static int bits_xor(const json_t *old, const json_t *arg, json_t **newp)
{
    return bits(old, arg, newp, '^');
}

/* What is in an object is never changed in place: it may be in another one as well. */
static int append(const json_t *old, const json_t *arg, json_t **newp)
{
    if (!json_is_array(old))
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "it is no array");
    json_t *fresh = json_copy((json_t *)(uintptr_t)old);
    if (!fresh || json_array_append(fresh, (json_t *)(uintptr_t)arg) < 0) {
        json_decref(fresh);
        return -ENOMEM;
    }
    *newp = fresh;
    return 0;
}

static int append_if_absent(const json_t *old, const json_t *arg, json_t **newp)
{
    for (size_t i = 0; i < json_array_size(old); i++)
        if (usp_equal(json_array_get(old, i), arg))
            return result_of(same(old), newp);
    return append(old, arg, newp);
}

static int cas(const json_t *old, const json_t *arg, json_t **newp)
{
    if (json_array_size(arg) != 2)
        return uvcsp_manager_fail(UVCSP_TYPE_ERROR, "the argument has to be [old, new]");
    if (!usp_equal(old, json_array_get(arg, 0)))
        return uvcsp_manager_fail(UVCSP_VALUE_ERROR, "the value is another one");
    return result_of(same(json_array_get(arg, 1)), newp);
}

static int swap(const json_t *old, const json_t *arg, json_t **newp)
{
    (void)old;
    return result_of(same(arg), newp);
}

struct update {
    const char *name;
    uvcsp_update_fn *fn;
};
static const struct update built_in[] = {
    {"add", add}, {"sub", sub}, {"mul", mul}, {"div", div_by}, {"min", least}, {"max", most}, {"and", bits_and},
    {"or", bits_or}, {"xor", bits_xor}, {"append", append}, {"append_if_absent", append_if_absent}, {"cas", cas},
    {"swap", swap}};

/* ---- those of the program ---- */

static struct update *updates;
static size_t n_updates;
static const struct uvcsp_manager_type **own_types;
static size_t n_own_types;

static uvcsp_update_fn *find_update(const char *name)
{
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++)
        if (strcmp(built_in[i].name, name) == 0)
            return built_in[i].fn;
    for (size_t i = 0; i < n_updates; i++)
        if (strcmp(updates[i].name, name) == 0)
            return updates[i].fn;
    return NULL;
}

int uvcsp_manager_register_update(const char *name, uvcsp_update_fn *fn)
{
    if (!name || !*name || !fn) {
        usp_report("uvcsp_manager_register_update: %s", fn ? "there is no name" : "the function is NULL");
        return -EINVAL;
    }
    if (find_update(name)) {
        usp_report("uvcsp_manager_register_update: there is a function '%s' already", name);
        return -EEXIST;
    }
    struct update *grown = realloc(updates, (n_updates + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    updates = grown;
    updates[n_updates++] = (struct update){name, fn};
    return 0;
}

int usp_op_update(struct usp_request *request, const json_t *old, const char *how, const json_t *arg, json_t **newp,
                  json_t **resultp)
{
    uvcsp_update_fn *fn = find_update(how);
    if (!fn)
        return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "there is no update function '%s'", how);
    json_t *none = json_null();
    why[0] = '\0';
    *newp = NULL;
    int rc = fn(old, arg ? arg : none, newp);
    if (rc == 0 && !*newp)
        rc = uvcsp_manager_fail(UVCSP_RUNTIME_ERROR, "the update function gave no value");
    if (rc) {
        json_decref(*newp);
        return told(request, rc);
    }
    *resultp = fn == swap ? same(old) : json_incref(*newp);
    return 0;
}

int uvcsp_proxy_update(uvcsp_proxy proxy, json_t *key, const char *how, json_t *arg, json_t *otherwise, json_t **resultp)
{
    key = key ? key : json_null();
    arg = arg ? arg : json_null();
    if (otherwise)
        return uvcsp_call_with(proxy, "update", resultp, 4, key, json_string(how), arg, otherwise);
    return uvcsp_call_with(proxy, "update", resultp, 3, key, json_string(how), arg);
}

/* ---- types of the program ---- */

struct own {
    struct usp_object object;
    const struct uvcsp_manager_type *type;
    void *self;
};

const struct uvcsp_manager_type *usp_own_type(const char *name)
{
    for (size_t i = 0; i < n_own_types; i++)
        if (strcmp(own_types[i]->name, name) == 0)
            return own_types[i];
    return NULL;
}

int uvcsp_manager_register(const struct uvcsp_manager_type *type)
{
    if (!type || !type->name || !type->create || !type->ops) {
        usp_report("uvcsp_manager_register: a type needs a name, `create` and `ops`");
        return -EINVAL;
    }
    if (usp_own_type(type->name) || usp_is_built_in(type->name)) {
        usp_report("uvcsp_manager_register: there is a type '%s' already", type->name);
        return -EEXIST;
    }
    const struct uvcsp_manager_type **grown =
        realloc(own_types, (n_own_types + 1) * sizeof(const struct uvcsp_manager_type *));
    if (!grown)
        return -ENOMEM;
    own_types = grown;
    own_types[n_own_types++] = type;
    return 0;
}

int usp_own_create(struct usp_object *object, const struct uvcsp_manager_type *type, struct usp_request *request)
{
    struct own *own = (struct own *)object;
    why[0] = '\0';
    own->type = type;
    const json_t *args = usp_args(request);
    return args ? told(request, type->create(args, &own->self)) : -ENOMEM;
}

int usp_own_run(struct usp_object *object, const char *name, struct usp_request *request)
{
    const struct own *own = (struct own *)object;
    for (const struct uvcsp_manager_op *op = own->type->ops; op->name; op++) {
        if (strcmp(op->name, name) != 0)
            continue;
        const json_t *args = usp_args(request);
        why[0] = '\0';
        return args ? told(request, op->run(own->self, args, &request->result)) : -ENOMEM;
    }
    return usp_fail(request, UVCSP_NO_SUCH_OPERATION, "a %s has no operation '%s'", own->type->name, name);
}

static void destroy(struct usp_object *object)
{
    const struct own *own = (struct own *)object;
    if (own->type->destroy)
        own->type->destroy(own->self);
}

const struct usp_object_type usp_type_own = {"object", sizeof(struct own), NULL, destroy, NULL, NULL, NULL};

/* ---- tasks of the program ---- */

static struct task {
    const char *name;
    uvcsp_manager_task *fn;
} *tasks;
static size_t n_tasks;

int usp_task_find(const char *name)
{
    for (size_t i = 0; i < n_tasks; i++)
        if (strcmp(tasks[i].name, name) == 0)
            return (int)i;
    return -1;
}

int uvcsp_manager_register_task(const char *name, uvcsp_manager_task *fn)
{
    if (!name || !*name || !fn) {
        usp_report("uvcsp_manager_register_task: %s", fn ? "there is no name" : "the function is NULL");
        return -EINVAL;
    }
    if (usp_task_find(name) >= 0) {
        usp_report("uvcsp_manager_register_task: there is a task '%s' already", name);
        return -EEXIST;
    }
    struct task *grown = realloc(tasks, (n_tasks + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    tasks = grown;
    tasks[n_tasks++] = (struct task){name, fn};
    return 0;
}

int usp_task_run(uint32_t number, uvcsp_manager *manager, const json_t *args, json_t **valuep,
                 const char **wordsp)
{
    why[0] = '\0';
    *valuep = NULL;
    int rc = tasks[number].fn(manager, args, valuep);
    if (rc == 0 && !*valuep)
        *valuep = json_null();
    return rc ? error_of(rc, wordsp) : 0;
}
