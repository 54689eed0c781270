/* The face of managers: starting, stopping, calls. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "channels/lock.h"
#include "ipc/conn.h"
#include "ipc/manager.h"
#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"

static char words[400]; /* of the last error in this worker */

int usp_call_failed(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return status;
}

const char *uvcsp_call_error(void)
{
    return words;
}

const char *uvcsp_manager_error_name(int status)
{
    switch (status) {
    case UVCSP_INDEX_ERROR: return "UVCSP_INDEX_ERROR";
    case UVCSP_KEY_ERROR: return "UVCSP_KEY_ERROR";
    case UVCSP_VALUE_ERROR: return "UVCSP_VALUE_ERROR";
    case UVCSP_TYPE_ERROR: return "UVCSP_TYPE_ERROR";
    case UVCSP_RUNTIME_ERROR: return "UVCSP_RUNTIME_ERROR";
    case UVCSP_BROKEN_BARRIER: return "UVCSP_BROKEN_BARRIER";
    case UVCSP_NO_SUCH_OBJECT: return "UVCSP_NO_SUCH_OBJECT";
    case UVCSP_NO_SUCH_OPERATION: return "UVCSP_NO_SUCH_OPERATION";
    case UVCSP_STOP_ITERATION: return "UVCSP_STOP_ITERATION";
    default: return uvcsp_status_name(status);
    }
}

/* ---- managers ---- */

uvcsp_manager *usp_manager_of(uvcsp_manager *manager, const char *what)
{
    if (manager && usp_arena_holds(manager, sizeof *manager) && manager->magic == USP_MANAGER_MAGIC)
        return manager;
    usp_report("%s: %s", what, manager ? "this is no manager" : "the manager is NULL");
    (void)usp_call_failed(-EINVAL, "%s", manager ? "this is no manager" : "no manager");
    return NULL;
}

uvcsp_manager *usp_manager_new(void)
{
    uvcsp_manager *manager = usp_arena_alloc(sizeof *manager, USP_BLOCK_SHARED);
    if (!manager)
        return NULL;
    memset(manager, 0, sizeof *manager);
    usp_arena_set_owner(manager, USP_NOBODY);
    manager->magic = USP_MANAGER_MAGIC;
    manager->starter = getpid();
    return manager;
}

static uvcsp_manager *not_started(uvcsp_manager *manager, int error)
{
    if (manager && manager->keeper)
        usp_end_release(manager->keeper, USP_LEAVE_RETIRE, NULL);
    if (manager && manager->join)
        usp_channel_disown(manager->join);
    usp_arena_free(manager);
    errno = -error;
    return NULL;
}

/* A crash of who connects, or of who started it, does not poison the channel by which all connect. */
static int make_join(uvcsp_manager *manager, const char *name)
{
    manager->join = uvcsp_channel_new(sizeof(uvcsp_end), UVCSP_TYPE_END,
                                      (uvcsp_channel_options){.name = name, .site_ = "manager"});
    if (!manager->join)
        return -ENOMEM;
    usp_channel_make_common(manager->join);
    manager->join->lenient = USP_LENIENT;
    manager->keeper = uvcsp_out_of(manager->join);
    return manager->keeper ? 0 : -ENOMEM;
}

uvcsp_manager *uvcsp_manager_start(const uvcsp_manager_options *options)
{
    USP_ENTER();
    uvcsp_manager_options o = options ? *options : (uvcsp_manager_options){0};
    const char *name = o.name ? o.name : "manager";
    if (o.address && !usp_key_is_good(o.key, "uvcsp_manager_start"))
        return not_started(NULL, -EINVAL);
    uvcsp_manager *manager = usp_manager_new();
    if (!manager) {
        usp_report("manager '%s': the shared arena is full", name);
        return not_started(NULL, -ENOMEM);
    }
    if (getrandom(&manager->token, sizeof manager->token, 0) != sizeof manager->token)
        manager->token = (uint64_t)(uintptr_t)manager ^ uv_hrtime();
    manager->token &= INT64_MAX;
    struct usp_server *server = usp_server_new(manager, &o);
    int rc = server ? make_join(manager, name) : -ENOMEM;
    if (rc == 0)
        rc = usp_server_start(server);
    else if (server)
        usp_server_unref(server);
    return rc ? not_started(manager, rc) : manager;
}

int (uvcsp_manager_stop)(uvcsp_manager *manager)
{
    if (!manager)
        return 0;
    USP_ENTER();
    if (!usp_manager_of(manager, "uvcsp_manager_stop"))
        return -EINVAL;
    manager->stopped = true;
    usp_client_drop(manager);
    if (!manager->join)
        return 0;
    usp_lock(manager->join);
    usp_side_retires(manager->join, USP_WRITER);
    usp_unlock(manager->join);
    if (manager->starter != getpid() || !manager->handle)
        return 0;
    int rc = uvcsp_join_at(manager->handle, -1, "uvcsp_manager_stop");
    if (rc != 0 || !manager->handle) /* another process was faster */
        return rc;
    uvcsp_handle_free(manager->handle);
    manager->handle = NULL;
    return 0;
}

