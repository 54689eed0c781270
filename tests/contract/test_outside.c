/* Time and the outside world: clock, sleep, polling, descriptors, blocking calls, the loop. */
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/contract/contract.h"

/* ---- time ---- */

PROCESS(sleeps, VAL(double, seconds))
{
    double begin = uvcsp_now();
    uvcsp_sleep(seconds);
    MUST(uvcsp_now() - begin >= seconds);
}

TEST(processes_sleep_at_the_same_time_and_never_too_short, .times = PLACEMENTS)
{
    double begin = uvcsp_now();
    ck_assert_int_eq(RUN(_i, sleeps(0.1), sleeps(0.2), sleeps(0.0), sleeps(-1), sleeps(0.2),
                         WORKER(sleeps(0.2), sleeps(0.2), sleeps(0.2), sleeps(0.0001))),
                     0);
    double took = uvcsp_now() - begin;
    ck_assert(took >= 0.2);
    ck_assert_msg(took < 0.9, "it took %g s", took); /* one after the other is 1.1 s */
}

PROCESS(notes_time, OUT(double, out))
{
    WRITE(out, uvcsp_now());
}

TEST(all_workers_have_the_same_clock)
{
    CHAN(double) c = CHANNEL(double, .capacity = 1);
    IN_END(double) in = IN_OF(c);
    double before = uvcsp_now();
    ck_assert_int_eq(PAR(notes_time(c)), 0);
    double there = READ(in);
    ck_assert(before <= there && there <= uvcsp_now());
}

static char trace[100];

PROCESS(yields, VAL(char, letter), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        strncat(trace, &letter, 1);
        uvcsp_yield();
    }
}

TEST(yield_lets_every_other_ready_process_run_first)
{
    if (getenv("UVCSP_SEED"))
        return;
    ck_assert_int_eq(CO(yields('a', 3), yields('b', 3), yields('c', 2)), 0);
    ck_assert_str_eq(trace, "abcabcab");
}

PROCESS(polls, IN(int, in), VAL(int, way))
{
    int x, status;
    do
        status = way == 0   ? uvcsp_read_try(in, &x)
                 : way == 1 ? uvcsp_read_timeout(in, &x, 0.0)
                 : way == 2
                     ? (PRI_ALT(ON_READ(in, &x), ON_SKIP) == 0 ? UVCSP_OK : UVCSP_WOULD_BLOCK)
                     : (ALT(ON_READ(in, &x), ON_TIMEOUT(0)) == 0 ? UVCSP_OK : UVCSP_TIMEOUT);
    while (status != UVCSP_OK);
}

PROCESS(gives, OUT(int, out))
{
    WRITE(out, 1);
}

/* As it would in a worker of its own, so light mode is the same. */
TEST(one_that_polls_without_end_does_not_keep_the_others_from_running, .times = 4 * PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN(_i / 4, polls(c, _i % 4), gives(c)), 0);
}

/* ---- descriptors ---- */

PROCESS(waits_for_bytes, VAL(int, fd), VAL(int, n))
{
    char byte;
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_wait_fd(fd, UV_READABLE, -1), UVCSP_OK);
        MUST(read(fd, &byte, 1) == 1);
    }
}

PROCESS(writes_bytes, VAL(int, fd), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_wait_fd(fd, UV_WRITABLE, 60), UVCSP_OK);
        MUST(write(fd, "x", 1) == 1);
        uvcsp_yield();
    }
}

TEST(a_process_waits_for_a_descriptor_while_the_others_go_on, .times = PLACEMENTS)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(RUN(_i, waits_for_bytes(fds[0], 50), writes_bytes(fds[1], 50), sleeps(0.01)),
                     0);
    close(fds[0]);
    close(fds[1]);
}

TEST(wait_fd_answers_with_a_code)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    double begin = uvcsp_now();
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 0.02), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - begin >= 0.02);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_wait_fd(fds[1], UV_WRITABLE | UV_READABLE, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_wait_fd(fds[1], 0, 1), -EINVAL);
    ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0); /* its flags are the caller's */
    close(fds[1]);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 5), UVCSP_OK); /* hung up */
    close(fds[0]);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 5), -EBADF);
    ck_assert_int_eq(uvcsp_wait_fd(-1, UV_READABLE, 5), -EBADF);
    FILE *file = tmpfile();
    ck_assert_int_eq(uvcsp_wait_fd(fileno(file), UV_READABLE, 5), UVCSP_OK); /* a regular file */
    fclose(file);
}

/* ---- blocking calls ---- */

static int gate[2];

static void blocks_on_the_gate(void *arg)
{
    char byte;
    *(ssize_t *)arg = read(gate[0], &byte, 1);
}

PROCESS(calls_something_slow, VAL(ssize_t *, result))
{
    MUST(uvcsp_blocking(blocks_on_the_gate, result) == 0);
}

PROCESS(opens_the_gate, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
    MUST(write(gate[1], "x", 1) == 1);
}

