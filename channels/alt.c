/* Choice, in four passes:

       look     guard by guard, from a moving start, each channel under its own lock: the first that can go
                on is taken. This is all that happens when something is ready.
       offer    lock all channels in the order of their addresses, look once more, and if there is still
                nothing, write an offer for each guard, open the commit word, enqueue, unlock
       park     until somebody has claimed this process, on exactly one guard
       withdraw take the losing offers back, each under its channel's lock, before the process goes on

   Among channels of this worker alone it is done in a shorter way, by near.c.

   Two choices that meet do so because the second looks while the first is parked: the running one claims
   the parked one, and never the other way round, so one compare-and-swap commits both. */
#include <errno.h>
#include <string.h>

#include "channels/choice.h"
#include "channels/lock.h"
#include "runtime/arena.h"
#include "runtime/report.h"

const char usp_alt_site[] = "uvcsp_alt";

/* ---- look ---- */

/* One guard, by itself: 0 taken, USP_WAITS, USP_RETRY, or what ended it. */
static int try_channel(const struct usp_choice *choice, const uvcsp_guard *guard)
{
    struct usp_end *end = guard->subject;
    struct usp_channel *channel = end->channel;
    struct usp_bytes bytes;
    int rc = usp_guard_bytes(choice, guard, &bytes);
    if (rc < 0)
        return rc;
    struct usp_offer *offer;
    bool mobile = channel->type == UVCSP_TYPE_END;
    if (mobile && guard->kind == UVCSP_GUARD_WRITE)
        usp_let_go(end, usp_place_of(guard)); /* it may be another's as soon as the step is done */
    usp_lock(channel);
    rc = usp_step(end, usp_place_of(guard), &bytes, &offer);
    usp_unlock(channel);
    if (offer)
        rc = usp_step_finish(end, usp_place_of(guard), &bytes, offer);
    if (mobile && (guard->kind == UVCSP_GUARD_READ) == (rc == 0))
        usp_take_back(end, usp_place_of(guard));
    if (bytes.owned)
        usp_bytes_release(&bytes);
    return rc;
}

static inline bool is_good(const uvcsp_guard *guard)
{
    const struct usp_end *end = guard->subject;
    enum usp_side side = guard->kind == UVCSP_GUARD_READ ? USP_READER : USP_WRITER;
    return end && usp_place_of(guard) && usp_arena_holds(end, sizeof *end) && end->magic == USP_END_MAGIC &&
           end->side == side;
}

/* All guards are checked only when none of them was ready: a choice that finds one looks at no more.
   Index of the guard that was taken; -UVCSP_...; -errno; USP_RETRY; or n: none. */
static long look(struct usp_choice *choice)
{
    size_t i = choice->start;
    for (size_t k = 0; k < choice->n; k++, i++) {
        if (i >= choice->n)
            i -= choice->n;
        const uvcsp_guard *guard = &choice->guards[i];
        if (!guard->on)
            continue;
        int rc;
        if (usp_is_channel(guard)) {
            if (!is_good(guard))
                return usp_choice_check(choice);
            rc = try_channel(choice, guard);
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
            if (guard->seconds != guard->seconds)
                return usp_choice_check(choice);
            if (choice->mode == UVCSP_PRI && !(guard->seconds > 0))
                return (long)i;
            continue;
        }
        if (guard->kind == UVCSP_GUARD_ENDED && !guard->subject)
            return usp_choice_check(choice);
        rc = usp_guard_look(guard);
        if (rc > 0)
            return (long)i;
        if (rc < 0)
            return usp_guard_failed(choice, i, rc);
    }
    int rc = usp_choice_check(choice);
    if (rc < 0)
        return rc;
    return choice->soonest == 0 ? (long)choice->soonest_index : (long)choice->n;
}

static bool guards_nothing(const uvcsp_guard *guard)
{
    return guard->kind == UVCSP_GUARD_SKIP ||
           (guard->kind == UVCSP_GUARD_TIMEOUT && !(guard->seconds > 0));
}

static long choose(struct usp_choice *choice)
{
    usp_current()->failed = -1;
    usp_choice_no_habit();
    struct usp_end *first = usp_choice_first(choice);
    struct usp_fibre *fibre = usp_current();
    usp_choice_start(choice, first);
    for (;;) {
        long result = look(choice);
        if (result == (long)choice->n) {
            if (fibre->kill)
                return USP_KILLED;
            if (!fibre->task)
                usp_fatal("%s: a callback of the loop must not wait; add ON_SKIP", choice->site);
            result = usp_choice_wait(choice, fibre->task);
        }
        if (result == USP_RETRY)
            continue;
        if (result >= 0) {
            usp_choice_taken(choice, first, (size_t)result);
            if (guards_nothing(&choice->guards[result])) {
                usp_let_others_run();
                if (fibre->kill)
                    return USP_KILLED;
            }
        } else if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED) {
            fibre->failed = (int)choice->ended;
            usp_choice_taken(choice, first, choice->ended); /* the others have their turn first, the next time */
        }
        return result;
    }
}

static bool ends_process(long result, const char *site)
{
    return result == USP_KILLED ||
           (site != usp_alt_site && (result == -UVCSP_POISONED || result == -UVCSP_RETIRED));
}

static long start(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    USP_ENTER();
    if ((!guards && n > 0) || n > USP_MOST_GUARDS) {
        usp_report("%s: %s", site, guards ? "a choice of over a million guards" : "the guards are NULL");
        return -EINVAL;
    }
    if (mode > UVCSP_PRI) {
        usp_report("%s: %d is no way to choose; UVCSP_FAIR and UVCSP_PRI are", site, (int)mode);
        return -EINVAL;
    }
    struct usp_choice choice = {.guards = guards, .n = n, .mode = mode, .site = site};
    uint32_t used = usp_common_used(usp_current()->task);
    long result = choose(&choice);
    if (!ends_process(result, site)) /* else it leaves when it is gone: it has yet to say why */
        usp_common_leave(usp_current()->task, used);
    return result;
}

int usp_choice_generally(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site)
{
    return usp_choice_over(start(guards, n, mode, site), guards, site);
}

int usp_choice_over(long result, uvcsp_guard *guards, const char *site)
{
    if (__builtin_expect(result == USP_KILLED, 0))
        usp_end_process(USP_KILLED, NULL);
    if (result >= 0 || site == usp_alt_site)
        return (int)result;
    if (result == -UVCSP_POISONED || result == -UVCSP_RETIRED) {
        struct usp_end *end = guards[usp_current()->failed].subject;
        usp_end_process((int)-result, end->channel);
    }
    usp_fatal("%s: ALT: %s", site, strerror((int)-result));
}

int uvcsp_alt_failed(void)
{
    USP_ENTER();
    return usp_current()->failed;
}
