/* What becomes of the workers of a worker that ends, and of all of them when the root does. */
#include <sched.h>
#include <sys/prctl.h>

#include "tests/crash/crash.h"
#include "tests/failpoint.h"

enum { MOST = 64 };

static struct {
    _Atomic int n;
    _Atomic int pids[MOST];
    _Atomic bool has_spoken;
} *born;

static void enter_birth(void)
{
    born->pids[born->n++] = getpid();
}

static void wait_for_births(int n)
{
    while (born->n < n)
        sched_yield();
}

static void begin(void)
{
    failpoints_share();
    born = seen_by_all(sizeof *born);
}

static int n_alive(void)
{
    int n = 0;
    for (int i = 0; i < born->n; i++)
        n += kill(born->pids[i], 0) == 0;
    return n;
}

/* ---- the parent of workers ends ---- */

PROCESS(sleeper, OUT(int, out))
{
    (void)out;
    enter_birth();
    uvcsp_sleep(60);
}

PROCESS(stubborn_sleeper, OUT(int, out))
{
    (void)out;
    signal(SIGTERM, SIG_IGN);
    enter_birth();
    uvcsp_sleep(60);
}

/* Gives its last word in the time that it is left. */
PROCESS(polite_sleeper, OUT(int, out))
{
    (void)out;
    uvcsp_guard guards[] = {ON_SIGNAL(SIGTERM), ON_TIMEOUT(0)};
    MUST(uvcsp_alt(guards, 2, UVCSP_PRI) == 1); /* from now on the signal is watched */
    enter_birth();
    guards[1].seconds = 60;
    MUST(uvcsp_alt(guards, 2, UVCSP_PRI) == 0);
    born->has_spoken = true;
}

PROCESS(two_below, OUT(int, out))
{
    enter_birth();
    PAR(sleeper(out), sleeper(out));
}

/* Ends when `n` are born, in the midst of its PAR. */
PROCESS(ends, VAL(enum way, way), VAL(int, n))
{
    while (born->n < n)
        uvcsp_yield();
    die(way);
}

PROCESS(exits_with, VAL(int, code), VAL(int, n))
{
    while (born->n < n)
        uvcsp_yield();
    no_leak_check = true;
    exit(code);
}

enum child { SLEEPER, STUBBORN, POLITE, FAMILY };

PROCESS(parent, OUT(int, out), VAL(enum child, child))
{
    switch (child) {
    case SLEEPER:
        PAR(sleeper(out), sleeper(out));
        break;
    case STUBBORN:
        PAR(stubborn_sleeper(out), sleeper(out));
        break;
    case POLITE:
        PAR(polite_sleeper(out));
        break;
    case FAMILY:
        PAR(two_below(out), sleeper(out));
        break;
    }
}

/* Has no end of the channel itself, only its worker has. */
PROCESS(parent_without_ends, VAL(CHAN(int), c))
{
    PAR(sleeper(c));
}

/* Waits until there is poison, which must tell of a worker of that name. */
PROCESS(mourner, IN(int, in), VAL(const char *, whose))
{
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_POISONED);
    const char *cause = uvcsp_cause(in);
    MUST(cause);
    if (!strstr(cause, whose)) {
        fprintf(stderr, "cause: %s\n", cause);
        MUST(!"the cause names who it was");
    }
}

/* Runs a parent with a companion that ends the worker of both. Returns how long it took until
   nobody was left. */
static double run_family(uvcsp_process first, uvcsp_process second, CHAN(int) c, const char *whose,
                         int expected)
{
    house_capture(2);
    double start = uvcsp_now();
    int failed = PAR(WORKER(first, second), mourner(c, whose));
    char *said = house_captured();
    if (failed != expected)
        fputs(said, stderr);
    free(said);
    ck_assert_int_eq(failed, expected);
    while (n_alive() > 0 && uvcsp_now() - start < 10)
        uvcsp_sleep(0.002);
    double took = uvcsp_now() - start;
    ck_assert_int_eq(n_alive(), 0);
    uvcsp_channel_free(c);
    ck_assert(all_is_given_back());
    return took;
}

TEST(the_workers_of_a_worker_that_dies_die_with_it, .times = WAYS)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    /* exit() ends the children first */
    const char *whose = _i == BY_EXIT_3 ? "worker of" : "worker of 'parent'";
    double took = run_family(parent(c, SLEEPER), ends((enum way)_i, 2), c, whose, 1);
    ck_assert_double_lt(took, 1);
}

TEST(the_ends_that_only_they_have_are_poisoned)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    run_family(parent_without_ends(c), ends(BY_SIGKILL, 1), c, "worker of 'sleeper'", 1);
}

TEST(one_that_ignores_sigterm_is_killed_after_two_seconds)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    double took = run_family(parent(c, STUBBORN), ends(BY_SIGKILL, 2), c, "worker of", 1);
    ck_assert_double_gt(took, 1.5);
    ck_assert_double_lt(took, 3.5);
}

TEST(one_that_waits_for_sigterm_has_time_to_end)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    double took = run_family(parent(c, POLITE), ends(BY_SIGKILL, 1), c, "worker of 'parent'", 1);
    ck_assert_double_lt(took, 1.5);
    ck_assert(born->has_spoken);
}

