/* Choice, in four passes:

       look     guard by guard, from a moving start, each channel under its own lock: the first that can go
                on is taken. This is all that happens when something is ready.
       offer    lock all channels in the order of their addresses, look once more, and if there is still
                nothing, write an offer for each guard, open the commit word, enqueue, unlock
       park     until somebody has claimed this process, on exactly one guard
       withdraw take the losing offers back, each under its channel's lock, before the process goes on

   Two choices that meet do so because the second looks while the first is parked: the running one claims
   the parked one, and never the other way round, so one compare-and-swap commits both. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uvcsp/alt.h>

#include "channels/io.h"
#include "channels/transfer.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/sources.h"

#define SOURCE_INDEX (1u << 23) /* set in the index of a source, to tell it from an offer's */
#define ON_STACK 64 /* distinct channels of a choice up to here are sorted on the stack */

struct choice {
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

static inline bool is_channel(const uvcsp_guard *guard)
{
    return guard->kind == UVCSP_GUARD_READ || guard->kind == UVCSP_GUARD_WRITE;
}

/* ---- guards that are no channels ---- */

/* 1: ready and taken; 0: not; -errno. */
static int look_outside(const uvcsp_guard *guard)
{
    switch (guard->kind) {
    case UVCSP_GUARD_SKIP:
        return 1;
    case UVCSP_GUARD_FD:
        return usp_fd_ready(guard->number, guard->events);
    case UVCSP_GUARD_SIGNAL: {
        int rc = usp_signal_watch(guard->number);
        return rc < 0 ? rc : usp_signal_take(guard->number);
    }
    case UVCSP_GUARD_ENDED:
        return ((const struct usp_event *)guard->subject)->set;
    default:
        return 0;
    }
}

static int arm(const uvcsp_guard *guard, struct usp_task *self, uint32_t index)
{
    switch (guard->kind) {
    case UVCSP_GUARD_FD:
        return usp_fd_arm(self, index, guard->number, guard->events);
    case UVCSP_GUARD_SIGNAL:
        return usp_signal_arm(self, index, guard->number);
    case UVCSP_GUARD_ENDED:
        return usp_event_arm(self, index, guard->subject);
    default:
        return 0;
    }
}

/* ---- checking ---- */

static int check(struct choice *choice)
{
    const char *site = choice->site;
    bool any = false;
    choice->soonest = -1;
    choice->n_offers = 0;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on)
            continue;
        any = true;
        switch (guard->kind) {
        case UVCSP_GUARD_READ:
        case UVCSP_GUARD_WRITE: {
            const struct usp_end *end = guard->subject;
            enum usp_side side = guard->kind == UVCSP_GUARD_READ ? USP_READER : USP_WRITER;
            if (!end || !usp_arena_holds(end, sizeof *end) || end->magic != USP_END_MAGIC ||
                end->side != side)
                return usp_end_check(end, side, site);
            if (!guard->data) {
                usp_report("%s: guard %zu: the place of the message is NULL", site, i);
                return -EINVAL;
            }
            choice->n_offers++;
            break;
        }
        case UVCSP_GUARD_TIMEOUT:
            if (choice->soonest < 0 || guard->seconds < choice->soonest) {
                choice->soonest = guard->seconds > 0 ? guard->seconds : 0;
                choice->soonest_index = (uint32_t)i;
            }
            break;
        case UVCSP_GUARD_ENDED:
            if (!guard->subject) {
                usp_report("%s: guard %zu: the handle is NULL", site, i);
                return -EINVAL;
            }
            break;
        case UVCSP_GUARD_SKIP:
        case UVCSP_GUARD_FD:
        case UVCSP_GUARD_SIGNAL:
            break;
        default:
            usp_report("%s: guard %zu is of no known kind (%d)", site, i, (int)guard->kind);
            return -EINVAL;
        }
    }
    if (any)
        return 0;
    usp_report("%s: a choice of %zu guards, none of them switched on, would wait for ever", site,
               choice->n);
    return -EINVAL;
}

/* ---- fairness ---- */

/* A choice goes on behind the guard that it took the last time. Where it stood is kept in the first end of
   its guards, with a key for the set of guards, since a process may use one end in several choices. The mark
   of a choice that another displaces from there goes to a table of the worker, where it is found again
   unless more than MARKS others of its row have been marked since; then the choice starts anywhere. */
#define MARKS 8
#define MARK_ROWS 256

struct mark {
    uint32_t key, next;
};
static struct mark marks[MARK_ROWS][MARKS];

static uint32_t key_of(const struct choice *choice, const void *first)
{
    const void *last = choice->guards[choice->n - 1].subject;
    uint64_t x = (uintptr_t)choice->site * 31 + (uintptr_t)first * 17 + (uintptr_t)last + choice->n;
    x *= 0x9e3779b97f4a7c15ull;
    return (uint32_t)(x >> 32) | 1;
}

