/* Nothing in the program can ever run again: it is told, and ended. */
#include "tests/deadlock/deadlock.h"

TEST(two_that_wait_for_each_other_are_told_with_name_place_channel_side_and_cycle)
{
    CHAN(int) a = CHANNEL(int, .name = "a"), b = CHANNEL(int, .name = "b");
    char *said = TOLD(PAR(passes_on(a, b), passes_on(b, a)));
    ck_assert_int_eq(count_of(said, "process 'passes_on' (pid "), 2);
    ck_assert_int_eq(count_of(said, "tests/deadlock/deadlock.h:"), 2);
    ck_assert_contains(said, "waits to read from channel 'a' (made at ");
    ck_assert_contains(said, "waits to read from channel 'b' (made at ");
    ck_assert_int_eq(count_of(said, "test_total.c:"), 3); /* where they were made, and where main is */
    ck_assert_contains(said, "process 'main' (pid ");
    ck_assert_contains(said, "waits for the processes of its PAR, CO or SEQ to end");
    ck_assert_contains(said, "the cycle: 'passes_on'");
    ck_assert_int_eq(count_of(said, "waits for 'passes_on'"), 2);
    free(said);
}

TEST(three_that_wait_in_a_circle_are_told)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
    char *said = TOLD(PAR(passes_on(a, b), passes_on(b, c), passes_on(c, a)));
    ck_assert_int_eq(count_of(said, "waits for 'passes_on'"), 3);
    free(said);
}

TEST(a_circle_of_light_and_forked_processes_is_told)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int), d = CHANNEL(int);
    char *said = TOLD(PAR(WORKER(passes_on(a, b), passes_on(b, c)), passes_on(c, d), passes_on(d, a)));
    ck_assert_int_eq(count_of(said, "waits for 'passes_on'"), 4);
    free(said);
}

TEST(a_circle_within_one_worker_is_told)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    char *said = TOLD(CO(passes_on(a, b), passes_on(b, a)));
    ck_assert_contains(said, "the cycle: ");
    free(said);
}

PROCESS(chooses, IN(int, in), IN(int, other), OUT(int, out))
{
    int x;
    for (;;) {
        (void)ALT(ON_READ(in, &x), ON_READ(other, &x));
        WRITE(out, x);
    }
}

TEST(a_choice_in_a_circle_is_told_with_its_guards)
{
    CHAN(int) a = CHANNEL(int, .name = "a"), b = CHANNEL(int, .name = "b"), c = CHANNEL(int, .name = "c");
    char *said = TOLD(PAR(chooses(a, b, c), passes_on(c, a), passes_on(c, b)));
    ck_assert_contains(said, "to read from channel 'a' (made at ");
    ck_assert_contains(said, ", or to read from channel 'b' (made at ");
    ck_assert_contains(said, "the cycle: ");
    free(said);
}

PROCESS(writes_first, OUT(int, out), IN(int, in))
{
    for (int i = 0;; i++) {
        WRITE(out, i);
        WRITE(out, i);
        (void)READ(in);
    }
}

TEST(writers_at_full_buffers_are_told)
{
    CHAN(int) a = CHANNEL(int, .capacity = 1, .name = "a"), b = CHANNEL(int, .capacity = 1, .name = "b");
    char *said = TOLD(PAR(writes_first(a, b), writes_first(b, a)));
    ck_assert_contains(said, "waits to write to channel 'a' (made at ");
    ck_assert_contains(said, "waits to write to channel 'b' (made at ");
    free(said);
}

PROCESS(asks_first, IN(int, in), OUT(int, out))
{
    WRITE(out, READ(in));
}

PROCESS(reads_first, IN(int, in), OUT(int, out))
{
    (void)READ(in);
    WRITE(out, 1);
    WRITE(out, 1);
}

TEST(a_reader_whose_writers_all_wait_elsewhere_is_told)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    free(TOLD(PAR(reads_first(c, d), asks_first(d, c), asks_first(d, c))));
}

PROCESS(has_children, VAL(int *, result))
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    *result = PAR(passes_on(a, b), passes_on(b, a));
}

TEST(a_parent_that_waits_for_them_gets_the_error_and_so_does_its_own)
{
    int *result = SHARED_VALUE(int, 0);
    char *said = TOLD(PAR(has_children(result)));
    ck_assert_int_eq(*result, -EDEADLK);
    ck_assert_contains(said, "process 'has_children'");
    free(said);
}

