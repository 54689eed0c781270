/* The scheduler of one worker: a run queue of fibres, and one fibre more that looks after the loop.

   A fibre that parks takes the next one from the queue and switches to it. When the queue is empty, or
   after a number of switches, it switches to the loop's fibre instead, which empties the mailbox, gives
   libuv a turn, and sleeps in it when there is nothing to run. All callbacks of the loop, and fork(), run on
   that fibre's stack, which is a large one.

   After a match the partner is put on the queue and the running fibre goes on: switching over at once costs
   1.3 to 2.6 times as much on the classic benchmarks. The queue is first in, first out, but for one place at its head:
   a reader that has been given a message comes next, while the caches have it; and so what feeds a pipeline does not
   run far ahead of what empties it. That is so for one at a time, for USP_FAVOURS in a row, as long as nobody has been
   woken from outside since the loop's last turn, and until its next. So the n-th of the queue waits for n turns of the
   loop at most, for n times USP_FAVOURS switches as a rule. */
#ifndef USP_RUNTIME_SCHEDULER_H
#define USP_RUNTIME_SCHEDULER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <uv.h>

#include "runtime/fibre.h"
#include "runtime/stack.h"
#include "runtime/switch.h"
#include "runtime/task.h"

#define USP_FAVOURS 8 /* readers in a row that come next, having been given a message */
#define USP_TURNS 128 /* switches between two looks at the mailbox */

#define USP_FORESIGHT 6 /* resumed meanwhile: the switches take about as long as what is asked for */
struct usp_foresight {
    unsigned turn;
    unsigned trust; /* one more for each that was expected */
    bool now;       /* fibres are remembered */
    bool rests;     /* they are not, for that has been in vain lately */
    unsigned until; /* the turn at which a trial or a rest ends */
    unsigned rest;  /* how long the next one is, in rounds; 0: it has not been tried yet */
    struct usp_fibre *recent[USP_FORESIGHT];
};

struct usp_sched {
    struct usp_fibre *current;
    int turns;                     /* switches left until the loop's fibre gets one; 1 with a seed */
    int favours, granted;          /* left until a reader that is given a message waits like others; and after that */
    int seeded_turns;              /* the same, with a seed */
    struct usp_fibre *head, *tail; /* the run queue */
    struct usp_fibre *loop_fibre;  /* NULL in a new worker whose first process has not waited yet: usp_loop_fibre() */
    unsigned worker;               /* index of this worker */
    uint32_t holder;               /* what stands in a lock that it holds: `worker` + 1 */
    uint64_t n_live;               /* fibres with an entry, main not counted */
    struct usp_fibre *all;         /* of those that are born, and main: usp_next_fibre() */
    struct usp_fibre *idle;        /* one of them that waits for its next process, on a large stack; or NULL */
    uint64_t seed;                 /* state of the generator; 0: none */
    uint64_t polled;               /* ticks when libuv last had a turn */
    uv_loop_t *loop;               /* NULL in a new worker that has not needed one yet */
    struct usp_foresight foresight; /* foresight.h */
    _Atomic uint32_t *runs;        /* in the worker table: usp_sched_count_run(); or NULL */
};
extern struct usp_sched usp_sched;

/* Not 0 while a link may be written to outside of the loop's fibre: the handler of SIGPIPE wants to know. */
extern volatile sig_atomic_t usp_writing;

/* True in the one thread that runs processes. The first call of the library makes it so. */
extern _Thread_local bool usp_here __attribute__((tls_model("initial-exec")));

/* Where that is true usp_sched.holder and four bytes with the number of the element, elsewhere UINT64_MAX: for one comparison of
   both, and of what the floor above asks besides. */
enum { USP_GATES = 4 };
extern _Thread_local uint64_t usp_gates[USP_GATES] __attribute__((tls_model("initial-exec")));

static inline struct usp_fibre *usp_current(void)
{
    return usp_sched.current;
}
static inline unsigned usp_worker_index(void)
{
    return usp_sched.worker;
}
static inline void usp_here_set(bool here)
{
    usp_here = here;
    for (uint32_t i = 0; i < USP_GATES; i++) {
        union {
            uint32_t words[2];
            uint64_t gate;
        } mine = {.words = {usp_sched.holder, i}};
        usp_gates[i] = here ? mine.gate : UINT64_MAX;
    }
}
static inline void usp_set_worker(unsigned worker)
{
    usp_sched.worker = worker;
    usp_sched.holder = worker + 1;
    usp_here_set(usp_here);
}
/* Makes the loop of a worker that has none. A worker that cannot have one ends. */
uv_loop_t *usp_loop_needed(void);

