/* What a program should not do, and what it is told then: a line on standard error and a code, or a
   line and the end where there is no code to give. */
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* A call that prints a line with these words in it. */
#define SAYS(words, ...)                                                                           \
    do {                                                                                           \
        house_capture(2);                                                                          \
        __VA_ARGS__;                                                                               \
        char *said_ = house_captured();                                                            \
        ck_assert_contains(said_, "uvcsp: ");                                                      \
        ck_assert_contains(said_, words);                                                          \
        free(said_);                                                                               \
    } while (0)
#define REFUSES(call, code, words) SAYS(words, int got_ = (call); ck_assert_int_eq(got_, code))

/* Runs a program of its own, which has to end by SIGABRT with these words. */
static void must_abort(void (*program)(void), const char *words)
{
    house_capture(2);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        program();
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
                  "it did not abort: %x, \"%s\"", status, said);
    ck_assert_contains(said, words);
    free(said);
}

#define ABORTS(name, words, ...)                                                                   \
    static void name##_program(void)                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }                                                                                              \
    TEST(name)                                                                                     \
    {                                                                                              \
        must_abort(name##_program, words);                                                         \
    }

/* Everything still works: two workers, and a message. */
PROCESS(gives_one, OUT(int, out))
{
    WRITE(out, 7);
}

PROCESS(takes_one, IN(int, in))
{
    MUST(READ(in) == 7);
}

static void all_is_well(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 2);
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_nonnull(d);
    ck_assert_int_eq(PAR(gives_one(c), takes_one(c), gives_one(d), takes_one(d)), 0);
    uvcsp_channel_free(c);
    uvcsp_channel_free(d);
}

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

/* ---- sizes ---- */

static void small_arena(void)
{
    setenv("UVCSP_ARENA", "32M", 1);
}

TEST(a_capacity_that_does_not_fit_is_refused)
{
    small_arena();
    errno = 0;
    SAYS("capacity is negative or too large", ck_assert_ptr_null(CHANNEL(int, .capacity = -1)));
    ck_assert_int_eq(errno, EINVAL);
    SAYS("capacity is negative or too large",
         ck_assert_ptr_null(CHANNEL(int, .capacity = INT_MAX)));
    ck_assert_int_eq(errno, EINVAL);
    SAYS("no room in the shared arena", ck_assert_ptr_null(CHANNEL(double, .capacity = 1 << 30)));
    ck_assert_int_eq(errno, ENOMEM);
    CHAN(double) many[3] = {NULL, NULL, NULL};
    REFUSES(CHANNELS(double, many, 3, .capacity = 1 << 30), -ENOMEM, "no room");
    ck_assert_ptr_null(many[0]);
    all_is_well();
}

TEST(an_unknown_carrier_is_refused)
{
    SAYS("carrier", ck_assert_ptr_null(CHANNEL(int, .carrier = (enum uvcsp_carrier)9)));
    ck_assert_int_eq(errno, EINVAL);
}

enum { MIB = 1 << 20, TOO_MUCH = 40 * MIB };

/* An attempt that finds nobody, then a message that fits. The reader waits for the word in
   between. */
PROCESS(gives_too_much_and_then_less, OUT(uvcsp_bytes, out), OUT(int, tried))
{
    char *data = malloc(TOO_MUCH);
    memset(data, 'x', TOO_MUCH);
    uvcsp_bytes too_much = {data, TOO_MUCH};
    MUST_BE(uvcsp_write(out, &too_much), -ENOMEM);
    MUST_BE(uvcsp_write_try(out, &too_much), -ENOMEM);
    MUST_BE(uvcsp_write(out, &(uvcsp_bytes){data, 3}), UVCSP_OK);
    free(data);
    WRITE(tried, 1);
}

PROCESS(takes_less, IN(uvcsp_bytes, in), IN(int, tried))
{
    READ(tried);
    uvcsp_bytes bytes = READ(in);
    MUST(bytes.size == 3 && memcmp(bytes.data, "xxx", 3) == 0);
    free(bytes.data);
}

TEST(a_message_larger_than_the_arena_does_not_go_into_a_buffer, .times = 2)
{
    small_arena();
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .capacity = 2, .carrier = _i ? UVCSP_SHARED : UVCSP_PIPE);
    CHAN(int) tried = CHANNEL(int);
    ck_assert_int_eq(PAR(gives_too_much_and_then_less(c, tried), takes_less(c, tried)), 0);
    all_is_well();
}

