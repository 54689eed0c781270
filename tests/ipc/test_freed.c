/* What is freed while somebody waits for it, or has been served and has not run since: everybody gets the
   answer that is promised, and the memory stays until nobody comes back to it, and no longer. */
#include <uvcsp/ipc.h>

#include "channels/lock.h"
#include "ipc/queue.h"
#include "ipc/shared.h"
#include "ipc/sync.h"
#include "runtime/arena.h"
#include "tests/contract/contract.h"

enum { ROUNDS = 6 };

/* All that can be waited for, in memory of its own. */
struct things {
    uvcsp_lock *lock;
    uvcsp_rlock *rlock;
    uvcsp_semaphore *semaphore;
    uvcsp_event *event;
    uvcsp_barrier *barrier;
    uvcsp_condition *condition;
    int *shared;
    QUEUE(int) queue;
    atomic_int answer;
};

enum how {
    LOCK, RLOCK, SEMAPHORE, EVENT, BARRIER, CONDITION, CONDITION_FOR, SHARED, GET, PUT, JOIN,
    ALT_LOCK, ALT_RLOCK, ALT_SEMAPHORE, ALT_EVENT, ALT_GET, ALT_PUT, HOWS
};

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static int choose(uvcsp_guard guard)
{
    uvcsp_guard guards[] = {guard, ON_TIMEOUT(30)};
    return uvcsp_alt(guards, 2, UVCSP_FAIR);
}

static int wait_for(struct things *t, enum how how, double seconds)
{
    int n = 1;
    switch (how) {
    case LOCK: return uvcsp_lock_acquire(t->lock, seconds);
    case RLOCK: return uvcsp_rlock_acquire(t->rlock, seconds);
    case SEMAPHORE: return uvcsp_semaphore_acquire(t->semaphore, seconds);
    case EVENT: return uvcsp_event_wait(t->event, seconds);
    case BARRIER: return uvcsp_barrier_wait(t->barrier, seconds, NULL);
    case CONDITION:
        MUST_BE(uvcsp_condition_acquire(t->condition, -1), UVCSP_OK);
        return uvcsp_condition_wait(t->condition, seconds);
    case CONDITION_FOR:
        MUST_BE(uvcsp_condition_acquire(t->condition, -1), UVCSP_OK);
        return uvcsp_condition_wait_for(t->condition, never, NULL, seconds);
    case SHARED: return uvcsp_shared_lock(t->shared, seconds);
    case GET: return uvcsp_qget(t->queue, &n, seconds);
    case PUT: return uvcsp_qput(t->queue, &n, seconds);
    case JOIN: return uvcsp_queue_join(t->queue, seconds);
    case ALT_LOCK: return choose(ON_LOCK(t->lock));
    case ALT_RLOCK: return choose(ON_RLOCK(t->rlock));
    case ALT_SEMAPHORE: return choose(ON_SEMAPHORE(t->semaphore));
    case ALT_EVENT: return choose(ON_EVENT(t->event));
    case ALT_GET: return choose(ON_GET(t->queue, &n));
    case ALT_PUT: return choose(ON_PUT(t->queue, n));
    default: abort();
    }
}

PROCESS(waits, VAL(struct things *, t), VAL(int, how), VAL(double, seconds))
{
    t->answer = wait_for(t, (enum how)how, seconds);
}

static struct usp_channel *channel_of(struct things *t, enum how how)
{
    const struct usp_store *store = (void *)t->queue;
    switch (how) {
    case LOCK: case ALT_LOCK: return ((struct usp_sync *)t->lock)->channel;
    case RLOCK: case ALT_RLOCK: return ((struct usp_sync *)t->rlock)->channel;
    case SEMAPHORE: case ALT_SEMAPHORE: return ((struct usp_sync *)t->semaphore)->channel;
    case EVENT: case ALT_EVENT: return ((struct usp_sync *)t->event)->channel;
    case BARRIER: return ((struct usp_sync *)t->barrier)->channel;
    case CONDITION: case CONDITION_FOR: return ((struct usp_sync *)t->condition)->channel;
    case SHARED: return ((struct usp_block *)((char *)t->shared - USP_BLOCK_ROOM))->lock->channel;
    case JOIN: return store->idle;
    default: return store->items;
    }
}

static void until_it_waits(struct things *t, enum how how)
{
    struct usp_channel *channel = channel_of(t, how);
    for (bool waits = false; !waits; uvcsp_yield()) {
        usp_lock(channel);
        waits = channel->waiting[USP_READER].head || channel->waiting[USP_WRITER].head;
        usp_unlock(channel);
    }
}