static inline uv_loop_t *usp_loop(void)
{
    uv_loop_t *loop = usp_sched.loop;
    return __builtin_expect(loop != NULL, 1) ? loop : usp_loop_needed();
}

/* Puts a parked fibre of this worker on the run queue. */
static inline void usp_ready(struct usp_fibre *fibre)
{
    fibre->next = NULL;
    fibre->first = false;
    if (usp_sched.head)
        usp_sched.tail->next = fibre;
    else
        usp_sched.head = fibre;
    usp_sched.tail = fibre;
}

/* The same for who has just been given a message: it comes before all others, if it is a case for that. */
static inline void usp_ready_first(struct usp_fibre *fibre)
{
    struct usp_fibre *head = usp_sched.head;
    if (head && (head->first || --usp_sched.favours <= 0)) {
        if (!head->first)
            usp_sched.favours = usp_sched.granted;
        fibre->first = false;
        fibre->next = NULL;
        usp_sched.tail->next = fibre;
        usp_sched.tail = fibre;
        return;
    }
    fibre->first = true;
    fibre->next = head;
    usp_sched.head = fibre;
    if (!head)
        usp_sched.tail = fibre;
}

static inline __attribute__((always_inline)) void usp_ready_partner(struct usp_fibre *fibre, bool reads)
{
    if (reads)
        usp_ready_first(fibre);
    else
        usp_ready(fibre);
}

/* Wakes a claimed task of this worker. */
static inline void usp_note_woken(struct usp_task *task)
{
    task->woken = 1;
#ifdef USP_PARK_TAIL
    if (__builtin_expect(task->outcome != 0, 0))
        usp_park_tail_slow(task->fibre->sp);
#endif
}
static inline void usp_wake(struct usp_task *task)
{
    usp_note_woken(task);
    usp_ready(task->fibre);
}
/* One that has been given a message. */
static inline void usp_wake_first(struct usp_task *task)
{
    usp_note_woken(task);
    usp_ready_first(task->fibre);
}

struct usp_fibre *usp_pick_slowly(void);
/* The loop's fibre has had its turn. */
void usp_grant_turns(void);
/* Are readers to be favoured until its next one? */
void usp_grant_favours(bool any);
/* UVCSP_SEED, read once; what a worker makes of it. */
void usp_seed_from_environment(void);
void usp_seed(void);

/* Every live fibre of the worker, those included that are not born yet: the one after `fibre`, or the first. The idle one
   has no process; its task is none. */
static inline struct usp_fibre *usp_next_fibre(const struct usp_fibre *fibre)
{
    struct usp_fibre *next;
    if (!fibre || fibre->sp) {
        next = fibre ? fibre->all_next : usp_sched.all;
        if (next && next == usp_sched.idle)
            next = next->all_next;
        if (next)
            return next;
        next = usp_sched.head; /* those who are not born yet are there */
    } else {
        next = fibre->next;
    }
    while (next && next->sp)
        next = next->next;
    return next;
}
#define USP_EACH_FIBRE(fibre)                                                                      \
    for (struct usp_fibre *fibre = usp_next_fibre(NULL); fibre; fibre = usp_next_fibre(fibre))

/* A fibre is from here on the one that `unborn` was to be, whose parent and kill these are. Its task is left to usp_born().
   Few stores: there is no more than one of them in a cycle of the processor. */
static inline void usp_fibre_become(struct usp_fibre *fibre, struct usp_unborn *unborn, struct usp_fibre *parent, int kill)
{
    static const struct {
        int failed;
        uint32_t counts[3];
    } none = {.failed = -1};
    char *at = (char *)fibre;
    fibre->parent = parent;
    fibre->kill = kill;
    fibre->hasty = fibre->hasty_after = 0;
    fibre->first = fibre->warm = false;
    fibre->process = unborn;
    memset(at + offsetof(struct usp_fibre, sources), 0, 2 * sizeof(void *));
    memcpy(at + offsetof(struct usp_fibre, failed), &none, sizeof none);
}

