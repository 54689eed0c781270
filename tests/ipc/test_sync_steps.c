/* A worker dies at any step of any operation on locks, semaphores, events, conditions and barriers,
   while two others use the same ones: the two go on, and what the dead one held has come back. */
#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/contract/contract.h"
#include "tests/failpoint.h"

enum { ROUNDS = 12, STEPS = 1000, CASES = 20, DEATHS = 4 };

struct objects {
    uvcsp_lock *lock;
    uvcsp_rlock *rlock;
    uvcsp_semaphore *tokens, *signals;
    uvcsp_event *event, *stop;
    uvcsp_condition *condition;
    uvcsp_barrier *barrier;
    atomic_long rounds;
};

static void must_have(int status)
{
    MUST(status == UVCSP_OK || status == UVCSP_OWNER_DIED);
}

/* Uses each of them in each way, and lets others in between. */
static void use(struct objects *o, int i)
{
    must_have(uvcsp_lock_acquire(o->lock, 30));
    if (i % 3 == 0)
        uvcsp_yield();
    MUST_BE(uvcsp_lock_release(o->lock), 0);
    MUST(ALT(ON_LOCK(o->lock), ON_TIMEOUT(30)) == 0);
    if (i % 3 == 1)
        uvcsp_yield();
    MUST_BE(uvcsp_lock_release(o->lock), 0);
    must_have(uvcsp_rlock_acquire(o->rlock, 30));
    must_have(uvcsp_rlock_acquire(o->rlock, 30));
    if (i % 3 == 2)
        uvcsp_sleep(0.0001);
    MUST_BE(uvcsp_rlock_release(o->rlock), 0);
    MUST_BE(uvcsp_rlock_release(o->rlock), 0);
    must_have(uvcsp_semaphore_acquire(o->tokens, 30));
    if (i % 3 == 0)
        uvcsp_sleep(0.0001);
    MUST_BE(uvcsp_semaphore_release(o->tokens), 0);
    MUST(ALT(ON_SEMAPHORE(o->tokens), ON_TIMEOUT(30)) == 0);
    MUST_BE(uvcsp_semaphore_release(o->tokens), 0);
    MUST_BE(uvcsp_semaphore_release(o->signals), 0);
    MUST_BE(uvcsp_event_set(o->event), 0);
    (void)uvcsp_event_wait(o->event, 0.01); /* another may have cleared it */
    MUST_BE(uvcsp_event_clear(o->event), 0);
    must_have(uvcsp_condition_acquire(o->condition, 30));
    int status = uvcsp_condition_wait(o->condition, 0.001);
    MUST(status == UVCSP_OK || status == UVCSP_OWNER_DIED || status == UVCSP_TIMEOUT);
    MUST_BE(uvcsp_condition_notify(o->condition, 1), 0);
    MUST_BE(uvcsp_condition_release(o->condition), 0);
}

static bool meet(struct objects *o)
{
    int status = uvcsp_barrier_wait(o->barrier, 30, NULL);
    MUST(status == UVCSP_OK || status == UVCSP_BROKEN);
    return status == UVCSP_OK;
}

PROCESS(victim, VAL(struct objects *, o), VAL(long, nth))
{
    (void)meet(o);
    failpoint_arm(nth, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        use(o, i);
        (void)meet(o);
    }
    failpoint_arm(0, NULL);
}

PROCESS(survivor, VAL(struct objects *, o))
{
    bool meets = meet(o);
    for (int i = 0; !uvcsp_event_is_set(o->stop); i++) {
        use(o, i);
        if (meets)
            meets = meet(o) && i < ROUNDS - 1;
        o->rounds++;
    }
}

static void check_survivor(uvcsp_handle *handle)
{
    ck_assert_int_eq(uvcsp_join(handle, 60), 0);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
}

