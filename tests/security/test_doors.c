/* The doors of a program, tried from outside: by another user (where the test runs as root: in a
   child that becomes `nobody`), by one who does not know the secret, and by a program that is
   executed. What each try is shown to fail by is also shown to succeed for who may. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <uvcsp/ipc.h>

#include "runtime/link.h"
#include "runtime/worker.h"
#include "tests/contract/contract.h"

enum { NOBODY = 65534 };

/* Runs `try` in a child, as nobody if `other`: its answer. The root goes on meanwhile. */
static int tried(int (*try)(void), bool other)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (other && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
            _exit(99);
        _exit(try());
    }
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0)
        uvcsp_sleep(0.001);
    ck_assert(WIFEXITED(status));
    ck_assert_int_ne(WEXITSTATUS(status), 99);
    return WEXITSTATUS(status);
}

static bool is_root(void)
{
    return geteuid() == 0;
}

enum { REFUSED = 20, LET_IN, SILENCE };

/* Waits for a byte: has it been let in? */
static int answer_of(int fd)
{
    char byte;
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 1 ? LET_IN : n < 0 && errno == EAGAIN ? SILENCE : REFUSED;
}

/* ---- links between workers ---- */

PROCESS(waits, IN(int, in))
{
    (void)READ(in);
}

static struct sockaddr_un where;
static socklen_t where_size;
static uint64_t secret;

static int say_hello(void)
{
    struct usp_frame hello = {
        .type = USP_FRAME_HELLO, .worker = USP_MAX_WORKERS - 1, .length = secret};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&where, where_size) < 0)
        return REFUSED;
    if (send(fd, &hello, sizeof hello, MSG_NOSIGNAL) < 0 && errno != EPIPE)
        return 98;
    return answer_of(fd);
}

static void address_of(unsigned index)
{
    const struct usp_worker *worker = usp_worker_of(index);
    ck_assert_int_gt(worker->address_size, 0);
    ck_assert_int_eq(worker->address[0], 0); /* abstract: there is no file */
    where = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(where.sun_path, worker->address, (size_t)worker->address_size);
    where_size = (socklen_t)(sizeof(sa_family_t) + (size_t)worker->address_size);
}

TEST(a_link_is_for_workers_of_this_program)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *h = SPAWN(waits(c));
    address_of(0);
    secret = usp_shared->secret;
    ck_assert_int_eq(tried(say_hello, false), LET_IN);
    if (is_root())
        ck_assert_int_eq(tried(say_hello, true), REFUSED);
    secret ^= 1;
    ck_assert_int_eq(tried(say_hello, false), REFUSED);
    RETIRE(out);
    ck_assert_int_eq(uvcsp_join(h, -1), UVCSP_OK);
}

/* They are refused one by one, and what the program does goes on. */
static int knock_often(void)
{
    int refused = 0;
    for (int i = 0; i < 300; i++)
        refused += say_hello() == REFUSED;
    return refused == 300 ? REFUSED : LET_IN;
}

PROCESS(echo, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

TEST(who_is_refused_again_and_again_stops_nobody)
{
    if (house_light() || !is_root())
        return;
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    OUT_END(int) out = OUT_OF(there);
    IN_END(int) in = IN_OF(back);
    uvcsp_handle *h = SPAWN(echo(there, back));
    WRITE(out, 0);
    ck_assert_int_eq(READ(in), 0);
    address_of(0);
    secret = usp_shared->secret;
    pid_t pid = fork();
    if (pid == 0)
        _exit(setuid(NOBODY) < 0 ? 99 : knock_often());
    int status = 0, n = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        WRITE(out, ++n);
        ck_assert_int_eq(READ(in), n);
    }
    ck_assert_int_eq(WEXITSTATUS(status), REFUSED);
    RETIRE(out);
    ck_assert_int_eq(uvcsp_join(h, -1), UVCSP_OK);
}

/* ---- the memory ---- */

static char of_victim[32];