PROCESS(writes_n, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

/* The call returns only after two other light processes of its worker have exchanged 100
   messages. */
TEST(the_others_go_on_during_a_blocking_call, .times = 2)
{
    ssize_t *result = seen_by_all(sizeof *result);
    ck_assert_int_eq(pipe(gate), 0);
    CHAN(int) c = CHANNEL(int);
    uvcsp_process all =
        WORKER(calls_something_slow(result), opens_the_gate(c, 100), writes_n(c, 100));
    ck_assert_int_eq(_i ? PAR(all) : CO(all), 0);
    ck_assert_int_eq(*result, 1);
    close(gate[0]);
    close(gate[1]);
}

/* ---- the loop ---- */

static struct {
    uv_timer_t timer;
    OUT_END(int) out;
    int ticks;
} clockwork;

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    int x = clockwork.ticks;
    if (uvcsp_write_try(clockwork.out, &x) == UVCSP_OK && ++clockwork.ticks == 5)
        uv_close((uv_handle_t *)&clockwork.timer, NULL);
}

PROCESS(ticks, OUT(int, out), IN(int, done))
{
    clockwork.out = out;
    clockwork.ticks = 0;
    MUST(uv_timer_init(uvcsp_loop(), &clockwork.timer) == 0);
    MUST(uv_timer_start(&clockwork.timer, on_tick, 1, 1) == 0);
    (void)READ(done);
}

PROCESS(reads_n, IN(int, in), OUT(int, done), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
    WRITE(done, 1);
}

TEST(a_callback_of_the_loop_reaches_processes_by_the_trying_forms, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), done = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, ticks(c, done), reads_n(c, done, 5)), 0);
    ck_assert_ptr_nonnull(uvcsp_loop());
}

static IN_END(int) of_a_poisoned_one;

static void on_tick_that_reads(uv_timer_t *timer)
{
    (void)timer;
    (void)READ(of_a_poisoned_one);
}

PROCESS(outlives_the_first)
{
    CHAN(int) poisoned = CHANNEL(int);
    of_a_poisoned_one = IN_OF(poisoned);
    POISON(poisoned);
    uvcsp_sleep(20);
}

PROCESS(starts_a_timer_and_ends)
{
    MUST(uv_timer_init(uvcsp_loop(), &clockwork.timer) == 0);
    MUST(uv_timer_start(&clockwork.timer, on_tick_that_reads, 20, 0) == 0);
    uvcsp_handle_free(GO(outlives_the_first()));
}

/* The loop runs on the fibre of that process by then, as the seed has it. */
TEST(a_callback_of_the_loop_that_meets_poison_is_told_so_also_after_the_first_process_of_its_worker, .times = 2)
{
    if (house_light())
        return;
    house_capture(2);
    if (_i)
        setenv("UVCSP_SEED", "1", 1);
    uvcsp_handle *handle = SPAWN(starts_a_timer_and_ends());
    int joined = uvcsp_join(handle, 10);
    char *said = house_captured();
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGABRT);
    ck_assert_contains(said, "a callback of the loop met the end of a channel");
    free(said);
}

/* Without memory for a stack a process ends by poison, and its worker goes on: the first of a worker too, whose loop has none of
   its own yet. */
PROCESS(waits_for_one, IN(int, in))
{
    (void)READ(in);
}

PROCESS(starts_many_without_memory, VAL(int, n), OUT(int, out))
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) to = OUT_OF(c);
    for (int i = 0; i < n; i++)
        uvcsp_handle_free(GO(waits_for_one(c)));
    struct rlimit none = {1 << 20, 1 << 20};
    MUST(setrlimit(RLIMIT_AS, &none) == 0);
    int status = UVCSP_OK;
    for (int i = 0; i < n && status == UVCSP_OK; i++)
        status = uvcsp_write(to, &i);
    WRITE(out, status);
}

TEST(a_worker_without_memory_for_more_stacks_goes_on)
{
#ifdef __SANITIZE_ADDRESS__
    return; /* it needs memory itself */
#endif
    if (house_light() || house_valgrind())
        return;
    house_capture(2);
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    uvcsp_handle *handle = SPAWN(starts_many_without_memory(40, c));
    int got, status = uvcsp_read_timeout(in, &got, 20), joined = uvcsp_join(handle, 20);
    char *said = house_captured();
    ck_assert_int_eq(status, UVCSP_OK);
    ck_assert_int_eq(got, UVCSP_POISONED);
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
    ck_assert_contains(said, "no memory for its stack");
    free(said);
}

PROCESS(is_quick)
{
}

/* Each needs a descriptor; those that are free do not lie in a row. */
TEST(a_worker_for_which_no_descriptor_is_left_is_not_started_at_all)
{
    if (house_light())
        return;
    ck_assert_int_eq(PAR(is_quick(), is_quick()), 0);
    house_capture(2);
    struct rlimit limit, low;
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    low = limit;
    low.rlim_cur = 64;
    MUST(setrlimit(RLIMIT_NOFILE, &low) == 0);
    int fds[64], n = 0;
    while ((fds[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    close(fds[0]);
    close(fds[5]);
    close(fds[--n]);
    int failed = PAR_FOR(i, 5, is_quick());
    for (int i = 1; i < n; i++)
        if (i != 5)
            close(fds[i]);
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    char *said = house_captured();
    ck_assert_msg(failed == 2, "%d: %s", failed, said);
    ck_assert_contains(said, "no worker could be started");
    ck_assert_ptr_null(strstr(said, "could not be watched"));
    free(said);
}

SUITE("outside", .after = uvcsp_shutdown)
