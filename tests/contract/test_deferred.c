/* What a process has deferred runs when it ends, whichever way it ends: but for a crash and SIGKILL, after which none of
   its code can run. */
#include <semaphore.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* Seen by all workers: what has run, in its order. */
static struct trace {
    atomic_int n;
    char text[60];
    atomic_int pid, ready;
} * trace;

static void leave(void *letter)
{
    trace->text[trace->n++] = *(const char *)letter;
}

enum way {
    RETURNS,
    EXITS_PROCESS,
    MEETS_POISON,
    MEETS_RETIREMENT,
    EXITS_WITH_0,
    EXITS_WITH_3,
    TERMINATED_IN_READ, /* from here on by others */
    TERMINATED_IN_ALT,
    TERMINATED_IN_SLEEP,
    TERMINATED_IN_JOIN,
    TERMINATED_IN_CO,
    TERMINATED_IN_PAR,
    WAYS,
};

PROCESS(child, IN(int, never), VAL(const char *, letter))
{
    DEFER(leave, (void *)(uintptr_t)letter);
    trace->ready++;
    (void)READ(never);
}

PROCESS(ends, VAL(enum way, way), IN(int, never), IN(int, poisoned), OUT(int, retired))
{
    int x;
    DEFER(leave, "2");
    DEFER(leave, "1");
    trace->ready++;
    switch (way) {
    case EXITS_PROCESS:
        uvcsp_exit_process();
    case MEETS_POISON:
        (void)READ(poisoned);
        break;
    case MEETS_RETIREMENT:
        WRITE(retired, 1);
        break;
    case EXITS_WITH_0:
        exit(0);
    case EXITS_WITH_3:
        no_leak_check = true;
        exit(3);
    case TERMINATED_IN_READ:
        (void)READ(never);
        break;
    case TERMINATED_IN_ALT:
        (void)ALT(ON_READ(never, &x), ON_TIMEOUT(600));
        break;
    case TERMINATED_IN_SLEEP:
        uvcsp_sleep(600);
        break;
    case TERMINATED_IN_JOIN:
        (void)uvcsp_join(GO(child(never, "0")), -1);
        break;
    case TERMINATED_IN_CO:
        CO(child(never, "0"));
        break;
    case TERMINATED_IN_PAR:
        PAR(child(never, "0"));
        break;
    default:
        return;
    }
    leave("x"); /* not reached */
}

static int code_of(enum way way)
{
    return way == EXITS_WITH_3 ? 3 : way >= TERMINATED_IN_READ ? -SIGTERM : 0;
}

static bool has_a_child(enum way way)
{
    return way == TERMINATED_IN_JOIN || way == TERMINATED_IN_CO || way == TERMINATED_IN_PAR;
}

static void wait_until_ready(int n)
{
    while (trace->ready < n)
        uvcsp_sleep(0.001);
}

TEST(it_runs_whichever_way_the_process_ends, .times = WAYS)
{
    enum way way = (enum way)_i;
    if (house_light() && way != RETURNS && code_of(way) >= 0 && way >= EXITS_WITH_0)
        return; /* exit() ends this program */
    CHAN(int) never = CHANNEL(int), poisoned = CHANNEL(int), retired = CHANNEL(int);
    OUT_END(int) keep = OUT_OF(never);
    POISON(poisoned);
    RETIRE(IN_OF(retired));
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(ends(way, never, poisoned, retired));
    if (code_of(way) < 0) {
        wait_until_ready(1 + has_a_child(way));
        ck_assert_int_eq(uvcsp_terminate(handle), 0);
    }
    int joined = uvcsp_join(handle, 20);
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), code_of(way));
    RETIRE(keep); /* in light mode a process that was started with GO is not of a worker that ends */
    while (way == TERMINATED_IN_JOIN && trace->n < 3)
        uvcsp_sleep(0.001);
    free(house_captured());
    if (way == TERMINATED_IN_JOIN)
        ck_assert(strcmp(trace->text, "120") == 0 || strcmp(trace->text, "012") == 0);
    else
        ck_assert_str_eq(trace->text, has_a_child(way) ? "012" : "12");
}

PROCESS(computes)
{
    DEFER(leave, "1");
    trace->ready++;
    for (volatile unsigned i = 0;; i++)
        ;
}

TEST(a_worker_that_does_not_wait_is_ended_all_the_same)
{
    if (house_light())
        return;
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(computes());
    wait_until_ready(1);
    ck_assert_int_eq(uvcsp_terminate(handle), 0);
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    free(house_captured());
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGTERM);
    ck_assert_str_eq(trace->text, "");
}

static void waits_for_ever(void *never)
{
    int x;
    trace->text[trace->n++] = 'w';
    (void)uvcsp_read((IN_END(int))never, &x);
}

