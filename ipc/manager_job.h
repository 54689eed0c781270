/* Pools inside a manager: what manager_pool.c and manager_job.c share.

   keeper   the process of the server that a pool belongs to (a pool ends with its maker, and a session may end
            before it); it makes the pool, waits until it is to end, and frees it
   job      the calls of one operation: their arguments, and the pool's result of them. It is an object of the
            manager where it was started and not waited for: what get, wait, ready, successful, next work on.

   A call is a task's name and an array of arguments. It travels to a worker of the pool as a fixed structure;
   arguments or a value that are longer than that has room for are fetched (delivered) by the worker itself, which
   is a process and can use the manager as any other. */
#ifndef USP_IPC_MANAGER_JOB_H
#define USP_IPC_MANAGER_JOB_H

#include "ipc/manager.h"
#include "ipc/pool.h"

#define USP_CALL_ROOM 240    /* bytes of arguments that travel with a call */
#define USP_VALUE_ROOM 116   /* of a value that travels with an answer */
#define USP_APART UINT32_MAX /* a size: it does not */

struct usp_call_head { /* then the arguments */
    uint64_t pool;
    uint32_t job, index, task, size;
};

struct usp_call_value {
    uint32_t size;
    char bytes[USP_VALUE_ROOM];
};

struct usp_keeper {
    struct usp_keeper *next, **at; /* in the server's list */
    unsigned refs;                 /* its process, and the object */
    struct usp_server *server;
    uvcsp_pool *pool; /* NULL: could not be made */
    int n_workers;
    uvcsp_pool_options options;
    int initializer; /* number of a task; -1: none */
    json_t *initargs;
    bool started;
    struct uvcsp_handle over; /* set when the pool is to end */
};

struct usp_job;

struct usp_pool_object {
    struct usp_object object;
    struct usp_keeper *keeper;
    struct usp_job *jobs; /* all that there are */
    uint32_t n_started;
};

struct usp_job {
    struct usp_object object;
    struct usp_job *next, **at; /* in the pool's list; `at` NULL: the pool is gone */
    uint32_t number;            /* among the jobs of its pool */
    uvcsp_result *result;
    const struct usp_session *owner; /* goes with it; NULL: it is waited for */
    json_t *calls;                   /* an array of the arguments of each */
    bool spread;                     /* ... which are arrays themselves, and not the only argument */
    bool single;                     /* its value is that of its one call, and no array of values */
    json_t **apart;                  /* values that were delivered; NULL until the first */
};

/* What an operation of the pool asks for. */
struct usp_job_kind {
    bool spread, single, waits;
    enum uvcsp_pool_order order;
};

/* ---- manager_job.c ---- */

/* Starts the job of arguments [task, calls, chunk]. 0; or an error. */
int usp_call_job_new(struct usp_pool_object *pool, struct usp_request *request, struct usp_job_kind kind,
                     struct usp_job **jobp);
/* Waits for it; its value, or the error of the first call that failed, becomes that of the request. */
int usp_call_job_get(struct usp_job *job, struct usp_request *request, double seconds);
/* Operations by which a pool's worker fetches arguments and delivers a value. */
usp_op_fn usp_call_fetch, usp_call_deliver;
/* The task that the pools of a manager run; and what each worker does first, with the keeper. */
uvcsp_task usp_call_run;
void *usp_call_begin(void *keeper);

#endif
