/* What the tests of the sources share. They run under the scheduler itself and with tasks that are made
   here: a test's main is a fibre as any other, it arms, opens, parks, and is told an index. */
#ifndef TESTS_RUNTIME_SOURCES_H
#define TESTS_RUNTIME_SOURCES_H

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/fibre.h"
#include "runtime/scheduler.h"
#include "runtime/sources.h"
#include "runtime/task.h"
#include "runtime/worker.h"
#include "tests/fixture.h"
#include "tests/inject.h"

static struct usp_task main_task;

static __attribute__((unused)) int before(void)
{
    int r = usp_sched_init();
    if (r < 0)
        return r;
    (void)usp_loop(); /* or it would be made when it is first needed */
    main_task.fibre = usp_current();
    usp_current()->task = &main_task;
    return 0;
}

static __attribute__((unused)) int after(void)
{
    return main_task.fibre->sources ? -EBUSY : usp_sched_deinit();
}

static int n_waiting; /* in told() */

/* Waits for what the calling task has armed; gives the index that it was told. */
static __attribute__((unused)) uint32_t told(void)
{
    struct usp_task *task = usp_current()->task;
    usp_task_open(task);
    n_waiting++;
    usp_park();
    n_waiting--;
    uint64_t commit = atomic_load(&task->commit);
    ck_assert_uint_eq(usp_commit_state(commit), USP_CLAIMED);
    ck_assert_uint_eq(usp_commit_worker(commit), usp_worker_index());
    usp_sources_disarm(task);
    ck_assert_ptr_null(task->fibre->sources);
    atomic_store(&task->commit, USP_NONE);
    return usp_commit_index(commit);
}

/* A fibre with a task of its own. */
struct other {
    struct usp_task task;
    void (*fn)(void *);
    void *arg;
};

static int n_others; /* alive */

static __attribute__((unused)) void run_other(void *arg)
{
    struct other *other = arg;
    other->fn(other->arg);
    free(other);
    n_others--;
    usp_fibre_exit();
}

static __attribute__((unused)) struct usp_task *go(void (*fn)(void *), void *arg)
{
    struct other *other = calloc(1, sizeof *other);
    ck_assert_ptr_nonnull(other);
    other->fn = fn;
    other->arg = arg;
    struct usp_fibre *fibre = usp_fibre_new(run_other, other);
    ck_assert_ptr_nonnull(fibre);
    fibre->task = &other->task;
    other->task.fibre = fibre;
    n_others++;
    usp_ready(fibre);
    return &other->task;
}

static __attribute__((unused)) void wait_for_others_but(int n)
{
    while (n_others > n)
        usp_yield();
}

static __attribute__((unused)) void wait_for_others(void)
{
    wait_for_others_but(0);
}

/* Lets the others run until n of them wait; their order may be seeded. */
static __attribute__((unused)) void wait_until_waiting(int n)
{
    while (n_waiting < n)
        usp_yield();
}

static __attribute__((unused)) void poll_once(void *arg)
{
    (void)arg;
    usp_poll();
}

static __attribute__((unused)) void turn_the_loop(void)
{
    usp_on_loop_stack(poll_once, NULL);
}

/* Forks as workers are forked: all signals blocked until the child has forgotten. */
static __attribute__((unused)) pid_t fork_worker(void)
{
    sigset_t all, old;
    sigfillset(&all);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &all, &old), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        usp_sources_forget(usp_loop());
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    return pid;
}

static __attribute__((unused)) int status_of(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static __attribute__((unused)) void make_pipe(int fds[2])
{
    ck_assert_int_eq(pipe(fds), 0);
}

static __attribute__((unused)) void put(int fd)
{
    ck_assert_int_eq(write(fd, "x", 1), 1);
}

static __attribute__((unused)) void put_there(void *arg)
{
    put(*(int *)arg);
}

static __attribute__((unused)) void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static __attribute__((unused)) void (*disposition(int signum))(int)
{
    struct sigaction now;
    ck_assert_int_eq(sigaction(signum, NULL, &now), 0);
    return now.sa_handler;
}

#endif
