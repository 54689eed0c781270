/* Who runs soon, if the processes of this worker run in the order in which they ran the last time.

   Where there are thousands of light processes, each on a stack of its own, what one needs when it goes on is in no cache, and where
   its stack is not even known to the processor: it would wait for one load after the other, some 250 ns for a
   hop in a ring of 100,000. But networks do the same over and over. So each fibre remembers who was resumed FORESIGHT turns
   after it the last time, and the memory of that one is asked for when it is its turn again. (Temporal prefetching, done by the
   scheduler: Wenisch et al., "Temporal Streaming of Shared Memory", ISCA 2005.) It is judged by how often that was right, and
   nothing is asked for where it is wrong as a rule, as in a sieve, where it is right in one of four. Where it still is after
   some rounds nothing is remembered either, for that is a line of the cache more for each process; it is tried
   again later, and then later still.

   What is remembered are addresses, which may be of what has gone since: they are asked for, never loaded from. The fibres in
   `recent` are written to: a stack that has been given back keeps its record (stack.c). */
#ifndef USP_RUNTIME_FORESIGHT_H
#define USP_RUNTIME_FORESIGHT_H

#include "runtime/scheduler.h"

#define USP_FORESIGHT_FROM 1500  /* live fibres: fewer are in the caches, or nearly so */
#define USP_MOST_TRUST 64
#define USP_LOST_TRUST 4         /* by a fibre that was not expected */
#define USP_ENOUGH_TRUST 8

static inline bool usp_foresees(void)
{
    return usp_sched.foresight.now;
}

/* Called by the loop's fibre, at each of its turns: are there enough fibres, has a trial ended, or the rest after one? */
void usp_foresight_look(void);

/* Where usp_foresees(): `fibre` is about to be resumed. `one`, `another`: what else it needs then, or NULL. */
static inline __attribute__((always_inline)) void usp_foresee(struct usp_fibre *fibre, const void *one, const void *another)
{
    struct usp_foresight *foresight = &usp_sched.foresight;
    struct usp_fibre **slot = &foresight->recent[foresight->turn++ % USP_FORESIGHT], *then = *slot;
    *slot = fibre;
    if (!then)
        return;
    if (then->ahead.fibre == fibre) {
        if (foresight->trust < USP_MOST_TRUST)
            foresight->trust++;
    } else {
        foresight->trust -= foresight->trust < USP_LOST_TRUST ? foresight->trust : USP_LOST_TRUST;
        then->ahead = (struct usp_ahead){fibre, fibre->task, fibre->sp, {one, another}};
    }
    if (foresight->trust >= USP_ENOUGH_TRUST) {
        for (size_t line = 0; line < 2; line++) {
            __builtin_prefetch((const char *)fibre->ahead.fibre + 64 * line, 1);
            __builtin_prefetch((const char *)fibre->ahead.sp + 64 * line, 1);
        }
        __builtin_prefetch(fibre->ahead.others[0]);
        __builtin_prefetch(fibre->ahead.others[1], 1);
        for (size_t line = 0; line < 3; line++)
            __builtin_prefetch((const char *)fibre->ahead.task + 64 * line, 1);
    }
}

#endif
