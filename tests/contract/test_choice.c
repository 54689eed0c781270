/* Choice in one process: the guards, priority and fairness, arrays of guards, codes, and what is
   left behind. */
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "tests/contract/contract.h"

/* ---- each guard ---- */

TEST(a_read_and_a_write_guard_are_taken_when_they_are_ready)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1), d = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) into_c = OUT_OF(c), out = OUT_OF(d);
    IN_END(int) from_d = IN_OF(d);
    int x = 0;
    WRITE(out, 1);
    WRITE(into_c, 7);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_WRITE(out, 2)), 0);
    ck_assert_int_eq(x, 7);
    ck_assert_int_eq(READ(from_d), 1);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_WRITE(out, 3)), 1);
    ck_assert_int_eq(READ(from_d), 3);
    ck_assert_int_eq(x, 7);
}

TEST(a_timeout_guard_is_taken_after_its_time_and_the_shortest_first)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x;
    double begin = uvcsp_now();
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_TIMEOUT(30), ON_TIMEOUT(0.02), ON_TIMEOUT(40)), 2);
    ck_assert(uvcsp_now() - begin >= 0.02);
    ck_assert(uvcsp_now() - begin < 10);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_TIMEOUT(0)), 1);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_TIMEOUT(-1)), 1);
    ck_assert_int_eq(ALT(ON_TIMEOUT(0.001)), 0);
    (void)out;
}

/* In PyCSP both worked once. */
TEST(the_same_skip_and_timeout_guards_work_again_and_again)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x;
    uvcsp_guard skip[] = {ON_READ(in, &x), ON_SKIP},
                timeout[] = {ON_READ(in, &x), ON_TIMEOUT(0.002)};
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(uvcsp_alt(skip, 2, UVCSP_PRI), 1);
        ck_assert_int_eq(uvcsp_alt(skip, 2, UVCSP_FAIR), 1);
        double begin = uvcsp_now();
        ck_assert_int_eq(uvcsp_alt(timeout, 2, UVCSP_FAIR), 1);
        ck_assert(uvcsp_now() - begin >= 0.002);
    }
    (void)out;
}

TEST(a_descriptor_guard_is_taken_when_it_can_be_read_or_written)
{
    int fds[2];
    char byte;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE), ON_TIMEOUT(0.005)), 1);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE), ON_FD(fds[1], UV_WRITABLE)), 1);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE), ON_TIMEOUT(30)), 0);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE), ON_SKIP), 1);
    close(fds[1]);
    ck_assert_int_eq(ALT(ON_FD(fds[0], UV_READABLE), ON_TIMEOUT(30)), 0); /* hung up */
    close(fds[0]);
    uvcsp_guard closed = ON_FD(fds[0], UV_READABLE);
    ck_assert_int_eq(uvcsp_alt(&closed, 1, UVCSP_FAIR), -EBADF);
}

PROCESS(writes_a_byte, IN(int, go), VAL(int, fd))
{
    (void)READ(go);
    MUST(write(fd, "x", 1) == 1);
}

TEST(a_process_that_waits_for_a_descriptor_is_woken_by_it)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    CHAN(int) go = CHANNEL(int), never = CHANNEL(int);
    OUT_END(int) start = OUT_OF(go), held = OUT_OF(never);
    IN_END(int) in = IN_OF(never);
    uvcsp_handle *writer = GO(writes_a_byte(go, fds[1]));
    int x;
    WRITE(start, 1);
    ck_assert_int_eq(ALT(ON_READ(in, &x), ON_FD(fds[0], UV_READABLE)), 1);
    ck_assert_int_eq(uvcsp_join(writer, -1), UVCSP_OK);
    close(fds[0]);
    close(fds[1]);
    (void)held;
}

TEST(a_signal_guard_is_taken_once_for_each_signal)
{
    ck_assert_int_eq(ALT(ON_SIGNAL(SIGUSR1), ON_TIMEOUT(0)), 1); /* from here on it is watched */
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        ck_assert_int_eq(ALT(ON_SIGNAL(SIGUSR1), ON_TIMEOUT(30)), 0);
        ck_assert_int_eq(ALT(ON_SIGNAL(SIGUSR1), ON_TIMEOUT(0.002)), 1);
    }
}

PROCESS(reads_one, IN(int, in))
{
    (void)READ(in);
}

TEST(an_ended_guard_is_taken_when_the_process_has_ended_and_stays_ready, .times = 2)
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *handle = _i ? SPAWN(reads_one(c)) : GO(reads_one(c));
    ck_assert_int_eq(ALT(ON_ENDED(handle), ON_TIMEOUT(0.005)), 1);
    WRITE(out, 1);
    ck_assert_int_eq(ALT(ON_ENDED(handle), ON_TIMEOUT(30)), 0);
    ck_assert_int_eq(ALT(ON_ENDED(handle), ON_TIMEOUT(30)), 0);
}

