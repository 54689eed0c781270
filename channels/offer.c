/* The part of a choice that waits: offer, park, withdraw. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channels/choice.h"
#include "channels/lock.h"
#include "channels/transfer.h"
#include "runtime/arena.h"
#include "runtime/failpoint.h"
#include "runtime/link.h"
#include "runtime/sources.h"

#define ON_STACK 16 /* guards up to here need no memory but the stack */

/* ---- offer ---- */

static int by_address(const void *a, const void *b)
{
    const struct usp_channel *x = *(struct usp_channel *const *)a, *y = *(struct usp_channel *const *)b;
    return x < y ? -1 : x > y;
}

/* The distinct channels of the guards, in the order of their addresses. */
static void collect_channels(struct usp_choice *choice)
{
    size_t m = 0;
    bool sorted = true;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on || !usp_is_channel(guard))
            continue;
        choice->locked[m++] = ((struct usp_end *)guard->subject)->channel;
        if (m > 1 && choice->locked[m - 2] >= choice->locked[m - 1])
            sorted = false;
    }
    if (!sorted) {
        qsort(choice->locked, m, sizeof *choice->locked, by_address);
        size_t distinct = 1;
        for (size_t i = 1; i < m; i++)
            if (choice->locked[i] != choice->locked[distinct - 1])
                choice->locked[distinct++] = choice->locked[i];
        m = distinct;
    }
    choice->n_locked = m;
}

static void unlock_all(const struct usp_choice *choice)
{
    for (size_t i = choice->n_locked; i-- > 0;)
        usp_unlock(choice->locked[i]);
}

/* Room for the offers, before any lock is taken. */
static int make_room(struct usp_choice *choice, struct usp_task *self)
{
    struct usp_wait *wait = usp_wait_of(self);
    if (choice->n_offers <= 1 || choice->n_offers <= wait->room)
        return 0;
    size_t room = choice->n_offers < 4 ? 4 : choice->n_offers;
    struct usp_offer *table = usp_arena_alloc(room * sizeof *table, USP_BLOCK_OFFERS);
    if (!table)
        return -ENOMEM;
    memset(table, 0, room * sizeof *table);
    usp_wait_has(wait, 0);
    USP_FAILPOINT("table-to-change");
    usp_arena_free(wait->table);
    USP_FAILPOINT("table-freed");
    wait->table = table;
    wait->room = (uint32_t)room;
    return 0;
}

/* With all locks held: one more look, then the offers. Returns like look(); `n`: offers are out. The bytes of
   the write guards are in `bytes`, by offer. */
static long offer_all(struct usp_choice *choice, struct usp_task *self, struct usp_bytes *bytes,
                      struct usp_offer **claimed)
{
    size_t k = 0;
    for (size_t j = 0; j < choice->n; j++) {
        const uvcsp_guard *guard = &choice->guards[j];
        if (!guard->on || !usp_is_channel(guard))
            continue;
        int rc = usp_step(guard->subject, guard->data, &bytes[k++], claimed);
        if (rc == 0)
            return (long)j;
        if (rc > 0) {
            choice->ended = (uint32_t)j;
            return -rc;
        }
        if (rc < 0 && rc != USP_WAITS)
            return rc;
    }
    struct usp_wait *wait = usp_wait_of(self);
    usp_wait_has(wait, (uint32_t)choice->n_offers);
    struct usp_offer *offers = usp_offers_of(self);
    k = 0;
    for (size_t j = 0; j < choice->n; j++) {
        const uvcsp_guard *guard = &choice->guards[j];
        if (!guard->on || !usp_is_channel(guard))
            continue;
        struct usp_end *end = guard->subject;
        struct usp_offer *offer = &offers[k];
        usp_offer_begin(offer, end->channel, self, (uint32_t)k,
                        (struct usp_offer){.side = end->side, .looks = end->looks}.marks);
        if (end->channel->far)
            usp_link_expect();
        if (end->channel->common && !choice->uses)
            usp_common_use(self, end->channel->common);
        if (end->side == USP_WRITER) {
            offer->data = (void *)(uintptr_t)bytes[k].data;
            offer->length = bytes[k].length;
            usp_stash(offer);
        } else {
            offer->data = guard->data;
        }
        k++;
    }
    choice->uses = true; /* until the choice is over, however often it looks again */
    USP_FAILPOINT("offers-written");
    usp_task_arming(self);
    usp_task_open(self);
    USP_FAILPOINT("choice-open");
    for (k = 0; k < choice->n_offers; k++) {
        offers[k].channel->waits_last = self->worker;
        usp_enqueue(&offers[k], (enum usp_side)offers[k].side);
    }
    return (long)choice->n;
}

