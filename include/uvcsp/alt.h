/* Choice: wait for several guards and take exactly one of them.

       switch (ALT(ON_READ(left, &x), ON_WRITE(out, total), ON_TIMEOUT(0.5))) {
       case 0: total += x; break;
       case 1: total = 0;  break;
       case 2: return;
       }

   Input and output guards may meet on the same channel, from both sides, between any workers, in any
   mixture with plain READ and WRITE. A process never meets itself. The communication of the guard
   that was taken is done when the call returns; the others have left nothing behind.

   The algorithm is that of Go's select (runtime/select.go: try, enqueue on all with the locks held in
   address order, withdraw the losers), with the claim of a waiting partner as one compare-and-swap,
   as in the two-party commit of Knabe, "A Distributed Protocol for Channel-Based Communication with
   Choice" (1993). */
#ifndef UVCSP_ALT_H
#define UVCSP_ALT_H

#include <uvcsp/channel.h>
#include <uvcsp/process.h>
#include <uvcsp/time.h>

enum uvcsp_choice {
    UVCSP_FAIR, /* a guard that stays ready is taken within n rounds of the same choice */
    UVCSP_PRI,  /* the first that is ready */
};

enum uvcsp_guard_kind {
    UVCSP_GUARD_READ = 1,
    UVCSP_GUARD_WRITE,
    UVCSP_GUARD_TIMEOUT,
    UVCSP_GUARD_SKIP,
    UVCSP_GUARD_FD,
    UVCSP_GUARD_SIGNAL,
    UVCSP_GUARD_ENDED,
};

#define UVCSP_WITHIN 16 /* a message to write lies in its guard, up to so many bytes */

/* A guard. Fill it with the macros below; an array of them may be kept and used again. */
typedef struct uvcsp_guard {
    enum uvcsp_guard_kind kind;
    bool on;         /* false: this guard takes no part, the others keep their index */
    bool within;     /* the message to write is in `value`, and `data` is not looked at */
    union {
        struct {
            int number;     /* descriptor or signal */
            int events;     /* UV_READABLE, UV_WRITABLE */
            double seconds; /* of a timeout */
        };
        unsigned char value[UVCSP_WITHIN];
    };
    void *subject;   /* end or handle */
    void *data;      /* where a message goes, or lies */
} uvcsp_guard;

/* Waits for one of `n` guards and returns its index. `mode` is UVCSP_FAIR or UVCSP_PRI.
   -UVCSP_POISONED or -UVCSP_RETIRED: a guard met that, uvcsp_alt_failed() says which. -EINVAL: no guard at all, none
   switched on, another `mode`; of a guard: an unknown kind, a NULL or freed end, a value that cannot be sent, a signal
   that cannot be caught or is the library's own, no event, a timeout that is not a number. -EBADF: a descriptor that is
   not open. A line on stderr says which guard it was, by its index, and why. -ENOMEM. On an error nothing has been
   communicated.
   (-EPERM and -ENOENT, which would equal the two conditions, are never returned as errors.) */
UVCSP_API UVCSP_DIRECT_ int uvcsp_alt(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode);
/* The same. `site`, a constant: where the caller waits, for who looks on. */
UVCSP_API UVCSP_DIRECT_ int uvcsp_alt_at(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site);
#define uvcsp_alt(...) uvcsp_alt_at(__VA_ARGS__, UVCSP_HERE)

/* The index of the guard that ended the calling process's last uvcsp_alt(), or -1. */
UVCSP_API int uvcsp_alt_failed(void);

/* The form under ALT and PRI_ALT: like uvcsp_alt(), but poison and retirement end the process, as in
   READ, and any other error prints a line and aborts. */
UVCSP_API UVCSP_DIRECT_ int uvcsp_choose(uvcsp_guard *guards, size_t n, enum uvcsp_choice mode, const char *site);

