/* A program as a whole: main as a process, other threads, the order of the scheduler, and what all
   workers print. */
#include <pthread.h>
#include <sys/wait.h>
#include <wchar.h>

#include "tests/contract/contract.h"

PROCESS(writes_n, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(reads_n, IN(int, in), OUT(int, done), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
    WRITE(done, 1);
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

static void in_a_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, fn, arg) == 0);
    pthread_join(thread, NULL);
}

static void other_thread(void)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    in_a_thread(writes_from_here, OUT_OF(c));
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

static void *shuts_down(void *unused)
{
    (void)unused;
    (void)uvcsp_shutdown();
    return NULL;
}

static void shut_down_by_another_thread(void)
{
    (void)CHANNEL(int);
    in_a_thread(shuts_down, NULL);
}

TEST(another_thread_that_shuts_down_is_told_and_aborts)
{
    char *said;
    int status = as_a_program(shut_down_by_another_thread, 2, &said);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_contains(said, "thread");
    free(said);
}

static void without_standard_streams(void)
{
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    SPAWN(writes_n(c, 3));
    for (int i = 0; i < 3; i++)
        MUST(READ(in) == i);
    MUST(uvcsp_shutdown() == 0);
}

TEST(a_program_whose_standard_streams_are_closed_runs_as_any_other)
{
    char *said;
    int status = as_a_program(without_standard_streams, 2, &said);
    ck_assert_str_eq(said, "");
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
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

static char trace[100];

PROCESS(yields, VAL(char, letter), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        strncat(trace, &letter, 1);
        uvcsp_yield();
    }
}

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
        printf("process %d prints line %d of %d, which is long enough to be cut in two\n", me, i,
               LINES);
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

/* A stream that the program has opened; wide characters are kept elsewhere than others. */
PROCESS(goes_on_writing, VAL(FILE *, file), VAL(bool, wide))
{
    MUST(wide ? fputwc(L'b', file) == L'b' : fputc('b', file) == 'b');
}

TEST(what_a_stream_holds_is_written_once, .times = 2)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert(_i ? fputwc(L'a', file) == L'a' : fputc('a', file) == 'a');
    ck_assert_int_eq(PAR(goes_on_writing(file, _i == 1)), 0);
    ck_assert(_i ? fputwc(L'c', file) == L'c' : fputc('c', file) == 'c');
    fflush(file);
    char text[8] = "";
    ck_assert_int_eq(pread(fileno(file), text, sizeof text - 1, 0), 3);
    ck_assert_str_eq(text, "abc");
    fclose(file);
}

SUITE("program", .after = uvcsp_shutdown)
