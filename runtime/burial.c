/* Burial: what a dead worker has left is put right, by one worker at a time, and given back once every
   survivor has looked through its own tasks. */
#include "runtime/burial.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/arena.h"
#include "runtime/failpoint.h"
#include "runtime/link.h"
#include "runtime/valgrind.h"
#include "runtime/worker.h"
#include "runtime/young.h"

/* A dead worker whose blocks wait until every survivor has looked. */
struct grave {
    struct grave *next;
    unsigned index;
    uint32_t death; /* count of deaths that the survivors must have seen */
    bool gentle;
    char how[200];
};

static struct grave *graves USP_YOUNG;

/* ---- what the root takes over ---- */

void usp_supervise_tell_root(void)
{
    atomic_fetch_add(&usp_shared->orphans, 1);
    if (!usp_worker_is_root()) /* no frame: it might not leave a worker that is about to end */
        kill(usp_shared->root, USP_SIGNAL_BELL);
}

/* False: the record has been given back meanwhile, and may be another one's child's. */
static bool make_orphan(struct usp_worker *worker, uint32_t parent)
{
    if (!atomic_compare_exchange_strong(&worker->parent, &parent, 0))
        return false;
    atomic_store(&worker->orphan, 1);
    return true;
}

/* The children of a dead worker are the root's now, in whatever state they are: they may not have
   been born, or be dead themselves and not have been looked after to the end. */
static void orphan_children_of(unsigned index)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    bool any = false;
    for (unsigned i = 1; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        if (atomic_load(&worker->state) != USP_WORKER_FREE)
            any |= make_orphan(worker, index);
    }
    if (any)
        usp_supervise_tell_root();
}

void usp_supervise_hand_over(void)
{
    if (!usp_worker_is_root() && usp_worker_had_children()) /* to look for them is to map the whole table */
        orphan_children_of(usp_worker_index());
}

/* In any case: the dead one may have taken `sleeping` down and not rung, or written to a link and not knocked. */
static void ring_everybody(void)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++)
        if (i != usp_worker_index() && atomic_load(&usp_worker_of(i)->state) == USP_WORKER_RUNNING)
            usp_worker_ring(i);
}

/* ---- putting right ---- */

static bool has_ended(uint64_t identity)
{
    unsigned index = (unsigned)identity;
    return usp_worker_of(index)->generation != (uint32_t)(identity >> 32) ||
           usp_supervise_has_ended(index);
}

/* One worker at a time puts right what a dead one has left; another goes on if that one dies of it.
   False: it has been done. */
static bool become_undertaker(struct usp_worker *worker)
{
    unsigned self = usp_worker_index();
    uint64_t mine = (uint64_t)usp_worker_of(self)->generation << 32 | self;
    for (;;) {
        uint64_t other = atomic_load(&worker->undertaker);
        if (atomic_load(&worker->state) == USP_WORKER_BURIED)
            return false;
        if (other == mine || ((other == USP_NO_UNDERTAKER || has_ended(other)) &&
                              atomic_compare_exchange_strong(&worker->undertaker, &other, mine)))
            return true;
        sched_yield();
    }
}

uint32_t usp_put_right(unsigned index, const char *how)
{
    struct usp_worker *worker = usp_worker_of(index);
    if (become_undertaker(worker)) {
        atomic_store(&worker->state, USP_WORKER_DEAD);
        usp_arena_recover(index);
        USP_FAILPOINT("burial-begun");
        if (usp_worker_hooks.died)
            usp_worker_hooks.died(index, how);
        USP_FAILPOINT("burial-channels-done");
        atomic_store(&worker->state, USP_WORKER_BURIED);
    }
    orphan_children_of(index);
    uint32_t death = atomic_fetch_add(&usp_shared->deaths, 1) + 1;
    USP_FAILPOINT("burial-counted");
    ring_everybody();
    return death;
}