TEST(in_a_sequence_it_is_told_and_the_rest_is_run)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
    (void)OUT_OF(b);
    int *result = SHARED_VALUE(int, 0);
    free(TOLD(SEQ(passes_on(a, b), has_children(result), passes_on(c, c))));
    ck_assert_int_eq(*result, -EDEADLK);
}

PROCESS(looks_at_cause, IN(int, in), OUT(int, out), VAL(int *, status), VAL(bool *, told))
{
    int x;
    (void)out;
    *status = uvcsp_read(in, &x);
    *told = *status == UVCSP_POISONED && strncmp(uvcsp_cause(in), "deadlock: ", 10) == 0;
}

TEST(who_asks_for_the_status_sees_poison_and_the_cause)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    int *status = SHARED_VALUE(int, 0);
    bool *told = SHARED_VALUE(bool, false);
    free(TOLD(PAR(looks_at_cause(a, b, status, told), passes_on(b, a))));
    ck_assert_int_eq(*status, UVCSP_POISONED);
    ck_assert(*told);
}

static void note(void *noted)
{
    *(int *)noted += 1;
}

PROCESS(defers, IN(int, in), OUT(int, out), VAL(int *, noted))
{
    DEFER(note, noted);
    WRITE(out, READ(in));
}

TEST(what_was_deferred_runs)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    int *noted = SHARED_VALUE(int, 0);
    free(TOLD(PAR(defers(a, b, noted), passes_on(b, a))));
    ck_assert_int_eq(*noted, 1);
}

static void joins_again_and_again(void)
{
    uvcsp_queue *queue = uvcsp_queue_new(3);
    if (uvcsp_queue_put_new(queue, json_integer(1), 0) == UVCSP_OK)
        while (uvcsp_queue_join(queue, -1) == UVCSP_RETIRED)
            ;
}

TEST(who_would_only_wait_again_is_ended_with_the_program)
{
    char *said;
    int status = as_a_program(joins_again_and_again, &said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    free(said);
}

/* One who does not go when it is ended waits at a channel of its own, and then has nobody but itself. */
PROCESS(waits_again, IN(int, in), OUT(int, out))
{
    int x;
    (void)out;
    (void)uvcsp_read(in, &x);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) own = IN_OF(c);
    (void)uvcsp_read(own, &x);
}

static void waits_again_and_ignores_sigterm(void)
{
    signal(SIGTERM, SIG_IGN);
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    exit(PAR(waits_again(a, b), waits_again(b, a)) == -EDEADLK ? 40 : 41);
}

static void waits_again_and_has_asked_for_sigterm(void)
{
    (void)ALT(ON_SIGNAL(SIGTERM), ON_SKIP);
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    exit(PAR(waits_again(a, b), waits_again(b, a)) == -EDEADLK ? 40 : 41);
}

/* Whichever worker tells of it. */
TEST(the_program_ends_with_1_whatever_it_does_with_sigterm, .times = 4)
{
    char *said;
    int status = as_a_program(_i % 2 ? waits_again_and_ignores_sigterm : waits_again_and_has_asked_for_sigterm, &said);
    ck_assert_int_eq(count_of(said, NOTHING_CAN_RUN), 2);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%x: %s", status, said);
    free(said);
}

static char *told_of_ring(int n)
{
    static CHAN(int) c[1100];
    ck_assert_int_eq(CHANNELS(int, c, (size_t)n), 0);
    char *said = TOLD(CO_FOR(i, n, passes_on(c[i], c[(i + 1) % n])));
    for (int i = 0; i < n; i++)
        uvcsp_channel_free(c[i]);
    return said;
}

TEST(all_of_a_ring_of_many_are_told)
{
    char *said = told_of_ring(300);
    ck_assert_int_eq(count_of(said, "process 'passes_on' (pid "), 300);
    ck_assert_ptr_null(strstr(said, " more"));
    ck_assert_contains(said, "and so on, round 300 processes");
    free(said);
}

TEST(of_a_ring_of_very_many_a_thousand_are_told)
{
    char *said = told_of_ring(1100);
    ck_assert_int_ge(count_of(said, "process 'passes_on' (pid "), 999);
    ck_assert_contains(said, "  and 101 more");
    free(said);
}