static struct mark *row_of(uint32_t key)
{
    return marks[(key >> 1) % MARK_ROWS];
}

/* The newest of a row stands first. */
static void put_mark(uint32_t key, uint32_t next)
{
    struct mark *row = row_of(key);
    int i = 0;
    while (i < MARKS - 1 && row[i].key != key && row[i].key != 0)
        i++;
    memmove(row + 1, row, (size_t)i * sizeof *row);
    row[0] = (struct mark){key, next};
}

static uint32_t find_mark(uint32_t key)
{
    static uint32_t anywhere;
    const struct mark *row = row_of(key);
    for (int i = 0; i < MARKS && row[i].key != 0; i++)
        if (row[i].key == key)
            return row[i].next;
    if (row[MARKS - 1].key == 0)
        return 0;
    anywhere = anywhere * 1664525u + 1013904223u;
    return anywhere >> 8;
}

static struct usp_end *first_end(const struct choice *choice)
{
    for (size_t i = 0; i < choice->n; i++) {
        struct usp_end *end = choice->guards[i].subject;
        if (is_channel(&choice->guards[i]) && end && usp_arena_holds(end, sizeof *end) &&
            end->magic == USP_END_MAGIC && end->task) /* one that is nobody's is used from several workers */
            return end;
    }
    return NULL;
}

static void find_start(struct choice *choice, const struct usp_end *first)
{
    choice->start = 0;
    if (choice->mode == UVCSP_PRI || choice->n < 2)
        return;
    uint32_t key = key_of(choice, first ? (const void *)first : usp_current());
    uint32_t next = first && first->fair_key == key ? first->fair_next : find_mark(key);
    choice->start = next % choice->n;
}

static void remember(const struct choice *choice, struct usp_end *first, size_t taken)
{
    if (choice->mode == UVCSP_PRI || choice->n < 2)
        return;
    uint32_t key = key_of(choice, first ? (const void *)first : usp_current());
    if (!first) {
        put_mark(key, (uint32_t)taken + 1);
        return;
    }
    if (first->fair_key != key) {
        if (first->fair_key != 0)
            put_mark(first->fair_key, first->fair_next);
        first->fair_key = key;
    }
    first->fair_next = (uint32_t)taken + 1;
}

/* ---- look ---- */

/* The bytes of a write guard. They stay until the choice is over only if somebody else may read them:
   usp_bytes.owned. */
static int bytes_of(const uvcsp_guard *guard, struct usp_bytes *bytes)
{
    const struct usp_end *end = guard->subject;
    *bytes = (struct usp_bytes){NULL, 0, NULL};
    if (guard->kind == UVCSP_GUARD_READ)
        return 0;
    if (usp_is_plain(end->channel)) {
        bytes->data = guard->data;
        bytes->length = end->channel->size;
        return 0;
    }
    int rc = usp_message_bytes(end->channel, guard->data, bytes);
    if (rc < 0)
        usp_report("a value of a choice cannot be sent over channel '%s'", end->channel->name);
    return rc;
}

/* One guard, by itself: 0 taken, USP_WAITS, USP_RETRY, or what ended it. */
static int try_channel(const uvcsp_guard *guard)
{
    struct usp_end *end = guard->subject;
    struct usp_channel *channel = end->channel;
    struct usp_bytes bytes;
    int rc = bytes_of(guard, &bytes);
    if (rc < 0)
        return rc;
    struct usp_offer *offer;
    bool mobile = channel->type == UVCSP_TYPE_END;
    if (mobile && guard->kind == UVCSP_GUARD_WRITE)
        usp_let_go(end, guard->data); /* it may be another's as soon as the step is done */
    usp_lock(channel);
    rc = usp_step(end, guard->data, &bytes, &offer);
    usp_unlock(channel);
    if (offer)
        rc = usp_step_finish(end, guard->data, &bytes, offer);
    if (mobile && (guard->kind == UVCSP_GUARD_READ) == (rc == 0))
        usp_take_back(end, guard->data);
    if (bytes.owned)
        usp_bytes_release(&bytes);
    return rc;
}

/* Index of the guard that was taken; -UVCSP_...; -errno; USP_RETRY; or n: none. */
static long look(struct choice *choice)
{
    size_t i = choice->start;
    for (size_t k = 0; k < choice->n; k++, i++) {
        if (i >= choice->n)
            i -= choice->n;
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on)
            continue;
        int rc;
        if (is_channel(guard)) {
            rc = try_channel(guard);
            if (rc == 0)
                return (long)i;
            if (rc == USP_WAITS)
                continue;
            if (rc > 0) {
                choice->ended = (uint32_t)i;
                return -rc;
            }
            return rc;
        }
        if (guard->kind == UVCSP_GUARD_TIMEOUT) {
            if (choice->mode == UVCSP_PRI && guard->seconds <= 0)
                return (long)i;
            continue;
        }
        rc = look_outside(guard);
        if (rc > 0)
            return (long)i;
        if (rc < 0)
            return rc;
    }
    return choice->soonest == 0 ? (long)choice->soonest_index : (long)choice->n;
}

