/* A choice among plain channels that are all biased to this worker: the case that has to be fast.

   Nobody but this worker can be at such channels, so what a look has found stays true for as long as no other
   process runs here and the bias stands, and bias that stands now has never been gone. So the second look of
   alt.c under all locks is not needed, nor their order: none of these locks is ever waited for. Offers of
   a choice are the same as those of offer.c; who claims one sees no difference.

   Whatever is not of this kind (a buffer, an end of a channel, a guard that is no channel's and would have to
   be armed, a bias that is gone, too little room for the offers) goes the general way, from the start: until then
   nothing has been changed. */
#include "channels/choice.h"
#include "runtime/arena.h"

static inline enum usp_side side_of(const uvcsp_guard *guard)
{
    return (enum usp_side)(guard->kind - UVCSP_GUARD_READ);
}

/* The end of a guard that is a matter for this file, or NULL. */
static inline struct usp_end *end_of(const uvcsp_guard *guard)
{
    struct usp_end *end = guard->subject;
    uint64_t ordinary = (struct usp_end){.magic = USP_END_MAGIC}.head +
                        side_of(guard) * (struct usp_end){.side = 1}.head;
    if (!usp_is_channel(guard) || !guard->data || !usp_arena_may_hold(end) || end->head != ordinary)
        return NULL;
    return end;
}

static inline bool is_near(const struct usp_channel *channel)
{
    return atomic_load_explicit(&channel->bias, memory_order_relaxed) == usp_sched.holder &&
           channel->slow == 0;
}

enum { MET, NOBODY, GENERALLY };

/* Somebody is in the channel's queue. */
static inline int meet(struct usp_channel *channel, enum usp_side side, void *value)
{
    if (!usp_lock_biased(channel))
        return GENERALLY;
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer;
    struct usp_task *task = NULL;
    while (!task && (offer = queue->head)) {
        usp_unlink_head(queue, offer);
        task = usp_claim_near(offer);
    }
    usp_unlock_biased(channel);
    if (!task)
        return NOBODY;
    usp_copy(side == USP_READER ? value : offer->data, side == USP_READER ? offer->data : value,
             channel->plain_size);
    usp_ready(task->fibre);
    return MET;
}

/* ---- waiting ---- */

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
        enum usp_side side = side_of(guard);
        offer->channel = channel;
        offer->task = self;
        offer->data = guard->data;
        offer->index = k++;
        offer->length = channel->plain_size;
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
__attribute__((noinline, cold)) static long woken(uvcsp_guard *guards, size_t n, const char *site,
                                                  struct usp_task *self, size_t n_offers)
{
    struct usp_choice choice = {.guards = guards, .n = n, .site = site, .n_offers = n_offers};
    long result = usp_choice_woken(&choice, self);
    if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED)
        usp_current()->failed = (int)choice.ended;
    return result;
}

/* All guards that are on have been looked at, and are of channels where nobody waits. */
__attribute__((noinline)) static long wait_here(uvcsp_guard *guards, size_t n, const char *site,
                                                size_t n_offers)
{
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    if (n_offers == 0 || (n_offers > 1 && n_offers > wait->room))
        return USP_RETRY;
    wait->n = (uint32_t)n_offers;
    self->site = site;
    struct usp_offer *offers = usp_offers_of(self);
    if (!offer_all(guards, n, self, offers))
        return USP_RETRY;
    usp_park();
    if (__builtin_expect(self->outcome != 0, 0))
        return woken(guards, n, site, self, n_offers);
    size_t taken = usp_commit_index(atomic_load_explicit(&self->commit, memory_order_acquire));
    withdraw(offers, n_offers);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    return (long)(n_offers == n ? taken : guard_of(guards, taken));
}

/* The guard that was taken; USP_RETRY; or USP_WAITS, and how many offers it would take. */
static inline __attribute__((always_inline)) long look(const uvcsp_guard *guards, size_t n,
                                                       size_t start, size_t *n_offersp)
{
    const uvcsp_guard *guard = &guards[start], *end_of_all = &guards[n];
    size_t n_offers = 0;
    bool timed = false;
    for (size_t left = n; left > 0; left--) {
        if (guard->on) {
            struct usp_end *end = end_of(guard);
            if (__builtin_expect(!end, 0)) {
                if (guard->kind != UVCSP_GUARD_TIMEOUT || guard->seconds <= 0)
                    return USP_RETRY;
                timed = true;
            } else {
                struct usp_channel *channel = end->channel;
                if (__builtin_expect(!is_near(channel), 0))
                    return USP_RETRY;
                if (channel->waiting[usp_other(side_of(guard))].head) {
                    int met = meet(channel, side_of(guard), guard->data);
                    if (__builtin_expect(met != NOBODY, 1))
                        return met == MET ? guard - guards : USP_RETRY;
                }
                n_offers++;
            }
        }
        if (++guard == end_of_all)
            guard = guards;
    }
    *n_offersp = n_offers;
    return timed ? USP_RETRY : USP_WAITS;
}

/* Nobody waits at any of the channels, but others are ready to run, and may be the partners that the choice looks
   for. To let them run and look again costs half of what offers cost that are then taken back. Where that was
   in vain lately, it is not tried each time. */
static inline bool lets_others_run(struct usp_fibre *fibre)
{
    if (!usp_sched.head)
        return false;
    if (fibre->hasty > 0) {
        fibre->hasty--;
        return false;
    }
    usp_yield();
    return true;
}

long usp_choice_near(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    struct usp_fibre *fibre = usp_current();
    struct usp_end *first = NULL;
    size_t start = 0, n_offers = 0;
    if (mode != UVCSP_PRI && n > 1) {
        first = end_of(&guards[0]);
        if (!first || !first->task || first->fair_key != usp_choice_key(guards, n, site, first))
            return USP_RETRY;
        start = first->fair_next < n ? first->fair_next : 0;
    } else if (n == 0) {
        return USP_RETRY;
    }
    long taken = look(guards, n, start, &n_offers);
    if (__builtin_expect(taken == USP_WAITS, 0)) {
        if (!fibre->task || fibre->kill)
            return USP_RETRY;
        if (lets_others_run(fibre)) {
            taken = look(guards, n, start, &n_offers);
            fibre->hasty_after = taken >= 0 ? 0 : (fibre->hasty_after * 2 + 1) & 63;
            fibre->hasty = fibre->hasty_after;
        }
        if (taken == USP_WAITS && !fibre->kill)
            taken = wait_here(guards, n, site, n_offers);
    }
    if (__builtin_expect(taken < 0, 0))
        return taken == USP_WAITS ? USP_RETRY : taken;
    fibre->failed = -1;
    if (first)
        first->fair_next = (uint32_t)taken + 1;
    return taken;
}
