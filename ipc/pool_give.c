/* What a worker is given, and when: one chunk at a time, unless it is quick and there is enough for
   all; and what it has not begun is taken back when another has nothing to do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uvcsp/queue.h>

#include "ipc/pool.h"

/* ---- the chunks that lie with the worker ---- */

static void append(struct usp_slot *slot, struct usp_chunk *chunk)
{
    chunk->next = NULL;
    if (slot->first)
        slot->last->next = chunk;
    else
        slot->first = chunk;
    slot->last = chunk;
    slot->n_chunks++;
}

struct usp_chunk *usp_slot_unlink(struct usp_slot *slot, uint64_t seq)
{
    struct usp_chunk *before = NULL, *chunk = slot->first;
    while (chunk && chunk->seq != seq) {
        before = chunk;
        chunk = chunk->next;
    }
    if (!chunk)
        return NULL;
    if (before)
        before->next = chunk->next;
    else
        slot->first = chunk->next;
    if (slot->last == chunk)
        slot->last = before;
    slot->n_chunks--;
    return chunk;
}

/* ---- giving ---- */

static int put_order(struct usp_slot *slot, struct usp_chunk *chunk)
{
    const uvcsp_result *job = chunk->job;
    struct usp_pool_order head = {
        .seq = chunk->seq = ++slot->pool->seq,
        .task = job->task,
        .argument_size = job->argument_size,
        .result_size = job->result_size,
        .first = chunk->first,
        .n = chunk->n,
    };
    size_t length = chunk->n * job->argument_size;
    char small[256], *text = small;
    uvcsp_bytes message = {small, sizeof head + length};
    if (message.size > sizeof small)
        message.data = text = malloc(message.size);
    if (!text)
        return -ENOMEM;
    memcpy(text, &head, sizeof head);
    if (length > 0)
        memcpy(text + sizeof head, job->arguments + chunk->first * job->argument_size, length);
    slot->bytes = message.size;
    int rc = uvcsp_queue_put_from(slot->orders, &message, 0, "pool");
    if (text != small)
        free(text);
    return rc;
}

/* False: nothing more can be given now. */
static bool give(struct usp_slot *slot, struct usp_chunk *chunk)
{
    uvcsp_pool *pool = slot->pool;
    append(slot, chunk); /* before it is put: a light worker could answer at once */
    slot->served++;
    int rc = put_order(slot, chunk);
    if (rc == UVCSP_OK)
        return true;
    usp_slot_unlink(slot, chunk->seq);
    slot->served--;
    if (rc != -ENOMEM || slot->n_chunks > 0) { /* what lies there will make room */
        usp_pool_put_back(pool, chunk);
        return false;
    }
    static const char why[] = "no room for its argument in the shared arena";
    for (uint32_t i = 0; i < chunk->n; i++)
        usp_job_failed(chunk->job, chunk->first + i, UVCSP_TASK_FAILED, ENOMEM, why,
                       sizeof why - 1);
    usp_chunk_free(pool, chunk);
    return true;
}

bool usp_slot_used_up(const struct usp_slot *slot)
{
    int most = slot->pool->options.maxtasksperchild;
    return most > 0 && slot->served >= most;
}

static bool wants_more(const struct usp_slot *slot)
{
    const uvcsp_pool *pool = slot->pool;
    if (slot->closed || usp_slot_used_up(slot))
        return false;
    if (slot->n_chunks == 0)
        return true;
    return slot->n_chunks < slot->window &&
           slot->n_chunks < pool->n_waiting / (size_t)pool->n_slots &&
           slot->n_chunks * slot->bytes < USP_POOL_WINDOW_BYTES;
}

/* Takes back from the worker that has most what it has not begun. */
static struct usp_chunk *take_back(uvcsp_pool *pool)
{
    struct usp_slot *richest = NULL;
    for (int i = 0; i < pool->n_slots; i++) {
        struct usp_slot *slot = &pool->slots[i];
        if (slot->n_chunks > 1 && slot->orders && !slot->closed &&
            (!richest || slot->n_chunks > richest->n_chunks))
            richest = slot;
    }
    uvcsp_bytes message;
    if (!richest || uvcsp_queue_size(richest->orders) <= 0 ||
        uvcsp_queue_get_into(richest->orders, &message, 0, "pool") != UVCSP_OK)
        return NULL;
    uint64_t seq = ((const struct usp_pool_order *)message.data)->seq;
    free(message.data);
    struct usp_chunk *chunk = usp_slot_unlink(richest, seq);
    richest->served -= chunk != NULL;
    return chunk;
}

void usp_slot_feed(struct usp_slot *slot)
{
    while (wants_more(slot)) {
        struct usp_chunk *chunk = usp_pool_next(slot->pool);
        if (!chunk && slot->n_chunks == 0)
            chunk = take_back(slot->pool);
        if (!chunk || !give(slot, chunk))
            return;
    }
}
