/* The lanes of a buffer: who may use them, and who waits for whom. */
#include "channels/lane.h"
#include "channels/lock.h"
#include "channels/message.h"
#include "tests/channels/floor.h"
#include "tests/channels/strangers.h"

static struct usp_channel *with_ends_of_two(struct usp_channel *channel)
{
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_READER, NULL, 0));
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_WRITER, NULL, STRANGER));
    ck_assert(channel->far);
    return channel;
}

static struct usp_channel *with_lanes(int capacity)
{
    struct usp_channel *channel = with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, capacity));
    ck_assert(channel->laned);
    return channel;
}

static bool put(struct usp_channel *channel, int x)
{
    return usp_lane_use(channel, USP_WRITER, &x);
}

static bool got(struct usp_channel *channel, int x)
{
    int y;
    return usp_lane_use(channel, USP_READER, &y) && y == x;
}

static bool put_with_lock(struct usp_channel *channel, int x)
{
    usp_lock(channel);
    bool goes = !usp_is_full(channel);
    if (goes)
        ck_assert_int_eq(usp_buffer_put(channel, &x, sizeof x), 0);
    usp_unlock(channel);
    return goes;
}

static bool got_with_lock(struct usp_channel *channel, int x)
{
    int y = ~x;
    usp_lock(channel);
    bool goes = usp_buffered(channel) > 0;
    if (goes)
        ck_assert_int_eq(usp_buffer_get(channel, &y), 0);
    usp_unlock(channel);
    return goes && y == x;
}

TEST(only_a_buffer_of_several_plain_messages_that_two_workers_use_has_lanes)
{
    ck_assert(!floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 8)->laned);
    ck_assert(with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 2))->laned);
    ck_assert(with_ends_of_two(floor_channel(1000, UVCSP_TYPE_PLAIN, 2))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 1))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 0))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 8))->laned);
    struct usp_channel *lenient = floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 8);
    lenient->lenient = USP_LENIENT;
    ck_assert(!with_ends_of_two(lenient)->laned);
    lenient->lenient = 0;
}

TEST(what_lies_in_a_buffer_when_it_gets_lanes_stays_there)
{
    struct usp_channel *channel = floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 3);
    for (int i = 0; i < 3; i++)
        ck_assert(put_with_lock(channel, i));
    with_ends_of_two(channel);
    ck_assert_uint_eq(usp_buffered(channel), 3);
    ck_assert(!put(channel, 3));
    for (int i = 0; i < 3; i++)
        ck_assert(got(channel, i));
}

TEST(nothing_goes_into_a_full_buffer_or_out_of_an_empty_one)
{
    struct usp_channel *channel = with_lanes(3);
    ck_assert(!got(channel, 0));
    for (int i = 0; i < 3; i++)
        ck_assert(put(channel, i));
    ck_assert(!put(channel, 3));
    ck_assert(got(channel, 0));
    ck_assert(put(channel, 3));
    ck_assert(!put(channel, 4));
    for (int i = 1; i < 4; i++)
        ck_assert(got(channel, i));
    ck_assert(!got(channel, 4));
}

/* In every order of who comes by a lane and who with the lock. */
TEST(messages_come_in_order_by_lane_and_by_lock_also_when_the_counts_wrap)
{
    enum { STEPS = 5, CAPACITY = 3 };
    for (unsigned how = 0; how < 1u << (2 * STEPS); how++) {
        struct usp_channel *channel = floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, CAPACITY);
        channel->written = channel->read = UINT32_MAX - 2;
        with_ends_of_two(channel);
        int in = 0, out = 0;
        for (int step = 0; step < STEPS; step++) {
            bool puts = how >> (2 * step) & 1, by_lane = how >> (2 * step + 1) & 1;
            int most = puts ? CAPACITY - (in - out) + 1 : in - out + 1; /* the last one finds it full, or empty */
            for (int i = 0; i < most; i++) {
                bool went = puts ? (by_lane ? put(channel, in) : put_with_lock(channel, in))
                                 : (by_lane ? got(channel, out) : got_with_lock(channel, out));
                ck_assert_int_eq(went, i < most - 1);
                in += puts && went;
                out += !puts && went;
            }
            ck_assert_uint_eq(usp_buffered(channel), (unsigned)(in - out));
        }
    }
}

