/* Where nobody else wants it, using a lock, a shared value, a semaphore, an event, a condition, a
   barrier or a typed queue makes no system call: here by a worker that the kernel kills at its
   first one. */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

enum { ROUNDS = 100000, WELL = 7 };

struct objects {
    uvcsp_lock *lock;
    uvcsp_rlock *rlock;
    uvcsp_semaphore *semaphore;
    uvcsp_event *event;
    uvcsp_condition *condition;
    uvcsp_barrier *barrier;
    long *value;
    QUEUE(int) queue;
};

static void use(const struct objects *o)
{
    MUST(uvcsp_lock_acquire(o->lock, -1) == UVCSP_OK && uvcsp_lock_release(o->lock) == 0);
    MUST(ALT(ON_LOCK(o->lock)) == 0 && uvcsp_lock_release(o->lock) == 0);
    MUST(uvcsp_rlock_acquire(o->rlock, -1) == UVCSP_OK &&
         uvcsp_rlock_acquire(o->rlock, -1) == UVCSP_OK);
    MUST(uvcsp_rlock_release(o->rlock) == 0 && uvcsp_rlock_release(o->rlock) == 0);
    MUST(uvcsp_semaphore_acquire(o->semaphore, -1) == UVCSP_OK &&
         uvcsp_semaphore_release(o->semaphore) == 0);
    MUST(uvcsp_event_set(o->event) == 0 && uvcsp_event_wait(o->event, -1) == UVCSP_OK);
    MUST(uvcsp_event_clear(o->event) == 0);
    MUST(uvcsp_condition_acquire(o->condition, -1) == UVCSP_OK);
    MUST(uvcsp_condition_notify_all(o->condition) == 0 &&
         uvcsp_condition_release(o->condition) == 0);
    MUST(uvcsp_barrier_wait(o->barrier, -1, NULL) == UVCSP_OK);
    LOCKED (o->value)
        *o->value += 1;
    int x = 5;
    MUST(uvcsp_qput(o->queue, &x, -1) == UVCSP_OK && uvcsp_qget(o->queue, &x, -1) == UVCSP_OK &&
         x == 5);
}

/* By the only call that is left. Before one of what is known not to return, a sanitizer makes others. */
static void leave(void)
{
    for (volatile bool here = true; here;)
        syscall(SYS_exit, WELL);
}

PROCESS(uses_them, VAL(const struct objects *, o), VAL(bool, and_calls))
{
    use(o); /* what is made once */
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (int i = 0; i < ROUNDS; i++)
        use(o);
    if (and_calls)
        (void)syscall(SYS_getppid);
    leave();
}

static int status_of_who_uses_them(bool and_calls)
{
    struct objects o = {
        .lock = uvcsp_lock_new(),
        .rlock = uvcsp_rlock_new(),
        .semaphore = uvcsp_semaphore_new(1),
        .event = uvcsp_event_new(),
        .condition = uvcsp_condition_new(NULL),
        .barrier = uvcsp_barrier_new(1, NULL, NULL),
        .value = SHARED_VALUE(long, 0),
        .queue = QUEUE_NEW(int, 4),
    };
    house_capture(2);
    uvcsp_handle *h = SPAWN(uses_them(&o, and_calls));
    ck_assert_int_eq(uvcsp_join(h, -1), UVCSP_OK);
    free(house_captured());
    ck_assert_int_eq(*o.value, ROUNDS + 1);
    uvcsp_queue_free(o.queue);
    return uvcsp_exit_code(h);
}

TEST(nobody_else_wants_it_and_so_no_system_call_is_made, .seconds = 60)
{
    if (house_light() || house_valgrind())
        return;
    ck_assert_int_eq(status_of_who_uses_them(false), WELL);
    ck_assert_int_eq(status_of_who_uses_them(true), -SIGKILL); /* the kernel would have noticed */
}

SUITE("uncontended", .before = default_signals, .after = uvcsp_shutdown)