/* ---- offer ---- */

static int by_address(const void *a, const void *b)
{
    const struct usp_channel *x = *(struct usp_channel *const *)a, *y = *(struct usp_channel *const *)b;
    return x < y ? -1 : x > y;
}

/* The distinct channels of the guards, in the order of their addresses. */
static void collect_channels(struct choice *choice)
{
    size_t m = 0;
    bool sorted = true;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on || !is_channel(guard))
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

static void unlock_all(const struct choice *choice)
{
    for (size_t i = choice->n_locked; i-- > 0;)
        usp_unlock(choice->locked[i]);
}

/* Room for the offers, before any lock is taken. */
static int make_room(struct choice *choice, struct usp_task *self)
{
    struct usp_wait *wait = usp_wait_of(self);
    if (choice->n_offers <= 1 || choice->n_offers <= wait->room)
        return 0;
    size_t room = choice->n_offers < 4 ? 4 : choice->n_offers;
    struct usp_offer *table = usp_arena_alloc(room * sizeof *table, USP_BLOCK_OFFERS);
    if (!table)
        return -ENOMEM;
    memset(table, 0, room * sizeof *table);
    wait->n = 0;
    USP_FAILPOINT("table-to-change");
    usp_arena_free(wait->table);
    USP_FAILPOINT("table-freed");
    wait->table = table;
    wait->room = (uint32_t)room;
    return 0;
}

/* With all locks held: one more look, then the offers. Returns like look(); `n`: offers are out. The bytes of
   the write guards are in `bytes`, by offer. */
static long offer_all(struct choice *choice, struct usp_task *self, struct usp_bytes *bytes,
                      struct usp_offer **claimed)
{
    size_t k = 0;
    for (size_t j = 0; j < choice->n; j++) {
        const uvcsp_guard *guard = &choice->guards[j];
        if (!guard->on || !is_channel(guard))
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
    wait->n = (uint32_t)choice->n_offers;
    struct usp_offer *offers = usp_offers_of(self);
    k = 0;
    for (size_t j = 0; j < choice->n; j++) {
        const uvcsp_guard *guard = &choice->guards[j];
        if (!guard->on || !is_channel(guard))
            continue;
        struct usp_end *end = guard->subject;
        struct usp_offer *offer = &offers[k];
        offer->channel = end->channel;
        offer->task = self;
        offer->stash = NULL;
        offer->index = (uint32_t)k;
        offer->side = end->side;
        offer->queued = 0;
        offer->filled = 0;
        offer->single = 0;
        offer->looks = end->looks;
        if (end->side == USP_WRITER) {
            offer->data = (void *)(uintptr_t)bytes[k].data;
            offer->length = bytes[k].length;
            usp_stash(offer);
        } else {
            offer->data = guard->data;
        }
        k++;
    }
    USP_FAILPOINT("offers-written");
    usp_task_open(self);
    USP_FAILPOINT("choice-open");
    for (k = 0; k < choice->n_offers; k++)
        usp_enqueue(&offers[k], (enum usp_side)offers[k].side);
    return (long)choice->n;
}

/* ---- park and withdraw ---- */

/* A claim names an offer by its number, a source by its guard with SOURCE_INDEX set. */
static int arm_all(struct choice *choice, struct usp_task *self)
{
    int rc = 0;
    for (size_t i = 0; i < choice->n && rc == 0; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (guard->on && !is_channel(guard) && guard->kind != UVCSP_GUARD_TIMEOUT)
            rc = arm(guard, self, SOURCE_INDEX | (uint32_t)i);
    }
    if (rc == 0 && choice->soonest > 0) {
        double now = (double)uv_hrtime() * 1e-9;
        if (choice->deadline == 0)
            choice->deadline = now + choice->soonest;
        rc = usp_timer_arm(self, SOURCE_INDEX | choice->soonest_index,
                           choice->deadline > now ? choice->deadline - now : 0);
    }
    return rc;
}

static void withdraw(const struct choice *choice, struct usp_task *self)
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
static size_t guard_of(const struct choice *choice, size_t offer)
{
    for (size_t i = 0;; i++)
        if (choice->guards[i].on && is_channel(&choice->guards[i]) && offer-- == 0)
            return i;
}

/* The choice waits. Like look(); USP_RETRY when it has to look again. */
static long park(struct choice *choice, struct usp_task *self)
{
    self->site = choice->site;
    int armed = arm_all(choice, self);
    if (armed < 0 && usp_task_claim(self, usp_worker_index(), SOURCE_INDEX))
        usp_wake(self);
    usp_park();
    usp_sources_disarm(self);
    self->site = NULL;
    uint64_t commit = atomic_load_explicit(&self->commit, memory_order_acquire);
    int outcome = self->outcome == USP_FILLED ? 0 : self->outcome;
    uint32_t index = usp_commit_index(commit);
    withdraw(choice, self);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);

