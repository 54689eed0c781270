/* The sources, under the scheduler itself and with tasks that are made here. A test's main is a
   fibre as any other: it arms, opens, parks, and is told an index. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/fibre.h"
#include "runtime/scheduler.h"
#include "runtime/sources.h"
#include "runtime/task.h"
#include "runtime/worker.h"
#include "tests/fixture.h"
#include "tests/inject.h"

static struct usp_task main_task;

static int before(void)
{
    int r = usp_sched_init();
    if (r < 0)
        return r;
    main_task.fibre = usp_current();
    usp_current()->task = &main_task;
    return 0;
}

static int after(void)
{
    return main_task.fibre->sources ? -EBUSY : usp_sched_deinit();
}

static int n_waiting; /* in told() */

/* Waits for what the calling task has armed; gives the index that it was told. */
static uint32_t told(void)
{
    struct usp_task *task = usp_current()->task;
    usp_task_open(task);
    n_waiting++;
    usp_park();
    n_waiting--;
    uint64_t commit = atomic_load(&task->commit);
    ck_assert_uint_eq(usp_commit_state(commit), USP_CLAIMED);
    ck_assert_uint_eq(usp_commit_worker(commit), usp_worker_index());
    usp_sources_disarm(task);
    ck_assert_ptr_null(task->fibre->sources);
    atomic_store(&task->commit, USP_NONE);
    return usp_commit_index(commit);
}

/* A fibre with a task of its own. */
struct other {
    struct usp_task task;
    void (*fn)(void *);
    void *arg;
};

static int n_others; /* alive */

static void run_other(void *arg)
{
    struct other *other = arg;
    other->fn(other->arg);
    free(other);
    n_others--;
    usp_fibre_exit();
}

static struct usp_task *go(void (*fn)(void *), void *arg)
{
    struct other *other = calloc(1, sizeof *other);
    ck_assert_ptr_nonnull(other);
    other->fn = fn;
    other->arg = arg;
    struct usp_fibre *fibre = usp_fibre_new(run_other, other);
    ck_assert_ptr_nonnull(fibre);
    fibre->task = &other->task;
    other->task.fibre = fibre;
    n_others++;
    usp_ready(fibre);
    return &other->task;
}

static void wait_for_others_but(int n)
{
    while (n_others > n)
        usp_yield();
}

static void wait_for_others(void)
{
    wait_for_others_but(0);
}

/* Lets the others run until n of them wait; their order may be seeded. */
static void wait_until_waiting(int n)
{
    while (n_waiting < n)
        usp_yield();
}

static void poll_once(void *arg)
{
    (void)arg;
    usp_poll();
}

static void turn_the_loop(void)
{
    usp_on_loop_stack(poll_once, NULL);
}

/* Forks as workers are forked: all signals blocked until the child has forgotten. */
static pid_t fork_worker(void)
{
    sigset_t all, old;
    sigfillset(&all);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &all, &old), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        usp_sources_forget(usp_loop());
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- timers ---- */

static void sleep_at_least(double seconds)
{
    uint64_t start = uv_hrtime();
    ck_assert_int_eq(usp_timer_arm(&main_task, 0, seconds), 0);
    told();
    ck_assert_double_ge((double)(uv_hrtime() - start), seconds * 1e9);
}

TEST(a_timer_never_fires_early)
{
    static const double lengths[] = {0.0005, 0.001, 0.00101, 1e-9, 0.0023, 0.0149};
    for (int i = 0; i < 10; i++)
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
            sleep_at_least(lengths[k]);
}

TEST(a_timer_is_exact_when_the_loop_has_not_turned_for_long)
{
    turn_the_loop();
    uint64_t start = uv_hrtime();
    while (uv_hrtime() - start < 50000000)
        ;
    start = uv_hrtime();
    sleep_at_least(0.02);
    ck_assert_uint_lt(uv_hrtime() - start, 1000000000);
}

