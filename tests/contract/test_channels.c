/* Channels: any number of readers and writers in any workers, rendezvous and buffered, checked,
   timed and trying forms. */
#include "tests/contract/contract.h"

static const enum uvcsp_carrier carriers[] = {UVCSP_PIPE, UVCSP_SHARED};

/* ---- each message exactly once ---- */

enum { MESSAGES = 120, MOST_WRITERS = 4 };

struct message {
    int writer, number;
};

/* How often each message has come. */
typedef _Atomic unsigned char ledger[MOST_WRITERS][MESSAGES];

PROCESS(numbered, OUT(struct message, out), VAL(int, me))
{
    for (int i = 0; i < MESSAGES; i++)
        WRITE(out, (struct message){me, i});
}

/* What comes from one writer to one reader comes in order. */
PROCESS(enters, IN(struct message, in), VAL(ledger *, seen))
{
    int last[MOST_WRITERS] = {-1, -1, -1, -1};
    for (;;) {
        struct message m = READ(in);
        MUST(m.writer >= 0 && m.writer < MOST_WRITERS && m.number > last[m.writer]);
        last[m.writer] = m.number;
        (*seen)[m.writer][m.number]++;
    }
}

static const struct {
    int capacity, writers, readers;
} crowds[] = {
    {0, 1, 1}, {0, 4, 1}, {0, 1, 3}, {0, 4, 3},    {1, 1, 1},
    {1, 4, 3}, {7, 4, 1}, {7, 1, 3}, {1000, 4, 3},
};
enum { CROWDS = sizeof crowds / sizeof *crowds };

static void check_ledger(ledger *seen, int writers)
{
    for (int w = 0; w < MOST_WRITERS; w++)
        for (int i = 0; i < MESSAGES; i++)
            ck_assert_int_eq((*seen)[w][i], w < writers);
}

TEST(each_message_comes_exactly_once_to_one_of_the_readers, .times = CROWDS * PLACEMENTS * 2)
{
    int c = _i % CROWDS, n = 0;
    ledger *seen = seen_by_all(sizeof *seen);
    CHAN(struct message) shared_out = CHANNEL(struct message, .capacity = crowds[c].capacity,
                                              .carrier = carriers[_i / CROWDS / PLACEMENTS]);
    uvcsp_process all[8];
    for (int i = 0; i < crowds[c].writers; i++)
        all[n++] = numbered(shared_out, i);
    for (int i = 0; i < crowds[c].readers; i++)
        all[n++] = enters(shared_out, seen);
    ck_assert_int_eq(run_placed(_i / CROWDS % PLACEMENTS, all, (size_t)n), 0);
    check_ledger(seen, crowds[c].writers);
}

/* Readers and writers on both sides of every border. */
TEST(workers_with_a_reader_and_a_writer_each_share_one_channel, .times = 4)
{
    ledger *seen = seen_by_all(sizeof *seen);
    CHAN(struct message) c =
        CHANNEL(struct message, .capacity = _i % 2 * 3, .carrier = carriers[_i / 2]);
    ck_assert_int_eq(PAR(WORKER(numbered(c, 0), enters(c, seen)),
                         WORKER(numbered(c, 1), enters(c, seen)),
                         WORKER(numbered(c, 2), numbered(c, 3), enters(c, seen))),
                     0);
    check_ledger(seen, 4);
}

PROCESS(crowd_of_its_own, VAL(ledger *, seen), VAL(int, me))
{
    CHAN(struct message) c = CHANNEL(struct message, .capacity = me % 2);
    MUST(PAR(numbered(c, me), enters(c, seen)) == 0);
}

TEST(a_worker_makes_channels_for_workers_of_its_own)
{
    ledger *seen = seen_by_all(sizeof *seen);
    ck_assert_int_eq(PAR_FOR(i, 4, crowd_of_its_own(seen, i)), 0);
    check_ledger(seen, 4);
}

/* ---- capacity ---- */

TEST(a_buffer_takes_as_many_as_it_has_room_for_and_gives_them_in_order)
{
    CHAN(int) c = CHANNEL(int, .capacity = 3);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    for (int round = 0, next = 0, expected = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(uvcsp_channel_size(c), i);
            WRITE(out, next++);
        }
        ck_assert_int_eq(uvcsp_write_try(out, &next), UVCSP_WOULD_BLOCK);
        ck_assert_int_eq(uvcsp_channel_size(in), 3);
        ck_assert_int_eq(uvcsp_channel_size(out), 3);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(READ(in), expected++);
        int none = 77;
        ck_assert_int_eq(uvcsp_read_try(in, &none), UVCSP_WOULD_BLOCK);
        ck_assert_int_eq(none, 77);
    }
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
}

