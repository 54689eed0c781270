/* Sizes and numbers that do not fit, values that run twice, too many descriptors, no process: refused
   with a line, and everything goes on. */
#include "tests/contract/refusals.h"

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
    setenv("UVCSP_SPIN", "2", 1);
    if (!house_light())
        setenv("UVCSP_PAR", "maybe", 1);
    house_capture(2);
    all_is_well();
    char *said = house_captured();
    ck_assert_contains(said, "UVCSP_SEED=x");
    ck_assert_contains(said, "UVCSP_STACK=1");
    ck_assert_contains(said, "UVCSP_CARRIER=pigeon");
    ck_assert_contains(said, "UVCSP_SPIN=2 is neither 0 nor 1; it is 1\n");
    if (!house_light())
        ck_assert_contains(said, "UVCSP_PAR=maybe");
    free(said);
}

/* What a program of its own says that has these in its environment. */
static char *says_with(const char *spin, const char *arena)
{
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("UVCSP_SPIN", spin, 1);
        setenv("UVCSP_ARENA", arena, 1);
        CHAN(int) c = CHANNEL(int, .capacity = 1);
        OUT_END(int) out = OUT_OF(c);
        WRITE(out, 1);
        exit(0);
    }
    int status;
    pid_t waited = waitpid(pid, &status, 0);
    char *said = house_captured();
    ck_assert_int_eq(waited, pid);
    ck_assert_int_eq(status, 0);
    return said;
}

TEST(a_spin_that_is_neither_0_nor_1_and_an_arena_below_the_least_are_told_in_a_line_each)
{
    static const struct {
        const char *spin, *arena, *said;
    } cases[] = {
        {"0", "2M", ""},
        {"1", "1M", ""},
        {"", "", ""},
        {"no", "2M", "uvcsp: UVCSP_SPIN=no is neither 0 nor 1; it is 1\n"},
        {"00", "2M", "uvcsp: UVCSP_SPIN=00 is neither 0 nor 1; it is 1\n"},
        {"0", "5", "uvcsp: UVCSP_ARENA=5 is less than 1M; it is 1M\n"},
        {"1", "1023K", "uvcsp: UVCSP_ARENA=1023K is less than 1M; it is 1M\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *said = says_with(cases[i].spin, cases[i].arena);
        ck_assert_str_eq(said, cases[i].said);
        free(said);
    }
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

SUITE("limits", .before = default_signals, .after = uvcsp_shutdown)
