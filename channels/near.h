/* A choice among channels of this worker, shared by near.c (look, and take what is there) and near_wait.c (wait). */
#ifndef USP_CHANNELS_NEAR_H
#define USP_CHANNELS_NEAR_H

#include "channels/choice.h"

/* A choice under way: how many guards, and how. */
#define USP_USUAL (1ull << 63) /* it is the habit of its process */

static inline uint64_t usp_near_packed(size_t n, enum uvcsp_choice mode)
{
    return n | (uint64_t)mode << 32;
}
static inline size_t usp_near_n(uint64_t choice)
{
    return (uint32_t)choice;
}
static inline enum uvcsp_choice usp_near_mode(uint64_t choice)
{
    return (enum uvcsp_choice)((choice & ~USP_USUAL) >> 32);
}

static inline enum usp_side usp_side_of(const uvcsp_guard *guard)
{
    return (enum usp_side)(guard->kind - UVCSP_GUARD_READ);
}

/* That guard was taken, or had ended: the next time it comes last. Others may have run since the first end was looked at. */
static inline __attribute__((always_inline)) void usp_near_mark(const uvcsp_guard *guards, uint64_t choice,
                                                                const uvcsp_guard *guard)
{
    if (choice & USP_USUAL) {
        usp_current()->habit.from = guard + 1;
    } else if (usp_near_mode(choice) != UVCSP_PRI && usp_near_n(choice) > 1) {
        struct usp_end *first = guards[0].subject;
        if (first->magic == USP_END_MAGIC)
            first->fair_next = (uint32_t)((const char *)(guard + 1) - (const char *)guards);
    }
}

static inline __attribute__((always_inline)) int usp_near_taken(const uvcsp_guard *guards, uint64_t choice,
                                                                const uvcsp_guard *guard)
{
    usp_current()->failed = -1;
    usp_near_mark(guards, choice, guard);
    return (int)(guard - guards);
}

/* ---- parking, as the last act ---- */

typedef int usp_near_then(void);

__attribute__((noinline)) static int usp_near_park_slowly(usp_near_then *then)
{
    usp_park();
    return then();
}

/* Parks; then() goes on. `next`: the first of the queue, or NULL. */
static inline __attribute__((always_inline)) int usp_near_park(struct usp_fibre *next, usp_near_then *then)
{
#ifdef USP_PARK_TAIL
    if (__builtin_expect(next && next->sp, 1)) {
        if (__builtin_expect(--usp_sched.turns != 0, 1)) {
            usp_sched.head = next->next;
            return usp_park_then(then, next);
        }
        usp_sched.turns = 1; /* it is counted again */
    }
#else
    (void)next;
#endif
    return usp_near_park_slowly(then);
}

/* For then(): what the choice is. */
static inline void usp_near_note(uvcsp_guard *guards, uint64_t choice, const char *site, const uvcsp_guard *from)
{
    usp_current()->chosen = (struct usp_chosen){guards, from, choice, site};
}

/* ---- near_wait.c ---- */

/* All guards that are on have been looked at, and are of channels where nobody waits: waits for one of them. */
int usp_near_wait(uvcsp_guard *guards, uint64_t choice, const char *site) __attribute__((visibility("hidden")));

#endif
