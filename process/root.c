/* Main as a process, and the beginning and the end of the library in an operating-system process. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/worker.h"
#include "runtime/young.h"

const char uvcsp_root = 1;

static const struct uvcsp_param no_params[] = {{UVCSP_PARAM_END, 0, 0}};
static const struct uvcsp_kind main_kind = {"main", "main", NULL, 0, no_params};
static struct usp_process main_process;
static struct usp_fibre *main_fibre USP_YOUNG;
static bool light_mode;
bool usp_waiting_for_all USP_YOUNG; /* main is in uvcsp_shutdown() */
static struct usp_fibre *leaving USP_YOUNG; /* who has called exit(), while what was deferred runs */
static bool has_left USP_YOUNG;

bool usp_light_mode(void)
{
    return light_mode;
}

static void read_environment(void)
{
    const char *text = getenv("UVCSP_PAR");
    light_mode = text && strcmp(text, "light") == 0;
    if (text && *text && !light_mode && strcmp(text, "fork") != 0)
        usp_report("UVCSP_PAR=%s is neither light nor fork; it is fork", text);
}

/* ---- the end of main ---- */

static void unwind_main(void *process, int outcome, const char *cause)
{
    (void)process;
    usp_report("main() was ended by %s: %s", outcome == UVCSP_RETIRED ? "retirement" : "poison", cause);
    if (outcome == UVCSP_POISONED)
        usp_ends_release(main_process.task, USP_LEAVE_POISON, cause);
    exit(1);
}

static bool all_ended(void)
{
    return usp_sched.n_live == 0 && usp_worker_children() == 0;
}

void usp_look_if_all_have_ended(void)
{
    /* the fibre that calls this from usp_process_finish() is still counted */
    if (usp_waiting_for_all && usp_worker_children() == 0 &&
        usp_sched.n_live == (usp_current() == usp_sched.loop_fibre ? 0u : 1u)) {
        usp_waiting_for_all = false;
        usp_ready(main_fibre);
    }
}

/* Nothing in the program can ever run again. */
static void on_stuck(void)
{
    if (usp_waiting_for_all) { /* light processes that wait for ever do not keep a program from ending */
        usp_waiting_for_all = false;
        usp_ready(main_fibre);
        return;
    }
    usp_deadlock();
}

/* The children of a worker that has crashed are the root's to wait for, once it has looked. */
static void wait_for_all(void)
{
    do {
        while (!all_ended()) {
            usp_waiting_for_all = true;
            main_process.task->hope.epoch++;
            main_process.task->hope.state |= USP_HOPE_ENDS;
            usp_park();
            main_process.task->hope.state &= (uint8_t)~USP_HOPE_ENDS;
            if (!usp_waiting_for_all)
                break;
        }
        usp_waiting_for_all = false;
        usp_sched_hooks.drain();
    } while (usp_worker_children() > 0 || usp_supervise_pending());
}

static int shut_down(void)
{
    usp_process_run_deferred(&main_process);
    leaving = NULL;
    usp_ends_release(main_process.task, USP_LEAVE_RETIRE, NULL);
    usp_channels_unmatched(main_process.task);
    wait_for_all();
    usp_channels_release(main_process.task);
    usp_task_free(main_process.task);
    main_process.task = NULL;
    usp_current()->n_done = 0;
    usp_tasks_forget();
    usp_handles_deinit();
    usp_values_deinit();
    main_fibre = NULL;
    return usp_runtime_deinit();
}

int uvcsp_shutdown(void)
{
    if (!usp_here && usp_runtime_home() == 0)
        return 0;
    USP_ENTER();
    if (!usp_worker_is_root() || usp_current() != main_fibre) {
        usp_report("uvcsp_shutdown: only main can do that");
        return -EBUSY;
    }
    return shut_down();
}

/* Is there a communication with another worker that this one has a part in still to play? */
static bool owes(void)
{
    if (usp_link_queued() > 0)
        return true;
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next)
        if (fibre->task && fibre != usp_current() && !fibre->task->woken &&
            usp_commit_state(atomic_load(&fibre->task->commit)) == USP_CLAIMED)
            return true;
    return false;
}

