/* Processes that are started and left to run: SPAWN, GO, and their handles. */
#include "tests/contract/contract.h"

PROCESS(waits, IN(int, in))
{
    (void)READ(in);
}

PROCESS(exits_with, VAL(int, code))
{
    no_leak_check = true;
    exit(code);
}

PROCESS(raises, VAL(int, signum))
{
    signal(signum, SIG_DFL);
    raise(signum);
}

static uvcsp_handle *start(enum placement placement, uvcsp_process p)
{
    uvcsp_handle *handle = placement == LIGHT ? GO(p) : SPAWN(p);
    ck_assert_ptr_nonnull(handle);
    return handle;
}

TEST(a_handle_tells_whether_its_process_lives_and_waits_for_its_end, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *handle = start(_i, waits(c));
    ck_assert(uvcsp_alive(handle));
    ck_assert_int_eq(uvcsp_exit_code(handle), UVCSP_STILL_ALIVE);
    ck_assert_int_eq(uvcsp_join(handle, 0), UVCSP_TIMEOUT);
    double begin = uvcsp_now();
    ck_assert_int_eq(uvcsp_join(handle, 0.02), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - begin >= 0.02);
    ck_assert_int_eq(uvcsp_pid(handle) == getpid(), _i == LIGHT || house_light());
    WRITE(out, 1);
    ck_assert_int_eq(uvcsp_join(handle, 30), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK); /* again */
    ck_assert(!uvcsp_alive(handle));
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
    ck_assert_int_eq(uvcsp_kill(handle), 0);
    uvcsp_handle_free(handle);
    uvcsp_handle_free(NULL);
}

PROCESS(joins, VAL(uvcsp_handle *, handle), OUT(int, out))
{
    WRITE(out, 1);
    WRITE(out, uvcsp_join(handle, -1));
}

TEST(a_handle_may_be_freed_while_others_wait_for_its_end, .times = 2)
{
    CHAN(int) go = CHANNEL(int), told = CHANNEL(int);
    OUT_END(int) tell = OUT_OF(go);
    IN_END(int) in = IN_OF(told);
    uvcsp_handle *handle = start(_i ? LIGHT : FORKED, waits(go)), *joiners[3];
    for (int i = 0; i < 3; i++)
        joiners[i] = GO(joins(handle, told));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(READ(in), 1);
    uvcsp_yield(); /* they wait now */
    uvcsp_handle_free(handle);
    WRITE(tell, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(READ(in), UVCSP_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(uvcsp_join(joiners[i], -1), UVCSP_OK);
}

TEST(an_exit_code_is_that_of_exit_or_the_signal)
{
    if (house_light())
        return;
    house_capture(2);
    static const int codes[] = {0, 1, 3, 255};
    for (size_t i = 0; i < 4; i++) {
        uvcsp_handle *handle = SPAWN(exits_with(codes[i]));
        ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(handle), codes[i]);
    }
    static const int signals[] = {SIGABRT, SIGKILL, SIGSEGV, SIGTERM};
    for (size_t i = 0; i < 4; i++) {
        uvcsp_handle *handle = SPAWN(raises(signals[i]));
        ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(handle), -signals[i]);
    }
    free(house_captured());
}

static void leave_a_mark(void *arg)
{
    *(int *)arg = 1;
}

PROCESS(waits_with_a_mark, IN(int, in), OUT(int, out), VAL(int *, mark), VAL(int, way))
{
    int x;
    DEFER(leave_a_mark, mark);
    switch (way) {
    case 0:
        (void)READ(in);
        break;
    case 1:
        WRITE(out, 1);
        break;
    case 2:
        (void)ALT(ON_READ(in, &x), ON_WRITE(out, 1));
        break;
    case 3:
        uvcsp_sleep(600);
        break;
    case 4:
        (void)uvcsp_join(GO(waits(in)), -1);
        break;
    case 5:
        (void)uvcsp_read_timeout(in, &x, 600);
        break;
    case 6:
        for (;;)
            uvcsp_yield();
    }
}
enum { WAYS = 6 };

