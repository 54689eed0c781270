/* Workers that crash, main where poison or retirement would end it, and the death of the parent. */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

PROCESS(writes_and_returns, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(writes_until_the_end, OUT(int, out), VAL(int, n), VAL(int, status))
{
    int i = 0, got;
    while ((got = uvcsp_write(out, &i)) == UVCSP_OK)
        i++;
    MUST(i == n);
    MUST_BE(got, status);
}

PROCESS(reads_some, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
}

/* ---- crashes ---- */

PROCESS(meets_poison, IN(int, in))
{
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_POISONED);
}

PROCESS(crashes_after, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
    raise(SIGKILL);
}

TEST(par_counts_those_that_failed_and_the_others_end_by_poison)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int), e = CHANNEL(int);
    house_capture(2);
    int failed = PAR(writes_until_the_end(c, 3, UVCSP_POISONED), crashes_after(c, 3),
                     writes_until_the_end(d, 0, UVCSP_POISONED), crashes_after(d, 0),
                     writes_and_returns(e, 2), reads_some(e, 2));
    char *said = house_captured();
    ck_assert_int_eq(failed, 2);
    ck_assert_contains(uvcsp_cause(c), "crashes_after");
    ck_assert_contains(uvcsp_cause(c), "signal 9");
    ck_assert_ptr_null(uvcsp_cause(e));
    free(said);
}

PROCESS(shares_a_worker, OUT(int, out), IN(int, never))
{
    (void)READ(never);
    WRITE(out, 1);
}

TEST(a_crash_poisons_the_ends_of_all_processes_of_the_worker)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int), e = CHANNEL(int), never = CHANNEL(int);
    OUT_END(int) held = OUT_OF(never);
    house_capture(2);
    int failed =
        PAR(WORKER(crashes_after(c, 1), shares_a_worker(d, never), shares_a_worker(e, never)),
            writes_until_the_end(c, 1, UVCSP_POISONED), meets_poison(d), meets_poison(e));
    free(house_captured());
    ck_assert_int_eq(failed, 1);
    ck_assert_contains(uvcsp_cause(e), "signal 9");
    ck_assert_contains(uvcsp_cause(never), "signal 9");
    (void)held;
}

PROCESS(is_a_grandchild, OUT(int, out))
{
    WRITE(out, 1);
    uvcsp_sleep(600);
}

PROCESS(has_a_child_and_crashes, OUT(int, out), IN(int, go))
{
    SPAWN(is_a_grandchild(out));
    RETIRE(out);
    (void)READ(go);
    raise(SIGKILL);
}

/* The grandchild is somebody's still: it is ended, its ends are poisoned, nothing is left of it. */
TEST(what_a_crashed_worker_has_started_ends_with_it)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int), go = CHANNEL(int);
    OUT_END(int) start = OUT_OF(go);
    IN_END(int) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(has_a_child_and_crashes(c, go));
    int x = READ(in); /* the grandchild is there */
    WRITE(start, x);
    int status = uvcsp_read_timeout(in, &x, 5), joined = uvcsp_join(handle, 5);
    free(house_captured());
    ck_assert_int_eq(status, UVCSP_POISONED);
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGKILL);
    ck_assert_contains(uvcsp_cause(c), "is_a_grandchild");
}

PROCESS(becomes, VAL(const char *, program), OUT(int, out))
{
    WRITE(out, 1);
    if (program)
        execlp(program, program, NULL);
    _exit(0);
}

TEST(a_worker_that_becomes_another_program_ends_as_that_does, .times = 3)
{
    if (house_light())
        return;
    static const char *const programs[] = {"true", "false", NULL};
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(becomes(programs[_i], c));
    int x = READ(in);
    int status = uvcsp_read(in, &x), joined = uvcsp_join(handle, 10);
    char *said = house_captured();
    ck_assert_int_eq(status, _i == 1 ? UVCSP_POISONED : UVCSP_RETIRED);
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), _i == 1);
    ck_assert_int_eq(*said != 0, _i == 1);
    free(said);
}

TEST(par_counts_only_programs_that_end_badly)
{
    if (house_light())
        return;
    CHAN(int) c[3]; /* one for each, since the one that ends badly poisons its own */
    for (int i = 0; i < 3; i++)
        c[i] = CHANNEL(int, .capacity = 4);
    house_capture(2);
    int failed = PAR(becomes("true", c[0]), becomes("false", c[1]), becomes(NULL, c[2]));
    free(house_captured());
    ck_assert_int_eq(failed, 1);
}

