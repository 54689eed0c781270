/* Objects, and what is done when their users die. See sync.h. */
#include "ipc/sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "channels/io.h"
#include "channels/lock.h"
#include "ipc/shared.h"
#include "runtime/arena.h"
#include "runtime/report.h"
#include "runtime/sources.h"

enum { INDEX_CHANNEL, INDEX_TIMER };

/* ---- objects ---- */

struct usp_task *usp_sync_self(const char *what)
{
    struct usp_task *task = usp_current()->task;
    if (!task)
        usp_fatal("%s: a callback of the loop is no process: it can neither hold a lock nor wait",
                  what);
    return task;
}

struct usp_sync *usp_sync_of(void *x, unsigned kinds, const char *what)
{
    USP_ENTER();
    struct usp_sync *sync = x;
    if (x && (uintptr_t)x % 16 == 0 && usp_arena_holds(x, sizeof *sync) &&
        sync->magic == USP_SYNC_MAGIC && USP_KIND(sync->kind) & kinds)
        return sync;
    usp_report("%s: %s", what,
               x ? "this is no object of that kind, or it was freed" : "it is NULL");
    return NULL;
}

static void free_parts(void *block)
{
    struct usp_sync *sync = block;
    usp_channel_disown(sync->channel);
    usp_arena_free(sync);
}

/* Nobody comes back to it. */
static void discard(struct usp_common *common)
{
    struct usp_sync *sync = (struct usp_sync *)((char *)common - offsetof(struct usp_sync, common));
    if (sync->lock)
        usp_common_drop(&sync->lock->common);
    sync->end.magic = USP_GONE_MAGIC;
    usp_free_unwalked(sync, free_parts);
}

static void free_made(struct usp_made *made)
{
    usp_sync_free((char *)made - offsetof(struct usp_sync, made), ~0u, "");
}

struct usp_sync *usp_sync_new(enum usp_sync_kind kind, uint32_t capacity, uint32_t n_names,
                              const char *what, const char *site)
{
    USP_ENTER();
    usp_free_what_can_be();
    struct usp_sync *sync =
        usp_arena_alloc(sizeof *sync + n_names * sizeof sync->names[0], USP_BLOCK_SHARED);
    char name[160];
    snprintf(name, sizeof name, "%s of %s", what, site ? site : "?");
    void *channel = uvcsp_channel_new(
        sizeof(struct usp_task *), UVCSP_TYPE_PLAIN,
        (uvcsp_channel_options){.capacity = (int)capacity, .name = name, .site_ = site});
    if (!sync || !channel) {
        if (channel) /* who made the channel has said so otherwise */
            usp_report("%s: no room in the shared arena for a %s", site ? site : "?", what);
        uvcsp_channel_free(channel);
        usp_arena_free(sync);
        errno = ENOMEM;
        return NULL;
    }
    usp_channel_make_common(channel);
    memset(sync, 0, sizeof *sync + n_names * sizeof sync->names[0]);
    sync->kind = (uint8_t)kind;
    sync->channel = channel;
    sync->channel->slow = USP_GENERALLY;
    sync->channel->is_lock = kind == USP_LOCK || kind == USP_RLOCK;
    sync->channel->common = &sync->common;
    usp_common_init(&sync->common, discard);
    sync->n_names = n_names;
    sync->end = (struct usp_end){.magic = USP_END_MAGIC, .side = USP_WRITER, .channel = channel};
    if (kind == USP_EVENT) {
        sync->end.side = USP_READER;
        sync->end.looks = USP_LOOKS;
    }
    usp_made_link(&sync->made, free_made);
    atomic_signal_fence(memory_order_seq_cst);
    sync->magic = USP_SYNC_MAGIC;
    return sync;
}

/* Tells who waits. */
static void dissolve(struct usp_sync *sync, uint32_t magic)
{
    struct usp_channel *channel = sync->channel;
    usp_lock(channel);
    sync->magic = magic;
    channel->ended |= USP_POISONED;
    usp_wake_side(channel, USP_READER, UVCSP_POISONED);
    usp_wake_side(channel, USP_WRITER, UVCSP_POISONED);
    usp_unlock(channel);
}

void usp_sync_free(void *x, unsigned kinds, const char *what)
{
    struct usp_sync *sync = x ? usp_sync_of(x, kinds, what) : NULL;
    if (!sync)
        return;
    if (usp_arena_owner(sync) != usp_worker_index()) {
        usp_report("%s: it was made by another worker", what);
        return;
    }
    usp_made_unlink(&sync->made);
    if (sync->own_lock)
        usp_sync_free(sync->lock, ~0u, what);
    dissolve(sync, USP_GONE_MAGIC);
    usp_common_drop(&sync->common);
}

