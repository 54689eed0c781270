/* The kit: each of its processes, and how they end. */
#include <uvcsp/kit.h>

#include "tests/contract/contract.h"

struct point {
    int x, y;
};

KIT(int)
KIT_OF(struct point, point)
KIT_OF(unsigned long, ulong)
KIT_NUMBERS(unsigned long, ulong)

PROCESS(counts_to, VAL(int, n), OUT(int, out))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

/* Expects from, from + step, ... n of them, and then retirement. */
PROCESS(expects, VAL(int, from), VAL(int, step), VAL(int, n), IN(int, in))
{
    int x;
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_read(in, &x), UVCSP_OK);
        MUST(x == from + i * step);
    }
    MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED);
}

/* Takes n and goes. */
PROCESS(takes, VAL(int, n), IN(int, in))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
}

enum { A, B, C, D, N_CHANNELS };
static CHAN(int) c[N_CHANNELS];
static const enum uvcsp_carrier carriers[] = {UVCSP_PIPE, UVCSP_SHARED};

static void channels_of(int i)
{
    ck_assert_int_eq(CHANNELS(int, c, N_CHANNELS, .carrier = carriers[i % 2]), 0);
}

TEST(identity_hands_on_what_comes, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(
        RUN(_i, counts_to(20, c[A]), identity_int(c[A], c[B]), expects(0, 1, 20, c[B])), 0);
}

TEST(prefix_comes_first_and_tail_drops_it_again, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(
        RUN(_i, counts_to(20, c[A]), prefix_int(-1, c[A], c[B]), expects(-1, 1, 21, c[B])), 0);
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, counts_to(20, c[A]), prefix_int(-5, c[A], c[B]), tail_int(c[B], c[C]),
                         expects(0, 1, 20, c[C])),
                     0);
}

TEST(successor_adds_one_and_plus_adds_two_streams, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(
        RUN(_i, counts_to(20, c[A]), successor_int(c[A], c[B]), expects(1, 1, 20, c[B])), 0);
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, counts_to(20, c[A]), counts_to(20, c[B]), plus_int(c[A], c[B], c[C]),
                         expects(0, 2, 20, c[C])),
                     0);
}

TEST(delta_gives_each_message_to_both, .times = PLACEMENTS * 2)
{
    channels_of(_i);
    int placement = _i / 2;
    ck_assert_int_eq(RUN(placement, counts_to(20, c[A]),
                         _i % 2 ? delta_par_int(c[A], c[B], c[C]) : delta_int(c[A], c[B], c[C]),
                         expects(0, 1, 20, c[B]), expects(0, 1, 20, c[C])),
                     0);
}

/* Who reads right before left makes a sequential delta wait for ever, and not a parallel one. */
PROCESS(reads_right_first, VAL(int, n), IN(int, left), IN(int, right))
{
    for (int i = 0; i < n; i++) {
        int y = READ(right), x = READ(left);
        MUST(x == i && y == i);
    }
}

TEST(delta_par_waits_for_nobody_in_particular, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, counts_to(20, c[A]), delta_par_int(c[A], c[B], c[C]),
                         reads_right_first(20, c[B], c[C])),
                     0);
}

PROCESS(adds, VAL(int, expected), IN(int, in))
{
    int x, sum = 0, status;
    while ((status = uvcsp_read(in, &x)) == UVCSP_OK)
        sum += x;
    MUST_BE(status, UVCSP_RETIRED);
    MUST(sum == expected);
}

TEST(mux_ends_when_the_last_of_its_inputs_has, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, counts_to(5, c[A]), counts_to(50, c[B]), counts_to(0, c[C]),
                         mux_int(c, 3, c[D]), adds(10 + 49 * 25, c[D])),
                     0);
}

PROCESS(hears_both, VAL(int, rounds), IN(int, in))
{
    int since[2] = {0, 0};
    for (int i = 0; i < rounds; i++) {
        int who = READ(in);
        since[who] = 0;
        MUST(++since[!who] < 20);
    }
}

PROCESS(says, VAL(int, what), OUT(int, out))
{
    for (;;)
        WRITE(out, what);
}

