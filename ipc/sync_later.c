/* What others may still be looking at, and is freed when they are not. See sync.h. */
#include <stdlib.h>

#include "ipc/sync.h"

struct grave {
    struct grave *next;
    void *block;
    void (*free)(void *);
    uint32_t death;
};
static struct grave *graves;
static pid_t graves_of; /* a new worker inherits its parent's list, which stays the parent's */

/* This worker is in the middle of nothing else now. */
static bool others_have_seen(uint32_t death)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        if (i != usp_worker_index() && atomic_load(&worker->state) == USP_WORKER_RUNNING &&
            (int32_t)(atomic_load(&worker->deaths_seen) - death) < 0)
            return false;
    }
    return true;
}

void usp_free_what_can_be(void)
{
    if (graves && graves_of != usp_shared->workers[usp_worker_index()].pid)
        graves = NULL;
    for (struct grave **at = &graves; *at;) {
        struct grave *grave = *at;
        if (!others_have_seen(grave->death)) {
            at = &grave->next;
            continue;
        }
        *at = grave->next;
        grave->free(grave->block);
        free(grave);
    }
}

void usp_free_later(void *block, void (*release)(void *block))
{
    usp_free_what_can_be();
    struct grave *grave = malloc(sizeof *grave);
    if (!grave)
        return; /* it stays until the arena goes */
    /* the hook runs before the death that it is about is counted */
    *grave = (struct grave){graves, block, release, atomic_load(&usp_shared->deaths) + 1};
    graves = grave;
    graves_of = usp_shared->workers[usp_worker_index()].pid;
}