/* ---- park and withdraw ---- */

/* A claim names an offer by its number, a source by its guard with USP_SOURCE_INDEX set. */
static int arm_all(struct usp_choice *choice, struct usp_task *self)
{
    int rc = 0;
    for (size_t i = 0; i < choice->n && rc == 0; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (guard->on && !usp_is_channel(guard) && guard->kind != UVCSP_GUARD_TIMEOUT)
            rc = usp_guard_arm(guard, self, USP_SOURCE_INDEX | (uint32_t)i);
        if (rc < 0)
            return usp_guard_failed(choice, i, rc);
    }
    if (rc == 0 && choice->soonest > 0) {
        double now = (double)uv_hrtime() * 1e-9;
        if (choice->deadline == 0)
            choice->deadline = now + choice->soonest;
        rc = usp_timer_arm(self, USP_SOURCE_INDEX | choice->soonest_index,
                           choice->deadline > now ? choice->deadline - now : 0);
    }
    return rc;
}

static void withdraw(const struct usp_choice *choice, struct usp_task *self)
{
    struct usp_offer *offers = usp_offers_of(self);
    for (size_t k = 0; k < choice->n_offers; k++) {
        struct usp_channel *channel = offers[k].channel;
        USP_FAILPOINT("to-withdraw");
        usp_lock(channel);
        if (offers[k].queued)
            usp_unlink(&offers[k]);
        USP_FAILPOINT("withdrawn");
        usp_unlock(channel);
    }
}

/* The guard behind an offer. */
static size_t guard_of(const struct usp_choice *choice, size_t offer)
{
    for (size_t i = 0;; i++)
        if (choice->guards[i].on && usp_is_channel(&choice->guards[i]) && offer-- == 0)
            return i;
}

/* After the wait. `armed`: the error by which arming a source had failed, or 0. */
static long woken(struct usp_choice *choice, struct usp_task *self, int armed)
{
    uint64_t commit = atomic_load_explicit(&self->commit, memory_order_acquire);
    int outcome = self->outcome == USP_FILLED ? 0 : self->outcome;
    uint32_t index = usp_commit_index(commit);
    withdraw(choice, self);
    usp_wait_of(self)->first.looks = 0; /* as fast.c expects it */
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);

    struct usp_offer *offers = usp_offers_of(self);
    long result;
    if (armed < 0 && index == USP_SOURCE_INDEX) {
        result = armed;
        index = UINT32_MAX;
    } else if (outcome == USP_KILLED) {
        result = USP_KILLED;
        index = UINT32_MAX;
    } else if (index & USP_SOURCE_INDEX) {
        result = (long)(index & ~USP_SOURCE_INDEX);
        index = UINT32_MAX;
    } else if (outcome == USP_RETRY) {
        result = USP_RETRY;
    } else {
        result = (long)guard_of(choice, index);
    }
    for (uint32_t k = 0; k < choice->n_offers; k++) {
        if (!(offers[k].filled | (offers[k].stash != NULL)))
            continue;
        int rc = usp_collect(&offers[k], k == index ? outcome : USP_RETRY);
        if (k == index)
            outcome = rc;
    }
    usp_wait_of(self)->first.passed = 0;
    if (index == UINT32_MAX || result == USP_RETRY)
        return result;
    const struct usp_end *end = choice->guards[result].subject;
    if (outcome > 0 && !end->looks) { /* the end of a channel is what an end that looks waits for as well */
        choice->ended = (uint32_t)result;
        return -outcome;
    }
    return outcome < 0 ? outcome : result;
}

