/* Processes: declared with PROCESS, run in parallel, concurrently or in sequence.

       PROCESS(adder, IN(int, left), IN(int, right), OUT(int, sum)) {
           for (;;) {
               int a = READ(left);
               WRITE(sum, a + READ(right));
           }
       }
       ...
       PAR(adder(a, b, c), printer(c));

   `adder(a, b, c)` makes a process value with its arguments copied; nothing runs yet. A value runs
   once. For IN(T, x) a caller gives a CHAN(T), and the process gets a reading end of its own, or an
   IN_END(T), and the process shares in it for as long as it runs; for OUT likewise. INS(T, x, n) and
   OUTS(T, x, n) take an array of either and its length. VAL(T, x) is copied.

   A process ends by returning, by uvcsp_exit_process(), or by poison or retirement met in READ, WRITE
   or ALT; then what it deferred runs, and its ends are retired, or poisoned, or retired. */
#ifndef UVCSP_PROCESS_H
#define UVCSP_PROCESS_H

#include <uvcsp/base.h>
#include <uvcsp/channel.h>
#include <uvcsp/params.h>

/* What PROCESS knows of a process: made by the macro, constant. */
struct uvcsp_param {
    unsigned char kind;        /* UVCSP_PARAM_... */
    unsigned offset;           /* of the end, or of the pointer to the array of ends */
    unsigned n_offset;         /* of the length of that array */
};

struct uvcsp_kind {
    const char *name;
    const char *site;
    void (*run)(void *args);
    size_t size;                      /* of the arguments */
    const struct uvcsp_param *params; /* up to one whose kind is UVCSP_PARAM_END */
};

/* A process that has not started: passed by value, runs once. A second run of the same value prints a
   line and gives -EINVAL. */
typedef struct {
    const struct uvcsp_kind *kind;
    void *args;
    unsigned long serial;
} uvcsp_process;

/* A compiler warns of a value that is dropped: nothing has run then. */
#define UVCSP_TO_RUN_ __attribute__((warn_unused_result))

/* Behind the constructor that PROCESS writes: copies `args`, and the arrays of ends in it. Aborts with
   a line on stderr when there is no memory. `args` may be NULL where the kind has no parameters. */
UVCSP_API uvcsp_process uvcsp_process_new(const struct uvcsp_kind *kind, const void *args);

/* Gives back the arguments of a value that will not be run. */
UVCSP_API void uvcsp_process_free(uvcsp_process process);

/* Runs `n` processes and returns when all of them have ended: 0, or how many failed (crashed, killed,
   or exited non-zero; to end by poison or retirement is no failure). All ends that they are handed
   join before the first of them runs. n = 0 gives 0. A negative -errno: nothing was run (a value was
   run twice, an argument is NULL or was freed, no memory); the reason is on stderr. But for -EDEADLK:
   they have run and have ended, because nothing in the program could ever run again.

   A deadlock of the whole program is told on stderr (who waits where, for which side of which channel,
   and a cycle) and ended: the channels that processes wait for are poisoned, with a cause that begins
   with "deadlock: "; who waits for a lock and the like gets UVCSP_POISONED, at a queue or a pipe
   UVCSP_RETIRED; and every PAR, CO and SEQ that waits returns -EDEADLK. Pools and managers, which only wait for
   what others want of them, go on. If the same processes only wait again, the program exits with 1. Where some processes wait for ever while others go on, that is told,
   once for each. Hope is whatever a process that is not lost itself may do: with an end of the channel,
   of either side, also with one that another process of its worker has made by IN_OF or OUT_OF, or was
   sent; with a channel that it has made; with a handle; timers, descriptors, signals, children, handles
   of the program's on uvcsp_loop(). At locks, queues, pipes, results of a pool and the like, at a channel
   that was used without an end of one's own, or handed over in a VAL, and where nobody has had an end of
   the other side yet, all of the program is hope. Not counted is what nobody can foresee: a crash, exit(),
   a kill from outside, who uses an end that another process of its worker has by a parameter, and who
   knows a channel by a global variable and uses a side of it for the first time after others have.
   UVCSP_DEADLOCK in the environment: report, which is this; abort, which also aborts the program; off.

   uvcsp_par: each in a forked worker of its own, isolated by the MMU, in parallel. Where a worker cannot
   be started, its process counts as failed and its ends are poisoned with the cause. With UVCSP_PAR=light in
   the environment it is uvcsp_co.
   uvcsp_co: as light processes in this worker, concurrently, nothing is forked.
   uvcsp_seq: one after the other. */
