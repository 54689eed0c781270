/* Pools: making, filling and ending them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uvcsp/queue.h>

#include "ipc/pool.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/worker.h"

/* What the maker of a pool has deferred; it outlives the pool if that is freed first. */
struct guard {
    uvcsp_pool *pool;
};

uvcsp_pool *usp_pool_check(uvcsp_pool *pool, const char *what, int *rcp)
{
    USP_ENTER();
    *rcp = 0;
    if (pool && pool->owner == usp_worker_index())
        return pool;
    *rcp = pool ? -EPERM : -EINVAL;
    usp_report("%s: %s", what, pool ? "this pool is of another worker" : "the pool is NULL");
    return NULL;
}

/* ---- chunks ---- */

struct usp_chunk *usp_chunk_new(uvcsp_pool *pool, uvcsp_result *job, uint32_t first, uint32_t n)
{
    struct usp_chunk *chunk = pool->spare;
    if (chunk)
        pool->spare = chunk->next;
    else
        chunk = malloc(sizeof *chunk);
    if (!chunk)
        usp_fatal("pool '%s': no memory", pool->name);
    *chunk = (struct usp_chunk){.job = job, .first = first, .n = n};
    job->refs++;
    return chunk;
}

void usp_chunk_free(uvcsp_pool *pool, struct usp_chunk *chunk)
{
    if (!chunk)
        return;
    usp_job_unref(chunk->job);
    chunk->next = pool->spare;
    pool->spare = chunk;
}

struct usp_chunk *usp_pool_next(uvcsp_pool *pool)
{
    struct usp_chunk *chunk = pool->again;
    uvcsp_result *job = pool->jobs;
    if (chunk) {
        pool->again = chunk->next;
        pool->n_waiting--;
        return chunk;
    }
    if (!job)
        return NULL;
    size_t left = job->n - job->given, n = left < job->chunk ? left : job->chunk;
    chunk = usp_chunk_new(pool, job, (uint32_t)job->given, (uint32_t)n);
    job->given += n;
    if (job->given == job->n) {
        pool->jobs = job->next;
        if (!pool->jobs)
            pool->jobs_end = &pool->jobs;
    }
    pool->n_waiting--;
    return chunk;
}

void usp_pool_put_back(uvcsp_pool *pool, struct usp_chunk *chunk)
{
    chunk->next = pool->again;
    pool->again = chunk;
    pool->n_waiting++;
    usp_pool_ring(pool, 1);
}

static void ring(struct usp_slot *slot)
{
    if (slot->bell) /* full: it was rung already */
        (void)uvcsp_queue_put_from(slot->bell, "", 0, "pool");
}

void usp_pool_ring(uvcsp_pool *pool, size_t n)
{
    for (int i = 0; i < pool->n_slots && n > 0; i++)
        if (pool->slots[i].n_chunks == 0) {
            ring(&pool->slots[i]);
            n--;
        }
}

/* ---- making and freeing ---- */

static void free_slot(struct usp_slot *slot)
{
    if (slot->begun)
        usp_arena_free(slot->begun);
    uvcsp_queue_free(slot->bell);
}

void usp_pool_unref(uvcsp_pool *pool)
{
    if (--pool->refs > 0)
        return;
    for (int i = 0; i < pool->n_slots; i++)
        free_slot(&pool->slots[i]);
    while (pool->spare) {
        struct usp_chunk *chunk = pool->spare;
        pool->spare = chunk->next;
        free(chunk);
    }
    free(pool->slots);
    free(pool->broken);
    free(pool);
}

/* The maker ends: nothing here waits. */
static void abandon(void *arg)
{
    struct guard *guard = arg;
    uvcsp_pool *pool = guard->pool;
    free(guard);
    if (!pool)
        return;
    pool->guard = NULL;
    (void)uvcsp_pool_terminate(pool);
    usp_pool_unref(pool);
}

static uvcsp_pool *make(int n, const uvcsp_pool_options *options)
{
    const char *name = options->name ? options->name : "pool";
    size_t length = strlen(name) + 1;
    uvcsp_pool *pool = calloc(1, sizeof *pool + length);
    struct usp_slot *slots = calloc((size_t)n, sizeof *slots);
    struct guard *guard = calloc(1, sizeof *guard);
    if (!pool || !slots || !guard || usp_defer_always(abandon, guard) != 0) {
        free(pool);
        free(slots);
        free(guard);
        return NULL;
    }
    pool->refs = 1;
    pool->owner = usp_worker_index();
    pool->options = *options;
    pool->n_slots = n;
    pool->slots = slots;
    pool->guard = guard;
    guard->pool = pool;
    pool->jobs_end = &pool->jobs;
    usp_handle_init(&pool->ended);
    pool->ended.light = true;
    memcpy(pool->name, name, length);
    pool->options.name = pool->name;
    for (int i = 0; i < n; i++) {
        slots[i].pool = pool;
        slots[i].index = i;
    }
    return pool;
}

