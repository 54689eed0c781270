/* Choices of several processes: input and output guards that meet, from both sides, in one worker
   and between workers; ALT against ALT; both ends of one channel in one choice. */
#include "tests/contract/contract.h"

static const enum uvcsp_carrier carriers[] = {UVCSP_PIPE, UVCSP_SHARED};

struct sums {
    atomic_long read, written, communications;
};

/* A small generator of its own for each process. */
static unsigned next(unsigned *seed)
{
    return *seed = *seed * 1103515245u + 12345u, *seed >> 16;
}

/* ---- two sides that choose ---- */

PROCESS(chooses, IN(int, in), OUT(int, out), VAL(int, n), VAL(struct sums *, sums),
        VAL(bool, reads_first))
{
    unsigned seed = (unsigned)reads_first + 7;
    for (int i = 0; i < n; i++) {
        int x = 0, y = (int)(next(&seed) % 1000);
        int k = reads_first ? ALT(ON_READ(in, &x), ON_WRITE(out, y))
                            : ALT(ON_WRITE(out, y), ON_READ(in, &x));
        if ((k == 0) == reads_first)
            sums->read += x;
        else
            sums->written += y;
        sums->communications++;
    }
}

static void check_sums(struct sums *sums, long communications)
{
    ck_assert_int_eq(sums->communications, communications);
    ck_assert_int_eq(sums->read, sums->written);
}

/* Each reads from or writes to one channel, whichever the other does: both ends of it in one choice
   on both sides. */
TEST(two_choices_meet_on_both_ends_of_one_channel, .times = PLACEMENTS * 2)
{
    struct sums *sums = seen_by_all(sizeof *sums);
    CHAN(int) c = CHANNEL(int, .carrier = carriers[_i / PLACEMENTS]);
    ck_assert_int_eq(
        RUN(_i % PLACEMENTS, chooses(c, c, 1000, sums, true), chooses(c, c, 1000, sums, false)), 0);
    check_sums(sums, 2000);
}

TEST(two_choices_meet_on_two_channels_crosswise, .times = PLACEMENTS * 2)
{
    struct sums *sums = seen_by_all(sizeof *sums);
    CHAN(int) c = CHANNEL(int, .carrier = carriers[_i / PLACEMENTS]), d = CHANNEL(int);
    ck_assert_int_eq(
        RUN(_i % PLACEMENTS, chooses(c, d, 1000, sums, true), chooses(d, c, 1000, sums, true)), 0);
    check_sums(sums, 2000);
}

/* ---- a crowd ---- */

enum { CROWD_CHANNELS = 3, CROWD_TOTAL = 3000 };

static void account(struct sums *sums, int read, int written, void *channel)
{
    sums->read += read;
    sums->written += written;
    if (++sums->communications >= CROWD_TOTAL)
        uvcsp_poison(channel);
}

/* Reads or writes anywhere: by choices of all, by plain and timed forms, at random. */
PROCESS(mixes, INS(int, in, n), OUTS(int, out, m), VAL(struct sums *, sums), VAL(unsigned, seed))
{
    for (;;) {
        int x = 0, y = (int)(next(&seed) % 1000), k = (int)(next(&seed) % n), status;
        uvcsp_guard guards[] = {ON_READ(in[0], &x),  ON_READ(in[1], &x),  ON_READ(in[2], &x),
                                ON_WRITE(out[0], y), ON_WRITE(out[1], y), ON_WRITE(out[2], y),
                                ON_TIMEOUT(0.001)};
        switch (next(&seed) % 4) {
        case 0:
            status = uvcsp_read_timeout(in[k], &x, 0.001);
            y = 0;
            break;
        case 1:
            status = uvcsp_write_timeout(out[k % m], &y, 0.001);
            break;
        default:
            status = uvcsp_alt(guards, 7, next(&seed) % 2 ? UVCSP_FAIR : UVCSP_PRI);
            if (status < 0)
                return;
            if (status < 3)
                y = 0;
            status = status == 6 ? UVCSP_TIMEOUT : UVCSP_OK;
        }
        if (status == UVCSP_OK)
            account(sums, x, y, in[0]);
        else if (status != UVCSP_TIMEOUT)
            return;
    }
}

/* Who ends by poison has not communicated; so whatever was written was read. */
TEST(a_crowd_of_choices_and_plain_forms_loses_and_doubles_nothing, .times = 2 * 2 * 2)
{
    struct sums *sums = seen_by_all(sizeof *sums);
    CHAN(int) c[CROWD_CHANNELS];
    ck_assert_int_eq(CHANNELS(int, c, CROWD_CHANNELS, .carrier = carriers[_i / 2 % 2]), 0);
    int failed;
    if (_i % 2 == 0)
        failed = CO_FOR(i, 6, mixes(c, 3, c, 3, sums, (unsigned)(i + _i)));
    else if (_i / 4 == 0)
        failed = PAR_FOR(i, 3, mixes(c, 3, c, 3, sums, (unsigned)(i + _i)));
    else
        failed = PAR_FOR(i, 3,
                         WORKER(mixes(c, 3, c, 3, sums, (unsigned)(i + _i)),
                                mixes(c, 3, c, 3, sums, (unsigned)(i + 100 + _i))));
    ck_assert_int_eq(failed, 0);
    ck_assert_int_ge(sums->communications, CROWD_TOTAL);
    ck_assert_int_eq(sums->read, sums->written);
}

/* ---- one channel more than once in a choice ---- */

PROCESS(gives, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(takes_either_way, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        int x[2] = {-1, -1};
        int k = ALT(ON_READ(in, &x[0]), ON_READ(in, &x[1]));
        MUST(x[k] == i && x[1 - k] == -1);
    }
}