TEST(nobody_uses_a_lane_while_somebody_has_the_lock)
{
    struct usp_channel *channel = with_lanes(2);
    ck_assert(put(channel, 1));
    usp_lock(channel);
    ck_assert(!put(channel, 2));
    ck_assert(!got(channel, 1));
    usp_unlock(channel);
    ck_assert(got(channel, 1));
}

TEST(nobody_goes_past_who_waits_on_the_other_side)
{
    struct usp_channel *channel = with_lanes(2);
    struct usp_offer offer = {.channel = channel};
    channel->waiting[USP_READER].head = &offer;
    ck_assert(!put(channel, 1));
    channel->waiting[USP_READER].head = NULL;
    ck_assert(put(channel, 1));
    channel->waiting[USP_WRITER].head = &offer;
    ck_assert(!got(channel, 1));
    channel->waiting[USP_WRITER].head = NULL;
    ck_assert(got(channel, 1));
}

TEST(an_ended_channel_is_left_to_the_general_way)
{
    struct usp_channel *channel = with_lanes(2);
    ck_assert(put(channel, 1));
    channel->ended |= USP_NO_WRITERS;
    ck_assert(!put(channel, 2));
    ck_assert(!got(channel, 1));
    channel->ended = 0;
    ck_assert(got(channel, 1));
}

static void locks_and_looks(struct usp_channel *channel, int *out)
{
    usp_lock(channel);
    if (!*(volatile int *)out)
        _exit(1); /* somebody was still in a lane */
    usp_unlock(channel);
}

TEST(who_takes_the_lock_waits_until_nobody_is_in_a_lane, .times = 20)
{
    struct usp_channel *channel = with_lanes(2);
    for (enum usp_side side = USP_READER; side <= USP_WRITER; side++) {
        int *out = shared_ints();
        atomic_store(&channel->lanes[side].holder, 1);
        pid_t pid = as_worker(STRANGER, locks_and_looks, channel, out);
        while (atomic_load(&channel->lock) == 0)
            ;
        *(volatile int *)out = 1;
        atomic_store(&channel->lanes[side].holder, 0);
        ended_well(pid);
    }
}

TEST(a_dead_workers_lanes_are_freed_and_nobody_elses)
{
    struct usp_channel *channel = with_lanes(2);
    atomic_store(&channel->lanes[USP_READER].holder, STRANGER + 1);
    atomic_store(&channel->lanes[USP_WRITER].holder, ANOTHER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert_uint_eq(atomic_load(&channel->lanes[USP_READER].holder), 0);
    ck_assert_uint_eq(atomic_load(&channel->lanes[USP_WRITER].holder), ANOTHER + 1);
    usp_lanes_seize(channel, ANOTHER);
    ck_assert_uint_eq(atomic_load(&channel->lanes[USP_WRITER].holder), 0);
}

/* ---- a crowd ---- */

enum { WRITERS = 3, EACH = 20000, TOTAL = WRITERS * EACH };

/* Every third time with the lock, though a lane would do. */
static void writes_many(struct usp_channel *channel, int *who)
{
    for (int i = 0; i < EACH; i++)
        while (!(i % 3 ? put(channel, *who * EACH + i) : put_with_lock(channel, *who * EACH + i)))
            sched_yield();
}

static void reads_all(struct usp_channel *channel, int *unused)
{
    int next[WRITERS] = {0};
    (void)unused;
    for (int n = 0; n < TOTAL;) {
        int x;
        usp_lock(channel);
        bool goes = n % 5 == 0 && usp_buffered(channel) > 0;
        if (goes)
            usp_buffer_get(channel, &x);
        usp_unlock(channel);
        if (!goes && !usp_lane_use(channel, USP_READER, &x)) {
            sched_yield();
            continue;
        }
        if (x / EACH >= WRITERS || next[x / EACH]++ != x % EACH)
            _exit(1);
        n++;
    }
}

TEST(in_a_crowd_every_message_comes_once_and_in_its_writers_order)
{
    struct usp_channel *channel = with_lanes(7);
    pid_t pids[WRITERS + 1];
    pids[WRITERS] = as_worker(1, reads_all, channel, NULL);
    for (int i = 0; i < WRITERS; i++)
        pids[i] = as_worker((unsigned)i + 2, writes_many, channel, &(int){i});
    for (int i = 0; i <= WRITERS; i++)
        ended_well(pids[i]);
    ck_assert_uint_eq(usp_buffered(channel), 0);
}

SUITE("lane", .before = floor_before, .after = floor_after)
