/* The supervisor of one worker: a light process that gives it chunks, takes its answers, and
   replaces it when it has ended.

       start      queues, worker
       serve      give; wait for an answer, or for the bell; until the queue of answers has ended
       settle     what the worker has left undone: given out anew, or told to have failed

   Between two waits nobody else runs, so the pool's lists need no lock. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uvcsp/queue.h>

#include "ipc/pool.h"
#include "runtime/arena.h"
#include "runtime/report.h"

enum { GUARD_ANSWERS, GUARD_BELL, GUARD_PATIENCE };
static const double kill_after = 2.0;

/* ---- answers ---- */

static void take_failures(uvcsp_result *job, const struct usp_pool_answer *head, const char *at)
{
    for (uint32_t i = 0; i < head->n_failed; i++) {
        struct usp_pool_failure failure;
        memcpy(&failure, at, sizeof failure);
        at += sizeof failure;
        usp_job_failed(job, head->first + failure.index, UVCSP_TASK_FAILED, failure.code, at,
                       failure.length);
        at += failure.length;
    }
}

static void take_answer(struct usp_slot *slot, uvcsp_bytes *message)
{
    const struct usp_pool_answer *head = message->data;
    uvcsp_pool *pool = slot->pool;
    if (head->seq == 0) {
        slot->ready = true;
        pool->bad_starts = 0;
        return;
    }
    struct usp_chunk *chunk = slot->first;
    if (!chunk || chunk->seq != head->seq)
        usp_fatal("pool '%s': an answer to what nobody asked", pool->name);
    const char *results = (const char *)(head + 1);
    uvcsp_result *job = chunk->job;
    if (head->n_failed > 0)
        take_failures(job, head, results + head->n * job->result_size);
    usp_job_done(job, head->first, head->n, results);
    chunk->answered += head->n;
    if (chunk->answered < chunk->n)
        return;
    if (head->nanoseconds > USP_POOL_QUICK)
        slot->window = slot->window > 1 ? slot->window / 2 : 1;
    else if (slot->window < USP_POOL_WINDOW)
        slot->window *= 2;
    usp_chunk_free(pool, usp_slot_unlink(slot, head->seq));
}

/* ---- serve ---- */

static void close_orders(struct usp_slot *slot)
{
    slot->closed = true;
    uvcsp_queue_close(slot->orders);
}

static void doom(struct usp_slot *slot)
{
    uvcsp_bytes message;
    slot->doomed = true;
    slot->worker->expected = true;
    close_orders(slot);
    while (uvcsp_queue_size(slot->orders) > 0 &&
           uvcsp_queue_get_into(slot->orders, &message, 0, "pool") == UVCSP_OK) {
        usp_chunk_free(slot->pool,
                       usp_slot_unlink(slot, ((struct usp_pool_order *)message.data)->seq));
        free(message.data);
    }
    if (slot->first ||
        (!slot->ready &&
         slot->pool->options.initializer)) /* else it sees that the queue is closed */
        uvcsp_terminate(slot->worker);
}

static bool over(const uvcsp_pool *pool)
{
    return pool->terminated || (pool->closing && pool->n_waiting == 0);
}

static void serve(struct usp_slot *slot)
{
    uvcsp_pool *pool = slot->pool;
    for (;;) {
        if (pool->terminated && !slot->doomed)
            doom(slot);
        usp_slot_feed(slot);
        if (!slot->closed && slot->n_chunks == 0 && (over(pool) || usp_slot_used_up(slot)))
            close_orders(slot);
        uvcsp_bytes message;
        char c;
        uvcsp_guard guards[] = {
            {.kind = UVCSP_GUARD_READ,
             .on = true,
             .subject = uvcsp_queue_in(slot->answers),
             .data = &message},
            {.kind = UVCSP_GUARD_READ,
             .on = true,
             .subject = uvcsp_queue_in(slot->bell),
             .data = &c},
            UVCSP_WHEN(slot->doomed, UVCSP_ON_TIMEOUT(kill_after)),
        };
        /* as a rule there is an answer, and a choice takes longer */
        bool has = uvcsp_queue_get_into(slot->answers, &message, 0, "pool") == UVCSP_OK;
        switch (has ? GUARD_ANSWERS : uvcsp_alt_at(guards, 3, UVCSP_PRI, "pool")) {
        case GUARD_ANSWERS:
            take_answer(slot, &message);
            free(message.data);
            break;
        case GUARD_BELL:
            break;
        case GUARD_PATIENCE:
            uvcsp_kill(slot->worker);
            break;
        case -UVCSP_RETIRED:
            return;
        default: /* no memory for an answer: it is still there */
            uvcsp_sleep(0.05);
        }
    }
}

/* ---- start and settle ---- */

static void free_queues(struct usp_slot *slot)
{
    uvcsp_queue_free(slot->orders);
    uvcsp_queue_free(slot->answers);
    slot->orders = slot->answers = NULL;
}

static void bad_start(uvcsp_pool *pool, const char *why)
{
    char text[USP_POOL_MESSAGE + 40];
    if (++pool->bad_starts < USP_POOL_BAD_STARTS || pool->terminated)
        return;
    snprintf(text, sizeof text, "its workers cannot be started: %.255s", why);
    usp_report("pool '%s': %s", pool->name, text);
    usp_pool_break(pool, text);
}

