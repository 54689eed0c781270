/* Limits under load: many of everything at once, and a resource that is gone while others run. What
   cannot be had is refused with a line that says what; what ran goes on. */
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

/* Fewer where each is slow. */
static int fewer(int n)
{
    return house_valgrind() ? n / 50 : n;
}

/* Two that talk for as long as they are let: what goes on, whatever happens around it. */
PROCESS(talks, OUT(int, out), VAL(_Atomic long *, countp))
{
    for (int i = 0;; i++) {
        WRITE(out, i);
        atomic_fetch_add(countp, 1);
    }
}

PROCESS(listens, IN(int, in), IN(int, stop))
{
    for (int i = 0, x, nothing;; i++) {
        if (PRI_ALT(ON_READ(stop, &nothing), ON_READ(in, &x)) == 0)
            return;
        MUST(x == i);
    }
}

struct couple {
    uvcsp_handle *speaker, *listener;
    OUT_END(int) stop;
    _Atomic long *count;
};

static struct couple start_couple(void)
{
    struct couple couple = {.count = seen_by_all(sizeof(long))};
    CHAN(int) c = CHANNEL(int), stop = CHANNEL(int);
    void *hold = IN_OF(c);
    couple.stop = OUT_OF(stop);
    couple.speaker = SPAWN(talks(c, couple.count));
    couple.listener = SPAWN(listens(c, stop));
    MUST(couple.speaker && couple.listener);
    uvcsp_retire(hold);
    return couple;
}

static void goes_on(const struct couple *couple)
{
    long seen = atomic_load(couple->count);
    while (atomic_load(couple->count) < seen + 20)
        uvcsp_sleep(0.001);
}

