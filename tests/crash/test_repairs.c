/* Who repairs what a dead worker has left half done dies of it himself, or is held up in it. The root, and whoever else might
   repair it too, has no time meanwhile. */
#include <sched.h>

#include "channels/channel.h"
#include "runtime/worker.h"
#include "tests/crash/crash.h"
#include "tests/failpoint.h"

static struct {
    struct usp_channel *channel;
    _Atomic int waits, begins, repairs, repairing, goes_on, over, got[2];
    unsigned index; /* of the worker that is dead */
} *seen;

static void begin(void)
{
    failpoints_share();
    failpoint_forget();
    seen = seen_by_all(sizeof *seen);
}

/* Neither runs a process nor looks for deaths until then. */
static void spin_until(const _Atomic int *flag)
{
    while (!*flag)
        sched_yield();
}

static void spin_until_one_has_died_at(const char *mark)
{
    while (!failpoint_died_at() || strcmp(failpoint_died_at(), mark) != 0)
        sched_yield();
}

/* Dies when it has the lock, or repairs what another has left of it: at that mark. */
PROCESS(locks, VAL(const _Atomic int *, when), VAL(const char *, mark))
{
    spin_until(when);
    failpoint_arm(1, mark);
    (void)uvcsp_channel_size(seen->channel); /* takes the lock */
}

static void end(uvcsp_handle **handles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uvcsp_join(handles[i], -1);
        uvcsp_handle_free(handles[i]);
    }
}

/* ---- a message that goes past a buffer ---- */

PROCESS(takes_one, IN(int, in))
{
    int x;
    (void)uvcsp_read(in, &x);
}

/* Runs when its neighbour waits. */
PROCESS(has_no_time)
{
    seen->waits = 1;
    spin_until(&seen->over);
}

PROCESS(takes_one_beside_it, IN(int, in))
{
    CO(takes_one(in), has_no_time());
}

PROCESS(gives_one, OUT(int, out), VAL(const char *, mark))
{
    spin_until(&seen->begins);
    failpoint_arm(1, mark);
    (void)uvcsp_write(out, &(int){1});
}

TEST(a_message_that_was_half_counted_is_not_when_who_repairs_that_has_died_too, .times = 4)
{
    static const char *const marks[] = {"passing-noted", "claimed", "passing-counted", "passing-marked"};
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int, .capacity = 1, .carrier = UVCSP_SHARED);
    seen->channel = (struct usp_channel *)c;
    seen->channel->lenient = USP_LENIENT;
    uvcsp_handle *handles[] = {SPAWN(takes_one_beside_it(c)), SPAWN(gives_one(c, marks[_i])),
                               SPAWN(locks(&seen->repairs, "repair-begun"))};
    house_capture(2);
    spin_until(&seen->waits);
    seen->begins = 1;
    spin_until_one_has_died_at(marks[_i]);
    seen->repairs = 1;
    spin_until_one_has_died_at("repair-begun");
    seen->over = 1;
    end(handles, 3);
    free(house_captured());
    ck_assert_uint_eq(seen->channel->passed, 0);
    seen->channel->lenient = 0; /* such a channel is given up otherwise */
    uvcsp_channel_free(c);
    ck_assert(all_is_given_back());
}

/* ---- a channel that its maker was giving up ---- */

PROCESS(sends_an_end, VAL(CHAN(int), c), OUT(uvcsp_end, to))
{
    WRITE(to, MOBILE(IN_OF(c)));
}

/* It has no end of the channel itself, so nothing else of its burial needs the lock. */
PROCESS(makes_one_and_frees_it, OUT(uvcsp_end, to))
{
    CHAN(int) c = CHANNEL(int);
    seen->channel = (struct usp_channel *)c;
    CO(sends_an_end(c, to));
    spin_until(&seen->begins);
    failpoint_arm(1, "channel-not-held");
    uvcsp_channel_free(c);
}

PROCESS(has_its_last_end, IN(uvcsp_end, from))
{
    (void)READ(from);
    seen->waits = 1;
    spin_until(&seen->over);
}

static void is_held_up(void)
{
    seen->repairing = 1;
    spin_until(&seen->goes_on);
}

