/* A choice among channels of this worker, at none of which somebody waits: it waits at all of them. The offers are those
   of offer.c; but none of the locks is ever waited for, and nobody else can be at the channels between the look and the
   offers. */
#include "channels/lock.h"
#include "channels/near.h"

/* A bias is gone: the offers are taken back that have been made until then. No one has seen them. */
__attribute__((noinline, cold)) static void take_back(struct usp_offer *offers, size_t n)
{
    for (size_t k = 0; k < n; k++)
        usp_unlink(&offers[k]);
    for (size_t k = 0; k < n; k++)
        usp_unlock_biased(offers[k].channel);
}

/* Takes all locks, makes the offers, and gives the locks back. False: it cannot be done. */
static inline bool offer_all(const uvcsp_guard *guards, size_t n, struct usp_task *self,
                             struct usp_offer *offers)
{
    struct usp_offer *offer = offers;
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const uvcsp_guard *guard = &guards[i];
        if (!guard->on)
            continue;
        struct usp_channel *channel = ((struct usp_end *)guard->subject)->channel;
        /* A channel that stands among the guards twice is locked already, and must not be let go by a second
           attempt that finds the bias gone. Nobody else is inside: others are of other workers. */
        bool inside = atomic_load_explicit(&channel->inside, memory_order_relaxed) == 1;
        if (__builtin_expect(!inside && !usp_lock_biased(channel), 0)) {
            take_back(offers, k);
            return false;
        }
        enum usp_side side = usp_side_of(guard);
        offer->channel = channel;
        offer->task = self;
        offer->data = side == USP_READER ? guard->data : usp_place_of(guard);
        offer->index = k++;
        offer->length = channel->size;
        offer->marks = (struct usp_offer){.queued = 1}.marks;
        offer->side = (uint8_t)side;
        offer->stash = NULL;
        usp_enqueue_at(channel, offer++, side);
    }
    usp_task_arming(self);
    usp_task_open(self);
    usp_task_armed(self);
    while (offer-- != offers)
        usp_unlock_biased(offer->channel);
    return true;
}

static inline void withdraw(struct usp_offer *offer, size_t n)
{
    for (; n > 0; n--, offer++) {
        struct usp_channel *channel = offer->channel;
        if (__builtin_expect(!usp_lock_biased(channel), 0)) { /* it was taken away while we waited */
            usp_lock(channel);
            if (offer->queued)
                usp_unlink(offer);
            usp_unlock(channel);
            continue;
        }
        if (offer->queued)
            usp_unlink(offer);
        usp_unlock_biased(channel);
    }
}

static inline size_t guard_of(const uvcsp_guard *guards, size_t offer)
{
    for (size_t i = 0;; i++)
        if (guards[i].on && offer-- == 0)
            return i;
}

/* Woken by an end, or from another worker. */
__attribute__((noinline, cold)) static int woken(uvcsp_guard *guards, uint64_t packed_choice, const char *site,
                                                 struct usp_task *self)
{
    struct usp_choice choice = {.guards = guards, .n = usp_near_n(packed_choice), .site = site,
                                .n_offers = usp_wait_of(self)->n};
    long result = usp_choice_woken(&choice, self);
    if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED) {
        usp_current()->failed = (int)choice.ended;
        usp_near_mark(guards, packed_choice, &guards[choice.ended]);
    }
    if (result >= 0)
        return usp_near_taken(guards, packed_choice, &guards[result]);
    if (result == USP_RETRY)
        return usp_choice_generally(guards, usp_near_n(packed_choice), usp_near_mode(packed_choice), site);
    return usp_choice_over(result, guards, site);
}

static int waited(void)
{
    struct usp_chosen *chosen = &usp_current()->chosen;
    uvcsp_guard *guards = chosen->guards;
    uint64_t choice = chosen->choice;
    struct usp_task *self = usp_current()->task;
    if (__builtin_expect(self->outcome != 0, 0))
        return woken(guards, choice, chosen->site, self);
    size_t guard = usp_commit_index(atomic_load_explicit(&self->commit, memory_order_acquire));
    size_t n_offers = usp_wait_of(self)->n;
    withdraw(usp_offers_of(self), n_offers);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    if (n_offers != usp_near_n(choice))
        guard = guard_of(guards, guard);
    return usp_near_taken(guards, choice, guards + guard);
}

int usp_near_wait(uvcsp_guard *guards, uint64_t choice, const char *site)
{
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    size_t n = usp_near_n(choice), n_offers = 0;
    bool all_good = true;
    for (size_t i = 0; i < n; i++) {
        n_offers += guards[i].on;
        all_good &= !guards[i].on || usp_place_of(&guards[i]);
    }
    if (all_good && n_offers > 0 && (n_offers == 1 || n_offers <= wait->room)) {
        usp_wait_has(wait, (uint32_t)n_offers);
        self->site = usp_alt_place(site);
        if (offer_all(guards, n, self, usp_offers_of(self))) {
            usp_near_note(guards, choice, site, NULL);
            return usp_near_park(usp_sched.head, waited);
        }
    }
    return usp_choice_generally(guards, n, usp_near_mode(choice), site);
}
