/* What a program should not do, and what it is told then: NULL, what was freed, the wrong direction or
   type. */
#include "tests/contract/refusals.h"

/* ---- NULL ---- */

TEST(null_is_refused_with_a_line_by_every_call_that_has_a_code)
{
    IN_END(int) in = NULL;
    OUT_END(int) out = NULL;
    int x = 5;
    REFUSES(uvcsp_read(in, &x), -EINVAL, "NULL");
    REFUSES(uvcsp_read_timeout(in, &x, 1), -EINVAL, "NULL");
    REFUSES(uvcsp_read_try(in, &x), -EINVAL, "NULL");
    REFUSES(uvcsp_write(out, &x), -EINVAL, "NULL");
    REFUSES(uvcsp_write_timeout(out, &x, 1), -EINVAL, "NULL");
    REFUSES(uvcsp_write_try(out, &x), -EINVAL, "NULL");
    REFUSES(uvcsp_poison(out), -EINVAL, "NULL");
    REFUSES(uvcsp_retire(in), -EINVAL, "NULL");
    REFUSES(uvcsp_channel_size(NULL), -EINVAL, "NULL");
    SAYS("NULL", ck_assert_ptr_null(uvcsp_cause(NULL)));
    SAYS("NULL", ck_assert_ptr_null(uvcsp_in_of(NULL)));
    SAYS("NULL", ck_assert_ptr_null(uvcsp_out_of(NULL)));
    REFUSES(uvcsp_channels_new(NULL, 2, 4, UVCSP_TYPE_PLAIN, (uvcsp_channel_options){0}), -EINVAL,
            "NULL");
    REFUSES(uvcsp_par(NULL, 1), -EINVAL, "NULL");
    REFUSES(uvcsp_co(NULL, 1), -EINVAL, "NULL");
    REFUSES(uvcsp_seq(NULL, 1), -EINVAL, "NULL");
    REFUSES(uvcsp_blocking(NULL, NULL), -EINVAL, "NULL");
    REFUSES(uvcsp_defer(NULL, NULL), -EINVAL, "NULL");
    uvcsp_channel_free(NULL);
    uvcsp_handle_free(NULL);
    ck_assert_int_eq(x, 5);
    all_is_well();
}

TEST(a_null_place_for_the_message_is_refused)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int *nowhere = NULL;
    REFUSES(uvcsp_read(in, nowhere), -EINVAL, "NULL");
    REFUSES(uvcsp_write(out, nowhere), -EINVAL, "NULL");
    REFUSES(uvcsp_alt((uvcsp_guard[]){ON_READ(in, nowhere), ON_SKIP}, 2, UVCSP_FAIR), -EINVAL,
            "NULL");
}

TEST(bytes_without_an_address_are_refused)
{
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .capacity = 2);
    OUT_END(uvcsp_bytes) out = OUT_OF(c);
    IN_END(uvcsp_bytes) in = IN_OF(c);
    (void)in;
    REFUSES(uvcsp_write(out, &(uvcsp_bytes){NULL, 3}), -EINVAL, "cannot be sent");
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
    ck_assert_int_eq(uvcsp_write(out, &(uvcsp_bytes){NULL, 0}), UVCSP_OK);
}

PROCESS(takes_two, IN(int, a), IN(int, b))
{
    READ(a);
    READ(b);
}

TEST(a_process_that_is_given_null_does_not_run_nor_do_those_beside_it)
{
    CHAN(int) c = CHANNEL(int), none = NULL;
    REFUSES(PAR(gives_one(c), takes_two(c, none)), -EINVAL, "takes_two");
    REFUSES(CO(gives_one(c), takes_two(c, none)), -EINVAL, "NULL");
    REFUSES(SEQ(takes_two(c, none)), -EINVAL, "NULL");
    REFUSES(PAR(WORKER(gives_one(c), takes_two(c, none))), -EINVAL, "NULL");
    SAYS("NULL", ck_assert_ptr_null(SPAWN(takes_two(c, none))));
    SAYS("NULL", ck_assert_ptr_null(GO(takes_two(c, none))));
    /* nobody has joined, so nobody has retired */
    ck_assert_int_eq(PAR(gives_one(c), takes_one(c)), 0);
}

ABORTS(read_of_null_aborts, "READ: the end is NULL", (void)READ((IN_END(int))NULL);)
ABORTS(write_to_null_aborts, "WRITE: the end is NULL", WRITE((OUT_END(int))NULL, 1);)
ABORTS(a_choice_with_null_aborts, "NULL", int x;
       (void)ALT(ON_READ((IN_END(int))NULL, &x), ON_SKIP);)