/* ---- main ---- */

PROCESS(poisons_later, OUT(int, out))
{
    WRITE(out, 1);
    POISON(out);
}

/* What a program says on stderr, and its status. */
static char *as_a_program(void (*body)(void), int *status)
{
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    ck_assert_int_eq(waitpid(pid, status, 0), pid);
    return house_captured();
}

static void main_that_meets_poison(void)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    SPAWN(poisons_later(c));
    for (;;)
        (void)READ(in);
}

static void main_that_meets_retirement(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    IN_END(int) in = IN_OF(c), quiet = IN_OF(d);
    OUT_END(int) held = OUT_OF(d);
    SPAWN(writes_and_returns(c, 3));
    int x;
    for (;;)
        (void)ALT(ON_READ(in, &x), ON_READ(quiet, &x));
    (void)held;
}

TEST(where_poison_or_retirement_would_end_main_the_program_ends_with_a_line_and_status_1,
     .times = 2)
{
    int status;
    char *said = as_a_program(_i ? main_that_meets_retirement : main_that_meets_poison, &status);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_contains(said, "main");
    ck_assert_contains(said, _i ? "retire" : "poisons_later");
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
    free(said);
}

/* ---- the death of the parent ---- */

static struct {
    atomic_int pid[3];
} * family;

PROCESS(stays, VAL(int, me), IN(int, never), OUT(int, ready), VAL(bool, stubborn))
{
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    family->pid[me] = getpid();
    WRITE(ready, me);
    (void)never;
    uvcsp_sleep(600);
}

PROCESS(has_children, IN(int, never), OUT(int, never_out), OUT(int, ready), VAL(bool, stubborn))
{
    (void)never_out;
    PAR(stays(0, never, ready, stubborn), stays(1, never, ready, false));
}

PROCESS(tells, IN(int, ready), VAL(int, fd))
{
    for (int i = 0; i < 3; i++)
        (void)READ(ready);
    MUST(write(fd, "x", 1) == 1);
    (void)READ(ready);
}

TEST(no_worker_outlives_a_program_that_was_killed, .times = 2)
{
    if (house_light())
        return;
    int fds[2];
    char byte;
    family = seen_by_all(sizeof *family);
    ck_assert_int_eq(pipe(fds), 0);
    pid_t program = fork();
    if (program == 0) {
        CHAN(int) never = CHANNEL(int), ready = CHANNEL(int);
        PAR(has_children(never, never, ready, _i), stays(2, never, ready, false),
            tells(ready, fds[1]));
        _exit(0);
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    struct pollfd watched[3];
    for (int i = 0; i < 3; i++)
        watched[i] = (struct pollfd){(int)syscall(SYS_pidfd_open, family->pid[i], 0), POLLIN, 0};
    kill(program, SIGKILL);
    ck_assert_int_eq(waitpid(program, NULL, 0), program);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ge(watched[i].fd, 0);
        ck_assert_int_eq(poll(&watched[i], 1, 8000), 1);
        close(watched[i].fd);
    }
    close(fds[0]);
}
/* ---- Ctrl-C ---- */

TEST(an_interrupt_ends_the_program_and_all_of_its_workers)
{
    int fds[2], status;
    char byte;
    family = seen_by_all(sizeof *family);
    ck_assert_int_eq(pipe(fds), 0);
    pid_t program = fork();
    if (program == 0) {
        setpgid(0, 0); /* as a terminal does it: the signal goes to the whole group */
        CHAN(int) never = CHANNEL(int), ready = CHANNEL(int);
        PAR(has_children(never, never, ready, false), stays(2, never, ready, false),
            tells(ready, fds[1]));
        _exit(0);
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    struct pollfd watched[3];
    for (int i = 0; i < 3; i++)
        watched[i] = (struct pollfd){(int)syscall(SYS_pidfd_open, family->pid[i], 0), POLLIN, 0};
    kill(-program, SIGINT);
    ck_assert_int_eq(waitpid(program, &status, 0), program);
    ck_assert(WIFSIGNALED(status) ? WTERMSIG(status) == SIGINT : WEXITSTATUS(status) != 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(house_light() ? 1 : poll(&watched[i], 1, 8000), 1);
        close(watched[i].fd);
    }
    close(fds[0]);
}

SUITE("crashes", .before = default_signals, .after = uvcsp_shutdown)