TEST(when_switches_a_guard_off_and_the_others_keep_their_index)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int x = 0;
    for (int on = 0; on < 2; on++) {
        WRITE(out, on);
        ck_assert_int_eq(PRI_ALT(WHEN(on, ON_READ(in, &x)), WHEN(!on, ON_SKIP), ON_TIMEOUT(9)),
                         on ? 0 : 1);
        if (!on)
            (void)READ(in);
    }
    ck_assert_int_eq(x, 1);
    ck_assert_int_eq(ALT(WHEN(false, ON_SKIP), ON_TIMEOUT(0.001), WHEN(false, ON_TIMEOUT(0))), 1);
    uvcsp_guard off[] = {WHEN(false, ON_READ(in, &x)), WHEN(true, WHEN(false, ON_SKIP))};
    ck_assert_int_eq(uvcsp_alt(off, 2, UVCSP_FAIR), -EINVAL);
}

/* ---- arrays, codes, bad guards ---- */

TEST(a_choice_of_no_guards_is_refused_with_a_line)
{
    uvcsp_guard none[1], bad = {.kind = 77, .on = true},
                         null = {.kind = UVCSP_GUARD_READ, .on = true};
    house_capture(2);
    int codes[] = {uvcsp_alt(none, 0, UVCSP_FAIR), uvcsp_alt(NULL, 0, UVCSP_PRI),
                   uvcsp_alt(&bad, 1, UVCSP_FAIR), uvcsp_alt(&null, 1, UVCSP_FAIR)};
    char *said = house_captured();
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(codes[i], -EINVAL);
    ck_assert_contains(said, "none of them switched on");
    ck_assert_contains(said, "no known kind");
    ck_assert_contains(said, "NULL");
    free(said);
}

TEST(a_choice_of_ten_thousand_guards_takes_the_one_that_is_ready)
{
    enum { N = 10000 };
    uvcsp_guard *guards = calloc(N + 1, sizeof *guards);
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c);
    int x = 0;
    for (int i = 0; i < N; i++) {
        CHAN(int) quiet = CHANNEL(int);
        guards[i] = ON_READ(IN_OF(quiet), &x);
        (void)OUT_OF(quiet);
    }
    guards[9999] = ON_READ(IN_OF(c), &x);
    guards[N] = ON_TIMEOUT(0.002);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(uvcsp_alt(guards, N + 1, UVCSP_FAIR), N);
        WRITE(out, i);
        ck_assert_int_eq(uvcsp_alt(guards, N, i % 2 ? UVCSP_FAIR : UVCSP_PRI), 9999);
        ck_assert_int_eq(x, i);
    }
    free(guards);
}

PROCESS(poisons, OUT(int, out))
{
    POISON(out);
}

PROCESS(retires, OUT(int, out))
{
    (void)out;
}

/* Met at once, and met while it waits; from this worker and from another. */
TEST(a_guard_that_has_ended_is_told_by_code_and_index, .times = 8)
{
    bool by_poison = _i % 2, waits = _i / 2 % 2, forked = _i / 4;
    CHAN(int) c = CHANNEL(int), other = CHANNEL(int);
    int x;
    OUT_END(int) held = OUT_OF(other);
    IN_END(int) quiet = IN_OF(other), in = IN_OF(c);
    uvcsp_process p = by_poison ? poisons(c) : retires(c);
    uvcsp_guard guards[] = {ON_TIMEOUT(30), ON_READ(quiet, &x), ON_READ(in, &x)};
    if (waits)
        ck_assert_ptr_nonnull(forked ? SPAWN(p) : GO(p));
    else
        ck_assert_int_eq(forked ? PAR(p) : CO(p), 0);
    int expected = by_poison ? -UVCSP_POISONED : -UVCSP_RETIRED;
    ck_assert_int_eq(uvcsp_alt(guards, 3, UVCSP_FAIR), expected);
    ck_assert_int_eq(uvcsp_alt_failed(), 2);
    ck_assert_int_eq(uvcsp_alt(guards, 3, UVCSP_PRI), expected);
    ck_assert_int_eq(uvcsp_alt_failed(), 2);
    guards[2].on = false;
    guards[0].seconds = 0;
    ck_assert_int_eq(uvcsp_alt(guards, 3, UVCSP_FAIR), 0);
    ck_assert_int_eq(uvcsp_alt_failed(), -1);
    (void)held;
}

/* ---- nothing is left behind ---- */

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