ABORTS(mobile_of_null_aborts, "NULL", (void)uvcsp_mobile(NULL);)
ABORTS(no_end_as_an_end_aborts, "NULL", (void)AS_IN(int, (uvcsp_end){NULL});)

PROCESS(takes_array, INS(int, ins, n))
{
    (void)ins;
    (void)n;
}

ABORTS(an_array_of_ends_that_is_null_aborts, "takes_array", CHAN(int) *none = NULL;
       (void)PAR(takes_array(none, 3));)

/* ---- what was freed, or is something else ---- */

TEST(a_freed_channel_is_refused)
{
    CHAN(int) c = CHANNEL(int), d = c;
    uvcsp_channel_free(c);
    SAYS("freed", uvcsp_channel_free(d));
    SAYS("freed", ck_assert_ptr_null(IN_OF(d)));
    SAYS("freed", ck_assert_ptr_null(OUT_OF(d)));
    REFUSES(uvcsp_poison(d), -EINVAL, "freed");
    REFUSES(uvcsp_channel_size(d), -EINVAL, "freed");
    REFUSES(PAR(gives_one(d), takes_one(d)), -EINVAL, "freed");
    all_is_well();
}

TEST(what_is_no_channel_is_refused)
{
    static int something[32];
    char *in_the_arena = (char *)CHANNEL(int) + 16;
    void *const strangers[] = {something, (void *)64, (void *)-64, &in_the_arena, in_the_arena};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        int x;
        SAYS("neither a channel nor an end", ck_assert_ptr_null(uvcsp_in_of(strangers[i])));
        REFUSES(uvcsp_poison_at(strangers[i], "here"), -EINVAL, "neither a channel nor an end");
        REFUSES(uvcsp_retire(strangers[i]), -EINVAL, "no end");
        REFUSES(uvcsp_end_read(strangers[i], &x, 0, "here"), -EINVAL, "no end");
        REFUSES(uvcsp_end_write_try(strangers[i], &x, "here"), -EINVAL, "no end");
    }
    all_is_well();
}

/* An end of a process that has ended; in shared memory, so that it can be got from a worker too. */
static struct {
    OUT_END(int) out;
    IN_END(int) in;
} *gone;

PROCESS(shows_its_ends, IN(int, in), OUT(int, out))
{
    gone->in = in;
    gone->out = out;
}

TEST(an_end_of_a_process_that_is_gone_is_refused, .times = PLACEMENTS)
{
    gone = seen_by_all(sizeof *gone);
    CHAN(int) c = CHANNEL(int, .capacity = 2);
    ck_assert_int_eq(RUN((enum placement)_i, shows_its_ends(c, c)), 0);
    int x = 5;
    REFUSES(uvcsp_write(gone->out, &x), -EINVAL, "its process has ended");
    REFUSES(uvcsp_write_try(gone->out, &x), -EINVAL, "its process has ended");
    REFUSES(uvcsp_read(gone->in, &x), -EINVAL, "its process has ended");
    REFUSES(uvcsp_retire(gone->out), -EINVAL, "freed");
    REFUSES(uvcsp_poison(gone->out), -EINVAL, "freed");
    REFUSES(uvcsp_alt((uvcsp_guard[]){ON_READ(gone->in, &x), ON_SKIP}, 2, UVCSP_FAIR), -EINVAL,
            "ended");
    REFUSES(PAR(gives_one((CHAN(int))(void *)gone->out)), -EINVAL, "freed");
    ck_assert_int_eq(x, 5);
    all_is_well();
}

static void write_on_an_end_whose_process_is_gone(void)
{
    gone = seen_by_all(sizeof *gone);
    CHAN(int) c = CHANNEL(int, .capacity = 2);
    CO(shows_its_ends(c, c));
    WRITE(gone->out, 1);
}

TEST(write_on_an_end_of_a_process_that_is_gone_aborts)
{
    must_abort(write_on_an_end_whose_process_is_gone,
               "WRITE: this is no end for that, or it was freed");
}

ABORTS(read_of_a_channel_aborts, "no end", CHAN(int) c = CHANNEL(int); int x;
       uvcsp_take((void *)c, &x, UVCSP_HERE);)

/* ---- direction, type ---- */