long usp_choice_woken(struct usp_choice *choice, struct usp_task *self)
{
    return woken(choice, self, 0);
}

/* The choice waits. Like look(); USP_RETRY when it has to look again. */
static long park(struct usp_choice *choice, struct usp_task *self)
{
    self->site = usp_alt_place(choice->site);
    int armed = arm_all(choice, self);
    if (armed < 0 && usp_task_claim(self, usp_worker_index(), USP_SOURCE_INDEX))
        usp_wake(self);
    usp_task_armed(self);
    usp_park();
    usp_sources_disarm(self);
    self->site = NULL;
    return woken(choice, self, armed);
}

/* ---- all of it ---- */

static int all_bytes(const struct usp_choice *choice, struct usp_bytes *bytes)
{
    size_t k = 0;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on || !usp_is_channel(guard))
            continue;
        int rc = usp_guard_bytes(choice, guard, &bytes[k++]);
        if (rc < 0) {
            while (k-- > 0)
                usp_bytes_release(&bytes[k]);
            return rc;
        }
    }
    return 0;
}

static void *mobile_of(const uvcsp_guard *guard)
{
    const struct usp_end *end = guard->subject;
    return guard->on && guard->kind == UVCSP_GUARD_WRITE && end->channel->type == UVCSP_TYPE_END
               ? ((const uvcsp_end *)usp_place_of(guard))->end_ : NULL;
}

/* Mobile ends on offer are in no list while they are; those not taken come back. Several guards may
   offer one. */
static void move_ends(const struct usp_choice *choice, long taken, bool away)
{
    void *gone = taken >= 0 && taken < (long)choice->n ? mobile_of(&choice->guards[taken]) : NULL;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        void *end = mobile_of(guard);
        if (end && away)
            usp_let_go(guard->subject, usp_place_of(guard));
        else if (end && end != gone)
            usp_take_back(guard->subject, usp_place_of(guard));
    }
}

long usp_choice_wait(struct usp_choice *choice, struct usp_task *self)
{
    int rc = make_room(choice, self);
    if (rc < 0)
        return rc;
    struct usp_channel *few[ON_STACK];
    struct usp_bytes few_bytes[ON_STACK];
    struct usp_bytes *bytes = few_bytes;
    void *many = NULL;
    choice->locked = few;
    if (choice->n_offers > ON_STACK) {
        many = malloc(choice->n_offers * (sizeof *bytes + sizeof *few));
        if (!many)
            return -ENOMEM;
        bytes = many;
        choice->locked = (struct usp_channel **)(bytes + choice->n_offers);
    }
    rc = all_bytes(choice, bytes);
    if (rc < 0) {
        free(many);
        return rc;
    }
    collect_channels(choice);
    move_ends(choice, -1, true);
    for (size_t i = 0; i < choice->n_locked; i++)
        usp_lock(choice->locked[i]);
    USP_FAILPOINT("all-locked");
    struct usp_offer *claimed = NULL;
    long result = offer_all(choice, self, bytes, &claimed);
    unlock_all(choice);
    if (result == (long)choice->n) {
        result = park(choice, self);
    } else if (result >= 0 && claimed) {
        const uvcsp_guard *guard = &choice->guards[result];
        size_t k = 0;
        for (long i = 0; i < result; i++)
            k += choice->guards[i].on && usp_is_channel(&choice->guards[i]);
        rc = usp_step_finish(guard->subject, usp_place_of(guard), &bytes[k], claimed);
        if (rc != 0)
            result = rc;
    }
    move_ends(choice, result, false);
    if (result >= 0 && result < (long)choice->n &&
        choice->guards[result].kind == UVCSP_GUARD_READ)
        usp_take_over(choice->guards[result].subject, choice->guards[result].data);
    for (size_t k = 0; k < choice->n_offers; k++)
        if (bytes[k].owned)
            usp_bytes_release(&bytes[k]);
    free(many);
    return result;
}