PROCESS(answers, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

static double time_of_round_trips(OUT_END(int) out, IN_END(int) in, int n)
{
    double begin = cpu_seconds();
    for (int i = 0; i < n; i++) {
        WRITE(out, i);
        ck_assert_int_eq(READ(in), i);
    }
    return cpu_seconds() - begin;
}

PROCESS(chooses_and_loses, IN(int, quiet), OUT(int, unheard), IN(int, busy), VAL(int, n))
{
    int x;
    for (int i = 0; i < n; i++)
        MUST(ALT(ON_READ(quiet, &x), ON_WRITE(unheard, 1), ON_READ(busy, &x)) == 2);
}

PROCESS(keeps_busy, OUT(int, busy), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(busy, i);
}

/* PyCSP's next communication took 72 ms after two thousand. The channels on which a million offers
   were made and lost are as good as new: nobody waits there, and a communication takes what it took
   before. */
TEST(a_million_choices_leave_nothing_behind, .seconds = 60)
{
    int n = house_valgrind() ? 10000 : 1000000;
    CHAN(int) quiet = CHANNEL(int), unheard = CHANNEL(int), busy = CHANNEL(int);
    OUT_END(int) out = OUT_OF(quiet);
    IN_END(int) in = IN_OF(unheard);
    double before;
    {
        CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
        GO(answers(there, back));
        OUT_END(int) to = OUT_OF(there);
        before = time_of_round_trips(to, IN_OF(back), 5000);
        RETIRE(to);
    }
    ck_assert_int_eq(CO(chooses_and_loses(quiet, unheard, busy, n), keeps_busy(busy, n)), 0);
    int x = 1;
    ck_assert_int_eq(uvcsp_write_try(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_RETIRED);
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    GO(answers(there, back));
    OUT_END(int) to = OUT_OF(there);
    IN_END(int) from = IN_OF(back);
    for (int i = 0; i < n / 10; i++)
        ck_assert_int_eq(ALT(ON_READ(from, &x), ON_TIMEOUT(0)), 1);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(ALT(ON_READ(from, &x), ON_TIMEOUT(0.0001)), 1);
    double after = time_of_round_trips(to, from, 5000);
    RETIRE(to);
    ck_assert_msg(after < 5 * before + 0.005, "%g s before, %g s afterwards", before, after);
}

/* ---- a choice that a process does over and over, and others that look like it ---- */

PROCESS(writes_and_poisons, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
    POISON(out);
}

/* The same guards, at the same place: by ALT's function poison ends the process, by uvcsp_alt() it is told. */
PROCESS(chooses_in_both_ways, IN(int, a), IN(int, b), VAL(int *, told))
{
    int x, y;
    uvcsp_guard guards[] = {ON_READ(a, &x), ON_READ(b, &y)};
    for (int i = 0; i < 300; i++)
        (void)uvcsp_choose(guards, 2, UVCSP_FAIR, "here:1");
    do
        *told = uvcsp_alt(guards, 2, UVCSP_FAIR);
    while (*told >= 0);
    guards[0].on = guards[1].on = 0;
    house_capture(2);
    MUST_BE(uvcsp_alt(guards, 2, UVCSP_FAIR), -EINVAL);
    free(house_captured());
}

TEST(uvcsp_alt_tells_of_poison_also_where_alt_has_chosen_among_the_same_guards_over_and_over)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    int told = 0;
    ck_assert_int_eq(CO(chooses_in_both_ways(a, b, &told), writes_and_poisons(a, 170), writes_and_poisons(b, 170)), 0);
    ck_assert_int_eq(told, -UVCSP_POISONED);
}

PROCESS(writes_from_afar, OUT(int, out))
{
    uvcsp_sleep(0.05);
    WRITE(out, 7);
}

PROCESS(starts_one_afar, OUT(int, a), OUT(int, b))
{
    (void)b;
    uvcsp_yield();
    uvcsp_yield(); /* the choice waits, and has been made among channels of this worker alone */
    PAR(writes_from_afar(a));
}

PROCESS(ends_at_once, OUT(int, out))
{
    (void)out;
}

PROCESS(chooses_twice, IN(int, a), IN(int, b), IN(int, ended), VAL(int *, failed))
{
    int x = 0, y = 0;
    uvcsp_guard first[] = {ON_READ(a, &x), ON_READ(ended, &y)}, second[] = {ON_READ(a, &x), ON_READ(b, &y)};
    MUST_BE(uvcsp_alt(first, 2, UVCSP_FAIR), -UVCSP_RETIRED);
    failed[0] = uvcsp_alt_failed();
    MUST_BE(uvcsp_alt(second, 2, UVCSP_PRI), 0);
    failed[1] = uvcsp_alt_failed();
    MUST_BE(x, 7);
}

TEST(no_guard_has_failed_after_a_choice_that_was_taken_from_another_worker)
{
    CHAN(int) a = CHANNEL(int, .carrier = UVCSP_SHARED), b = CHANNEL(int), ended = CHANNEL(int);
    int failed[2];
    ck_assert_int_eq(CO(chooses_twice(a, b, ended, failed), ends_at_once(ended), starts_one_afar(a, b)), 0);
    ck_assert_int_eq(failed[0], 1);
    ck_assert_int_eq(failed[1], -1);
}

SUITE("choice", .after = uvcsp_shutdown)