TEST(a_timer_of_no_time_fires_at_once)
{
    static const double lengths[] = {0, -0.0, -1, -INFINITY, NAN};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        ck_assert_int_eq(usp_timer_arm(&main_task, 7, lengths[k]), 0);
        ck_assert_uint_eq(told(), 7);
    }
}

static void on_timer(uv_timer_t *handle)
{
    usp_event_set(handle->data);
}

TEST(what_a_timer_of_the_program_makes_ready_runs_at_once)
{
    struct usp_event event = {0};
    uv_timer_t theirs;
    theirs.data = &event;
    uv_timer_init(usp_loop(), &theirs);
    for (int i = 0; i < 3; i++) {
        event.set = false;
        uv_timer_start(&theirs, on_timer, 0, 0);
        ck_assert_int_eq(usp_event_arm(&main_task, 1, &event), 0);
        ck_assert_uint_eq(told(), 1);
    }
    uv_close((uv_handle_t *)&theirs, NULL);
    turn_the_loop();
}

TEST(a_timer_of_all_time_does_not_fire)
{
    static const double lengths[] = {INFINITY, 1e300, 1e18, 1e9};
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        ck_assert_int_eq(usp_timer_arm(&main_task, 1, lengths[k]), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.005), 0);
    ck_assert_uint_eq(told(), 2);
}

TEST(the_shortest_of_many_timers_is_the_one_that_is_told)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 0, 10), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 0.002), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 5), 0);
    ck_assert_uint_eq(told(), 1);
}

TEST(a_disarmed_timer_does_not_come_later)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 0.001), 0);
    usp_sources_disarm(&main_task);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.02), 0);
    ck_assert_uint_eq(told(), 2);
}

TEST(a_hundred_thousand_timers_run_at_once)
{
    int n = house_valgrind() ? 1000 : 100000;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < n; i++)
            ck_assert_int_eq(usp_timer_arm(&main_task, (uint32_t)i, 100 + i % 977), 0);
        ck_assert_int_eq(usp_timer_arm(&main_task, (uint32_t)n, 0.001), 0);
        ck_assert_uint_eq(told(), (uint32_t)n);
    }
}

static void nap(void *arg)
{
    double seconds = *(double *)arg;
    uint64_t start = uv_hrtime();
    ck_assert_int_eq(usp_timer_arm(usp_current()->task, 3, seconds), 0);
    ck_assert_uint_eq(told(), 3);
    ck_assert_double_ge((double)(uv_hrtime() - start), seconds * 1e9);
}

TEST(a_thousand_sleepers_wake_each_in_its_time)
{
    static double lengths[1000];
    for (int i = 0; i < 1000; i++) {
        lengths[i] = (i * 37 % 1000) * 0.00005;
        go(nap, &lengths[i]);
    }
    wait_for_others();
}

/* ---- descriptors ---- */

static void make_pipe(int fds[2])
{
    ck_assert_int_eq(pipe(fds), 0);
}

static void put(int fd)
{
    ck_assert_int_eq(write(fd, "x", 1), 1);
}

static void put_there(void *arg)
{
    put(*(int *)arg);
}

TEST(a_descriptor_says_whether_it_is_ready)
{
    int fds[2];
    make_pipe(fds);
    ck_assert_int_eq(usp_fd_ready(fds[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_fd_ready(fds[1], UV_WRITABLE), 1);
    put(fds[1]);
    ck_assert_int_eq(usp_fd_ready(fds[0], UV_READABLE), 1);
    ck_assert_int_eq(usp_fd_ready(fds[0], UV_READABLE | UV_WRITABLE), 1);
    close(fds[0]);
    ck_assert_int_eq(usp_fd_ready(fds[1], UV_READABLE), 1);
    close(fds[1]);
    ck_assert_int_eq(usp_fd_ready(fds[1], UV_READABLE), -EBADF);
    ck_assert_int_eq(usp_fd_ready(-1, UV_READABLE), -EBADF);
    ck_assert_int_eq(usp_fd_ready(0, 0), -EINVAL);
    ck_assert_int_eq(usp_fd_ready(0, 1 << 10), -EINVAL);
}

TEST(what_cannot_be_armed_is_told_and_leaves_nothing)
{
    int fds[2];
    make_pipe(fds);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], 0), -EINVAL);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], 64), -EINVAL);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), -EBADF);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, -1, UV_READABLE), -EBADF);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, 1 << 30, UV_READABLE), -EBADF);
    ck_assert_ptr_null(main_task.fibre->sources);
}

