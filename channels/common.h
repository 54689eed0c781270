/* What several processes use by a pointer, without an end of their own that counts: a lock, a queue. It
   is freed while others still use it: those who wait at its channel then, and those who have been woken and
   have not run yet. They come back to it, and so it stays until the last of them has left.

   Who waits counts itself in, under the lock of the channel, and leaves when it touches the object no more.
   Who does not have to wait pays nothing. What a process is counted in at lies in its task as well, so
   that it is found if its worker dies: written down after it was counted, and struck out before it leaves.
   So a worker that dies between the two leaves an object behind that stays until the arena goes, and never
   one that goes too soon. */
#ifndef USP_CHANNELS_COMMON_H
#define USP_CHANNELS_COMMON_H

#include <stdatomic.h>
#include <stdint.h>

#include "runtime/scheduler.h"
#include "runtime/task.h"

struct usp_common {
    _Atomic uint32_t uses; /* 1 until it is freed, and those who are counted in */
    void (*discard)(struct usp_common *common); /* by the last one, in whichever worker */
};

/* What a task is counted in at, the newest last: what waits inside another wait leaves first. A block of the arena. */
struct usp_uses {
    uint32_t n, room;
    struct usp_common *of[];
};

static inline void usp_common_init(struct usp_common *common, void (*discard)(struct usp_common *))
{
    atomic_init(&common->uses, 1);
    common->discard = discard;
}

/* Once more, by what is no task; who does it sees to it that usp_common_drop() follows. */
static inline void usp_common_hold(struct usp_common *common)
{
    atomic_fetch_add_explicit(&common->uses, 1, memory_order_relaxed);
}
/* It is freed, or not held any more. No lock is held. */
void usp_common_drop(struct usp_common *common);

/* Counts the running process in, unless it is. The lock of one of the object's channels is held, or the object is held
   otherwise. */
void usp_common_use(struct usp_task *self, struct usp_common *common);

/* How many the process is counted in at; 0 for a callback of the loop. */
static inline uint32_t usp_common_used(const struct usp_task *self)
{
    return self && self->uses ? self->uses->n : 0;
}
void usp_common_leave_slowly(struct usp_task *task, uint32_t used);
/* Leaves all but the first `used`. No lock is held. */
static inline void usp_common_leave(struct usp_task *self, uint32_t used)
{
    if (__builtin_expect(usp_common_used(self) > used, 0))
        usp_common_leave_slowly(self, used);
}

#endif