static void end_couple(const struct couple *couple)
{
    WRITE(couple->stop, 0);
    ck_assert_int_eq(uvcsp_join(couple->listener, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(couple->speaker, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(couple->listener), 0);
    ck_assert_int_eq(uvcsp_exit_code(couple->speaker), 0);
}

/* ---- many ---- */

PROCESS(says_who_it_is, OUT(int, out), IN(int, go), VAL(int, i))
{
    WRITE(out, i);
    (void)READ(go);
}

PROCESS(counts_them, IN(int, in), OUT(int, go), VAL(int, n))
{
    char *seen = calloc(1, (size_t)n);
    for (int i = 0, x; i < n; i++) {
        x = READ(in);
        MUST(x >= 0 && x < n && !seen[x]);
        seen[x] = 1;
    }
    free(seen);
    for (int i = 0; i < n; i++) /* all are there at the same time */
        WRITE(go, i);
}

TEST(five_hundred_workers_run_at_once, .seconds = 170)
{
    enum { WORKERS = 500 };
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (house_light() || limit.rlim_cur < 4 * WORKERS)
        return;
    CHAN(int) c = CHANNEL(int), go = CHANNEL(int);
    uvcsp_process all[WORKERS + 1];
    for (int i = 0; i < WORKERS; i++)
        all[i] = says_who_it_is(c, go, i);
    all[WORKERS] = counts_them(c, go, WORKERS);
    ck_assert_int_eq(uvcsp_par(all, WORKERS + 1), 0);
}

PROCESS(writes_to_each, OUTS(int, outs, n))
{
    for (size_t i = 0; i < n; i++)
        WRITE(outs[i], (int)i);
}

PROCESS(reads_from_each, INS(int, ins, n))
{
    for (size_t i = 0; i < n; i++)
        MUST(READ(ins[i]) == (int)i);
}

/* How often processes have slept and gone on. */
static long wake_ups(const _Atomic pid_t *pids, int n)
{
    long sum = 0;
    for (int i = 0; i < n; i++) {
        char path[40], line[100];
        snprintf(path, sizeof path, "/proc/%d/status", (int)pids[i]);
        FILE *file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        long count = 0;
        while (fgets(line, sizeof line, file) && sscanf(line, "voluntary_ctxt_switches: %ld", &count) != 1)
            ;
        fclose(file);
        sum += count;
    }
    return sum;
}

PROCESS(waits_for_nothing, IN(int, in), VAL(_Atomic pid_t *, pidp))
{
    *pidp = getpid();
    (void)READ(in);
}

/* Each wakes now and then to see whether somebody has died unnoticed, but of all only so many in a second. The more they are,
   the more seldom it is each one's turn. */
TEST(what_waits_hardly_wakes_up_however_many_workers_it_is, .seconds = 60)
{
    enum { MANY = 250 };
    int n = fewer(MANY);
    if (house_light())
        return;
    _Atomic pid_t *pids = seen_by_all(MANY * sizeof *pids);
    CHAN(int) c = CHANNEL(int);
    void *hold = OUT_OF(c);
    uvcsp_handle *workers[MANY];
    for (int i = 0; i < n; i++)
        ck_assert_ptr_nonnull(workers[i] = SPAWN(waits_for_nothing(c, &pids[i])));
    for (int i = 0; i < n; i++)
        while (!pids[i])
            uvcsp_sleep(0.001);
    long woken = LONG_MAX; /* in a second; at first each looks around for a deadlock as well */
    for (int seconds = 0; seconds < 20 && woken > 300; seconds++) {
        long before = wake_ups(pids, n);
        uvcsp_sleep(1);
        woken = wake_ups(pids, n) - before;
    }
    ck_assert_int_le(woken, 300);
    uvcsp_retire(hold);
    for (int i = 0; i < n; i++) {
        uvcsp_join(workers[i], -1);
        uvcsp_handle_free(workers[i]);
    }
    uvcsp_channel_free(c);
}

TEST(a_hundred_thousand_channels_carry_a_message_each, .times = PLACEMENTS, .seconds = 120)
{
    size_t n = (size_t)fewer(100000);
    CHAN(int) *all = calloc(n, sizeof *all);
    ck_assert_int_eq(CHANNELS(int, all, n), 0);
    ck_assert_int_eq(RUN((enum placement)_i, writes_to_each(all, n), reads_from_each(all, n)), 0);
    for (size_t i = 0; i < n; i++)
        uvcsp_channel_free(all[i]);
    free(all);
}

PROCESS(waits_for_one, IN(int, in), VAL(int *, got))
{
    int x = READ(in);
    MUST(!got[x]);
    got[x] = 1;
}

PROCESS(serves_all, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(poisons_once_all_wait, OUT(int, out), IN(int, ready), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(ready);
    POISON(out);
}

PROCESS(says_so_and_waits, IN(int, in), OUT(int, ready), VAL(_Atomic long *, poisoned))
{
    int x;
    WRITE(ready, 0);
    MUST_BE(uvcsp_read(in, &x), UVCSP_POISONED);
    atomic_fetch_add(poisoned, 1);
}

/* All of them are light processes of one worker; who serves them is another's. */
TEST(ten_thousand_offers_wait_at_one_channel, .times = PLACEMENTS, .seconds = 120)
{
    int n = fewer(10000);
    CHAN(int) c = CHANNEL(int);
    int *got = seen_by_all((size_t)n * sizeof *got);
    uvcsp_process *waiting = uvcsp_values_new((size_t)n);
    for (int i = 0; i < n; i++)
        waiting[i] = waits_for_one(c, got);
    uvcsp_process group = uvcsp_worker(waiting, (size_t)n);
    uvcsp_values_free(waiting);
    ck_assert_int_eq(RUN((enum placement)_i, group, serves_all(c, n)), 0);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(got[i], 1);
}

TEST(poison_tells_ten_thousand_that_wait, .times = PLACEMENTS, .seconds = 120)
{
    int n = fewer(10000);
    CHAN(int) c = CHANNEL(int), ready = CHANNEL(int);
    _Atomic long *poisoned = seen_by_all(sizeof *poisoned);
    uvcsp_process *waiting = uvcsp_values_new((size_t)n);
    for (int i = 0; i < n; i++)
        waiting[i] = says_so_and_waits(c, ready, poisoned);
    uvcsp_process group = uvcsp_worker(waiting, (size_t)n);
    uvcsp_values_free(waiting);
    ck_assert_int_eq(RUN((enum placement)_i, group, poisons_once_all_wait(c, ready, n)), 0);
    ck_assert_int_eq(atomic_load(poisoned), n);
}

/* ---- gone ---- */

TEST(a_full_arena_stops_nobody_who_runs, .seconds = 60)
{
    enum { MOST = 1 << 20 };
    setenv("UVCSP_ARENA", "4M", 1);
    struct couple couple = start_couple();
    goes_on(&couple);
    void **all = malloc(MOST * sizeof *all);
    int n = 0;
    house_capture(2);
    while (n < MOST && (all[n] = CHANNEL(int)))
        n++;
    ck_assert_int_eq(errno, ENOMEM);
    goes_on(&couple);
    ck_assert_ptr_null(SHARED_ARRAY(char, 1 << 20));
    ck_assert_ptr_null(QUEUE_NEW(int, 100000));
    ck_assert_ptr_null(uvcsp_manager_start(NULL));
    goes_on(&couple);
    char *said = house_captured();
    ck_assert_contains(said, "no room in the shared arena");
    free(said);
    for (int i = 0; i < n; i++)
        uvcsp_channel_free(all[i]);
    free(all);
    end_couple(&couple);
}

/* ---- for ever ---- */

PROCESS(asks_for_ever, OUT(uvcsp_end, server), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        CHAN(int) reply = CHANNEL(int);
        IN_END(int) in = IN_OF(reply);
        WRITE(server, MOBILE(OUT_OF(reply)));
        MUST(READ(in) == i);
        MUST(RETIRE(in) == 0);
        uvcsp_channel_free(reply);
    }
}

PROCESS(answers_for_ever, IN(uvcsp_end, in))
{
    for (int i = 0;; i++) {
        OUT_END(int) out = AS_OUT(int, READ(in));
        WRITE(out, i);
        MUST(RETIRE(out) == 0);
        MUST(RETIRE(out) == 0);
        MUST(uvcsp_write(out, &i) == UVCSP_RETIRED);
    }
}

TEST(processes_that_make_and_retire_ends_for_ever_need_no_more_room, .times = PLACEMENTS, .seconds = 120)
{
    setenv("UVCSP_ARENA", "4M", 1);
    int n = fewer(50000);
    CHAN(uvcsp_end) c = CHANNEL(uvcsp_end);
    ck_assert_int_eq(RUN(_i, asks_for_ever(c, n), answers_for_ever(c)), 0);
    for (int i = 0; i < n; i++) { /* also on a side that has retired before */
        OUT_END(uvcsp_end) out = OUT_OF(c);
        ck_assert_ptr_nonnull(out);
        ck_assert_int_eq(RETIRE(out), 0);
    }
}

TEST(all_ends_of_a_large_array_can_be_retired_twice)
{
    enum { MANY = 20000 };
    static OUT_END(int) outs[MANY];
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    for (int i = 0; i < MANY; i++)
        outs[i] = OUT_OF(c);
    for (int i = 0; i < 2 * MANY; i++)
        ck_assert_int_eq(RETIRE(outs[i % MANY]), 0);
    int x = 1;
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(uvcsp_write(outs[i], &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

/* ---- used up ---- */

PROCESS(does_nothing) {}

/* A program of its own, as a user whose processes are counted: root's are not. */
static int without_pids(void)
{
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return 99;
    struct couple couple = start_couple();
    goes_on(&couple);
    setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0});
    MUST(!SPAWN(does_nothing()) && errno == EAGAIN);
    MUST(PAR(does_nothing(), does_nothing()) == 2);
    MUST(!uvcsp_manager_start(NULL));
    MUST(CO(does_nothing(), does_nothing()) == 0);
    goes_on(&couple);
    WRITE(couple.stop, 0);
    MUST(uvcsp_join(couple.listener, -1) == UVCSP_OK && uvcsp_exit_code(couple.listener) == 0);
    MUST(uvcsp_join(couple.speaker, -1) == UVCSP_OK && uvcsp_exit_code(couple.speaker) == 0);
    return uvcsp_shutdown();
}

TEST(no_more_processes_are_refused_and_those_that_run_go_on, .seconds = 60)
{
    if (house_light())
        return;
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        no_leak_check = true;
        exit(without_pids());
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x: %s", status, said);
    ck_assert_contains(said, "does_nothing");
    ck_assert_contains(said, strerror(EAGAIN));
    free(said);
}

TEST(no_more_descriptors_are_refused_and_those_that_run_go_on, .seconds = 60)
{
    if (house_light())
        return;
    struct couple couple = start_couple();
    goes_on(&couple);
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    house_capture(2);
    limit.rlim_cur = (rlim_t)house_count_descriptors();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int filler[64], n = 0; /* the numbers below the limit that are free */
    while (n < 64 && (filler[n] = dup(0)) >= 0)
        n++;
    ck_assert_ptr_null(SPAWN(does_nothing()));
    ck_assert_ptr_null(uvcsp_manager_start(NULL));
    ck_assert_ptr_null(uvcsp_listen(NULL, "a key"));
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_ptr_null(uvcsp_shared_open("limits", 8));
    goes_on(&couple);
    while (n > 0)
        close(filler[--n]);
    limit.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    char *said = house_captured();
    ck_assert_contains(said, "Too many open files");
    free(said);
    end_couple(&couple);
}

/* A line that cannot be written is lost, and no more. */
TEST(a_full_disk_under_standard_error_stops_nobody)
{
    int saved = dup(2), full = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(full, 0);
    dup2(full, 2);
    int status = uvcsp_poison(NULL);
    void *none = CHANNEL(int, .capacity = -1);
    struct couple couple = {0};
    if (!house_light()) {
        couple = start_couple();
        goes_on(&couple);
        uvcsp_kill(couple.listener); /* told of in a line */
        uvcsp_join(couple.speaker, -1);
    }
    dup2(saved, 2);
    close(saved);
    close(full);
    ck_assert_int_eq(status, -EINVAL);
    ck_assert_ptr_null(none);
}

SUITE("load", .before = default_signals, .after = uvcsp_shutdown, .seconds = 60)
