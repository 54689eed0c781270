/* Walks the failure paths of a program: for each call of the system in turn, its first use fails,
   then the second, ... until the program gets through; and then all of them fail. Each time the
   program has to end, not by a hang or a fault: with codes that say what has not been done and a
   line on standard error, or by abort() with a line. If it goes on, nothing is left behind, and the
   library works.

   A test file that includes this has the program, use_everything(), which counts in `n_failed` what
   it was told of, and the_library_works(). */
#ifndef TESTS_INJECT_WALK_H
#define TESTS_INJECT_WALK_H

#include <sys/wait.h>

#include "tests/contract/contract.h"
#include "tests/inject.h"

static void use_everything(void);
static void the_library_works(void);

/* What has failed is counted: a code, a NULL, a process that PAR counts. */
static int n_failed;

#define MAY_FAIL(call) (n_failed += (call) != 0)

/* A partner that could not be started is met as poison; a message without room gives -ENOMEM.
   Either ends the process. */
#define OR_END(call)                                                                               \
    do {                                                                                           \
        if ((call) != UVCSP_OK)                                                                    \
            return;                                                                                \
    } while (0)

/* ---- one run of it, in a process of its own ---- */

enum { ALL_DONE = 40, SOME_FAILED }; /* its statuses */

static void run_program(const char *call, int nth, int error)
{
    default_signals();
    signal(SIGALRM, SIG_DFL);
    alarm(10);
    int descriptors = house_count_descriptors();
    inject_fail(call, nth, error);
    use_everything();
    int n_calls = inject_calls(call);
    inject_stop();
    the_library_works();
    MUST(uvcsp_shutdown() == 0);
    MUST(!house_has_child());
    MUST(house_count_descriptors() <= descriptors + 2); /* libuv keeps a pipe for signals */
    no_leak_check = true;
    exit(n_calls < nth && n_failed == 0 ? ALL_DONE : SOME_FAILED);
}

/* True while there is another call to fail. */
static bool run(const char *call, int nth, int error)
{
    house_capture(2);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        run_program(call, nth, error);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    if (WIFEXITED(status) &&
        (WEXITSTATUS(status) == ALL_DONE || WEXITSTATUS(status) == SOME_FAILED)) {
        bool more = WEXITSTATUS(status) == SOME_FAILED;
        free(said);
        return more;
    }
    /* an abort, or the end of main by poison */
    if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) || !strstr(said, "uvcsp: "))
        ck_abort_msg("%s failed at call %d: %s %d: \"%s\"", call, nth,
                     WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), said);
    free(said);
    return true;
}

static const struct {
    const char *call;
    int error;
} paths[] = {
    {"malloc", ENOMEM},
    {"calloc", ENOMEM},
    {"realloc", ENOMEM},
    {"mmap", ENOMEM},
    {"mprotect", ENOMEM},
    {"madvise", EINVAL},
    {"memfd_create", EMFILE},
    {"ftruncate", ENOMEM},
    {"fork", EAGAIN},
    {"socket", EMFILE},
    {"socketpair", EMFILE},
    {"bind", ENOSPC},
    {"connect", ECONNREFUSED},
    {"getsockname", ENOBUFS},
    {"sigaltstack", ENOMEM},
    {"syscall", EMFILE},
    {"epoll_create1", EMFILE},
    {"epoll_ctl", ENOSPC},
    {"uv_loop_init", EMFILE},
    {"uv_async_init", EMFILE},
    {"uv_pipe_init", ENOMEM},
    {"uv_pipe_open", EINVAL},
    {"uv_poll_init", EEXIST},
    {"uv_listen", EADDRINUSE},
    {"uv_accept", EMFILE},
    {"uv_read_start", ENOTCONN},
    {"uv_write", EPIPE},
    {"uv_signal_start", EINVAL},
    {"uv_queue_work", ENOMEM},
    {"uv_try_write", EPIPE},
    {"listen", EADDRINUSE},
    {"accept4", EMFILE},
    {"recv", ECONNRESET},
    {"send", EPIPE},
    {"sendmsg", EPIPE},
    {"getrandom", EAGAIN},
    {"read", EIO},
    {"epoll_wait", EINTR},
    {"fopen", EMFILE},
    {"fchmod", EPERM},
    {"usp_arena_alloc", ENOMEM},
};
enum { N_PATHS = sizeof paths / sizeof paths[0] };

/* The address sanitizer makes this call for itself, by the same name. */
static bool sanitizer_needs(const char *call)
{
    return SANITIZED && strcmp(call, "sigaltstack") == 0;
}

TEST(each_call_fails_in_turn, .times = N_PATHS, .seconds = 120)
{
    if (house_light() || sanitizer_needs(paths[_i].call))
        return;
    /* workers count by themselves, and a failure there may be of no consequence */
    int nth = 1;
    for (int in_vain = 0; in_vain < 3 && nth < 1000; nth += 1 + SANITIZED * nth / 4)
        in_vain = run(paths[_i].call, nth, paths[_i].error) ? 0 : in_vain + 1;
    ck_assert_int_lt(nth, 1000);
}

TEST(each_call_fails_always, .times = N_PATHS)
{
    if (house_light() || sanitizer_needs(paths[_i].call))
        return;
    (void)run(paths[_i].call, INJECT_ALL, paths[_i].error);
}

#endif
