/* Where the kernel has no pidfds, or does not let the program have them (valgrind, some sandboxes), deaths are seen
   all the same. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* `how`: SECCOMP_RET_... */
static void refuse(int number, unsigned how)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, how),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void refuse_pidfds(int error)
{
    refuse(SYS_pidfd_open, SECCOMP_RET_ERRNO | (unsigned)error);
    /* valgrind has none in any case, and says so before the kernel is asked */
    MUST(syscall(SYS_pidfd_open, getpid(), 0) == -1 && (errno == error || house_valgrind()));
}

PROCESS(numbers, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(adds_up, IN(int, in), OUT(int, out))
{
    int x, sum = 0;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        sum += x;
    WRITE(out, sum);
}

PROCESS(parent_of_two, OUT(int, out))
{
    CHAN(int) c = CHANNEL(int);
    MUST(PAR(numbers(c, 100), adds_up(c, out)) == 0);
}

static const int errors[] = {ENOSYS, EPERM};

TEST(networks_run_and_workers_end, .times = 2)
{
    refuse_pidfds(errors[_i]);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    uvcsp_handle *handle = SPAWN(parent_of_two(c));
    ck_assert_int_eq(READ(in), 4950);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
    ck_assert(!uvcsp_alive(handle));
}

PROCESS(dies_when_told, IN(int, in), OUT(int, out))
{
    WRITE(out, getpid());
    raise(READ(in));
}

TEST(a_worker_that_is_killed_is_poison_with_its_cause)
{
    if (house_light())
        return;
    refuse_pidfds(ENOSYS);
    CHAN(int) tell = CHANNEL(int), c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(tell);
    IN_END(int) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(dies_when_told(tell, c));
    int x, pid = READ(in);
    WRITE(out, SIGKILL);
    int status = uvcsp_read_timeout(in, &x, 10);
    free(house_captured());
    ck_assert_int_eq(status, UVCSP_POISONED);
    ck_assert_contains(uvcsp_cause(c), "signal 9");
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGKILL);
    ck_assert_int_eq(kill(pid, 0), -1);
}

PROCESS(orphan, OUT(int, out))
{
    WRITE(out, getpid());
    uvcsp_sleep(600);
}

PROCESS(dies_before_its_child, OUT(int, out))
{
    SPAWN(orphan(out));
    RETIRE(out);
    uvcsp_sleep(600);
}

TEST(a_worker_whose_parent_was_killed_is_taken_over_by_the_root)
{
    if (house_light())
        return;
    refuse_pidfds(ENOSYS);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(dies_before_its_child(c));
    int x;
    (void)READ(in);
    ck_assert_int_eq(uvcsp_kill(handle), 0);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    int status = uvcsp_read_timeout(in, &x, 10);
    free(house_captured());
    ck_assert_int_eq(status, UVCSP_POISONED);
}

TEST(workers_start_where_who_asks_for_a_set_of_processors_is_killed, .times = 2)
{
    refuse(SYS_sched_setaffinity, _i ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM);
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(c);
    ck_assert_int_eq(PAR(parent_of_two(c)), 0);
    ck_assert_int_eq(READ(in), 4950);
}

SUITE("sandbox", .before = default_signals, .after = uvcsp_shutdown)
