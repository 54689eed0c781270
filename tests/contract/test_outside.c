/* Time and the outside world: clock, sleep, descriptors, blocking calls, the loop; main as a process; threads;
   the scheduler's seed; what all workers print. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"

/* ---- time ---- */

PROCESS(sleeps, VAL(double, seconds))
{
    double begin = uvcsp_now();
    uvcsp_sleep(seconds);
    MUST(uvcsp_now() - begin >= seconds);
}

TEST(processes_sleep_at_the_same_time_and_never_too_short, .times = PLACEMENTS)
{
    double begin = uvcsp_now();
    ck_assert_int_eq(RUN(_i, sleeps(0.1), sleeps(0.2), sleeps(0.0), sleeps(-1), sleeps(0.2),
                         WORKER(sleeps(0.2), sleeps(0.2), sleeps(0.2), sleeps(0.0001))),
                     0);
    double took = uvcsp_now() - begin;
    ck_assert(took >= 0.2);
    ck_assert_msg(took < 0.9, "it took %g s", took); /* one after the other is 1.1 s */
}

PROCESS(notes_time, OUT(double, out))
{
    WRITE(out, uvcsp_now());
}

TEST(all_workers_have_the_same_clock)
{
    CHAN(double) c = CHANNEL(double, .capacity = 1);
    IN_END(double) in = IN_OF(c);
    double before = uvcsp_now();
    ck_assert_int_eq(PAR(notes_time(c)), 0);
    double there = READ(in);
    ck_assert(before <= there && there <= uvcsp_now());
}

static char trace[100];

PROCESS(yields, VAL(char, letter), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        strncat(trace, &letter, 1);
        uvcsp_yield();
    }
}

TEST(yield_lets_every_other_ready_process_run_first)
{
    if (getenv("UVCSP_SEED"))
        return;
    ck_assert_int_eq(CO(yields('a', 3), yields('b', 3), yields('c', 2)), 0);
    ck_assert_str_eq(trace, "abcabcab");
}

PROCESS(polls, IN(int, in), VAL(int, way))
{
    int x, status;
    do
        status = way == 0   ? uvcsp_read_try(in, &x)
                 : way == 1 ? uvcsp_read_timeout(in, &x, 0.0)
                 : way == 2 ? (PRI_ALT(ON_READ(in, &x), ON_SKIP) == 0 ? UVCSP_OK : UVCSP_WOULD_BLOCK)
                            : (ALT(ON_READ(in, &x), ON_TIMEOUT(0)) == 0 ? UVCSP_OK : UVCSP_TIMEOUT);
    while (status != UVCSP_OK);
}

PROCESS(gives, OUT(int, out))
{
    WRITE(out, 1);
}

/* As it would in a worker of its own, so light mode is the same. */
TEST(one_that_polls_without_end_does_not_keep_the_others_from_running, .times = 4 * PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN(_i / 4, polls(c, _i % 4), gives(c)), 0);
}

/* ---- descriptors ---- */

PROCESS(waits_for_bytes, VAL(int, fd), VAL(int, n))
{
    char byte;
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_wait_fd(fd, UV_READABLE, -1), UVCSP_OK);
        MUST(read(fd, &byte, 1) == 1);
    }
}

PROCESS(writes_bytes, VAL(int, fd), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_wait_fd(fd, UV_WRITABLE, 60), UVCSP_OK);
        MUST(write(fd, "x", 1) == 1);
        uvcsp_yield();
    }
}

TEST(a_process_waits_for_a_descriptor_while_the_others_go_on, .times = PLACEMENTS)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(RUN(_i, waits_for_bytes(fds[0], 50), writes_bytes(fds[1], 50), sleeps(0.01)), 0);
    close(fds[0]);
    close(fds[1]);
}

