/* What implementations of this kind were seen to get wrong, each as a test of its own. */
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* ---- ends ---- */

PROCESS(retires_and_writes, OUT(int, out), VAL(int *, status))
{
    int x = 1;
    WRITE(out, 0);
    RETIRE(out);
    *status = uvcsp_write(out, &x);
}

PROCESS(reads_all, IN(int, in), VAL(int, n))
{
    int x, status, i = 0;
    while ((status = uvcsp_read(in, &x)) == UVCSP_OK)
        i++;
    MUST_BE(status, UVCSP_RETIRED);
    MUST(i == n);
}

PROCESS(writes_n, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

TEST(a_retired_end_does_not_write_though_others_of_its_side_do, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    int *status = seen_by_all(sizeof *status);
    ck_assert_int_eq(RUN(_i, retires_and_writes(c, status), writes_n(c, 100), reads_all(c, 101)),
                     0);
    ck_assert_int_eq(*status, UVCSP_RETIRED);
}

TEST(an_end_made_after_the_last_retirement_is_retired_from_the_start, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int, .capacity = 2);
    ck_assert_int_eq(RUN(_i, writes_n(c, 2), reads_all(c, 2)), 0);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    int x = 1;
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    /* nor does a process that comes too late bring it back to life */
    ck_assert_int_eq(RUN(_i, writes_n(c, 2), reads_all(c, 0)), 0);
}

/* The parent's end is one, each of the forks has one of its own in it. */
TEST(one_end_given_to_two_processes_is_counted_for_each_and_for_its_owner, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int, .capacity = 100);
    OUT_END(int) out = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    int x;
    ck_assert_int_eq(RUN(_i, writes_n(out, 10), writes_n(out, 20)), 0);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_OK);
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK); /* main has not retired */
    WRITE(out, 5);
    RETIRE(out);
    ck_assert_int_eq(READ(in), 5);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

TEST(a_process_that_is_given_a_retired_end_has_a_retired_end, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) out = OUT_OF(c), other = OUT_OF(c);
    IN_END(int) in = IN_OF(c);
    int *status = seen_by_all(sizeof *status);
    RETIRE(out);
    ck_assert_int_eq(RUN(_i, writes_n(out, 1)), 0);
    int x;
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK);
    (void)other;
}

PROCESS(collects, INS(int, in, n), VAL(size_t, expected), OUT(long, sum))
{
    long total = 0;
    MUST(n == expected);
    for (size_t i = 0; i < n; i++)
        total += READ(in[i]);
    WRITE(sum, total);
}

PROCESS(distributes, OUTS(int, out, n), VAL(int, me))
{
    for (size_t i = 0; i < n; i++)
        WRITE(out[i], me);
}

/* In PyCSP the copies shared what was in the list, and the first that was done retired it for
   all. */
TEST(copies_of_a_process_have_ends_of_their_own_in_an_array, .times = PLACEMENTS * 2)
{
    enum { N = 5, COPIES = 4 };
    CHAN(int) c[N];
    IN_END(int) ins[N];
    OUT_END(int) outs[N];
    CHAN(long) sums = CHANNEL(long, .capacity = COPIES);
    IN_END(long) in = IN_OF(sums);
    ck_assert_int_eq(CHANNELS(int, c, N), 0);
    uvcsp_process all[2 * COPIES];
    for (int i = 0; i < N; i++) {
        ins[i] = IN_OF(c[i]);
        outs[i] = OUT_OF(c[i]);
    }
    for (int i = 0; i < COPIES; i++) {
        bool by_channels = _i / PLACEMENTS;
        all[i] = by_channels ? collects(c, N, N, sums) : collects(ins, N, N, sums);
        all[COPIES + i] = by_channels ? distributes(c, N, i) : distributes(outs, N, i);
    }
    for (int i = 0; i < N; i++) /* the values have copies of the array */
        ins[i] = NULL;
    ck_assert_int_eq(run_placed((enum placement)(_i % PLACEMENTS), all, 2 * COPIES), 0);
    long total = 0;
    for (int i = 0; i < COPIES; i++)
        total += READ(in);
    ck_assert_int_eq(total, N * (0 + 1 + 2 + 3));
}

TEST(an_array_of_no_ends_is_an_array)
{
    CHAN(long) sums = CHANNEL(long, .capacity = 1);
    IN_END(long) in = IN_OF(sums);
    CHAN(int) none[1];
    ck_assert_int_eq(CO(collects(none, 0, 0, sums)), 0);
    ck_assert_int_eq(READ(in), 0);
}

TEST(channels_of_one_name_are_two)
{
    CHAN(int) a = CHANNEL(int, .name = "same", .capacity = 1),
              b = CHANNEL(int, .name = "same", .capacity = 1);
    OUT_END(int) out = OUT_OF(a);
    IN_END(int) in = IN_OF(b);
    WRITE(out, 1);
    int x;
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_channel_size(a), 1);
    ck_assert_int_eq(uvcsp_channel_size(b), 0);
}

/* ---- time ---- */