TEST(mux_starves_nobody, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(RUN(PLACEMENTS - 1, says(0, c[A]), says(1, c[B]), mux_int(c, 2, c[D]),
                         hears_both(200, c[D])),
                     0);
}

TEST(broadcast_goes_on_while_anybody_listens, .times = PLACEMENTS)
{
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, counts_to(20, c[D]), broadcast_int(c[D], c, 3),
                         expects(0, 1, 20, c[A]), takes(3, c[B]), expects(0, 1, 20, c[C])),
                     0);
    channels_of(_i);
    ck_assert_int_eq(RUN(_i, says(1, c[D]), broadcast_int(c[D], c, 3), takes(2, c[A]),
                         takes(3, c[B]), takes(4, c[C])),
                     0);
}

TEST(a_buffer_holds_so_many_and_hands_them_on_when_its_input_has_ended, .times = PLACEMENTS * 3)
{
    static const int sizes[] = {1, 7, 100};
    int n = sizes[_i / 2];
    channels_of(_i);
    IN_END(int) in = IN_OF(c[B]);
    uvcsp_handle *handle = GO(buffer_int(n, c[A], c[B]));
    ck_assert_int_eq(RUN(_i % 2, counts_to(n, c[A])), 0); /* nobody reads yet */
    int x;
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_OK);
        ck_assert_int_eq(x, i);
    }
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
}

TEST(a_full_buffer_makes_its_writer_wait)
{
    channels_of(0);
    OUT_END(int) out = OUT_OF(c[A]);
    IN_END(int) in = IN_OF(c[B]);
    GO(buffer_int(3, c[A], c[B]));
    int x = 0;
    for (; x < 3; x++)
        WRITE(out, x);
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 0.02), UVCSP_TIMEOUT);
    ck_assert_int_eq(READ(in), 0);
    ck_assert_int_eq(uvcsp_write_timeout(out, &x, 10), UVCSP_OK);
}

TEST(an_overwriting_buffer_keeps_the_latest)
{
    channels_of(0);
    IN_END(int) in = IN_OF(c[B]);
    uvcsp_handle *handle = GO(overwrite_int(4, c[A], c[B]));
    ck_assert_int_eq(CO(counts_to(100, c[A])), 0);
    int x;
    for (int i = 96; i < 100; i++) {
        ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_OK);
        ck_assert_int_eq(x, i);
    }
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
}

TEST(regulate_sends_the_latest_in_even_steps)
{
    channels_of(0);
    OUT_END(int) out = OUT_OF(c[A]);
    IN_END(int) in = IN_OF(c[B]);
    uvcsp_handle *handle = GO(regulate_int(0.02, c[A], c[B]));
    int x;
    ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.05), UVCSP_TIMEOUT); /* nothing has come yet */
    double begin = uvcsp_now();
    for (int i = 0; i < 10; i++)
        WRITE(out, i);
    for (int i = 0; i < 3; i++) /* once, and then again */
        ck_assert_int_eq(READ(in), 9);
    ck_assert(uvcsp_now() - begin >= 0.05);
    WRITE(out, 20);
    RETIRE(out);
    ck_assert_int_eq(READ(in), 20);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
}

TEST(structures_and_numbers_of_other_types_go_the_same_way)
{
    CHAN(struct point) a = CHANNEL(struct point), b = CHANNEL(struct point);
    OUT_END(struct point) out = OUT_OF(a);
    IN_END(struct point) in = IN_OF(b);
    GO(buffer_point(2, a, b));
    WRITE(out, (struct point){1, 2});
    struct point p = READ(in);
    ck_assert(p.x == 1 && p.y == 2);
    CHAN(unsigned long) d = CHANNEL(unsigned long), e = CHANNEL(unsigned long);
    OUT_END(unsigned long) number = OUT_OF(d);
    IN_END(unsigned long) next = IN_OF(e);
    GO(successor_ulong(d, e));
    WRITE(number, 1ul << 40);
    ck_assert(READ(next) == (1ul << 40) + 1);
}

/* ---- how they end ---- */

