/* Queues: any number of producers and consumers, in any workers.

   A queue is a buffered channel that belongs to no process. It lies in the shared arena, so its
   pointer means the same in every worker: hand it over with VAL, or leave it in a variable before
   the fork. No process that crashes harms it: what a put that has returned has put in is there,
   whatever becomes of its producer. There is no thread behind it and nothing to flush.

       QUEUE(int) q = QUEUE_NEW(int, 100);      typed, without serialisation
       QPUT(q, 5);                              waits for room
       int x = QGET(q);                         waits for an item

       uvcsp_queue *q = uvcsp_queue_new(0);     of dynamic values, by Jansson: a QUEUE(json_t *)
       uvcsp_queue_put_new(q, json_pack("[i,n,s]", 42, "hello"), -1);

   How a queue ends. uvcsp_queue_close() says that nothing more is put in: getters get what is left
   and are then told UVCSP_RETIRED, putters at once. Or the producers take part by ends:
   QUEUE_CHAN(q) is the queue's channel, and a process that is handed it as OUT(T, x) is a counted
   producer. When the last counted producer has ended, in whichever way, a crash included, the queue
   is closed; getters learn that all producers are gone. In the same way putters learn that all
   consumers are gone when those take part by IN(T, x). Ends of a queue never poison it: a crash is
   as good as a retirement, and what is in the queue stays there. As with any channel, who starts
   such processes one after the other holds an end (OUT_OF(QUEUE_CHAN(q))) until all have been
   started, lest the first be gone before the second comes.

   Wherever a function takes `void *queue`, a queue of any type may be given. NULL, and what is no
   queue or has been freed: -EINVAL and a line on stderr (the macros that return no status abort
   with the line). */
#ifndef UVCSP_QUEUE_H
#define UVCSP_QUEUE_H

#include <uvcsp.h>
#include <uvcsp/json.h>

#define UVCSP_QUEUE(T) __typeof__(UVCSP_BARE_(T)(*)[4])
typedef __typeof__(json_t *) uvcsp_queue[4]; /* so a uvcsp_queue * is a QUEUE(json_t *) */

/* What `maxsize` 0 means: there is a limit all the same, 2^20 items or 64 MiB of them, whichever
   comes first. A put that meets it waits as at any full queue, after one line on stderr that says
   so. Who wants more asks for it by a size: then only the items are counted. */
#define UVCSP_QUEUE_LIMIT 1048576

/* Makes a queue for `maxsize` items (0: see above). It belongs to the program: it lives until
   uvcsp_queue_free() or until the program ends, whatever becomes of the process that made it. Does
   not block. NULL with a line on stderr and errno: EINVAL for a negative or too large size, ENOMEM
   where the arena has no room. */
UVCSP_API uvcsp_queue *uvcsp_queue_new(long maxsize);
/* The same for any type. `site`, a constant: where it was made, for who looks on. */
UVCSP_API void *uvcsp_queue_new_of(long maxsize, size_t size, enum uvcsp_type type,
                                   const char *site);
#define uvcsp_queue_new(maxsize)                                                                   \
    ((uvcsp_queue *)uvcsp_queue_new_of((maxsize), sizeof(json_t *), UVCSP_TYPE_JSON, UVCSP_HERE))

/* Frees it, with what is in it. Processes that wait at it are told UVCSP_RETIRED first; none may
   use it from then on. By any process. NULL is accepted. */
UVCSP_API void uvcsp_queue_free(void *queue);

/* Puts a value in. `timeout` in seconds: how long to wait for room; negative for ever, 0 not at
   all. UVCSP_OK: it is in the queue and survives the calling process. The value stays the caller's
   reference; _put_new takes the reference over, also when it fails. Full: UVCSP_WOULD_BLOCK
   (timeout 0), UVCSP_TIMEOUT (it has passed). Closed: UVCSP_RETIRED. -EINVAL with a line: a value
   that cannot be encoded (NULL, circular, not UTF-8, nested more than 2048 deep). -ENOMEM: the
   arena is full. In all these cases nothing has been put in. */
UVCSP_API int uvcsp_queue_put(uvcsp_queue *queue, json_t *value, double timeout);
#define uvcsp_queue_put(...) UVCSP_CALL_(uvcsp_queue_put, __VA_ARGS__)
UVCSP_API int uvcsp_queue_put_new(uvcsp_queue *queue, json_t *value, double timeout);
#define uvcsp_queue_put_new(...) (uvcsp_called_at("uvcsp_queue_put", UVCSP_HERE), uvcsp_queue_put_new(__VA_ARGS__))

/* Takes the first value out; it is a new reference, the caller's. Empty: UVCSP_WOULD_BLOCK (timeout
   0), UVCSP_TIMEOUT. Closed and empty: UVCSP_RETIRED. `*valuep` is then as it was. -ENOMEM: the
   value is still in the queue. An item that a consumer has got goes with it if it dies. */
UVCSP_API int uvcsp_queue_get(uvcsp_queue *queue, json_t **valuep, double timeout);
#define uvcsp_queue_get(...) UVCSP_CALL_(uvcsp_queue_get, __VA_ARGS__)

/* The same for any type, checked by the compiler through the macros: uvcsp_qput(q, &x, timeout),
 * uvcsp_qget(q, &x, timeout). A NULL among the values of a QUEUE(json_t *) is put in here, by QPUT and by ON_PUT, as it is
 * written to a channel; only uvcsp_queue_put() takes it for the failure of who made it. */
