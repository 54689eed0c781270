/* Each call of the system that the library makes fails once: the first, the second, ... until a
   program that uses everything gets through. Each time the program has to end, not by a hang or a
   fault: with codes that say what has not been done and a line on standard error, or by abort()
   with a line. If it goes on, nothing is left behind, and the library works. */
#include <fcntl.h>
#include <sys/wait.h>

#include "tests/contract/contract.h"
#include "tests/inject.h"

/* ---- a program that uses everything ---- */

/* What has failed is counted: a code, a NULL, a process that PAR counts. */
static int n_failed;

#define MAY_FAIL(call) (n_failed += (call) != 0)

typedef struct {
    char bytes[300000];
} large;
static large in_hand; /* each worker has its own; malloc() may fail here as well */

/* A partner that could not be started is met as poison; a message without room gives -ENOMEM.
   Either ends the process. */
#define OR_END(call)                                                                               \
    do {                                                                                           \
        if ((call) != UVCSP_OK)                                                                    \
            return;                                                                                \
    } while (0)

PROCESS(writer, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        OR_END(uvcsp_write(out, &i));
}

PROCESS(reader, IN(int, in), VAL(int, n))
{
    int x;
    for (int i = 0; i < n; i++) {
        OR_END(uvcsp_read(in, &x));
        MUST(x == i);
    }
}

PROCESS(large_writer, OUT(large, out))
{
    memset(&in_hand, 'x', sizeof in_hand);
    (void)uvcsp_write(out, &in_hand);
}

PROCESS(large_reader, IN(large, in))
{
    if (uvcsp_read(in, &in_hand) == UVCSP_OK)
        for (size_t i = 0; i < sizeof in_hand; i++)
            MUST(in_hand.bytes[i] == 'x');
}

PROCESS(bytes_writer, OUT(uvcsp_bytes, out), VAL(size_t, size))
{
    for (int i = 0; i < 3; i++)
        OR_END(uvcsp_write(out, &(uvcsp_bytes){in_hand.bytes, size}));
}

PROCESS(bytes_reader, IN(uvcsp_bytes, in), VAL(size_t, size))
{
    uvcsp_bytes message;
    while (uvcsp_read(in, &message) == UVCSP_OK) {
        MUST(message.size == size);
        free(message.data);
    }
}

PROCESS(end_giver, OUT(uvcsp_end, out), OUT(int, mine))
{
    uvcsp_end end = MOBILE(mine);
    (void)uvcsp_write(out, &end);
}

PROCESS(end_taker, IN(uvcsp_end, in))
{
    uvcsp_end end;
    OR_END(uvcsp_read(in, &end));
    (void)uvcsp_write(AS_OUT(int, end), &(int){0});
}

enum { MANY = 100 };

PROCESS(chooser, INS(int, ins, n), VAL(int, rounds))
{
    int x;
    uvcsp_guard guards[MANY];
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(ins[i], &x);
    for (int i = 0; i < rounds; i++)
        if (uvcsp_alt(guards, n, UVCSP_FAIR) < 0)
            return;
}

PROCESS(writer_to_many, OUTS(int, outs, n), VAL(int, rounds))
{
    for (int i = 0; i < rounds; i++)
        OR_END(uvcsp_write(outs[(size_t)i * 37 % n], &i));
}

PROCESS(sleeper)
{
    uvcsp_sleep(0.001);
}

static void set_to_one(void *arg)
{
    *(int *)arg = 1;
}

/* The outside world. */
PROCESS(worldly)
{
    int done = 0, fds[2];
    if (uvcsp_blocking(set_to_one, &done) == 0)
        MUST(done == 1);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    int status = uvcsp_wait_fd(fds[0], UV_READABLE, 0.001);
    MUST(status == UVCSP_TIMEOUT || status < 0);
    status = uvcsp_wait_fd(fds[1], UV_WRITABLE, -1);
    MUST(status == UVCSP_OK || status < 0);
    status = uvcsp_alt(
        (uvcsp_guard[]){ON_FD(fds[0], UV_READABLE), ON_SIGNAL(SIGUSR1), ON_TIMEOUT(0.001)}, 3,
        UVCSP_FAIR);
    MUST(status == 2 || status < 0);
    close(fds[0]);
    close(fds[1]);
    (void)uvcsp_defer(free, malloc(1));
}

PROCESS(nest, OUT(int, out))
{
    (void)PAR(writer(out, 2), sleeper());
}

