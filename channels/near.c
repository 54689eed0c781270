/* A choice among plain channels that are all biased to this worker: the case that has to be fast. Where none of them has
   a buffer it is faster.

   Nobody but this worker can be at such channels, so what a look has found stays true for as long as no other
   process runs here and the bias stands, and bias that stands now has never been gone. So the second look of
   alt.c under all locks is not needed, nor their order: none of these locks is ever waited for. Offers of
   a choice are the same as those of offer.c; who claims one sees no difference.

   Before it waits it lets others run who are ready, and looks again; what it then waits with is near_wait.c.

   Whatever is not of this kind (an end of a channel, a guard that is no channel's and would have to
   be armed, a bias that is gone, too little room for the offers) goes the general way, from the start: until then
   nothing has been changed.

   As in fast.c, a choice that parks does so as its last act, and is gone on with by again...() or waited(), so that
   nothing returns over a switch of stacks: each such return would be predicted wrongly. */
#include <string.h>

#include "channels/lock.h"
#include "channels/near.h"
#include "runtime/arena.h"

/* ---- looking ---- */

#define NO_END 4096 /* up to here it is NULL, or of a field of what is NULL */

static inline void *value_of(const uvcsp_guard *guard, enum usp_side side)
{
    return side == USP_READER ? guard->data : usp_place_of(guard);
}

static inline enum usp_at_once look_well(const uvcsp_guard *guard, enum usp_side side)
{
    struct usp_end *end = guard->subject;
    void *value = value_of(guard, side);
    if ((uintptr_t)end <= NO_END || !value)
        return USP_NOT_AT_ONCE;
    return usp_at_once(end, side, value);
}

/* `plainly`: it is a matter only if a plain READ or WRITE waits there, for a value of 4 or 8 bytes, and there is no buffer. Then
   nothing is called, and no register saved. */
static inline __attribute__((always_inline)) enum usp_at_once look_at(const uvcsp_guard *guard, enum usp_side side,
                                                                      uint64_t pass, bool plainly)
{
    if (!plainly)
        return look_well(guard, side);
    const struct usp_end *end = guard->subject;
    if (__builtin_expect((uintptr_t)end <= NO_END || !usp_is_ordinary(end, side, USP_RENDEZVOUS), 0))
        return USP_NOT_AT_ONCE;
    struct usp_channel *channel = end->channel;
    if (__builtin_expect(!usp_may_pass(channel, pass), 0))
        return USP_NOT_AT_ONCE;
    struct usp_queue *queue = &channel->waiting[usp_other(side)];
    struct usp_offer *offer = queue->head;
    if (!offer)
        return USP_MET_NOBODY;
    void *value = value_of(guard, side);
    if (__builtin_expect(!value, 0))
        return USP_NOT_AT_ONCE;
    if (__builtin_expect(!offer->single, 0))
        return USP_NOT_AT_ONCE;
    if (__builtin_expect(!usp_pass(channel, pass), 0))
        return USP_NOT_AT_ONCE;
    void *to = side == USP_READER ? value : offer->data;
    const void *from = side == USP_READER ? offer->data : value;
    if (__builtin_expect(channel->plain_size == 4, 1)) {
        memcpy(to, from, 4);
    } else if (channel->plain_size == 8) {
        memcpy(to, from, 8);
    } else {
        usp_unlock_biased(channel);
        return USP_NOT_AT_ONCE;
    }
    struct usp_task *task = usp_take_single(queue, offer);
    usp_unlock_biased(channel);
    usp_ready_partner(task->fibre, side == USP_WRITER);
    return USP_MET;
}

/* Looks first at `*at`, which is `end` and not `guards` where the first comes first. USP_MET: `*at` was taken.
   USP_MET_NOBODY: all have been looked at, and it can be waited for them. USP_NOT_AT_ONCE: `*at` is no matter for this function;
   nobody waits at those before it. */
static inline __attribute__((always_inline)) enum usp_at_once look(const uvcsp_guard *guards, const uvcsp_guard *end,
                                                                   const uvcsp_guard **at, uint64_t pass, bool plainly)
{
    const uvcsp_guard *from = *at, *guard = from;
    bool timed = false;
    do {
        if (guard == end)
            guard = guards;
        enum usp_at_once met = USP_MET_NOBODY;
        if (guard->kind == UVCSP_GUARD_READ) {
            if (guard->on)
                met = look_at(guard, USP_READER, pass, plainly);
        } else if (*(const volatile bool *)&guard->on) { /* not to be loaded before it is known that it is no READ */
            if (guard->kind == UVCSP_GUARD_WRITE)
                met = look_at(guard, USP_WRITER, pass, plainly);
            else if (!plainly && guard->kind == UVCSP_GUARD_TIMEOUT && guard->seconds > 0)
                timed = true;
            else
                met = USP_NOT_AT_ONCE;
        }
        if (met != USP_MET_NOBODY) {
            *at = guard;
            return met;
        }
    } while (++guard != from);
    return timed ? USP_NOT_AT_ONCE : USP_MET_NOBODY;
}

