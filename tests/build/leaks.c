/* Cases that the fixture must fail, each by the word that its name ends with, and some that it must pass.
   Run by fixture.sh. */
#include "tests/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

static pid_t child(void)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    return pid;
}

TEST(bad_leaves_a_descriptor)
{
    ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
}

TEST(bad_leaves_a_loop_descriptor)
{
    static uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
}

TEST(bad_leaves_a_living_child)
{
    if (child() == 0)
        for (;;)
            poll(NULL, 0, -1);
}

TEST(bad_leaves_a_dead_child)
{
    pid_t pid = child();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

TEST(bad_takes_too_long, .seconds = 0.5)
{
    poll(NULL, 0, -1);
}

TEST(bad_crashes_by_a_signal)
{
    raise(SIGSEGV);
}

TEST(bad_exits_with_a_status)
{
    exit(3);
}

TEST(bad_assertion)
{
    ck_assert_int_eq(1, 2);
}

TEST(good_ends_by_the_signal_it_names, .raises = SIGABRT)
{
    abort();
}

TEST(good_exits_with_the_status_it_names, .exits = 3)
{
    exit(3);
}

TEST(good_runs_twice, .times = 2)
{
    ck_assert_int_lt(_i, 2);
}

TEST(good_closes_its_loop_and_waits_for_its_child)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    pid_t pid = child();
    if (pid == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

TEST(good_captures_what_a_child_prints)
{
    house_capture(2);
    fputs("parent ", stderr);
    pid_t pid = child();
    if (pid == 0) {
        fputs("child", stderr);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    char *text = house_captured();
    ck_assert_contains(text, "parent child");
    free(text);
}

TEST(good_prints_what_looks_like_a_report)
{
    printf("not ok 1 - this is not Check's\n");
    fflush(stdout);
}

SUITE("leaks")
