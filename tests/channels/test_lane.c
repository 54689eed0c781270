/* The lanes of a buffer: who may use them, and who waits for whom. */
#include "channels/lane.h"
#include "channels/lock.h"
#include "channels/message.h"
#include "tests/channels/floor.h"
#include "tests/channels/strangers.h"
#include "runtime/runs.h"

static struct usp_channel *with_ends_of_two(struct usp_channel *channel)
{
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_READER, NULL, 0));
    ck_assert_ptr_nonnull(usp_end_new(channel, USP_WRITER, NULL, STRANGER));
    ck_assert(channel->far);
    return channel;
}

/* What a message is: an integer; or bytes, few or many, that begin with one. */
static enum { PLAIN, SHORT, LONG, KINDS } kind;
static const size_t sizes[KINDS] = {sizeof(int), sizeof(int), 100};

static struct usp_channel *new_channel(int capacity)
{
    return kind == PLAIN ? floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, capacity)
                         : floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, capacity);
}

static struct usp_channel *with_lanes(int capacity)
{
    struct usp_channel *channel = with_ends_of_two(new_channel(capacity));
    ck_assert(channel->laned);
    return channel;
}

static struct usp_bytes bytes_of(int x)
{
    static char text[100];
    memset(text, 'x', sizeof text);
    memcpy(text, &x, sizeof x);
    return (struct usp_bytes){text, sizes[kind], NULL};
}

/* Of what was read into `value`; or -1. */
static int number_in(const void *value)
{
    int x;
    if (kind == PLAIN) {
        memcpy(&x, value, sizeof x);
        return x;
    }
    uvcsp_bytes message = *(const uvcsp_bytes *)value;
    memcpy(&x, message.data, sizeof x);
    struct usp_bytes whole = bytes_of(x);
    if (message.size != whole.length || memcmp(message.data, whole.data, whole.length) != 0)
        x = -1;
    free(message.data);
    return x;
}

static bool put(struct usp_channel *channel, int x)
{
    struct usp_bytes bytes = bytes_of(x);
    return usp_lane_use(channel, USP_WRITER, kind == PLAIN ? &x : NULL, &bytes);
}

static bool got(struct usp_channel *channel, int x)
{
    uvcsp_bytes value;
    return usp_lane_use(channel, USP_READER, &value, NULL) && number_in(&value) == x;
}

static bool put_with_lock(struct usp_channel *channel, int x)
{
    struct usp_bytes bytes = bytes_of(x);
    usp_lock(channel);
    bool goes = !usp_is_full(channel);
    if (goes)
        ck_assert_int_eq(usp_buffer_put(channel, bytes.data, bytes.length), 0);
    usp_unlock(channel);
    return goes;
}

/* The lock is held, and there is one. */
static int get(struct usp_channel *channel)
{
    uvcsp_bytes value;
    ck_assert_int_eq(usp_buffer_get(channel, &value), 0);
    return number_in(&value);
}

static bool got_with_lock(struct usp_channel *channel, int x)
{
    int y = ~x;
    usp_lock(channel);
    bool goes = usp_buffered(channel) > 0;
    if (goes)
        y = get(channel);
    usp_unlock(channel);
    return goes && y == x;
}

TEST(only_a_buffer_of_several_messages_that_two_workers_use_has_lanes)
{
    ck_assert(!floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 8)->laned);
    ck_assert(with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 2))->laned);
    ck_assert(with_ends_of_two(floor_channel(1000, UVCSP_TYPE_PLAIN, 2))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 1))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 0))->laned);
    ck_assert(with_ends_of_two(floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 8))->laned);
    ck_assert(!with_ends_of_two(floor_channel(sizeof(uvcsp_end), UVCSP_TYPE_END, 8))->laned);
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

