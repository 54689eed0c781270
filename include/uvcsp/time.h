/* Time and the outside world. Each of these blocks the calling process only: other light processes of
   the worker go on. */
#ifndef UVCSP_TIME_H
#define UVCSP_TIME_H

#include <uvcsp/base.h>

/* uv.h needs more of the C library than C alone: the locks of Unix 98. Said here, since there it says
   no more than that a type is unknown. */
#if defined(__GLIBC__) && !defined(__USE_UNIX98) && !defined(__USE_XOPEN2K)
#error "uvcsp needs POSIX: compile with -std=gnu11, or with -D_GNU_SOURCE beside -std=c11"
#endif
#include <uv.h>

/* Seconds of a monotonic clock; only differences mean something. The same clock in every worker. */
UVCSP_API double uvcsp_now(void);

/* Sleeps; 0 or less only yields. What is not a number: a line on stderr, and it returns at once. */
UVCSP_API void uvcsp_sleep(double seconds);

/* Lets every other ready process of this worker run first; with UVCSP_SEED, where the next one is drawn, perhaps not every one, or
   none. */
UVCSP_API void uvcsp_yield(void);

/* Waits until `fd` is ready for one of `events` (UV_READABLE, UV_WRITABLE) or has failed or been hung
   up. `seconds` negative: for ever. UVCSP_OK, UVCSP_TIMEOUT, -EBADF, -EINVAL for no event, or
   with a line for a time that is not a number. A regular file is always ready. The descriptor stays
   the caller's and keeps its flags. */
UVCSP_API int uvcsp_wait_fd(int fd, int events, double seconds);

/* Runs fn(arg) on libuv's thread pool and waits for it. `fn` must not call this library. 0 or -errno
   (and then fn has not run). */
UVCSP_API int uvcsp_blocking(void (*fn)(void *), void *arg);

/* This worker's loop; never NULL. Its callbacks run between processes, on the scheduler's stack: they
   must not block, and reach processes by the _try forms. Handles that a program makes on it are its
   own, and it closes them; what is left at the end is closed without a callback. */
UVCSP_API uv_loop_t *uvcsp_loop(void);

#endif
