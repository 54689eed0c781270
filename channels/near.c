/* A choice among plain channels that are all biased to this worker: the case that has to be fast.

   Nobody but this worker can be at such channels, so what a look has found stays true for as long as no other
   process runs here and the bias stands, and bias that stands now has never been gone. So the second look of
   alt.c under all locks is not needed, nor their order: none of these locks is ever waited for. Offers of
   a choice are the same as those of offer.c; who claims one sees no difference.

   Whatever is not of this kind (a buffer, an end of a channel, a guard that is no channel's and would have to
   be armed, a bias that is gone, too little room for the offers) goes the general way, from the start: until then
   nothing has been changed.

   As in fast.c, a choice that parks does so as its last act, and is gone on with by again() or waited(), so that
   nothing returns over a switch of stacks: each such return would be predicted wrongly. */
#include <string.h>

#include "channels/choice.h"
#include "runtime/arena.h"

static inline enum usp_side side_of(const uvcsp_guard *guard)
{
    return (enum usp_side)(guard->kind - UVCSP_GUARD_READ);
}

static inline bool is_ordinary(const struct usp_end *end, enum usp_side side)
{
    return (uintptr_t)end > 4096 && /* NULL, or of a field of what is NULL */
           end->head == (struct usp_end){.magic = USP_END_MAGIC, .side = (uint8_t)side}.head;
}

/* ---- parking ---- */

/* A choice under way: how many guards, and how. */
static inline uint64_t packed(size_t n, enum uvcsp_choice mode)
{
    return n | (uint64_t)mode << 32;
}
static inline size_t n_of(uint64_t choice)
{
    return (uint32_t)choice;
}
static inline enum uvcsp_choice mode_of(uint64_t choice)
{
    return (enum uvcsp_choice)(choice >> 32);
}
static inline bool is_fair(uint64_t choice)
{
    return mode_of(choice) != UVCSP_PRI && n_of(choice) > 1;
}
static inline uint32_t offset_of(const uvcsp_guard *guards, const uvcsp_guard *guard)
{
    return (uint32_t)((const char *)guard - (const char *)guards);
}

typedef int then_fn(void *guards, uint64_t choice, const void *site, const void *from);

__attribute__((noinline)) static int park_slowly(void *guards, uint64_t choice, const void *site, const void *from,
                                                 then_fn *then)
{
    usp_park();
    return then(guards, choice, site, from);
}

/* Parks; then(guards, choice, site, from) goes on. `next`: the first of the queue, or NULL. */
static inline __attribute__((always_inline)) int park_then(struct usp_fibre *next, then_fn *then, void *guards,
                                                           uint64_t choice, const void *site, const void *from)
{
#ifdef USP_PARK_TAIL
    if (__builtin_expect(next && next->sp, 1)) {
        if (__builtin_expect(--usp_sched.turns != 0, 1)) {
            usp_sched.head = next->next;
            return usp_park_then(guards, choice, site, from, then, next);
        }
        usp_sched.turns = 1; /* it is counted again */
    }
#else
    (void)next;
#endif
    return park_slowly(guards, choice, site, from, then);
}

/* ---- looking ---- */

enum { MET, NOBODY, GENERALLY };

/* Others wait. The lock is held, and is released. */
static inline int meet(struct usp_channel *channel, enum usp_side side, void *value)
{
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
    usp_ready_partner(task->fibre, side == USP_WRITER);
    return MET;
}

/* `plainly`: it is a matter only if a plain READ or WRITE waits there, for a value of 4 or 8 bytes. Then nothing is called,
   and no register saved. */
static inline __attribute__((always_inline)) int look_at(const uvcsp_guard *guard, enum usp_side side, uint64_t pass,
                                                         bool plainly)
{
    const struct usp_end *end = guard->subject;
    if (__builtin_expect(!is_ordinary(end, side), 0))
        return GENERALLY;
    struct usp_channel *channel = end->channel;
    if (__builtin_expect(!usp_may_pass(channel, pass), 0))
        return GENERALLY;
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer = queue->head;
    if (!offer)
        return NOBODY;
    void *value = side == USP_READER ? guard->data : usp_place_of(guard);
    if (__builtin_expect(!value, 0))
        return GENERALLY;
    if (plainly && __builtin_expect(!offer->single, 0))
        return GENERALLY;
    if (__builtin_expect(!usp_pass(channel, pass), 0))
        return GENERALLY;
    if (!plainly)
        return meet(channel, side, value);
    void *to = side == USP_READER ? value : offer->data;
    const void *from = side == USP_READER ? offer->data : value;
    if (__builtin_expect(channel->plain_size == 4, 1)) {
        memcpy(to, from, 4);
    } else if (channel->plain_size == 8) {
        memcpy(to, from, 8);
    } else {
        usp_unlock_biased(channel);
        return GENERALLY;
    }
    struct usp_task *task = usp_task_of_single(offer);
    usp_unlink_head(queue, offer);
    usp_claim_single(task);
    usp_unlock_biased(channel);
    usp_ready_partner(task->fibre, side == USP_WRITER);
    return MET;
}

