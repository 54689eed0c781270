/* Operations of a manager's list and dict, by `number` clients at once, each a worker: the time
   that passes for an operation, all clients counted. Python's side is ../peers/python/ipc.py. */
#include <uvcsp/ipc.h>

#include "bench.h"

typedef int operation(uvcsp_proxy proxy, long i);

static int append(uvcsp_proxy proxy, long i)
{
    return uvcsp_mlist_append(proxy, json_integer(i));
}

/* list[i] */
static int get_index(uvcsp_proxy proxy, long i)
{
    json_t *value;
    int status = uvcsp_mlist_get(proxy, i % 100, &value);
    if (status == 0)
        json_decref(value);
    return status;
}

static int set(uvcsp_proxy proxy, long i)
{
    char key[16];
    snprintf(key, sizeof key, "key%ld", i % 100);
    return uvcsp_mdict_set(proxy, key, json_integer(i));
}

static int get(uvcsp_proxy proxy, long i)
{
    char key[16];
    snprintf(key, sizeof key, "key%ld", i % 100);
    json_t *value;
    int status = uvcsp_mdict_get(proxy, key, NULL, &value);
    if (status == 0)
        json_decref(value);
    return status;
}

PROCESS(client, VAL(uvcsp_proxy, proxy), VAL(operation *, op), VAL(double *, took),
        VAL(double *, done))
{
    bench_join();
    for (long i = 0; i < 100; i++)
        bench_must(op(proxy, i));
    struct bench bench = bench_begin();
    do
        for (long i = 0; i < 10; i++)
            bench_must(op(proxy, i));
    while (bench_goes_on(&bench, 10));
    *took = bench.taken;
    *done = bench.n;
}

static void measure(const char *name, long clients, uvcsp_manager *manager, uvcsp_proxy proxy,
                    operation *op)
{
    double *took = SHARED_RAW_ARRAY(double, clients), *done = SHARED_RAW_ARRAY(double, clients);
    bench_join_pid(uvcsp_manager_pid(manager));
    bench_must(PAR_FOR(i, clients, client(proxy, op, &took[i], &done[i])));
    double n = 0, longest = 0;
    for (long i = 0; i < clients; i++) {
        n += done[i];
        longest = took[i] > longest ? took[i] : longest;
    }
    bench_tell(name, longest * 1e6 / n, "us");
    uvcsp_manager_stop(manager);
}

static void with_list(const char *name, long clients, operation *op)
{
    json_t *values = json_array();
    for (int i = 0; i < 100; i++)
        json_array_append_new(values, json_integer(i));
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    measure(name, clients, manager, uvcsp_manager_list(manager, values), op);
}

static void with_dict(const char *name, long clients, operation *op)
{
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    uvcsp_proxy dict = uvcsp_manager_dict(manager, NULL);
    for (long i = 0; i < 100; i++)
        bench_must(set(dict, i));
    measure(name, clients, manager, dict, op);
}

static void list_append(const char *name, long number)
{
    with_list(name, number, append);
}

static void list_index(const char *name, long number)
{
    with_list(name, number, get_index);
}

static void dict_set(const char *name, long number)
{
    with_dict(name, number, set);
}

static void dict_get(const char *name, long number)
{
    with_dict(name, number, get);
}

const struct bench_kind manager_kinds[] = {
    {"ipc-list-append-", list_append},
    {"ipc-list-index-", list_index},
    {"ipc-dict-set-", dict_set},
    {"ipc-dict-get-", dict_get},
    {0},
};