static void use_everything(void)
{
    CHAN(int) a = CHANNEL(int), c = CHANNEL(int);
    CHAN(int) b = CHANNEL(int, .capacity = 2, .carrier = UVCSP_SHARED);
    CHAN(large) d = CHANNEL(large), e = CHANNEL(large, .carrier = UVCSP_SHARED);
    CHAN(uvcsp_bytes) f = CHANNEL(uvcsp_bytes, .capacity = 1), g = CHANNEL(uvcsp_bytes);
    CHAN(uvcsp_end) h = CHANNEL(uvcsp_end);
    CHAN(int) many[MANY] = {NULL};
    MAY_FAIL(CHANNELS(int, many, MANY));
    if (many[0])
        MAY_FAIL(PAR(chooser(many, MANY, 5), writer_to_many(many, MANY, 5)));
    MAY_FAIL(PAR(writer(a, 5), reader(a, 5), writer(b, 5), reader(b, 5)));
    MAY_FAIL(PAR(large_writer(d), large_reader(d), large_writer(e), large_reader(e)));
    MAY_FAIL(PAR(bytes_writer(f, 9000), bytes_reader(f, 9000), bytes_writer(g, 200000),
                 bytes_reader(g, 200000)));
    MAY_FAIL(PAR(end_giver(h, c), end_taker(h), reader(c, 1)));
    CHAN(int) i = CHANNEL(int), j = CHANNEL(int);
    MAY_FAIL(PAR(nest(i), reader(i, 2)));
    MAY_FAIL(PAR(worldly()));
    MAY_FAIL(CO(worldly(), sleeper(), writer(j, 3), reader(j, 3)));
    MAY_FAIL(SEQ(sleeper(), sleeper()));
    MAY_FAIL(CO_FOR(k, 40, sleeper()));
    uvcsp_handle *forked = SPAWN(sleeper()), *light = GO(sleeper());
    n_failed += !forked + !light;
    if (forked)
        MAY_FAIL(uvcsp_join(forked, -1) || uvcsp_exit_code(forked));
    if (light)
        MAY_FAIL(uvcsp_join(light, 10));
}

/* ---- one run of it, in a process of its own ---- */

static void the_library_works(void)
{
    CHAN(int) c = CHANNEL(int);
    MUST(c);
    MUST(PAR(writer(c, 3), reader(c, 3)) == 0);
    uvcsp_channel_free(c);
}

enum { ALL_DONE = 40, SOME_FAILED }; /* its statuses */

static void run_program(const char *call, int nth, int error)
{
    default_signals();
    signal(SIGALRM, SIG_DFL);
    alarm(10);
    int descriptors = house_count_descriptors();
    inject_fail(call, nth, error);
    use_everything();
    int n_calls = inject_calls(call);
    inject_stop();
    the_library_works();
    MUST(uvcsp_shutdown() == 0);
    MUST(!house_has_child());
    MUST(house_count_descriptors() <= descriptors + 2); /* libuv keeps a pipe for signals */
    no_leak_check = true;
    exit(n_calls < nth && n_failed == 0 ? ALL_DONE : SOME_FAILED);
}

/* True while there is another call to fail. */
static bool run(const char *call, int nth, int error)
{
    house_capture(2);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        run_program(call, nth, error);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *said = house_captured();
    if (WIFEXITED(status) &&
        (WEXITSTATUS(status) == ALL_DONE || WEXITSTATUS(status) == SOME_FAILED)) {
        bool more = WEXITSTATUS(status) == SOME_FAILED;
        free(said);
        return more;
    }
    /* an abort, or the end of main by poison */
    if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) || !strstr(said, "uvcsp: "))
        ck_abort_msg("%s failed at call %d: %s %d: \"%s\"", call, nth,
                     WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), said);
    free(said);
    return true;
}

static const struct {
    const char *call;
    int error;
} paths[] = {
    {"malloc", ENOMEM},        {"calloc", ENOMEM},
    {"realloc", ENOMEM},       {"mmap", ENOMEM},
    {"mprotect", ENOMEM},      {"madvise", EINVAL},
    {"memfd_create", EMFILE},  {"ftruncate", ENOMEM},
    {"fork", EAGAIN},          {"socket", EMFILE},
    {"socketpair", EMFILE},    {"bind", EADDRINUSE},
    {"connect", ECONNREFUSED}, {"getsockname", ENOBUFS},
    {"sigaltstack", ENOMEM},   {"syscall", EMFILE},
    {"epoll_create1", EMFILE}, {"epoll_ctl", ENOSPC},
    {"uv_loop_init", EMFILE},  {"uv_async_init", EMFILE},
    {"uv_pipe_init", ENOMEM},  {"uv_pipe_open", EINVAL},
    {"uv_poll_init", EEXIST},  {"uv_listen", EADDRINUSE},
    {"uv_accept", EMFILE},     {"uv_read_start", ENOTCONN},
    {"uv_write", EPIPE},       {"uv_signal_start", EINVAL},
    {"uv_queue_work", ENOMEM},
};
enum { N_PATHS = sizeof paths / sizeof paths[0] };

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

/* The address sanitizer makes this call for itself, by the same name. */
static bool sanitizer_needs(const char *call)
{
    return SANITIZED && strcmp(call, "sigaltstack") == 0;
}

TEST(each_call_fails_in_turn, .times = N_PATHS, .seconds = 120)
{
    if (house_light() || sanitizer_needs(paths[_i].call))
        return;
    /* workers count by themselves, and a failure there may be of no consequence */
    int nth = 1;
    for (int in_vain = 0; in_vain < 3 && nth < 1000; nth += 1 + SANITIZED * nth / 8)
        in_vain = run(paths[_i].call, nth, paths[_i].error) ? 0 : in_vain + 1;
    ck_assert_int_lt(nth, 1000);
}

TEST(each_call_fails_always, .times = N_PATHS)
{
    if (house_light() || sanitizer_needs(paths[_i].call))
        return;
    (void)run(paths[_i].call, INJECT_ALL, paths[_i].error);
}

SUITE("paths", .before = default_signals)