PROCESS(defers_a_wait, IN(int, never))
{
    DEFER(waits_for_ever, never);
    trace->ready++;
    (void)READ(never);
}

TEST(what_is_deferred_and_never_ends_does_not_keep_a_worker, .times = 2)
{
    if (house_light())
        return;
    CHAN(int) never = CHANNEL(int);
    OUT_END(int) keep = OUT_OF(never);
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(defers_a_wait(never));
    wait_until_ready(1);
    ck_assert_int_eq(uvcsp_terminate(handle), 0);
    if (_i) { /* who is told twice dies at once */
        while (!trace->n)
            uvcsp_sleep(0.001);
        ck_assert_int_eq(uvcsp_terminate(handle), 0);
        ck_assert_int_eq(uvcsp_join(handle, 0.9), UVCSP_OK);
    }
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    free(house_captured());
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGTERM);
    ck_assert_str_eq(trace->text, "w");
    RETIRE(keep);
}

TEST(all_light_processes_of_a_worker_that_is_terminated_run_theirs, .times = 2)
{
    if (house_light())
        return;
    CHAN(int) never = CHANNEL(int);
    OUT_END(int) keep = OUT_OF(never);
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(WORKER(child(never, "a"), child(never, "b"), child(never, "c")));
    wait_until_ready(3);
    if (_i)
        ck_assert_int_eq(kill(uvcsp_pid(handle), SIGTERM), 0);
    else
        ck_assert_int_eq(uvcsp_terminate(handle), 0);
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    char *said = house_captured();
    ck_assert_contains(said, "signal 15");
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
    free(said);
    ck_assert_int_eq(trace->n, 3);
    RETIRE(keep);
}

/* A program whose root is killed while its worker waits. */
PROCESS(outlives, IN(int, never))
{
    DEFER(leave, "o");
    trace->pid = getpid();
    trace->ready++;
    (void)READ(never);
}

TEST(a_worker_whose_parent_was_killed_runs_its_own)
{
    if (house_light())
        return;
    trace = seen_by_all(sizeof *trace);
    pid_t program = fork();
    if (program == 0) {
        CHAN(int) never = CHANNEL(int);
        OUT_END(int) keep = OUT_OF(never);
        (void)keep;
        _exit(PAR(outlives(never)));
    }
    while (!trace->ready)
        uvcsp_sleep(0.001);
    kill(program, SIGKILL);
    waitpid(program, NULL, 0);
    while (kill(trace->pid, 0) == 0)
        uvcsp_sleep(0.001);
    ck_assert_str_eq(trace->text, "o");
}

PROCESS(dies, VAL(int, signum))
{
    DEFER(leave, "1");
    if (signum == SIGSEGV)
        signal(signum, SIG_DFL); /* a sanitizer's */
    raise(signum);
}

TEST(nothing_runs_after_a_crash_or_a_signal_that_the_process_sent_itself, .times = 4)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGTERM};
    if (house_light())
        return;
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    ck_assert_int_eq(PAR(dies(signals[_i])), 1);
    free(house_captured());
    ck_assert_str_eq(trace->text, "");
}

PROCESS(returns_at_once, OUT(int, out))
{
    (void)out;
}

/* It came to its own end before it waited, or it was cut short: what is told of it is all of one kind. */
TEST(who_is_terminated_before_it_has_begun_either_returns_or_is_killed, .times = 30)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(returns_at_once(c));
    ck_assert_int_eq(uvcsp_terminate(handle), 0);
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    int x, status = uvcsp_read(in, &x);
    free(house_captured());
    ck_assert_int_eq(status, uvcsp_exit_code(handle) == 0 ? UVCSP_RETIRED : UVCSP_POISONED);
}

struct pace {
    sem_t begun, go;
};

static void blocks(void *arg)
{
    struct pace *pace = arg;
    sem_post(&pace->begun);
    sem_wait(&pace->go);
}

PROCESS(is_in_a_blocking_call, VAL(struct pace *, pace))
{
    DEFER(leave, "1");
    (void)uvcsp_blocking(blocks, pace);
    leave("x");
}

TEST(who_is_terminated_in_a_blocking_call_ends_when_that_returns, .times = 2)
{
    struct pace *pace = seen_by_all(sizeof *pace);
    trace = seen_by_all(sizeof *trace);
    sem_init(&pace->begun, 1, 0);
    sem_init(&pace->go, 1, 0);
    house_capture(2);
    uvcsp_handle *handle = _i ? SPAWN(is_in_a_blocking_call(pace)) : GO(is_in_a_blocking_call(pace));
    while (sem_trywait(&pace->begun) != 0)
        uvcsp_sleep(0.001);
    ck_assert_int_eq(uvcsp_terminate(handle), 0);
    if (!_i || house_light())
        sem_post(&pace->go);
    int joined = uvcsp_join(handle, 20);
    free(house_captured());
    ck_assert_int_eq(joined, UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), -SIGTERM);
    ck_assert_str_eq(trace->text, _i && !house_light() ? "" : "1"); /* a worker waits for a second at most */
}