/* ---- others first ---- */

/* Nobody waited at any of the channels, but others were ready to run, and might be the partners that the choice looks
   for. To let them run and look again costs half of what offers cost that are then taken back. Where that was
   in vain lately, it is not tried each time. */
__attribute__((noinline)) static int again_slowly(uvcsp_guard *guards, uint64_t choice, const char *site,
                                                  const uvcsp_guard *from)
{
    const uvcsp_guard *guard = from;
    enum usp_at_once met = look(guards, guards + usp_near_n(choice), &guard, usp_gates[USP_RENDEZVOUS], false);
    struct usp_fibre *fibre = usp_current();
    if (met == USP_MET) {
        fibre->hasty = fibre->hasty_after = 0;
        return usp_near_taken(guards, choice, guard);
    }
    fibre->hasty = fibre->hasty_after = (fibre->hasty_after * 2 + 1) & 63;
    if (met == USP_MET_NOBODY && !fibre->kill)
        return usp_near_wait(guards, choice, site);
    return usp_choice_generally(guards, usp_near_n(choice), usp_near_mode(choice), site);
}

static int again(void)
{
    struct usp_fibre *fibre = usp_current();
    const struct usp_chosen *chosen = &fibre->chosen;
    uvcsp_guard *guards = chosen->guards;
    const uvcsp_guard *guard = chosen->from;
    enum usp_at_once met = look(guards, guards + usp_near_n(chosen->choice), &guard, usp_gates[USP_RENDEZVOUS], true);
    if (__builtin_expect(met != USP_MET, 0))
        return again_slowly(guards, chosen->choice, chosen->site, chosen->from);
    fibre->hasty = fibre->hasty_after = 0;
    return usp_near_taken(guards, chosen->choice, guard);
}

static inline uint64_t usual(const struct usp_habit *habit)
{
    return USP_USUAL | usp_near_packed(habit->n, UVCSP_FAIR);
}

/* While the others run, an offer stands at the guard that is looked at first: whoever comes there goes on at once, and may
   come back with the next message before he waits. To everybody but meet_or_park() of fast.c it is what a choice leaves
   behind that has taken another guard: its process does not wait, so it cannot be claimed. Only where nobody
   stands in line there, and at an end of its own, which nobody else gives back meanwhile. */
static inline __attribute__((always_inline)) void stand(struct usp_task *self, const uvcsp_guard *guard,
                                                        enum usp_side side, uint64_t pass)
{
    struct usp_end *end = guard->subject;
    struct usp_channel *channel = end->channel;
    struct usp_queue *queue = &channel->waiting[side];
    void *data = value_of(guard, side);
    if (__builtin_expect(end->task != self || queue->head || !data || !usp_pass(channel, pass), 0))
        return;
    struct usp_wait *wait = usp_wait_of(self);
    struct usp_offer *offer = &wait->first;
    usp_wait_has(wait, 1); /* where it is found if it, or who holds the lock, dies */
    offer->channel = channel;
    queue->head = offer;
    offer->data = data;
    offer->next = NULL;
    queue->tail = offer;
    offer->marks = (struct usp_offer){.side = (uint8_t)side, .queued = 1, .stands = USP_STANDS}.marks;
    usp_unlock_biased(channel);
}

static inline const uvcsp_guard *first_of(const struct usp_habit *habit)
{
    return habit->from == habit->end ? habit->guards : habit->from;
}

static inline int taken_as_usual(struct usp_fibre *fibre, const uvcsp_guard *guard)
{
    fibre->failed = -1;
    fibre->hasty = fibre->hasty_after = 0;
    fibre->habit.from = guard + 1;
    return (int)(guard - fibre->habit.guards);
}

void usp_sit_down(struct usp_offer *offer)
{
    if (offer->stands == USP_STANDS) {
        usp_lock(offer->channel);
        if (offer->queued)
            usp_unlink(offer);
        usp_unlock(offer->channel);
    }
    offer->stands = 0;
}

/* Nobody has come to where it stood, if it did. */
__attribute__((noinline)) static int look_as_usual(struct usp_fibre *fibre, struct usp_offer *offer)
{
    usp_sit_down(offer);
    const struct usp_habit *habit = &fibre->habit;
    const uvcsp_guard *guard = habit->from;
    enum usp_at_once met = look(habit->guards, habit->end, &guard, usp_gates[USP_RENDEZVOUS], true);
    if (__builtin_expect(met != USP_MET, 0))
        return again_slowly(habit->guards, usual(habit), habit->site, habit->from);
    return taken_as_usual(fibre, guard);
}

