#include "channels/lane.h"

#include "channels/lock.h"
#include "channels/message.h"
#include "runtime/arena.h"
#include "runtime/worker.h"

/* From here on the counts are the lanes'. What comes before has no effect without it. */
static void lay(struct usp_channel *channel)
{
    atomic_store_explicit(&channel->laned, 1, memory_order_release);
    USP_FAILPOINT("lanes-laid");
}

void usp_lanes_make(struct usp_channel *channel)
{
    if (channel->lanes || channel->capacity < 2 || channel->ended || channel->type == UVCSP_TYPE_END ||
        channel->size > UINT32_MAX)
        return;
    struct usp_lane *lanes = usp_arena_alloc(2 * sizeof *lanes, USP_BLOCK_MESSAGE);
    if (!lanes)
        return;
    /* nothing has passed yet: `at` is not the last count, nor the one before */
    lanes[USP_READER] = (struct usp_lane){.count = channel->read, .seen = channel->written, .at = channel->read - 2};
    lanes[USP_WRITER] = (struct usp_lane){
        .count = channel->written, .seen = channel->read, .at = channel->written - 2, .bytes = channel->bytes};
    USP_FAILPOINT("lanes-made");
    atomic_signal_fence(memory_order_seq_cst);
    channel->lanes = lanes;
    USP_FAILPOINT("lanes-found");
    usp_arena_set_owner(lanes, USP_NOBODY); /* from now on they are found with their channel */
    lay(channel);
}

void usp_lanes_complete(struct usp_channel *channel)
{
    if (!channel->lanes || usp_is_laned(channel))
        return;
    usp_arena_set_owner(channel->lanes, USP_NOBODY);
    lay(channel);
}

/* ---- after a death ---- */

/* The lane is this worker's. Where it has been done already nothing changes. A block to be given back when the lane has been, for that may
   wait; or NULL. */
static void *finish(struct usp_channel *channel, enum usp_side side)
{
    struct usp_lane *lane = &channel->lanes[side];
    void *block = NULL;
    if (usp_is_plain(channel))
        return NULL;
    if (lane->at + 1 == lane->count)
        lane->bytes = lane->bytes_then;
    if (lane->at == lane->count && lane->block) {
        block = lane->block;
        usp_arena_set_owner(block, side == USP_READER ? USP_NOBODY : usp_worker_index());
    }
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&lane->at = lane->count - 2; /* if this worker dies too, the block is the next one's, or goes with it */
    atomic_signal_fence(memory_order_seq_cst);
    return side == USP_WRITER ? block : NULL;
}

/* Of a channel that is being freed the lanes may be any block by now; one with a lane that is held is not freed. */
static bool names_a_repairer(uint32_t holder)
{
    return holder - USP_REPAIRS < USP_MAX_WORKERS && holder != USP_REPAIRS + usp_worker_index(); /* itself: it has come here from there */
}

static void seize(struct usp_channel *channel, struct usp_lane *lanes, enum usp_side side, unsigned dead)
{
    _Atomic uint32_t *holder = &lanes[side].holder;
    unsigned rounds = 0;
    for (;;) {
        uint32_t seen = atomic_load(holder);
        bool deads = seen == dead + 1 || seen == USP_REPAIRS + dead;
        if ((!deads && !names_a_repairer(seen)) || !usp_channel_stands(channel) ||
            *(struct usp_lane *volatile *)&channel->lanes != lanes)
            return;
        if (!deads) {
            USP_SPINS(holder);
            usp_lane_relax(&rounds, seen);
        } else if (atomic_compare_exchange_strong(holder, &seen, USP_REPAIRS + usp_worker_index())) {
            void *block = finish(channel, side);
            atomic_store(holder, 0);
            usp_arena_free(block);
            return;
        }
    }
}

void usp_lanes_seize(struct usp_channel *channel, unsigned dead)
{
    if (!usp_is_laned(channel))
        return;
    struct usp_lane *lanes = *(struct usp_lane *volatile *)&channel->lanes;
    USP_FAILPOINT("lanes-to-seize");
    if (!usp_arena_is(lanes, USP_BLOCK_MESSAGE) || !usp_arena_holds(lanes, 2 * sizeof *lanes))
        return;
    seize(channel, lanes, USP_READER, dead);
    seize(channel, lanes, USP_WRITER, dead);
}

/* ---- to use one ---- */