TEST(a_channel_that_is_read_twice_in_a_choice_gives_one_message_to_one_guard, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, gives(c, 300), takes_either_way(c, 300)), 0);
}

PROCESS(gives_either, OUT(int, out), VAL(int, n), OUT(int, told))
{
    for (int i = 0; i < n; i++)
        WRITE(told, ALT(ON_WRITE(out, 2 * i), ON_WRITE(out, 2 * i + 1)));
}

PROCESS(takes_what_was_told, IN(int, in), VAL(int, n), IN(int, told))
{
    for (int i = 0; i < n; i++) {
        int x = READ(in);
        MUST(READ(told) == x - 2 * i);
    }
}

TEST(a_channel_that_is_written_twice_in_a_choice_carries_the_value_of_the_guard_taken,
     .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), told = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, gives_either(c, 300, told), takes_what_was_told(c, 300, told)), 0);
}

/* ---- both ends of one channel ---- */

TEST(a_process_never_meets_itself)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x = -1;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ALT(ON_READ(in, &x), ON_WRITE(out, 1), ON_TIMEOUT(0.002)), 2);
        ck_assert_int_eq(PRI_ALT(ON_WRITE(out, 1), ON_READ(in, &x), ON_SKIP), 2);
    }
    ck_assert_int_eq(x, -1);
}

PROCESS(holds_both, IN(int, in), OUT(int, out), IN(int, stop))
{
    int x, end;
    for (int k = 0; k != 2;) {
        k = ALT(ON_READ(in, &x), ON_WRITE(out, -1), ON_READ(stop, &end));
        MUST(k != 0 || x >= 0);
    }
}

PROCESS(writes_beside, OUT(int, out), VAL(int, n), OUT(int, done))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
    WRITE(done, 1);
}

/* Its own number or the other's: where from does not matter, as long as it comes. */
PROCESS(reads_beside, IN(int, in), VAL(int, n), OUT(int, done))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) >= -1);
    WRITE(done, 1);
}

PROCESS(stops, IN(int, done), VAL(int, n), OUT(int, stop))
{
    for (int i = 0; i < n; i++)
        (void)READ(done);
    WRITE(stop, 1);
}

TEST(one_that_holds_both_ends_in_a_choice_serves_the_others_on_both_sides, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), done = CHANNEL(int), stop = CHANNEL(int);
    ck_assert_int_eq(
        RUN(_i, holds_both(c, c, stop), writes_beside(c, 200, done), stops(done, 1, stop)), 0);
    ck_assert_int_eq(
        RUN(_i, holds_both(c, c, stop), reads_beside(c, 200, done), stops(done, 1, stop)), 0);
}

/* ---- losers, between workers ---- */

PROCESS(gives_and_stays, OUT(int, out), VAL(int, n), IN(int, all_done))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
    (void)READ(all_done); /* retired by then: this is how it ends, and not before */
}

PROCESS(chooses_of_two, IN(int, a), IN(int, b), VAL(int, n), OUT(long, sum), OUT(int, done))
{
    (void)done;
    long total = 0;
    for (int i = 0; i < n; i++) {
        int x;
        total += ALT(ON_READ(a, &x), ON_READ(b, &x)) >= 0 ? x : 0;
    }
    WRITE(sum, total);
}

/* The loser of each round is withdrawn, is offered again, and never takes a message with it. */
TEST(offers_that_lose_between_workers_take_nothing_with_them, .times = 2)
{
    CHAN(int) a = CHANNEL(int, .carrier = carriers[_i]), b = CHANNEL(int, .carrier = carriers[_i]);
    CHAN(long) sum = CHANNEL(long, .capacity = 2);
    CHAN(int) done = CHANNEL(int);
    IN_END(long) in = IN_OF(sum);
    ck_assert_int_eq(PAR(gives_and_stays(a, 1000, done), gives_and_stays(b, 1000, done),
                         chooses_of_two(a, b, 1000, sum, done),
                         chooses_of_two(a, b, 1000, sum, done)),
                     0);
    long total = READ(in);
    total += READ(in);
    ck_assert_int_eq(total, 2 * 999 * 1000 / 2);
}

/* ---- large messages and other types, by choice on both sides ---- */

struct large {
    int number;
    char rest[200000];
};

PROCESS(chooses_large, IN(struct large, in), OUT(struct large, out), IN(char *, text_in),
        OUT(char *, text_out), VAL(int, n), VAL(struct sums *, sums))
{
    static struct large give, got;
    for (int i = 0; i < n; i++) {
        memset(give.rest, i, sizeof give.rest);
        give.number = i;
        char *text = NULL;
        switch (ALT(ON_READ(in, &got), ON_WRITE(out, give), ON_READ(text_in, &text),
                    ON_WRITE(text_out, "words"))) {
        case 0:
            MUST(got.rest[0] == (char)got.number &&
                 got.rest[sizeof got.rest - 1] == (char)got.number);
            sums->read++;
            break;
        case 1:
            sums->written++;
            break;
        case 2:
            MUST(strcmp(text, "words") == 0);
            free(text);
            sums->read++;
            break;
        case 3:
            sums->written++;
            break;
        }
        sums->communications++;
    }
}

TEST(large_messages_and_strings_meet_by_choice_on_both_sides, .times = PLACEMENTS * 2)
{
    struct sums *sums = seen_by_all(sizeof *sums);
    CHAN(struct large) c = CHANNEL(struct large, .carrier = carriers[_i / PLACEMENTS]);
    CHAN(char *) t = CHANNEL(char *, .carrier = carriers[_i / PLACEMENTS]);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, chooses_large(c, c, t, t, 100, sums),
                         chooses_large(c, c, t, t, 100, sums)),
                     0);
    check_sums(sums, 200);
}

SUITE("choices_meet", .after = uvcsp_shutdown)
