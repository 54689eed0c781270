#include "channels/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "channels/lane.h"
#include "channels/lock.h"
#include "channels/transfer.h"
#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/sources.h"

enum { INDEX_CHANNEL, INDEX_TIMER };

bool (*usp_nests)(struct usp_end *end, const void *value);
void (*usp_one_less_passed)(struct usp_channel *channel);

/* ---- one step ---- */

int usp_ended_status(const struct usp_channel *channel, const struct usp_end *end)
{
    if (channel->ended & USP_POISONED)
        return UVCSP_POISONED;
    if (end->retired)
        return UVCSP_RETIRED;
    /* an end that counts has retired with its own side; one that does not learns of it here */
    if (!(channel->ended & (USP_NO_READERS | USP_NO_WRITERS)))
        return 0;
    return end->side == USP_WRITER || usp_buffered(channel) == 0 ? UVCSP_RETIRED : 0;
}

/* A slot has become free: the first waiting writer's message goes in. What happens is written down in
   `refill` first, so that a supervisor can tell whether the message of a writer that was claimed and not
   woken lies in the buffer. */
void usp_refill(struct usp_channel *channel)
{
    struct usp_offer *offer;
    bool done = false;
    while (!done && (offer = usp_take(channel, USP_WRITER))) {
        struct usp_task *task = offer->task;
        const void *data = usp_reachable(offer);
        channel->refill_written = usp_counted(channel, USP_WRITER);
        atomic_signal_fence(memory_order_seq_cst);
        channel->refill = task;
        USP_FAILPOINT("refill-noted");
        done = (data || offer->length == 0) && usp_buffer_put(channel, data, offer->length) == 0;
        if (!done)
            task->outcome = USP_RETRY; /* it may put it in by itself, or do something else: so the next one's turn */
        USP_FAILPOINT("refilled");
        usp_task_done(task);
        atomic_signal_fence(memory_order_seq_cst);
        channel->refill = NULL;
        USP_FAILPOINT("refill-done");
        usp_wake_any(task);
    }
}

/* What has gone past the buffer is counted under the lock. If this worker dies before that is complete, who repairs the channel
   goes back to `passed_before` (recover.c); if it dies before the message has arrived, the reader strikes it out. */
static void note_passing(struct usp_channel *channel, struct usp_task *task, uint32_t at, uint32_t before)
{
    channel->passed_before = before;
    channel->passes_at = at;
    atomic_signal_fence(memory_order_seq_cst);
    *(struct usp_task *volatile *)&channel->passes_to = task;
    USP_FAILPOINT("passing-noted");
}

static void count_passing(struct usp_channel *channel, struct usp_offer *reader, bool passed)
{
    channel->passed += passed ? 1 : -1u;
    USP_FAILPOINT("passing-counted");
    if (reader)
        *(volatile uint8_t *)&reader->passed = passed;
    USP_FAILPOINT("passing-marked");
    atomic_signal_fence(memory_order_seq_cst);
    *(struct usp_task *volatile *)&channel->passes_to = NULL;
    USP_FAILPOINT("passing-done");
}

void usp_not_passed(struct usp_channel *channel, struct usp_offer *reader)
{
    usp_lock(channel);
    note_passing(channel, reader ? reader->task : (void *)channel, reader ? reader->index : 0, channel->passed - 1);
    count_passing(channel, reader, false);
    usp_unlock(channel);
    if (usp_one_less_passed)
        usp_one_less_passed(channel);
}

/* The first reader that waits, claimed, and the message counted; or NULL. */
static struct usp_offer *take_reader(struct usp_channel *channel)
{
    struct usp_offer *reader;
    if (!channel->lenient)
        return usp_take(channel, USP_READER);
    while ((reader = channel->waiting[USP_READER].head)) {
        bool counts = !reader->looks;
        if (counts)
            note_passing(channel, reader->task, reader->index, channel->passed);
        usp_unlink_head(&channel->waiting[USP_READER], reader);
        bool claimed = usp_claim(reader);
        if (counts && claimed)
            count_passing(channel, reader, true);
        channel->passes_to = NULL;
        if (claimed)
            return reader;
    }
    return NULL;
}

