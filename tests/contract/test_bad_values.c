/* Values that are not what a call can use: ends that were sent before, guards, times, and names. A line on stderr says
   which and why, and nothing is lost. */
#include <math.h>

#include "tests/contract/refusals.h"

/* ---- ends that were sent before ---- */

TEST(an_end_that_was_sent_cannot_be_sent_again_by_who_had_it)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 4, .name = "ends");
    CHAN(int) d = CHANNEL(int, .capacity = 1);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    IN_END(uvcsp_end) from = IN_OF(c);
    IN_END(int) in = IN_OF(d);
    uvcsp_end e = MOBILE(OUT_OF(d));
    ck_assert_int_eq(uvcsp_write(to, &e), UVCSP_OK);
    REFUSES(uvcsp_write(to, &e), -EINVAL, "cannot be sent over channel 'ends': the end was sent before");
    ck_assert_int_eq(uvcsp_channel_size(c), 1);
    uvcsp_end f = MOBILE(AS_OUT(int, READ(from)));
    WRITE(to, f);
    REFUSES(uvcsp_write_try(to, &f), -EINVAL, "the end was sent before");
    REFUSES(uvcsp_write_timeout(to, &f, 1), -EINVAL, "the end was sent before");
    REFUSES(uvcsp_alt((uvcsp_guard[]){ON_WRITE(to, f)}, 1, UVCSP_FAIR), -EINVAL, "guard 0: this value cannot be sent");
    REFUSES(uvcsp_alt((uvcsp_guard[]){WHEN(0, ON_SKIP), ON_WRITE(to, f), ON_SKIP}, 3, UVCSP_PRI), -EINVAL,
            "guard 1: this value cannot be sent over channel 'ends': the end was sent before");
    REFUSES(uvcsp_write(to, &(uvcsp_end){NULL}), -EINVAL, "no end in it");
    ck_assert_int_eq(uvcsp_channel_size(c), 1);
    OUT_END(int) out = AS_OUT(int, READ(from));
    WRITE(out, 3);
    ck_assert_int_eq(READ(in), 3);
}

ABORTS(write_of_an_end_that_was_sent_before_aborts, "the end was sent before",
       CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 4); OUT_END(uvcsp_end) to = OUT_OF(c);
       uvcsp_end e = MOBILE(OUT_OF(CHANNEL(int))); WRITE(to, e); WRITE(to, e);)

PROCESS(sends_it_twice, OUT(uvcsp_end, to))
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_end e = MOBILE(OUT_OF(c));
    WRITE(to, e);
    MUST(uvcsp_write(to, &e) == -EINVAL);
    MUST(READ(in) == 6); /* the other has it by now */
    MUST(uvcsp_write(to, &e) == -EINVAL);
    MUST(uvcsp_alt((uvcsp_guard[]){ON_WRITE(to, e), ON_TIMEOUT(60)}, 2, UVCSP_FAIR) == -EINVAL);
    MUST(READ(in) == 7);
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_RETIRED);
}

PROCESS(takes_it_once, IN(uvcsp_end, from))
{
    OUT_END(int) out = AS_OUT(int, READ(from));
    WRITE(out, 6);
    WRITE(out, 7);
    RETIRE(out);
    uvcsp_end e;
    MUST_BE(uvcsp_read(from, &e), UVCSP_RETIRED);
}

TEST(nor_can_it_while_its_receiver_has_it, .times = PLACEMENTS * 2)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = _i / PLACEMENTS);
    SAYS("the end was sent before, or is another process's",
         ck_assert_int_eq(RUN(_i % PLACEMENTS, sends_it_twice(c), takes_it_once(c)), 0));
}

PROCESS(sends_what_is_not_its_own, OUT(uvcsp_end, to), VAL(uvcsp_end, e))
{
    MUST(uvcsp_write(to, &e) == -EINVAL);
}

TEST(an_end_of_another_process_cannot_be_sent, .times = PLACEMENTS)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 1);
    CHAN(int) d = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(d);
    uvcsp_end e = MOBILE(OUT_OF(d));
    SAYS("another process's", ck_assert_int_eq(RUN((enum placement)_i, sends_what_is_not_its_own(c, e)), 0));
    OUT_END(int) out = AS_OUT(int, e);
    WRITE(out, 4);
    ck_assert_int_eq(READ(in), 4);
}

