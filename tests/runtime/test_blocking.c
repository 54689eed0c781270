/* Calls that block, on threads of their own. */
#include "tests/runtime/sources.h"

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

SUITE("blocking", .before = before, .after = after)