static int step_buffered(struct usp_channel *channel, struct usp_end *end, void *value,
                         const struct usp_bytes *bytes, struct usp_offer **offerp)
{
    if (end->side == USP_READER) {
        if (usp_buffered(channel) == 0)
            return USP_WAITS;
        if (end->looks)
            return 0;
        int rc = usp_buffer_get(channel, value);
        if (rc == 0 && channel->waiting[USP_WRITER].head)
            usp_refill(channel);
        return rc;
    }
    struct usp_offer *reader;
    while (channel->waiting[USP_READER].head && usp_buffered(channel) == 0 &&
           (reader = take_reader(channel))) {
        if (!reader->looks) {
            if (channel->common && usp_current()->task) /* the reader may free it as soon as it has the message */
                usp_common_use(usp_current()->task, channel->common);
            *offerp = reader;
            return 0;
        }
        usp_wake_any(reader->task); /* it finds the message when it gets the lock */
    }
    if (usp_is_full(channel))
        return end->nests && usp_nests(end, bytes->data) ? 0 : USP_WAITS;
    return usp_buffer_put(channel, bytes->data, bytes->length);
}

int usp_step(struct usp_end *end, void *value, const struct usp_bytes *bytes,
             struct usp_offer **offerp)
{
    struct usp_channel *channel = end->channel;
    *offerp = NULL;
    if (__builtin_expect(channel->ended | end->retired, 0)) {
        int status = usp_ended_status(channel, end);
        if (status)
            return end->looks == USP_LOOKS ? 0 : status;
    }
    if (channel->capacity > 0)
        return step_buffered(channel, end, value, bytes, offerp);
    *offerp = usp_take(channel, usp_other((enum usp_side)end->side));
    return *offerp ? 0 : USP_WAITS;
}

int usp_step_finish(struct usp_end *end, void *value, const struct usp_bytes *bytes,
                    struct usp_offer *offer)
{
    if (end->side == USP_READER)
        return usp_receive(end->channel, offer, value);
    return usp_deliver(end->channel, offer, bytes);
}

/* ---- mobile ends ---- */

void usp_let_go(struct usp_end *end, const void *value)
{
    if (end->channel->type == UVCSP_TYPE_END)
        usp_end_detach(((const uvcsp_end *)value)->end_);
}

void usp_take_back(struct usp_end *end, const void *value)
{
    struct usp_task *self = usp_current()->task;
    if (end->channel->type != UVCSP_TYPE_END)
        return;
    struct usp_end *moved = ((const uvcsp_end *)value)->end_;
    if (self)
        usp_end_adopt(moved, self);
    else
        moved->way = USP_AT_HOME; /* a callback of the loop has it, who can send it on */
}

void usp_cannot_be_sent(const char *site, const struct usp_end *end, const void *value)
{
    const char *why = end->channel->type == UVCSP_TYPE_END ? usp_end_stays(((const uvcsp_end *)value)->end_) : NULL;
    usp_report("%s: this value cannot be sent over channel '%s'%s%s", site, end->channel->name, why ? ": " : "",
               why ? why : "");
}

void usp_take_over(struct usp_end *end, void *value)
{
    usp_take_back(end, value);
}

/* ---- waiting ---- */

int usp_after_wait(struct usp_task *self, struct usp_offer *offer, int armed)
{
    struct usp_channel *channel = offer->channel;
    uint64_t commit = atomic_load_explicit(&self->commit, memory_order_acquire);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    int outcome = self->outcome == USP_FILLED ? 0 : self->outcome;
    offer->looks = 0; /* as fast.c expects it */
    offer->no_room = 0;
    if (usp_commit_index(commit) != INDEX_CHANNEL) {
        usp_lock(channel);
        if (offer->queued)
            usp_unlink(offer);
        usp_unlock(channel);
        outcome = armed < 0 ? armed : outcome ? outcome : UVCSP_TIMEOUT;
    }
    if (offer->filled | (offer->stash != NULL))
        outcome = usp_collect(offer, outcome);
    offer->passed = 0;
    return outcome;
}