TEST(a_reader_is_woken_when_there_is_something_to_read)
{
    int fds[2];
    make_pipe(fds);
    go(put_there, &fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 5, fds[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 5);
    wait_for_others();
    close(fds[0]);
    close(fds[1]);
}

struct fd_wait {
    int fd, events;
    bool done;
};

static void wait_for_fd(void *arg)
{
    struct fd_wait *wait = arg;
    ck_assert_int_eq(usp_fd_arm(usp_current()->task, 9, wait->fd, wait->events), 0);
    ck_assert_uint_eq(told(), 9);
    wait->done = true;
}

TEST(a_reader_and_a_writer_wait_for_one_descriptor_and_each_gets_its_event)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    static char block[4096];
    while (write(fds[0], block, sizeof block) > 0)
        ;
    struct fd_wait reader = {fds[0], UV_READABLE, false}, writer = {fds[0], UV_WRITABLE, false};
    go(wait_for_fd, &reader);
    go(wait_for_fd, &writer);
    wait_until_waiting(2);
    put(fds[1]);
    while (!reader.done)
        usp_yield();
    ck_assert(!writer.done);
    while (read(fds[1], block, sizeof block) > 0)
        ;
    wait_for_others();
    ck_assert(writer.done);
    close(fds[0]);
    close(fds[1]);
}

TEST(everybody_who_waits_for_a_descriptor_is_woken)
{
    int fds[2];
    make_pipe(fds);
    struct fd_wait waits[50];
    for (int i = 0; i < 50; i++) {
        waits[i] = (struct fd_wait){fds[0], UV_READABLE, false};
        go(wait_for_fd, &waits[i]);
    }
    wait_until_waiting(50);
    put(fds[1]);
    wait_for_others();
    close(fds[0]);
    close(fds[1]);
}

TEST(a_hang_up_wakes_the_reader_and_an_error_the_writer)
{
    int fds[2];
    make_pipe(fds);
    struct fd_wait reader = {fds[0], UV_READABLE, false};
    go(wait_for_fd, &reader);
    wait_until_waiting(1);
    close(fds[1]);
    wait_for_others();
    close(fds[0]);

    make_pipe(fds);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    static char block[4096];
    while (write(fds[1], block, sizeof block) > 0)
        ;
    struct fd_wait writer = {fds[1], UV_WRITABLE, false};
    go(wait_for_fd, &writer);
    go(wait_for_fd, &writer);
    wait_until_waiting(2);
    close(fds[0]);
    wait_for_others();
    close(fds[1]);
}

TEST(a_descriptor_keeps_its_flags)
{
    for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
        int fds[2];
        make_pipe(fds);
        ck_assert_int_eq(fcntl(fds[0], F_SETFL, flags), 0);
        ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), 0);
        ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, flags);
        put(fds[1]);
        told();
        ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, flags);
        close(fds[0]);
        close(fds[1]);
    }
}

TEST(a_descriptor_may_be_closed_and_reused_at_once_after_the_wait)
{
    int last = -1;
    for (int i = 0; i < 20; i++) {
        int fds[2];
        make_pipe(fds);
        if (last >= 0)
            ck_assert_int_eq(fds[0], last);
        last = fds[0];
        ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), 0);
        if (i % 2) { /* half of them without the loop ever having seen it */
            put(fds[1]);
            told();
        } else {
            usp_sources_disarm(&main_task);
        }
        close(fds[0]);
        close(fds[1]);
    }
}