/* The guard that was taken; NULL, and `*why`: USP_RETRY, that is no matter for this function, or USP_WAITS. */
static inline __attribute__((always_inline)) const uvcsp_guard *look(const uvcsp_guard *guards, size_t n,
                                                                     const uvcsp_guard *from, bool plainly, int *why)
{
    uint64_t pass = usp_gates[USP_RENDEZVOUS];
    const uvcsp_guard *guard = from, *end = &guards[n];
    bool timed = false;
    *why = USP_RETRY;
    do {
        int met = NOBODY;
        if (guard->kind == UVCSP_GUARD_READ) {
            if (guard->on)
                met = look_at(guard, USP_READER, pass, plainly);
        } else if (*(const volatile bool *)&guard->on) { /* not to be loaded before it is known that it is no READ */
            if (guard->kind == UVCSP_GUARD_WRITE)
                met = look_at(guard, USP_WRITER, pass, plainly);
            else if (!plainly && guard->kind == UVCSP_GUARD_TIMEOUT && guard->seconds > 0)
                timed = true;
            else
                met = GENERALLY;
        }
        if (met != NOBODY)
            return met == MET ? guard : NULL;
        if (++guard == end)
            guard = guards;
    } while (guard != from);
    if (!timed && pass != UINT64_MAX) /* a foreign thread may have looked at no channel */
        *why = USP_WAITS;
    return NULL;
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
        offer->data = side == USP_READER ? guard->data : usp_place_of(guard);
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

/* That guard was taken, or had ended: the next time it comes last. Others may have run since the first end was looked at. */
static inline __attribute__((always_inline)) void leave_mark(const uvcsp_guard *guards, bool fair, const uvcsp_guard *guard)
{
    struct usp_end *first = guards[0].subject;
    if (fair && first->magic == USP_END_MAGIC)
        first->fair_next = offset_of(guards, guard + 1);
}

/* Woken by an end, or from another worker. */
__attribute__((noinline, cold)) static int woken(uvcsp_guard *guards, uint64_t packed_choice, const char *site,
                                                 struct usp_task *self)
{
    struct usp_choice choice = {.guards = guards, .n = n_of(packed_choice), .site = site,
                                .n_offers = usp_wait_of(self)->n};
    long result = usp_choice_woken(&choice, self);
    if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED) {
        usp_current()->failed = (int)choice.ended;
        leave_mark(guards, is_fair(packed_choice), &guards[choice.ended]);
    }
    if (result == USP_RETRY)
        return usp_choice_generally(guards, n_of(packed_choice), mode_of(packed_choice), site);
    return usp_choice_over(result, guards, site);
}

static inline __attribute__((always_inline)) int taken(const uvcsp_guard *guards, bool fair, const uvcsp_guard *guard)
{
    usp_current()->failed = -1;
    leave_mark(guards, fair, guard);
    return (int)(guard - guards);
}

static int waited(void *guards, uint64_t choice, const void *site, const void *from)
{
    (void)from;
    struct usp_task *self = usp_current()->task;
    if (__builtin_expect(self->outcome != 0, 0))
        return woken(guards, choice, site, self);
    size_t guard = usp_commit_index(atomic_load_explicit(&self->commit, memory_order_acquire));
    size_t n_offers = usp_wait_of(self)->n;
    withdraw(usp_offers_of(self), n_offers);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    if (n_offers != n_of(choice))
        guard = guard_of(guards, guard);
    return taken(guards, is_fair(choice), (uvcsp_guard *)guards + guard);
}

/* All guards that are on have been looked at, and are of channels where nobody waits. */
__attribute__((noinline)) static int wait_here(uvcsp_guard *guards, uint64_t choice, const char *site)
{
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    size_t n = n_of(choice), n_offers = 0;
    bool all_good = true;
    for (size_t i = 0; i < n; i++) {
        n_offers += guards[i].on;
        all_good &= !guards[i].on || usp_place_of(&guards[i]);
    }
    if (all_good && n_offers > 0 && (n_offers == 1 || n_offers <= wait->room)) {
        wait->n = (uint32_t)n_offers;
        self->site = usp_alt_place(site);
        if (offer_all(guards, n, self, usp_offers_of(self)))
            return park_then(usp_sched.head, waited, guards, choice, site, NULL);
    }
    return usp_choice_generally(guards, n, mode_of(choice), site);
}

/* Nobody waited at any of the channels, but others were ready to run, and might be the partners that the choice looks
   for. To let them run and look again costs half of what offers cost that are then taken back. Where that was
   in vain lately, it is not tried each time. */