static int wait_for_partner(struct usp_end *end, void *value, const struct usp_bytes *bytes,
                            double seconds, const char *site)
{
    struct usp_channel *channel = end->channel;
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    struct usp_offer *offer = &wait->first;
    usp_wait_has(wait, 1);
    usp_offer_begin(offer, channel, self, INDEX_CHANNEL,
                    (struct usp_offer){.side = end->side, .single = seconds < 0, .looks = end->looks}.marks);
    offer->data = end->side == USP_READER ? value : (void *)(uintptr_t)bytes->data;
    if (end->side == USP_WRITER) {
        offer->length = bytes->length;
        usp_stash(offer);
    }
    if (channel->far)
        usp_link_expect();
    if (channel->common)
        usp_common_use(self, channel->common);
    self->site = usp_place_of_call(site);
    USP_MARK("to-wait");
    usp_task_arming(self);
    usp_task_open(self);
    usp_enqueue(offer, (enum usp_side)offer->side);
    channel->waits_last = self->worker;
    usp_unlock(channel);

    int armed = seconds >= 0 ? usp_timer_arm(self, INDEX_TIMER, seconds) : 0;
    if (__builtin_expect(armed < 0, 0) && usp_task_claim(self, usp_worker_index(), INDEX_TIMER))
        usp_wake(self);
    usp_task_armed(self);
    usp_park();
    if (seconds >= 0)
        usp_sources_disarm(self);
    self->site = NULL;
    return usp_after_wait(self, offer, armed);
}

static bool has_lane(const struct usp_end *end)
{
    return usp_is_laned(end->channel) && !(end->retired | end->looks);
}

static int transact_bytes(struct usp_end *end, void *value, const struct usp_bytes *bytes,
                          double seconds, int none, const char *site)
{
    struct usp_channel *channel = end->channel;
    enum usp_side side = (enum usp_side)end->side;
    double deadline = 0;
    bool looked = false;
    for (;;) {
        struct usp_offer *offer;
        if (has_lane(end) && (usp_lane_use(channel, side, value, bytes) ||
                              (seconds != 0 && !channel->common && usp_lane_await(channel, side, value, bytes))))
            return 0;
        usp_lock(channel);
        int rc = usp_step(end, value, bytes, &offer);
        if (rc != USP_WAITS) {
            usp_unlock(channel);
            if (offer)
                rc = usp_step_finish(end, value, bytes, offer);
            if (rc == USP_RETRY)
                continue;
            return rc;
        }
        struct usp_fibre *fibre = usp_current();
        if (__builtin_expect(seconds == 0 || !fibre->task || fibre->kill, 0)) {
            usp_unlock(channel);
            if (fibre->kill)
                return USP_KILLED;
            if (seconds != 0)
                usp_fatal("%s: a callback of the loop must not wait; use the _try forms", site);
            usp_let_others_run();
            return none;
        }
        if (channel->common && has_lane(end) && !looked) { /* counted in, since others may free it meanwhile */
            usp_common_use(fibre->task, channel->common);
            usp_unlock(channel);
            looked = true;
            if (usp_lane_await(channel, side, value, bytes))
                return 0;
            continue;
        }
        double left = seconds;
        if (seconds > 0) {
            double now = (double)uv_hrtime() * 1e-9;
            if (deadline == 0)
                deadline = now + seconds;
            left = deadline > now ? deadline - now : 0;
        }
        rc = wait_for_partner(end, value, bytes, left, site);
        if (rc != USP_RETRY)
            return rc;
    }
}

static int write_variable(struct usp_end *end, void *value, double seconds, int none, const char *site)
{
    char room[128];
    struct usp_bytes bytes;
    int rc = usp_message_bytes_in(end->channel, value, &bytes, room, sizeof room);
    if (rc < 0) {
        usp_cannot_be_sent(site, end, value);
        return rc;
    }
    usp_let_go(end, value);
    rc = transact_bytes(end, value, &bytes, seconds, none, site);
    if (rc != 0)
        usp_take_back(end, value);
    usp_bytes_release(&bytes);
    return rc;
}

int usp_transact(struct usp_end *end, void *value, double seconds, int none, const char *site)
{
    struct usp_bytes bytes = {value, 0, NULL};
    if (end->channel->type == UVCSP_TYPE_PLAIN) {
        bytes.length = end->channel->size;
        return transact_bytes(end, value, &bytes, seconds, none, site);
    }
    if (end->side == USP_READER) {
        int rc = transact_bytes(end, value, &bytes, seconds, none, site);
        if (rc == 0)
            usp_take_over(end, value);
        return rc;
    }
    return write_variable(end, value, seconds, none, site);
}