TEST(the_loser_of_a_choice_leaves_nothing_behind)
{
    int fds[2];
    make_pipe(fds);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), 0);
    usp_sources_disarm(&main_task);
    int n = house_count_descriptors();
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), 0);
        ck_assert_int_eq(usp_fd_arm(&main_task, 1, fds[0], UV_READABLE | UV_DISCONNECT), 0);
        ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.001), 0);
        ck_assert_uint_eq(told(), 2);
    }
    ck_assert_int_eq(house_count_descriptors(), n);
    put(fds[1]);
    turn_the_loop();
    ck_assert_int_eq(usp_fd_arm(&main_task, 3, fds[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 4, 10), 0);
    ck_assert_uint_eq(told(), 3);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_regular_file_is_always_ready)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    ck_assert_int_eq(usp_fd_ready(fd, UV_READABLE), 1);
    ck_assert_int_eq(usp_fd_arm(&main_task, 4, fd, UV_READABLE), 0);
    ck_assert_uint_eq(told(), 4);
    close(fd);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(events, UV_READABLE);
    *(bool *)handle->data = true;
    uv_poll_stop(handle);
}

TEST(a_descriptor_on_which_the_program_has_a_handle_can_be_waited_for)
{
    int fds[2];
    make_pipe(fds);
    uv_poll_t theirs;
    bool seen = false;
    theirs.data = &seen;
    ck_assert_int_eq(uv_poll_init(usp_loop(), &theirs, fds[0]), 0);
    ck_assert_int_eq(uv_poll_start(&theirs, UV_READABLE, on_poll), 0);
    ck_assert_int_eq(usp_fd_arm(&main_task, 6, fds[0], UV_READABLE), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 6);
    turn_the_loop();
    ck_assert(seen);
    uv_close((uv_handle_t *)&theirs, NULL);
    turn_the_loop();
    close(fds[0]);
    close(fds[1]);
}

TEST(a_descriptor_may_be_closed_while_somebody_waits_for_it)
{
    int fds[2], kept;
    make_pipe(fds);
    kept = dup(fds[0]); /* the pipe goes on, and so would an event of it under the old number */
    ck_assert_int_eq(usp_fd_arm(&main_task, 1, fds[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0.002), 0);
    close(fds[0]);
    ck_assert_uint_eq(told(), 2);
    int again[2];
    make_pipe(again);
    ck_assert_int_eq(again[0], fds[0]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 3, again[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 4, 0.01), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 4);
    ck_assert_int_eq(usp_fd_arm(&main_task, 5, again[0], UV_READABLE), 0);
    put(again[1]);
    ck_assert_uint_eq(told(), 5);

    /* The number gets its first file back. */
    close(again[0]);
    ck_assert_int_eq(dup2(kept, again[0]), again[0]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 6, again[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 6);
    close(kept);
    close(again[0]);
    close(again[1]);
    close(fds[1]);
}

TEST(who_waits_for_a_closed_descriptor_learns_of_it_with_the_next_who_asks)
{
    int fds[2];
    make_pipe(fds);
    struct fd_wait reader = {fds[0], UV_READABLE, false};
    go(wait_for_fd, &reader);
    wait_until_waiting(1);
    close(fds[0]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 1, fds[0], UV_READABLE), -EBADF);
    wait_for_others();
    close(fds[1]);
}

/* No event is lost between waits, though its registration is switched off by each. */
static void echo(void *arg)
{
    int *fds = arg;
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(usp_fd_arm(usp_current()->task, 1, fds[0], UV_READABLE), 0);
        ck_assert_uint_eq(told(), 1);
        char got;
        ck_assert_int_eq(read(fds[0], &got, 1), 1);
        put(fds[1]);
    }
}

TEST(two_processes_play_ping_pong_over_two_pipes)
{
    int there[2], back[2];
    make_pipe(there);
    make_pipe(back);
    int one[2] = {there[0], back[1]}, other[2] = {back[0], there[1]};
    put(there[1]);
    go(echo, one);
    go(echo, other);
    wait_for_others();
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
}