TEST(the_wrong_direction_behind_a_void_pointer_is_refused)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    void *in = IN_OF(c), *out = OUT_OF(c);
    int x = 5;
    REFUSES(uvcsp_end_read(out, &x, -1, UVCSP_HERE), -EINVAL, "writing end");
    REFUSES(uvcsp_end_write(in, &x, -1, UVCSP_HERE), -EINVAL, "reading end");
    REFUSES(uvcsp_end_read_try(out, &x, UVCSP_HERE), -EINVAL, "writing end");
    REFUSES(uvcsp_end_write_try(in, &x, UVCSP_HERE), -EINVAL, "reading end");
    uvcsp_guard guards[] = {{.kind = UVCSP_GUARD_READ, .on = true, .subject = out, .data = &x},
                            ON_SKIP};
    REFUSES(uvcsp_alt(guards, 2, UVCSP_FAIR), -EINVAL, "writing end");
    guards[0] = (uvcsp_guard){.kind = UVCSP_GUARD_WRITE, .on = true, .subject = in, .data = &x};
    REFUSES(uvcsp_alt(guards, 2, UVCSP_FAIR), -EINVAL, "reading end");
    REFUSES(PAR(gives_one((OUT_END(int))in)), -EINVAL, "wrong direction");
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
    ck_assert_int_eq(x, 5);
}

ABORTS(read_of_a_writing_end_aborts, "no end for that", CHAN(int) c = CHANNEL(int); int x;
       uvcsp_take((void *)OUT_OF(c), &x, UVCSP_HERE);)
ABORTS(an_end_as_one_of_another_size_aborts, "4 bytes, not 8", CHAN(int) c = CHANNEL(int);
       (void)AS_IN(double, MOBILE(IN_OF(c)));)
ABORTS(an_end_as_one_of_another_direction_aborts, "reading end", CHAN(int) c = CHANNEL(int);
       (void)AS_OUT(int, MOBILE(IN_OF(c)));)

TEST(a_guard_of_no_known_kind_is_refused)
{
    REFUSES(
        uvcsp_alt((uvcsp_guard[]){{.kind = (enum uvcsp_guard_kind)99, .on = true}}, 1, UVCSP_FAIR),
        -EINVAL, "no known kind");
}

TEST(only_an_end_can_retire)
{
    CHAN(int) c = CHANNEL(int);
    REFUSES(uvcsp_retire((void *)c), -EINVAL, "only an end");
    ck_assert_int_eq(PAR(gives_one(c), takes_one(c)), 0);
}

/* ---- what is of another worker ---- */

PROCESS(reads_one, IN(int, in))
{
    (void)READ(in);
}

PROCESS(uses_handle, VAL(uvcsp_handle *, handle), VAL(uvcsp_handle *, over), VAL(int, pid))
{
    MUST(uvcsp_join(handle, -1) == -EINVAL);
    MUST(!uvcsp_alive(handle));
    MUST(uvcsp_exit_code(handle) == -EINVAL);
    MUST(uvcsp_terminate(handle) == -EINVAL);
    MUST(uvcsp_kill(handle) == -EINVAL);
    MUST(uvcsp_alt((uvcsp_guard[]){ON_ENDED(handle)}, 1, UVCSP_FAIR) == -EINVAL);
    MUST(uvcsp_pid(handle) == pid);
    uvcsp_handle_free(handle);
    MUST(uvcsp_join(over, -1) == UVCSP_OK);
    MUST(uvcsp_exit_code(over) == 0);
}

PROCESS(chooses_by_handle, VAL(uvcsp_handle *, handle))
{
    signal(SIGABRT, SIG_DFL);
    (void)ALT(ON_ENDED(handle), ON_TIMEOUT(30));
}

TEST(a_handle_of_another_worker_is_refused_and_a_choice_with_one_aborts)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(d);
    uvcsp_handle *handles[] = {SPAWN(reads_one(c)), GO(reads_one(c))}, *over = SPAWN(gives_one(d));
    (void)READ(in);
    ck_assert_int_eq(uvcsp_join(over, -1), UVCSP_OK);
    for (int i = 0; i < 2; i++) {
        uvcsp_handle *handle = handles[i];
        SAYS("the handle is of another worker",
             ck_assert_int_eq(PAR(uses_handle(handle, over, uvcsp_pid(handle))), 0));
        SAYS("the handle is of another worker", ck_assert_int_eq(PAR(chooses_by_handle(handle)), 1));
    }
    RETIRE(out);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(uvcsp_join(handles[i], -1), UVCSP_OK);
}

SUITE("refusals", .before = default_signals, .after = uvcsp_shutdown)