PROCESS(gives_much, OUT(uvcsp_bytes, out))
{
    char *data = malloc(TOO_MUCH);
    memset(data, 'x', TOO_MUCH);
    WRITE(out, (uvcsp_bytes){data, TOO_MUCH});
    free(data);
}

/* If `later`, the writer waits by then; else, most often, it does not yet. */
PROCESS(takes_much, IN(uvcsp_bytes, in), VAL(bool, later))
{
    if (later)
        uvcsp_sleep(0.05);
    uvcsp_bytes bytes = READ(in);
    MUST(bytes.size == TOO_MUCH);
    for (size_t i = 0; i < TOO_MUCH; i++)
        MUST(((char *)bytes.data)[i] == 'x');
    free(bytes.data);
}

TEST(it_goes_from_hand_to_hand_by_either_carrier, .times = 4)
{
    small_arena();
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .carrier = _i % 2 ? UVCSP_SHARED : UVCSP_PIPE);
    ck_assert_int_eq(PAR(takes_much(c, _i / 2), gives_much(c)), 0);
    all_is_well();
}

typedef struct {
    char bytes[40 * MIB];
} huge;

TEST(a_buffer_for_messages_larger_than_the_arena_is_refused)
{
    small_arena();
    SAYS("no room in the shared arena", ck_assert_ptr_null(CHANNEL(huge, .capacity = 1)));
    ck_assert_int_eq(errno, ENOMEM);
    CHAN(huge) c = CHANNEL(huge);
    ck_assert_ptr_nonnull(c);
    uvcsp_channel_free(c);
}

TEST(a_full_arena_is_told_and_can_be_emptied_again)
{
    enum { MOST = 1 << 20 };
    setenv("UVCSP_ARENA", "2M", 1);
    CHAN(int) *all = malloc(MOST * sizeof *all);
    int n = 0;
    house_capture(2);
    while (n < MOST && (all[n] = CHANNEL(int)))
        n++;
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_gt(n, 1000);
    ck_assert_int_lt(n, MOST);
    ck_assert_ptr_null(IN_OF(all[0]));
    ck_assert_int_lt(PAR(gives_one(all[0]), takes_one(all[0])), 0);
    ck_assert_int_lt(CO(gives_one(all[0]), takes_one(all[0])), 0);
    ck_assert_ptr_null(SPAWN(gives_one(all[0])));
    char *said = house_captured();
    ck_assert_contains(said, "no room in the shared arena");
    ck_assert_contains(said, "the shared arena is full");
    free(said);
    for (int i = 0; i < n; i++)
        uvcsp_channel_free(all[i]);
    free(all);
    all_is_well();
}