TEST(more_descriptors_are_ready_at_once_than_one_look_can_tell)
{
    enum { N = 200 };
    static int fds[N][2];
    static struct fd_wait waits[N];
    for (int i = 0; i < N; i++) {
        make_pipe(fds[i]);
        waits[i] = (struct fd_wait){fds[i][0], UV_READABLE, false};
        go(wait_for_fd, &waits[i]);
    }
    wait_until_waiting(N);
    for (int i = 0; i < N; i++)
        put(fds[i][1]);
    wait_for_others();
    for (int i = 0; i < N; i++) {
        ck_assert(waits[i].done);
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

/* ---- signals ---- */

TEST(a_signal_wakes_who_waits_for_it)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 8, SIGUSR1), 0);
    raise(SIGUSR1);
    ck_assert_uint_eq(told(), 8);
    ck_assert(!usp_signal_take(SIGUSR1));
}

TEST(deliveries_without_a_waiter_are_counted)
{
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert(!usp_signal_take(SIGUSR1));
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    turn_the_loop();
    for (int i = 0; i < 3; i++)
        ck_assert(usp_signal_take(SIGUSR1));
    ck_assert(!usp_signal_take(SIGUSR1));
    ck_assert(!usp_signal_take(SIGUSR2));
    ck_assert(!usp_signal_take(0));
    ck_assert(!usp_signal_take(100000));
}

static int n_signalled;
static int order[3];

static void wait_for_signal(void *arg)
{
    ck_assert_int_eq(usp_signal_arm(usp_current()->task, 1, SIGUSR2), 0);
    ck_assert_uint_eq(told(), 1);
    order[n_signalled++] = *(int *)arg;
}

TEST(one_delivery_wakes_one_waiter_the_longest_first)
{
    static int names[] = {10, 11, 12};
    for (int i = 0; i < 3; i++) {
        go(wait_for_signal, &names[i]);
        wait_until_waiting(i + 1);
    }
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR2);
        turn_the_loop();
        wait_for_others_but(2 - i);
        ck_assert_int_eq(n_signalled, i + 1);
        ck_assert_int_eq(order[i], names[i]);
    }
    ck_assert(!usp_signal_take(SIGUSR2));
}

TEST(a_delivery_to_one_who_was_told_something_else_is_not_lost)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 1, SIGUSR1), 0);
    ck_assert_int_eq(usp_timer_arm(&main_task, 2, 0), 0);
    raise(SIGUSR1);
    uint32_t index = told();
    turn_the_loop();
    ck_assert_int_eq(usp_signal_take(SIGUSR1), index == 2);
}

TEST(what_cannot_be_watched_is_told)
{
    const int bad[] = {0,       -1,     NSIG,   100000, SIGKILL,         SIGSTOP,
                       SIGSEGV, SIGBUS, SIGFPE, 32,     USP_SIGNAL_BELL, USP_SIGNAL_ORPHAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(usp_signal_watch(bad[i]), -EINVAL);
        ck_assert_int_eq(usp_signal_arm(&main_task, 0, bad[i]), -EINVAL);
    }
    ck_assert_ptr_null(main_task.fibre->sources);
}

static void (*disposition(int signum))(int)
{
    struct sigaction now;
    ck_assert_int_eq(sigaction(signum, NULL, &now), 0);
    return now.sa_handler;
}

TEST(what_was_ignored_before_is_ignored_again)
{
    signal(SIGHUP, SIG_IGN);
    ck_assert_int_eq(usp_signal_watch(SIGHUP), 0);
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    ck_assert(disposition(SIGHUP) != SIG_IGN);
    usp_sources_deinit();
    ck_assert(disposition(SIGHUP) == SIG_IGN);
    ck_assert(disposition(SIGUSR1) == SIG_DFL);
}

/* ---- a new worker ---- */

static void new_loop(void)
{
    uv_loop_t *own = calloc(1, sizeof *own);
    if (!own || uv_loop_init(own) < 0 || usp_sources_init(own) < 0)
        _exit(20);
    own->data = usp_sched.loop; /* stays reachable, for valgrind */
    usp_sched.loop = own;
}