/* A callback of the loop reads an end, and sends it on when there is room. */
static struct {
    IN_END(uvcsp_end) from;
    OUT_END(uvcsp_end) to;
    int tried, sent, again;
} forward;

static void sends_on(uv_timer_t *timer)
{
    uvcsp_end e;
    if (uvcsp_read_try(forward.from, &e) != UVCSP_OK)
        return;
    forward.tried = uvcsp_write_try(forward.to, &e);
    POISON(forward.to);
    forward.to = timer->data;
    forward.sent = uvcsp_write_try(forward.to, &e);
    forward.again = uvcsp_write_try(forward.to, &e);
}

TEST(a_callback_of_the_loop_can_send_an_end_on_once)
{
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end, .capacity = 1), d = CHANNEL(uvcsp_end),
                    e = CHANNEL(uvcsp_end, .capacity = 2);
    CHAN(int) given = CHANNEL(int, .capacity = 1);
    OUT_END(uvcsp_end) to = OUT_OF(c);
    IN_END(uvcsp_end) from = IN_OF(e);
    IN_END(int) in = IN_OF(given);
    forward.from = IN_OF(c);
    forward.to = OUT_OF(d);
    uv_timer_t timer = {.data = OUT_OF(e)};
    WRITE(to, MOBILE(OUT_OF(given)));
    uv_timer_init(uvcsp_loop(), &timer);
    uv_timer_start(&timer, sends_on, 0, 0);
    OUT_END(int) out;
    SAYS("the end was sent before", out = AS_OUT(int, READ(from)));
    ck_assert_int_eq(forward.tried, UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(forward.sent, UVCSP_OK);
    ck_assert_int_eq(forward.again, -EINVAL);
    WRITE(out, 9);
    ck_assert_int_eq(READ(in), 9);
    uv_close((uv_handle_t *)&timer, NULL);
    uvcsp_sleep(0.001);
}

/* ---- guards ---- */

#define REFUSES_GUARD(mode, guard, code, words)                                                                        \
    REFUSES(uvcsp_alt((uvcsp_guard[]){WHEN(0, ON_SKIP), guard, ON_TIMEOUT(60)}, 3, mode), code, "guard 1: " words)

TEST(a_choice_says_which_guard_is_none_and_why, .times = 2)
{
    enum uvcsp_choice mode = _i ? UVCSP_PRI : UVCSP_FAIR;
    int x;
    REFUSES_GUARD(mode, ON_FD(9999, UV_READABLE), -EBADF, "descriptor 9999: it is not open");
    REFUSES_GUARD(mode, ON_FD(-1, UV_READABLE), -EBADF, "descriptor -1: it is not open");
    REFUSES_GUARD(mode, ON_FD(0, 0), -EINVAL, "descriptor 0: there is no event to wait for");
    REFUSES_GUARD(mode, ON_FD(0, UV_READABLE | 1 << 10), -EINVAL, "descriptor 0: some of its events are none");
    REFUSES_GUARD(mode, ON_SIGNAL(SIGKILL), -EINVAL, "signal 9: it cannot be caught");
    REFUSES_GUARD(mode, ON_SIGNAL(SIGSEGV), -EINVAL, "signal 11: it cannot be caught");
    REFUSES_GUARD(mode, ON_SIGNAL(SIGURG), -EINVAL, "signal 23: it is the library's own");
    REFUSES_GUARD(mode, ON_SIGNAL(0), -EINVAL, "signal 0: there is no such signal");
    REFUSES_GUARD(mode, ON_SIGNAL(-3), -EINVAL, "signal -3: there is no such signal");
    REFUSES_GUARD(mode, ON_SIGNAL(1000), -EINVAL, "signal 1000: there is no such signal");
    REFUSES_GUARD(mode, ON_READ((IN_END(int))NULL, &x), -EINVAL, "the end is NULL");
    REFUSES_GUARD(mode, ON_WRITE((OUT_END(int))NULL, 1), -EINVAL, "the end is NULL");
    all_is_well();
}