TEST(the_program_may_go_on_and_meet_another_one)
{
    for (int i = 0; i < 3; i++) {
        CHAN(int) a = CHANNEL(int), b = CHANNEL(int), c = CHANNEL(int);
        free(TOLD(PAR(passes_on(a, b), passes_on(b, a))));
        OUT_END(int) out = OUT_OF(c);
        CHAN(int) d = CHANNEL(int);
        IN_END(int) in = IN_OF(d);
        uvcsp_handle *handle = SPAWN(passes_on(c, d));
        WRITE(out, i);
        ck_assert_int_eq(READ(in), i);
        RETIRE(out);
        ck_assert_int_eq(uvcsp_join(handle, -1), UVCSP_OK);
    }
}

static void joins_in_vain(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    uvcsp_handle *handle = SPAWN(passes_on(c, d));
    exit(uvcsp_join(handle, -1) == UVCSP_OK ? 40 : 41);
}

TEST(who_joins_one_that_waits_for_ever_goes_on_when_that_one_has_been_ended)
{
    char *said;
    int status = as_a_program(joins_in_vain, &said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert_contains(said, "test_total.c:");
    ck_assert_contains(said, " waits for a process to end");
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 40);
    free(said);
}

static void main_reads(void)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    SPAWN(passes_on(a, b));
    IN_END(int) in = IN_OF(b);
    OUT_END(int) out = OUT_OF(a);
    WRITE(out, READ(in));
}

TEST(where_main_itself_waits_for_a_channel_the_program_ends_with_1)
{
    char *said;
    int status = as_a_program(main_reads, &said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert_contains(said, "main() was ended by poison: deadlock: ");
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    free(said);
}

static void returns_before_its_workers(void)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    SPAWN(passes_on(a, b));
    SPAWN(passes_on(b, a));
}

/* Light ones do not keep the program from ending. */
TEST(workers_that_keep_the_program_from_ending_for_ever_are_told_and_ended)
{
    char *said;
    int status = as_a_program(returns_before_its_workers, &said);
    if (!house_light())
        ck_assert_contains(said, NOTHING_CAN_RUN);
    else
        ck_assert_str_eq(said, "");
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(said);
}

static void waits_in_a_circle(void)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    alarm(strcmp(getenv("UVCSP_DEADLOCK"), "off") == 0 ? 2 : 20); /* only where nobody looks it comes to that */
    exit(PAR(passes_on(a, b), passes_on(b, a)) == -EDEADLK ? 40 : 41);
}

TEST(switched_off_nothing_is_told_and_the_program_waits_on)
{
    char *said;
    setenv("UVCSP_DEADLOCK", "off", 1);
    int status = as_a_program(waits_in_a_circle, &said);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    ck_assert_str_eq(said, "");
    free(said);
}

TEST(it_is_told_and_the_program_aborts_where_that_is_asked_for)
{
    char *said;
    setenv("UVCSP_DEADLOCK", "abort", 1);
    int status = as_a_program(waits_in_a_circle, &said);
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    free(said);
}

TEST(another_word_in_the_environment_is_told_and_means_report)
{
    char *said;
    setenv("UVCSP_DEADLOCK", "maybe", 1);
    int status = as_a_program(waits_in_a_circle, &said);
    ck_assert_contains(said, "UVCSP_DEADLOCK=maybe is none of report, abort and off");
    ck_assert_contains(said, NOTHING_CAN_RUN);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 40);
    free(said);
}

PROCESS(chooses_in_vain, IN(int, in), OUT(int, out))
{
    int x;
    uvcsp_guard guards[] = {ON_READ(in, &x), ON_WRITE(out, 1)};
    (void)uvcsp_alt(guards, 2, UVCSP_FAIR);
}

/* Each line has the file and the line of the call. */
TEST(whoever_waits_in_a_choice_or_for_others_is_told_with_its_place, .times = 2)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    char *said = _i ? TOLD(SEQ(chooses_in_vain(a, b))) : TOLD(CO_FOR(i, 1, chooses_in_vain(a, b)));
    char here[60];
    snprintf(here, sizeof here, "test_total.c:%d waits for the processes", __LINE__ - 2);
    ck_assert_contains(said, here);
    ck_assert_int_eq(count_of(said, " at uvcsp_"), 0);
    ck_assert_int_eq(count_of(said, "test_total.c:"), 4);
    free(said);
}

SUITE("total", .after = uvcsp_shutdown)