TEST(a_signal_that_the_parent_watches_has_its_default_effect_in_a_worker)
{
    ck_assert_int_eq(usp_signal_watch(SIGUSR1), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        raise(SIGUSR1);
        _exit(0);
    }
    int status = status_of(pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGUSR1);
    turn_the_loop();
    ck_assert(!usp_signal_take(SIGUSR1));
    raise(SIGUSR1);
    turn_the_loop();
    ck_assert(usp_signal_take(SIGUSR1));
}

TEST(a_worker_watches_a_signal_of_its_parent_for_itself)
{
    ck_assert_int_eq(usp_signal_arm(&main_task, 1, SIGUSR1), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        new_loop();
        if (usp_signal_take(SIGUSR1) || usp_signal_watch(SIGUSR1) < 0)
            _exit(1);
        raise(SIGUSR1);
        uv_run(usp_loop(), UV_RUN_NOWAIT);
        _exit(usp_signal_take(SIGUSR1) ? 0 : 2);
    }
    ck_assert_int_eq(status_of(pid), 0);
    turn_the_loop();
    ck_assert_uint_eq(usp_commit_state(atomic_load(&main_task.commit)), USP_NONE);
    ck_assert(!usp_signal_take(SIGUSR1));
    raise(SIGUSR1);
    ck_assert_uint_eq(told(), 1);
}

static int n_theirs;

static void on_signal(uv_signal_t *handle, int signum)
{
    ck_assert_int_eq(signum, handle->signum);
    n_theirs++;
}

static void on_exit_of(uv_process_t *process, int64_t status, int signum)
{
    ck_assert_int_eq((int)status, 0);
    ck_assert_int_eq(signum, 0);
    uv_close((uv_handle_t *)process, NULL);
    n_theirs++;
}

TEST(a_worker_forgets_the_handles_of_the_program_and_of_libuv)
{
    static uv_signal_t theirs, closing;
    static uv_process_t process;
    char *args[] = {"true", NULL};
    uv_process_options_t options = {.file = "true", .args = args, .exit_cb = on_exit_of};
    ck_assert_int_eq(uv_spawn(usp_loop(), &process, &options), 0);
    ck_assert_int_eq(uv_signal_init(usp_loop(), &theirs), 0);
    ck_assert_int_eq(uv_signal_start(&theirs, on_signal, SIGUSR2), 0);
    ck_assert_int_eq(uv_signal_init(usp_loop(), &closing), 0);
    ck_assert_int_eq(uv_signal_start(&closing, on_signal, SIGUSR1), 0);
    uv_close((uv_handle_t *)&closing, NULL);
    pid_t pid = fork_worker();
    if (pid == 0) {
        if (disposition(SIGUSR2) != SIG_DFL || disposition(SIGCHLD) != SIG_DFL)
            _exit(1);
        new_loop();
        _exit(usp_signal_watch(SIGCHLD) < 0 ? 2 : 0);
    }
    ck_assert_int_eq(status_of(pid), 0);
    raise(SIGUSR2);
    while (n_theirs < 2)
        turn_the_loop();
    uv_close((uv_handle_t *)&theirs, NULL);
    turn_the_loop();
}