#define UVCSP_GUARDS_(...) (uvcsp_guard[]){__VA_ARGS__}, sizeof((uvcsp_guard[]){__VA_ARGS__}) / sizeof(uvcsp_guard)
#define UVCSP_ALT(...) uvcsp_choose(UVCSP_GUARDS_(__VA_ARGS__), UVCSP_FAIR, UVCSP_HERE)
#define UVCSP_PRI_ALT(...) uvcsp_choose(UVCSP_GUARDS_(__VA_ARGS__), UVCSP_PRI, UVCSP_HERE)

#define UVCSP_ON_READ(in, p)                                                                       \
    __extension__({                                                                                \
        UVCSP_IS_(in, 1, "ON_READ needs a reading end");                                           \
        UVCSP_SAME_(in, p, "the end carries another type");                                        \
        (uvcsp_guard){.kind = UVCSP_GUARD_READ, .on = 1, .subject = (in), .data = (p)};            \
    })
/* A value of up to UVCSP_WITHIN bytes is kept in the guard. A larger one lives in the block that encloses the guard: an array of
   guards that is filled in a loop needs a place for each, and a guard that is filled by hand. */
#define UVCSP_ON_WRITE(out, ...)                                                                   \
    UVCSP_WRITES_(out, (out), UVCSP_IS_(out, 2, "ON_WRITE needs a writing end"), __VA_ARGS__)
/* `x`: an end or a queue of the type; `out`: the writing end. */
#define UVCSP_WRITES_(x, out, check, ...)                                                          \
    __builtin_choose_expr(                                                                         \
        sizeof(UVCSP_ELEM_(x)) <= UVCSP_WITHIN, __extension__({                                    \
            check;                                                                                 \
            UVCSP_ELEM_(x) uvcsp_v_ = (__VA_ARGS__);                                               \
            uvcsp_guard uvcsp_g_ = {                                                               \
                .kind = UVCSP_GUARD_WRITE, .on = 1, .within = 1, .subject = (out)};                \
            __builtin_memcpy(uvcsp_g_.value, &uvcsp_v_,                                            \
                             sizeof uvcsp_v_ <= UVCSP_WITHIN ? sizeof uvcsp_v_ : 0);               \
            uvcsp_g_;                                                                              \
        }),                                                                                        \
        ((uvcsp_guard){.kind = UVCSP_GUARD_WRITE,                                                  \
                       .on = sizeof(struct {                                                       \
                                 check;                                                            \
                                 int on_;                                                          \
                             }) != 0,                                                              \
                       .subject = (out),                                                           \
                       .data = (UVCSP_ELEM_(x)[1]){(__VA_ARGS__)}}))
/* Ready when nothing else has been for that long; at once if `s` is 0 or less. */
#define UVCSP_ON_TIMEOUT(s) ((uvcsp_guard){.kind = UVCSP_GUARD_TIMEOUT, .on = 1, .seconds = (s)})
/* Always ready. */
#define UVCSP_ON_SKIP ((uvcsp_guard){.kind = UVCSP_GUARD_SKIP, .on = 1})
/* The descriptor can be read (written) without blocking. Several processes may wait for one. */
#define UVCSP_ON_FD(fd, e) ((uvcsp_guard){.kind = UVCSP_GUARD_FD, .on = 1, .number = (fd), .events = (e)})
/* The signal has come since the last time this guard was taken. From the first use in a worker on, the
   signal no longer has its default effect there. */
#define UVCSP_ON_SIGNAL(signum) ((uvcsp_guard){.kind = UVCSP_GUARD_SIGNAL, .on = 1, .number = (signum)})
/* The process of the handle has ended; stays ready. The handle has to be of this worker, as in uvcsp_join(). */
#define UVCSP_ON_ENDED(handle)                                                                     \
    ((uvcsp_guard){.kind = UVCSP_GUARD_ENDED, .on = 1, .subject = (1 ? (handle) : (uvcsp_handle *)0)})

static inline uvcsp_guard uvcsp_when(bool on, uvcsp_guard guard)
{
    guard.on = on && guard.on;
    return guard;
}
#define UVCSP_WHEN(condition, guard) uvcsp_when((condition), (guard))

#endif