/* Nothing can be had of it. */
static void make(struct things *t, enum how how)
{
    int n = 1;
    t->answer = -1000;
    t->lock = uvcsp_lock_new();
    t->rlock = uvcsp_rlock_new();
    t->semaphore = uvcsp_semaphore_new(0);
    t->event = uvcsp_event_new();
    t->barrier = uvcsp_barrier_new(2, NULL, NULL);
    t->condition = uvcsp_condition_new(NULL);
    t->shared = SHARED_VALUE(int, 0);
    t->queue = QUEUE_NEW(int, 1);
    ck_assert_int_eq(uvcsp_lock_acquire(t->lock, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_rlock_acquire(t->rlock, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_shared_lock(t->shared, 0), UVCSP_OK);
    if (how == PUT || how == ALT_PUT || how == JOIN)
        ck_assert_int_eq(uvcsp_qput(t->queue, &n, 0), UVCSP_OK);
    if (how == JOIN)
        ck_assert_int_eq(uvcsp_qget(t->queue, &n, 0), UVCSP_OK);
}

static void free_all(struct things *t)
{
    uvcsp_lock_free(t->lock);
    uvcsp_rlock_free(t->rlock);
    uvcsp_semaphore_free(t->semaphore);
    uvcsp_event_free(t->event);
    uvcsp_barrier_free(t->barrier);
    uvcsp_condition_free(t->condition);
    uvcsp_shared_free(t->shared);
    uvcsp_queue_free(t->queue);
}

/* Whoever still looks at what was freed sees this instead. */
static void write_over(void)
{
    void *blocks[64];
    for (size_t i = 0; i < 64; i++) {
        size_t size = 64 + 32 * (i % 32);
        blocks[i] = usp_arena_alloc(size, USP_BLOCK_TEXT);
        memset(blocks[i], 0x5a, size);
    }
    for (size_t i = 0; i < 64; i++)
        usp_arena_free(blocks[i]);
}

static size_t blocks_in_use(void)
{
    return usp_arena_count(USP_BLOCK_SHARED) + usp_arena_count(USP_BLOCK_CHANNEL);
}

/* All of it is freed; what had to wait for another worker is so at the next occasion. */
static void check_blocks(size_t before)
{
    while (blocks_in_use() != before) {
        uvcsp_shared_free(NULL);
        uvcsp_yield();
    }
}

static struct things *new_things(void)
{
    return seen_by_all(sizeof(struct things));
}

static uvcsp_handle *begin(struct things *t, int placement, enum how how, double seconds)
{
    make(t, how);
    uvcsp_handle *h =
        placement == LIGHT ? GO(waits(t, (int)how, seconds)) : SPAWN(waits(t, (int)how, seconds));
    until_it_waits(t, how);
    return h;
}

static void end(struct things *t, uvcsp_handle *h, int expected, enum how how)
{
    write_over();
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
    ck_assert_msg(t->answer == expected, "kind %d: it got %d, not %d", (int)how, (int)t->answer, expected);
}

/* ---- freed while somebody waits ---- */

static int told(enum how how)
{
    if (how == ALT_EVENT)
        return 0;
    bool queue = how == GET || how == PUT || how == JOIN || how == ALT_GET || how == ALT_PUT;
    int status = queue ? UVCSP_RETIRED : UVCSP_POISONED;
    return how >= ALT_LOCK ? -status : status;
}

TEST(who_waits_for_what_is_freed_gets_the_answer_that_is_promised, .times = PLACEMENTS, .seconds = 60)
{
    struct things *t = new_things();
    for (int how = 0; how < HOWS; how++)
        for (int timed = 0; timed < 2; timed++) {
            size_t before = blocks_in_use();
            uvcsp_handle *h = begin(t, _i, (enum how)how, timed ? 30 : -1);
            free_all(t);
            end(t, h, told((enum how)how), (enum how)how);
            uvcsp_handle_free(h);
            check_blocks(before);
        }
}

/* ---- given, and freed before who gets it has run ---- */

static void give(struct things *t, enum how how)
{
    int n = 1;
    switch (how) {
    case LOCK: case ALT_LOCK: ck_assert_int_eq(uvcsp_lock_release(t->lock), 0); break;
    case RLOCK: case ALT_RLOCK: ck_assert_int_eq(uvcsp_rlock_release(t->rlock), 0); break;
    case SEMAPHORE: case ALT_SEMAPHORE: ck_assert_int_eq(uvcsp_semaphore_release(t->semaphore), 0); break;
    case EVENT: case ALT_EVENT: ck_assert_int_eq(uvcsp_event_set(t->event), 0); break;
    case BARRIER: ck_assert_int_eq(uvcsp_barrier_wait(t->barrier, 0, NULL), UVCSP_OK); break;
    case CONDITION: case CONDITION_FOR:
        ck_assert_int_eq(uvcsp_condition_acquire(t->condition, -1), UVCSP_OK);
        ck_assert_int_eq(uvcsp_condition_notify(t->condition, 1), 0);
        ck_assert_int_eq(uvcsp_condition_release(t->condition), 0);
        break;
    case SHARED: ck_assert_int_eq(uvcsp_shared_unlock(t->shared), 0); break;
    case GET: case ALT_GET: ck_assert_int_eq(uvcsp_qput(t->queue, &n, 0), UVCSP_OK); break;
    case PUT: case ALT_PUT: ck_assert_int_eq(uvcsp_qget(t->queue, &n, 0), UVCSP_OK); break;
    case JOIN: ck_assert_int_eq(uvcsp_queue_task_done(t->queue), 0); break;
    default: abort();
    }
}

/* A lock is not handed to who waits for it, but he is told to look again: whether that is before it is freed. */
static void check_answer(struct things *t, uvcsp_handle *h, enum how how)
{
    write_over();
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
    bool either = how == LOCK || how == RLOCK || how == SHARED || how == CONDITION;
    if (how == CONDITION_FOR)
        ck_assert_int_eq(t->answer, UVCSP_POISONED);
    else
        ck_assert_msg(t->answer == UVCSP_OK || (either && t->answer == UVCSP_POISONED),
                      "kind %d: it got %d", (int)how, (int)t->answer);
}

TEST(who_was_given_what_is_freed_then_has_it, .times = PLACEMENTS, .seconds = 120)
{
    struct things *t = new_things();
    for (int how = 0; how < HOWS; how++)
        for (int round = 0; round < ROUNDS; round++) {
            size_t before = blocks_in_use();
            uvcsp_handle *h = begin(t, _i, (enum how)how, round % 2 ? 30 : -1);
            give(t, (enum how)how);
            free_all(t);
            check_answer(t, h, (enum how)how);
            uvcsp_handle_free(h);
            check_blocks(before);
        }
}

/* ---- killed while it waits ---- */

static void end_while_it_waits(struct things *t, int placement, enum how how,
                               int (*end_it)(uvcsp_handle *))
{
    size_t before = blocks_in_use();
    uvcsp_handle *h = begin(t, placement, how, -1);
    ck_assert_int_eq(end_it(h), 0);
    ck_assert_int_eq(uvcsp_join(h, -1), 0);
    free_all(t);
    uvcsp_handle_free(h);
    check_blocks(before);
}

TEST(what_somebody_was_killed_at_goes_when_it_is_freed, .times = PLACEMENTS, .seconds = 60)
{
    struct things *t = new_things();
    for (int how = 0; how < HOWS; how++) {
        end_while_it_waits(t, _i, (enum how)how, uvcsp_terminate);
        end_while_it_waits(t, _i, (enum how)how, uvcsp_kill);
    }
}

TEST(who_is_killed_at_what_was_freed_lets_it_go, .times = PLACEMENTS, .seconds = 60)
{
    struct things *t = new_things();
    for (int how = 0; how < HOWS; how++) {
        size_t before = blocks_in_use();
        uvcsp_handle *h = begin(t, _i, (enum how)how, -1);
        ck_assert_int_eq(uvcsp_kill(h), 0);
        free_all(t);
        write_over();
        ck_assert_int_eq(uvcsp_join(h, -1), 0);
        uvcsp_handle_free(h);
        check_blocks(before);
    }
}

/* ---- a lock whose condition outlives it ---- */

TEST(a_lock_that_is_freed_before_its_condition_is_there_for_who_waits, .times = PLACEMENTS)
{
    struct things *t = new_things();
    size_t before = blocks_in_use();
    make(t, CONDITION);
    uvcsp_lock *own = uvcsp_lock_new();
    uvcsp_condition_free(t->condition);
    t->condition = uvcsp_condition_new(own);
    uvcsp_handle *h = _i == LIGHT ? GO(waits(t, CONDITION, -1)) : SPAWN(waits(t, CONDITION, -1));
    until_it_waits(t, CONDITION);
    uvcsp_lock_free(own);
    free_all(t);
    end(t, h, UVCSP_POISONED, CONDITION);
    uvcsp_handle_free(h);
    check_blocks(before);
}

/* ---- freed while others end, and all objects are gone through for what they held ---- */

PROCESS(meets_and_holds, VAL(uvcsp_barrier *, b), VAL(uvcsp_lock *, l))
{
    MUST_BE(uvcsp_lock_acquire(l, -1), UVCSP_OK);
    MUST_BE(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
}

TEST(objects_may_be_freed_while_others_end_with_what_they_hold, .seconds = 120)
{
    size_t before = blocks_in_use();
    for (int i = 0; i < (house_valgrind() ? 5 : 60); i++) {
        uvcsp_barrier *b = uvcsp_barrier_new(2, NULL, NULL);
        uvcsp_lock *l = uvcsp_lock_new(), *more[32];
        for (size_t k = 0; k < 32; k++)
            more[k] = uvcsp_lock_new();
        uvcsp_handle *h = SPAWN(meets_and_holds(b, l));
        ck_assert_int_eq(uvcsp_barrier_wait(b, -1, NULL), UVCSP_OK);
        for (size_t k = 0; k < 32; k++)
            uvcsp_lock_free(more[k]);
        uvcsp_barrier_free(b);
        write_over();
        ck_assert_int_eq(uvcsp_lock_acquire(l, -1), UVCSP_OWNER_DIED);
        uvcsp_lock_free(l);
        write_over();
        ck_assert_int_eq(uvcsp_join(h, -1), 0);
        ck_assert_int_eq(uvcsp_exit_code(h), 0);
        uvcsp_handle_free(h);
    }
    check_blocks(before);
}

SUITE("freed", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
