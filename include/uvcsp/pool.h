/* Pools: workers that wait for tasks.

   A task is a C function: the workers are forked, so a function's address means the same in each of
   them. It gets a copy of its argument, writes its result, and answers 0, or not 0 for an error:

       static int square(const int *x, long *result, void *context)
       {
           if (*x > 46340)
               return uvcsp_task_fail(ERANGE, "%d is too large", *x);
           *result = (long)*x * *x;
           return 0;
       }
       ...
       uvcsp_pool *pool = POOL(4);
       long results[1000];
       int status = uvcsp_pool_map(pool, square, numbers, 1000, results, 0);
       uvcsp_pool_free(pool);

   The macros look at the types: `square` must take what `numbers` and `results` point to, or be of
   the general type uvcsp_task. Under each of them is a function that takes sizes. Arguments and
   results are copied as plain values: pointers in them mean something only where they pointed
   before the pool was made, or into shared memory.

   Nothing that a task does can make another wait for ever. An error is reported for its task alone.
   A worker that crashes, is killed or exits is replaced, and the task in whose middle it was is run
   again, if `retries` allows it, or reported with UVCSP_TASK_DIED and the cause. So are those of
   the same chunk that were done in the last milliseconds before, whose results it had not sent yet.
   What it had been given beside that goes to others.

   How it is made: each worker has a queue of tasks and a queue of answers (<uvcsp/queue.h>), and a
   supervisor, a light process beside the maker of the pool. So a pool can be used by all processes
   of the worker that made it, and by no others. While that worker computes without waiting, the
   supervisors stand still, and the pool's workers go on only with what they have been given. A
   worker that is quick is given many tasks ahead, and those that it has not begun are taken back
   when another has nothing to do.

   With UVCSP_PAR=light the workers of the pool are light processes; then a task that crashes ends
   the program.

   All functions: a pool or result that is NULL gives -EINVAL, a pool of another worker -EPERM (NULL
   and false where no code is returned), each with a line on stderr. */
#ifndef UVCSP_POOL_H
#define UVCSP_POOL_H

#include <uvcsp.h>

typedef struct uvcsp_pool uvcsp_pool;
typedef struct uvcsp_result uvcsp_result;

/* A task. `argument` is its own copy, aligned as malloc's memory where the size of the type asks
   for it; `result` is zeroed before. `context`: what the worker's initializer gave. */
typedef int uvcsp_task(const void *argument, void *result, void *context);

typedef struct {
    void *(*initializer)(void *initarg); /* run by each worker before its first task; may DEFER what
                                            frees the context, which then runs when the worker ends:
                                            but not where a forked one is in a task while the pool is
                                            terminated, or dies of something else */
    void *initarg;        /* without an initializer this is the context of the tasks */
    int maxtasksperchild; /* a worker is replaced after so many tasks, a chunk counting as one; 0:
                             never */
    int retries;          /* how often a task in whose middle a worker has died is run again */
    const char *name;     /* for messages; copied; NULL: "pool" */
} uvcsp_pool_options;

/* Makes a pool of `n_workers`; 0 or less: as many as there are processors. Does not wait for them
   to start. It belongs to the calling process: if that ends before uvcsp_pool_free(), the pool is
   terminated then. NULL with a line on stderr: no memory. If three workers in turn end before their
   initializer has returned, or cannot be started, the pool is broken: all tasks are reported with
   UVCSP_TASK_DIED and the cause. One that was killed by SIGKILL does not count: that came from
   outside. */
UVCSP_API uvcsp_pool *uvcsp_pool_new(int n_workers, uvcsp_pool_options options);
#define UVCSP_POOL(n, ...) uvcsp_pool_new((n), (uvcsp_pool_options){__VA_ARGS__})

UVCSP_API int uvcsp_pool_size(uvcsp_pool *pool); /* how many workers it is to have */

/* The operating-system process of worker `i` now, 0 when there is none. -EINVAL for an `i` out of
   range. */
UVCSP_API int uvcsp_pool_pid(uvcsp_pool *pool, int i);

/* Takes no more tasks; what it has is done to the end, then the workers end. Idempotent, does not
   wait. */
UVCSP_API int uvcsp_pool_close(uvcsp_pool *pool);

/* Takes no more tasks, ends the workers at once (SIGTERM; SIGKILL two seconds later), and reports
   all tasks that are not done with UVCSP_TASK_CANCELLED. Idempotent, does not wait. */
UVCSP_API int uvcsp_pool_terminate(uvcsp_pool *pool);

/* Waits until the workers of a pool that was closed or terminated have ended, `seconds` at most
   (negative: for ever). UVCSP_OK, UVCSP_TIMEOUT; -EINVAL with a line if it was neither closed nor
   terminated. */