static int again_as_usual(void)
{
    struct usp_fibre *fibre = usp_current();
    struct usp_offer *offer = &usp_wait_of(fibre->task)->first;
    if (__builtin_expect(offer->stands != USP_STOOD, 0))
        return look_as_usual(fibre, offer);
    offer->stands = 0;
    return taken_as_usual(fibre, first_of(&fibre->habit));
}

/* It has come in vain lately: it is left out that time. `next`: the first of the queue, or NULL. */
static inline bool is_hasty(struct usp_fibre *fibre, const struct usp_fibre *next)
{
    if (next && fibre->hasty == 0)
        return false;
    fibre->hasty -= next && fibre->hasty > 0;
    return true;
}

static inline void to_the_end(struct usp_fibre *fibre)
{
    fibre->next = NULL;
    fibre->first = false;
    usp_sched.tail->next = fibre;
    usp_sched.tail = fibre;
}

__attribute__((noinline)) static int wait_or_let_run(uvcsp_guard *guards, uint64_t choice, const char *site,
                                                     const uvcsp_guard *from)
{
    struct usp_fibre *fibre = usp_current(), *next = usp_sched.head;
    if (!fibre->task || fibre->kill)
        return usp_choice_generally(guards, usp_near_n(choice), usp_near_mode(choice), site);
    if (is_hasty(fibre, next))
        return usp_near_wait(guards, choice, site);
    to_the_end(fibre);
    usp_near_note(guards, choice, site, from);
    return usp_near_park(next, again);
}

__attribute__((noinline)) static int wait_as_usual(struct usp_fibre *fibre)
{
    struct usp_habit *habit = &fibre->habit;
    return wait_or_let_run(habit->guards, usual(habit), habit->site, habit->from);
}

static inline __attribute__((always_inline)) int wait_or_let_run_as_usual(struct usp_fibre *fibre, uint64_t pass)
{
    struct usp_fibre *next = usp_sched.head;
    struct usp_task *self = fibre->task;
    if (__builtin_expect(!next || fibre->hasty != 0 || !self || fibre->kill, 0))
        return wait_as_usual(fibre);
    const uvcsp_guard *first = first_of(&fibre->habit);
    if (__builtin_expect(first->on, 1)) {
        if (first->kind == UVCSP_GUARD_READ)
            stand(self, first, USP_READER, pass);
        else
            stand(self, first, USP_WRITER, pass);
    }
    to_the_end(fibre);
    return usp_near_park(next, again_as_usual);
}

/* ---- all of it ---- */

/* `at`: all from `from` to there have been looked at, and nobody waits at their channels. */
__attribute__((noinline)) static int choose_slowly(uvcsp_guard *guards, uint64_t choice, const char *site,
                                                   const uvcsp_guard *from, const uvcsp_guard *at)
{
    const uvcsp_guard *end = guards + usp_near_n(choice), *guard = at == guards ? end : at;
    enum usp_at_once met = look(guards, end, &guard, usp_gates[USP_RENDEZVOUS], false);
    if (met == USP_MET)
        return usp_near_taken(guards, choice, guard);
    if (met == USP_MET_NOBODY)
        return wait_or_let_run(guards, choice, site, from);
    return usp_choice_generally(guards, usp_near_n(choice), usp_near_mode(choice), site);
}

/* A process does one choice over and over, as a rule. What would have to be found out of its guards each time is kept in its
   fibre then, and where it goes on as well: the mark in the first end holds what was true before, until the habit ends. */
static inline bool has_habit(const struct usp_fibre *fibre)
{
    return fibre->habit.guards != (const void *)fibre;
}

void usp_choice_no_habit(void)
{
    struct usp_fibre *fibre = usp_current();
    struct usp_habit *habit = &fibre->habit;
    if (!has_habit(fibre))
        return;
    struct usp_end *first = (struct usp_end *)(uintptr_t)habit->first;
    if (usp_arena_holds(first, sizeof *first) && first->magic == USP_END_MAGIC && first->fair_key == habit->key &&
        first->task == fibre->task) /* else it is another's by now */
        first->fair_next = (uint32_t)((const char *)habit->from - (const char *)habit->guards);
    habit->guards = (void *)fibre;
}

void usp_choice_forget(const struct usp_end *end)
{
    struct usp_fibre *fibre = usp_current();
    if (fibre && fibre->habit.first == end)
        fibre->habit.guards = (void *)fibre;
}

/* The mark of that choice is in its first end. */
__attribute__((noinline)) static void make_habit(struct usp_fibre *fibre, uvcsp_guard *guards, size_t n, const char *site)
{
    struct usp_end *first = guards[0].subject;
    usp_choice_no_habit();
    fibre->habit = (struct usp_habit){
        .guards = guards,
        .end = guards + n,
        .from = (uvcsp_guard *)((char *)guards + first->fair_next),
        .n = n,
        .first = first,
        .last = guards[n - 1].subject,
        .site = site,
        .key = first->fair_key,
    };
}

