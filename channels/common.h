/* What several processes use by a pointer, without an end of their own that counts: a lock, a queue. It
   is freed while others still use it: those who wait at its channel then, and those who have been woken and
   have not run yet. They come back to it, and so it stays until the last of them has left.

   Who waits counts itself in, under the lock of the channel, and leaves when it touches the object no more.
   Who does not have to wait pays nothing. What a process is counted in at lies in its task as well, so
   that it is found if its worker dies. It notes what it is about to do before it changes the count, and the count says who
   has changed it last, by which of his changes; who changes it next first writes down, in the record of that worker, that this
   one has been done. So whoever buries a worker knows of its last change whether it was done. */
#ifndef USP_CHANNELS_COMMON_H
#define USP_CHANNELS_COMMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/scheduler.h"
#include "runtime/task.h"

/* The bits of `uses`. */
#define USP_USES_COUNT 0xffffffull
#define USP_USES_WORKER 24 /* from here on, 12 bits */
#define USP_USES_NUMBER 36 /* from here on, the number of its change */

struct usp_common {
    _Atomic uint64_t uses; /* 1 until it is freed, and those who are counted in; and who has changed that last */
    void (*discard)(struct usp_common *common); /* by the last one, in whichever worker */
};

/* What a task is counted in at, the newest last: what waits inside another wait leaves first. A block of the arena. */
struct usp_uses {
    uint32_t n, room;
    struct usp_common *changing; /* the count that is about to be changed, or NULL; and, until then, ... */
    uint64_t number;             /* ... by which change ... */
    uint32_t before;             /* ... what `n` is if that is not done ... */
    uint16_t by;                 /* ... of which worker */
    bool adds;
    struct usp_common *of[];
};

static inline void usp_common_init(struct usp_common *common, void (*discard)(struct usp_common *))
{
    atomic_init(&common->uses, 1);
    common->discard = discard;
}

static inline uint32_t usp_common_count(const struct usp_common *common)
{
    return (uint32_t)(atomic_load(&common->uses) & USP_USES_COUNT);
}

/* Once more, by what is no task; who does it sees to it that usp_common_drop() follows. */
void usp_common_hold(struct usp_common *common);
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
/* Of a task whose worker has died: completes the change that was under way. */
void usp_common_complete(struct usp_task *task);
/* Leaves all but the first `used`. No lock is held. */
static inline void usp_common_leave(struct usp_task *self, uint32_t used)
{
    if (__builtin_expect(usp_common_used(self) > used, 0))
        usp_common_leave_slowly(self, used);
}

#endif