/* Can anything below that directory of /proc be opened? */
static bool opens_something(const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", of_victim, name);
    int fd = open(path, flags);
    if (fd >= 0 && !(flags & O_DIRECTORY))
        return true;
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && openat(fd, entry->d_name, O_RDWR | O_NONBLOCK) >= 0)
            return true;
    return false;
}

static int open_memory(void)
{
    return opens_something("mem", O_RDWR) || opens_something("map_files", O_RDONLY | O_DIRECTORY) ||
                   opens_something("fd", O_RDONLY | O_DIRECTORY)
               ? LET_IN
               : REFUSED;
}

/* The arena is a memfd: sealed, so that no mapping of it can be cut off; its descriptor is closed.
 */
static bool has_arena_open(void)
{
    char path[64], target[64];
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strstr(target, "uvcsp-arena"))
            return true;
    }
    return false;
}

TEST(the_arena_has_no_name_by_which_another_user_gets_at_it)
{
    CHAN(int) c = CHANNEL(int);
    ck_assert_ptr_nonnull(c);
    ck_assert(!has_arena_open());
    snprintf(of_victim, sizeof of_victim, "/proc/%d", (int)getpid());
    if (!is_root())
        return;
    ck_assert_int_eq(tried(open_memory, false), LET_IN);
    ck_assert_int_eq(tried(open_memory, true), REFUSED);
}

/* A memory of that name that another user offers is not taken. */
static int offers[2]; /* a pipe: what it has bound, and when it may end */

static int offer_memory(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = memfd_create("mine", 0);
    if (fd < 0 || ftruncate(fd, 1 << 16) < 0)
        return 98;
    int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "uvcsp-shared/0/door/%d/%d",
                     (int)getpid(), fd);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)n);
    if (bind(s, (struct sockaddr *)&name, size) < 0)
        return 97;
    char byte = 1;
    if (write(offers[1], &byte, 1) != 1)
        return 96;
    pause();
    return 0;
}

TEST(shared_memory_that_another_user_offers_is_refused)
{
    if (!is_root())
        return;
    ck_assert_int_eq(pipe(offers), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(setuid(NOBODY) < 0 ? 99 : offer_memory());
    char byte;
    ck_assert_int_eq(read(offers[0], &byte, 1), 1);
    ck_assert_ptr_null(uvcsp_shared_open("door", 100));
    ck_assert_int_eq(errno, EACCES);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(offers[0]);
    close(offers[1]);
    long *mine = uvcsp_shared_open("door", 100); /* the name is free again */
    ck_assert_ptr_nonnull(mine);
    uvcsp_shared_free(mine);
}

/* ---- listeners ---- */

static const char *path_of_listener;

/* Is there a byte of the greeting? */
static int call_listener(void)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    snprintf(path.sun_path, sizeof path.sun_path, "%s", path_of_listener);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&path, sizeof path) < 0)
        return REFUSED;
    return answer_of(fd);
}

PROCESS(accepts, VAL(uvcsp_listener *, listener), IN(int, stop))
{
    int x;
    while (ALT(ON_READ(stop, &x), ON_CLIENT(listener)) == 1)
        MUST(!uvcsp_accept(listener, 0)); /* none of them knows the key */
}