/* Both ends of it are poisoned with the cause. The deferred runs on a SIGTERM; nothing runs on a SIGKILL. */
TEST(a_process_that_is_terminated_or_killed_poisons_its_ends, .times = WAYS * PLACEMENTS * 2)
{
    int way = _i % WAYS;
    enum placement placement = (enum placement)(_i / WAYS % PLACEMENTS);
    bool by_kill = _i / WAYS / PLACEMENTS;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    IN_END(int) in = IN_OF(d);
    OUT_END(int) out = OUT_OF(c);
    int *mark = seen_by_all(sizeof *mark), x = 1;
    house_capture(2);
    uvcsp_handle *handle = start(placement, waits_with_a_mark(c, d, mark, way));
    for (int i = 0; i < 10; i++)
        uvcsp_yield();
    ck_assert_int_eq(by_kill ? uvcsp_kill(handle) : uvcsp_terminate(handle), 0);
    int joined = uvcsp_join(handle, 10);
    char *said = house_captured();
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), by_kill ? -SIGKILL : -SIGTERM);
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_POISONED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_POISONED);
    ck_assert_contains(uvcsp_cause(c), "waits_with_a_mark");
    ck_assert_contains(uvcsp_cause(c), by_kill ? "signal 9" : "signal 15");
    ck_assert_int_eq(*mark, !by_kill);
    ck_assert_contains(said, "waits_with_a_mark");
    free(said);
}

TEST(a_light_process_that_does_not_wait_is_ended_when_it_next_waits)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    int mark = 0;
    house_capture(2);
    uvcsp_handle *handle = GO(waits_with_a_mark(c, d, &mark, 0));
    ck_assert_int_eq(uvcsp_terminate(handle), 0); /* it has not run yet */
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    free(house_captured());
    ck_assert_int_eq(mark, 1);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGTERM);
}

TEST(null_handles_are_refused_with_a_line)
{
    house_capture(2);
    int codes[] = {uvcsp_join(NULL, 0), uvcsp_exit_code(NULL), uvcsp_pid(NULL), uvcsp_kill(NULL),
                   uvcsp_terminate(NULL)};
    bool alive = uvcsp_alive(NULL);
    free(house_captured());
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(codes[i], -EINVAL);
    ck_assert(!alive);
}

PROCESS(writes_n, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

TEST(many_are_started_and_their_handles_given_back_early, .times = PLACEMENTS)
{
    int n = _i == LIGHT || house_light() ? 1000 : 40, total = 0;
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) held = OUT_OF(c);
    for (int i = 0; i < n; i++)
        uvcsp_handle_free(start(_i, writes_n(c, 3)));
    for (int i = 0; i < 3 * n; i++)
        total += READ(in);
    ck_assert_int_eq(total, 3 * n);
    (void)held;
}

PROCESS(starts_others, OUT(int, out), VAL(int, depth))
{
    if (depth > 0) {
        SPAWN(starts_others(out, depth - 1));
        GO(starts_others(out, depth - 1));
    }
    WRITE(out, depth);
}

/* A worker ends when those that it has started have ended. */
TEST(a_process_may_end_before_those_that_it_has_started)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    ck_assert_ptr_nonnull(SPAWN(starts_others(c, 3)));
    int x, n = 0;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        n++;
    ck_assert_int_eq(n, 15);
}

TEST(a_worker_of_several_can_be_spawned)
{
    CHAN(int) c = CHANNEL(int);
    uvcsp_handle *handle = SPAWN(WORKER(writes_n(c, 1), waits(c)));
    ck_assert_ptr_nonnull(handle);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
}

TEST(the_library_may_be_used_anew_after_a_shutdown)
{
    for (int i = 0; i < 3; i++) {
        CHAN(int) c = CHANNEL(int);
        ck_assert_int_eq(PAR(writes_n(c, 5), waits(c)), 0);
        GO(writes_n(c, 0));
        SPAWN(writes_n(c, 0));
        ck_assert_int_eq(uvcsp_shutdown(), 0);
        ck_assert_int_eq(uvcsp_shutdown(), 0);
    }
}

SUITE("handles", .before = default_signals, .after = uvcsp_shutdown)