int uvcsp_manager_pid(uvcsp_manager *manager)
{
    USP_ENTER();
    return usp_manager_of(manager, "uvcsp_manager_pid") ? manager->pid : -EINVAL;
}

/* ---- calls ---- */

/* Opens a request: the object, the operation, and how many arguments follow. */
static struct usp_packet *begin(struct usp_client *client, uint64_t id, const char *op, size_t n)
{
    struct usp_packet *request = usp_client_request(client);
    char head[sizeof id + 1 + 255];
    size_t length = strlen(op);
    length = length > 255 ? 255 : length;
    memcpy(head, &id, sizeof id);
    head[sizeof id] = (char)length;
    memcpy(head + sizeof id + 1, op, length);
    usp_packet_put(request, head, sizeof id + 1 + length);
    usp_encode_array(request, n);
    return request;
}

static int take_answer(const uvcsp_bytes *answer, json_t **resultp)
{
    int32_t status = -EPROTO;
    json_t *result = NULL;
    if (answer->size >= sizeof status) {
        const char *at = answer->data, *end = at + answer->size;
        memcpy(&status, at, sizeof status);
        at += sizeof status;
        result = usp_decode(&at, end);
    }
    if (!result)
        return usp_call_failed(status ? status : -ENOMEM, "the answer could not be taken in");
    if (status)
        (void)usp_call_failed(status, "%s", json_is_string(result) ? json_string_value(result) : "");
    if (status == 0 && resultp)
        *resultp = result;
    else
        json_decref(result);
    return status;
}

static int finish(struct usp_client *client, struct usp_packet *request, json_t **resultp)
{
    if (request->error == -EINVAL)
        return usp_call_failed(-EINVAL, "an argument cannot be encoded: it is NULL, contains itself, or is nested more than %d deep",
                               UVCSP_MANAGER_DEPTH);
    if (request->error)
        return usp_call_failed(request->error, "no memory for the request");
    uvcsp_bytes answer = {NULL, 0};
    int rc = usp_client_call(client, &answer);
    if (rc)
        return rc;
    rc = take_answer(&answer, resultp);
    usp_client_taken(client, &answer);
    return rc;
}

static struct usp_client *client_of(uvcsp_manager *manager, const char *op, int *rcp)
{
    *rcp = -EINVAL;
    if (!usp_manager_of(manager, "uvcsp_call"))
        return NULL;
    if (!op) {
        usp_report("uvcsp_call: the operation is NULL");
        (void)usp_call_failed(-EINVAL, "no operation");
        return NULL;
    }
    struct usp_client *client = usp_client_of(manager);
    *rcp = client ? 0 : usp_call_failed(-ENOMEM, "no memory");
    return client;
}

int uvcsp_call(uvcsp_proxy proxy, const char *op, json_t *args, json_t **resultp)
{
    USP_ENTER();
    int rc;
    struct usp_client *client = client_of(proxy.manager, op, &rc);
    if (client && args && !json_is_array(args))
        rc = usp_call_failed(-EINVAL, "the arguments are no array");
    else if (client) {
        size_t n = json_array_size(args);
        struct usp_packet *request = begin(client, proxy.id, op, n);
        for (size_t i = 0; i < n; i++)
            usp_encode(request, json_array_get(args, i));
        json_decref(args);
        return finish(client, request, resultp);
    }
    json_decref(args);
    return rc;
}

static int call_listed(uvcsp_proxy proxy, const char *op, json_t **resultp, int n, va_list list)
{
    int rc;
    struct usp_client *client = client_of(proxy.manager, op, &rc);
    struct usp_packet *request = client ? begin(client, proxy.id, op, (size_t)n) : NULL;
    for (int i = 0; i < n; i++) {
        json_t *value = va_arg(list, json_t *);
        if (request)
            usp_encode(request, value);
        json_decref(value);
    }
    return request ? finish(client, request, resultp) : rc;
}

int uvcsp_call_with(uvcsp_proxy proxy, const char *op, json_t **resultp, int n, ...)
{
    USP_ENTER();
    va_list list;
    va_start(list, n);
    int rc = call_listed(proxy, op, resultp, n, list);
    va_end(list);
    return rc;
}