UVCSP_API int uvcsp_pool_join(uvcsp_pool *pool, double seconds);
#define uvcsp_pool_join(...) UVCSP_CALL_(uvcsp_pool_join, __VA_ARGS__)

/* Terminates the pool, if it is not closed, waits for the end of its workers, and gives it back.
   Results that the program holds stay good. NULL is accepted. */
UVCSP_API void uvcsp_pool_free(uvcsp_pool *pool);
#define uvcsp_pool_free(...) (uvcsp_called_at("uvcsp_pool_join", UVCSP_HERE), uvcsp_pool_free(__VA_ARGS__))

/* Why a waiting form (map, starmap, apply) has last answered as it did: which task, its code, its
   message, or how its worker died. Valid until such a form fails the next time. Never NULL. */
UVCSP_API const char *uvcsp_pool_why(uvcsp_pool *pool);

/* In a task: leaves a message of up to 255 bytes for its caller, and returns `code` (EINVAL if that
   is 0), so that one can say `return uvcsp_task_fail(...)`. Elsewhere the message is dropped. */
UVCSP_API int uvcsp_task_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- tasks, and waiting for them ---- */

/* Runs the task for `n` arguments of `argument_size` bytes and waits for all of them; result i is
   that of argument i. `chunk`: how many arguments travel together and are done by one worker in
   turn; 0: n / (4 * workers), rounded up. `results` may be NULL. UVCSP_OK; or what became of the
   first argument that failed: UVCSP_TASK_FAILED, UVCSP_TASK_DIED, UVCSP_TASK_CANCELLED (the others
   are done nevertheless, and the result of one that failed is zeroed). -EINVAL: no function, no
   arguments, a negative chunk; -EPIPE: the pool is closed, terminated or broken; -ENOMEM. */
UVCSP_API int uvcsp_pool_run(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                             size_t argument_size, void *results, size_t result_size, int chunk);
#define uvcsp_pool_run(...) (uvcsp_called_at("uvcsp_result_wait", UVCSP_HERE), uvcsp_pool_run(__VA_ARGS__))

#define uvcsp_pool_map(pool, task, arguments, n, results, chunk)                                   \
    uvcsp_pool_run((pool), UVCSP_TASK_OF_(task, __typeof__(*(arguments)), __typeof__(*(results))), \
                   (arguments), (n), sizeof(*(arguments)), (results), sizeof(*(results)), (chunk))
/* A task of several arguments takes a structure of them: starmap is map, under the name by which it
   may be looked for. */
#define uvcsp_pool_starmap(pool, task, arguments, n, results, chunk)                               \
    uvcsp_pool_map(pool, task, arguments, n, results, chunk)
/* One argument, one result. */
#define uvcsp_pool_apply(pool, task, argument, result)                                             \
    uvcsp_pool_map(pool, task, argument, 1, result, 1)

/* ---- tasks, and going on ---- */

/* What uvcsp_pool_start() is to hand out. */
enum uvcsp_pool_order {
    UVCSP_POOL_ALL,       /* the results at once: uvcsp_result_get() */
    UVCSP_POOL_ORDERED,   /* also one by one, in the order of the arguments: uvcsp_result_next() */
    UVCSP_POOL_UNORDERED, /* ... in the order in which they come */
};

/* Starts the same and returns at once. The arguments are copied. The result belongs to the caller,
   who gives it back by uvcsp_result_free(); all processes of this worker can use it. `chunk` 0: as
   above, but 1 for those handed out one by one. NULL with a line on stderr, and errno set as
   uvcsp_pool_run() answers. */
UVCSP_API uvcsp_result *uvcsp_pool_start(uvcsp_pool *pool, uvcsp_task *task, const void *arguments,
                                         size_t n, size_t argument_size, size_t result_size,
                                         int chunk, enum uvcsp_pool_order order);

/* R is the type of a result: `uvcsp_pool_map_async(pool, square, numbers, 1000, long, 0)`. */
#define UVCSP_POOL_START_(pool, task, arguments, n, R, chunk, order)                               \
    uvcsp_pool_start((pool), UVCSP_TASK_OF_(task, __typeof__(*(arguments)), __typeof__(R)),        \
                     (arguments), (n), sizeof(*(arguments)), sizeof(R), (chunk), (order))
#define uvcsp_pool_map_async(pool, task, arguments, n, R, chunk)                                   \
    UVCSP_POOL_START_(pool, task, arguments, n, R, chunk, UVCSP_POOL_ALL)
#define uvcsp_pool_starmap_async(pool, task, arguments, n, R, chunk)                               \
    UVCSP_POOL_START_(pool, task, arguments, n, R, chunk, UVCSP_POOL_ALL)
#define uvcsp_pool_apply_async(pool, task, argument, R)                                            \
    UVCSP_POOL_START_(pool, task, argument, 1, R, 1, UVCSP_POOL_ALL)
