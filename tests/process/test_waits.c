/* What a process that waits says of that to others, in its task. */
#include <uvcsp.h>

#include "channels/channel.h"
#include "runtime/switch.h"
#include "tests/fixture.h"

enum { ENDS = 100 };

/* Somebody waits to write at one end after the other, of channels of 4 and of 8 bytes in turn, and nowhere else: who takes
   part waits for the others by looking again. */
struct turn {
    CHAN(int) ints;
    CHAN(int64_t) longs;
    void *end;
    int again; /* how often an end was where the one before had been */
    struct usp_task *writer;
    int made, written; /* ends; messages */
};

static void make_end(struct turn *turn, int i)
{
    if (i % 2 == 0)
        turn->end = OUT_OF(turn->ints = CHANNEL(int));
    else
        turn->end = OUT_OF(turn->longs = CHANNEL(int64_t));
}

static struct usp_channel *channel_of(struct turn *turn, int i)
{
    return i % 2 == 0 ? (void *)turn->ints : (void *)turn->longs;
}

static void write_there(struct turn *turn, int i)
{
    turn->writer = usp_current()->task;
    if (i % 2 == 0)
        WRITE((OUT_END(int))turn->end, i);
    else
        WRITE((OUT_END(int64_t))turn->end, i);
    turn->written++;
}

static bool waits(const struct turn *turn)
{
    return turn->writer && atomic_load(&turn->writer->commit) == USP_OPEN;
}

PROCESS(looks_at_the_writer, VAL(struct turn *, turn))
{
    for (int i = 0; i < ENDS; i++) {
        while (turn->made <= i || !waits(turn))
            uvcsp_yield();
        struct usp_channel *channel = channel_of(turn, i);
        const struct usp_wait *wait = usp_wait_of(turn->writer);
        ck_assert_uint_eq(wait->n, 1);
#ifdef USP_PARK_TAIL /* else READ and WRITE wait in their own way nowhere */
        ck_assert_ptr_eq(wait->end, turn->end);
#endif
        ck_assert_ptr_eq(wait->first.channel, channel);
        ck_assert_uint_eq(wait->first.length, channel->size);
        ck_assert_ptr_eq(channel->waiting[USP_WRITER].head, &wait->first);
        if (i % 2 == 0)
            ck_assert_int_eq(READ(IN_OF(turn->ints)), i);
        else
            ck_assert_int_eq(READ(IN_OF(turn->longs)), i);
        while (turn->written <= i)
            uvcsp_yield();
    }
}

/* An end that a process is done with stays for a while: many others are made and done with, until one comes to be there. */
PROCESS(writes_at_ends_of_its_own, VAL(struct turn *, turn))
{
    for (int i = 0; i < ENDS; i++) {
        const void *last = turn->end;
        for (int tries = 0; tries < 4000; tries++) {
            make_end(turn, i);
            if (!last || turn->end == last)
                break;
            RETIRE(turn->end);
            uvcsp_channel_free(channel_of(turn, i));
        }
        turn->again += turn->end == last;
        turn->made++;
        write_there(turn, i);
        RETIRE(turn->end);
        uvcsp_channel_free(channel_of(turn, i));
    }
}

TEST(an_end_where_an_older_one_of_the_same_process_was_is_not_taken_for_that)
{
    struct turn turn = {.made = 0};
    ck_assert_int_eq(CO(looks_at_the_writer(&turn), writes_at_ends_of_its_own(&turn)), 0);
    ck_assert_int_gt(turn.again, 0);
}

/* Its end goes with it; the next one's is where that was. */
PROCESS(lends_an_end, VAL(struct turn *, turn), VAL(int, i))
{
    const void *last = turn->end;
    make_end(turn, i);
    turn->again += turn->end == last;
    turn->made++;
    while (turn->written <= i)
        uvcsp_yield();
}

PROCESS(lends_ends, VAL(struct turn *, turn))
{
    for (int i = 0; i < ENDS; i++)
        SEQ(lends_an_end(turn, i));
}

PROCESS(writes_at_borrowed_ends, VAL(struct turn *, turn))
{
    for (int i = 0; i < ENDS; i++) {
        while (turn->made <= i)
            uvcsp_yield();
        write_there(turn, i);
    }
}

TEST(a_borrowed_end_where_another_one_was_is_not_taken_for_that)
{
    struct turn turn = {.made = 0};
    ck_assert_int_eq(CO(looks_at_the_writer(&turn), lends_ends(&turn), writes_at_borrowed_ends(&turn)), 0);
    ck_assert_int_gt(turn.again, ENDS / 2);
}

/* ---- a choice that lets others run ---- */

PROCESS(chooses, IN(int, a), IN(int, b), VAL(struct turn *, turn))
{
    int x = 0;
    uvcsp_guard guards[] = {ON_READ(a, &x), ON_READ(b, &x)};
    turn->writer = usp_current()->task;
    while (x >= 0)
        ck_assert_int_ge(uvcsp_alt(guards, 2, UVCSP_FAIR), 0);
}

static struct usp_offer *stands_at(void *channel)
{
    struct usp_offer *offer = ((struct usp_channel *)channel)->waiting[USP_READER].head;
    return offer && offer->stands == USP_STANDS ? offer : NULL;
}

/* Whether it waits for both, or stands at one, is up to who is ready when it looks. */
PROCESS(feeds_until_it_stands, OUT(int, a), OUT(int, b), VAL(CHAN(int) *, channels), VAL(struct turn *, turn))
{
    for (int i = 0; turn->again < 20 && i < 100000; i++) {
        struct usp_offer *offer = stands_at(channels[0]);
        if (!offer)
            offer = stands_at(channels[1]);
        if (offer) {
            ck_assert_uint_eq(usp_wait_of(turn->writer)->n, 1);
            ck_assert_ptr_eq(usp_offers_of(turn->writer), offer);
            turn->again++;
        }
        if (i % 3 == 0)
            uvcsp_yield();
        if (i % 5 < 3)
            WRITE(a, i);
        else
            WRITE(b, i);
    }
    WRITE(a, -1);
}

PROCESS(feeds_as_well, OUT(int, b), VAL(struct turn *, turn))
{
    for (int i = 0; turn->again < 20 && i < 100000; i++) {
        if (i % 7 < 3)
            uvcsp_yield();
        else
            WRITE(b, i);
    }
}

/* So that whoever repairs the channel, or buries the worker, finds it. */
TEST(a_choice_that_stands_at_a_guard_says_so_in_its_task)
{
    struct turn turn = {.made = 0};
    CHAN(int) c[2] = {CHANNEL(int), CHANNEL(int)};
    IN_END(int) stays = IN_OF(c[1]);
    (void)stays;
    ck_assert_int_eq(CO(chooses(c[0], c[1], &turn), feeds_until_it_stands(c[0], c[1], c, &turn), feeds_as_well(c[1], &turn)), 0);
    ck_assert_int_ge(turn.again, 20);
}

SUITE("waits", .after = uvcsp_shutdown)