__attribute__((noinline)) static int again_slowly(uvcsp_guard *guards, uint64_t choice, const char *site,
                                                  const uvcsp_guard *from)
{
    int why;
    const uvcsp_guard *guard = look(guards, n_of(choice), from, false, &why);
    struct usp_fibre *fibre = usp_current();
    if (guard) {
        fibre->hasty = fibre->hasty_after = 0;
        return taken(guards, is_fair(choice), guard);
    }
    fibre->hasty = fibre->hasty_after = (fibre->hasty_after * 2 + 1) & 63;
    if (why == USP_WAITS && !fibre->kill)
        return wait_here(guards, choice, site);
    return usp_choice_generally(guards, n_of(choice), mode_of(choice), site);
}

static inline __attribute__((always_inline)) int again_if(bool fair, uvcsp_guard *guards, uint64_t choice,
                                                          const void *site, const void *from)
{
    int why;
    const uvcsp_guard *guard = look(guards, n_of(choice), from, true, &why);
    if (__builtin_expect(!guard, 0))
        return again_slowly(guards, choice, site, from);
    struct usp_fibre *fibre = usp_current();
    fibre->hasty = fibre->hasty_after = 0;
    return taken(guards, fair, guard);
}

static int again_fair(void *guards, uint64_t choice, const void *site, const void *from)
{
    return again_if(true, guards, choice, site, from);
}

static int again(void *guards, uint64_t choice, const void *site, const void *from)
{
    return again_if(false, guards, choice, site, from);
}

static inline __attribute__((always_inline)) int wait_or_let_run(bool fair, uvcsp_guard *guards, uint64_t choice,
                                                                 const char *site, const uvcsp_guard *from)
{
    struct usp_fibre *fibre = usp_current(), *next = usp_sched.head;
    if (!fibre->task || fibre->kill)
        return usp_choice_generally(guards, n_of(choice), mode_of(choice), site);
    if (next && fibre->hasty == 0) {
        fibre->next = NULL; /* to the end of the queue */
        usp_sched.tail->next = fibre;
        usp_sched.tail = fibre;
        return park_then(next, fair ? again_fair : again, guards, choice, site, from);
    }
    fibre->hasty -= next && fibre->hasty > 0;
    return wait_here(guards, choice, site);
}

/* ---- all of it ---- */

__attribute__((noinline)) static int choose_slowly(uvcsp_guard *guards, uint64_t choice, const char *site,
                                                   const uvcsp_guard *from)
{
    int why;
    const uvcsp_guard *guard = look(guards, n_of(choice), from, false, &why);
    if (guard)
        return taken(guards, is_fair(choice), guard);
    if (why == USP_WAITS)
        return wait_or_let_run(is_fair(choice), guards, choice, site, from);
    return usp_choice_generally(guards, n_of(choice), mode_of(choice), site);
}

/* By priority, or of one guard, or of far too many, or it is not known where to start. */
__attribute__((noinline)) static int choose_otherwise(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode,
                                                      const char *site)
{
    if (!guards || n - 1 >= USP_MOST_GUARDS || (n > 1 && mode != UVCSP_PRI))
        return usp_choice_generally(guards, n, mode, site);
    return choose_slowly(guards, packed(n, mode), site, guards);
}

/* What stands first is an end if it is in the arena and its key matches: of one that is freed, or nobody's, that is 0
   (unlink_end). */
static inline __attribute__((always_inline)) int choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode,
                                                        const char *site)
{
    if (__builtin_expect(mode == UVCSP_PRI || !guards || n - 2 >= USP_MOST_GUARDS - 1, 0))
        return choose_otherwise(guards, n, mode, site);
    const struct usp_end *first = guards[0].subject;
    if (__builtin_expect(!usp_arena_may_hold(first) || first->fair_key != usp_choice_key(guards, n, site), 0))
        return choose_otherwise(guards, n, mode, site);
    size_t next = first->fair_next;
    const uvcsp_guard *from = next < n * sizeof *guards ? (const void *)((const char *)guards + next) : guards;
    int why;
    const uvcsp_guard *guard = look(guards, n, from, true, &why);
    if (__builtin_expect(guard != NULL, 1)) {
        usp_current()->failed = -1;
        ((struct usp_end *)guards[0].subject)->fair_next = offset_of(guards, guard + 1);
        return (int)(guard - guards);
    }
    if (why == USP_WAITS)
        return wait_or_let_run(true, guards, packed(n, UVCSP_FAIR), site, from);
    return choose_slowly(guards, packed(n, UVCSP_FAIR), site, from);
}

int (uvcsp_alt)(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode)
{
    return uvcsp_alt_at(guards, n, mode, usp_alt_site);
}

int uvcsp_alt_at(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    struct usp_fibre *fibre = usp_current();
    if (__builtin_expect(fibre != NULL, 1)) /* another thread is told later that it must not be here */
        fibre->alt_site = site;
    return choose(guards, n, mode, usp_alt_site);
}

int uvcsp_choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    return choose(guards, n, mode, site);
}