TEST(so_do_the_workers_of_those)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    double took = run_family(parent(c, FAMILY), ends(BY_SIGKILL, 4), c, "worker of", 1);
    ck_assert_double_lt(took, 2);
}

TEST(a_worker_that_calls_exit_takes_its_workers_with_it, .times = 2)
{
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int);
    double took =
        run_family(parent(c, SLEEPER), exits_with(_i ? 3 : 0, 2), c, "worker of", _i ? 1 : 0);
    ck_assert_double_lt(took, 1.5);
}

/* ---- the parent does not look ---- */

/* Dies while its parent computes, when the others wait. */
PROCESS(dies_unseen, IN(int, in), OUT(int, out), VAL(int, n))
{
    (void)in, (void)out;
    while (born->n < n)
        sched_yield();
    uvcsp_sleep(0.01);
    die(BY_SIGSEGV);
}

PROCESS(waits_for_the_unseen, IN(int, in), OUT(int, out), VAL(_Atomic double *, seen))
{
    (void)out;
    enter_birth();
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_POISONED);
    MUST(strstr(uvcsp_cause(in), "worker of 'dies_unseen'"));
    MUST(strstr(uvcsp_cause(in), "signal 11"));
    *seen = uvcsp_now();
}

TEST(a_worker_that_dies_while_its_parent_computes_is_seen_by_others)
{
    if (house_light())
        return;
    begin();
    _Atomic double *seen = seen_by_all(2 * sizeof *seen);
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    house_capture(2);
    uvcsp_handle *handles[] = {SPAWN(waits_for_the_unseen(c, d, &seen[0])),
                               SPAWN(waits_for_the_unseen(c, d, &seen[1])),
                               SPAWN(dies_unseen(d, c, 2))};
    wait_for_births(2);
    double start = uvcsp_now();
    while ((seen[0] == 0 || seen[1] == 0) && uvcsp_now() - start < 5)
        ; /* no call that would let the loop run */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(uvcsp_join(handles[i], 10), UVCSP_OK);
    char *said = house_captured();
    ck_assert_int_eq(uvcsp_exit_code(handles[0]), 0);
    ck_assert_int_eq(uvcsp_exit_code(handles[1]), 0);
    ck_assert_int_eq(uvcsp_exit_code(handles[2]), -SIGSEGV);
    ck_assert_double_lt(seen[0] - start, 1);
    ck_assert_double_lt(seen[1] - start, 1);
    ck_assert_ptr_eq(strstr(said, "dies_unseen"), strrchr(said, '\'') - strlen("dies_unseen"));
    free(said);
    uvcsp_channel_free(c);
    uvcsp_channel_free(d);
    ck_assert(all_is_given_back());
}

/* ---- the root ends ---- */

PROCESS(talker, IN(int, in), OUT(int, out), VAL(int, first))
{
    enter_birth();
    int x = 0;
    if (first)
        WRITE(out, x);
    for (;;) {
        x = READ(in);
        WRITE(out, x + 1);
    }
}

PROCESS(computer)
{
    enter_birth();
    for (;;)
        ;
}

PROCESS(family, OUT(int, out))
{
    enter_birth();
    PAR(sleeper(out), computer());
}

enum { PROGRAM_SIZE = 6 };

/* A program of its own, in a process group of its own. */
static pid_t start_program(bool stubborn)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    setpgid(0, 0);
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int), e = CHANNEL(int);
    if (stubborn)
        PAR(talker(c, d, 0), talker(d, c, 1), stubborn_sleeper(e), family(e), sleeper(e));
    else
        PAR(talker(c, d, 0), talker(d, c, 1), computer(), family(e), sleeper(e));
    _exit(1);
}

/* This process adopts what the program leaves, and so sees when it is gone. */
static double reap_all(pid_t program, int *status)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double start = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    int n = 0;
    for (;;) {
        int how;
        pid_t pid = wait(&how);
        if (pid < 0 && errno == ECHILD)
            break;
        if (pid == program)
            *status = how;
        n += pid > 0;
    }
    ck_assert_int_ge(n, PROGRAM_SIZE);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - start;
}

static double end_program(bool stubborn, int signum, bool whole_group)
{
    begin();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int status = 0;
    pid_t program = start_program(stubborn);
    wait_for_births(PROGRAM_SIZE + 1);
    kill(whole_group ? -program : program, signum);
    double took = reap_all(program, &status);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), signum);
    return took;
}

TEST(no_worker_survives_the_root, .times = 3)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGTERM};
    if (house_light())
        return;
    ck_assert_double_lt(end_program(false, signals[_i], false), 1.5);
}

TEST(none_that_ignores_sigterm_either)
{
    if (house_light())
        return;
    double took = end_program(true, SIGKILL, false);
    ck_assert_double_gt(took, 1.5);
    ck_assert_double_lt(took, 3.5);
}

TEST(ctrl_c_ends_the_program_and_all_of_its_workers)
{
    if (house_light())
        return;
    ck_assert_double_lt(end_program(false, SIGINT, true), 1.5);
}

SUITE("family", .before = default_signals, .after = uvcsp_shutdown)
