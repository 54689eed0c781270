#include "tests/inject.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <uv.h>

/* The linker knows these by other names where offsets have 64 bits. */
#ifdef __USE_FILE_OFFSET64
#define WIDE(name) name##64
#else
#define WIDE(name) name
#endif

/* One line a function: result, name, symbol, parameters, arguments, what it returns when it fails. The
   symbols are also in tests/meson.build, which passes --wrap=SYMBOL for each. */
#define CALLS(CALL)                                                                                \
    CALL(void *, malloc, malloc, (size_t n), (n), NULL)                                            \
    CALL(void *, calloc, calloc, (size_t n, size_t m), (n, m), NULL)                               \
    CALL(void *, realloc, realloc, (void *p, size_t n), (p, n), NULL)                              \
    CALL(char *, strdup, strdup, (const char *s), (s), NULL)                                       \
    CALL(void *, mmap, WIDE(mmap), (void *p, size_t n, int prot, int flags, int fd, off_t off),    \
         (p, n, prot, flags, fd, off), MAP_FAILED)                                                 \
    CALL(int, mprotect, mprotect, (void *p, size_t n, int prot), (p, n, prot), -1)                 \
    CALL(int, madvise, madvise, (void *p, size_t n, int advice), (p, n, advice), -1)               \
    CALL(int, memfd_create, memfd_create, (const char *name, unsigned flags), (name, flags), -1)   \
    CALL(int, ftruncate, WIDE(ftruncate), (int fd, off_t n), (fd, n), -1)                          \
    CALL(pid_t, fork, fork, (void), (), -1)                                                        \
    CALL(int, pipe, pipe, (int fds[2]), (fds), -1)                                                 \
    CALL(int, pipe2, pipe2, (int fds[2], int flags), (fds, flags), -1)                             \
    CALL(int, socket, socket, (int d, int t, int p), (d, t, p), -1)                                \
    CALL(int, socketpair, socketpair, (int d, int t, int p, int fds[2]), (d, t, p, fds), -1)       \
    CALL(int, bind, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)         \
    CALL(int, connect, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)   \
    CALL(int, eventfd, eventfd, (unsigned count, int flags), (count, flags), -1)                   \
    CALL(int, sigaltstack, sigaltstack, (const stack_t *new, stack_t *old), (new, old), -1)        \
    CALL(long, syscall, syscall, (long n, long a, long b, long c, long d, long e, long f),         \
         (n, a, b, c, d, e, f), -1)                                                                \
    CALL(int, uv_loop_init, uv_loop_init, (uv_loop_t * l), (l), -errno)                            \
    CALL(int, uv_async_init, uv_async_init, (uv_loop_t * l, uv_async_t * a, uv_async_cb cb),       \
         (l, a, cb), -errno)                                                                       \
    CALL(int, uv_pipe_init, uv_pipe_init, (uv_loop_t * l, uv_pipe_t * p, int ipc), (l, p, ipc),    \
         -errno)                                                                                   \
    CALL(int, uv_pipe_open, uv_pipe_open, (uv_pipe_t * p, uv_file fd), (p, fd), -errno)            \
    CALL(int, uv_poll_init, uv_poll_init, (uv_loop_t * l, uv_poll_t * p, int fd), (l, p, fd),      \
         -errno)                                                                                   \
    CALL(int, getsockname, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), -1)  \
    CALL(int, epoll_create1, epoll_create1, (int flags), (flags), -1)                              \
    CALL(int, epoll_ctl, epoll_ctl, (int e, int op, int fd, struct epoll_event *event),            \
         (e, op, fd, event), -1)                                                                   \
    CALL(int, uv_listen, uv_listen, (uv_stream_t * s, int n, uv_connection_cb cb), (s, n, cb),     \
         -errno)                                                                                   \
    CALL(int, uv_accept, uv_accept, (uv_stream_t * s, uv_stream_t * c), (s, c), -errno)            \
    CALL(int, uv_read_start, uv_read_start,                                                        \
         (uv_stream_t * s, uv_alloc_cb alloc, uv_read_cb read), (s, alloc, read), -errno)          \
    CALL(int, uv_write, uv_write,                                                                  \
         (uv_write_t * w, uv_stream_t * s, const uv_buf_t *b, unsigned n, uv_write_cb cb),         \
         (w, s, b, n, cb), -errno)                                                                 \
    CALL(int, listen, listen, (int fd, int n), (fd, n), -1)                                        \
    CALL(int, accept4, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),             \
         (fd, a, n, flags), -1)                                                                    \
    CALL(ssize_t, recv, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags), -1)       \
    CALL(ssize_t, send, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags), -1) \
    CALL(ssize_t, sendmsg, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags),   \
         -1)                                                                                       \
    CALL(ssize_t, getrandom, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags), -1)    \
    CALL(ssize_t, read, read, (int fd, void *p, size_t n), (fd, p, n), -1)                         \
    CALL(int, epoll_wait, epoll_wait, (int e, struct epoll_event *at, int n, int ms),              \
         (e, at, n, ms), -1)                                                                       \
    CALL(FILE *, fopen, WIDE(fopen), (const char *path, const char *mode), (path, mode), NULL)     \
    CALL(int, fchmod, fchmod, (int fd, mode_t mode), (fd, mode), -1)                               \
    CALL(void *, usp_arena_alloc, usp_arena_alloc, (size_t n, int kind), (n, kind), NULL)          \
    CALL(int, uv_try_write, uv_try_write, (uv_stream_t * s, const uv_buf_t *b, unsigned n),        \
         (s, b, n), -errno)                                                                        \
    CALL(int, uv_signal_start, uv_signal_start, (uv_signal_t * s, uv_signal_cb cb, int signum),    \
         (s, cb, signum), -errno)                                                                  \
    CALL(int, uv_queue_work, uv_queue_work,                                                        \
         (uv_loop_t * l, uv_work_t * w, uv_work_cb cb, uv_after_work_cb after), (l, w, cb, after), \
         -errno)

#define AS_ENUM(result, name, ...) CALL_##name,
#define AS_NAME(result, name, ...) #name,
enum { CALLS(AS_ENUM) N_CALLS };
static const char *const names[] = {CALLS(AS_NAME)};
static struct {
    int seen, nth, error;
} state[N_CALLS];

static int find(const char *call)
{
    for (int i = 0; i < N_CALLS; i++)
        if (strcmp(names[i], call) == 0)
            return i;
    fprintf(stderr, "inject: %s is not in the list of calls\n", call);
    abort();
}

void inject_fail(const char *call, int nth, int error)
{
    int i = find(call);
    state[i].seen = 0;
    state[i].nth = nth;
    state[i].error = error;
}

int inject_calls(const char *call)
{
    return state[find(call)].seen;
}

void inject_stop(void)
{
    memset(state, 0, sizeof(state));
}

static bool fails(int i)
{
    state[i].seen++;
    if (state[i].nth != state[i].seen && state[i].nth != INJECT_ALL)
        return false;
    errno = state[i].error;
    return true;
}

#define AS_WRAPPER(result, name, symbol, ...) AS_WRAPPER_(result, name, symbol, __VA_ARGS__)
#define AS_WRAPPER_(result, name, symbol, params, args, failed)                                    \
    result __real_##symbol params;                                                                 \
    result __wrap_##symbol params;                                                                 \
    result __wrap_##symbol params                                                                  \
    {                                                                                              \
        return fails(CALL_##name) ? failed : __real_##symbol args;                                 \
    }
CALLS(AS_WRAPPER)
