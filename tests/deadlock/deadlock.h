/* What the tests of deadlocks share. */
#ifndef TESTS_DEADLOCK_H
#define TESTS_DEADLOCK_H

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uvcsp.h>
#include <uvcsp/ipc.h>

#include "runtime/worker.h"
#include "tests/fixture.h"

#define NOTHING_CAN_RUN "deadlock: nothing in this program can ever run again"

/* Runs it as a program of its own; its wait status, and what it says on stderr. */
static inline int as_a_program(void (*body)(void), char **said)
{
    int status;
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 1; i < NSIG; i++) /* Check's handlers end the whole group */
            signal(i, SIG_DFL);
        body();
        exit(0);
    }
    pid_t waited = waitpid(pid, &status, 0);
    *said = house_captured();
    ck_assert_int_eq(waited, pid);
    return status;
}

static inline int count_of(const char *text, const char *part)
{
    int n = 0;
    while ((text = strstr(text, part))) {
        n++;
        text++;
    }
    return n;
}

/* What a PAR says that has to end so. */
#define TOLD(run)                                                                                  \
    __extension__({                                                                                \
        house_capture(2);                                                                          \
        int told_ = (run);                                                                         \
        char *said_ = house_captured();                                                            \
        ck_assert_msg(told_ == -EDEADLK, "%d: %s", told_, said_);                                  \
        ck_assert_contains(said_, NOTHING_CAN_RUN);                                                \
        said_;                                                                                     \
    })

/* A process goes on until it has been looked for deadlocks some times, or for a while where nobody looks. */
static inline uint64_t looked(void)
{
    return atomic_load(&usp_shared->watched);
}

struct looks {
    uint64_t last;
    int left;
    double deadline;
};

static inline struct looks some_looks(void)
{
    return (struct looks){looked(), 2, uvcsp_now() + 4};
}

static inline bool more(struct looks *looks)
{
    if (looked() != looks->last) {
        looks->last = looked();
        looks->left--;
    }
    return looks->left > 0 && uvcsp_now() < looks->deadline;
}

#define QUIET(run)                                                                                 \
    do {                                                                                           \
        house_capture(2);                                                                          \
        int told_ = (run);                                                                         \
        char *said_ = house_captured();                                                            \
        ck_assert_msg(told_ == 0 && !*said_, "%d: %s", told_, said_);                              \
        free(said_);                                                                               \
    } while (0)

/* Passes on what it reads; `first` has it begin, or not. */
PROCESS(passes_on, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

#endif