UVCSP_API int uvcsp_queue_put_from(void *queue, const void *value, double timeout,
                                   const char *site);
UVCSP_API int uvcsp_queue_get_into(void *queue, void *value, double timeout, const char *site);

/* Never wait: UVCSP_OK, UVCSP_WOULD_BLOCK (full; empty), UVCSP_RETIRED. */
#define uvcsp_queue_put_try(queue, value) uvcsp_queue_put((queue), (value), 0)
#define uvcsp_queue_get_try(queue, valuep) uvcsp_queue_get((queue), (valuep), 0)

/* Items in the queue now; true if there is none; true if a put would have to wait. A moment later
   it may be different, but what a put that has returned put in is counted. -EINVAL for what is no
   queue (empty and full: -EINVAL too). */
UVCSP_API int uvcsp_queue_size(void *queue);
UVCSP_API int uvcsp_queue_empty(void *queue);
UVCSP_API int uvcsp_queue_full(void *queue);

/* A consumer says that it is done with an item that it got. 0; -ERANGE with a line on stderr if
   that was said more often than items were taken out. Does not block. */
UVCSP_API int uvcsp_queue_task_done(void *queue);

/* Waits until every item that was put in has been taken out and said to be done. `timeout` as
   above. UVCSP_OK, UVCSP_TIMEOUT, UVCSP_WOULD_BLOCK. A consumer that dies before it has said so
   leaves its item undone. UVCSP_RETIRED: the queue was freed, or all of the program waits for ever,
   which has been told. */
UVCSP_API int uvcsp_queue_join(void *queue, double timeout);
#define uvcsp_queue_join(...) UVCSP_CALL_(uvcsp_queue_join, __VA_ARGS__)

/* Nothing more is put in. Idempotent; by any process. 0 or -EINVAL. */
UVCSP_API int uvcsp_queue_close(void *queue);

/* The queue's channel and its ends, which are nobody's and do not count: behind the macros below.
   NULL with a line for what is no queue. */
UVCSP_API void *uvcsp_queue_channel(void *queue);
UVCSP_API void *uvcsp_queue_in(void *queue);
UVCSP_API void *uvcsp_queue_out(void *queue);

#define UVCSP_IS_QUEUE_(q) UVCSP_IS_(q, 4, "this is no queue")
#define UVCSP_QUEUE_NEW(T, maxsize)                                                                \
    ((UVCSP_QUEUE(T))uvcsp_queue_new_of((maxsize), sizeof(T), UVCSP_TYPE_OF(T), UVCSP_HERE))

#define UVCSP_QUEUE_END_(q, end, which)                                                            \
    __extension__({                                                                                \
        UVCSP_IS_QUEUE_(q);                                                                        \
        (end(UVCSP_ELEM_(q))) which(q);                                                            \
    })
/* A CHAN(T), to hand to processes that take part by ends, or for IN_OF and OUT_OF. Not to be freed.
 */
#define UVCSP_QUEUE_CHAN(q) UVCSP_QUEUE_END_(q, UVCSP_CHAN, uvcsp_queue_channel)
#define UVCSP_QUEUE_IN_(q) UVCSP_QUEUE_END_(q, UVCSP_IN_END, uvcsp_queue_in)
#define UVCSP_QUEUE_OUT_(q) UVCSP_QUEUE_END_(q, UVCSP_OUT_END, uvcsp_queue_out)

/* Like WRITE and READ: they wait, and a closed queue ends the process as a retired channel does. uvcsp_qput() and
   uvcsp_qget() tell it instead. */
#define UVCSP_QPUT(q, ...) UVCSP_WRITE(UVCSP_QUEUE_OUT_(q), __VA_ARGS__)
#define UVCSP_QGET(q) UVCSP_READ(UVCSP_QUEUE_IN_(q))

#define uvcsp_qput(q, p, timeout)                                                                  \
    __extension__({                                                                                \
        UVCSP_IS_QUEUE_(q);                                                                        \
        UVCSP_SAME_(q, p, "the queue carries another type");                                       \
        uvcsp_queue_put_from((q), (p), (timeout), UVCSP_HERE);                                     \
    })
#define uvcsp_qget(q, p, timeout)                                                                  \
    __extension__({                                                                                \
        UVCSP_IS_QUEUE_(q);                                                                        \
        UVCSP_SAME_(q, p, "the queue carries another type");                                       \
        uvcsp_queue_get_into((q), (p), (timeout), UVCSP_HERE);                                     \
    })

/* Guards of a choice. A closed queue behaves in it as a retired channel. */
#define UVCSP_ON_GET(q, p)                                                                         \
    __extension__({                                                                                \
        UVCSP_IS_QUEUE_(q);                                                                        \
        UVCSP_SAME_(q, p, "the queue carries another type");                                       \
        (uvcsp_guard){                                                                             \
            .kind = UVCSP_GUARD_READ, .on = 1, .subject = uvcsp_queue_in(q), .data = (p)};         \
    })
/* Where the value lives: as in ON_WRITE. */
#define UVCSP_ON_PUT(q, ...)                                                                       \
    UVCSP_WRITES_(q, uvcsp_queue_out(q), UVCSP_IS_QUEUE_(q), __VA_ARGS__)

#endif
