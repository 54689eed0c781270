/* The short names of <uvcsp/ipc.h>, left out by `#define UVCSP_LONG_NAMES`. */
#ifndef UVCSP_IPC_NAMES_H
#define UVCSP_IPC_NAMES_H

#define QUEUE(T) UVCSP_QUEUE(T)
#define QUEUE_NEW(T, maxsize) UVCSP_QUEUE_NEW(T, maxsize)
#define QUEUE_CHAN(q) UVCSP_QUEUE_CHAN(q)
#define QPUT(q, ...) UVCSP_QPUT(q, __VA_ARGS__)
#define QGET(q) UVCSP_QGET(q)
#define ON_GET(q, p) UVCSP_ON_GET(q, p)
#define ON_PUT(q, ...) UVCSP_ON_PUT(q, __VA_ARGS__)
#define ON_CONN(conn) UVCSP_ON_CONN(conn)
#define ON_CLIENT(listener) UVCSP_ON_CLIENT(listener)

#define SHARED_VALUE(T, ...) UVCSP_SHARED_VALUE(T __VA_OPT__(, ) __VA_ARGS__)
#define SHARED_RAW_VALUE(T, ...) UVCSP_SHARED_RAW_VALUE(T __VA_OPT__(, ) __VA_ARGS__)
#define SHARED_ARRAY(T, ...) UVCSP_SHARED_ARRAY(T, __VA_ARGS__)
#define SHARED_RAW_ARRAY(T, ...) UVCSP_SHARED_RAW_ARRAY(T, __VA_ARGS__)
#define COUNT_OF_SHARED(shared) UVCSP_COUNT_OF_SHARED(shared)
#define LOCKED(shared) UVCSP_LOCKED(shared)
#define ON_LOCK(lock) UVCSP_ON_LOCK(lock)
#define ON_RLOCK(lock) UVCSP_ON_RLOCK(lock)
#define ON_SEMAPHORE(semaphore) UVCSP_ON_SEMAPHORE(semaphore)
#define ON_EVENT(event) UVCSP_ON_EVENT(event)
#define POOL(n, ...) UVCSP_POOL(n __VA_OPT__(, ) __VA_ARGS__)
#define ON_RESULT(result) UVCSP_ON_RESULT(result)

#endif
