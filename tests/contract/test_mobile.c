/* Ends that are sent over channels: within a worker, between workers, over several hops, through
   buffers. */
#include "tests/contract/contract.h"

static const enum uvcsp_carrier carriers[] = {UVCSP_PIPE, UVCSP_SHARED};

/* ---- one hop ---- */

PROCESS(sends_its_end, OUT(uvcsp_end, to))
{
    CHAN(int) c = CHANNEL(int);
    WRITE(to, MOBILE(IN_OF(c)));
    OUT_END(int) out = OUT_OF(c);
    for (int i = 0; i < 50; i++)
        WRITE(out, i);
}

PROCESS(reads_from_it, IN(uvcsp_end, from))
{
    IN_END(int) in = AS_IN(int, READ(from));
    for (int i = 0; i < 50; i++)
        MUST(READ(in) == i);
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED);
}

TEST(a_reading_end_can_be_sent, .times = PLACEMENTS * 4)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .carrier = carriers[_i / PLACEMENTS % 2],
                                .capacity = _i / PLACEMENTS / 2);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, sends_its_end(c), reads_from_it(c)), 0);
}

PROCESS(asks, OUT(uvcsp_end, server), VAL(int, n), VAL(int, me))
{
    for (int i = 0; i < n; i++) {
        CHAN(int) reply = CHANNEL(int);
        IN_END(int) in = IN_OF(reply);
        WRITE(server, MOBILE(OUT_OF(reply)));
        MUST(READ(in) == i + 1);
        int x;
        MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED); /* the server has let go of it */
        RETIRE(in);
        uvcsp_channel_free(reply);
    }
    (void)me;
}

PROCESS(serves_one, IN(uvcsp_end, in), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        OUT_END(int) out = AS_OUT(int, READ(in));
        WRITE(out, i + 1);
        RETIRE(out);
    }
}

TEST(a_writing_end_in_a_request_is_where_the_answer_goes, .times = PLACEMENTS * 4)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .carrier = carriers[_i / PLACEMENTS % 2],
                                .capacity = _i / PLACEMENTS / 2);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, asks(c, 100, 1), serves_one(c, 100)), 0);
}

/* ---- several hops ---- */

PROCESS(starts_it, OUT(uvcsp_end, to), OUT(int, given))
{
    CHAN(int) mine = CHANNEL(int);
    IN_END(int) in = IN_OF(mine);
    WRITE(to, MOBILE(OUT_OF(mine)));
    MUST(READ(in) == 99);
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED);
    WRITE(given, 1);
}

PROCESS(hands_on, IN(uvcsp_end, from), OUT(uvcsp_end, to))
{
    uvcsp_end e = READ(from);
    WRITE(to, e);
}

PROCESS(uses_it, IN(uvcsp_end, from))
{
    OUT_END(int) out = AS_OUT(int, READ(from));
    WRITE(out, 99);
}

TEST(an_end_goes_over_several_hops_and_those_on_the_way_may_end_before_it_is_used,
     .times = PLACEMENTS * 4)
{
    CHAN(uvcsp_end) c[5];
    CHAN(int) done = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(done);
    ck_assert_int_eq(CHANNELS(uvcsp_end, c, 5, .carrier = carriers[_i / PLACEMENTS % 2],
                              .capacity = _i / PLACEMENTS / 2),
                     0);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, starts_it(c[0], done), hands_on(c[0], c[1]),
                         hands_on(c[1], c[2]), WORKER(hands_on(c[2], c[3]), hands_on(c[3], c[4])),
                         uses_it(c[4])),
                     0);
    ck_assert_int_eq(READ(in), 1);
}

/* A buffer holds the ends while nobody has them: sender and maker are gone. */
PROCESS(leaves_ends, OUT(uvcsp_end, to), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        CHAN(int) c = CHANNEL(int, .capacity = 2);
        OUT_END(int) out = OUT_OF(c);
        WRITE(out, i);
        WRITE(to, MOBILE(IN_OF(c)));
    }
}

PROCESS(finds_ends, IN(uvcsp_end, from), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        IN_END(int) in = AS_IN(int, READ(from));
        MUST(READ(in) == i);
        int x;
        MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED);
        RETIRE(in);
    }
}

TEST(ends_wait_in_a_buffer_for_somebody_to_have_them, .times = 4)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 20);
    ck_assert_int_eq(RUN(_i % 2, leaves_ends(c, 20)), 0);
    ck_assert_int_eq(RUN(_i / 2, finds_ends(c, 20)), 0);
}

