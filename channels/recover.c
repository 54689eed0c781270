/* What is done to the channels when a worker has died.

   First the locks that it held are freed, by whoever needs one or by the supervisor. What such a
   lock guards may be half done, so the channel is repaired from what is stored whole:

       queues    anew, from the offers of every task that is open, in the order of their tickets
       counts    from the records of ends: one counts if its magic says so
       buffer    `written` and `read`, or the counts of its lanes, say what is in it; that belongs to nobody
       ended     is stored before the counts go down, and whoever waits is sent to look again

   Then the dead one's offers are withdrawn and its ends go, which poisons their channels with the
   cause.

   A mobile end on its way is the exception: survivors may have received it, and whether they have
   is known only when each has looked. So it goes last, if nobody has taken it. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "channels/channel.h"
#include "channels/io.h"
#include "channels/lane.h"
#include "channels/lock.h"
#include "channels/transfer.h"
#include "runtime/arena.h"
#include "runtime/report.h"

/* ---- repair; the lock is held ---- */

struct rebuild {
    struct usp_channel *channel;
    unsigned dead;
    struct usp_offer **found;
    size_t n, room;
};

static void found_offer(struct rebuild *rebuild, struct usp_offer *offer)
{
    if (rebuild->n == rebuild->room) {
        rebuild->room = rebuild->room ? 2 * rebuild->room : 16;
        rebuild->found = realloc(rebuild->found, rebuild->room * sizeof *rebuild->found);
        if (!rebuild->found)
            usp_fatal("no memory to repair channel '%s' after a crash", rebuild->channel->name);
    }
    rebuild->found[rebuild->n++] = offer;
}

/* The offers of a task of another worker, which may be just making it, or changing its table. */
static struct usp_offer *offers_of(struct usp_task *task, uint32_t *np)
{
    uint32_t n = usp_wait_of(task)->n;
    struct usp_offer *table = usp_wait_of(task)->table;
    *np = n;
    if (n <= 1)
        return &usp_wait_of(task)->first;
    if (!usp_arena_is(table, USP_BLOCK_OFFERS) || n > usp_arena_size(table) / sizeof *table)
        *np = 0;
    return table;
}

/* A task with an offer at this channel does not get beyond withdrawing it without the lock; so
   what is read here of such an offer stays. It leaves the queue that is dropped, also if its task
   has been claimed elsewhere meanwhile. */
static void collect_offers(void *block, unsigned owner, void *arg)
{
    struct rebuild *rebuild = arg;
    struct usp_task *task = block;
    uint64_t commit = atomic_load_explicit(&task->commit, memory_order_acquire);
    bool open = owner != rebuild->dead && usp_commit_state(commit) == USP_OPEN;
    uint32_t n;
    struct usp_offer *offers = offers_of(task, &n);
    for (uint32_t i = 0; i < n; i++) {
        volatile struct usp_offer *offer = &offers[i];
        if (offer->channel != rebuild->channel || offer->task != task)
            continue;
        if (open)
            found_offer(rebuild, &offers[i]);
        else if (offer->queued && !usp_was_taken(offer, commit) && offer->channel == rebuild->channel)
            offer->queued = 0;
    }
}

static int by_ticket(const void *a, const void *b)
{
    uint32_t x = (*(struct usp_offer *const *)a)->ticket,
             y = (*(struct usp_offer *const *)b)->ticket;
    return (int32_t)(x - y) < 0 ? -1 : x != y;
}

static void rebuild_queues(struct usp_channel *channel, unsigned dead)
{
    struct rebuild rebuild = {.channel = channel, .dead = dead};
    memset(channel->waiting, 0, sizeof channel->waiting);
    usp_arena_each(USP_BLOCK_TASK, collect_offers, &rebuild);
    if (rebuild.n > 1)
        qsort(rebuild.found, rebuild.n, sizeof *rebuild.found, by_ticket);
    for (size_t i = 0; i < rebuild.n; i++)
        usp_enqueue(rebuild.found[i], (enum usp_side)rebuild.found[i]->side);
    free(rebuild.found);
}

/* A writer that was claimed for the buffer: if its message is in, it must not come again. Only
   the claim of who moved it can be in its commit word, for without this lock nobody sends the
   writer on its way. */
static void finish_refill(struct usp_channel *channel)
{
    struct usp_task *task = channel->refill;
    if (task && usp_arena_is(task, USP_BLOCK_TASK) && usp_counted(channel, USP_WRITER) != channel->refill_written) {
        uint64_t commit = atomic_load(&task->commit);
        if (usp_commit_state(commit) == USP_CLAIMED)
            atomic_compare_exchange_strong(&task->commit, &commit, commit | USP_DONE);
    }
    atomic_signal_fence(memory_order_seq_cst);
    channel->refill = NULL;
}

