/* Processes, as the floor sees them.

   value      made by the constructor that PROCESS writes; a record from a pool, found again by its serial
   prepared   its task exists, and its arguments hold ends of its own: it has joined its channels
   running    on a fibre of this worker, or in a forked one
   ended      what it deferred has run, its ends and channels are released, who waits for it is told

   A record is never given back to malloc before uvcsp_shutdown(), so a stale value is always told from a live one. */
#ifndef USP_PROCESS_PROCESS_H
#define USP_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <uvcsp/process.h>

#include "channels/channel.h"
#include "runtime/fibre.h"
#include "runtime/sources.h"

#define USP_INLINE_ARGS 40

struct usp_deferred {
    struct usp_deferred *next;
    void (*fn)(void *);
    void *arg;
    bool always; /* also when the process is killed: the library's own */
};

/* Who waits for a number of processes: PAR, CO, SEQ. */
struct usp_join {
    struct usp_task *task;
    size_t left;
    int failed;
};

struct uvcsp_handle {
    struct usp_event ended; /* first: the choice knows a handle as an event */
    struct uvcsp_handle *next, *prev;
    size_t left;                 /* light processes that have not ended: more than one for a WORKER */
    unsigned worker;             /* of a forked one */
    int pid;
    int code;
    bool light;
    bool freed;                  /* by the program, before the process had ended */
};

struct usp_process {
    unsigned long serial;        /* 0: free */
    const struct uvcsp_kind *kind; /* NULL: a group, made by WORKER */
    void *args;
    struct usp_process *next;    /* in the free list, or in its group */
    struct usp_process *members; /* of a group */
    bool started;                /* the value has been used up */
    bool joined;                 /* connections among its arguments are its own */
    struct usp_task *task;
    struct usp_unborn unborn;    /* until it first runs */
    struct usp_deferred *deferred;
    struct usp_join *join;
    struct uvcsp_handle *handle;
    _Alignas(16) unsigned char room[USP_INLINE_ARGS];
};

/* ---- value.c ---- */

/* The record of a value, marked as used; NULL with a line on stderr if it was run before or is none. */
struct usp_process *usp_value_use(uvcsp_process value);
/* All of them, or none: 0 or -errno. */
int usp_values_use(const uvcsp_process *values, size_t n, struct usp_process **processes);
void usp_process_release(struct usp_process *process);
void usp_values_deinit(void);

/* ---- life.c ---- */

/* Joins the channels for a process of worker `worker`: each end in its arguments becomes one of its own. With
   a task (of this worker) they go in its list. 0, or -errno with a line on stderr and nothing joined. */
int usp_process_join(struct usp_process *process, unsigned worker, struct usp_task *task);
/* Takes back what usp_process_join has done, for a process that will not run. */
void usp_process_leave(struct usp_process *process, enum usp_leave how, const char *cause);
/* Task and ends for a process, or for all of a group, in this worker. 0 or -errno. */
int usp_process_prepare(struct usp_process *process);
/* Task for a process whose ends the parent has made, in a new worker. */
int usp_process_inherit(struct usp_process *process);
/* Starts a prepared process on a fibre: it is ready to run. If there is no memory for its stack then, it ends by poison. */
void usp_process_launch(struct usp_process *process, struct usp_join *join,
                        struct uvcsp_handle *handle);
/* The same for a process, or for each of a group, which is used up. */
void usp_processes_launch(struct usp_process *process, struct usp_join *join,
                          struct uvcsp_handle *handle);
/* How many processes it is: 1, or the size of the group. */
size_t usp_process_count(const struct usp_process *process);

enum usp_how { USP_RETURNED, USP_BY_RETIREMENT, USP_BY_POISON, USP_BY_SIGNAL };
/* Ends the process that runs on the calling fibre. */
__attribute__((noreturn)) void usp_process_finish(struct usp_process *process, enum usp_how how,
                                                  int signum, const char *cause);
void usp_process_run_deferred(struct usp_process *process);
/* As uvcsp_defer(), and also if the process is light and ends by uvcsp_kill(), which the program's code does not
   see: for what must not be left behind. It must not wait. */
int usp_defer_always(void (*fn)(void *), void *arg);
struct usp_process *usp_process_current(void);

/* A connection among the arguments is no end, but something of the floor above, which has these called. */
struct usp_conn_hooks {
    /* The process takes part: the place gets a connection of its own, in the list of ends of `task`, or of the worker's
       (no task yet). 0, or -errno with a line on stderr that begins with `what`. */
    int (*join)(void **place, unsigned worker, struct usp_task *task, const char *what);
    void (*adopt)(void *conn, struct usp_task *task); /* in a new worker */
    void (*leave)(void *conn, enum usp_leave how, const char *cause); /* what join has done; it does not run */
    void (*ended)(void *conn); /* the arguments go, here; whatever became of the process */
    void (*forked)(void);      /* in a new worker, before it adopts anything */
};
extern struct usp_conn_hooks usp_conn_hooks;
/* Calls fn for every connection among the arguments; stops at the first that is not 0. */
int usp_process_each_conn(struct usp_process *process, int (*fn)(void **place, void *arg), void *arg);

/* ---- handle.c ---- */

void usp_handle_ended(struct uvcsp_handle *handle, int code);
void usp_handles_deinit(void);

/* ---- deadlock.c ---- */

/* In a new worker, and in the root: looks for deadlocks from time to time, as UVCSP_DEADLOCK in the environment
   says. */
void usp_deadlock_begin(void);
/* Looks now: there is no other worker, and this one can never run again. */
void usp_deadlock(void);

/* ---- root.c ---- */

bool usp_light_mode(void);
/* Somebody has ended: main may be waiting for that in uvcsp_shutdown(). */
void usp_somebody_ended(void);

#endif