/* What has been agreed completes: messages on their way out, and those that others have asked for. */
static void finish_agreed(void)
{
    while (owes()) {
        struct pollfd p = {.fd = uv_backend_fd(usp_loop()), .events = POLLIN};
        (void)poll(&p, 1, 10); /* whoever uses the mailbox does not ring, for this worker does not sleep */
        usp_poll();
        usp_sched_hooks.drain();
    }
}

static void run_all_deferred(void)
{
    struct usp_process *own = usp_process_current();
    usp_process_run_deferred_of_program(own);
    USP_EACH_FIBRE(fibre) {
        struct usp_process *process = usp_process_of(fibre);
        if (process && process != own)
            usp_process_run_deferred_of_program(process);
    }
}

/* exit() in a worker, or in a light process of the root. In a callback of the loop nothing that was deferred could
   communicate. */
static void leave_early(int status)
{
    if (usp_current() != usp_sched.loop_fibre)
        run_all_deferred();
    leaving = NULL;
    if (usp_worker_is_root()) {
        usp_worker_end_children();
        return;
    }
    usp_worker_end_children();
    if (status != 0)
        return; /* the parent sees the code and does the rest */
    USP_EACH_FIBRE(fibre)
        if (fibre->task && fibre != usp_current())
            usp_give_up(fibre->task);
    if (usp_current() != usp_sched.loop_fibre) /* which may be in the middle of a turn of the loop */
        finish_agreed();
    USP_EACH_FIBRE(fibre)
        if (fibre->task) {
            usp_ends_release(fibre->task, USP_LEAVE_RETIRE, NULL);
            usp_channels_release(fibre->task);
        }
}

/* exit() while another process has called it, and what was deferred runs: that one's ends the program, this process just ends.
   What is deferred may wait for it. */
__attribute__((noreturn)) static void only_end_process(void)
{
    struct usp_process *process = usp_process_current();
    if (usp_current() != main_fibre)
        usp_process_finish(process, USP_RETURNED, 0, NULL);
    usp_process_run_deferred(process);
    usp_ends_release(process->task, USP_LEAVE_RETIRE, NULL);
    for (;;)
        usp_park();
}

static void at_exit(int status, void *arg)
{
    (void)arg;
    if (!usp_here || !usp_runtime_is_home() || has_left)
        return;
    on_exit(at_exit, NULL); /* exit() takes this off the list before it calls it, and may be called once more */
    if (usp_process_current()) {
        if (leaving && leaving != usp_current())
            only_end_process();
        leaving = usp_current();
    }
    if (usp_worker_is_root() && usp_current() == main_fibre) {
        (void)shut_down();
        return;
    }
    leave_early(status);
    has_left = true;
    if (!usp_worker_is_root())
        usp_worker_leave(status);
}

/* ---- the beginning ---- */

/* In a child that the program has forked by itself, the library is not to be used. */
static void in_foreign_child(void)
{
    usp_here_set(false);
}

/* In a new worker: handles and values are the parent's. */
static void adopted(void)
{
    if (usp_conn_hooks.forked)
        usp_conn_hooks.forked();
    usp_deadlock_begin();
    usp_tasks_forget();
    main_fibre = leaving = NULL;
    usp_waiting_for_all = has_left = false;
}

static int enter(void)
{
    int rc = usp_runtime_init();
    if (rc < 0)
        return rc;
    usp_channels_init();
    usp_life_init();
    usp_handles_init();
    usp_worker_hooks.adopted = adopted;
    usp_worker_hooks.stuck = on_stuck;
    usp_worker_hooks.orphan_ended = usp_look_if_all_have_ended;
    usp_deadlock_begin();
    read_environment();
    main_fibre = usp_current();
    struct usp_task *task = usp_task_new("main");
    if (!task)
        return -ENOMEM;
    task->flags = USP_TASK_MAIN;
    task->fibre = main_fibre;
    memset(&main_process, 0, sizeof main_process);
    main_process.kind = &main_kind;
    main_process.task = task;
    main_process.join = &usp_no_join;
    main_fibre->task = task;
    main_fibre->process = &main_process;
    main_fibre->unwind = unwind_main;
    static bool registered;
    if (!registered) {
        pthread_atfork(NULL, NULL, in_foreign_child);
        on_exit(at_exit, NULL);
    }
    registered = true;
    return 0;
}

__attribute__((constructor)) static void set_enter_hook(void)
{
    usp_worker_hooks.enter = enter;
}
