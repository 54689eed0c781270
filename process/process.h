/* Processes, as the floor sees them.

   value      made by the constructor that PROCESS writes; a record from a pool, found again by its serial
   prepared   its arguments hold ends of its own: it has joined its channels; if it has any, its task exists
   running    on a fibre of this worker, or in a forked one
   ended      what it deferred has run, its ends and channels are released, who waits for it is told

   A record is never given back to malloc before uvcsp_shutdown(), so a stale value is always told from a live one. */
#ifndef USP_PROCESS_PROCESS_H
#define USP_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <uvcsp/process.h>

#include "channels/channel.h"
#include "runtime/arena.h"
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
extern struct usp_join usp_no_join; /* of processes for which nobody waits so: it has no task, and `left` says nothing */

struct uvcsp_handle {
    struct usp_event ended; /* first: the choice knows a handle as an event */
    struct uvcsp_handle *next, *prev;
    size_t left;                 /* light processes that have not ended: more than one for a WORKER */
    unsigned worker;             /* of a forked one */
    int pid;
    int code;
    struct usp_process *only;    /* the light one, if it is one */
    bool light;
    bool freed;                  /* by the program, before the process had ended */
    bool expected;               /* that a light one is killed: it is no matter for a line */
};

/* Two lines of the cache. */
struct usp_process {
    union {
        struct usp_unborn unborn;      /* until it first runs */
        struct {                       /* the same */
            void *sp;
            struct usp_process *next;  /* in the free list, in its group, among those that start together */
            struct usp_task *task;     /* NULL before it joins; of one without parameters always, unless it has a handle */
            struct usp_fibre *parent;
            union {
                uint64_t marks;        /* all of these */
                struct {
                    int kill;
                    bool special;      /* a group, or something in it could be an end: usp_process_is_plain() */
                    bool joined;       /* connections among its arguments are its own */
                    bool first;
                };
            };
        };
    };
    unsigned long serial;              /* even, and odd from when the value has been used up */
    _Alignas(16) unsigned char room[USP_INLINE_ARGS];
    const struct uvcsp_kind *kind;     /* NULL: a group, made by WORKER */
    union {
        void *args;                    /* unless it is plain */
        struct usp_process *members;   /* of a group */
    };
    struct usp_join *join;             /* from when it starts; never NULL then */
    struct uvcsp_handle *handle;       /* the same; NULL before */
    struct usp_deferred *deferred;
};
_Static_assert(sizeof(struct usp_process) == 128, "a process is two lines of the cache");

/* No group, nothing in it could be an end, and nobody outside can know of it before it runs. */
static inline bool usp_process_is_plain(const struct usp_process *process)
{
    return !process->special;
}
/* Of a fibre that is not the loop's. */
static inline struct usp_process *usp_process_of(struct usp_fibre *fibre)
{
    return fibre->sp ? fibre->process : (struct usp_process *)fibre;
}

/* ---- value.c ---- */

/* The record of a value, marked as used; NULL with a line on stderr if it was run before or is none. */
struct usp_process *usp_value_use(uvcsp_process value);
/* Breaks a group up: the processes that it is, linked by `next`. */
struct usp_process *usp_process_unpack(struct usp_process *process);
/* All of them, or none: 0 or -errno. */
int usp_values_use(const uvcsp_process *values, size_t n, struct usp_process **processes);
void usp_process_release_arguments(struct usp_process *process);
extern struct usp_process *usp_free_processes;
/* Has neither marks nor a task. */
static inline void usp_process_release_plain(struct usp_process *process)
{
    process->next = usp_free_processes;
    usp_free_processes = process;
}
static inline void usp_process_release(struct usp_process *process)
{
    if (__builtin_expect(!usp_process_is_plain(process), 0))
        usp_process_release_arguments(process);
    process->task = NULL;
    process->marks = 0;
    usp_process_release_plain(process);
}
void usp_values_deinit(void);

/* ---- task.c ---- */

#define USP_KEPT 1024 /* tasks at most that are kept for the next processes */
/* A fibre that runs one process without parameters after the other has a task of its own besides: usp_born(). */
extern struct usp_kept_tasks {
    struct usp_task *first; /* linked by `mail_next` */
    unsigned n;
    struct usp_worker *self;
} usp_kept;

/* To others a task that lies on the shelf is a block in the worker's cache. It is as a new one has to be, but for its
   name and the one who waits for it. */
static inline void usp_task_shelve(struct usp_task *task)
{
    usp_arena_shelve(task->word);
    USP_FAILPOINT("task-shelved");
}
static inline bool usp_task_was_used(struct usp_task *task)
{
    return (atomic_load_explicit(&task->commit, memory_order_relaxed) | (uintptr_t)task->site | task->waking |
            task->flags | usp_wait_of(task)->n | task->hope.all) != 0;
}
static inline void usp_task_reset(struct usp_task *task)
{
    atomic_store_explicit(&task->commit, USP_NONE, memory_order_relaxed);
    task->waking = 0;
    task->flags = 0;
    task->site = NULL;
    usp_wait_has(usp_wait_of(task), 0);
    task->hope.all = 0;
}
static inline void usp_task_unshelve(struct usp_task *task)
{
    task->hope.epoch++; /* whoever knew the last one that it was */
    usp_arena_unshelve(task->word, USP_BLOCK_TASK);
    USP_FAILPOINT("task-off-the-shelf");
}
static inline void usp_task_begins(struct usp_task *task, const char *name)
{
    task->name = name;
    atomic_store_explicit(&usp_kept.self->tasks_made, /* nobody else writes it */
                          atomic_load_explicit(&usp_kept.self->tasks_made, memory_order_relaxed) + 1,
                          memory_order_release);
}

