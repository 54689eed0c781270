/* What the supervisor does with the channels when a worker has died.

   First the locks that it held are taken over. The queues under such a lock may be half linked, so they are
   built anew from the offers of every task that is open, in the order of their tickets. Then, channel by
   channel, the dead one's offers are withdrawn and its ends go, which poisons their channels with the cause. */
#include <stdlib.h>
#include <string.h>

#include "channels/channel.h"
#include "channels/io.h"
#include "channels/transfer.h"
#include "runtime/arena.h"
#include "runtime/report.h"

struct rebuild {
    struct usp_channel *channel;
    unsigned dead;
    struct usp_offer **found;
    size_t n, room;
};

static void collect_offers(void *block, unsigned owner, void *arg)
{
    struct rebuild *rebuild = arg;
    struct usp_task *task = block;
    if (owner == rebuild->dead ||
        usp_commit_state(atomic_load_explicit(&task->commit, memory_order_acquire)) != USP_OPEN)
        return;
    struct usp_wait *wait = usp_wait_of(task);
    struct usp_offer *offers = usp_offers_of(task);
    for (uint32_t i = 0; i < wait->n; i++) {
        if (offers[i].channel != rebuild->channel)
            continue;
        if (rebuild->n == rebuild->room) {
            rebuild->room = rebuild->room ? 2 * rebuild->room : 16;
            rebuild->found = realloc(rebuild->found, rebuild->room * sizeof *rebuild->found);
            if (!rebuild->found)
                usp_fatal("no memory to repair channel '%s' after a crash", rebuild->channel->name);
        }
        rebuild->found[rebuild->n++] = &offers[i];
    }
}

static int by_ticket(const void *a, const void *b)
{
    uint32_t x = (*(struct usp_offer *const *)a)->ticket, y = (*(struct usp_offer *const *)b)->ticket;
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
    /* a writer that was claimed for the buffer: if its message is in, it must not come again */
    struct usp_task *task = channel->refill;
    channel->refill = NULL;
    if (task && task->worker != dead && channel->written != channel->refill_written) {
        uint64_t commit = atomic_load(&task->commit);
        if (usp_commit_state(commit) == USP_CLAIMED && usp_commit_worker(commit) == dead)
            atomic_compare_exchange_strong(&task->commit, &commit, commit | USP_DONE);
    }
}

/* A channel that was biased to the dead one, or whose bias it was about to take away. */
static void seize_bias(struct usp_channel *channel, unsigned dead)
{
    uint32_t bias = atomic_load(&channel->bias), inside = 1;
    if (bias == 0)
        return;
    if (bias == (USP_REVOKING | (dead + 1))) {
        usp_bias_wait(channel);
        return;
    }
    if (channel->home != dead)
        return;
    /* nobody else gets in before the bias is gone: whoever revokes it waits for `inside` */
    if (atomic_load(&channel->inside))
        rebuild_queues(channel, dead);
    atomic_compare_exchange_strong(&channel->inside, &inside, 0);
    if (!(bias & USP_REVOKING))
        atomic_compare_exchange_strong(&channel->bias, &bias, 0);
}

static void seize_lock(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_channel *channel = block;
    unsigned dead = *(unsigned *)arg;
    if (channel->magic == USP_CHANNEL_MAGIC)
        seize_bias(channel, dead);
    uint32_t held = dead + 1;
    if (channel->magic != USP_CHANNEL_MAGIC ||
        !atomic_compare_exchange_strong(&channel->lock, &held, usp_worker_index() + 1))
        return;
    rebuild_queues(channel, dead);
    usp_unlock(channel);
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

static void withdraw_offers(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_channel *channel = block;
    unsigned dead = ((struct burial *)arg)->dead;
    if (channel->magic != USP_CHANNEL_MAGIC ||
        (!channel->waiting[0].head && !channel->waiting[1].head) ||
        (atomic_load(&channel->bias) && channel->home != dead))
        return; /* what is biased has ends of one live worker only */
    usp_lock(channel);
    for (int side = 0; side < 2; side++) {
        struct usp_offer *offer = channel->waiting[side].head, *next;
        for (; offer; offer = next) {
            next = offer->next;
            if (offer->task->worker == dead)
                usp_unlink(offer);
        }
    }
    usp_unlock(channel);
}

static void drop_end(void *block, unsigned owner, void *arg)
{
    struct burial *burial = arg;
    struct usp_end *end = block;
    if (owner != burial->dead || end->magic != USP_END_MAGIC)
        return;
    end->task = NULL; /* the list that it was in is the dead one's */
    end->next = end->prev = NULL;
    usp_end_release(end, USP_LEAVE_POISON, burial->how);
}

static void drop_channel(void *block, unsigned owner, void *arg)
{
    struct usp_channel *channel = block;
    if (owner != ((struct burial *)arg)->dead || channel->magic != USP_CHANNEL_MAGIC)
        return;
    channel->maker = NULL;
    channel->made_next = channel->made_prev = NULL;
    usp_channel_disown(channel);
}

static void died(unsigned dead, const char *how)
{
    seize(dead);
    struct burial burial = {dead, how};
    usp_arena_each(USP_BLOCK_CHANNEL, withdraw_offers, &burial);
    usp_arena_each(USP_BLOCK_END, drop_end, &burial);
    usp_arena_each(USP_BLOCK_CHANNEL, drop_channel, &burial);
}

static void retry(struct usp_task *task)
{
    task->outcome = USP_RETRY;
    usp_wake(task);
}

void usp_channels_init(void)
{
    usp_bias_init();
    usp_transfer_init();
    usp_fast_init();
    usp_worker_hooks.seize = seize;
    usp_worker_hooks.died = died;
    usp_worker_hooks.retry = retry;
}