PROCESS(repairs_slowly)
{
    spin_until(&seen->repairs);
    failpoint_call("repair-begun", is_held_up);
    (void)uvcsp_channel_size(seen->channel);
    seen->over = 1;
}

static void wait_until_it_is_freed(void)
{
    failpoint_call(NULL, NULL);
    seen->goes_on = 1;
    while (usp_arena_is(seen->channel, USP_BLOCK_CHANNEL))
        sched_yield();
}

TEST(a_channel_that_its_maker_was_giving_up_may_be_freed_while_he_is_buried)
{
    if (house_light())
        return;
    begin();
    CHAN(uvcsp_end) to = CHANNEL(uvcsp_end);
    uvcsp_handle *handles[] = {SPAWN(makes_one_and_frees_it(to)), SPAWN(has_its_last_end(to)), SPAWN(repairs_slowly())};
    house_capture(2);
    spin_until(&seen->waits);
    seen->begins = 1;
    spin_until_one_has_died_at("channel-not-held");
    seen->repairs = 1;
    spin_until(&seen->repairing);
    failpoint_call("channel-to-drop", wait_until_it_is_freed);
    end(handles, 3);
    free(house_captured());
    ck_assert(seen->goes_on);
    uvcsp_channel_free(to);
    ck_assert(all_is_given_back());
}

/* ---- those who wait where a bias is taken away ---- */

static struct usp_offer *first_waiting(void)
{
    return seen->channel->waiting[USP_READER].head;
}

PROCESS(waits_first, IN(int, in))
{
    seen->got[0] = READ(in);
}

PROCESS(waits_second, IN(int, in))
{
    while (!first_waiting())
        uvcsp_yield();
    seen->got[1] = READ(in);
}

/* Meanwhile each of the two has numbered its waits for itself, as plain calls do, and the first has had more of them. */
PROCESS(writes_to_both, OUT(int, out))
{
    while (!first_waiting() || !first_waiting()->next)
        uvcsp_yield();
    first_waiting()->ticket = 9;
    first_waiting()->next->ticket = 4;
    seen->begins = 1;
    while (!seen->over)
        uvcsp_sleep(0.001);
    for (int i = 1; i <= 2; i++)
        WRITE(out, i);
}

PROCESS(has_the_bias)
{
    CHAN(int) c = CHANNEL(int);
    seen->channel = (struct usp_channel *)c;
    CO(waits_first(c), waits_second(c), writes_to_both(c));
}

TEST(those_who_wait_are_served_in_their_order_when_who_takes_the_bias_away_has_died, .times = 2)
{
    static const char *const marks[] = {"bias-revoking", "bias-gone"};
    if (house_light())
        return;
    begin();
    house_capture(2);
    uvcsp_handle *handles[] = {SPAWN(has_the_bias()), NULL, NULL};
    spin_until(&seen->begins);
    handles[1] = SPAWN(locks(&seen->begins, marks[_i]));
    uvcsp_join(handles[1], -1);
    handles[2] = SPAWN(locks(&seen->begins, "channel-locked"));
    uvcsp_join(handles[2], -1);
    seen->over = 1;
    end(handles, 3);
    char *said = house_captured();
    ck_assert_ptr_nonnull(strstr(said, "killed by signal 9"));
    ck_assert_str_eq(failpoint_died_at(), "channel-locked");
    free(said);
    ck_assert_int_eq(seen->got[0], 1);
    ck_assert_int_eq(seen->got[1], 2);
    ck_assert(all_is_given_back());
}

/* ---- a channel with lanes that is freed meanwhile ---- */

/* There are lanes as soon as ends of two workers are known. */
PROCESS(sends_an_end_that_is_adopted, VAL(CHAN(int), c), OUT(uvcsp_end, to))
{
    WRITE(to, MOBILE(IN_OF(c)));
    while (!((struct usp_channel *)c)->laned)
        uvcsp_sleep(0.001);
}

PROCESS(has_an_end_for_a_while, IN(uvcsp_end, from))
{
    (void)READ(from);
}

PROCESS(dies)
{
    seen->index = usp_worker_index();
    die(BY_SIGKILL);
}