uvcsp_pool *uvcsp_pool_new(int n_workers, uvcsp_pool_options options)
{
    USP_ENTER();
    if (n_workers <= 0)
        n_workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (n_workers <= 0)
        n_workers = 1;
    uvcsp_pool *pool = make(n_workers, &options);
    if (!pool) {
        usp_report("uvcsp_pool_new: no memory");
        errno = ENOMEM;
        return NULL;
    }
    for (int i = 0; i < n_workers; i++) {
        pool->refs++;
        pool->n_supervised++;
        if (usp_slot_start(&pool->slots[i]) == 0)
            continue;
        usp_report("uvcsp_pool_new: no memory for worker %d of %d", i, n_workers);
        pool->refs--;
        if (--pool->n_supervised == 0)
            usp_event_set(&pool->ended.ended);
        (uvcsp_pool_free)(pool);
        errno = ENOMEM;
        return NULL;
    }
    return pool;
}

int uvcsp_pool_size(uvcsp_pool *pool)
{
    int rc;
    return usp_pool_check(pool, "uvcsp_pool_size", &rc) ? pool->n_slots : rc;
}

int uvcsp_pool_pid(uvcsp_pool *pool, int i)
{
    int rc;
    if (!usp_pool_check(pool, "uvcsp_pool_pid", &rc))
        return rc;
    if (i < 0 || i >= pool->n_slots) {
        usp_report("uvcsp_pool_pid: the pool has %d workers, and no worker %d", pool->n_slots, i);
        return -EINVAL;
    }
    return pool->slots[i].worker ? uvcsp_pid(pool->slots[i].worker) : 0;
}

/* ---- ending ---- */

static void ring_all(uvcsp_pool *pool)
{
    for (int i = 0; i < pool->n_slots; i++)
        ring(&pool->slots[i]);
}

static void cancel(uvcsp_pool *pool, int status, const char *why)
{
    while (pool->again) {
        struct usp_chunk *chunk = pool->again;
        pool->again = chunk->next;
        usp_chunk_free(pool, chunk);
    }
    pool->jobs = NULL;
    pool->jobs_end = &pool->jobs;
    pool->n_waiting = 0;
    while (pool->live) {
        uvcsp_result *job = pool->live;
        job->refs++;
        for (size_t i = 0; i < job->n; i++)
            usp_job_failed(job, i, status, 0, why, strlen(why));
        usp_job_unref(job);
    }
}

void usp_pool_break(uvcsp_pool *pool, const char *why)
{
    free(pool->broken);
    pool->broken = strdup(why);
    pool->closing = pool->terminated = true;
    cancel(pool, UVCSP_TASK_DIED, why);
    ring_all(pool);
}

int uvcsp_pool_close(uvcsp_pool *pool)
{
    int rc;
    if (!usp_pool_check(pool, "uvcsp_pool_close", &rc))
        return rc;
    pool->closing = true;
    ring_all(pool);
    return 0;
}

int uvcsp_pool_terminate(uvcsp_pool *pool)
{
    int rc;
    if (!usp_pool_check(pool, "uvcsp_pool_terminate", &rc))
        return rc;
    if (pool->terminated)
        return 0;
    pool->closing = pool->terminated = true;
    cancel(pool, UVCSP_TASK_CANCELLED, "the pool was terminated");
    ring_all(pool);
    return 0;
}

static void unref(void *pool)
{
    usp_pool_unref(pool);
}

int (uvcsp_pool_join)(uvcsp_pool *pool, double seconds)
{
    int rc;
    if (!usp_pool_check(pool, "uvcsp_pool_join", &rc))
        return rc;
    if (!pool->closing) {
        usp_report("uvcsp_pool_join: pool '%s' is neither closed nor terminated", pool->name);
        return -EINVAL;
    }
    if (!usp_timeout_is_good(seconds, "uvcsp_pool_join"))
        return -EINVAL;
    if (pool->ended.ended.set || seconds == 0 || !usp_current()->task)
        return uvcsp_join_at(&pool->ended, seconds, "uvcsp_pool_join");
    rc = usp_defer_always(unref, pool);
    if (rc < 0)
        return rc;
    pool->refs++; /* somebody else may free it meanwhile; and this process may be killed */
    rc = uvcsp_join_at(&pool->ended, seconds, "uvcsp_pool_join");
    usp_defer_done();
    return rc;
}

void (uvcsp_pool_free)(uvcsp_pool *pool)
{
    int rc;
    USP_ENTER();
    if (!pool || !usp_pool_check(pool, "uvcsp_pool_free", &rc))
        return;
    if (!pool->closing)
        (void)uvcsp_pool_terminate(pool);
    (void)uvcsp_join_at(&pool->ended, -1, "uvcsp_pool_join");
    if (pool->guard)
        pool->guard->pool = NULL;
    usp_pool_unref(pool);
}
