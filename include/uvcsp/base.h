/* What every part of the face needs: status codes, linkage, and the place of a call. */
#ifndef UVCSP_BASE_H
#define UVCSP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__GNUC__)
#error "uvcsp needs the GNU C extensions of GCC 12 or clang 14"
#endif

#ifdef __cplusplus
#error "uvcsp is a C library: its types are checked with C11's _Generic"
#endif

#define UVCSP_API __attribute__((visibility("default")))
/* Of what is called most: not by way of a jump. */
#if __has_attribute(noplt)
#define UVCSP_DIRECT_ __attribute__((noplt))
#else
#define UVCSP_DIRECT_
#endif

/* What a checked operation answers. Positive: a condition that the caller has to handle. */
enum uvcsp_status {
    UVCSP_OK = 0,
    UVCSP_RETIRED = 1,     /* every end of the other side has retired, or this end has */
    UVCSP_POISONED = 2,    /* the channel is poisoned; uvcsp_cause() says why */
    UVCSP_TIMEOUT = 3,     /* the time given has passed and nothing was done */
    UVCSP_WOULD_BLOCK = 4, /* a trying form would have had to wait */
    UVCSP_OWNER_DIED = 5,  /* done: the lock is held; but who had it before died, or ended, with it */
    UVCSP_BROKEN = 6,      /* the barrier is broken */
    UVCSP_TASK_FAILED = 20,    /* the task of a pool has answered with an error */
    UVCSP_TASK_DIED = 21,      /* its worker has ended in the middle of it */
    UVCSP_TASK_CANCELLED = 22, /* its pool was terminated first */
};

/* "UVCSP_OK", "UVCSP_RETIRED", ... or the text of the errno. Never NULL; not to be freed. */
UVCSP_API const char *uvcsp_status_name(int status);

/* Every file that includes this refers to the part of the library that starts it, so that a static link
   takes that part in whatever else the program uses. (The floors below that part must not.) */
UVCSP_API extern const char uvcsp_root;
#ifndef UVCSP_BUILDING
__attribute__((used)) static const char *const uvcsp_root_ = &uvcsp_root;
#endif

#define UVCSP_STR_(x) #x
#define UVCSP_STR(x) UVCSP_STR_(x)
#define UVCSP_CAT_(a, b) a##b
#define UVCSP_CAT(a, b) UVCSP_CAT_(a, b)

/* File and line of a call, as one string literal. */
#define UVCSP_HERE __FILE__ ":" UVCSP_STR(__LINE__)

/* For who looks on: if the function of that name waits, the caller does so at `site`. Both are constants. Functions of
   which there is a macro of the same name are called by it so. Does nothing in a thread that is no worker's own. */
UVCSP_API void uvcsp_called_at(const char *name, const char *site);
#define UVCSP_CALL_(name, ...) (uvcsp_called_at(#name, UVCSP_HERE), name(__VA_ARGS__))

#endif
