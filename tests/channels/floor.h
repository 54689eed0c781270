/* What the cases of this floor have instead of the floor of processes: a task for main. */
#ifndef TESTS_CHANNELS_FLOOR_H
#define TESTS_CHANNELS_FLOOR_H

#include <string.h>

#include "channels/channel.h"
#include "runtime/arena.h"
#include "tests/fixture.h"

static inline int floor_before(void)
{
    int rc = usp_runtime_init();
    if (rc < 0)
        return rc;
    usp_channels_init();
    struct usp_task *task = usp_arena_alloc(sizeof *task, USP_BLOCK_TASK);
    memset(task, 0, sizeof *task);
    task->name = "main";
    task->fibre = usp_current();
    usp_wait_of(task)->first.task = task;
    usp_current()->task = task;
    return 0;
}

static inline int floor_after(void)
{
    return usp_runtime_deinit();
}

static inline struct usp_channel *floor_channel(size_t size, enum uvcsp_type type, int capacity)
{
    struct usp_channel *channel = uvcsp_channel_new(
        size, type, (uvcsp_channel_options){.capacity = capacity, .name = "tested"});
    ck_assert_ptr_nonnull(channel);
    return channel;
}

#endif