UVCSP_API int uvcsp_par(const uvcsp_process *processes, size_t n);
UVCSP_API int uvcsp_co(const uvcsp_process *processes, size_t n);
UVCSP_API int uvcsp_seq(const uvcsp_process *processes, size_t n);
/* The same. `site`, a constant: where the caller waits, for who looks on. */
UVCSP_API int uvcsp_par_at(const uvcsp_process *processes, size_t n, const char *site);
UVCSP_API int uvcsp_co_at(const uvcsp_process *processes, size_t n, const char *site);
UVCSP_API int uvcsp_seq_at(const uvcsp_process *processes, size_t n, const char *site);
#define uvcsp_par(...) uvcsp_par_at(__VA_ARGS__, UVCSP_HERE)
#define uvcsp_co(...) uvcsp_co_at(__VA_ARGS__, UVCSP_HERE)
#define uvcsp_seq(...) uvcsp_seq_at(__VA_ARGS__, UVCSP_HERE)

/* Several processes as one argument of PAR: light processes in one forked worker. */
UVCSP_API UVCSP_TO_RUN_ uvcsp_process uvcsp_worker(const uvcsp_process *processes, size_t n);

#define UVCSP_VALUES_(...)                                                                         \
    (uvcsp_process[]){__VA_ARGS__}, sizeof((uvcsp_process[]){__VA_ARGS__}) / sizeof(uvcsp_process)
#define UVCSP_PAR(...) uvcsp_par_at(UVCSP_VALUES_(__VA_ARGS__), UVCSP_HERE)
#define UVCSP_CO(...) uvcsp_co_at(UVCSP_VALUES_(__VA_ARGS__), UVCSP_HERE)
#define UVCSP_SEQ(...) uvcsp_seq_at(UVCSP_VALUES_(__VA_ARGS__), UVCSP_HERE)
#define UVCSP_WORKER(...) uvcsp_worker(UVCSP_VALUES_(__VA_ARGS__))

/* Replicated: PAR_FOR(i, n, p(i)) runs p(0) ... p(n - 1); `i` is an int of the macro's own. */
UVCSP_API uvcsp_process *uvcsp_values_new(size_t n); /* aborts with a line when there is no memory */
UVCSP_API void uvcsp_values_free(uvcsp_process *values);
#define UVCSP_FEW_ 8 /* so many lie on the stack */
#define UVCSP_REPLICATE_(run, i, n, ...)                                                           \
    __extension__({                                                                                \
        long uvcsp_n_ = (long)(n);                                                                 \
        uvcsp_n_ = uvcsp_n_ < 0 ? 0 : uvcsp_n_;                                                    \
        uvcsp_process uvcsp_few_[UVCSP_FEW_], *uvcsp_ps_ = uvcsp_few_;                             \
        uvcsp_few_->serial = 0; /* a compiler would warn if there are none */                      \
        if (uvcsp_n_ > UVCSP_FEW_)                                                                 \
            uvcsp_ps_ = uvcsp_values_new((size_t)uvcsp_n_);                                        \
        for (int i = 0; i < uvcsp_n_; i++)                                                         \
            uvcsp_ps_[i] = (__VA_ARGS__);                                                          \
        int uvcsp_r_ = run(uvcsp_ps_, (size_t)uvcsp_n_, UVCSP_HERE);                               \
        if (uvcsp_n_ > UVCSP_FEW_)                                                                 \
            uvcsp_values_free(uvcsp_ps_);                                                          \
        uvcsp_r_;                                                                                  \
    })
#define UVCSP_PAR_FOR(i, n, ...) UVCSP_REPLICATE_(uvcsp_par_at, i, n, __VA_ARGS__)
#define UVCSP_CO_FOR(i, n, ...) UVCSP_REPLICATE_(uvcsp_co_at, i, n, __VA_ARGS__)
#define UVCSP_SEQ_FOR(i, n, ...) UVCSP_REPLICATE_(uvcsp_seq_at, i, n, __VA_ARGS__)

/* Starts a process and goes on: in a forked worker (uvcsp_spawn), as a light process (uvcsp_go). The
   handle belongs to the library and lives until uvcsp_handle_free() or until the starting worker ends,
   which waits for what it has started. NULL with a line on stderr and errno set: could not be started. */
typedef struct uvcsp_handle uvcsp_handle;
UVCSP_API uvcsp_handle *uvcsp_spawn(uvcsp_process process);
UVCSP_API uvcsp_handle *uvcsp_go(uvcsp_process process);
#define UVCSP_SPAWN(p) uvcsp_spawn(p)
#define UVCSP_GO(p) uvcsp_go(p)