ABORTS(a_choice_with_a_signal_that_cannot_be_caught_says_so_and_aborts, "guard 1: signal 9: it cannot be caught",
       (void)ALT(ON_TIMEOUT(60), ON_SIGNAL(SIGKILL));)
ABORTS(a_choice_with_a_closed_descriptor_says_so_and_aborts, "guard 0: descriptor 9999: it is not open",
       (void)PRI_ALT(ON_FD(9999, UV_READABLE), ON_SKIP);)

TEST(a_way_to_choose_that_is_none_is_refused_also_where_a_guard_is_ready)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1), d = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c), other = IN_OF(d);
    OUT_END(int) out = OUT_OF(c), unused = OUT_OF(d);
    int x = 5;
    (void)unused;
    uvcsp_guard guards[] = {ON_READ(in, &x), ON_READ(other, &x)}, skip = ON_SKIP;
    for (int i = 0; i < 40; i++) { /* it becomes a habit */
        WRITE(out, i);
        ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), 0);
    }
    WRITE(out, 7);
    x = 5;
    static const int ways[] = {77, 2, -1};
    for (int i = 0; i < 3; i++) {
        enum uvcsp_choice way = (enum uvcsp_choice)ways[i];
        REFUSES(uvcsp_alt(guards, 2, way), -EINVAL, "is no way to choose");
        REFUSES(uvcsp_alt(guards, 1, way), -EINVAL, "is no way to choose");
        REFUSES(uvcsp_alt(&skip, 1, way), -EINVAL, "uvcsp_alt: ");
    }
    ck_assert_int_eq(x, 5);
    ck_assert_int_eq(uvcsp_channel_size(c), 1);
    ck_assert_int_eq(uvcsp_alt(guards, 1, UVCSP_FAIR), 0);
    ck_assert_int_eq(x, 7);
}

/* ---- times ---- */

PROCESS(does_nothing, IN(int, in))
{
    (void)in;
}

#define NO_NUMBER "the timeout is not a number"

TEST(a_timeout_that_is_no_number_is_refused_whether_or_not_there_is_something_to_wait_for, .times = 2)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1), d = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x = 5;
    if (_i == 1)
        WRITE(out, 4);
    REFUSES(uvcsp_read_timeout(in, &x, NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_write_timeout(out, &x, NAN), -EINVAL, NO_NUMBER);
    ck_assert_int_eq(x, 5);
    ck_assert_int_eq(uvcsp_channel_size(c), _i);
    uvcsp_handle *handle = SPAWN(does_nothing(d));
    if (_i == 1)
        ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    REFUSES(uvcsp_join(handle, NAN), -EINVAL, NO_NUMBER);
    ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    SAYS("uvcsp_sleep: " NO_NUMBER, uvcsp_sleep(NAN));
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    if (_i == 1)
        ck_assert_int_eq(write(fds[1], "x", 1), 1);
    REFUSES(uvcsp_wait_fd(fds[0], UV_READABLE, NAN), -EINVAL, NO_NUMBER);
    close(fds[0]);
    close(fds[1]);
}

TEST(a_choice_with_a_timeout_that_is_no_number_is_refused, .times = 2)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    enum uvcsp_choice mode = _i ? UVCSP_PRI : UVCSP_FAIR;
    int x;
    (void)out;
    REFUSES_GUARD(mode, ON_TIMEOUT(NAN), -EINVAL, NO_NUMBER);
    REFUSES(uvcsp_alt((uvcsp_guard[]){ON_READ(in, &x), ON_TIMEOUT(-NAN), ON_TIMEOUT(0)}, 3, mode), -EINVAL,
            "guard 1: " NO_NUMBER);
    REFUSES(uvcsp_alt((uvcsp_guard[]){ON_TIMEOUT(NAN)}, 1, mode), -EINVAL, "guard 0: " NO_NUMBER);
}

ABORTS(alt_with_a_timeout_that_is_no_number_says_so_and_aborts, "guard 1: " NO_NUMBER,
       (void)ALT(ON_TIMEOUT(60), ON_TIMEOUT(NAN));)

SUITE("bad_values", .before = default_signals, .after = uvcsp_shutdown)