PROCESS(fills, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(drains, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
    int none;
    MUST_BE(uvcsp_read(in, &none), UVCSP_RETIRED);
}

TEST(a_writer_that_waits_at_a_full_buffer_goes_on_when_one_is_read, .times = 4)
{
    CHAN(int) c = CHANNEL(int, .capacity = 2, .carrier = carriers[_i / 2]);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, fills(c, 100), drains(c, 100)), 0);
}

TEST(many_channels_are_made_at_once_and_are_separate)
{
    enum { N = 300 };
    CHAN(int) many[N];
    ck_assert_int_eq(CHANNELS(int, many, N, .capacity = 1), 0);
    OUT_END(int) outs[N];
    IN_END(int) ins[N];
    for (int i = 0; i < N; i++) {
        outs[i] = OUT_OF(many[i]);
        ins[i] = IN_OF(many[i]);
        WRITE(outs[i], i);
    }
    for (int i = N; i-- > 0;)
        ck_assert_int_eq(READ(ins[i]), i);
    for (int i = 0; i < N; i++)
        uvcsp_channel_free(many[i]);
}

/* ---- checked, timed and trying forms ---- */

TEST(a_checked_form_answers_with_the_code_of_what_happened)
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    int x = 5;
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_write_try(out, &x), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 0.0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.001), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 0.001), UVCSP_TIMEOUT);
    RETIRE(in);
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_write_try(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 1.0), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    POISON(c);
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_POISONED);
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_POISONED);
    ck_assert_int_eq(x, 5);
}

TEST(a_timeout_comes_when_its_time_has_passed_and_not_before)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x = 0;
    double begin = uvcsp_now();
    ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.03), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - begin >= 0.03);
    begin = uvcsp_now();
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 0.03), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - begin >= 0.03);
}

PROCESS(offers_in_time, OUT(int, out))
{
    MUST_BE(uvcsp_write_timeout(out, &(int){3}, 60.0), UVCSP_OK);
}

PROCESS(asks_in_time, IN(int, in))
{
    int x;
    MUST_BE(uvcsp_read_timeout(in, &x, 60.0), UVCSP_OK);
    MUST(x == 3);
}

TEST(a_timed_form_that_meets_its_partner_does_not_wait_for_the_time, .times = 4)
{
    CHAN(int) c = CHANNEL(int, .carrier = carriers[_i / 2]);
    double begin = uvcsp_now();
    ck_assert_int_eq(RUN(_i % PLACEMENTS, offers_in_time(c), asks_in_time(c)), 0);
    ck_assert(uvcsp_now() - begin < 15);
}

/* Of a thousand timed attempts some run out and some meet. Nothing is lost and nothing comes
   twice. */
PROCESS(gives_up_easily, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n;)
        if (uvcsp_write_timeout(out, &i, 0.0005) == UVCSP_OK)
            i++;
}

PROCESS(asks_seldom, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n;) {
        int x, status = uvcsp_read_timeout(in, &x, i % 3 * 0.0004);
        if (status == UVCSP_OK)
            MUST(x == i++);
        else
            MUST(status == UVCSP_TIMEOUT);
    }
}

TEST(attempts_that_run_out_lose_and_repeat_nothing, .times = 4)
{
    CHAN(int) c = CHANNEL(int, .carrier = carriers[_i / 2]);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, gives_up_easily(c, 100), asks_seldom(c, 100)), 0);
}

/* ---- life of a channel ---- */

TEST(a_channel_lives_as_long_as_an_end_of_it_is_held)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    uvcsp_channel_free(c);
    WRITE(out, 9);
    ck_assert_int_eq(READ(in), 9);
    uvcsp_channel_free(NULL);
}

PROCESS(makes_a_channel_and_returns, OUT(uvcsp_end, give))
{
    CHAN(int) c = CHANNEL(int, .capacity = 2);
    OUT_END(int) out = OUT_OF(c);
    WRITE(out, 1);
    WRITE(give, MOBILE(IN_OF(c)));
    WRITE(out, 2);
}

TEST(a_channel_outlives_the_process_that_made_it_while_an_end_is_held, .times = PLACEMENTS)
{
    CHAN(uvcsp_end) ends = CHANNEL(uvcsp_end, .capacity = 1);
    IN_END(uvcsp_end) get = IN_OF(ends);
    ck_assert_int_eq(RUN(_i, makes_a_channel_and_returns(ends)), 0);
    IN_END(int) in = AS_IN(int, READ(get));
    ck_assert_int_eq(READ(in), 1);
    ck_assert_int_eq(READ(in), 2);
    int x;
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

TEST(a_hundred_thousand_channels_are_made_and_freed_in_a_small_space)
{
    for (int i = 0; i < 100000; i++) {
        CHAN(int) c = CHANNEL(int, .capacity = 16);
        ck_assert_ptr_nonnull(c);
        uvcsp_channel_free(c);
    }
}

SUITE("channels", .after = uvcsp_shutdown)
