/* Ways to die, and what must be left of it. */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

#include <sys/wait.h>

#include "runtime/arena.h"
#include "tests/contract/contract.h"

enum way { BY_SIGSEGV, BY_SIGKILL, BY_ABORT, BY_EXIT_3, BY_EXIT_0_AT_ONCE, BY_OVERFLOW, WAYS };

/* What the cause says of it. */
static const char *const way_says[WAYS] = {
    "signal 11", "signal 9", "signal 6", "code 3", "code 0", "signal 11",
};

static __attribute__((noinline)) int overflow_the_stack(volatile char *above)
{
    volatile char here[4096];
    here[0] = above ? above[0] : 0;
    return here[0] == 1 ? 1 : overflow_the_stack(here) + here[0];
}

/* The address sanitizer would turn the signal into an exit. */
const char *__asan_default_options(void);
__attribute__((used)) const char *__asan_default_options(void)
{
    return "handle_segv=0";
}

static __attribute__((unused)) void die(enum way way)
{
    static volatile int *volatile nowhere = (volatile int *)64;
    switch (way) {
    case BY_SIGSEGV:
        *nowhere = 1;
        break;
    case BY_SIGKILL:
        kill(getpid(), SIGKILL);
        break;
    case BY_ABORT:
        abort();
    case BY_EXIT_3:
        exit(3);
    case BY_EXIT_0_AT_ONCE: /* no exit handler of the library runs */
        _exit(0);
    case BY_OVERFLOW:
        overflow_the_stack(NULL);
        break;
    default:
        break;
    }
    for (;;)
        pause();
}

/* Waits until nothing is left of the workers and processes that were: no child, and no block but
   the table of the workers and the task of main. False: after two seconds there still is. */
static inline bool all_is_given_back(void)
{
    double start = uvcsp_now();
    while (usp_arena_count(USP_BLOCK_FREE) > 2 || house_has_child()) {
        if (uvcsp_now() - start > 2) {
            fprintf(
                stderr,
                "left: %zu tasks, %zu offers, %zu channels, %zu ends, %zu messages, %zu texts%s\n",
                usp_arena_count(USP_BLOCK_TASK) - 1, usp_arena_count(USP_BLOCK_OFFERS),
                usp_arena_count(USP_BLOCK_CHANNEL), usp_arena_count(USP_BLOCK_END),
                usp_arena_count(USP_BLOCK_MESSAGE), usp_arena_count(USP_BLOCK_TEXT),
                house_has_child() ? ", a child" : "");
            return false;
        }
        uvcsp_sleep(0.002);
    }
    return true;
}

#endif
