/* Forking a worker, and what the child does before its first process runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/failpoint.h"
#include "runtime/fork.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/stack.h"
#include "runtime/syscall.h"
#include "runtime/worker.h"

#define GRACE_MS 2000 /* between SIGTERM and SIGKILL for a worker whose parent has died */

struct order {
    unsigned index;
    uint32_t generation;
    void (*run)(void *);
    void *arg;
    usp_ended_fn *ended;
    void *ended_arg;
    bool rests; /* the parent, once it has forked */
    struct usp_fibre *requester;
    int watch, place; /* descriptors, or -1 */
    int orphan_signal; /* SIGRTMAX is a function, on a page that the child need not touch */
    int result;
};

/* ---- signals between workers ---- */

static void on_bell(int signum)
{
    (void)signum;
    usp_worker_interrupt();
}

/* The parent has died. SIGTERM may be handled or ignored by the program, so a timer of the kernel's stands
   behind it. */
static void on_orphan(int signum)
{
    (void)signum;
    usp_die_later(SIGKILL, GRACE_MS);
    usp_terminate_itself();
}

/* A link whose other side has ended is no reason to die; a program's own pipe is, as ever. */
static void on_broken_pipe(int signum)
{
    if (usp_writing || usp_current() == usp_sched.loop_fibre)
        return; /* the write says EPIPE */
    signal(signum, SIG_DFL);
    raise(signum);
}

void usp_signals_install(void)
{
    struct sigaction action = {.sa_handler = on_bell, .sa_flags = SA_RESTART}, now;
    sigemptyset(&action.sa_mask);
    sigaction(USP_SIGNAL_BELL, &action, NULL);
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL) {
        action.sa_handler = on_broken_pipe;
        sigaction(SIGPIPE, &action, NULL);
    }
    action.sa_handler = on_orphan;
    sigaction(USP_SIGNAL_ORPHAN, &action, NULL);
    usp_terminate_install();
}

/* ---- what streams hold ---- */

/* fflush(NULL) writes to the lock of every stream, and so to a page that parent and child then copy, and runs code that
   the child has to map. So it is only called where there may be something to flush. */
#ifdef __GLIBC__
extern FILE *_IO_list_all;

static bool streams_are_empty(void)
{
    if (!__libc_single_threaded) /* the list could change meanwhile */
        return false;
    for (const FILE *stream = _IO_list_all; stream; stream = stream->_chain)
        if (stream->_IO_write_ptr > stream->_IO_write_base || stream->_mode > 0 /* wide: kept elsewhere */)
            return false;
    return true;
}
#else
static bool streams_are_empty(void)
{
    return false;
}
#endif

static void flush_streams(void)
{
    if (!streams_are_empty())
        fflush(NULL);
}

/* ---- the child ---- */

__attribute__((weak)) void __gcov_dump(void);

/* Not by exit(): its handlers are the parent's, and libuv's would wait for threads that only the
   parent has. */
void usp_worker_leave(int code)
{
    flush_streams();
    if (__gcov_dump)
        __gcov_dump();
    _exit(code);
}

__attribute__((noreturn)) static void fail_start(struct usp_worker *self, int error)
{
    self->start_error = -error;
    _exit(127);
}

/* A child whose record has been withdrawn. The root is its parent now, and does not know of it. */
__attribute__((noreturn)) static void stray(void)
{
    for (size_t i = 0; i < sizeof usp_shared->strays / sizeof usp_shared->strays[0]; i++) {
        int32_t nobody = 0;
        if (atomic_compare_exchange_strong(&usp_shared->strays[i], &nobody, (int32_t)getpid()))
            break;
    }
    usp_supervise_tell_root();
    _exit(127);
}

__attribute__((noreturn)) static void be_born(const struct order *order, pid_t parent,
                                              const sigset_t *mask)
{
    struct usp_worker *self = usp_worker_of(order->index);
    pid_t pid = getpid();
    uint64_t birth = (uint64_t)order->generation << 32;
    USP_FAILPOINT_BORN();
    USP_FAILPOINT("child-forked");
    /* read first: by that the kernel maps all that is near it, and not one page */
    if (atomic_load(&self->birth) != birth ||
        !atomic_compare_exchange_strong(&self->birth, &birth, birth | (uint32_t)pid))
        stray();
    self->pid = pid;
    usp_writing = 0;
    usp_loop_forked(order->watch, order->place);
    usp_link_forget();
    usp_supervise_forget();
    usp_syscall(SYS_prctl, PR_SET_PDEATHSIG, order->orphan_signal, 0, 0);
    if (getppid() != parent)
        fail_start(self, -USP_PARENT_ENDED);
    usp_worker_set_home(pid);
    usp_arena_adopt(order->index);
    usp_sched_adopt(order->index);
    usp_sched.runs = &self->runs;
    usp_linger_forget();
    usp_sleep_forget();
    usp_terminate_forget();
    USP_FAILPOINT("child-ready");
    if (usp_worker_hooks.adopted)
        usp_worker_hooks.adopted();
    atomic_store(&self->state, USP_WORKER_RUNNING);
    USP_FAILPOINT("child-running");
    usp_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, _NSIG / 8);
    order->run(order->arg);
    usp_sched_begin();
}

