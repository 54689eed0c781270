/* What guards are, and which one a fair choice looks at first. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "channels/choice.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/sources.h"
#include "runtime/worker.h"

/* ---- guards that are no channels ---- */

/* 1: ready and taken; 0: not; -errno. */
int usp_guard_look(const uvcsp_guard *guard)
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

int usp_guard_arm(const uvcsp_guard *guard, struct usp_task *self, uint32_t index)
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

int usp_guard_failed(const struct usp_choice *choice, size_t i, int error)
{
    const uvcsp_guard *guard = &choice->guards[i];
    const char *why = strerror(-error);
    bool is_signal = guard->kind == UVCSP_GUARD_SIGNAL;
    if (is_signal && error == -EINVAL)
        why = guard->number == USP_SIGNAL_BELL || guard->number == USP_SIGNAL_ORPHAN
                  ? "it is the library's own"
              : guard->number > 0 && guard->number < NSIG ? "it cannot be caught, or not by a choice"
                                                          : "there is no such signal";
    else if (guard->kind == UVCSP_GUARD_FD && error == -EINVAL)
        why = guard->events ? "some of its events are none" : "there is no event to wait for";
    else if (guard->kind == UVCSP_GUARD_FD && error == -EBADF)
        why = "it is not open";
    if (is_signal || guard->kind == UVCSP_GUARD_FD)
        usp_report("%s: guard %zu: %s %d: %s", choice->site, i, is_signal ? "signal" : "descriptor", guard->number, why);
    else
        usp_report("%s: guard %zu: %s", choice->site, i, why);
    return error;
}

/* The bytes of a write guard. They stay until the choice is over only if somebody else may read them:
   usp_bytes.owned. */
int usp_guard_bytes(const struct usp_choice *choice, const uvcsp_guard *guard, struct usp_bytes *bytes)
{
    const struct usp_end *end = guard->subject;
    *bytes = (struct usp_bytes){NULL, 0, NULL};
    if (guard->kind == UVCSP_GUARD_READ)
        return 0;
    if (usp_is_plain(end->channel)) {
        bytes->data = usp_place_of(guard);
        bytes->length = end->channel->size;
        return 0;
    }
    int rc = usp_message_bytes(end->channel, usp_place_of(guard), bytes);
    if (rc < 0) {
        char place[300];
        snprintf(place, sizeof place, "%s: guard %zu", choice->site, (size_t)(guard - choice->guards));
        usp_cannot_be_sent(place, end, usp_place_of(guard));
    }
    return rc;
}

/* ---- checking ---- */

int usp_choice_check(struct usp_choice *choice)
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
                end->side != side) {
                usp_report("%s: guard %zu: %s", site, i, usp_end_problem(end, side));
                return -EINVAL;
            }
            if (!usp_place_of(guard)) {
                usp_report("%s: guard %zu: the place of the message is NULL", site, i);
                return -EINVAL;
            }
            choice->n_offers++;
            break;
        }
        case UVCSP_GUARD_TIMEOUT: {
            if (guard->seconds != guard->seconds) {
                usp_report("%s: guard %zu: the timeout is not a number", site, i);
                return -EINVAL;
            }
            double seconds = guard->seconds > 0 ? guard->seconds : 0;
            if (choice->soonest < 0 || seconds < choice->soonest) {
                choice->soonest = seconds;
                choice->soonest_index = (uint32_t)i;
            }
            break;
        }
        case UVCSP_GUARD_ENDED:
            if (!guard->subject) {
                usp_report("%s: guard %zu: the handle is NULL", site, i);
                return -EINVAL;
            }
            if (usp_event_is_elsewhere(guard->subject)) {
                usp_report("%s: guard %zu: the handle is of another worker", site, i);
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

/* The mark of a choice that another displaces from its end goes to a table of the worker, where it is found
   again unless more than MARKS others of its row have been marked since; then the choice starts anywhere. */
#define MARKS 8
#define MARK_ROWS 256

struct mark {
    uint32_t key, next;
};
static struct mark marks[MARK_ROWS][MARKS];

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

/* Marks of different ends, or of processes whose choices have none, meet in the table. */
static uint32_t with_end(uint32_t key, const struct usp_end *first)
{
    uintptr_t owner = first ? (uintptr_t)first : (uintptr_t)usp_current();
    return (key ^ (uint32_t)(owner >> 4) * 0x85ebca6bu) | 1;
}

uint32_t usp_mark_find(uint32_t key, const struct usp_end *first)
{
    static uint32_t anywhere;
    key = with_end(key, first);
    const struct mark *row = row_of(key);
    for (int i = 0; i < MARKS && row[i].key != 0; i++)
        if (row[i].key == key)
            return row[i].next;
    if (row[MARKS - 1].key == 0)
        return 0;
    anywhere = anywhere * 1664525u + 1013904223u;
    return anywhere >> 8;
}

struct usp_end *usp_choice_first(const struct usp_choice *choice)
{
    for (size_t i = 0; i < choice->n; i++) {
        struct usp_end *end = choice->guards[i].subject;
        if (usp_is_channel(&choice->guards[i]) && end && usp_arena_holds(end, sizeof *end) &&
            end->magic == USP_END_MAGIC && end->task) /* one that is nobody's is used from several workers */
            return end;
    }
    return NULL;
}

void usp_mark_set(uint32_t key, struct usp_end *first, uint32_t next)
{
    if (!first) {
        put_mark(with_end(key, NULL), next);
        return;
    }
    if (first->fair_key != key) {
        if (first->fair_key != 0)
            put_mark(with_end(first->fair_key, first), first->fair_next);
        first->fair_key = key;
    }
    first->fair_next = next;
}