/* A fibre that was made by usp_fibres_conceive() gets its stack. Where there is no memory for one, the fibre of
   the loop, which will see to it that the process ends. */
struct usp_fibre *usp_fibre_bear(struct usp_fibre *unborn);

/* Who runs next, off the queue. */
static inline struct usp_fibre *usp_pick(void)
{
    struct usp_fibre *next = usp_sched.head;
    if (__builtin_expect(!next || --usp_sched.turns == 0, 0))
        return usp_pick_slowly();
    usp_sched.head = next->next;
    return __builtin_expect(next->sp != NULL, 1) ? next : usp_fibre_bear(next);
}

#ifdef USP_ASAN
void usp_switch_to(struct usp_fibre *to);
#else
static inline __attribute__((always_inline)) void usp_switch_to(struct usp_fibre *to)
{
    struct usp_fibre *from = usp_sched.current;
    usp_sched.current = to;
    usp_switch(&from->sp, to->sp);
}
#endif

/* Parks the calling fibre. Returns when somebody has made it ready. */
static inline __attribute__((always_inline)) void usp_park(void)
{
    struct usp_fibre *to = usp_pick();
    if (to != usp_sched.current)
        usp_switch_to(to);
}

/* Goes to the end of the run queue. */
void usp_yield(void);

/* Something has happened here: others are about to run, or a worker has ended. Written in this worker alone. */
static inline void usp_sched_count_run(void)
{
    if (usp_sched.runs)
        atomic_store_explicit(usp_sched.runs,
                              atomic_load_explicit(usp_sched.runs, memory_order_relaxed) + 1,
                              memory_order_release);
}

/* The fibre has nothing to run: who runs instead, which may be itself as somebody else. */
struct usp_fibre *usp_fibre_rest(struct usp_fibre *self);

/* The process of this fibre has returned: who runs next. If he is not born yet, he is so here; large stacks are for those who
   come first, so a fibre on a small one leaves that to others. */
static inline struct usp_fibre *usp_fibre_go_on(struct usp_fibre *self)
{
    struct usp_fibre *next = usp_sched.head;
    usp_sched.n_live--;
    bool born = next && next->sp;
    if (__builtin_expect(!next || self->stack_class != USP_BIG_STACK || (born && usp_sched.idle) ||
                             usp_sched.turns <= 1,
                         0))
        return usp_fibre_rest(self);
    usp_sched.turns--;
    usp_sched.head = next->next;
    if (!born) {
        usp_fibre_become(self, &next->before, next->parent, next->kill);
        return self;
    }
    usp_sched.idle = self;
    return next;
}

/* The same where it has just made `woken` ready, or would have to: if nobody else is, that one runs next. */
static inline struct usp_fibre *usp_fibre_go_on_with(struct usp_fibre *self, struct usp_fibre *woken)
{
    if (__builtin_expect(usp_sched.head || self->stack_class != USP_BIG_STACK || usp_sched.idle ||
                             usp_sched.turns <= 1,
                         0)) {
        usp_ready(woken);
        return usp_fibre_go_on(self);
    }
    usp_sched.n_live--;
    usp_sched.turns--;
    usp_sched.idle = self;
    return woken;
}

/* Makes a fibre that will call entry(arg), which must end by usp_fibre_exit(). It is not ready yet. NULL:
   no memory. */
struct usp_fibre *usp_fibre_new(void (*entry)(void *), void *arg);
/* Makes `n` that get their stacks when they first run, and puts them on the run queue: linked by `next` from `first` to
   `last`, `sp` NULL, `task` and `parent` set. Until then they are where they were made, and the caller keeps that
   alive. */
static inline void usp_fibres_conceive(struct usp_unborn *first, struct usp_unborn *last, size_t n)
{
    usp_sched.n_live += n;
    last->next = NULL;
    if (usp_sched.head)
        usp_sched.tail->next = (struct usp_fibre *)first;
    else
        usp_sched.head = (struct usp_fibre *)first;
    usp_sched.tail = (struct usp_fibre *)last;
}
/* Ends the calling fibre; its stack goes back. The task is the caller's to free before. */
__attribute__((noreturn)) void usp_fibre_exit(void);

