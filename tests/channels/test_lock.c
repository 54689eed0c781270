/* The lock of a channel: biased to one worker, taken away by another, held against a crowd. */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channels/lock.h"
#include "tests/channels/floor.h"
#include "tests/channels/strangers.h"

static struct usp_channel *channel_of_ints(void)
{
    return floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 0);
}

static uint32_t bias_of(struct usp_channel *channel)
{
    return atomic_load(&channel->bias);
}

/* Else a barrier would not reach it. */
TEST(a_new_process_is_registered_for_the_barrier_as_its_parent_is)
{
    const int get_registrations = 1 << 9; /* from Linux 6.3 on */
    long mine = syscall(SYS_membarrier, get_registrations, 0, 0);
    if (mine < 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_membarrier, get_registrations, 0, 0) != mine);
    ck_assert_int_eq(mine & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
                     MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
    ended_well(pid);
}

TEST(a_new_channel_is_biased_to_its_makers_worker)
{
    ck_assert_uint_eq(bias_of(channel_of_ints()), 1);
}

TEST(who_it_is_biased_to_takes_it_without_the_lock_word)
{
    struct usp_channel *channel = channel_of_ints();
    usp_lock(channel);
    ck_assert_uint_eq(atomic_load(&channel->lock), 0);
    ck_assert_uint_eq(atomic_load(&channel->inside), 1);
    usp_unlock(channel);
    ck_assert_uint_eq(atomic_load(&channel->inside), 0);
}

TEST(a_channel_whose_first_end_is_another_workers_moves_there)
{
    struct usp_channel *channel = channel_of_ints();
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_READER, NULL, STRANGER));
    ck_assert_uint_eq(bias_of(channel), STRANGER + 1);
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_WRITER, NULL, STRANGER));
    ck_assert(!channel->far);
}

TEST(ends_of_two_workers_end_the_bias_for_good)
{
    struct usp_channel *channel = channel_of_ints();
    struct usp_end *end = usp_end_new(channel, USP_READER, NULL, 0);
    struct usp_end *far = usp_end_new(channel, USP_WRITER, NULL, STRANGER);
    ck_assert(channel->far);
    ck_assert_uint_eq(bias_of(channel), 0);
    usp_end_release(far, USP_LEAVE_RETIRE, NULL);
    usp_lock(channel);
    ck_assert_uint_eq(bias_of(channel), 0);
    ck_assert_uint_eq(atomic_load(&channel->lock), 1);
    usp_unlock(channel);
    usp_end_release(end, USP_LEAVE_RETIRE, NULL);
}

TEST(a_channel_that_is_unbiased_while_held_stays_held)
{
    struct usp_channel *channel = channel_of_ints();
    usp_lock(channel);
    usp_unbias(channel);
    ck_assert_uint_eq(atomic_load(&channel->lock), 1);
    ck_assert_uint_eq(atomic_load(&channel->inside), 0);
    usp_unlock(channel);
    ck_assert_uint_eq(atomic_load(&channel->lock), 0);
}

static void locks_and_looks(struct usp_channel *channel, int *shared)
{
    usp_lock(channel);
    if (!*(volatile int *)shared)
        _exit(1); /* the owner was still inside */
    usp_unlock(channel);
}

TEST(a_stranger_gets_in_only_when_the_owner_is_out, .times = 50)
{
    struct usp_channel *channel = channel_of_ints();
    int *out = shared_ints();
    usp_lock(channel);
    pid_t pid = as_worker(STRANGER, locks_and_looks, channel, out);
    while (bias_of(channel) == 1)
        ; /* until the stranger has begun to take the bias away */
    *(volatile int *)out = 1;
    usp_unlock(channel);
    ended_well(pid);
    ck_assert_uint_eq(bias_of(channel), 0);
}

static void counts(struct usp_channel *channel, int *shared)
{
    for (int i = 0; i < 20000; i++) {
        usp_lock(channel);
        *(volatile int *)shared += 1;
        usp_unlock(channel);
    }
}

TEST(three_workers_that_count_under_it_lose_nothing, .times = 10)
{
    struct usp_channel *channel = channel_of_ints();
    int *count = shared_ints();
    pid_t one = as_worker(STRANGER, counts, channel, count);
    pid_t two = as_worker(ANOTHER, counts, channel, count);
    counts(channel, count);
    ended_well(one);
    ended_well(two);
    ck_assert_int_eq(*count, 60000);
}

/* ---- those who wait there already ---- */

/* While it is biased each process numbers its waits for itself. */
static void two_wait(struct usp_channel *channel, struct usp_offer *offers)
{
    usp_lock(channel);
    for (int i = 0; i < 2; i++) {
        offers[i] = (struct usp_offer){.channel = channel, .task = usp_current()->task, .side = USP_READER};
        usp_enqueue(&offers[i], USP_READER);
    }
    offers[0].ticket = 9;
    offers[1].ticket = 4;
    usp_unlock(channel);
}

static void nobody_waits(struct usp_channel *channel, struct usp_offer *offers)
{
    usp_lock(channel);
    usp_unlink(&offers[0]);
    usp_unlink(&offers[1]);
    usp_unlock(channel);
}

static void locks(struct usp_channel *channel, int *shared)
{
    (void)shared;
    usp_lock(channel);
    usp_unlock(channel);
}

TEST(who_loses_its_bias_has_numbered_those_who_wait_in_their_order, .times = 2)
{
    struct usp_channel *channel = channel_of_ints();
    struct usp_offer *offers = usp_arena_alloc(2 * sizeof *offers, USP_BLOCK_OFFERS);
    two_wait(channel, offers);
    if (_i == 0) {
        usp_lock(channel);
        usp_unbias(channel);
        usp_unlock(channel);
    } else {
        ended_well(as_worker(STRANGER, locks, channel, NULL));
    }
    ck_assert_int_lt((int32_t)(offers[0].ticket - offers[1].ticket), 0);
    ck_assert_int_lt((int32_t)(offers[1].ticket - channel->ticket), 0);
    nobody_waits(channel, offers);
    usp_arena_free(offers);
}

SUITE("lock", .before = floor_before, .after = floor_after)
