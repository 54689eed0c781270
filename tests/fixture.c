#include "tests/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum { MAX_CASES = 1000, MAX_DESCRIPTORS = 65536 };

static struct {
    const TTest *test;
    struct house_case options;
} cases[MAX_CASES];
static int n_cases;

static struct house_suite suite;
static bool open_before[MAX_DESCRIPTORS];
static int capture_fd = -1, capture_saved = -1, capture_file = -1;

void house_add(const TTest *test, struct house_case options)
{
    if (n_cases == MAX_CASES)
        abort();
    cases[n_cases].test = test;
    cases[n_cases++].options = options;
}

/* Calls `see` for every open descriptor but the one that reads the directory; returns their number. */
static int each_descriptor(void (*see)(int fd))
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        ck_abort_msg("/proc/self/fd cannot be read: %s", strerror(errno));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd >= MAX_DESCRIPTORS)
            continue;
        count++;
        if (see)
            see(fd);
    }
    closedir(dir);
    return count;
}

static void remember(int fd)
{
    open_before[fd] = true;
}

static void accuse(int fd)
{
    if (open_before[fd])
        return;
    char path[64], target[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = 0;
    ck_abort_msg("descriptor %d was left open: %s", fd, target);
}

int house_count_descriptors(void)
{
    return each_descriptor(NULL);
}

bool house_has_child(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void look_for_children(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
        return;
    if (info.si_pid)
        ck_abort_msg("child %d has ended and was not waited for", (int)info.si_pid);
    char list[256] = "";
    FILE *file = fopen("/proc/thread-self/children", "re");
    if (file) {
        if (!fgets(list, sizeof(list), file))
            list[0] = 0;
        fclose(file);
    }
    ck_abort_msg("a child was left running: %s", list);
}

/* libuv makes a pipe for its signals when the first loop is made, and keeps it. */
static void warm_up_libuv(void)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) == 0)
        uv_loop_close(&loop);
}

static void before_case(void)
{
    fflush(stdout);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    /* Cases that end by a signal leave no file; valgrind would write all of the arena into it. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    warm_up_libuv();
    each_descriptor(remember);
    if (suite.before)
        ck_assert_msg(suite.before() == 0, "what comes before each case has failed");
}

static void after_case(void)
{
    free(capture_file != -1 ? house_captured() : NULL);
    if (suite.after)
        ck_assert_msg(suite.after() == 0, "what comes after each case has failed");
    look_for_children();
    each_descriptor(accuse);
}

static void add_case(Suite *into, const char *name, const TTest *test, struct house_case options)
{
    TCase *tcase = tcase_create(name);
    double seconds = options.seconds > 0 ? options.seconds : suite.seconds;
    tcase_set_timeout(tcase, seconds > 0 ? seconds : 20);
    tcase_add_checked_fixture(tcase, before_case, after_case);
    _tcase_add_test(tcase, test, options.raises, options.exits, 0,
                    options.times ? options.times : 1);
    suite_add_tcase(into, tcase);
}

int house_main(const char *name, struct house_suite options, int argc, char **argv)
{
    suite = options;
    Suite *checked = suite_create(name);
    for (int i = 0; i < n_cases; i++)
        if (argc < 2 || strstr(cases[i].test->name, argv[1]))
            add_case(checked, name, cases[i].test, cases[i].options);

    SRunner *runner = srunner_create(checked);
    srunner_run_all(runner, CK_ENV);
    int n_run = srunner_ntests_run(runner), n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (n_run == 0)
        fprintf(stderr, "%s: no case was run\n", name);
    return n_run == 0 || n_failed != 0;
}

bool house_light(void)
{
    const char *par = getenv("UVCSP_PAR");
    return par && strcmp(par, "light") == 0;
}

bool house_valgrind(void)
{
    return getenv("UVCSP_UNDER_VALGRIND") != NULL;
}

void house_capture(int fd)
{
    fflush(NULL);
    capture_fd = fd;
    capture_saved = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    capture_file = memfd_create("captured", MFD_CLOEXEC);
    ck_assert_int_ge(capture_saved, 0);
    ck_assert_int_ge(capture_file, 0);
    /* Appending, so that writers who do not share an offset do not overwrite each other. */
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", capture_file);
    int appending = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    ck_assert_int_ge(appending, 0);
    ck_assert_int_ge(dup2(appending, fd), 0);
    close(appending);
}

char *house_captured(void)
{
    fflush(NULL);
    dup2(capture_saved, capture_fd);
    close(capture_saved);
    struct stat st;
    fstat(capture_file, &st);
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (!text || pread(capture_file, text, (size_t)st.st_size, 0) != st.st_size)
        abort();
    close(capture_file);
    capture_fd = capture_saved = capture_file = -1;
    return text;
}