/* Takes up the calling thread's stack as the fibre of main, starts the loop's fibre and the loop. 0 or -errno. */
int usp_sched_init(void);
/* In a new worker, on the stack of the loop's fibre: nothing is left of the parent's fibres. */
void usp_sched_adopt(unsigned worker);
/* Closes the loop. 0, or -EBUSY when handles of the program's keep it from closing. */
int usp_sched_deinit(void);

/* ---- the loop ---- */

/* In the root: holds descriptors for a loop. 0 or -errno. */
int usp_loop_reserve(void);
/* Closes it, if there is one; -EBUSY: handles of the program's keep it from being closed. */
int usp_loop_close(void);
/* A descriptor in the place of one that will be needed; or -errno. It may be closed, and the place is still promised to nobody else
   until one asks for the first place again. */
int usp_loop_place(bool is_first);
/* In the parent: lists what the child has to close. 0 or -ENOMEM. */
int usp_loop_before_fork(void);
/* In the child: closes what others could notice. There is no loop then. `watch` (of the parent's loop) and `place` are
   kept until there is. */
void usp_loop_forked(int watch, int place);
/* In the child: closes a descriptor, and keeps its place. */
void usp_loop_keep_place(int fd);

/* Has fn(arg) run on the stack of the loop's fibre, now, while the caller waits. */
void usp_on_loop_stack(void (*fn)(void *), void *arg);

/* Gives the loop one turn without waiting. Only on the loop's fibre. */
void usp_poll(void);
/* The same, but it waits until something happens. */
void usp_sleep_in_loop(uv_loop_t *loop);

/* Does the loop hold anything of the program's that is active, or a request of anybody's? */
bool usp_sched_has_foreign(void);

/* Nothing is ready, and the loop has nothing that could make anything ready. On the loop's fibre. */
bool usp_sched_is_stuck(void);

/* What the loop's fibre does for ever. */
__attribute__((noreturn)) void usp_loop_for_ever(void);
/* The same, in a new worker, which is born on its stack and has conceived its first processes. */
__attribute__((noreturn)) void usp_sched_begin(void);

/* The fibre of the loop. A new worker has none before its first process waits or ends. */
struct usp_fibre *usp_loop_fibre_needed(void);
static inline struct usp_fibre *usp_loop_fibre(void)
{
    struct usp_fibre *fibre = usp_sched.loop_fibre;
    return __builtin_expect(fibre != NULL, 1) ? fibre : usp_loop_fibre_needed();
}

/* The cycle counter, or what comes nearest to it. */
uint64_t usp_ticks(void);
/* libuv gets a turn when that many ticks of the cycle counter have passed: some 30 microseconds. An idle
   turn costs as much as forty communications. */
#define USP_POLL_TICKS 60000

/* What the floor of workers does in the loop's fibre: empty the mailbox; wait awake for a moment (false: not
   tried); sleep, unless there is something to do; is there nothing left to do for ever? */
struct usp_sched_hooks {
    bool (*doze)(void); /* sleeps without a loop. False: not possible, or not for so long */
    void (*drain)(void);
    bool (*linger)(void);
    void (*sleep)(void);
    void (*finished)(void); /* called when the queue is empty; ends the worker if it is done */
    void (*opened)(int error); /* in a new worker: it has a loop now, or, with -errno, can have none */
};
extern struct usp_sched_hooks usp_sched_hooks;

/* Of the floor of processes. On a fibre: runs the one that it has become, and goes on with usp_fibre_go_on() for ever. A fibre
   keeps its `task` from one to the next, until it rests: then that is taken from it. And on the loop's fibre: there is
   no memory for the stack of one. */
extern void (*usp_born)(struct usp_fibre *fibre);
extern void (*usp_rests)(struct usp_fibre *fibre);
extern void (*usp_stillborn)(struct usp_unborn *process);

/* Where the running process has called the function of that name; or the name. */
static inline const char *usp_place_of_call(const char *name)
{
    const struct usp_fibre *fibre = usp_current();
    return fibre->called && strcmp(fibre->called, name) == 0 ? fibre->called_at : name;
}

#endif