TEST(a_listener_is_for_its_user)
{
    char directory[] = "/tmp/uvcsp-doors-XXXXXX", inner[64];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(inner, sizeof inner, "%s/uvcsp", directory);
    setenv("XDG_RUNTIME_DIR", directory, 1);
    uvcsp_listener *listener = uvcsp_listen("door", "a key");
    ck_assert_ptr_nonnull(listener);
    struct stat status;
    ck_assert_int_eq(stat(inner, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0700);
    path_of_listener = uvcsp_listener_address(listener);
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
    uvcsp_handle *h = GO(accepts(listener, c));
    ck_assert_int_eq(tried(call_listener, false), LET_IN);
    if (is_root()) {
        ck_assert_int_eq(tried(call_listener, true), REFUSED); /* it does not get at the socket */
        ck_assert_int_eq(
            chmod(directory, 0777) + chmod(inner, 0777) + chmod(path_of_listener, 0777), 0);
        ck_assert_int_eq(tried(call_listener, true), REFUSED); /* it does, and is not greeted */
        chmod(inner, 0700);
    }
    WRITE(out, 0);
    ck_assert_int_eq(uvcsp_join(h, -1), UVCSP_OK);
    uvcsp_listener_close(listener);
    ck_assert_int_eq(rmdir(inner) + rmdir(directory), 0);
}

TEST(a_directory_that_others_may_enter_is_not_used)
{
    char directory[] = "/tmp/uvcsp-doors-XXXXXX", address[64];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(address, sizeof address, "%s/socket", directory);
    ck_assert_int_eq(chmod(directory, 0750), 0);
    ck_assert_ptr_null(uvcsp_listen(address, "a key"));
    ck_assert_int_eq(errno, EACCES);
    ck_assert_int_eq(chmod(directory, 0700), 0);
    if (is_root()) {
        ck_assert_int_eq(chown(directory, NOBODY, NOBODY), 0);
        ck_assert_ptr_null(uvcsp_listen(address, "a key"));
        ck_assert_int_eq(errno, EACCES);
    }
    ck_assert_int_eq(rmdir(directory), 0);
}

/* ---- descriptors ---- */

/* What a program finds that is executed from here. */
static char *inherited(void)
{
    static char text[8192];
    int fds[2];
    MUST(pipe2(fds, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", "for f in /proc/$$/fd/*; do readlink $f; done", NULL);
        _exit(1);
    }
    close(fds[1]);
    size_t n = 0;
    for (ssize_t more; (more = read(fds[0], text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)more;
    text[n] = '\0';
    close(fds[0]);
    MUST(waitpid(pid, NULL, 0) == pid);
    char *pipe_of_its_own =
        strstr(text, "pipe:"); /* its standard output has another number each time */
    while (pipe_of_its_own) {
        char *line_end = strchr(pipe_of_its_own, '\n');
        memmove(pipe_of_its_own, line_end + 1, strlen(line_end + 1) + 1);
        pipe_of_its_own = strstr(text, "pipe:");
    }
    return strdup(text);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Whatever has descriptors. */
static void use_everything(void)
{
    int fds[2];
    MUST(pipe2(fds, O_CLOEXEC) == 0);
    uvcsp_manager *m = uvcsp_manager_start(NULL);
    MUST(m && uvcsp_manager_list(m, NULL).id);
    uvcsp_listener *listener = uvcsp_listen(NULL, "a key");
    MUST(listener);
    MUST(uvcsp_shared_open("descriptors", 8));
    MUST(uvcsp_blocking(nothing, NULL) == 0);
    MUST(uvcsp_wait_fd(fds[1], UV_WRITABLE, -1) == 0);
    MUST(ALT(ON_SIGNAL(SIGUSR1), ON_TIMEOUT(0)) == 1);
    close(fds[0]);
    close(fds[1]);
}

PROCESS(looks, VAL(const char *, before), IN(int, in), OUT(int, out))
{
    WRITE(out, 1);
    (void)READ(in);
    use_everything();
    char *now = inherited();
    if (strcmp(before, now) != 0)
        fprintf(stderr, "before:\n%sin a worker:\n%s", before, now);
    MUST(strcmp(before, now) == 0);
    free(now);
}

PROCESS(partner, IN(int, in), OUT(int, out))
{
    WRITE(out, READ(in));
}

TEST(a_program_that_is_executed_gets_no_descriptor)
{
    char *before = inherited();
    ck_assert_contains(before, "/");
    int shown = open("/dev/zero", O_RDONLY); /* so one would be seen */
    char *with = inherited();
    ck_assert_contains(with, "/dev/zero");
    close(shown);
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int);
    ck_assert_int_eq(PAR(looks(before, a, b), partner(b, a)), 0);
    use_everything();
    char *after = inherited();
    ck_assert_str_eq(before, after);
    free(before);
    free(with);
    free(after);
}

static int before(void)
{
    unsetenv("XDG_RUNTIME_DIR");
    return default_signals();
}

SUITE("doors", .before = before, .after = uvcsp_shutdown, .seconds = 60)
