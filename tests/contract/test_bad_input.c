/* What is not as it should be: a line on stderr and a code where there is one to return, else a
   line and abort(); and whatever else there is goes on. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <uvcsp/json.h>

#include "tests/contract/contract.h"

static long not_an_end[100];

PROCESS(hands_out, IN(int, in), OUT(int, out), VAL(IN_END(int) *, reading),
        VAL(OUT_END(int) *, writing))
{
    *reading = in;
    *writing = out;
}

/* Ends that are none: NULL, something else, of a process that has ended, of the other direction. */
enum { BAD_ENDS = 5 };
static void bad_ends(int i, IN_END(int) *in, OUT_END(int) *out)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    *in = NULL;
    *out = NULL;
    if (i == 1) {
        *in = (IN_END(int))not_an_end;
        *out = (OUT_END(int))not_an_end;
    } else if (i == 2) {
        CO(hands_out(c, c, in, out));
    } else if (i == 3) {
        *in = (IN_END(int))OUT_OF(c);
        *out = (OUT_END(int))IN_OF(c);
    } else if (i == 4) {
        *in = (IN_END(int))c;
        *out = (OUT_END(int))c;
    }
}

TEST(a_checked_form_refuses_what_is_no_end_with_a_line, .times = BAD_ENDS)
{
    IN_END(int) in;
    OUT_END(int) out;
    int x = 4;
    bad_ends(_i, &in, &out);
    uvcsp_guard guards[] = {ON_READ(in, &x), ON_WRITE(out, 5)};
    house_capture(2);
    int codes[] = {uvcsp_read(in, &x),
                   uvcsp_read_try(in, &x),
                   uvcsp_read_timeout(in, &x, 1),
                   uvcsp_write(out, &x),
                   uvcsp_write_try(out, &x),
                   uvcsp_write_timeout(out, &x, 1),
                   uvcsp_alt(&guards[0], 1, UVCSP_FAIR),
                   uvcsp_alt(&guards[1], 1, UVCSP_PRI),
                   uvcsp_alt(guards, 2, UVCSP_FAIR)};
    char *said = house_captured();
    size_t lines = 0, n = sizeof codes / sizeof *codes;
    for (char *at = said; (at = strchr(at, '\n')); at++)
        lines++;
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(codes[i], -EINVAL);
    ck_assert_int_eq(lines, n);
    ck_assert_int_eq(x, 4);
    free(said);
}

TEST(read_write_and_alt_say_so_and_abort, .times = BAD_ENDS * 3, .raises = SIGABRT)
{
    IN_END(int) in;
    OUT_END(int) out;
    int x;
    bad_ends(_i % BAD_ENDS, &in, &out);
    if (_i / BAD_ENDS == 0)
        (void)READ(in);
    else if (_i / BAD_ENDS == 1)
        WRITE(out, 1);
    else
        (void)ALT(ON_READ(in, &x), ON_SKIP);
}

TEST(a_null_place_for_the_message_is_refused)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    int *nowhere = NULL;
    house_capture(2);
    int codes[] = {uvcsp_write(out, nowhere), uvcsp_read(in, nowhere), uvcsp_read_try(in, nowhere)};
    free(house_captured());
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(codes[i], -EINVAL);
    WRITE(out, 1);
    ck_assert_int_eq(READ(in), 1);
}

/* ---- channels ---- */

TEST(a_capacity_that_does_not_fit_gives_no_channel, .times = 4)
{
    static const int capacities[] = {-1, INT32_MIN, (1 << 30) + 1, 1 << 30};
    house_capture(2);
    errno = 0;
    CHAN(char[1000]) c = CHANNEL(char[1000], .capacity = capacities[_i]);
    int error = errno;
    char *said = house_captured();
    ck_assert_ptr_null(c);
    ck_assert_int_eq(error, _i == 3 ? ENOMEM : EINVAL);
    ck_assert_contains(said, "test_bad_input.c");
    free(said);
}

TEST(of_many_channels_that_do_not_fit_none_is_made)
{
    CHAN(int) c[3] = {NULL, (CHAN(int))not_an_end, NULL};
    house_capture(2);
    int code = CHANNELS(int, c, 3, .capacity = -2);
    free(house_captured());
    ck_assert_int_eq(code, -EINVAL);
    ck_assert_ptr_eq(c[1], not_an_end);
}

PROCESS(takes, IN(int, in), OUT(int, out))
{
    (void)in;
    (void)out;
    abort();
}

