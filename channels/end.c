#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channels/io.h"
#include "channels/lane.h"
#include "channels/lock.h"
#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"

static void link_end(struct usp_end *end, struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    end->task = task;
    end->way = USP_AT_HOME;
    end->done = false;
    end->prev = NULL;
    end->next = wait->ends;
    if (wait->ends)
        wait->ends->prev = end;
    wait->ends = end;
}

static void unlink_end(struct usp_end *end)
{
    if (!end->task)
        return;
    if (end->prev)
        end->prev->next = end->next;
    else
        usp_wait_of(end->task)->ends = end->next;
    if (end->next)
        end->next->prev = end->prev;
    if (usp_wait_of(end->task)->usual == end)
        usp_wait_of(end->task)->usual = NULL;
    end->task = NULL;
    if (end->fair_key != 0) { /* marks are for ends that are somebody's */
        end->fair_key = 0;
        usp_choice_forget(end);
    }
    end->next = end->prev = NULL;
}

/* An end of another worker than the channel's home. If it is the first of all, the channel moves there; else it
   belongs to more than one from now on. The lock is held. */
static void settle(struct usp_channel *channel, unsigned worker)
{
    bool first = channel->n_refs == 2 && !channel->far;
    bool biased = atomic_load(&channel->bias) == usp_worker_index() + 1;
    usp_unbias(channel); /* the word names its holder, if this worker dies here; `inside` speaks of the new home */
    if (!first) {
        channel->far = 1;
        if (!channel->lenient) /* else the floor above says whether it goes by the counts itself */
            usp_lanes_make(channel);
        usp_link_expect(); /* some of its processes may wait there already */
        return;
    }
    channel->home = (uint16_t)worker;
    if (biased) /* to a worker that does not run yet, and nobody else has an end */
        atomic_store(&channel->bias, usp_bias_of(worker));
}

struct usp_end *usp_end_new(struct usp_channel *channel, enum usp_side side, struct usp_task *task,
                            unsigned worker)
{
    return usp_end_new_in(sizeof(struct usp_end), channel, side, task, worker);
}

/* The lock is held. A side that has retired stays so, and what comes later is retired from the start, unless the
   channel revives. */
static void count_in(struct usp_end *end)
{
    struct usp_channel *channel = end->channel;
    uint8_t over = end->side == USP_READER ? USP_NO_READERS : USP_NO_WRITERS;
    if (channel->lenient & USP_REVIVES)
        channel->ended &= (uint8_t)~over;
    end->retired = (channel->ended & over) != 0;
    if (!end->retired)
        channel->n_ends[end->side]++;
}

void usp_end_count(struct usp_end *end, bool counts)
{
    usp_lock(end->channel);
    if (counts && end->retired) {
        count_in(end);
    } else if (!counts && !end->retired) {
        end->retired = 1;
        end->channel->n_ends[end->side]--;
    }
    usp_unlock(end->channel);
}

void *usp_end_new_in(size_t size, struct usp_channel *channel, enum usp_side side,
                     struct usp_task *task, unsigned worker)
{
    struct usp_end *end = usp_arena_alloc(size, USP_BLOCK_END);
    if (!end)
        return NULL;
    *end = (struct usp_end){.side = (uint8_t)side, .channel = channel};
    if (channel->slow < USP_GENERALLY)
        end->kind = channel->slow;
    if (worker != usp_worker_index())
        usp_arena_set_owner(end, worker);
    usp_lock(channel);
    USP_FAILPOINT("end-to-join");
    channel->n_refs++;
    count_in(end);
    if (worker != channel->home)
        settle(channel, worker);
    USP_FAILPOINT("end-counted");
    atomic_signal_fence(memory_order_seq_cst);
    end->magic = USP_END_MAGIC; /* after a crash the ends that have it are counted anew */
    usp_channel_moved(channel);
    usp_unlock(channel);
    if (task)
        link_end(end, task);
    return end;
}

void usp_end_adopt(struct usp_end *end, struct usp_task *task)
{
    if (end->task == task)
        return; /* offered by several guards, and taken back for the first of them */
    usp_arena_set_owner(end, task->worker);
    usp_lock(end->channel);
    if (end->channel->home != task->worker)
        settle(end->channel, task->worker);
    link_end(end, task);
    usp_channel_moved(end->channel);
    usp_unlock(end->channel);
}

void usp_end_detach(struct usp_end *end)
{
    end->way = USP_ON_ITS_WAY;
    unlink_end(end);
}