TEST(an_arena_of_no_size_is_told)
{
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("UVCSP_ARENA", "plenty", 1);
        (void)CHANNEL(int);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    ck_assert_contains(said, "UVCSP_ARENA=plenty is no size");
    ck_assert_contains(said, "cannot start");
    free(said);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(other_nonsense_in_the_environment_is_told_and_passed_over)
{
    setenv("UVCSP_SEED", "x", 1);
    setenv("UVCSP_STACK", "1", 1);
    setenv("UVCSP_CARRIER", "pigeon", 1);
    if (!house_light())
        setenv("UVCSP_PAR", "maybe", 1);
    house_capture(2);
    all_is_well();
    char *said = house_captured();
    ck_assert_contains(said, "UVCSP_SEED=x");
    ck_assert_contains(said, "UVCSP_STACK=1");
    ck_assert_contains(said, "UVCSP_CARRIER=pigeon");
    if (!house_light())
        ck_assert_contains(said, "UVCSP_PAR=maybe");
    free(said);
}

/* ---- guards: none, and very many ---- */

TEST(a_choice_of_nothing_is_refused)
{
    uvcsp_guard none[1];
    REFUSES(uvcsp_alt(none, 0, UVCSP_FAIR), -EINVAL, "would wait for ever");
    REFUSES(uvcsp_alt(NULL, 0, UVCSP_PRI), -EINVAL, "would wait for ever");
    REFUSES(uvcsp_alt(NULL, 1, UVCSP_FAIR), -EINVAL, "NULL");
    uvcsp_guard off[] = {WHEN(false, ON_SKIP), WHEN(false, ON_TIMEOUT(0))};
    REFUSES(uvcsp_alt(off, 2, UVCSP_FAIR), -EINVAL, "none of them switched on");
    REFUSES(uvcsp_alt(off, (size_t)1 << 40, UVCSP_FAIR), -EINVAL, "million");
}

ABORTS(alt_of_nothing_aborts, "would wait for ever",
       (void)uvcsp_choose(NULL, 0, UVCSP_FAIR, UVCSP_HERE);)

enum { VERY_MANY = 10000 };

PROCESS(gives_to_one_of_many, OUTS(int, outs, n), VAL(int, rounds))
{
    for (int i = 0; i < rounds; i++)
        WRITE(outs[(size_t)i * 7919 % n], i);
}

PROCESS(chooses_among_very_many, INS(int, ins, n), VAL(int, rounds), VAL(enum uvcsp_choice, mode))
{
    uvcsp_guard *guards = calloc(n, sizeof *guards);
    int x;
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(ins[i], &x);
    for (int i = 0; i < rounds; i++) {
        int taken = uvcsp_alt(guards, n, mode);
        MUST(taken == (int)((size_t)i * 7919 % n) && x == i);
    }
    MUST_BE(uvcsp_alt(guards, n, mode), -UVCSP_RETIRED);
    free(guards);
}

TEST(ten_thousand_guards_are_a_choice_like_any_other, .times = 2 * PLACEMENTS, .seconds = 60)
{
    CHAN(int) *channels = calloc(VERY_MANY, sizeof *channels);
    ck_assert_int_eq(uvcsp_channels_new(channels, VERY_MANY, sizeof(int), UVCSP_TYPE_PLAIN,
                                        (uvcsp_channel_options){.site_ = UVCSP_HERE}),
                     0);
    int rounds = house_valgrind() ? 3 : 20;
    ck_assert_int_eq(
        RUN((enum placement)(_i / 2), gives_to_one_of_many(channels, VERY_MANY, rounds),
            chooses_among_very_many(channels, VERY_MANY, rounds, _i % 2 ? UVCSP_PRI : UVCSP_FAIR)),
        0);
    for (int i = 0; i < VERY_MANY; i++)
        uvcsp_channel_free(channels[i]);
    free(channels);
}

PROCESS(chooses_one_end_very_often, IN(int, in))
{
    uvcsp_guard *guards = calloc(VERY_MANY, sizeof *guards);
    int x;
    for (int i = 0; i < VERY_MANY; i++)
        guards[i] = ON_READ(in, &x);
    MUST(uvcsp_alt(guards, VERY_MANY, UVCSP_FAIR) >= 0);
    MUST(x == 7);
    MUST_BE(uvcsp_alt(guards, VERY_MANY, UVCSP_FAIR), -UVCSP_RETIRED);
    free(guards);
}

TEST(ten_thousand_guards_may_be_for_one_end, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN((enum placement)_i, chooses_one_end_very_often(c), gives_one(c)), 0);
}

/* ---- values that run twice ---- */

PROCESS(counts, VAL(_Atomic int *, n))
{
    ++*n;
}

TEST(a_value_that_runs_twice_does_not_run)
{
    _Atomic int *n = seen_by_all(sizeof *n);
    uvcsp_process p = counts(n);
    REFUSES(PAR(p, p), -EINVAL, "counts");
    REFUSES(PAR(p), -EINVAL, "each value runs once"); /* used up */
    p = counts(n);
    REFUSES(CO(counts(n), p, p), -EINVAL, "each value runs once");
    p = counts(n);
    REFUSES(SEQ(p, p), -EINVAL, "each value runs once");
    p = counts(n);
    REFUSES(PAR(WORKER(p, p)), -EINVAL, "each value runs once");
    ck_assert_int_eq(*n, 0);
    p = counts(n);
    ck_assert_int_eq(PAR(p), 0);
    REFUSES(PAR(p), -EINVAL, "each value runs once");
    SAYS("each value runs once", ck_assert_ptr_null(SPAWN(p)));
    SAYS("each value runs once", ck_assert_ptr_null(GO(p)));
    p = counts(n);
    uvcsp_process_free(p);
    REFUSES(PAR(p), -EINVAL, "each value runs once");
    ck_assert_int_eq(*n, 1);
    REFUSES(PAR((uvcsp_process){NULL, NULL, 0}), -EINVAL, "is none");
    all_is_well();
}

/* ---- too many descriptors ---- */

static void limit_descriptors(int more)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int fd = dup(0); /* the lowest that is free */
    close(fd);
    limit.rlim_cur = (rlim_t)(fd + more);
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void lift_the_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