void usp_worker_opened(int error)
{
    bool is_root = usp_worker_is_root();
    if (error == 0 && (!is_root || usp_link_listens))
        error = usp_link_opened();
    if (error == 0 && (!is_root || usp_link_listens))
        error = usp_supervise_start();
    if (error < 0 && is_root)
        usp_fatal("cannot go on: %s", strerror(-error));
    if (error < 0)
        fail_start(usp_worker_of(usp_worker_index()), error);
    if (usp_worker_hooks.opened)
        usp_worker_hooks.opened();
}

/* What a worker that has ended since had sent or woken may not have been taken in yet. */
static bool nothing_under_way(void)
{
    if (atomic_load(&usp_worker_of(0)->mailbox) || usp_supervise_pending())
        return false;
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next) {
        struct usp_task *task = fibre->task;
        if (task && !task->woken && usp_commit_state(atomic_load(&task->commit)) == USP_CLAIMED)
            return false;
    }
    return true;
}

/* Called by the loop's fibre when nothing is ready: a worker ends with its last fibre, when what
   it started has ended and what it has sent is on its way. */
void usp_worker_finished(void)
{
    if (usp_worker_is_root()) {
        if (usp_worker_hooks.stuck && atomic_load(&usp_shared->n_running) == 0 &&
            usp_sched_is_stuck() && nothing_under_way())
            usp_worker_hooks.stuck();
        return;
    }
    if (usp_sched.n_live > 0 || usp_worker_children() > 0 || usp_link_queued() > 0)
        return;
    usp_supervise_hand_over();
    if (usp_terminate_has_cut()) {
        flush_streams();
        usp_die_of_sigterm();
    }
    usp_arena_drain();
    USP_FAILPOINT("worker-drained");
    atomic_store(&usp_worker_of(usp_worker_index())->state, USP_WORKER_ENDED);
    USP_FAILPOINT("worker-ended");
    usp_worker_leave(0);
}

/* ---- the parent ---- */

/* From the first fork on, lines of several workers may meet in one file: none is cut in two, and
   what was printed before a message is sent stands before what is printed when it has come. */
static void line_buffer_stdout(void)
{
    if (!__flbf(stdout) && __fbufsize(stdout) != 1)
        setvbuf(stdout, NULL, _IOLBF, 0);
}

static int prepare_parent(void)
{
    static pid_t prepared;
    pid_t self = usp_runtime_home();
    int rc = usp_link_listen(); /* each time: the library may have been shut down since */
    if (rc == 0)
        rc = usp_supervise_start();
    if (rc < 0 || prepared == self)
        return rc;
    if (usp_worker_is_root()) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        usp_signals_install();
        line_buffer_stdout();
    }
    prepared = self;
    return 0;
}

/* The stacks that pointers in a new process may point into: of whoever starts it, and of those
   who wait for him in turn. */
static void inherit_stacks(struct usp_fibre *fibre, bool inherit)
{
    for (; fibre; fibre = fibre->parent)
        usp_stack_inherit(fibre, inherit);
}

/* Is there nobody else, neither in this worker, who might run while it waits or talk to the new one, nor started by it, who
   might be on this processor? */
static bool is_alone(const struct usp_fibre *fibre)
{
    return usp_sched.n_live == (fibre->task->flags & USP_TASK_MAIN ? 0 : 1) && !usp_sched.head &&
           usp_worker_children() == 0;
}

static void carry_out(void *arg)
{
    struct order *order = arg;
    struct usp_worker *child = usp_worker_of(order->index);
    order->result = prepare_parent();
    if (order->result == 0)
        order->result = usp_loop_before_fork();
    order->watch = usp_supervise_watch();
    order->place = order->result == 0 ? usp_loop_place(usp_supervise_unwatched() == 0) : -1; /* where the child's pidfd will be */
    if (order->result == 0 && order->place < 0)
        order->result = order->place;
    if (order->result < 0)
        return;
    pid_t parent = usp_runtime_home();
    sigset_t all, mask;
    sigfillset(&all);
    flush_streams();
    sigprocmask(SIG_SETMASK, &all, &mask);
    inherit_stacks(order->requester, true);
    if (order->rests && is_alone(order->requester))
        usp_affinity_stay();
    pid_t pid = fork();
    if (pid == 0)
        be_born(order, parent, &mask);
    int error = errno;
    inherit_stacks(order->requester, false);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    close(order->place);
    if (pid < 0) {
        order->result = -error;
        return;
    }
    USP_FAILPOINT("parent-forked");
    child->pid = pid;
    usp_supervise_add(order->index, pid, order->ended, order->ended_arg);
}

static void watch_new(void *arg)
{
    (void)arg;
    usp_supervise_watch_new();
    USP_FAILPOINT("parent-watches");
}

void usp_worker_watch(void)
{
    if (usp_supervise_unwatched() > 0)
        usp_on_loop_stack(watch_new, NULL);
}

int usp_worker_fork(unsigned index, void (*run)(void *), void *arg, usp_ended_fn *ended,
                    void *ended_arg, bool rests)
{
    struct order order = {
        .index = index, .generation = usp_worker_of(index)->generation, .run = run, .arg = arg, .ended = ended,
        .ended_arg = ended_arg, .rests = rests, .requester = usp_current(), .watch = -1, .place = -1,
        .orphan_signal = USP_SIGNAL_ORPHAN};
    usp_on_loop_stack(carry_out, &order);
    return order.result;
}