/* A message that was about to be counted as gone past the buffer has not gone there: if its reader was claimed, that one looks
   again. Likewise if it was about to be struck out. By that offer only who had the lock has claimed it, and he need not be
   the one who has died last: that may have been who repaired this. */
static void finish_passing(struct usp_channel *channel)
{
    struct usp_task *task = channel->passes_to;
    if (!task)
        return;
    uint64_t commit = usp_arena_is(task, USP_BLOCK_TASK) ? atomic_load(&task->commit) : USP_NONE;
    if (usp_commit_state(commit) == USP_CLAIMED && usp_commit_index(commit) == channel->passes_at &&
        channel->passes_at < usp_wait_of(task)->n)
        usp_offers_of(task)[channel->passes_at].passed = 0;
    channel->passed = channel->passed_before;
    atomic_signal_fence(memory_order_seq_cst);
    channel->passes_to = NULL;
}

static void count_end(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_channel *channel = arg;
    const struct usp_end *end = block;
    if (end->magic != USP_END_MAGIC || end->channel != channel)
        return;
    channel->n_refs++;
    if (!end->retired)
        channel->n_ends[end->side]++;
}

static void disinherit(void *block, enum usp_block_kind kind)
{
    if (block && usp_arena_is(block, kind))
        usp_arena_set_owner(block, USP_NOBODY);
}

/* Who has dropped the maker's hold may have died of it. Then no worker answers for the channel any more, but who frees it with the
   last end, and that may be soon. */
static void finish_disowning(struct usp_channel *channel)
{
    if (channel->held)
        return;
    channel->common = NULL;
    channel->maker = NULL;
    channel->made_next = channel->made_prev = NULL;
    disinherit(channel, USP_BLOCK_CHANNEL);
}

static void repair(struct usp_channel *channel, unsigned dead)
{
    USP_FAILPOINT("repair-begun");
    usp_lanes_complete(channel);
    finish_refill(channel);
    finish_passing(channel);
    finish_disowning(channel);
    rebuild_queues(channel, dead);
    channel->n_refs = channel->held;
    channel->n_ends[0] = channel->n_ends[1] = 0;
    usp_arena_each(USP_BLOCK_END, count_end, channel);
    for (int side = 0; side < 2 && !channel->held && !channel->lenient; side++)
        if (channel->n_ends[side] == 0) /* it will never have one: who dropped the hold had yet to say so */
            channel->ended |= side == USP_READER ? USP_NO_READERS : USP_NO_WRITERS;
    for (uint32_t n = usp_counted(channel, USP_READER); n != usp_counted(channel, USP_WRITER); n++)
        disinherit(usp_buffer_block(channel, n),
                   channel->type == UVCSP_TYPE_END ? USP_BLOCK_END : USP_BLOCK_MESSAGE);
    usp_buffer_count_bytes(channel);
    disinherit((void *)(uintptr_t)channel->cause, USP_BLOCK_TEXT);
    disinherit(channel->buffer, USP_BLOCK_MESSAGE); /* a semaphore's may be just growing */
    if (channel->ended) {
        channel->slow = USP_GENERALLY;
        usp_wake_side(channel, USP_READER, USP_RETRY);
        usp_wake_side(channel, USP_WRITER, USP_RETRY);
    } else if (channel->capacity > 0 && !usp_is_full(channel)) {
        usp_wake_side(channel, USP_WRITER, USP_RETRY); /* it had made room and not yet refilled it */
    }
}

/* False: the channel is gone. */
static bool repair_and_unlock(struct usp_channel *channel, unsigned dead)
{
    repair(channel, dead);
    bool remains = channel->n_refs > 0;
    if (remains) {
        usp_unlock(channel);
    } else {
        channel->n_refs = 1; /* it died when it had taken the last one away */
        usp_channel_unref(channel);
    }
    return remains;
}

/* ---- locks ---- */

/* The word `lock`, from who had it, or from nobody. */
static bool take_lock(struct usp_channel *channel, uint16_t from)
{
    if (!atomic_compare_exchange_strong(&channel->lock, &from, (uint16_t)(usp_worker_index() + 1)))
        return false;
    usp_keep_lanes_clear(channel);
    return true;
}

/* What `inside` says of one who has died there. */
static uint32_t inside_of(const struct usp_channel *channel, unsigned dead)
{
    return *(const volatile uint16_t *)&channel->home == dead ? 1 : dead + USP_REPAIRING;
}

/* A channel that was biased to the dead one, or whose bias it was about to take away. Where it is
   inside it may yet have been about to retreat, because the bias had been taken; so whoever repairs
   takes the lock's word besides, and where somebody has that there is nothing to repair. A bias
   stays, or goes back; it is in nobody's way. False: the channel is gone. */