/* False: the lane is somebody else's, or he would have to wait for it who has the lock. */
static inline __attribute__((always_inline)) bool take(struct usp_channel *channel, struct usp_lane *lane)
{
    uint32_t nobody = 0;
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) != 0)
        return false;
    USP_MARK("lane-to-take");
    if (!atomic_compare_exchange_strong(&lane->holder, &nobody, usp_sched.worker + 1))
        return false;
    USP_FAILPOINT("lane-taken");
    return true;
}

static void leave(struct usp_lane *lane)
{
    atomic_store_explicit(&lane->holder, 0, memory_order_release);
    USP_MARK("lane-left");
}

/* The lane is this worker's. Is there a message, or room for one, and nothing else to do? */
static inline __attribute__((always_inline)) bool may_pass(struct usp_channel *channel, enum usp_side side, struct usp_lane *lane)
{
    struct usp_lane *other = &channel->lanes[usp_other(side)];
    bool goes = atomic_load(&channel->lock) == 0;
    uint32_t count = lane->count; /* now, and not before: who had the lock may just have let go of it */
    goes = goes && !channel->ended && !channel->waiting[usp_other(side)].head;
    uint32_t limit = side == USP_READER ? 0 : channel->capacity; /* what the buffer holds where this side has to wait */
    if (goes && lane->seen + limit == count) {
        lane->seen = __atomic_load_n(&other->count, __ATOMIC_ACQUIRE);
        goes = lane->seen + limit != count;
    }
    return goes;
}

/* Has the buffer as many bytes as it may? One message it may have whatever its size is. */
static bool has_its_bytes(const struct usp_channel *channel, struct usp_lane *lane)
{
    struct usp_lane *other = &channel->lanes[USP_READER];
    if (!channel->enough || lane->bytes - lane->bytes_seen < channel->enough)
        return false;
    lane->seen = __atomic_load_n(&other->count, __ATOMIC_ACQUIRE);
    lane->bytes_seen = __atomic_load_n(&other->bytes, __ATOMIC_RELAXED); /* or of a message more, which has left by now */
    return lane->bytes - lane->bytes_seen >= channel->enough && lane->seen != lane->count;
}

bool usp_lane_use_plain(struct usp_channel *channel, enum usp_side side, void *value)
{
    struct usp_lane *lane = &channel->lanes[side];
    if (!take(channel, lane))
        return false;
    bool goes = may_pass(channel, side, lane);
    if (goes) {
        uint32_t count = lane->count;
        char *slot = usp_buffer_slot(channel, count, channel->size);
        if (side == USP_READER)
            usp_copy(value, slot, channel->size);
        else
            usp_copy(slot, value, channel->size);
        USP_FAILPOINT("lane-copied");
        __atomic_store_n(&lane->count, count + 1, __ATOMIC_RELEASE);
    }
    leave(lane);
    return goes;
}

/* A message of so many bytes is about to pass; its block is going to be another's. */
static void note(struct usp_channel *channel, struct usp_lane *lane, void *block, size_t length, unsigned owner)
{
    lane->block = block;
    lane->bytes_then = lane->bytes + (channel->enough ? (int64_t)length : 0);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&lane->at = lane->count;
    atomic_signal_fence(memory_order_seq_cst);
    USP_FAILPOINT("lane-noted");
    if (block)
        usp_arena_set_owner(block, owner);
    USP_FAILPOINT("lane-copied");
}

static void pass(struct usp_lane *lane)
{
    __atomic_store_n(&lane->count, lane->count + 1, __ATOMIC_RELEASE);
    USP_FAILPOINT("lane-passed");
    atomic_signal_fence(memory_order_seq_cst);
    __atomic_store_n(&lane->bytes, lane->bytes_then, __ATOMIC_RELAXED);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&lane->at = lane->count - 2; /* neither the count nor the one before: nothing is under way */
}

/* How many messages could be read, or written, now. Who is not in a lane may see less. */
static uint32_t ready(const struct usp_channel *channel, enum usp_side side)
{
    uint32_t own = __atomic_load_n(&channel->lanes[side].count, __ATOMIC_RELAXED);
    uint32_t others = __atomic_load_n(&channel->lanes[usp_other(side)].count, __ATOMIC_ACQUIRE);
    return side == USP_READER ? others - own : channel->capacity - (own - others);
}

/* By what is known without the lane; it would be a pity to make a block for it. */
static bool seems_vain(const struct usp_channel *channel, const struct usp_lane *lane)
{
    const struct usp_lane *other = &channel->lanes[USP_READER];
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) != 0 || *(const volatile uint8_t *)&channel->ended ||
        *(struct usp_offer *const volatile *)&channel->waiting[USP_READER].head)
        return true;
    if (!usp_seems_full(channel))
        return false;
    int64_t bytes = __atomic_load_n(&lane->bytes, __ATOMIC_RELAXED) - __atomic_load_n(&other->bytes, __ATOMIC_RELAXED);
    uint32_t room = ready(channel, USP_WRITER);
    return room == 0 || (channel->enough && bytes >= channel->enough && room != channel->capacity);
}