TEST(a_worker_runs_its_own_also_where_main_has_asked_for_the_signal_itself)
{
    if (house_light())
        return;
    CHAN(int) never = CHANNEL(int);
    OUT_END(int) keep = OUT_OF(never);
    trace = seen_by_all(sizeof *trace);
    ck_assert_int_eq(PRI_ALT(ON_SIGNAL(SIGTERM), ON_TIMEOUT(0)), 1);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(child(never, "c"));
    wait_until_ready(1);
    ck_assert_int_eq(uvcsp_terminate(handle), 0);
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    free(house_captured());
    ck_assert_str_eq(trace->text, "c");
    RETIRE(keep);
}

static void leave_slowly(void *letter)
{
    uvcsp_sleep(0.05);
    leave(letter);
}

PROCESS(slow_child, IN(int, never))
{
    DEFER(leave_slowly, "c");
    trace->ready++;
    (void)READ(never);
}

PROCESS(slow_parent, IN(int, never))
{
    DEFER(leave_slowly, "p");
    trace->ready++;
    PAR(slow_child(never));
}

/* The group tells both of them, and the parent passes it on. */
TEST(who_is_told_by_the_group_and_by_its_parent_runs_its_own_all_the_same)
{
    if (house_light())
        return;
    CHAN(int) never = CHANNEL(int);
    OUT_END(int) keep = OUT_OF(never);
    trace = seen_by_all(sizeof *trace);
    ck_assert_int_eq(setpgid(0, 0), 0);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(slow_parent(never));
    wait_until_ready(2);
    signal(SIGTERM, SIG_IGN);
    ck_assert_int_eq(kill(0, SIGTERM), 0);
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    free(house_captured());
    ck_assert_str_eq(trace->text, "cp");
    RETIRE(keep);
}

PROCESS(sleeps_long)
{
    signal(SIGTERM, SIG_IGN);
    trace->ready++;
    uvcsp_sleep(600);
}

PROCESS(waits_for_one_that_sleeps)
{
    PAR(sleeps_long());
}

/* Whom that one waited for is an address in a process that is gone. */
TEST(light_processes_are_terminated_also_while_the_child_of_a_dead_worker_lives_on, .times = 2)
{
    if (house_light())
        return;
    trace = seen_by_all(sizeof *trace);
    house_capture(2);
    uvcsp_handle *handle = SPAWN(waits_for_one_that_sleeps());
    wait_until_ready(1);
    ck_assert_int_eq(uvcsp_kill(handle), 0);
    for (int i = 0; i < 3; i++) {
        CHAN(int) never = CHANNEL(int);
        (void)OUT_OF(never);
        uvcsp_handle *light = GO(child(never, "l"));
        uvcsp_sleep(0.01);
        ck_assert_int_eq(_i ? uvcsp_kill(light) : uvcsp_terminate(light), 0);
        ck_assert_int_eq(uvcsp_join(light, 20), UVCSP_OK);
    }
    free(house_captured());
    ck_assert_str_eq(trace->text, _i ? "" : "lll");
}

/* Two processes of a worker that call exit(): what the first has deferred waits for the other. */
struct talk {
    OUT_END(int) ask;
    IN_END(int) answer;
};

static void talk_once_more(void *arg)
{
    struct talk *talk = arg;
    int x;
    WRITE(talk->ask, 1);
    leave("1");
    MUST_BE(uvcsp_read_timeout(talk->answer, &x, 20), UVCSP_RETIRED);
    leave("2");
}

PROCESS(exits_first, OUT(int, ask), IN(int, answer))
{
    struct talk talk = {ask, answer};
    DEFER(leave, "3");
    DEFER(talk_once_more, &talk);
    exit(0);
}

PROCESS(exits_when_asked, IN(int, asked), OUT(int, answer))
{
    (void)answer;
    DEFER(leave, "b");
    (void)READ(asked);
    exit(0);
}

TEST(who_exits_while_another_has_done_so_only_ends_and_what_that_one_has_deferred_goes_on, .times = 2)
{
    if (house_light())
        return;
    trace = seen_by_all(sizeof *trace);
    CHAN(int) question = CHANNEL(int), answer = CHANNEL(int);
    uvcsp_handle *handle =
        _i ? SPAWN(WORKER(exits_first(question, answer), exits_when_asked(question, answer)))
           : SPAWN(WORKER(exits_when_asked(question, answer), exits_first(question, answer)));
    ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
    ck_assert_str_eq(trace->text, trace->text[0] == '1' ? "1b23" : "b123");
}

SUITE("deferred", .before = default_signals, .after = uvcsp_shutdown)