/* All of these: -EINVAL for NULL (false for uvcsp_alive), or a time that is not a number. A handle can be used in the worker that got it. In any
   other, where nobody learns of the end of the process: a line, and -EINVAL (false); but uvcsp_pid() can be asked
   there, and a handle whose process had ended before that worker was started.

   uvcsp_join: waits until the process has ended, `seconds` at most (negative: for ever). UVCSP_OK, or
     UVCSP_TIMEOUT. May be called again.
   uvcsp_alive: it has not ended yet.
   uvcsp_exit_code: UVCSP_STILL_ALIVE, 0 (returned, poisoned, retired), n (called exit(n)), or -n
     (killed by signal n, or by uvcsp_kill and uvcsp_terminate with 9 and 15).
   uvcsp_pid: of its worker; for a light process that is the caller's own.
   uvcsp_terminate: SIGTERM. The process is ended where it waits, or when it next waits, and runs what it
     deferred; so are those that it waits for in PAR, CO or SEQ. In a worker all processes are, and it dies of
     the signal when they have ended; or at once when it has computed for a quarter of a second meanwhile, when a second has
     passed, or when it is told twice. SIGTERM from elsewhere does the same to a worker, but for the first, which
     it kills at once. A program's own handler,
     and ON_SIGNAL(SIGTERM), take its place.
   uvcsp_kill: SIGKILL. A light process is ended where it waits, or when it next waits, and runs nothing. A worker is
     dead when the call returns, or will be soon, if it has much memory.
   Both poison its ends with the cause. 0, also when it has ended already. */
#define UVCSP_STILL_ALIVE (-1000)
UVCSP_API int uvcsp_join(uvcsp_handle *handle, double seconds);
UVCSP_API int uvcsp_join_at(uvcsp_handle *handle, double seconds, const char *site); /* `site`: as above */
#define uvcsp_join(...) uvcsp_join_at(__VA_ARGS__, UVCSP_HERE)
UVCSP_API bool uvcsp_alive(uvcsp_handle *handle);
UVCSP_API int uvcsp_exit_code(uvcsp_handle *handle);
UVCSP_API int uvcsp_pid(uvcsp_handle *handle);
UVCSP_API int uvcsp_terminate(uvcsp_handle *handle);
UVCSP_API int uvcsp_kill(uvcsp_handle *handle);

/* Gives a handle back early; the process goes on, and who waits in uvcsp_join() is still told of its
   end. NULL is accepted. */
UVCSP_API void uvcsp_handle_free(uvcsp_handle *handle);

/* Runs fn(arg) when this process ends, whichever way it ends short of a crash, uvcsp_kill() and death by a signal that the
   program has not chosen to handle: Ctrl-C, and in the first worker, which is main's, SIGTERM too. DEFER(3) says what
   each cuts off ("What signals cut off"). Last in, first out. After SIGTERM to a forked worker there is a second for it, and a quarter of that of processor time, and it must not wait for others of its worker. After
   exit() in a worker what all of its processes have deferred runs, in the one that called it. In main it
   runs in uvcsp_shutdown(). When a body has returned its variables are gone: `arg` must not point to one of them.
   0, -EINVAL for a NULL function, -ENOMEM. */
UVCSP_API int uvcsp_defer(void (*fn)(void *), void *arg);
#define UVCSP_DEFER(fn, arg) uvcsp_defer((fn), (arg))

/* Ends the calling process as returning from its body would. In main: exit(0). */
UVCSP_API __attribute__((noreturn)) void uvcsp_exit_process(void);

/* Retires the ends of main, joins what was spawned and gives everything back: workers, descriptors,
   memory, the loop. Runs at exit as well. After it the library may be used anew. 0, or -EBUSY when called
   from a process other than main. */
UVCSP_API int uvcsp_shutdown(void);

/* PROCESS_DECLARE is the prototype alone, for a header or for a use before the definition. A process that
   was declared so can be used from other files; one that was not is private to its own.

   The constructor's parameters are transparent unions of what each accepts, and unions are never the
   same type twice. So PROCESS takes the type over from a declaration where there is one: the array
   uvcsp_declared_NAME is of known size only then, and _Generic can tell. The `()` brings the name in
   either way; no parameter has a type that the default promotions would change.

   A definition cannot be written with a type that was taken over, but an alias can: NAME is one, of
   uvcsp_new_NAME. It is static: what a declaration makes of NAME, a GNU `extern inline` that calls
   uvcsp_make_NAME, is replaced by it. And uvcsp_make_NAME is an inline definition of C99: after a
   declaration that is not inline, an external function; without one, nothing. So what meets between
   files is defined and used in C, and link-time optimisation sees it; an assembler name for a static
   function it would not. The price: in a file that only declares NAME it can be called, but has no
   address. */
/* Never defined and never called: so a definition that differs from its declaration does not compile. */
#define UVCSP_SIGNATURE_(name, ...)                                                                \
    extern void uvcsp_parameters_of_##name(UVCSP_LIST_(UVCSP_FORMAL_, __VA_ARGS__))