long uvcsp_call_long(uvcsp_proxy proxy, const char *op, int n, ...)
{
    USP_ENTER();
    json_t *result = NULL;
    va_list list;
    va_start(list, n);
    int rc = call_listed(proxy, op, &result, n, list);
    va_end(list);
    if (rc)
        return rc > 0 ? -rc : rc;
    long number = json_is_true(result) ? 1 : (long)json_integer_value(result);
    json_decref(result);
    return number;
}

/* ---- objects ---- */

static uvcsp_proxy itself(uvcsp_manager *manager)
{
    return (uvcsp_proxy){manager, 0};
}

int uvcsp_manager_create(uvcsp_manager *manager, const char *type, json_t *args, uvcsp_proxy *proxyp)
{
    USP_ENTER();
    if (!type || !proxyp) {
        json_decref(args);
        usp_report("uvcsp_manager_create: %s", type ? "the place of the proxy is NULL" : "the type is NULL");
        return usp_call_failed(-EINVAL, "no type, or no place for the proxy");
    }
    long id = uvcsp_call_long(itself(manager), "create", 2, json_string(type), args ? args : json_array());
    if (id <= 0)
        return -id <= UVCSP_WOULD_BLOCK ? -(int)id : (int)id;
    *proxyp = (uvcsp_proxy){manager, (uint64_t)id};
    return 0;
}

int uvcsp_proxy_free(uvcsp_proxy proxy)
{
    return uvcsp_call_with(itself(proxy.manager), "free", NULL, 1, json_integer((json_int_t)proxy.id));
}

/* That of another program's manager is asked for once. */
static int know_token(uvcsp_manager *manager)
{
    json_t *token = NULL;
    int rc = manager->token ? 0 : uvcsp_call_with(itself(manager), "token", &token, 0);
    if (token)
        manager->token = (uint64_t)json_integer_value(token);
    json_decref(token);
    return rc;
}

/* It may have been reached by another connection. */
static bool is_of(uvcsp_manager *manager, uvcsp_proxy proxy)
{
    return proxy.manager == manager ||
           (usp_manager_of(proxy.manager, "uvcsp_manager_publish") && know_token(manager) == 0 &&
            know_token(proxy.manager) == 0 && proxy.manager->token == manager->token);
}

int uvcsp_manager_publish(uvcsp_manager *manager, const char *name, uvcsp_proxy proxy)
{
    USP_ENTER();
    if (proxy.id != 0 && usp_manager_of(manager, "uvcsp_manager_publish") && !is_of(manager, proxy)) {
        usp_report("uvcsp_manager_publish: '%s': the proxy is another manager's", name ? name : "(null)");
        return usp_call_failed(-EINVAL, "the proxy is another manager's");
    }
    return uvcsp_call_with(itself(manager), "publish", NULL, 2, json_string(name), json_integer((json_int_t)proxy.id));
}

int uvcsp_manager_find(uvcsp_manager *manager, const char *name, uvcsp_proxy *proxyp)
{
    json_t *id = NULL;
    int rc = proxyp ? uvcsp_call_with(itself(manager), "find", &id, 1, json_string(name)) : -EINVAL;
    if (rc == 0)
        *proxyp = (uvcsp_proxy){manager, (uint64_t)json_integer_value(id)};
    json_decref(id);
    return rc;
}

char *uvcsp_proxy_str(uvcsp_proxy proxy)
{
    json_t *text = NULL;
    if (uvcsp_call_with(proxy, "str", &text, 0) != 0)
        return NULL;
    char *copy = strdup(json_is_string(text) ? json_string_value(text) : "");
    json_decref(text);
    return copy;
}

/* ---- proxies as values: {"#proxy": [token of the manager, id]} ---- */

json_t *uvcsp_proxy_json(uvcsp_proxy proxy)
{
    USP_ENTER();
    if (!usp_manager_of(proxy.manager, "uvcsp_proxy_json") || know_token(proxy.manager) != 0)
        return NULL;
    return json_pack("{s:[I,I]}", "#proxy", (json_int_t)proxy.manager->token, (json_int_t)proxy.id);
}

int uvcsp_proxy_of(uvcsp_manager *manager, const json_t *value, uvcsp_proxy *proxyp)
{
    USP_ENTER();
    if (!usp_manager_of(manager, "uvcsp_proxy_of") || !proxyp)
        return -EINVAL;
    int rc = know_token(manager);
    if (rc)
        return rc;
    const json_t *pair = json_object_get(value, "#proxy");
    const json_t *token = json_array_get(pair, 0), *id = json_array_get(pair, 1);
    if (!json_is_integer(token) || !json_is_integer(id) || json_integer_value(id) <= 0 ||
        (uint64_t)json_integer_value(token) != manager->token)
        return usp_call_failed(-EINVAL, "the value is no proxy of this manager");
    *proxyp = (uvcsp_proxy){manager, (uint64_t)json_integer_value(id)};
    return 0;
}