void usp_end_process(int outcome, struct usp_channel *channel)
{
    struct usp_fibre *fibre = usp_current();
    char cause[400];
    cause[0] = '\0';
    if (outcome == UVCSP_POISONED && channel) {
        const char *why = channel->cause ? channel->cause : "poisoned";
        size_t length = strnlen(why, sizeof cause - 1);
        memcpy(cause, why, length);
        cause[length] = '\0';
    } else if (outcome == UVCSP_RETIRED && channel)
        snprintf(cause, sizeof cause, "channel '%s' has retired", channel->name);
    if (!fibre->unwind)
        usp_fatal("a callback of the loop met the end of a channel; use the _try forms");
    fibre->unwind(fibre->process, outcome, cause);
    __builtin_unreachable();
}

void usp_let_others_run(void)
{
    if (usp_current()->task)
        usp_yield();
}

bool usp_claim_to_kill(struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    struct usp_offer *offer = &wait->first;
    if (usp_commit_state(atomic_load(&task->commit)) != USP_OPEN)
        return false;
    if (wait->n != 1 || !offer->single)
        return usp_task_claim(task, usp_worker_index(), USP_INDEX_KILL);
    usp_lock(offer->channel); /* single offers are claimed under the lock, and by whoever finds them */
    bool claimed = usp_task_claim(task, usp_worker_index(), USP_INDEX_KILL);
    if (claimed && offer->queued)
        usp_unlink(offer);
    usp_unlock(offer->channel);
    return claimed;
}

void usp_give_up(struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    usp_sit_down(&wait->first);
    if (!usp_claim_to_kill(task))
        return;
    struct usp_offer *offers = usp_offers_of(task);
    for (uint32_t i = 0; i < wait->n; i++) {
        usp_lock(offers[i].channel);
        if (offers[i].queued)
            usp_unlink(&offers[i]);
        usp_unlock(offers[i].channel);
        (void)usp_collect(&offers[i], USP_RETRY);
    }
    usp_wait_has(wait, 0);
    atomic_store(&task->commit, USP_NONE);
    usp_common_leave(task, 0);
}

/* ---- public ---- */

static inline bool good(const struct usp_end *end, enum usp_side side)
{
    return __builtin_expect(end && end->magic == USP_END_MAGIC && end->side == side, 1);
}

static inline __attribute__((always_inline)) int checked(void *x, enum usp_side side, void *value, double seconds,
                                                         int none, const char *site)
{
    USP_ENTER();
    struct usp_end *end = x;
    if (!x || !usp_arena_holds(x, sizeof *end) || !good(end, side) || !value) {
        int rc = usp_end_check(end, side, site);
        if (rc == 0)
            usp_report("%s: the place of the message is NULL", site);
        return -EINVAL;
    }
    if (!usp_timeout_is_good(seconds, site))
        return -EINVAL;
    if (usp_at_once(end, side, value) == USP_MET)
        return UVCSP_OK;
    uint32_t used = usp_common_used(usp_current()->task);
    int rc = usp_transact(end, value, seconds, none, site);
    if (__builtin_expect(rc == USP_KILLED, 0))
        usp_end_process(rc, end->channel);
    usp_common_leave(usp_current()->task, used);
    return rc;
}

int uvcsp_end_read(void *in, void *value, double seconds, const char *site)
{
    return checked(in, USP_READER, value, seconds, UVCSP_TIMEOUT, site);
}

int uvcsp_end_write(void *out, const void *value, double seconds, const char *site)
{
    return checked(out, USP_WRITER, (void *)(uintptr_t)value, seconds, UVCSP_TIMEOUT, site);
}

int uvcsp_end_read_try(void *in, void *value, const char *site)
{
    return checked(in, USP_READER, value, 0, UVCSP_WOULD_BLOCK, site);
}

int uvcsp_end_write_try(void *out, const void *value, const char *site)
{
    return checked(out, USP_WRITER, (void *)(uintptr_t)value, 0, UVCSP_WOULD_BLOCK, site);
}