static bool start(struct usp_slot *slot)
{
    slot->ready = slot->closed = slot->doomed = false;
    slot->served = 0;
    slot->window = 1;
    slot->worker = NULL;
    atomic_store(slot->begun, 0);
    const char *site = slot->pool->name;
    slot->orders = uvcsp_queue_new_of(USP_POOL_WINDOW, sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, site);
    slot->answers =
        uvcsp_queue_new_of(USP_POOL_WINDOW, sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, site);
    if (slot->orders && slot->answers)
        slot->worker = uvcsp_spawn(usp_pool_worker(slot));
    if (slot->worker)
        return true;
    int error = errno;
    free_queues(slot);
    bad_start(slot->pool, strerror(error));
    return false;
}

static void describe_end(const struct usp_slot *slot, char *text, size_t size)
{
    int code = uvcsp_exit_code(slot->worker), pid = uvcsp_pid(slot->worker);
    if (code < 0)
        snprintf(text, size, "its worker (pid %d) was killed by signal %d (%s)", pid, -code,
                 strsignal(-code));
    else
        snprintf(text, size, "its worker (pid %d) has ended in the middle of it, with code %d", pid,
                 code);
}

/* Tasks `from` up to but not including `to` of a chunk may have run. */
static void may_have_run(uvcsp_pool *pool, const struct usp_chunk *chunk, uint32_t from,
                         uint32_t to, const char *why)
{
    if (from >= to)
        return;
    if (chunk->tries < pool->options.retries) {
        struct usp_chunk *anew = usp_chunk_new(pool, chunk->job, from, to - from);
        anew->tries = chunk->tries + 1;
        usp_pool_put_back(pool, anew);
        return;
    }
    for (uint32_t i = from; i < to; i++)
        usp_job_failed(chunk->job, i, UVCSP_TASK_DIED, 0, why, strlen(why));
}

/* What comes behind the task that was begun is given out anew; that one, and those before it that
   were not answered, only if they may be run again. The one that was begun goes alone: it may be
   what kills. */
static void settle_chunk(struct usp_slot *slot, struct usp_chunk *chunk, const char *why)
{
    uvcsp_pool *pool = slot->pool;
    uint32_t end = chunk->first + chunk->n, undone = chunk->first + chunk->answered;
    uint64_t begun = atomic_load(slot->begun);
    uint32_t behind = undone;
    if (begun >> 32 == (uint32_t)chunk->seq && (uint32_t)begun >= undone)
        behind = (uint32_t)begun + 1;
    if (behind < end) {
        struct usp_chunk *rest = usp_chunk_new(pool, chunk->job, behind, end - behind);
        rest->tries = behind == undone ? chunk->tries : 0;
        usp_pool_put_back(pool, rest);
    }
    if (behind > undone) {
        may_have_run(pool, chunk, behind - 1, behind, why);
        may_have_run(pool, chunk, undone, behind - 1, why);
    }
}

/* A worker that was killed from outside before it was ready says nothing about the next one. */
static void settle(struct usp_slot *slot)
{
    uvcsp_pool *pool = slot->pool;
    char why[USP_POOL_MESSAGE];
    uvcsp_join_at(slot->worker, -1, "pool");
    describe_end(slot, why, sizeof why);
    bool from_outside = uvcsp_exit_code(slot->worker) == -SIGKILL;
    uvcsp_handle_free(slot->worker);
    slot->worker = NULL;
    free_queues(slot);
    struct usp_chunk *left = NULL;
    while (slot->first) { /* the last one is put back first */
        struct usp_chunk *chunk = usp_slot_unlink(slot, slot->first->seq);
        chunk->next = left;
        left = chunk;
    }
    while (left) {
        struct usp_chunk *chunk = left;
        left = chunk->next;
        if (!pool->terminated)
            settle_chunk(slot, chunk, why);
        usp_chunk_free(pool, chunk);
    }
    if (!slot->ready && !slot->closed && !from_outside)
        bad_start(pool, why);
}

UVCSP_PROCESS(pool_supervisor, VAL(struct usp_slot *, slot))
{
    uvcsp_pool *pool = slot->pool;
    usp_serving(true);
    while (!over(pool)) {
        if (!start(slot)) {
            uvcsp_sleep(0.02);
            continue;
        }
        serve(slot);
        settle(slot);
    }
    if (--pool->n_supervised == 0) {
        pool->ended.code = 0;
        usp_event_set(&pool->ended.ended);
    }
    usp_pool_unref(pool);
}

int usp_slot_start(struct usp_slot *slot)
{
    slot->begun = usp_arena_alloc(sizeof *slot->begun, USP_BLOCK_SHARED);
    slot->bell = uvcsp_queue_new_of(1, 1, UVCSP_TYPE_PLAIN, "pool");
    uvcsp_handle *handle = NULL;
    if (slot->begun && slot->bell) {
        usp_arena_set_owner(slot->begun, USP_NOBODY);
        handle = uvcsp_go(pool_supervisor(slot));
    }
    if (!handle) {
        usp_arena_free(slot->begun);
        uvcsp_queue_free(slot->bell);
        slot->begun = NULL;
        slot->bell = NULL;
        return -ENOMEM;
    }
    uvcsp_handle_free(handle);
    return 0;
}