void usp_bury(unsigned index, const char *how)
{
    uint32_t death = usp_put_right(index, how);
    struct grave *grave = calloc(1, sizeof *grave);
    if (!grave)
        return; /* the record and its blocks stay unused */
    grave->next = graves;
    grave->index = index;
    grave->death = death;
    grave->gentle = !how;
    snprintf(grave->how, sizeof grave->how, "%s", how ? how : "");
    graves = grave;
}

/* ---- what a survivor does ---- */

/* Those whose burial is not complete are left for the next time: their locks, and what they have
   moved into a buffer, are not yet known. */
static void look_after_own_tasks(void)
{
    static uint32_t lost[USP_MAX_WORKERS]; /* generations; 0: not lost */
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        lost[i] = usp_worker_of(i)->generation; /* first: of one whose death was seen before, the record may be used again */
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&usp_worker_of(i)->state) == USP_WORKER_BURIED)
            usp_link_drain(i, lost[i]);
        else
            lost[i] = 0;
    }
    /* what the dead ones had sent or put into the mailbox has arrived; claims still open are lost */
    usp_sched_hooks.drain();
    USP_FAILPOINT("lost-are-known");
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next) {
        struct usp_task *task = fibre->task;
        uint64_t commit = task ? atomic_load(&task->commit) : USP_NONE;
        if (usp_commit_state(commit) != USP_CLAIMED || usp_commit_worker(commit) >= n ||
            lost[usp_commit_worker(commit)] == 0 ||
            lost[usp_commit_worker(commit)] != usp_worker_of(usp_commit_worker(commit))->generation)
            continue;
        if (task->woken)
            usp_worker_hooks.received(task);
        else if (commit & USP_DONE)
            usp_wake(task);
        else if (!(task->flags & USP_TASK_STREAMING))
            usp_worker_hooks.retry(task);
    }
}

/* Tells the supervisors of the dead, who may be asleep by now, that one survivor more has looked. */
static void answer(struct usp_worker *self, uint32_t deaths)
{
    atomic_store(&self->deaths_seen, deaths);
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++) {
        unsigned supervisor = atomic_load(&usp_worker_of(i)->parent);
        if (atomic_load(&usp_worker_of(i)->state) == USP_WORKER_BURIED &&
            supervisor < USP_MAX_WORKERS && supervisor != usp_worker_index())
            usp_worker_rouse(supervisor);
    }
}

/* ---- giving back ---- */

/* One that is DEAD may have died of putting right just what that one has left: it is buried first. */
static bool everybody_has_seen(uint32_t death)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        uint32_t state = atomic_load(&worker->state);
        if (state == USP_WORKER_DEAD ||
            (state == USP_WORKER_RUNNING && (int32_t)(atomic_load(&worker->deaths_seen) - death) < 0))
            return false;
    }
    return true;
}

static void clear_graves(void)
{
    for (struct grave **at = &graves; *at;) {
        struct grave *grave = *at;
        if (!everybody_has_seen(grave->death)) {
            at = &grave->next;
            continue;
        }
        if (usp_worker_hooks.forgotten)
            usp_worker_hooks.forgotten(grave->index, grave->gentle ? NULL : grave->how);
        usp_arena_reclaim(grave->index);
        usp_worker_release(grave->index);
        *at = grave->next;
        free(grave);
    }
}

bool usp_burial_pending(void)
{
    return atomic_load_explicit(&usp_shared->deaths, memory_order_seq_cst) !=
               atomic_load_explicit(&usp_worker_of(usp_worker_index())->deaths_seen,
                                    memory_order_relaxed) ||
           (graves && everybody_has_seen(graves->death));
}

void usp_burial_look(void)
{
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    uint32_t deaths = atomic_load(&usp_shared->deaths);
    if (deaths != atomic_load(&self->deaths_seen)) {
        look_after_own_tasks();
        answer(self, deaths);
    }
    if (graves)
        clear_graves();
}

void usp_burial_deinit(void)
{
    while (graves) {
        struct grave *grave = graves;
        graves = grave->next;
        free(grave);
    }
}

void usp_burial_forget(void)
{
    if (graves && usp_under_valgrind()) /* which would count them as lost */
        usp_burial_deinit();
    graves = NULL;
}