#define USP_HABIT 16 /* so many choices that are none make one of the last */

/* By priority, or of one guard, or of far too many, or in a way that is none. */
__attribute__((noinline)) static int choose_otherwise(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode,
                                                      const char *site)
{
    uint64_t pass = usp_gates[USP_RENDEZVOUS];
    if (!guards || n - 1 >= USP_MOST_GUARDS || mode > UVCSP_PRI || pass == UINT64_MAX)
        return usp_choice_generally(guards, n, mode, site);
    const uvcsp_guard *end = guards + n, *guard = end;
    enum usp_at_once met = look(guards, end, &guard, pass, true);
    if (met == USP_MET) {
        usp_current()->failed = -1;
        return (int)(guard - guards);
    }
    uint64_t choice = usp_near_packed(n, mode);
    if (met == USP_MET_NOBODY)
        return wait_or_let_run(guards, choice, site, end);
    return choose_slowly(guards, choice, site, end, guard);
}

/* What stands first is an end if it is in the arena and its key matches: of one that is freed, or nobody's, that is 0
   (unlink_end). */
__attribute__((noinline)) static int choose_anew(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    if (mode != UVCSP_FAIR || !guards || n - 2 >= USP_MOST_GUARDS - 1 || usp_gates[USP_RENDEZVOUS] == UINT64_MAX)
        return choose_otherwise(guards, n, mode, site);
    const struct usp_end *first = guards[0].subject;
    if (!usp_arena_may_hold(first) || first->fair_key != usp_choice_key(guards, n, site))
        return usp_choice_generally(guards, n, mode, site); /* it is not known where to start */
    size_t next = first->fair_next;
    const uvcsp_guard *end = guards + n;
    const uvcsp_guard *from = next - 1 < n * sizeof *guards ? (const void *)((const char *)guards + next) : end;
    const uvcsp_guard *guard = from;
    enum usp_at_once met = look(guards, end, &guard, usp_gates[USP_RENDEZVOUS], true);
    if (met == USP_MET) {
        struct usp_fibre *fibre = usp_current();
        fibre->failed = -1;
        ((struct usp_end *)guards[0].subject)->fair_next = (uint32_t)((const char *)(guard + 1) - (const char *)guards);
        if (__builtin_expect(++fibre->habit.missed == USP_HABIT, 0))
            make_habit(fibre, guards, n, site);
        return (int)(guard - guards);
    }
    uint64_t choice = usp_near_packed(n, UVCSP_FAIR);
    if (met == USP_MET_NOBODY)
        return wait_or_let_run(guards, choice, site, from);
    return choose_slowly(guards, choice, site, from, guard);
}

__attribute__((noinline)) static int choose_unusually(struct usp_fibre *fibre, const uvcsp_guard *at)
{
    struct usp_habit *habit = &fibre->habit;
    return choose_slowly(habit->guards, usual(habit), habit->site, habit->from, at);
}

/* `named`: `site` is where ALT stands. */
static inline __attribute__((always_inline)) int choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode,
                                                        const char *site, bool named)
{
    uint64_t pass = usp_gates[USP_RENDEZVOUS];
    if (__builtin_expect(pass == UINT64_MAX, 0)) /* another thread is told later that it must not be here */
        return choose_anew(guards, n, mode, named ? site : usp_alt_site);
    struct usp_fibre *fibre = usp_current();
    struct usp_habit *habit = &fibre->habit;
    if (!named) {
        fibre->alt_site = site;
        site = usp_alt_site;
    }
    if (__builtin_expect(guards != habit->guards || n != habit->n || mode != UVCSP_FAIR ||
                             guards->subject != habit->first || habit->end[-1].subject != habit->last ||
                             site != habit->site, /* it also says what poison does: end the process, or not */
                         0))
        return choose_anew(guards, n, mode, site);
    const uvcsp_guard *guard = habit->from;
    enum usp_at_once met = look(guards, habit->end, &guard, pass, true);
    if (__builtin_expect(met == USP_MET, 1)) {
        fibre->failed = -1;
        habit->from = guard + 1;
        return (int)(guard - guards);
    }
    return met == USP_MET_NOBODY ? wait_or_let_run_as_usual(fibre, pass) : choose_unusually(fibre, guard);
}

int (uvcsp_alt)(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode)
{
    return uvcsp_alt_at(guards, n, mode, usp_alt_site);
}

int uvcsp_alt_at(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    return choose(guards, n, mode, site, false);
}

int uvcsp_choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    return choose(guards, n, mode, site, true);
}