/* Of clang's, the alias of a declared name is global; the assembler name keeps it off the program's. */
#define UVCSP_PROCESS_DECLARE(name, ...)                                                           \
    extern char uvcsp_declared_##name[2];                                                          \
    uvcsp_process uvcsp_make_##name(UVCSP_LIST_(UVCSP_FORMAL_, __VA_ARGS__));                      \
    extern inline __attribute__((gnu_inline)) uvcsp_process name()                                 \
        __asm__(UVCSP_STR_(uvcsp_called_##name));                                                  \
    extern inline UVCSP_TO_RUN_ __attribute__((gnu_inline, always_inline)) uvcsp_process name(      \
        UVCSP_LIST_(UVCSP_ACCEPT_, __VA_ARGS__))                                                   \
    {                                                                                              \
        return uvcsp_make_##name(UVCSP_ACTUALS_(UVCSP_HANDED_, __VA_ARGS__));                      \
    }                                                                                              \
    UVCSP_SIGNATURE_(name, __VA_ARGS__)

/* What the compilers warn of is meant: that the alias comes after a definition (clang), and takes another
   union than its target (GCC); that an inline function refers to a static one. For the last GCC has no
   option, but it does not look into nested functions. */
#ifdef __clang__
#define UVCSP_MEANT_                                                                               \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wstatic-in-inline\"")    \
        _Pragma("clang diagnostic ignored \"-Wignored-attributes\"")
#define UVCSP_MEANT_END_ _Pragma("clang diagnostic pop")
#define UVCSP_RETURN_(...) return __VA_ARGS__;
#else
#define UVCSP_MEANT_                                                                               \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wattribute-alias\"")
#define UVCSP_MEANT_END_ _Pragma("GCC diagnostic pop")
#define UVCSP_RETURN_(...)                                                                         \
    __extension__ uvcsp_process uvcsp_nested_(void) { return __VA_ARGS__; }                        \
    return uvcsp_nested_();
#endif

#define UVCSP_PROCESS(name, ...)                                                                   \
    struct uvcsp_args_##name {                                                                     \
        UVCSP_EACH_(UVCSP_FIELD_, __VA_ARGS__)                                                     \
        char none_;                                                                                \
    };                                                                                             \
    UVCSP_SIGNATURE_(name, __VA_ARGS__);                                                           \
    static void uvcsp_body_##name(UVCSP_LIST_(UVCSP_FORMAL_, __VA_ARGS__));                              \
    static void uvcsp_run_##name(void *uvcsp_p_)                                                   \
    {                                                                                              \
        struct uvcsp_args_##name *uvcsp_a_ = uvcsp_p_;                                             \
        (void)uvcsp_a_;                                                                            \
        uvcsp_body_##name(UVCSP_ACTUALS_(UVCSP_ACTUAL_, __VA_ARGS__));                                   \
    }                                                                                              \
    static const struct uvcsp_param uvcsp_params_##name[] = {                                      \
        UVCSP_EACH_WITH_(UVCSP_PARAM_, struct uvcsp_args_##name, __VA_ARGS__) {                     \
            UVCSP_PARAM_END, 0, 0}};                                                               \
    static const struct uvcsp_kind uvcsp_kind_##name = {#name, UVCSP_HERE, uvcsp_run_##name,       \
                                                        sizeof(struct uvcsp_args_##name),          \
                                                        uvcsp_params_##name};                      \
    __attribute__((unused)) static uvcsp_process uvcsp_new_##name(                                 \
        UVCSP_LIST_(UVCSP_ACCEPT_, __VA_ARGS__))                                                   \
    {                                                                                              \
        struct uvcsp_args_##name uvcsp_a_;                                                         \
        uvcsp_a_.none_ = 0;                                                                        \
        UVCSP_EACH_(UVCSP_COPY_, __VA_ARGS__)                                                      \
        return uvcsp_process_new(&uvcsp_kind_##name, sizeof uvcsp_a_ > 1 ? &uvcsp_a_ : NULL);      \
    }                                                                                              \
    UVCSP_MEANT_                                                                                   \
    inline uvcsp_process uvcsp_make_##name(UVCSP_LIST_(UVCSP_FORMAL_, __VA_ARGS__))                \
    {                                                                                              \
        UVCSP_RETURN_(uvcsp_new_##name(UVCSP_ACTUALS_(UVCSP_PASSED_, __VA_ARGS__)))                \
    }                                                                                              \
    extern char uvcsp_declared_##name[];                                                           \
    static UVCSP_TO_RUN_ uvcsp_process name();                                                     \
    __attribute__((unused, alias("uvcsp_new_" #name))) __typeof__(                                 \
        *_Generic(&uvcsp_declared_##name, char(*)[1]: uvcsp_new_##name, default: name)) name;      \
    UVCSP_MEANT_END_                                                                               \
    static void uvcsp_body_##name(UVCSP_LIST_(UVCSP_FORMAL_, __VA_ARGS__))

#endif