PROCESS(loses_a_timeout, IN(int, in))
{
    int x;
    MUST(ALT(ON_TIMEOUT(100), ON_READ(in, &x), ON_TIMEOUT(60)) == 1);
    MUST_BE(uvcsp_read_timeout(in, &x, 100), UVCSP_RETIRED);
}

/* Runs it as a program of its own; its time in seconds. */
static double time_of_program(void (*body)(void))
{
    double begin = uvcsp_now();
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return uvcsp_now() - begin;
}

static void with_timeouts(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    MUST(PAR(loses_a_timeout(c), writes_n(c, 1)) == 0);
    MUST(CO(loses_a_timeout(d), writes_n(d, 1)) == 0);
    CHAN(int) e = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(e);
    OUT_END(int) out = OUT_OF(e);
    int x;
    WRITE(out, 1);
    MUST(ALT(ON_TIMEOUT(100), ON_READ(in, &x)) == 1);
    GO(loses_a_timeout(e));
    WRITE(out, 2);
}

TEST(a_timeout_that_lost_does_not_keep_a_finished_program_alive)
{
    ck_assert(time_of_program(with_timeouts) < 15);
}

static void left_waiting(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    (void)OUT_OF(c);
    GO(reads_all(c, 0)); /* told of main's retirement at the end */
    GO(writes_n(d, 1));  /* nobody will ever read */
}

TEST(a_light_process_that_waits_for_nobody_does_not_keep_a_finished_program_alive)
{
    ck_assert(time_of_program(left_waiting) < 15);
}

/* ---- the transport ---- */

static size_t volume(void)
{
    return house_valgrind() ? 2000000 : 50000000;
}

PROCESS(sends_bytes, OUT(uvcsp_bytes, out), VAL(size_t, piece), VAL(int, salt))
{
    char *data = malloc(piece);
    MUST(data);
    for (size_t sent = 0, i = 0; sent < volume(); sent += piece, i++) {
        memset(data, (int)(salt + i) % 256, piece);
        uvcsp_bytes b = {data, piece};
        MUST_BE(uvcsp_write(out, &b), UVCSP_OK);
    }
    free(data);
}

PROCESS(receives_bytes, IN(uvcsp_bytes, in), VAL(size_t, piece), VAL(int, salt))
{
    for (size_t got = 0, i = 0; got < volume(); got += piece, i++) {
        uvcsp_bytes b;
        MUST_BE(uvcsp_read(in, &b), UVCSP_OK);
        unsigned char *at = b.data, expected = (unsigned char)(salt + i);
        MUST(b.size == piece && at[0] == expected && at[piece / 2] == expected &&
             at[piece - 1] == expected);
        free(b.data);
    }
}

/* In PyCSP this hangs: the path of what is sent holds the lock that the path of what is received
   needs. */
TEST(two_workers_exchange_50_megabytes_at_the_same_time, .times = 2 * 2 * PLACEMENTS, .seconds = 60)
{
    size_t piece = _i % 2 ? volume() : 1000000;
    enum uvcsp_carrier carrier = _i / 2 % 2 ? UVCSP_SHARED : UVCSP_PIPE;
    CHAN(uvcsp_bytes) there = CHANNEL(uvcsp_bytes, .carrier = carrier);
    CHAN(uvcsp_bytes) back = CHANNEL(uvcsp_bytes, .carrier = carrier);
    ck_assert_int_eq(RUN(_i / 4,
                         WORKER(sends_bytes(there, piece, 1), receives_bytes(back, piece, 2)),
                         WORKER(receives_bytes(there, piece, 1), sends_bytes(back, piece, 2))),
                     0);
}

PROCESS(writes_then_reads, OUT(uvcsp_bytes, out), IN(uvcsp_bytes, in), VAL(bool, writes_first))
{
    uvcsp_bytes give = {malloc(volume()), volume()}, got;
    MUST(give.data);
    memset(give.data, writes_first, give.size);
    for (int i = 0; i < 2; i++) {
        if ((i == 0) == writes_first)
            MUST_BE(uvcsp_write(out, &give), UVCSP_OK);
        else {
            MUST_BE(uvcsp_read(in, &got), UVCSP_OK);
            MUST(got.size == give.size && ((char *)got.data)[got.size - 1] == !writes_first);
            free(got.data);
        }
    }
    free(give.data);
}

TEST(two_processes_write_and_read_50_megabytes_in_opposite_order, .times = 2 * PLACEMENTS,
     .seconds = 60)
{
    enum uvcsp_carrier carrier = _i % 2 ? UVCSP_SHARED : UVCSP_PIPE;
    CHAN(uvcsp_bytes) there = CHANNEL(uvcsp_bytes, .carrier = carrier);
    CHAN(uvcsp_bytes) back = CHANNEL(uvcsp_bytes, .carrier = carrier);
    ck_assert_int_eq(
        RUN(_i / 2, writes_then_reads(there, back, true), writes_then_reads(back, there, false)),
        0);
}

SUITE("traps", .after = uvcsp_shutdown)