TEST(wait_fd_answers_with_a_code)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    double begin = uvcsp_now();
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 0.02), UVCSP_TIMEOUT);
    ck_assert(uvcsp_now() - begin >= 0.02);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 0), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_wait_fd(fds[1], UV_WRITABLE | UV_READABLE, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_wait_fd(fds[1], 0, 1), -EINVAL);
    ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0); /* its flags are the caller's */
    close(fds[1]);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 5), UVCSP_OK); /* hung up */
    close(fds[0]);
    ck_assert_int_eq(uvcsp_wait_fd(fds[0], UV_READABLE, 5), -EBADF);
    ck_assert_int_eq(uvcsp_wait_fd(-1, UV_READABLE, 5), -EBADF);
    FILE *file = tmpfile();
    ck_assert_int_eq(uvcsp_wait_fd(fileno(file), UV_READABLE, 5), UVCSP_OK); /* a regular file */
    fclose(file);
}

/* ---- blocking calls ---- */

static int gate[2];

static void blocks_on_the_gate(void *arg)
{
    char byte;
    *(ssize_t *)arg = read(gate[0], &byte, 1);
}

PROCESS(calls_something_slow, VAL(ssize_t *, result))
{
    MUST(uvcsp_blocking(blocks_on_the_gate, result) == 0);
}

PROCESS(opens_the_gate, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
    MUST(write(gate[1], "x", 1) == 1);
}

PROCESS(writes_n, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

/* The call returns only after two other light processes of its worker have exchanged 100 messages. */
TEST(the_others_go_on_during_a_blocking_call, .times = 2)
{
    ssize_t *result = seen_by_all(sizeof *result);
    ck_assert_int_eq(pipe(gate), 0);
    CHAN(int) c = CHANNEL(int);
    uvcsp_process all = WORKER(calls_something_slow(result), opens_the_gate(c, 100), writes_n(c, 100));
    ck_assert_int_eq(_i ? PAR(all) : CO(all), 0);
    ck_assert_int_eq(*result, 1);
    close(gate[0]);
    close(gate[1]);
}

/* ---- the loop ---- */

static struct {
    uv_timer_t timer;
    OUT_END(int) out;
    int ticks;
} clockwork;

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    int x = clockwork.ticks;
    if (uvcsp_write_try(clockwork.out, &x) == UVCSP_OK && ++clockwork.ticks == 5)
        uv_close((uv_handle_t *)&clockwork.timer, NULL);
}

PROCESS(ticks, OUT(int, out), IN(int, done))
{
    clockwork.out = out;
    clockwork.ticks = 0;
    MUST(uv_timer_init(uvcsp_loop(), &clockwork.timer) == 0);
    MUST(uv_timer_start(&clockwork.timer, on_tick, 1, 1) == 0);
    (void)READ(done);
}

PROCESS(reads_n, IN(int, in), OUT(int, done), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
    WRITE(done, 1);
}

TEST(a_callback_of_the_loop_reaches_processes_by_the_trying_forms, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), done = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, ticks(c, done), reads_n(c, done, 5)), 0);
    ck_assert_ptr_nonnull(uvcsp_loop());
}

/* ---- main, other threads ---- */

TEST(main_is_a_process_and_reads_writes_and_chooses, .times = 2)
{
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    OUT_END(int) out = OUT_OF(there);
    IN_END(int) in = IN_OF(back);
    uvcsp_handle *handle = _i ? SPAWN(reads_n(there, back, 10)) : GO(reads_n(there, back, 10));
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ALT(ON_TIMEOUT(60), ON_WRITE(out, i)), 1);
    ck_assert_int_eq(READ(in), 1);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
}

static void *writes_from_here(void *out)
{
    int x = 1;
    (void)uvcsp_write((OUT_END(int))out, &x);
    return NULL;
}

static void other_thread(void)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    pthread_t thread;
    pthread_create(&thread, NULL, writes_from_here, OUT_OF(c));
    pthread_join(thread, NULL);
}

/* Runs it as a program of its own; its wait status, and what it says on `fd`. */
static int as_a_program(void (*body)(void), int fd, char **said)
{
    int status;
    house_capture(fd);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    pid_t waited = waitpid(pid, &status, 0);
    *said = house_captured();
    ck_assert_int_eq(waited, pid);
    return status;
}