void usp_side_retires(struct usp_channel *channel, enum usp_side side)
{
    channel->ended |= side == USP_READER ? USP_NO_READERS : USP_NO_WRITERS;
    channel->slow = USP_GENERALLY;
    usp_wake_sides(channel, UVCSP_RETIRED);
}

/* Counts the end out; the lock is held. The last of its side ends the channel for the other. */
static void count_out(struct usp_end *end)
{
    struct usp_channel *channel = end->channel;
    if (end->retired)
        return;
    bool last = channel->n_ends[end->side] == 1;
    if (last) { /* first of all, so that it is not lost with this worker */
        channel->ended |= end->side == USP_READER ? USP_NO_READERS : USP_NO_WRITERS;
        channel->slow = USP_GENERALLY;
    }
    USP_FAILPOINT("end-counting-out");
    atomic_signal_fence(memory_order_seq_cst);
    end->retired = 1;
    channel->n_ends[end->side]--;
    if (!last)
        return;
    USP_FAILPOINT("end-counted-out");
    /* readers that wait do so because the buffer is empty; writers that wait have nobody to write to.
       Their own side wakes too: an end that a process shares may have been retired by another. */
    usp_wake_sides(channel, UVCSP_RETIRED);
}

/* Counts the end out and takes the lock. What is in the buffer when the last reader goes is never read; there may be
   ends in it, whose partners wait. */
static void lock_and_count_out(struct usp_end *end)
{
    struct usp_channel *channel = end->channel;
    usp_lock(channel);
    count_out(end);
    if (__builtin_expect(usp_buffered(channel) > 0 && channel->ended & USP_NO_READERS, 0) &&
        !channel->lenient) {
        usp_unlock(channel);
        usp_buffer_drop(channel);
        usp_lock(channel);
    }
}

void usp_end_retire(struct usp_end *end)
{
    lock_and_count_out(end);
    usp_unlock(end->channel);
}

void usp_end_release(struct usp_end *end, enum usp_leave how, const char *cause)
{
    struct usp_channel *channel = end->channel;
    if (how == USP_LEAVE_POISON && !end->retired && channel->lenient)
        usp_channel_note(channel, cause);
    else if (how == USP_LEAVE_POISON && !end->retired)
        usp_channel_poison(channel, cause);
    unlink_end(end);
    lock_and_count_out(end);
    end->magic = USP_GONE_MAGIC;
    USP_FAILPOINT("end-gone");
    usp_channel_unref(channel);
    USP_FAILPOINT("end-to-free");
    usp_arena_free(end);
}

/* ---- ends that a process is done with ----

   An end that its process has retired stays for a while, so that who uses it again is told that it has retired. It
   stands in front of the list then. When there are many such ends, the older half of them goes: what a process keeps
   is bounded by the number of ends that it has in use, however long it lives. */

#define FEW_DONE 1024

/* Of the ends in the list that are done, all but the first `stay` go. */
static void release_done(struct usp_task *task, uint32_t stay)
{
    struct usp_end *next;
    for (struct usp_end *end = usp_wait_of(task)->ends; end; end = next) {
        next = end->next;
        if (end->done && stay > 0)
            stay--;
        else if (end->done)
            usp_end_release(end, USP_LEAVE_RETIRE, NULL);
    }
}

static uint32_t in_use(struct usp_task *task)
{
    uint32_t n = 0;
    for (const struct usp_end *end = usp_wait_of(task)->ends; end; end = end->next)
        n += !end->done;
    return n;
}

/* An end of another process (who knows it has it by a pointer) is left to that one. */
static void is_done_with(struct usp_end *end)
{
    struct usp_fibre *fibre = usp_current();
    struct usp_task *task = end->task;
    if (end->done || !task || task != fibre->task)
        return;
    unlink_end(end);
    link_end(end, task);
    end->done = true;
    if (++fibre->n_done <= FEW_DONE || fibre->n_done <= fibre->most_done)
        return;
    /* Whoever has an array of ends can retire them all, and all of them once more. */
    fibre->most_done = FEW_DONE + 2 * in_use(task);
    if (fibre->n_done <= fibre->most_done)
        return;
    fibre->n_done /= 2;
    release_done(task, fibre->n_done);
}

void usp_ends_release(struct usp_task *task, enum usp_leave how, const char *cause)
{
    while (usp_wait_of(task)->ends)
        usp_end_release(usp_wait_of(task)->ends, how, cause);
}