/* The block that lies there, and says all over that this worker is in it. */
static uint32_t *made_of(const void *place, size_t size)
{
    uint32_t *words = usp_arena_alloc(size, USP_BLOCK_MESSAGE);
    MUST(words && words == place);
    for (size_t i = 0; i < size / sizeof *words; i++)
        words[i] = seen->index + 1;
    return words;
}

static bool is_as_it_was(const uint32_t *words, size_t size)
{
    for (size_t i = 0; i < size / sizeof *words; i++)
        if (words[i] != seen->index + 1)
            return false;
    return true;
}

PROCESS(frees_one_and_uses_the_room, OUT(uvcsp_end, to), VAL(bool, all))
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    struct usp_channel *channel = (struct usp_channel *)c;
    CO(sends_an_end_that_is_adopted(c, to));
    while (*(volatile uint32_t *)&channel->n_refs > 1)
        uvcsp_sleep(0.001);
    seen->channel = channel;
    seen->waits = 1;
    spin_until(&seen->begins);
    const void *lanes = channel->lanes;
    size_t size = usp_arena_size(channel), size_of_lanes = usp_arena_size(lanes);
    uvcsp_channel_free(c);
    uint32_t *there = made_of(lanes, size_of_lanes), *here = all ? made_of(channel, size) : NULL;
    seen->goes_on = 1;
    spin_until(&seen->over);
    seen->got[0] = is_as_it_was(there, size_of_lanes);
    seen->got[1] = !all || is_as_it_was(here, size);
    usp_arena_free(there);
    usp_arena_free(here);
}

static void wait_until_the_room_is_used(void)
{
    failpoint_call(NULL, NULL);
    seen->begins = 1;
    spin_until(&seen->goes_on);
}

TEST(what_lies_where_lanes_were_is_not_taken_for_them, .times = 2)
{
    if (house_light())
        return;
    begin();
    CHAN(uvcsp_end) to = CHANNEL(uvcsp_end);
    uvcsp_handle *handles[] = {SPAWN(frees_one_and_uses_the_room(to, _i)), SPAWN(has_an_end_for_a_while(to)), NULL};
    house_capture(2);
    spin_until(&seen->waits);
    failpoint_call("lanes-to-seize", wait_until_the_room_is_used);
    handles[2] = SPAWN(dies());
    uvcsp_join(handles[2], -1);
    seen->over = 1;
    end(handles, 3);
    free(house_captured());
    ck_assert(seen->goes_on);
    ck_assert(seen->got[0]);
    ck_assert(seen->got[1]);
    uvcsp_channel_free(to);
    ck_assert(all_is_given_back());
}

/* ---- a channel that has no ends on one side, and whose maker dies of giving it up ---- */

PROCESS(reads_what_never_comes, IN(uvcsp_end, from))
{
    int x;
    IN_END(int) in = UVCSP_AS_IN(int, READ(from));
    seen->got[0] = 100 + uvcsp_read(in, &x);
}

PROCESS(gives_up_a_channel_that_is_waited_at, OUT(uvcsp_end, to), VAL(bool, dies))
{
    CHAN(int) c = CHANNEL(int, .carrier = UVCSP_SHARED);
    seen->channel = (struct usp_channel *)c;
    CO(sends_an_end(c, to));
    while (!*(struct usp_offer *volatile *)&seen->channel->waiting[USP_READER].head)
        uvcsp_sleep(0.001);
    if (dies)
        failpoint_arm(1, "channel-not-held");
    uvcsp_channel_free(c);
}

TEST(who_waits_at_a_channel_whose_maker_died_of_giving_it_up_is_told, .times = 2)
{
    if (house_light())
        return;
    begin();
    CHAN(uvcsp_end) to = CHANNEL(uvcsp_end);
    house_capture(2);
    uvcsp_handle *reader = SPAWN(reads_what_never_comes(to)), *maker = SPAWN(gives_up_a_channel_that_is_waited_at(to, _i));
    uvcsp_join(maker, -1);
    ck_assert_int_eq(uvcsp_join(reader, 10), UVCSP_OK);
    uvcsp_handle_free(maker);
    uvcsp_handle_free(reader);
    uvcsp_channel_free(to);
    free(house_captured());
    ck_assert_int_eq(seen->got[0], 100 + UVCSP_RETIRED);
}

SUITE("repairs", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