TEST(nothing_goes_into_a_full_buffer_or_out_of_an_empty_one, .times = KINDS)
{
    kind = _i;
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
TEST(messages_come_in_order_by_lane_and_by_lock_also_when_the_counts_wrap, .times = KINDS)
{
    kind = _i;
    enum { STEPS = 5, CAPACITY = 3 };
    for (unsigned how = 0; how < 1u << (2 * STEPS); how++) {
        struct usp_channel *channel = new_channel(CAPACITY);
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

TEST(nobody_uses_a_lane_while_somebody_has_the_lock, .times = KINDS)
{
    kind = _i;
    struct usp_channel *channel = with_lanes(2);
    ck_assert(put(channel, 1));
    usp_lock(channel);
    ck_assert(!put(channel, 2));
    ck_assert(!got(channel, 1));
    usp_unlock(channel);
    ck_assert(got(channel, 1));
}

TEST(nobody_goes_past_who_waits_on_the_other_side, .times = KINDS)
{
    kind = _i;
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

TEST(an_ended_channel_is_left_to_the_general_way, .times = KINDS)
{
    kind = _i;
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

static void *block_at(struct usp_channel *channel, enum usp_side side)
{
    return usp_buffer_block(channel, channel->lanes[side].count);
}

TEST(a_message_that_a_dead_writer_had_not_counted_is_given_back)
{
    kind = LONG;
    struct usp_channel *channel = with_lanes(2);
    struct usp_lane *lane = &channel->lanes[USP_WRITER];
    ck_assert(put(channel, 1));
    ck_assert(got(channel, 1));
    ck_assert(put(channel, 2));
    void *block = block_at(channel, USP_READER);
    lane->at = --lane->count; /* as if the second one were not in */
    atomic_store(&lane->holder, STRANGER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert(!usp_arena_is(block, USP_BLOCK_MESSAGE));
    ck_assert(!got(channel, 2));
    ck_assert(put(channel, 3));
    ck_assert(got(channel, 3));
}

TEST(a_message_that_a_dead_reader_had_not_counted_is_nobodys_again_and_comes)
{
    kind = LONG;
    struct usp_channel *channel = with_lanes(2);
    struct usp_lane *lane = &channel->lanes[USP_READER];
    ck_assert(put(channel, 1));
    lane->block = block_at(channel, USP_READER);
    lane->at = lane->count;
    usp_arena_set_owner(lane->block, STRANGER);
    atomic_store(&lane->holder, STRANGER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert_uint_eq(usp_arena_owner(block_at(channel, USP_READER)), USP_NOBODY);
    ck_assert(got(channel, 1));
}

TEST(what_a_repairer_leaves_when_it_dies_is_done_by_the_next, .times = 2)
{
    kind = LONG;
    struct usp_channel *channel = with_lanes(2);
    struct usp_lane *lane = &channel->lanes[_i];
    ck_assert(put(channel, 1));
    lane->block = block_at(channel, USP_READER);
    lane->count -= _i == USP_WRITER;
    lane->at = lane->count;
    void *block = lane->block;
    usp_arena_set_owner(block, ANOTHER);
    atomic_store(&lane->holder, USP_REPAIRS + ANOTHER);
    usp_lanes_seize(channel, ANOTHER);
    ck_assert_uint_eq(atomic_load(&lane->holder), 0);
    ck_assert_int_eq(usp_arena_is(block, USP_BLOCK_MESSAGE), _i == USP_READER);
}

TEST(who_dies_before_his_message_has_passed_changes_no_count_of_bytes)
{
    kind = LONG;
    struct usp_channel *channel = new_channel(100);
    channel->enough = 250;
    with_ends_of_two(channel);
    struct usp_lane *lane = &channel->lanes[USP_WRITER];
    ck_assert(put(channel, 1));
    lane->bytes_then = 5000; /* and died before it had noted at what count */
    atomic_store(&lane->holder, STRANGER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert_int_eq(usp_bytes_in_buffer(channel), 100);
    lane->block = NULL;
    lane->bytes_then = 5000;
    lane->at = lane->count; /* and another one thereafter */
    atomic_store(&lane->holder, STRANGER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert(put_with_lock(channel, 2));
    atomic_store(&lane->holder, STRANGER + 1);
    usp_lanes_seize(channel, STRANGER);
    ck_assert_int_eq(usp_bytes_in_buffer(channel), 200);
}

/* ---- who repairs comes upon another death ---- */

enum { LOCKER = 11 };
static struct usp_channel *pair[2];
static _Atomic int *n_stuck;

/* It has died with the arena's lock. Both who repair find that out, as in usp_supervise_stuck(), and look through all channels. */
static bool the_lockers_death(unsigned holder)
{
    if (holder != LOCKER)
        return false;
    atomic_fetch_add(n_stuck, 1);
    while (atomic_load(n_stuck) < 2)
        sched_yield();
    usp_arena_recover(holder);
    for (int i = 0; i < 2; i++)
        usp_lanes_seize(pair[i], holder);
    return true;
}

static void repairs(struct usp_channel *channel, int *n)
{
    n_stuck = (_Atomic int *)n;
    usp_lock_stuck = the_lockers_death;
    usp_lanes_seize(channel, STRANGER);
}

TEST(two_who_repair_do_not_wait_for_each_other)
{
    kind = LONG;
    int *n = shared_ints();
    for (int i = 0; i < 2; i++) {
        pair[i] = with_lanes(4);
        struct usp_lane *lane = &pair[i]->lanes[USP_WRITER];
        lane->block = usp_arena_alloc(8 << 20, USP_BLOCK_MESSAGE); /* to be given back under the arena's lock */
        lane->at = lane->count;
        atomic_store(&lane->holder, STRANGER + 1);
    }
    atomic_store(&usp_region.spans->lock, LOCKER + 1);
    pid_t a = as_worker(2, repairs, pair[0], n), b = as_worker(3, repairs, pair[1], n);
    ended_well(a);
    ended_well(b);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(atomic_load(&pair[i]->lanes[USP_WRITER].holder), 0);
}

TEST(a_buffer_with_a_limit_of_bytes_is_full_where_it_has_them, .times = 2)
{
    kind = LONG;
    struct usp_channel *channel = new_channel(100);
    channel->enough = 250;
    if (_i == 0)
        ck_assert(put_with_lock(channel, 0));
    with_ends_of_two(channel);
    if (_i == 1)
        ck_assert(put(channel, 0));
    ck_assert(put_with_lock(channel, 1));
    ck_assert(put(channel, 2));
    ck_assert(!put(channel, 3));
    ck_assert(!put_with_lock(channel, 3));
    ck_assert(_i ? got(channel, 0) : got_with_lock(channel, 0));
    ck_assert(put(channel, 3));
    ck_assert(!put(channel, 4));
    ck_assert_int_eq(usp_bytes_in_buffer(channel), 300);
    for (int i = 1; i < 4; i++)
        ck_assert(i % 2 ? got(channel, i) : got_with_lock(channel, i));
    ck_assert_int_eq(usp_bytes_in_buffer(channel), 0);
    channel->enough = 50; /* less than a message has */
    ck_assert(put(channel, 4));
    ck_assert(!put(channel, 5));
    ck_assert(got(channel, 4));
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
        uvcsp_bytes value;
        int x = 0;
        usp_lock(channel);
        bool goes = n % 5 == 0 && usp_buffered(channel) > 0;
        if (goes)
            x = get(channel);
        usp_unlock(channel);
        if (!goes && !usp_lane_use(channel, USP_READER, &value, NULL)) {
            sched_yield();
            continue;
        }
        if (!goes)
            x = number_in(&value);
        if (x < 0 || x / EACH >= WRITERS || next[x / EACH]++ != x % EACH)
            _exit(1);
        n++;
    }
}

TEST(in_a_crowd_every_message_comes_once_and_in_its_writers_order, .times = KINDS)
{
    kind = _i;
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