#define uvcsp_pool_imap(pool, task, arguments, n, R, chunk)                                        \
    UVCSP_POOL_START_(pool, task, arguments, n, R, chunk, UVCSP_POOL_ORDERED)
#define uvcsp_pool_imap_unordered(pool, task, arguments, n, R, chunk)                              \
    UVCSP_POOL_START_(pool, task, arguments, n, R, chunk, UVCSP_POOL_UNORDERED)

/* ---- results ---- */

/* Waits until all tasks are done or have failed, `seconds` at most (negative: for ever). UVCSP_OK,
   UVCSP_TIMEOUT. */
UVCSP_API int uvcsp_result_wait(uvcsp_result *result, double seconds);
#define uvcsp_result_wait(...) UVCSP_CALL_(uvcsp_result_wait, __VA_ARGS__)

/* All tasks are done or have failed; and none of them has failed. Do not wait. */
UVCSP_API bool uvcsp_result_ready(uvcsp_result *result);
UVCSP_API bool uvcsp_result_successful(uvcsp_result *result);

/* Waits as uvcsp_result_wait(), copies all results to `results` (NULL: nowhere), and answers as
   uvcsp_pool_run(), or UVCSP_TIMEOUT, and then nothing was copied. May be called again. `size`: of
   one result; -EINVAL with a line if it is another. */
UVCSP_API int uvcsp_result_get_into(uvcsp_result *result, void *results, size_t size,
                                    double seconds);
#define uvcsp_result_get_into(...) (uvcsp_called_at("uvcsp_result_wait", UVCSP_HERE), uvcsp_result_get_into(__VA_ARGS__))
#define uvcsp_result_get(result, results, seconds)                                                 \
    uvcsp_result_get_into((result), (results), sizeof(*(results)), (seconds))

/* The next result of one that is handed out one by one: waits for it, `seconds` at most. UVCSP_OK
   and the result in
   `*p`; or what became of this one: UVCSP_TASK_FAILED, UVCSP_TASK_DIED, UVCSP_TASK_CANCELLED;
   UVCSP_RETIRED: there are no more; UVCSP_TIMEOUT: not yet. Of which argument it was,
   uvcsp_result_index() tells afterwards (-1: of none yet). */
UVCSP_API int uvcsp_result_next_into(uvcsp_result *result, void *p, size_t size, double seconds);
#define uvcsp_result_next_into(...) (uvcsp_called_at("uvcsp_result_wait", UVCSP_HERE), uvcsp_result_next_into(__VA_ARGS__))
UVCSP_API long uvcsp_result_index(uvcsp_result *result);
#define uvcsp_result_next(result, p, seconds)                                                      \
    uvcsp_result_next_into((result), (p), sizeof(*(p)), (seconds))

/* What became of a task that failed. */
typedef struct {
    int status;          /* UVCSP_TASK_FAILED, UVCSP_TASK_DIED, UVCSP_TASK_CANCELLED */
    int code;            /* what the task has answered; 0 if it has not */
    const char *message; /* the task's, or the cause of the death; "" if there is none. Lives as
                            long as the result. */
} uvcsp_task_error;

/* How many tasks have failed up to now. */
UVCSP_API size_t uvcsp_result_failed(uvcsp_result *result);
/* Of argument `index`: NULL if it has not failed (yet), or there is none such. */
UVCSP_API const uvcsp_task_error *uvcsp_result_error(uvcsp_result *result, size_t index);

/* Gives the result back. Tasks that are not done go on, and what they answer is dropped; but who waits
   for it just then gets what he waits for. NULL is accepted. */
UVCSP_API void uvcsp_result_free(uvcsp_result *result);

/* For choices: UVCSP_ON_RESULT(result) is a guard that is ready, and stays so, when all tasks are
   done. The handle under it is good for ON_ENDED, uvcsp_join() and uvcsp_alive() alone. */
UVCSP_API uvcsp_handle *uvcsp_result_handle(uvcsp_result *result);
#define UVCSP_ON_RESULT(result) UVCSP_ON_ENDED(uvcsp_result_handle(result))

/* A function of the general type, or one of the very types that are given. A call through a pointer
   whose parameters are pointers to other types is the same call on every machine that libuv runs
   on. */
#define UVCSP_TASK_OF_(task, A, R)                                                                 \
    __extension__({                                                                                \
        _Static_assert(__builtin_types_compatible_p(__typeof__(&*(task)), uvcsp_task *) ||         \
                           __builtin_types_compatible_p(__typeof__(&*(task)),                      \
                                                        int (*)(const A *, R *, void *)),          \
                       "the task must be an int (const ARGUMENT *, RESULT *, void *)");            \
        (uvcsp_task *)(void (*)(void))(task);                                                      \
    })

#endif