static void die_at(long nth)
{
    struct objects *o = SHARED_RAW_VALUE(struct objects);
    o->lock = uvcsp_lock_new();
    o->rlock = uvcsp_rlock_new();
    o->tokens = uvcsp_bounded_semaphore_new(2);
    o->signals = uvcsp_semaphore_new(0);
    o->event = uvcsp_event_new();
    o->stop = uvcsp_event_new();
    o->condition = uvcsp_condition_new(NULL);
    o->barrier = uvcsp_barrier_new(3, NULL, NULL);
    failpoint_forget();
    uvcsp_handle *one = SPAWN(survivor(o)), *two = SPAWN(survivor(o)),
                 *third = SPAWN(victim(o, nth));
    ck_assert_int_eq(uvcsp_join(third, 60), 0);
    bool died = failpoint_died_at() != NULL;
    ck_assert_int_eq(uvcsp_exit_code(third), died ? -SIGKILL : 0);
    for (long enough = o->rounds + 4; o->rounds < enough;)
        uvcsp_sleep(0.001);
    ck_assert_int_eq(uvcsp_event_set(o->stop), 0);
    check_survivor(one);
    check_survivor(two);
    const char *at = died ? failpoint_died_at() : "nowhere";
    ck_assert_msg(uvcsp_semaphore_value(o->tokens) == 2, "dead at %s, a token is lost", at);
    must_have(uvcsp_lock_acquire(o->lock, 0));
    must_have(uvcsp_rlock_acquire(o->rlock, 0));
    must_have(uvcsp_condition_acquire(o->condition, 0));
    ck_assert(uvcsp_barrier_broken(o->barrier) || !died);
}

TEST(whatever_step_it_dies_at_the_others_go_on, .times = CASES, .seconds = 100)
{
    if (house_light())
        return;
    failpoints_share();
    for (int i = 0; i < DEATHS; i++)
        die_at(1 + (long)(_i * DEATHS + i) * STEPS / (CASES * DEATHS) +
               rand() % (STEPS / (CASES * DEATHS)));
}

PROCESS(lets_it_grow, VAL(uvcsp_semaphore *, semaphore), VAL(const char *, mark))
{
    failpoint_arm(1, mark);
    (void)uvcsp_semaphore_release(semaphore);
}

static void until_there_are(size_t blocks)
{
    for (double end = uvcsp_now() + 2; usp_arena_count(USP_BLOCK_FREE) > blocks && uvcsp_now() < end;)
        uvcsp_sleep(0.001);
    ck_assert_uint_le(usp_arena_count(USP_BLOCK_FREE), blocks);
}

TEST(who_dies_while_a_semaphore_grows_leaves_nothing_in_the_arena, .times = 2)
{
    static const char *const marks[] = {"semaphore-to-grow", "semaphore-grows"};
    if (house_light())
        return;
    failpoints_share();
    uvcsp_yield(); /* main has its task */
    size_t blocks = usp_arena_count(USP_BLOCK_FREE);
    uvcsp_semaphore *semaphore = uvcsp_semaphore_new(1);
    ck_assert_int_eq(PAR(lets_it_grow(semaphore, marks[_i])), 1);
    ck_assert_str_eq(failpoint_died_at(), marks[_i]);
    ck_assert_int_eq(uvcsp_semaphore_value(semaphore), 1);
    ck_assert_int_eq(uvcsp_semaphore_release(semaphore), 0); /* others can let it grow */
    ck_assert_int_eq(uvcsp_semaphore_value(semaphore), 2);
    uvcsp_semaphore_free(semaphore);
    until_there_are(blocks);
}

PROCESS(makes_some_and_dies)
{
    (void)uvcsp_lock_new();
    (void)uvcsp_condition_new(NULL);
    (void)SHARED_ARRAY(long, 10);
    kill(getpid(), SIGKILL);
}

PROCESS(supervises)
{
    MUST_BE(PAR(makes_some_and_dies()), 1);
}

TEST(what_a_dead_worker_had_made_is_freed_also_where_its_parent_ends_at_once, .times = 2)
{
    if (house_light())
        return;
    uvcsp_yield();
    size_t blocks = usp_arena_count(USP_BLOCK_FREE);
    if (_i)
        ck_assert_int_eq(PAR(supervises()), 0);
    else
        ck_assert_int_eq(PAR(makes_some_and_dies()), 1);
    until_there_are(blocks);
}

static int before(void)
{
    setenv("UVCSP_DEADLOCK", "off", 1);
    srand((unsigned)getpid());
    return default_signals();
}

SUITE("sync_steps", .before = before, .after = uvcsp_shutdown, .seconds = 30)