TEST(a_channel_that_was_freed_is_told_from_one_that_is_alive)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    OUT_END(int) out = OUT_OF(d);
    uvcsp_channel_free(c);
    house_capture(2);
    uvcsp_channel_free(c);
    uvcsp_channel_free(out);
    void *in = IN_OF(c), *none = IN_OF((CHAN(int))NULL);
    int codes[] = {POISON(c),       uvcsp_channel_size(c), POISON((CHAN(int))NULL),
                   RETIRE(d),       PAR(takes(c, d)),      PAR(takes(d, NULL)),
                   CO(takes(d, c)), SEQ(takes(d, c)),      RETIRE(not_an_end)};
    const char *cause = uvcsp_cause(c);
    uvcsp_handle *handle = GO(takes(d, c)), *spawned = SPAWN(takes(c, d));
    free(house_captured());
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        ck_assert_int_eq(codes[i], -EINVAL);
    ck_assert(!in && !none && !cause && !handle && !spawned);
    int x = 1;
    ck_assert_int_eq(uvcsp_write_try(out, &x), UVCSP_WOULD_BLOCK); /* nobody has come or gone */
}

/* ---- messages without room ---- */

static void with_a_small_arena(void)
{
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .capacity = 2);
    OUT_END(uvcsp_bytes) out = OUT_OF(c);
    IN_END(uvcsp_bytes) in = IN_OF(c);
    uvcsp_bytes b = {calloc(1, 100 << 20), 100 << 20}, small = {"small", 5}, got;
    MUST(uvcsp_write(out, &b) == -ENOMEM);
    MUST(uvcsp_write_try(out, &b) == -ENOMEM);
    MUST_BE(uvcsp_write(out, &small), UVCSP_OK);
    MUST_BE(uvcsp_read(in, &got), UVCSP_OK);
    MUST(got.size == 5 && memcmp(got.data, "small", 5) == 0);
    free(got.data);
    free(b.data);
}

PROCESS(gives_large, OUT(uvcsp_bytes, out))
{
    for (int i = 0; i < 2; i++) {
        uvcsp_bytes b = {malloc(100 << 20), 100 << 20};
        memset(b.data, i + 1, b.size);
        WRITE(out, b);
        free(b.data);
    }
}

PROCESS(takes_large, IN(uvcsp_bytes, in), VAL(bool, waits))
{
    for (int i = 0; i < 2; i++) {
        uvcsp_bytes b;
        if (waits)
            b = READ(in);
        else
            READ_FROM_A_WAITING_WRITER(in, &b);
        MUST(b.size == 100 << 20 && ((char *)b.data)[b.size - 1] == i + 1);
        free(b.data);
    }
}

static void larger_than_the_arena(void)
{
    for (int i = 0; i < 4; i++) {
        CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .carrier = i % 2 ? UVCSP_PIPE : UVCSP_SHARED);
        MUST(PAR(gives_large(c), takes_large(c, i / 2)) == 0);
    }
}

/* Runs it as a program of its own with the arena's size in the environment; its status. */
static int with_arena(const char *size, void (*body)(void))
{
    int status;
    setenv("UVCSP_ARENA", size, 1);
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    pid_t waited = waitpid(pid, &status, 0);
    char *said = house_captured();
    unsetenv("UVCSP_ARENA");
    ck_assert_int_eq(waited, pid);
    if (status != 0)
        fputs(said, stderr);
    free(said);
    return status;
}

TEST(a_message_that_the_arena_has_no_room_for_is_refused_and_the_channel_goes_on)
{
    ck_assert_int_eq(with_arena("64M", with_a_small_arena), 0);
}

TEST(a_message_larger_than_the_arena_passes_without_a_buffer_by_any_carrier)
{
    ck_assert_int_eq(with_arena("64M", larger_than_the_arena), 0);
}

TEST(bytes_of_nowhere_are_refused)
{
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .capacity = 1);
    OUT_END(uvcsp_bytes) out = OUT_OF(c);
    uvcsp_bytes b = {NULL, 5};
    house_capture(2);
    int code = uvcsp_write(out, &b);
    free(house_captured());
    ck_assert_int_eq(code, -EINVAL);
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
}

/* ---- too many descriptors ---- */

PROCESS(gives_ten, OUT(int, out))
{
    for (int i = 0; i < 10; i++)
        WRITE(out, i);
}

PROCESS(takes_until_the_end, IN(int, in))
{
    int x;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        ;
}

TEST(where_no_descriptor_is_left_processes_that_cannot_start_have_failed_and_their_partners_end)
{
    if (house_light())
        return;
    struct rlimit before, few = {0};
    getrlimit(RLIMIT_NOFILE, &before);
    for (int n = house_count_descriptors() + 3; n < 40; n++) {
        few = (struct rlimit){(rlim_t)n, before.rlim_max};
        CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
        house_capture(2);
        setrlimit(RLIMIT_NOFILE, &few);
        int failed =
            PAR(gives_ten(c), takes_until_the_end(c), gives_ten(d), takes_until_the_end(d));
        setrlimit(RLIMIT_NOFILE, &before);
        char *said = house_captured();
        ck_assert_int_le(failed, 4);
        ck_assert_msg(failed == 0 || *said, "%d, and nothing was said", failed);
        free(said);
    }
}

SUITE("bad_input", .before = default_signals, .after = uvcsp_shutdown)