static bool seize_bias(struct usp_channel *channel, unsigned dead)
{
    uint32_t dead_inside = inside_of(channel, dead);
    if (atomic_load(&channel->inside) == dead_inside && usp_channel_stands(channel) && inside_of(channel, dead) == dead_inside &&
        atomic_compare_exchange_strong(&channel->inside, &dead_inside,
                                       usp_worker_index() + USP_REPAIRING)) {
        if (!usp_channel_stands(channel) || inside_of(channel, dead) != dead_inside) { /* another channel by now, and its owner inside */
            uint32_t mine = usp_worker_index() + USP_REPAIRING;
            atomic_compare_exchange_strong(&channel->inside, &mine, dead_inside);
            return true;
        }
        bool locked = take_lock(channel, 0);
        atomic_store(&channel->inside, 0);
        if (locked && !repair_and_unlock(channel, dead))
            return false;
    }
    uint32_t mark = USP_REVOKING | (dead + 1);
    if (atomic_load(&channel->bias) == mark && usp_channel_stands(channel))
        atomic_compare_exchange_strong(&channel->bias, &mark, usp_bias_of(channel->home));
    return true;
}

static void seize_lock(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_channel *channel = block;
    unsigned dead = *(unsigned *)arg;
    uint16_t held = (uint16_t)(dead + 1);
    if (!usp_channel_stands(channel))
        return;
    usp_lanes_seize(channel, dead);
    if ((atomic_load(&channel->bias) || atomic_load(&channel->inside)) &&
        !seize_bias(channel, dead))
        return;
    if (atomic_load(&channel->lock) == held && usp_channel_stands(channel) && take_lock(channel, held))
        repair_and_unlock(channel, dead);
}

static void close_commit(void *block, unsigned owner, void *arg)
{
    struct usp_task *task = block;
    uint64_t open = USP_OPEN;
    if (owner == *(unsigned *)arg)
        atomic_compare_exchange_strong(&task->commit, &open, (uint64_t)USP_DEAD);
}

static void seize(unsigned dead)
{
    usp_arena_each(USP_BLOCK_TASK, close_commit, &dead);
    usp_arena_each(USP_BLOCK_CHANNEL, seize_lock, &dead);
}

/* ---- after the locks ---- */

struct burial {
    unsigned dead;
    const char *how;
};

/* An offer that is in a queue says so, and its process holds an end of that channel. */
static void withdraw_offers(void *block, unsigned owner, void *arg)
{
    struct usp_task *task = block;
    if (owner != ((struct burial *)arg)->dead)
        return;
    uint32_t n;
    struct usp_offer *offers = offers_of(task, &n);
    uint64_t commit = atomic_load(&task->commit);
    for (uint32_t i = 0; i < n; i++) {
        struct usp_channel *channel = offers[i].channel;
        if (!offers[i].queued || usp_was_taken(&offers[i], commit) || !usp_arena_is(channel, USP_BLOCK_CHANNEL))
            continue;
        usp_lock(channel);
        if (offers[i].queued)
            usp_unlink(&offers[i]);
        usp_unlock(channel);
    }
}

/* What it was counted in at (common.h). */
static void leave_common(void *block, unsigned owner, void *arg)
{
    struct usp_task *task = block;
    if (owner != ((struct burial *)arg)->dead || !usp_arena_is(task->uses, USP_BLOCK_OFFERS))
        return;
    usp_common_complete(task);
    usp_common_leave(task, 0);
    task->uses = NULL; /* the block may be a task again, and another's; so may the list */
}

static void release(struct usp_end *end, const char *how)
{
    end->task = NULL; /* the list that it was in is the dead one's */
    end->next = end->prev = NULL;
    usp_end_release(end, how ? USP_LEAVE_POISON : USP_LEAVE_RETIRE, how);
}

/* A survivor may just be adopting an end that it has got from the dead one: then it is its owner
   before it is at home. */
static void drop_end(void *block, unsigned owner, void *arg)
{
    struct burial *burial = arg;
    struct usp_end *end = block;
    if (owner != burial->dead || *(volatile uint16_t *)&end->way != USP_AT_HOME)
        return;
    atomic_signal_fence(memory_order_seq_cst);
    if (usp_arena_is_owned(end, USP_BLOCK_END, burial->dead) && end->magic == USP_END_MAGIC)
        release(end, burial->how);
}

/* One that is not held was repaired, or is being repaired, and others may free it. If it is the dead one's still after it was seen to
   be held, it was his then, and nobody else drops that hold. */
static void drop_channel(void *block, unsigned owner, void *arg)
{
    struct usp_channel *channel = block;
    unsigned dead = ((struct burial *)arg)->dead;
    if (owner != dead || channel->magic != USP_CHANNEL_MAGIC)
        return;
    USP_FAILPOINT("channel-to-drop");
    if (!*(volatile bool *)&channel->held)
        return;
    atomic_thread_fence(memory_order_acquire);
    if (!usp_arena_is_owned(channel, USP_BLOCK_CHANNEL, dead))
        return;
    channel->maker = NULL;
    channel->made_next = channel->made_prev = NULL;
    usp_channel_disown(channel);
}

