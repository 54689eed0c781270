/* Who is counted in at what. See common.h. */
#include "channels/common.h"

#include <string.h>

#include "runtime/arena.h"
#include "runtime/failpoint.h"
#include "runtime/worker.h"

#define AT_FIRST 4 /* room for so many, in a block of 64 bytes */
#define LOOK_AT 4  /* of the newest, whether one is counted in at it already */

/* Who has changed a count last has done so: it is about to be changed again. */
static void tell(uint64_t word)
{
    struct usp_worker *worker = usp_worker_of((unsigned)(word >> USP_USES_WORKER & 0xfff));
    uint64_t last = atomic_load(&worker->changes);
    uint64_t number = last - ((last - (word >> USP_USES_NUMBER)) & (UINT64_MAX >> USP_USES_NUMBER));
    uint64_t told = atomic_load(&worker->changes_told);
    while (told < number && !atomic_compare_exchange_weak(&worker->changes_told, &told, number))
        ;
}

static uint64_t marked(unsigned worker, uint64_t number)
{
    return (uint64_t)worker << USP_USES_WORKER | number << USP_USES_NUMBER;
}

/* `uses`: the list that says so, or NULL. The count that it makes. */
static uint32_t change(struct usp_common *common, struct usp_uses *uses, bool adds)
{
    unsigned self = usp_worker_index();
    _Atomic uint64_t *changes = &usp_worker_of(self)->changes;
    uint64_t number = atomic_load_explicit(changes, memory_order_relaxed) + 1;
    atomic_store_explicit(changes, number, memory_order_release);
    if (uses) {
        uses->number = number;
        uses->before = uses->n;
        uses->by = (uint16_t)self;
        uses->adds = adds;
        atomic_signal_fence(memory_order_seq_cst);
        *(struct usp_common *volatile *)&uses->changing = common;
    }
    USP_FAILPOINT("use-to-change");
    uint64_t old = atomic_load(&common->uses), changed;
    do {
        tell(old);
        changed = ((old + (adds ? 1 : USP_USES_COUNT)) & USP_USES_COUNT) | marked(self, number);
    } while (!atomic_compare_exchange_weak(&common->uses, &old, changed));
    USP_FAILPOINT("use-changed");
    return (uint32_t)(changed & USP_USES_COUNT);
}

static void note(struct usp_uses *uses, uint32_t n)
{
    *(volatile uint32_t *)&uses->n = n;
    atomic_signal_fence(memory_order_seq_cst);
    USP_FAILPOINT("use-noted");
    *(struct usp_common *volatile *)&uses->changing = NULL;
}

void usp_common_hold(struct usp_common *common)
{
    (void)change(common, NULL, true);
}

void usp_common_drop(struct usp_common *common)
{
    if (change(common, NULL, false) == 0)
        common->discard(common);
}

/* The count is looked at first: who changes it again tells first. If it was not changed the object may have gone meanwhile, but
   its memory is there, and does not say so either. */
void usp_common_complete(struct usp_task *task)
{
    struct usp_uses *uses = task->uses;
    struct usp_common *common = uses->changing;
    if (!common)
        return;
    uint64_t word = atomic_load(&common->uses), count = word & USP_USES_COUNT;
    bool last = word - count == marked(uses->by, uses->number);
    bool done = last || atomic_load(&usp_worker_of(uses->by)->changes_told) >= uses->number;
    bool goes = last && !uses->adds && count == 0;
    note(uses, !done ? uses->before : uses->adds ? uses->before + 1 : uses->before - 1);
    if (goes)
        common->discard(common);
}

/* Room for one more, or NULL. */
static struct usp_uses *make_room(struct usp_task *self)
{
    struct usp_uses *uses = self->uses;
    if (uses && uses->n < uses->room)
        return uses;
    uint32_t room = uses ? 2 * uses->room : AT_FIRST;
    struct usp_uses *larger =
        usp_arena_alloc(sizeof *larger + room * sizeof larger->of[0], USP_BLOCK_OFFERS);
    if (!larger)
        return NULL;
    larger->n = uses ? uses->n : 0;
    larger->changing = NULL;
    larger->room = room;
    if (uses)
        memcpy(larger->of, uses->of, uses->n * sizeof uses->of[0]);
    atomic_signal_fence(memory_order_seq_cst);
    *(struct usp_uses *volatile *)&self->uses = larger;
    USP_FAILPOINT("uses-grown");
    usp_arena_free(uses);
    return larger;
}

void usp_common_use(struct usp_task *self, struct usp_common *common)
{
    uint32_t n = usp_common_used(self);
    for (uint32_t i = n; i > 0 && i + LOOK_AT > n; i--)
        if (self->uses->of[i - 1] == common)
            return; /* and who is counted in further out leaves later */
    struct usp_uses *uses = make_room(self);
    if (uses)
        uses->of[n] = common;
    (void)change(common, uses, true);
    if (uses) /* else it stays until the arena goes, which is full */
        note(uses, n + 1);
}

/* Also of a task whose worker has died in the middle of this. */
void usp_common_leave_slowly(struct usp_task *task, uint32_t used)
{
    struct usp_uses *uses = task->uses;
    while (uses->n > used) {
        struct usp_common *common = uses->of[uses->n - 1];
        bool last = change(common, uses, false) == 0;
        note(uses, uses->n - 1);
        if (last)
            common->discard(common);
        USP_FAILPOINT("left");
    }
}
