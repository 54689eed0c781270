/* What others may still be looking at, and is freed when they are not. See sync.h.

   When a process ends, or a worker dies, all objects are gone through for what that one held. Who does
   that says so in its worker's record, with the count of what waits for such walks to be over.
   What comes to wait counts that up: a walk that has begun later does not see it any more. (The
   magic of the block has gone before; both sides store first and then look.) */
#include <sched.h>
#include <stdlib.h>

#include "ipc/sync.h"
#include "runtime/arena.h"

struct grave {
    struct grave *next;
    void *block;
    void (*free)(void *);
    uint32_t walk; /* what the walks of others are to have begun with, at least */
};
static struct grave *graves;
static pid_t graves_of; /* a new worker inherits its parent's list, which stays the parent's */

static bool others_walk(uint32_t since)
{
    if (atomic_load(&usp_shared->walking) == 0)
        return false;
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        uint32_t walk = atomic_load(&worker->walk);
        if (i != usp_worker_index() && walk != 0 && (int32_t)(walk - since) < 0 &&
            atomic_load(&worker->state) == USP_WORKER_RUNNING)
            return true;
    }
    return false;
}

void usp_free_what_can_be(void)
{
    if (graves && graves_of != usp_shared->workers[usp_worker_index()].pid)
        graves = NULL;
    for (struct grave **at = &graves; *at;) {
        struct grave *grave = *at;
        if (others_walk(grave->walk)) {
            at = &grave->next;
            continue;
        }
        *at = grave->next;
        grave->free(grave->block);
        free(grave);
    }
}

static void dig(void *block, void (*release)(void *block), uint32_t walk)
{
    struct grave *grave = malloc(sizeof *grave);
    if (!grave)
        return; /* it stays until the arena goes */
    if (graves_of != usp_shared->workers[usp_worker_index()].pid)
        graves = NULL;
    *grave = (struct grave){graves, block, release, walk};
    graves = grave;
    graves_of = usp_shared->workers[usp_worker_index()].pid;
}

/* ---- walks ---- */

#define PATIENCE 100 /* a walk is short; this worker may be about to end, and then nobody would dig again */

/* What a walk that begins with that count says of itself: never 0. */
static uint32_t begun_with(uint32_t walks)
{
    return walks + 1 ? walks + 1 : 1;
}

void usp_walk_shared(void (*fn)(void *block, unsigned owner, void *arg), void *arg)
{
    _Atomic uint32_t *walk = &usp_worker_of(usp_worker_index())->walk;
    uint32_t outer = atomic_load_explicit(walk, memory_order_relaxed);
    if (!outer) {
        atomic_store(walk, begun_with(atomic_load(&usp_shared->walks)));
        atomic_fetch_add(&usp_shared->walking, 1);
    }
    usp_arena_each(USP_BLOCK_SHARED, fn, arg);
    if (!outer) {
        atomic_store(walk, 0);
        atomic_fetch_sub(&usp_shared->walking, 1);
    }
}

void usp_free_unwalked(void *block, void (*release)(void *block))
{
    uint32_t since = begun_with(atomic_fetch_add(&usp_shared->walks, 1) + 1);
    for (int tries = 0; tries < PATIENCE && others_walk(since); tries++)
        sched_yield();
    if (others_walk(since))
        dig(block, release, since);
    else
        release(block);
}