TEST(a_worker_has_timers_descriptors_and_events_of_its_own)
{
    int fds[2];
    make_pipe(fds);
    struct usp_event event = {0};
    int n = house_count_descriptors();
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 100), 0);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_int_eq(usp_event_arm(&main_task, 3, &event), 0);
    pid_t pid = fork_worker();
    if (pid == 0) {
        int own[2];
        if (house_count_descriptors() != n)
            _exit(3);
        main_task.fibre->sources = NULL;
        new_loop();
        if (pipe(own) < 0 || usp_timer_arm(&main_task, 1, 100) < 0 ||
            usp_fd_arm(&main_task, 2, fds[0], UV_READABLE) < 0 ||
            usp_fd_arm(&main_task, 3, own[0], UV_READABLE) < 0)
            _exit(1);
        usp_task_open(&main_task);
        put(own[1]);
        uv_run(usp_loop(), UV_RUN_ONCE);
        _exit(usp_commit_index(atomic_load(&main_task.commit)) == 3 ? 0 : 2);
    }
    ck_assert_int_eq(status_of(pid), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

/* Each generation uses the memory of those before it again. */
static void generations(int n)
{
    for (; n > 0; n--) {
        main_task.fibre->sources = NULL;
        new_loop();
        for (uint32_t i = 0; i < 6; i++) {
            if (usp_timer_arm(&main_task, i, 100) < 0 ||
                usp_signal_arm(&main_task, i, i % 2 ? SIGUSR1 : SIGUSR2) < 0)
                _exit(1);
            if ((int)i == n) /* so each has another number of free ones */
                usp_sources_disarm(&main_task);
        }
        pid_t pid = fork_worker();
        if (pid > 0)
            _exit(status_of(pid) == 0 ? 0 : 2);
    }
    _exit(0);
}

TEST(workers_of_workers_have_sources_too)
{
    ck_assert_int_eq(usp_timer_arm(&main_task, 1, 100), 0);
    pid_t pid = fork_worker();
    if (pid == 0)
        generations(6);
    ck_assert_int_eq(status_of(pid), 0);
    usp_sources_disarm(&main_task);
}

/* ---- events ---- */

static struct usp_event event;

static void wait_for_event(void *arg)
{
    ck_assert_int_eq(usp_event_arm(usp_current()->task, 11, &event), 0);
    ck_assert_uint_eq(told(), 11);
    (*(int *)arg)++;
}

TEST(an_event_wakes_all_who_wait_and_stays_true)
{
    int n = 0;
    for (int i = 0; i < 10; i++)
        go(wait_for_event, &n);
    wait_until_waiting(10);
    ck_assert_int_eq(n, 0);
    usp_event_set(&event);
    usp_event_set(&event);
    wait_for_others();
    ck_assert_int_eq(n, 10);
    ck_assert_ptr_null(event.waiting);
    ck_assert_int_eq(usp_event_arm(&main_task, 12, &event), 0);
    ck_assert_uint_eq(told(), 12);
}

static void set_three_then_one(void *arg)
{
    struct usp_event *events = arg;
    usp_event_set(&events[3]);
    usp_event_set(&events[1]);
}

TEST(the_first_of_several_events_is_the_one_that_is_told)
{
    struct usp_event events[5] = {0};
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_int_eq(usp_event_arm(&main_task, i, &events[i]), 0);
    go(set_three_then_one, events);
    ck_assert_uint_eq(told(), 3);
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_null(events[i].waiting);
    wait_for_others();
}

/* One task in the middle of the queue after the other is told something else and leaves. */
TEST(those_who_leave_the_queue_of_an_event_do_not_disturb_the_others)
{
    struct usp_event one = {0};
    for (uint32_t i = 0; i < 6; i++)
        ck_assert_int_eq(usp_event_arm(&main_task, i, &one), 0);
    usp_sources_disarm(&main_task);
    ck_assert_ptr_null(one.waiting);
    int n = 0;
    event = (struct usp_event){0};
    go(wait_for_event, &n);
    wait_until_waiting(1);
    ck_assert_int_eq(usp_event_arm(&main_task, 1, &event), 0);
    go(wait_for_event, &n);
    wait_until_waiting(2);
    usp_sources_disarm(&main_task);
    usp_event_set(&event);
    wait_for_others();
    ck_assert_int_eq(n, 2);
}

/* ---- blocking calls ---- */

struct call {
    int fds[2];
    long thread;
    char got;
};

static void read_one(void *arg)
{
    struct call *call = arg;
    call->thread = syscall(SYS_gettid);
    if (read(call->fds[0], &call->got, 1) != 1)
        call->got = 0;
}

TEST(a_blocking_call_runs_on_another_thread_while_others_go_on)
{
    struct call call = {.got = 0};
    make_pipe(call.fds);
    go(put_there, &call.fds[1]); /* without it the call would wait for ever */
    ck_assert_int_eq(usp_blocking(read_one, &call), 0);
    ck_assert_int_eq(call.got, 'x');
    ck_assert_int_ne(call.thread, syscall(SYS_gettid));
    ck_assert_int_eq(usp_blocking(NULL, NULL), -EINVAL);
    wait_for_others();
    close(call.fds[0]);
    close(call.fds[1]);
}

TEST(nothing_can_claim_a_task_during_a_blocking_call)
{
    struct call call = {.got = 0};
    make_pipe(call.fds);
    atomic_store(&main_task.commit, usp_commit_claimed(3, 4));
    go(put_there, &call.fds[1]);
    ck_assert_int_eq(usp_blocking(read_one, &call), 0);
    ck_assert_uint_eq(atomic_load(&main_task.commit), USP_NONE);
    wait_for_others();
    close(call.fds[0]);
    close(call.fds[1]);
}

static void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void block(void *arg)
{
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(usp_blocking(add_one, arg), 0);
}

TEST(many_blocking_calls_at_once_are_all_done)
{
    atomic_int n = 0;
    for (int i = 0; i < 50; i++)
        go(block, &n);
    wait_for_others();
    ck_assert_int_eq(n, 500);
}

/* ---- without memory ---- */

TEST(without_memory_nothing_is_armed)
{
    struct usp_event one = {0};
    int fds[2], r[5];
    make_pipe(fds);
    inject_fail("malloc", INJECT_ALL, ENOMEM);
    r[0] = usp_timer_arm(&main_task, 0, 1);
    r[1] = usp_event_arm(&main_task, 0, &one);
    r[2] = usp_fd_arm(&main_task, 0, fds[0], UV_READABLE);
    r[3] = usp_signal_arm(&main_task, 0, SIGUSR1);
    inject_fail("malloc", 2, ENOMEM); /* there is memory for the watcher */
    r[4] = usp_signal_arm(&main_task, 0, SIGUSR2);
    inject_stop();
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(r[i], -ENOMEM);
    ck_assert_ptr_null(main_task.fibre->sources);
    ck_assert_ptr_null(one.waiting);
    put(fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

TEST(without_memory_for_a_larger_table_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    inject_fail("realloc", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), -ENOMEM);
    inject_stop();
    int high = fcntl(fds[0], F_DUPFD, 500);
    ck_assert_int_eq(usp_fd_arm(&main_task, 1, fds[0], UV_READABLE), 0);
    inject_fail("realloc", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, high, UV_READABLE), -ENOMEM);
    inject_stop();
    ck_assert_int_eq(usp_fd_arm(&main_task, 3, high, UV_PRIORITIZED), 0);
    put(fds[1]);
    ck_assert_uint_eq(told(), 1);
    close(high);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_failure_of_libuv_is_passed_on_and_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    int n = house_count_descriptors();
    atomic_int calls = 0;
    inject_fail("uv_poll_init", 1, ENOMEM);
    inject_fail("uv_queue_work", 1, ENOMEM);
    ck_assert_int_eq(usp_fd_arm(&main_task, 0, fds[0], UV_READABLE), -ENOMEM);
    ck_assert_int_eq(house_count_descriptors(), n);
    ck_assert_int_eq(usp_blocking(add_one, &calls), -ENOMEM);
    ck_assert_int_eq(calls, 0);
    ck_assert_ptr_null(main_task.fibre->sources);
    inject_stop();
    ck_assert_int_eq(usp_blocking(add_one, &calls), 0);
    ck_assert_int_eq(calls, 1);
    close(fds[0]);
    close(fds[1]);
}

TEST(without_a_descriptor_for_epoll_nothing_is_armed)
{
    int fds[2];
    make_pipe(fds);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = (rlim_t)fds[1] + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    int r = usp_fd_arm(&main_task, 0, fds[0], UV_READABLE);
    setrlimit(RLIMIT_NOFILE, &old);
    ck_assert_int_eq(r, -EMFILE);
    ck_assert_ptr_null(main_task.fibre->sources);
    put(fds[1]);
    ck_assert_int_eq(usp_fd_arm(&main_task, 2, fds[0], UV_READABLE), 0);
    ck_assert_uint_eq(told(), 2);
    close(fds[0]);
    close(fds[1]);
}

SUITE("sources", .before = before, .after = after)
