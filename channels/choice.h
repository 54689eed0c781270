/* A choice under way, shared by the files that carry it out: alt.c (look, and all of it), guard.c (what guards
   are, and which comes first), offer.c (offer, park, withdraw), near.c and near_wait.c (all of it, in the simplest case). */
#ifndef USP_CHANNELS_CHOICE_H
#define USP_CHANNELS_CHOICE_H

#include <uvcsp/alt.h>

#include "channels/io.h"

#define USP_SOURCE_INDEX (1u << 23) /* set in the index of a source, to tell it from an offer's */

struct usp_choice {
    uvcsp_guard *guards;
    size_t n;
    size_t start;
    uint32_t key;       /* by which a fair choice finds its mark */
    enum uvcsp_choice mode;
    const char *site;
    struct usp_channel **locked;
    size_t n_locked;
    size_t n_offers;
    double soonest;     /* of the timeouts; negative: none */
    uint32_t soonest_index;
    double deadline;    /* when a choice that has to look again would time out */
    uint32_t ended;     /* the guard that met poison or retirement */
    bool uses;          /* it is counted in at what its guards use (common.h) */
};

static inline bool usp_is_channel(const uvcsp_guard *guard)
{
    return guard->kind == UVCSP_GUARD_READ || guard->kind == UVCSP_GUARD_WRITE;
}
/* Where its message goes, or lies. */
static inline void *usp_place_of(const uvcsp_guard *guard)
{
    return __builtin_expect(guard->within, 0) ? (void *)(uintptr_t)guard->value : guard->data;
}

/* ---- guard.c ---- */

/* Looks at all guards: counts the offers, finds the soonest timeout. 0; or -EINVAL with a line on stderr. */
int usp_choice_check(struct usp_choice *choice);
/* A guard that is no channel: 1 ready and taken; 0 not; -errno. */
int usp_guard_look(const uvcsp_guard *guard);
/* Arms its source; timers are armed apart. 0 or -errno. */
int usp_guard_arm(const uvcsp_guard *guard, struct usp_task *self, uint32_t index);
/* A line on stderr about guard `i`, of which one of the two has given `error`, which is returned. */
int usp_guard_failed(const struct usp_choice *choice, size_t i, int error) __attribute__((cold));
/* The bytes of a write guard; 0, or -errno with a line on stderr. Where `owned` is set they are to be released. */
int usp_guard_bytes(const struct usp_choice *choice, const uvcsp_guard *guard, struct usp_bytes *bytes);

/* Fairness. A choice goes on behind the guard that it took the last time. Where it stood is kept in the first end of
   its guards, with a key for the set of guards, since a process may use one end in several choices. */

/* The end that keeps the mark, or NULL. */
struct usp_end *usp_choice_first(const struct usp_choice *choice);
/* The mark of that key and end, kept elsewhere; or anything. */
uint32_t usp_mark_find(uint32_t key, const struct usp_end *first);
/* Sets the mark; another choice's may have to go elsewhere. */
void usp_mark_set(uint32_t key, struct usp_end *first, uint32_t next);

static inline bool usp_is_fair(const struct usp_choice *choice)
{
    return choice->mode != UVCSP_PRI && choice->n > 1;
}

extern const char usp_alt_site[] __attribute__((visibility("hidden")));
/* Where the caller stands. */
static inline const char *usp_alt_place(const char *site)
{
    return site == usp_alt_site ? usp_place_of_call(usp_current()->alt_site) : site;
}

static inline uint32_t usp_choice_key(const uvcsp_guard *guards, size_t n, const char *site)
{
    uint32_t where = site == usp_alt_site ? 0 : (uint32_t)(uintptr_t)site;
    return (where + (uint32_t)n) * 0x9e3779b1u + (uint32_t)(uintptr_t)guards[n - 1].subject;
}

/* Where to start. */
static inline void usp_choice_start(struct usp_choice *choice, const struct usp_end *first)
{
    choice->start = 0;
    if (!usp_is_fair(choice))
        return;
    choice->key = usp_choice_key(choice->guards, choice->n, choice->site);
    size_t next = first && first->fair_key == choice->key ? first->fair_next
                                                          : usp_mark_find(choice->key, first);
    next /= sizeof *choice->guards;
    if (next >= choice->n)
        next = next == choice->n ? 0 : next % choice->n;
    choice->start = next;
}

/* What was taken. */
static inline void usp_choice_taken(const struct usp_choice *choice, struct usp_end *first, size_t taken)
{
    if (!usp_is_fair(choice))
        return;
    uint32_t next = (uint32_t)((taken + 1) * sizeof *choice->guards);
    if (__builtin_expect(first && first->fair_key == choice->key, 1))
        first->fair_next = next;
    else
        usp_mark_set(choice->key, first, next);
}

/* ---- offer.c ---- */

/* Offers on all channels, if there is still nothing, and waits. The index of the guard taken; -UVCSP_RETIRED or
   -UVCSP_POISONED (`ended` says which guard); USP_RETRY: look again; USP_KILLED; -errno. */
long usp_choice_wait(struct usp_choice *choice, struct usp_task *self);
/* The process has been woken, with an outcome: the same, and its other offers are taken back. */
long usp_choice_woken(struct usp_choice *choice, struct usp_task *self);

/* ---- near.c ---- */

/* The mark of the choice that the calling process does over and over is in its end from here on. */
void usp_choice_no_habit(void);

/* ---- alt.c ---- */

/* All of a choice, in the general way. Ends the process, or aborts, where uvcsp_choose() has to; `site` is usp_alt_site
   in uvcsp_alt(). */
int usp_choice_generally(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site);
/* What a choice gives, if that is its result. */
int usp_choice_over(long result, uvcsp_guard *guards, const char *site);

#define USP_MOST_GUARDS (1u << 20)

#endif
