/* The types of <uvcsp/ipc.h> between two workers, held against Python's multiprocessing, whose side
   is
   ../peers/python/ipc.py. */
#include <uvcsp/ipc.h>

#include "bench.h"

/* ---- a pipe, there and back: small dynamic values ---- */

PROCESS(echoes, VAL(uvcsp_conn *, conn))
{
    bench_join();
    json_t *value;
    while (uvcsp_conn_recv(conn, &value) == UVCSP_OK)
        if (uvcsp_conn_send_new(conn, value) != UVCSP_OK)
            break;
}

static void ask(uvcsp_conn *conn)
{
    json_t *answer;
    if (uvcsp_conn_send_new(conn, json_integer(42)) != UVCSP_OK ||
        uvcsp_conn_recv(conn, &answer) != UVCSP_OK)
        exit(1);
    json_decref(answer);
}

PROCESS(asks, VAL(uvcsp_conn *, conn), VAL(const char *, name))
{
    bench_join();
    for (int i = 0; i < 10; i++)
        ask(conn);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 10; i++)
            ask(conn);
    while (bench_goes_on(&bench, 10));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

static void pipe_round_trip(const char *name, long number)
{
    (void)number;
    uvcsp_conn *a, *b;
    if (uvcsp_pipe(&a, &b, true) != 0)
        exit(1);
    bench_must(PAR(asks(a, name), echoes(b)));
}

/* ---- queues ---- */

enum { HOLDS_SMALL = 1000, HOLDS_LARGE = 8 };

PROCESS(puts_values, VAL(uvcsp_queue *, q))
{
    bench_join();
    for (long i = 0; uvcsp_queue_put_new(q, json_integer(i % 1000), -1) == UVCSP_OK; i++)
        ;
}

PROCESS(gets_values, VAL(uvcsp_queue *, q), VAL(const char *, name))
{
    bench_join();
    json_t *value;
    for (int i = 0; i < 100; i++)
        if (uvcsp_queue_get(q, &value, -1) == UVCSP_OK)
            json_decref(value);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 100; i++) {
            if (uvcsp_queue_get(q, &value, -1) != UVCSP_OK)
                exit(1);
            json_decref(value);
        }
    while (bench_goes_on(&bench, 100));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
    uvcsp_queue_close(q);
}

static void queue_values(const char *name, long number)
{
    (void)number;
    uvcsp_queue *q = uvcsp_queue_new(HOLDS_SMALL);
    bench_must(PAR(puts_values(q), gets_values(q, name)));
    uvcsp_queue_free(q);
}

PROCESS(puts_ints, VAL(QUEUE(int), q))
{
    bench_join();
    for (int i = 0;; i++)
        QPUT(q, i);
}

PROCESS(gets_ints, VAL(QUEUE(int), q), VAL(const char *, name))
{
    bench_join();
    for (int i = 0; i < 100; i++)
        (void)QGET(q);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 100; i++)
            (void)QGET(q);
    while (bench_goes_on(&bench, 100));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
    uvcsp_queue_close(q);
}

static void queue_ints(const char *name, long number)
{
    (void)number;
    QUEUE(int) q = QUEUE_NEW(int, HOLDS_SMALL);
    bench_must(PAR(puts_ints(q), gets_ints(q, name)));
    uvcsp_queue_free(q);
}

PROCESS(puts_bytes, VAL(QUEUE(uvcsp_bytes), q), VAL(long, size))
{
    bench_join();
    char *data = bench_get((size_t)size, 1);
    memset(data, 1, (size_t)size);
    DEFER(free, data);
    for (;;)
        QPUT(q, (uvcsp_bytes){data, (size_t)size});
}

PROCESS(gets_bytes, VAL(QUEUE(uvcsp_bytes), q), VAL(const char *, name))
{
    bench_join();
    for (int i = 0; i < 10; i++)
        free(QGET(q).data);
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 10; i++)
            free(QGET(q).data);
    while (bench_goes_on(&bench, 10));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
    uvcsp_queue_close(q);
}

static void queue_bytes(const char *name, long number)
{
    QUEUE(uvcsp_bytes) q = QUEUE_NEW(uvcsp_bytes, HOLDS_LARGE);
    bench_must(PAR(puts_bytes(q, number), gets_bytes(q, name)));
    uvcsp_queue_free(q);
}

/* ---- a locked increment of a shared value, by `number` workers: time that passes for each ---- */

PROCESS(increments, VAL(long *, value), VAL(double *, took), VAL(double *, done))
{
    bench_join();
    struct bench bench = bench_begin();
    do
        for (int i = 0; i < 1000; i++)
            LOCKED (value) {
                *value += 1;
            }
    while (bench_goes_on(&bench, 1000));
    *took = bench.taken;
    *done = bench.n;
}

static void locked(const char *name, long number)
{
    long *value = SHARED_VALUE(long, 0);
    double *took = SHARED_RAW_ARRAY(double, number), *done = SHARED_RAW_ARRAY(double, number);
    bench_must(PAR_FOR(i, number, increments(value, &took[i], &done[i])));
    double n = 0, longest = 0;
    for (long i = 0; i < number; i++) {
        n += done[i];
        longest = took[i] > longest ? took[i] : longest;
    }
    if ((double)*value != n)
        exit(1);
    bench_tell(name, longest * 1e6 / n, "us");
}

/* ---- a pool of two: map of `number` trivial items, one by one ---- */

static int trivial(const int *x, int *result, void *context)
{
    (void)context;
    *result = *x + 1;
    return 0;
}

static void pool_map(const char *name, long number)
{
    int *numbers = bench_get((size_t)number, sizeof *numbers);
    int *results = bench_get((size_t)number, sizeof *results);
    for (long i = 0; i < number; i++)
        numbers[i] = (int)i;
    uvcsp_pool *pool = POOL(2);
    int first[2] = {0};
    bench_must(uvcsp_pool_map(pool, trivial, numbers, 2, first, 1)); /* they have started */
    bench_join();
    for (int i = 0; i < 2; i++)
        bench_join_pid(uvcsp_pool_pid(pool, i));
    double start = bench_now();
    bench_must(uvcsp_pool_map(pool, trivial, numbers, (size_t)number, results, 1));
    double taken = bench_now() - start;
    if (results[number - 1] != (int)number)
        exit(1);
    bench_tell(name, taken * 1e6 / (double)number, "us");
    uvcsp_pool_free(pool);
    free(numbers);
    free(results);
}

/* ---- a process is started and joined ---- */

PROCESS(nothing) {}

static void start_join(const char *name, long number)
{
    (void)number;
    bench_join();
    struct bench bench = bench_begin();
    do {
        uvcsp_handle *handle = SPAWN(nothing());
        bench_must(uvcsp_join(handle, -1));
        uvcsp_handle_free(handle);
    } while (bench_goes_on(&bench, 1));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

const struct bench_kind ipc_kinds[] = {
    {"ipc-pipe", pipe_round_trip},  {"ipc-queue-values", queue_values},
    {"ipc-queue-ints", queue_ints}, {"ipc-queue-bytes-", queue_bytes},
    {"ipc-locked-", locked},        {"ipc-pool-map-", pool_map},
    {"ipc-start-join", start_join}, {0},
};