/* The way is looked at first: who adopts an end is its owner before it is at home. */
const char *usp_end_stays(const void *x)
{
    const struct usp_end *end = x;
    const struct usp_task *self = usp_current()->task;
    if (!end)
        return "there is no end in it";
    if (!usp_arena_is(end, USP_BLOCK_END) || end->magic != USP_END_MAGIC)
        return "it is no end, or its process has ended, or it was freed";
    bool at_home = *(const volatile uint16_t *)&end->way == USP_AT_HOME;
    atomic_thread_fence(memory_order_acquire);
    if (at_home && usp_arena_is_owned(end, USP_BLOCK_END, usp_worker_index()) &&
        (!end->task || !self || end->task == self))
        return NULL;
    return "the end was sent before, or is another process's";
}

const char *usp_end_problem(const struct usp_end *end, enum usp_side side)
{
    if (!end)
        return "the end is NULL";
    if (!usp_arena_is(end, USP_BLOCK_END) || end->magic != USP_END_MAGIC)
        return usp_arena_is(end, USP_BLOCK_CHANNEL) ? "a channel is no end; IN_OF and OUT_OF make one"
                                                    : "this is no end, or its process has ended, or it was freed";
    if (end->side != side)
        return side == USP_READER ? "this is a writing end" : "this is a reading end";
    return NULL;
}

int usp_end_check(const struct usp_end *end, enum usp_side side, const char *what)
{
    const char *problem = usp_end_problem(end, side);
    if (!problem)
        return 0;
    usp_report("%s: %s", what, problem);
    return -EINVAL;
}

/* ---- public ---- */

static void *end_of(void *x, enum usp_side side, const char *what)
{
    USP_ENTER();
    struct usp_channel *channel = usp_channel_of(x, what);
    if (!channel)
        return NULL;
    struct usp_task *task = usp_current()->task;
    if (!task) {
        usp_report("%s: a callback of the loop is no process and cannot own an end", what);
        return NULL;
    }
    if (x == channel)
        usp_channel_used(channel, task);
    struct usp_end *end = usp_end_new(channel, side, task, usp_worker_index());
    if (!end)
        usp_report("%s: the shared arena is full", what);
    else
        end->known = true;
    return end;
}

void *uvcsp_in_of(void *channel)
{
    return end_of(channel, USP_READER, "IN_OF");
}

void *uvcsp_out_of(void *channel)
{
    return end_of(channel, USP_WRITER, "OUT_OF");
}

int uvcsp_retire(void *x)
{
    USP_ENTER();
    struct usp_end *end = x;
    if (!x || !usp_arena_is(x, USP_BLOCK_END) || end->magic != USP_END_MAGIC) {
        usp_report("RETIRE: %s", !x ? "the end is NULL"
                                 : usp_arena_is(x, USP_BLOCK_CHANNEL)
                                     ? "only an end can retire, not a channel"
                                     : "this is no end, or it was freed");
        return -EINVAL;
    }
    usp_end_retire(end);
    is_done_with(end);
    return 0;
}

uvcsp_end uvcsp_mobile(void *x)
{
    USP_ENTER();
    struct usp_end *end = x;
    if (!x || !usp_arena_is(x, USP_BLOCK_END) || end->magic != USP_END_MAGIC)
        usp_fatal("MOBILE: %s", x ? "this is no end, or it was freed" : "the end is NULL");
    struct usp_end *moved = usp_end_new(end->channel, (enum usp_side)end->side,
                                        usp_current()->task, usp_worker_index());
    if (!moved)
        usp_fatal("MOBILE: the shared arena is full");
    moved->known = true;
    if (end->retired && !moved->retired)
        usp_end_retire(moved);
    usp_end_retire(end);
    is_done_with(end);
    return (uvcsp_end){moved};
}

static void *typed(uvcsp_end value, size_t size, enum usp_side side, const char *what)
{
    USP_ENTER();
    struct usp_end *end = value.end_;
    if (usp_end_check(end, side, what) < 0)
        usp_fatal("%s: not the end that was asked for (one that is part of a struct does not move)", what);
    if (end->channel->size != size)
        usp_fatal("%s: messages of channel '%s' have %zu bytes, not %zu", what, end->channel->name,
                  end->channel->size, size);
    return end;
}

void *uvcsp_as_in(uvcsp_end end, size_t size)
{
    return typed(end, size, USP_READER, "AS_IN");
}

void *uvcsp_as_out(uvcsp_end end, size_t size)
{
    return typed(end, size, USP_WRITER, "AS_OUT");
}
