/* Processes that take themselves for other workers. */
#ifndef TESTS_CHANNELS_STRANGERS_H
#define TESTS_CHANNELS_STRANGERS_H

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channels/channel.h"
#include "runtime/arena.h"
#include "tests/fixture.h"

enum { STRANGER = 7, ANOTHER = 9 };

/* A process that takes itself for that worker. */
static inline pid_t as_worker(unsigned index, void (*fn)(struct usp_channel *, int *), struct usp_channel *channel,
                       int *shared)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        usp_set_worker(index);
        usp_arena_adopt(index);
        fn(channel, shared);
        _exit(0);
    }
    return pid;
}

static inline void ended_well(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static inline int *shared_ints(void)
{
    int *ints = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(ints, MAP_FAILED);
    return ints;
}

#endif