    struct usp_offer *offers = usp_offers_of(self);
    long result;
    if (armed < 0 && index == SOURCE_INDEX) {
        result = armed;
        index = UINT32_MAX;
    } else if (outcome == USP_KILLED) {
        result = USP_KILLED;
        index = UINT32_MAX;
    } else if (index & SOURCE_INDEX) {
        result = (long)(index & ~SOURCE_INDEX);
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
    if (index == UINT32_MAX || result == USP_RETRY)
        return result;
    const struct usp_end *end = choice->guards[result].subject;
    if (outcome > 0 && !end->looks) { /* the end of a channel is what an end that looks waits for as well */
        choice->ended = (uint32_t)result;
        return -outcome;
    }
    return outcome < 0 ? outcome : result;
}

/* ---- all of it ---- */

static int all_bytes(const struct choice *choice, struct usp_bytes *bytes)
{
    size_t k = 0;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on || !is_channel(guard))
            continue;
        int rc = bytes_of(guard, &bytes[k++]);
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
               ? ((const uvcsp_end *)guard->data)->end_ : NULL;
}

/* Mobile ends on offer are in no list while they are; those not taken come back. Several guards may
   offer one. */
static void move_ends(const struct choice *choice, long taken, bool away)
{
    void *gone = taken >= 0 && taken < (long)choice->n ? mobile_of(&choice->guards[taken]) : NULL;
    for (size_t i = 0; i < choice->n; i++) {
        const uvcsp_guard *guard = &choice->guards[i];
        void *end = mobile_of(guard);
        if (end && away)
            usp_let_go(guard->subject, guard->data);
        else if (end && end != gone)
            usp_take_back(guard->subject, guard->data);
    }
}

static long offer_and_park(struct choice *choice, struct usp_task *self)
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
            k += choice->guards[i].on && is_channel(&choice->guards[i]);
        rc = usp_step_finish(guard->subject, guard->data, &bytes[k], claimed);
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

static bool guards_nothing(const uvcsp_guard *guard)
{
    return guard->kind == UVCSP_GUARD_SKIP ||
           (guard->kind == UVCSP_GUARD_TIMEOUT && guard->seconds <= 0);
}

static long choose(struct choice *choice)
{
    usp_current()->failed = -1;
    int rc = check(choice);
    if (rc < 0)
        return rc;
    struct usp_end *first = first_end(choice);
    struct usp_fibre *fibre = usp_current();
    find_start(choice, first);
    for (;;) {
        long result = look(choice);
        if (result == (long)choice->n) {
            if (fibre->kill)
                return USP_KILLED;
            if (!fibre->task)
                usp_fatal("%s: a callback of the loop must not wait; add ON_SKIP", choice->site);
            result = offer_and_park(choice, fibre->task);
        }
        if (result == USP_RETRY)
            continue;
        if (result >= 0) {
            remember(choice, first, (size_t)result);
            if (guards_nothing(&choice->guards[result])) {
                usp_let_others_run();
                if (fibre->kill)
                    return USP_KILLED;
            }
        } else if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED)
            fibre->failed = (int)choice->ended;
        return result;
    }
}

static long start(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    USP_ENTER();
    if ((!guards && n > 0) || n > (1u << 20)) {
        usp_report("%s: %s", site, guards ? "a choice of over a million guards" : "the guards are NULL");
        return -EINVAL;
    }
    struct choice choice = {.guards = guards, .n = n, .mode = mode, .site = site};
    return choose(&choice);
}

int uvcsp_alt(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode)
{
    long result = start(guards, n, mode, "uvcsp_alt");
    if (result == USP_KILLED)
        usp_end_process(USP_KILLED, NULL);
    return (int)result;
}

int uvcsp_alt_failed(void)
{
    USP_ENTER();
    return usp_current()->failed;
}

int uvcsp_choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    long result = start(guards, n, mode, site);
    if (__builtin_expect(result >= 0, 1))
        return (int)result;
    if (result == USP_KILLED)
        usp_end_process(USP_KILLED, NULL);
    if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED) {
        struct usp_end *end = guards[usp_current()->failed].subject;
        usp_end_process((int)-result, end->channel);
    }
    usp_fatal("%s: ALT: %s", site, strerror((int)-result));
}
