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
    if (channel->lanes || channel->capacity < 2 || channel->slow == USP_GENERALLY)
        return;
    struct usp_lane *lanes = usp_arena_alloc(2 * sizeof *lanes, USP_BLOCK_MESSAGE);
    if (!lanes)
        return;
    lanes[USP_READER] = (struct usp_lane){.count = channel->read, .seen = channel->written};
    lanes[USP_WRITER] = (struct usp_lane){.count = channel->written, .seen = channel->read};
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

/* Of a channel that is being freed the lanes may be any block by now. */
void usp_lanes_seize(struct usp_channel *channel, unsigned dead)
{
    if (!usp_is_laned(channel))
        return;
    struct usp_lane *volatile *at = (struct usp_lane *volatile *)&channel->lanes;
    struct usp_lane *lanes = *at;
    USP_FAILPOINT("lanes-to-seize");
    if (!usp_arena_is(lanes, USP_BLOCK_MESSAGE) || !usp_arena_holds(lanes, 2 * sizeof *lanes))
        return;
    for (enum usp_side side = USP_READER; side <= USP_WRITER; side++) {
        uint32_t holder = dead + 1;
        if (atomic_load(&lanes[side].holder) == holder && usp_channel_stands(channel) && *at == lanes)
            atomic_compare_exchange_strong(&lanes[side].holder, &holder, 0);
    }
}

bool usp_lane_use(struct usp_channel *channel, enum usp_side side, void *value)
{
    struct usp_lane *lane = &channel->lanes[side], *other = &channel->lanes[usp_other(side)];
    uint32_t nobody = 0;
    if (atomic_load_explicit(&channel->lock, memory_order_relaxed) != 0) /* who has it would have to wait for this lane */
        return false;
    USP_MARK("lane-to-take");
    if (!atomic_compare_exchange_strong(&lane->holder, &nobody, usp_sched.worker + 1))
        return false;
    USP_FAILPOINT("lane-taken");
    bool goes = atomic_load(&channel->lock) == 0;
    uint32_t count = lane->count; /* now, and not before: who had the lock may just have let go of it */
    goes = goes && !channel->ended && !channel->waiting[usp_other(side)].head;
    uint32_t limit = side == USP_READER ? 0 : channel->capacity; /* what the buffer holds where this side has to wait */
    if (goes && lane->seen + limit == count) {
        lane->seen = __atomic_load_n(&other->count, __ATOMIC_ACQUIRE);
        goes = lane->seen + limit != count;
    }
    if (goes) {
        char *slot = channel->buffer + channel->size * (count & channel->mask);
        if (side == USP_READER)
            usp_copy(value, slot, channel->size);
        else
            usp_copy(slot, value, channel->size);
        USP_FAILPOINT("lane-copied");
        __atomic_store_n(&lane->count, count + 1, __ATOMIC_RELEASE);
    }
    atomic_store_explicit(&lane->holder, 0, memory_order_release);
    USP_MARK("lane-left");
    return goes;
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

/* How many messages could be read, or written, now. Who is not in a lane may see less. */
static uint32_t ready(const struct usp_channel *channel, enum usp_side side)
{
    uint32_t own = __atomic_load_n(&channel->lanes[side].count, __ATOMIC_RELAXED);
    uint32_t others = __atomic_load_n(&channel->lanes[usp_other(side)].count, __ATOMIC_ACQUIRE);
    return side == USP_READER ? others - own : channel->capacity - (own - others);
}

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

bool usp_lane_await(struct usp_channel *channel, enum usp_side side, void *value)
{
    if (channel->ended)
        return false;
    uint32_t n = ready(channel, side);
    if (n == 0 && !channel->waiting[usp_other(side)].head && usp_may_look_first())
        n = await(channel, side);
    return n > 0 && usp_lane_use(channel, side, value);
}
