/* A choice under way, shared by the files that carry it out: alt.c (look, and all of it), guard.c (what guards
   are, and which comes first), offer.c (offer, park, withdraw). */
#ifndef USP_CHANNELS_CHOICE_H
#define USP_CHANNELS_CHOICE_H

#include <uvcsp/alt.h>

#include "channels/io.h"

#define USP_SOURCE_INDEX (1u << 23) /* set in the index of a source, to tell it from an offer's */

struct usp_choice {
    uvcsp_guard *guards;
    size_t n;
    size_t start;
    enum uvcsp_choice mode;
    const char *site;
    struct usp_channel **locked;
    size_t n_locked;
    size_t n_offers;
    double soonest;     /* of the timeouts; negative: none */
    uint32_t soonest_index;
    double deadline;    /* when a choice that has to look again would time out */
    uint32_t ended;     /* the guard that met poison or retirement */
};

static inline bool usp_is_channel(const uvcsp_guard *guard)
{
    return guard->kind == UVCSP_GUARD_READ || guard->kind == UVCSP_GUARD_WRITE;
}

/* ---- guard.c ---- */

/* Looks at all guards: counts the offers, finds the soonest timeout. 0; or -EINVAL with a line on stderr. */
int usp_choice_check(struct usp_choice *choice);
/* A guard that is no channel: 1 ready and taken; 0 not; -errno. */
int usp_guard_look(const uvcsp_guard *guard);
/* Arms its source; timers are armed apart. 0 or -errno. */
int usp_guard_arm(const uvcsp_guard *guard, struct usp_task *self, uint32_t index);
/* The bytes of a write guard; 0 or -errno. Where `owned` is set they are to be released. */
int usp_guard_bytes(const uvcsp_guard *guard, struct usp_bytes *bytes);
/* Fairness: the end that keeps the mark, or NULL; where to start; what was taken. */
struct usp_end *usp_choice_first(const struct usp_choice *choice);
void usp_choice_start(struct usp_choice *choice, const struct usp_end *first);
void usp_choice_taken(const struct usp_choice *choice, struct usp_end *first, size_t taken);

/* ---- offer.c ---- */

/* Offers on all channels, if there is still nothing, and waits. The index of the guard taken; -UVCSP_RETIRED or
   -UVCSP_POISONED (`ended` says which guard); USP_RETRY: look again; USP_KILLED; -errno. */
long usp_choice_wait(struct usp_choice *choice, struct usp_task *self);

#endif