static bool write_variable(struct usp_channel *channel, struct usp_lane *lane, const struct usp_bytes *bytes)
{
    union usp_parcel parcel = {.bytes = {0}};
    if (seems_vain(channel, lane) || usp_parcel_pack(&parcel, bytes->data, bytes->length) < 0)
        return false;
    void *block = usp_parcel_block(&parcel);
    bool goes = take(channel, lane);
    if (goes) {
        goes = may_pass(channel, USP_WRITER, lane) && !has_its_bytes(channel, lane);
        if (goes) {
            memcpy(usp_buffer_slot(channel, lane->count, sizeof parcel), &parcel, sizeof parcel);
            note(channel, lane, block, bytes->length, USP_NOBODY);
            pass(lane);
        }
        leave(lane);
    }
    if (!goes)
        usp_arena_free(block);
    return goes;
}

static bool read_variable(struct usp_channel *channel, struct usp_lane *lane, void *value)
{
    union usp_parcel parcel;
    void *block = NULL;
    if (!take(channel, lane))
        return false;
    bool goes = may_pass(channel, USP_READER, lane);
    if (goes) {
        memcpy(&parcel, usp_buffer_slot(channel, lane->count, sizeof parcel), sizeof parcel);
        block = usp_parcel_block(&parcel);
        goes = usp_message_land(channel, value, usp_parcel_data(&parcel), usp_parcel_length(&parcel)) == 0;
        if (goes) {
            note(channel, lane, block, usp_parcel_length(&parcel), usp_sched.worker);
            pass(lane);
        }
    }
    leave(lane);
    if (goes)
        usp_arena_free(block);
    return goes;
}

bool usp_lane_use(struct usp_channel *channel, enum usp_side side, void *value, const struct usp_bytes *bytes)
{
    struct usp_lane *lane = &channel->lanes[side];
    if (usp_is_plain(channel))
        return usp_lane_use_plain(channel, side, value);
    return side == USP_WRITER ? write_variable(channel, lane, bytes) : read_variable(channel, lane, value);
}

/* ---- to wait awake ---- */

/* In ticks of the cycle counter. Each look takes the other side's line of the cache from its processor, so who looks often slows down
   the one that it waits for; who looks seldom lets it write, or read, many messages in between. So the patience is doubled
   whenever several have come between two looks, and halved when it was one. */
#define LEAST_PATIENCE 256
#define MOST_PATIENCE 4096
#define PATIENCE_A_MESSAGE 32 /* more than that is not needed to fill or empty the buffer */
#define SPAN 10000            /* who waits for longer parks */
#define ENOUGH 64             /* messages for which it is worth to go on, half a buffer at most */

/* As many rounds at most, where the clock is a coarse one. */
static void pause_for(uint32_t ticks)
{
    uint64_t start = usp_ticks();
    uint32_t rounds = 0;
    do {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } while (usp_ticks() - start < ticks && ++rounds < ticks);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t await(const struct usp_channel *channel, enum usp_side side)
{
    _Atomic uint32_t *patience = &channel->lanes[side].patience;
    uint32_t between = atomic_load_explicit(patience, memory_order_relaxed);
    uint32_t most = smaller(channel->capacity, MOST_PATIENCE / PATIENCE_A_MESSAGE) * PATIENCE_A_MESSAGE;
    uint32_t enough = smaller(channel->capacity / 2, ENOUGH);
    uint32_t n = 0, before;
    if (between < LEAST_PATIENCE)
        between = LEAST_PATIENCE;
    for (uint32_t spent = 0; spent < SPAN; spent += between) {
        before = n;
        pause_for(between);
        n = ready(channel, side);
        if (n >= enough || (n > 0 && (between < most || n == before)))
            break;
    }
    usp_looked_first(n > 0);
    if (n <= 1)
        between /= 2;
    else if (between < most)
        between *= 2;
    atomic_store_explicit(patience, between, memory_order_relaxed);
    return n;
}

bool usp_lane_await(struct usp_channel *channel, enum usp_side side, void *value, const struct usp_bytes *bytes)
{
    if (channel->ended)
        return false;
    uint32_t n = ready(channel, side);
    if (n == 0 && !channel->waiting[usp_other(side)].head && usp_may_look_first())
        n = await(channel, side);
    return n > 0 && usp_lane_use(channel, side, value, bytes);
}
