/* Descriptors that a process waits for. */
#include "tests/runtime/sources.h"

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

SUITE("descriptors", .before = before, .after = after)
