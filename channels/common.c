/* Who is counted in at what. See common.h. */
#include "channels/common.h"

#include <string.h>

#include "runtime/arena.h"
#include "runtime/failpoint.h"

#define AT_FIRST 6 /* room for so many, in a block of 64 bytes */
#define LOOK_AT 4  /* of the newest, whether one is counted in at it already */

void usp_common_drop(struct usp_common *common)
{
    if (atomic_fetch_sub_explicit(&common->uses, 1, memory_order_acq_rel) == 1)
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
    usp_common_hold(common);
    USP_FAILPOINT("counted-in");
    if (!uses)
        return; /* it stays until the arena goes, which is full */
    uses->of[n] = common;
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&uses->n = n + 1;
    USP_FAILPOINT("use-noted");
}

/* Also of a task whose worker has died in the middle of this. */
void usp_common_leave_slowly(struct usp_task *task, uint32_t used)
{
    struct usp_uses *uses = task->uses;
    while (uses->n > used) {
        struct usp_common *common = uses->of[uses->n - 1];
        *(volatile uint32_t *)&uses->n = uses->n - 1;
        atomic_signal_fence(memory_order_seq_cst);
        USP_FAILPOINT("use-struck-out");
        usp_common_drop(common);
        USP_FAILPOINT("left");
    }
}