struct usp_task *usp_task_make(void);
/* A task of this worker. NULL: the arena is full. */
static inline struct usp_task *usp_task_new(const char *name)
{
    struct usp_task *task = usp_kept.first;
    if (__builtin_expect(task != NULL, 1)) {
        usp_kept.first = task->mail_next;
        usp_kept.n--;
        usp_task_unshelve(task);
    } else {
        task = usp_task_make();
        if (!task)
            return NULL;
    }
    usp_task_begins(task, name);
    return task;
}
void usp_task_discard(struct usp_task *task);
void usp_task_give_up(struct usp_task *task); /* that lies on the shelf */
/* One that lies on the shelf is for whoever needs one next. */
static inline void usp_task_keep(struct usp_task *task)
{
    if (__builtin_expect(usp_kept.n >= USP_KEPT, 0)) {
        usp_task_give_up(task);
        return;
    }
    task->mail_next = usp_kept.first;
    usp_kept.first = task;
    usp_kept.n++;
}
/* Nothing waits in it, and it has no end and no channel any more. */
static inline void usp_task_free(struct usp_task *task)
{
    if (__builtin_expect(usp_wait_of(task)->table != NULL || task->uses != NULL, 0)) {
        usp_task_discard(task);
        return;
    }
    task->hope.handle = NULL;
    usp_task_reset(task);
    usp_task_shelve(task);
    usp_task_keep(task);
}
/* In a new worker, and when the library is left: those that are kept are not ours any more. */
void usp_tasks_forget(void);

/* ---- join.c ---- */

/* Joins the channels for a process of worker `worker`: each end in its arguments becomes one of its own. With
   a task (of this worker) they go in its list. 0, or -errno with a line on stderr and nothing joined. */
int usp_process_join(struct usp_process *process, unsigned worker, struct usp_task *task);
/* Takes back what usp_process_join has done, for a process that will not run. */
void usp_process_leave(struct usp_process *process, enum usp_leave how, const char *cause);
/* In a new worker: the ends that the parent has made are the task's. */
void usp_process_adopt(struct usp_process *process);

/* ---- life.c ---- */

/* In this worker: task and ends for `first` and those that follow by `next`, or for none of them. 0 or -errno. */
int usp_processes_prepare(struct usp_process *first);
/* Takes that back, and the values with it. */
void usp_processes_drop(struct usp_process *first);
/* Task for a process whose ends the parent has made, in a new worker. */
int usp_process_inherit(struct usp_process *process);
/* Starts those that are prepared on fibres: they are ready to run. Where there is no
   memory for the stack of one then, it ends by poison. How many there are. */
size_t usp_processes_launch(struct usp_process *first, struct usp_join *join,
                            struct uvcsp_handle *handle);

/* Sets the hooks of the scheduler; once in the root. */
void usp_life_init(void);

enum usp_how { USP_RETURNED, USP_BY_RETIREMENT, USP_BY_POISON, USP_BY_SIGNAL };
/* Ends the process that runs on the calling fibre. */
__attribute__((noreturn)) void usp_process_finish(struct usp_process *process, enum usp_how how,
                                                  int signum, const char *cause);
void usp_process_run_deferred(struct usp_process *process);
/* Only what the program has deferred, not usp_defer_always(). */
void usp_process_run_deferred_of_program(struct usp_process *process);
/* As uvcsp_defer(), and also if the process is light and ends by uvcsp_kill(), which the program's code does not
   see: for what must not be left behind. It must not wait. */
int usp_defer_always(void (*fn)(void *), void *arg);
/* Runs what the running process has deferred last. */
void usp_defer_done(void);
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

/* One that is part of something else. */
void usp_handle_init(struct uvcsp_handle *handle);
void usp_handle_ended(struct uvcsp_handle *handle, int code);
void usp_handles_deinit(void);
/* Sets the hook of the runtime by which a worker's processes are told to end. */
void usp_handles_init(void);

/* ---- deadlock.c ---- */

#define USP_DEADLOCK "deadlock: nothing in the program could ever run again" /* the cause of poison */

/* In a new worker, and in the root: looks for deadlocks from time to time, as UVCSP_DEADLOCK in the environment
   says. */
void usp_deadlock_begin(void);
/* Looks now: there is no other worker, and this one can never run again. */
void usp_deadlock(void);
/* Has a wait of the running process been ended by a deadlock, since it last asked? */
static inline bool usp_was_in_deadlock(void)
{
    struct usp_task *task = usp_current()->task;
    bool was = task && task->hope.told & USP_TOLD_WOKEN;
    if (was)
        task->hope.told &= (uint8_t)~USP_TOLD_WOKEN;
    return was;
}
/* What the running process does from here on is something new, as if it was another one. */
static inline void usp_is_as_new(void)
{
    usp_current()->task->hope.told = 0;
}
/* Where the running process waits from here on, it does so to serve others: a deadlock does not end its waits, unless there
   are no others to end. */
static inline void usp_serving(bool serves)
{
    uint8_t *state = &usp_current()->task->hope.state;
    *state = (uint8_t)(serves ? *state | USP_HOPE_SERVES : *state & ~USP_HOPE_SERVES);
}

/* ---- root.c ---- */

bool usp_light_mode(void);
/* Somebody has ended: main may be waiting for that in uvcsp_shutdown(). */
extern bool usp_waiting_for_all;
void usp_look_if_all_have_ended(void);
static inline void usp_somebody_ended(void)
{
    if (__builtin_expect(usp_waiting_for_all, 0))
        usp_look_if_all_have_ended();
}

#endif
