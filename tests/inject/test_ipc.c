/* The failure paths of what the specialised channel types ask of the system (walk.h). */
#include <jansson.h>
#include <uvcsp/ipc.h>

#include "tests/inject/walk.h"

#define PATIENCE 2 /* seconds for what may wait for one that could not be started */

/* Jansson takes its memory by way of these, so it runs out of it as well. */
static void *malloc_here(size_t size)
{
    return malloc(size);
}

/* A failed call is counted where it is made; in workers it ends the process. */
PROCESS(puts_items, OUT(json_t *, out))
{
    for (int i = 0; i < 5; i++) {
        json_t *value = json_pack("{s:i}", "n", i);
        int rc = value ? uvcsp_write(out, &value) : -ENOMEM;
        json_decref(value);
        OR_END(rc);
    }
}

/* Both take part by ends: where one could not be started the other is told. */
PROCESS(gets_items, IN(json_t *, in), VAL(uvcsp_queue *, queue), VAL(int *, sum))
{
    json_t *value;
    while (uvcsp_read(in, &value) == UVCSP_OK) {
        json_decref(value);
        OR_END(uvcsp_queue_task_done(queue));
        if (uvcsp_shared_lock(sum, PATIENCE) == UVCSP_OK) {
            *sum += 1;
            (void)uvcsp_shared_unlock(sum);
        }
    }
}

PROCESS(speaks, VAL(uvcsp_conn *, conn))
{
    static char many[100000];
    for (int i = 0; i < 3; i++) {
        OR_END(uvcsp_conn_send_new(conn, json_integer(i)));
        OR_END(uvcsp_conn_send_bytes(conn, many, sizeof many));
    }
}

PROCESS(hears, VAL(uvcsp_conn *, conn))
{
    json_t *value;
    void *data;
    size_t size;
    for (int i = 0; i < 3; i++) {
        OR_END(uvcsp_conn_recv(conn, &value));
        json_decref(value);
        OR_END(uvcsp_conn_recv_bytes(conn, &data, &size));
        MUST(size == 100000);
        free(data);
    }
}

PROCESS(answers, VAL(uvcsp_listener *, listener))
{
    uvcsp_conn *conn = uvcsp_accept(listener, PATIENCE);
    json_t *value;
    if (!conn)
        return;
    if (uvcsp_conn_recv(conn, &value) == UVCSP_OK)
        (void)uvcsp_conn_send_new(conn, value);
    (void)uvcsp_conn_close(conn);
}

PROCESS(asks_manager, VAL(uvcsp_manager *, manager))
{
    uvcsp_proxy list = {NULL, 0}, lock = uvcsp_manager_lock(manager);
    json_t *value = NULL;
    OR_END(uvcsp_manager_create(manager, "list", NULL, &list));
    OR_END(uvcsp_mlist_append(list, json_pack("[i,s]", 1, "text")));
    OR_END(uvcsp_call(list, "copy", NULL, &value));
    json_decref(value);
    OR_END(uvcsp_mlock_acquire(lock, PATIENCE));
    OR_END(uvcsp_mlock_release(lock));
    OR_END(uvcsp_proxy_free(list));
}

PROCESS(synchronises, VAL(uvcsp_lock *, lock), VAL(uvcsp_semaphore *, semaphore))
{
    int rc = uvcsp_lock_acquire(lock, PATIENCE);
    if (rc == UVCSP_OK)
        (void)uvcsp_lock_release(lock);
    rc = uvcsp_semaphore_acquire(semaphore, PATIENCE);
    if (rc == UVCSP_OK)
        (void)uvcsp_semaphore_release(semaphore);
}

/* ---- each type ---- */

static void use_queue(void)
{
    uvcsp_queue *queue = uvcsp_queue_new(2);
    int *sum = SHARED_VALUE(int, 0);
    n_failed += !queue + !sum;
    if (queue && sum) {
        CHAN(json_t *) c = QUEUE_CHAN(queue);
        MAY_FAIL(PAR(puts_items(c), gets_items(c, queue, sum)));
        n_failed += *sum != 5;
    }
    uvcsp_queue_free(queue);
    if (sum)
        MAY_FAIL(uvcsp_shared_free(sum));
}

static void use_pipe(void)
{
    uvcsp_conn *near, *far;
    int rc = uvcsp_pipe(&near, &far, true);
    MAY_FAIL(rc);
    if (rc == 0)
        MAY_FAIL(PAR(speaks(near), hears(far)));
}

static void use_listener(void)
{
    uvcsp_listener *listener = uvcsp_listen(NULL, "a key");
    n_failed += !listener;
    if (!listener)
        return;
    uvcsp_handle *h = GO(answers(listener));
    uvcsp_conn *conn =
        h ? uvcsp_connect(uvcsp_listener_address(listener), "a key", PATIENCE) : NULL;
    json_t *value = NULL;
    n_failed += !conn;
    if (conn && uvcsp_conn_send_new(conn, json_integer(7)) == UVCSP_OK &&
        uvcsp_conn_recv(conn, &value) == UVCSP_OK)
        MUST(json_integer_value(value) == 7);
    else
        n_failed++;
    json_decref(value);
    if (conn)
        (void)uvcsp_conn_close(conn);
    if (h)
        MAY_FAIL(uvcsp_join(h, 2 * PATIENCE));
    uvcsp_listener_close(listener);
}

static void use_manager(void)
{
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    n_failed += !manager;
    if (!manager)
        return;
    MAY_FAIL(PAR(asks_manager(manager), asks_manager(manager)));
    MAY_FAIL(CO(asks_manager(manager)));
    (void)uvcsp_manager_stop(manager);
}

static void use_sync(void)
{
    uvcsp_lock *lock = uvcsp_lock_new();
    uvcsp_semaphore *semaphore = uvcsp_semaphore_new(1);
    n_failed += !lock + !semaphore;
    if (lock && semaphore)
        MAY_FAIL(PAR(synchronises(lock, semaphore), synchronises(lock, semaphore)));
    uvcsp_semaphore_free(semaphore);
    uvcsp_lock_free(lock);
    long *named = uvcsp_shared_open("inject", 64);
    n_failed += !named;
    if (named)
        MAY_FAIL(uvcsp_shared_free(named));
}

static void use_everything(void)
{
    json_set_alloc_funcs(malloc_here, free);
    use_queue();
    use_pipe();
    use_listener();
    use_manager();
    use_sync();
}

static void the_library_works(void)
{
    uvcsp_queue *queue = uvcsp_queue_new(2);
    int *sum = SHARED_VALUE(int, 0);
    MUST(queue && sum);
    CHAN(json_t *) c = QUEUE_CHAN(queue);
    MUST(PAR(puts_items(c), gets_items(c, queue, sum)) == 0 && *sum == 5);
    uvcsp_queue_free(queue);
    MUST(uvcsp_shared_free(sum) == 0);
}

SUITE("ipc_paths", .before = default_signals)
