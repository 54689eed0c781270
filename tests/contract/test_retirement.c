/* Retirement and poison, and what is on its way then: messages in a buffer, messages agreed on. */
#include "tests/contract/contract.h"

/* ---- buffers ---- */

PROCESS(writes_and_returns, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(reads_until_the_end, IN(int, in), VAL(int, n), VAL(int, status))
{
    int x, got, i = 0;
    while ((got = uvcsp_read(in, &x)) == UVCSP_OK)
        MUST(x == i++);
    MUST(i == n);
    MUST_BE(got, status);
}

TEST(readers_get_what_is_buffered_before_they_are_told_of_the_last_writers_end, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    ck_assert_int_eq(RUN(_i, writes_and_returns(c, 4)), 0);
    ck_assert_int_eq(uvcsp_channel_size(c), 4);
    IN_END(int) in = IN_OF(c);
    int x;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(READ(in), i);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

PROCESS(fills_and_poisons, OUT(int, out))
{
    for (int i = 0; i < 4; i++)
        WRITE(out, i);
    POISON(out);
}

/* PyCSP answers a reader in the same process otherwise than one in another. */
TEST(poison_drops_what_is_buffered_for_readers_anywhere, .times = 4)
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    ck_assert_int_eq(RUN(_i % 2, fills_and_poisons(c)), 0);
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
    ck_assert_int_eq(RUN(_i / 2, reads_until_the_end(c, 0, UVCSP_POISONED)), 0);
}

PROCESS(writes_until_the_end, OUT(int, out), VAL(int, n), VAL(int, status))
{
    int i = 0, got;
    while ((got = uvcsp_write(out, &i)) == UVCSP_OK)
        i++;
    MUST(i == n);
    MUST_BE(got, status);
}

PROCESS(reads_some, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
}

TEST(writers_are_told_of_the_last_readers_end_at_once_also_by_a_buffer_with_room,
     .times = PLACEMENTS * 2)
{
    CHAN(int) c = CHANNEL(int, .capacity = _i / PLACEMENTS * 4);
    RETIRE(IN_OF(c));
    ck_assert_int_eq(RUN(_i % PLACEMENTS, writes_until_the_end(c, 0, UVCSP_RETIRED)), 0);
    CHAN(int) d = CHANNEL(int);
    ck_assert_int_eq(
        RUN(_i % PLACEMENTS, writes_until_the_end(d, 5, UVCSP_RETIRED), reads_some(d, 5)), 0);
}

TEST(a_side_retires_with_its_last_end_and_not_before)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) first = OUT_OF(c), second = OUT_OF(c);
    IN_END(int) in = IN_OF(c), another = IN_OF(c);
    int x = 3;
    RETIRE(first);
    RETIRE(first); /* once more counts for nothing */
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK);
    WRITE(second, 4);
    RETIRE(in);
    ck_assert_int_eq(uvcsp_read(another, &x), UVCSP_OK);
    ck_assert_int_eq(x, 4);
    RETIRE(second);
    ck_assert_int_eq(uvcsp_read(another, &x), UVCSP_RETIRED);
}

/* ---- what has been agreed completes ---- */

struct big {
    char at[3000000];
};

PROCESS(writes_one_and, OUT(struct big, out), VAL(bool, poisons))
{
    static struct big b;
    memset(b.at, 'b', sizeof b.at);
    MUST_BE(uvcsp_write(out, &b), UVCSP_OK);
    if (poisons)
        POISON(out);
}

PROCESS(reads_one_then, IN(struct big, in), VAL(int, status))
{
    static struct big b;
    MUST_BE(uvcsp_read(in, &b), UVCSP_OK);
    MUST(b.at[0] == 'b' && b.at[sizeof b.at - 1] == 'b');
    MUST_BE(uvcsp_read(in, &b), status);
}

PROCESS(reads_one_and, IN(struct big, in), VAL(bool, poisons))
{
    static struct big b;
    MUST_BE(uvcsp_read(in, &b), UVCSP_OK); /* READ would put it on the stack */
    MUST(b.at[sizeof b.at - 1] == 'b');
    if (poisons)
        POISON(in);
}

PROCESS(writes_one_then, OUT(struct big, out), VAL(int, status))
{
    static struct big b;
    memset(b.at, 'b', sizeof b.at);
    MUST_BE(uvcsp_write(out, &b), UVCSP_OK);
    MUST_BE(uvcsp_write(out, &b), status);
}

TEST(a_message_that_was_agreed_on_is_not_lost_by_what_comes_after, .times = 2 * 2 * 2 * PLACEMENTS)
{
    bool poisons = _i % 2;
    CHAN(struct big) c = CHANNEL(struct big, .carrier = _i / 2 % 2 ? UVCSP_PIPE : UVCSP_SHARED);
    int status = poisons ? UVCSP_POISONED : UVCSP_RETIRED;
    for (int i = 0; i < 3; i++) {
        CHAN(struct big) d =
            i ? CHANNEL(struct big, .carrier = _i / 2 % 2 ? UVCSP_PIPE : UVCSP_SHARED) : c;
        int failed = _i / 4 % 2 ? RUN(_i / 8, writes_one_and(d, poisons), reads_one_then(d, status))
                                : RUN(_i / 8, writes_one_then(d, status), reads_one_and(d, poisons));
        ck_assert_int_eq(failed, 0);
    }
}
SUITE("retirement", .after = uvcsp_shutdown)