TEST(a_call_from_another_thread_is_told_and_aborts)
{
    char *said;
    int status = as_a_program(other_thread, 2, &said);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_contains(said, "thread");
    free(said);
}

static void exits_in_main(void)
{
    CHAN(int) c = CHANNEL(int);
    SPAWN(writes_n(c, 1));
    GO(writes_n(c, 1));
    IN_END(int) in = IN_OF(c);
    (void)READ(in);
    uvcsp_exit_process();
}

TEST(exit_process_in_main_ends_the_program_with_0)
{
    char *said;
    int status = as_a_program(exits_in_main, 2, &said);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_str_eq(said, "");
    free(said);
}

/* ---- the order of the scheduler ---- */

static void prints_its_order(void)
{
    char letter[] = "a";
    (void)letter;
    CO(yields('a', 8), yields('b', 8), yields('c', 8), yields('d', 8));
    printf("%s", trace);
}

TEST(a_seed_orders_the_scheduler_and_the_same_seed_the_same_way)
{
    char *first, *again, *other;
    setenv("UVCSP_SEED", "1", 1);
    as_a_program(prints_its_order, 1, &first);
    as_a_program(prints_its_order, 1, &again);
    setenv("UVCSP_SEED", "2", 1);
    as_a_program(prints_its_order, 1, &other);
    unsetenv("UVCSP_SEED");
    ck_assert_int_eq(strlen(first), 32);
    ck_assert_str_eq(first, again);
    ck_assert_str_ne(first, other);
    free(first);
    free(again);
    free(other);
}

/* ---- what is printed ---- */

enum { LINES = 300 };

PROCESS(prints, VAL(int, me))
{
    for (int i = 0; i < LINES; i++)
        printf("process %d prints line %d of %d, which is long enough to be cut in two\n", me, i, LINES);
    printf("the last of %d", me);
    printf(" ends without a line feed before the next%s", me % 2 ? "\n" : ";\n");
}

static void prints_everywhere(void)
{
    printf("before the first fork, without a line feed; ");
    if (PAR(prints(0), WORKER(prints(1), prints(2)), prints(3)) != 0)
        abort();
    printf("afterwards\n");
}

static void check_printed(char *text)
{
    int lines[4] = {0}, last = 0, n = 0;
    const char *first = "before the first fork, without a line feed; ";
    ck_assert_int_eq(strncmp(text, first, strlen(first)), 0);
    for (char *line = strtok(text + strlen(first), "\n"); line; line = strtok(NULL, "\n"), n++) {
        int me, i;
        if (sscanf(line, "process %d prints line %d of", &me, &i) == 2) {
            ck_assert_int_eq(i, lines[me]++);
            ck_assert_ptr_nonnull(strstr(line, "cut in two"));
        } else if (strncmp(line, "the last of ", 12) == 0) {
            last++;
        } else {
            ck_assert_str_eq(line, "afterwards");
        }
    }
    ck_assert_int_eq(n, 4 * LINES + 4 + 1);
    ck_assert_int_eq(last, 4);
}

TEST(what_all_workers_print_arrives_whole_and_once_in_a_file)
{
    char *text;
    ck_assert_int_eq(as_a_program(prints_everywhere, 1, &text), 0);
    check_printed(text);
    free(text);
}

TEST(what_all_workers_print_arrives_whole_and_once_in_a_pipe)
{
    int fds[2], status;
    ck_assert_int_eq(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        prints_everywhere();
        exit(0);
    }
    close(fds[1]);
    char *text = calloc(1, 1 << 20);
    ssize_t n;
    for (size_t at = 0; (n = read(fds[0], text + at, (1 << 20) - at)) > 0; at += (size_t)n)
        ;
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    check_printed(text);
    free(text);
}

SUITE("outside", .after = uvcsp_shutdown)