enum {
    IDENTITY,
    PREFIX,
    TAIL,
    DELTA,
    DELTA_PAR,
    BROADCAST,
    MUX,
    BUFFER,
    OVERWRITE,
    REGULATE,
    SUCCESSOR,
    PLUS,
    KINDS
};

/* One of each, with inputs A and B (where it has a second one) and outputs C and D. */
static uvcsp_process one(int kind)
{
    switch (kind) {
    case IDENTITY:
        return identity_int(c[A], c[C]);
    case PREFIX:
        return prefix_int(1, c[A], c[C]);
    case TAIL:
        return tail_int(c[A], c[C]);
    case DELTA:
        return delta_int(c[A], c[C], c[D]);
    case DELTA_PAR:
        return delta_par_int(c[A], c[C], c[D]);
    case BROADCAST:
        return broadcast_int(c[A], &c[C], 2);
    case MUX:
        return mux_int(c, 2, c[C]);
    case BUFFER:
        return buffer_int(3, c[A], c[C]);
    case OVERWRITE:
        return overwrite_int(3, c[A], c[C]);
    case REGULATE:
        return regulate_int(0.001, c[A], c[C]);
    case SUCCESSOR:
        return successor_int(c[A], c[C]);
    default:
        return plus_int(c[A], c[B], c[C]);
    }
}

static bool has_two_inputs(int kind)
{
    return kind == MUX || kind == PLUS;
}

static bool has_two_outputs(int kind)
{
    return kind == DELTA || kind == DELTA_PAR || kind == BROADCAST;
}

/* What the ends of main meet, once the process has ended. A message may come first. */
static int read_status(IN_END(int) in)
{
    int x, status;
    while ((status = uvcsp_read_timeout(in, &x, 10)) == UVCSP_OK)
        ;
    return status;
}

static int write_status(OUT_END(int) out)
{
    int x = 0, status;
    while ((status = uvcsp_write_timeout(out, &x, 10)) == UVCSP_OK)
        ;
    return status;
}

TEST(poison_at_one_end_poisons_the_others, .times = KINDS * 2)
{
    int kind = _i / 2;
    bool from_output = _i % 2;
    channels_of(0);
    IN_END(int) in = IN_OF(c[C]), in2 = IN_OF(c[D]);
    OUT_END(int) out = OUT_OF(c[A]), out2 = OUT_OF(c[B]);
    uvcsp_handle *handle = GO(one(kind));
    if (kind == PLUS && from_output)
        GO(says(0, c[B])); /* it only sees that nobody reads when it has something to write */
    if (from_output) {
        POISON(in);
        ck_assert_int_eq(write_status(out), UVCSP_POISONED);
    } else {
        POISON(out);
        ck_assert_int_eq(read_status(in), UVCSP_POISONED);
    }
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    if (has_two_inputs(kind))
        ck_assert_int_eq(write_status(out2), UVCSP_POISONED);
    if (has_two_outputs(kind))
        ck_assert_int_eq(read_status(in2), UVCSP_POISONED);
}

TEST(retirement_at_one_end_retires_the_others, .times = KINDS * 2)
{
    int kind = _i / 2;
    bool from_output = _i % 2;
    channels_of(0);
    IN_END(int) in = IN_OF(c[C]), in2 = IN_OF(c[D]);
    OUT_END(int) out = OUT_OF(c[A]), out2 = OUT_OF(c[B]);
    uvcsp_handle *handle = GO(one(kind));
    if (kind == PLUS && from_output)
        GO(says(0, c[B])); /* it only sees that nobody reads when it has something to write */
    if (from_output) {
        RETIRE(in);
        if (kind == BROADCAST)
            RETIRE(in2);
        ck_assert_int_eq(write_status(out), UVCSP_RETIRED);
    } else {
        RETIRE(out);
        if (kind == MUX)
            RETIRE(out2);
        ck_assert_int_eq(read_status(in), UVCSP_RETIRED);
    }
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    if (has_two_inputs(kind))
        ck_assert_int_eq(write_status(out2), UVCSP_RETIRED);
    if (has_two_outputs(kind))
        ck_assert_int_eq(read_status(in2), UVCSP_RETIRED);
}

SUITE("kit", .before = default_signals, .after = uvcsp_shutdown)