TEST(an_end_that_is_dropped_with_its_channel_retires)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 2);
    CHAN(int) d = CHANNEL(int), e = CHANNEL(int);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    OUT_END(int) into_d = OUT_OF(d), into_e = OUT_OF(e);
    int x = 1;
    WRITE(to, MOBILE(IN_OF(d)));
    WRITE(to, MOBILE(IN_OF(e)));
    ck_assert_int_eq(uvcsp_write_try(into_d, &x), UVCSP_WOULD_BLOCK); /* still counted on its way */
    POISON(c);
    ck_assert_int_eq(uvcsp_write(into_d, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_write(into_e, &x), UVCSP_RETIRED);
}

/* ---- what stays behind ---- */

TEST(the_pointer_that_an_end_was_taken_from_is_retired)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    uvcsp_end moved = MOBILE(out);
    int x = 2;
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK); /* and the side has not */
    OUT_END(int) again = AS_OUT(int, moved);
    WRITE(again, 3);
    ck_assert_int_eq(READ(in), 3);
    RETIRE(again);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

TEST(an_end_that_could_not_be_sent_is_still_the_senders)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end);
    CHAN(int) d = CHANNEL(int, .capacity = 1);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    IN_END(uvcsp_end) from = IN_OF(c);
    IN_END(int) in = IN_OF(d);
    uvcsp_end e = MOBILE(OUT_OF(d)), none;
    ck_assert_int_eq(uvcsp_write_try(to, &e), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_write_timeout(to, &e, 0.002), UVCSP_TIMEOUT);
    ck_assert_int_eq(ALT(ON_WRITE(to, e), ON_TIMEOUT(0.002)), 1);
    ck_assert_int_eq(ALT(ON_WRITE(to, e), ON_READ(from, &none), ON_SKIP), 2);
    POISON(c);
    ck_assert_int_eq(uvcsp_write(to, &e), UVCSP_POISONED);
    OUT_END(int) out = AS_OUT(int, e);
    WRITE(out, 8);
    ck_assert_int_eq(READ(in), 8);
}

PROCESS(chooses_to_send, OUT(uvcsp_end, a), OUT(uvcsp_end, b), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        CHAN(int) c = CHANNEL(int, .capacity = 2);
        OUT_END(int) out = OUT_OF(c);
        WRITE(out, i);
        RETIRE(out);
        uvcsp_end e = MOBILE(IN_OF(c));
        (void)ALT(ON_WRITE(a, e), ON_WRITE(b, e));
    }
}

PROCESS(chooses_to_get, IN(uvcsp_end, a), IN(uvcsp_end, b), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        uvcsp_end e;
        (void)ALT(ON_READ(a, &e), ON_READ(b, &e));
        IN_END(int) in = AS_IN(int, e);
        MUST(READ(in) == i);
        RETIRE(in);
    }
}

TEST(an_end_can_be_offered_by_several_guards_of_a_choice, .times = PLACEMENTS * 2)
{
    CHAN(uvcsp_end) a = CHANNEL(uvcsp_end, .carrier = carriers[_i / PLACEMENTS]),
                    b = CHANNEL(uvcsp_end);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, chooses_to_send(a, b, 100), chooses_to_get(a, b, 100)),
                     0);
}

PROCESS(asks_wrongly, VAL(int, way), IN(uvcsp_end, from))
{
    uvcsp_end e = READ(from);
    if (way == 0)
        (void)AS_OUT(int, e);
    else if (way == 1)
        (void)AS_IN(double, e);
    else
        (void)AS_IN(int, (uvcsp_end){NULL});
}

TEST(an_end_of_another_size_or_direction_is_told_and_aborts, .times = 3, .raises = SIGABRT)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 1);
    CHAN(int) d = CHANNEL(int);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    WRITE(to, MOBILE(IN_OF(d)));
    CO(asks_wrongly(_i, c));
}

PROCESS(dies_with_it, IN(uvcsp_end, from))
{
    (void)READ(from);
    raise(SIGKILL);
}

TEST(an_end_that_was_sent_to_a_worker_that_dies_is_poisoned_by_that)
{
    if (house_light())
        return;
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end);
    CHAN(int) d = CHANNEL(int);
    IN_END(int) in = IN_OF(d);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(dies_with_it(c));
    WRITE(to, MOBILE(OUT_OF(d)));
    int x, status = uvcsp_read(in, &x);
    uvcsp_join(handle, -1);
    free(house_captured());
    ck_assert_int_eq(status, UVCSP_POISONED);
    ck_assert_contains(uvcsp_cause(d), "dies_with_it");
}

SUITE("mobile", .before = default_signals, .after = uvcsp_shutdown)
