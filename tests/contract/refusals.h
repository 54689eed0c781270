/* What the tests of refused calls share: a line on standard error and a code, or a line and the end
   where there is no code to give. */
#ifndef TESTS_CONTRACT_REFUSALS_H
#define TESTS_CONTRACT_REFUSALS_H

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* A call that prints a line with these words in it. */
#define SAYS(words, ...)                                                                           \
    do {                                                                                           \
        house_capture(2);                                                                          \
        __VA_ARGS__;                                                                               \
        char *said_ = house_captured();                                                            \
        ck_assert_contains(said_, "uvcsp: ");                                                      \
        ck_assert_contains(said_, words);                                                          \
        free(said_);                                                                               \
    } while (0)
#define REFUSES(call, code, words) SAYS(words, int got_ = (call); ck_assert_int_eq(got_, code))

/* Runs a program of its own, which has to end by SIGABRT with these words. */
static __attribute__((unused)) void must_abort(void (*program)(void), const char *words)
{
    house_capture(2);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        program();
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
                  "it did not abort: %x, \"%s\"", status, said);
    ck_assert_contains(said, words);
    free(said);
}

#define ABORTS(name, words, ...)                                                                   \
    static void name##_program(void)                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }                                                                                              \
    TEST(name)                                                                                     \
    {                                                                                              \
        must_abort(name##_program, words);                                                         \
    }

/* Everything still works: two workers, and a message. */
PROCESS(gives_one, OUT(int, out))
{
    WRITE(out, 7);
}

PROCESS(takes_one, IN(int, in))
{
    MUST(READ(in) == 7);
}

static __attribute__((unused)) void all_is_well(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 2);
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_nonnull(d);
    ck_assert_int_eq(PAR(gives_one(c), takes_one(c), gives_one(d), takes_one(d)), 0);
    uvcsp_channel_free(c);
    uvcsp_channel_free(d);
}

#endif