/* ---- waiting ---- */

int usp_sync_park(struct usp_sync *sync, double seconds, const char *site, void (*between)(void *),
                  void *arg)
{
    struct usp_channel *channel = sync->channel;
    struct usp_task *self = usp_current()->task;
    struct usp_wait *wait = usp_wait_of(self);
    struct usp_offer *offer = &wait->first;
    if (usp_current()->kill) {
        usp_unlock(channel);
        return USP_KILLED;
    }
    usp_wait_has(wait, 1);
    usp_offer_begin(offer, channel, self, INDEX_CHANNEL, (struct usp_offer){.side = USP_READER}.marks);
    offer->data = NULL;
    usp_common_use(self, channel->common);
    self->site = usp_place_of_call(site);
    usp_task_arming(self);
    usp_task_open(self);
    usp_enqueue(offer, USP_READER);
    usp_unlock(channel);
    if (between)
        between(arg);
    int armed = seconds >= 0 ? usp_timer_arm(self, INDEX_TIMER, seconds) : 0;
    if (armed < 0 && usp_task_claim(self, usp_worker_index(), INDEX_TIMER))
        usp_wake(self);
    usp_task_armed(self);
    usp_park();
    if (seconds >= 0)
        usp_sources_disarm(self);
    self->site = NULL;
    return usp_after_wait(self, offer, armed);
}

/* ---- death ---- */

static void (*const gone_by_kind[])(struct usp_sync *, const struct usp_gone *) = {
    [USP_LOCK] = usp_lock_gone,   [USP_RLOCK] = usp_lock_gone, [USP_SEMAPHORE] = usp_semaphore_gone,
    [USP_EVENT] = usp_event_gone, [USP_CONDITION] = NULL,      [USP_BARRIER] = usp_barrier_gone,
};

void usp_sync_let_go(void *block, unsigned owner, void *arg)
{
    (void)owner;
    struct usp_sync *sync = block;
    if (sync->magic == USP_SYNC_MAGIC && gone_by_kind[sync->kind])
        gone_by_kind[sync->kind](sync, arg);
}

/* What the dead one had made goes with it: others are told now. They may be in the middle of something with it, so
   it stays the dead one's until every one of them has seen that death; whoever is its supervisor by then gives it back. */
static void bury(void *block, unsigned owner, void *arg)
{
    struct usp_sync *sync = block;
    if (owner != ((const struct usp_gone *)arg)->dead)
        return;
    if (sync->magic == USP_SYNC_MAGIC)
        dissolve(sync, USP_SYNC_BURIED);
    else
        usp_shared_bury(block);
}

static void give_back(void *block, unsigned owner, void *arg)
{
    struct usp_sync *sync = block;
    if (owner != ((const struct usp_gone *)arg)->dead)
        return;
    if (sync->magic != USP_SYNC_BURIED) {
        usp_shared_give_back(block);
        return;
    }
    sync->magic = USP_GONE_MAGIC;
    usp_arena_set_owner(sync, usp_worker_index());
    usp_common_drop(&sync->common);
}

void (*usp_store_died)(void *block);

static void tell_queue(void *block, unsigned owner, void *arg)
{
    (void)owner;
    (void)arg;
    usp_store_died(block);
}

static void (*channels_died)(unsigned dead, const char *how), (*channels_forgotten)(unsigned dead, const char *how);

static void died(unsigned dead, const char *how)
{
    channels_died(dead, how);
    struct usp_gone gone = {NULL, dead};
    usp_walk_shared(usp_sync_let_go, &gone);
    usp_walk_shared(bury, &gone);
    if (usp_store_died)
        usp_walk_shared(tell_queue, NULL);
    usp_free_what_can_be();
}

static void forgotten(unsigned dead, const char *how)
{
    channels_forgotten(dead, how);
    struct usp_gone gone = {NULL, dead};
    usp_walk_shared(give_back, &gone);
    usp_free_what_can_be();
}

/* Who forks a worker is its supervisor, and so is the root, which has forked first. */
static void before_fork(void)
{
    if (!usp_here || !usp_worker_hooks.died || usp_worker_hooks.died == died)
        return;
    channels_died = usp_worker_hooks.died;
    channels_forgotten = usp_worker_hooks.forgotten;
    usp_worker_hooks.died = died;
    usp_worker_hooks.forgotten = forgotten;
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, NULL, NULL);
}