PROCESS(is_told_that_its_partner_never_came, IN(int, in))
{
    int x, status = uvcsp_read(in, &x);
    MUST_BE(status, UVCSP_POISONED);
    MUST(strstr(uvcsp_cause(in), "gives_one"));
}

/* Whatever number of descriptors there is left, what can be started runs, and what cannot is
   counted and told of. */
TEST(with_too_few_descriptors_a_worker_that_cannot_be_started_is_told_and_counted, .times = 14)
{
    if (house_light())
        return;
    all_is_well();
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    house_capture(2);
    limit_descriptors(_i);
    int failed = PAR(takes_one(c), gives_one(c), takes_one(d), gives_one(d));
    lift_the_limit();
    char *said = house_captured();
    ck_assert_msg(failed >= 0, "%d: %s", failed, said);
    if (failed > 0)
        ck_assert_contains(said, "Too many open files");
    else
        ck_assert_str_eq(said, "");
    if (_i == 0)
        ck_assert_int_gt(failed, 0);
    free(said);
    all_is_well();
}

TEST(spawn_without_descriptors_gives_null_and_errno, .times = 4)
{
    if (house_light())
        return;
    all_is_well();
    CHAN(int) c = CHANNEL(int);
    house_capture(2);
    limit_descriptors(0);
    uvcsp_handle *handle = SPAWN(gives_one(c));
    int error = errno;
    lift_the_limit();
    char *said = house_captured();
    ck_assert_ptr_null(handle);
    ck_assert_int_eq(error, EMFILE);
    ck_assert_contains(said, "gives_one");
    free(said);
    all_is_well();
}

/* Two that have never talked with each other, in workers that can open nothing any more. */
PROCESS(gives_with_few, OUT(uvcsp_bytes, out), OUT(int, ready), IN(int, go), VAL(int, more))
{
    limit_descriptors(more);
    WRITE(ready, 1);
    READ(go);
    static char data[100000];
    memset(data, 'x', sizeof data);
    for (size_t size = 1; size <= sizeof data; size *= 10)
        WRITE(out, (uvcsp_bytes){data, size});
}

PROCESS(takes_with_few, IN(uvcsp_bytes, in), OUT(int, ready), IN(int, go), VAL(int, more))
{
    limit_descriptors(more);
    WRITE(ready, 1);
    READ(go);
    for (size_t size = 1; size <= 100000; size *= 10) {
        uvcsp_bytes bytes = READ(in);
        MUST(bytes.size == size);
        for (size_t i = 0; i < size; i++)
            MUST(((char *)bytes.data)[i] == 'x');
        free(bytes.data);
    }
}

PROCESS(starts_both, IN(int, ready), OUT(int, go))
{
    READ(ready);
    READ(ready);
    WRITE(go, 1);
    WRITE(go, 1);
}

TEST(messages_arrive_where_no_link_can_be_made_any_more, .times = 8)
{
    if (house_light())
        return;
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .carrier = _i % 2 ? UVCSP_SHARED : UVCSP_PIPE);
    CHAN(int) ready = CHANNEL(int, .carrier = UVCSP_SHARED);
    CHAN(int) go = CHANNEL(int, .carrier = UVCSP_SHARED);
    int few = _i / 2 % 2 ? 100 : 0, few_there = _i / 4 ? 100 : 0;
    ck_assert_int_eq(PAR(gives_with_few(c, ready, go, few), takes_with_few(c, ready, go, few_there),
                         starts_both(ready, go)),
                     0);
}

/* ---- where no process is ---- */

static void read_in_callback(uv_timer_t *timer)
{
    int x;
    uvcsp_take(timer->data, &x, UVCSP_HERE);
}

static void wait_in_a_callback(void)
{
    CHAN(int) c = CHANNEL(int);
    uv_timer_t timer;
    timer.data = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    (void)out;
    uv_timer_init(uvcsp_loop(), &timer);
    uv_timer_start(&timer, read_in_callback, 0, 0);
    uvcsp_sleep(1);
}

TEST(a_callback_of_the_loop_that_would_wait_aborts)
{
    must_abort(wait_in_a_callback, "a callback of the loop must not wait");
}

static void use_after_a_fork_of_its_own(void)
{
    (void)CHANNEL(int);
    pid_t pid = fork();
    if (pid == 0)
        (void)CHANNEL(int);
    int status;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        abort();
}

TEST(a_child_that_the_program_forked_itself_cannot_use_the_library)
{
    must_abort(use_after_a_fork_of_its_own, "forked by other means");
}

SUITE("refusals", .before = default_signals, .after = uvcsp_shutdown)