/* Somebody else may have seized a lock of the dead one's, and be about to find out whether the message of a writer
   that it had claimed is in the buffer, or that to a reader is counted. Before that is known, the one that was claimed must not be told
   to look again. */
static void await_repair(const struct usp_channel *channel, struct usp_task *const volatile *claimed, unsigned dead)
{
    for (;;) {
        struct usp_task *task = *claimed;
        if (channel->magic != USP_CHANNEL_MAGIC || !task || !usp_arena_is(task, USP_BLOCK_TASK))
            return;
        uint64_t commit = atomic_load(&task->commit);
        if (usp_commit_state(commit) != USP_CLAIMED || usp_commit_worker(commit) != dead || commit & USP_DONE)
            return;
        uint32_t holder = atomic_load(&channel->lock);
        if (holder == 0 || !usp_supervise_stuck(holder - 1))
            sched_yield();
    }
}

static void await_repairs(void *block, unsigned owner, void *arg)
{
    struct usp_channel *channel = block;
    (void)owner;
    await_repair(channel, &channel->refill, *(unsigned *)arg);
    await_repair(channel, &channel->passes_to, *(unsigned *)arg);
}

static void died(unsigned dead, const char *how)
{
    seize(dead);
    usp_arena_each(USP_BLOCK_CHANNEL, await_repairs, &dead);
    struct burial burial = {dead, how};
    usp_arena_each(USP_BLOCK_TASK, withdraw_offers, &burial);
    usp_arena_each(USP_BLOCK_TASK, leave_common, &burial);
    usp_arena_each(USP_BLOCK_END, drop_end, &burial);
    usp_arena_each(USP_BLOCK_CHANNEL, drop_channel, &burial);
}

/* ---- in a survivor, and when all have answered ---- */

static struct usp_end *end_in(const void *value)
{
    uvcsp_end moved;
    memcpy(&moved, value, sizeof moved);
    struct usp_end *end = moved.end_;
    return usp_arena_is(end, USP_BLOCK_END) && end->magic == USP_END_MAGIC ? end : NULL;
}

/* What a dead claimer has left in the offers is its own, and is given back with the rest of it;
   what it has taken in hand of this process's is not. */
static void retry(struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    struct usp_offer *offers = usp_offers_of(task);
    for (uint32_t i = 0; i < wait->n; i++) {
        struct usp_offer *offer = &offers[i];
        if (offer->stash && usp_arena_owner(offer->stash) != usp_worker_index())
            offer->stash = NULL;
        if (offer->passed)
            usp_not_passed(offer->channel, offer);
        struct usp_end *end = NULL;
        if (offer->side == USP_WRITER && offer->channel->type == UVCSP_TYPE_END)
            end = end_in(offer->data);
        if (end) {
            usp_arena_set_owner(end, usp_worker_index());
            end->way = USP_ON_ITS_WAY;
        }
    }
    task->outcome = USP_RETRY;
    usp_wake(task);
}

/* It has an end from the dead one, and will adopt it when it runs. */
static void received(struct usp_task *task)
{
    uint32_t index = usp_commit_index(atomic_load(&task->commit));
    if (index >= usp_wait_of(task)->n || (task->outcome != 0 && task->outcome != USP_FILLED))
        return;
    const struct usp_offer *offer = &usp_offers_of(task)[index];
    if (offer->side != USP_READER || !usp_arena_is(offer->channel, USP_BLOCK_CHANNEL) ||
        offer->channel->type != UVCSP_TYPE_END)
        return;
    struct usp_end *end = end_in(task->outcome == USP_FILLED ? offer->small : offer->data);
    if (end)
        usp_arena_set_owner(end, usp_worker_index());
}

static void drop_moving(void *block, unsigned owner, void *arg)
{
    struct burial *burial = arg;
    struct usp_end *end = block;
    if (end->magic == USP_END_MAGIC && end->way != USP_AT_HOME &&
        (owner == burial->dead || end->way == USP_ON_ITS_WAY_TO(burial->dead)))
        release(end, burial->how);
}

static void forgotten(unsigned dead, const char *how)
{
    struct burial burial = {dead, how};
    usp_arena_each(USP_BLOCK_END, drop_moving, &burial);
}

void usp_channels_init(void)
{
    usp_bias_init();
    usp_transfer_init();
    usp_fast_init();
    usp_worker_hooks.seize = seize;
    usp_worker_hooks.died = died;
    usp_worker_hooks.retry = retry;
    usp_worker_hooks.received = received;
    usp_worker_hooks.forgotten = forgotten;
}
