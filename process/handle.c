/* SPAWN and GO: start and go on. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/fork.h"
#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"

enum { INDEX_EVENT, INDEX_TIMER };

static struct uvcsp_handle *handles;

void usp_handle_init(struct uvcsp_handle *handle)
{
    usp_event_init(&handle->ended);
    handle->code = UVCSP_STILL_ALIVE;
}

static struct uvcsp_handle *new_handle(void)
{
    struct uvcsp_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    usp_handle_init(handle);
    handle->next = handles;
    if (handles)
        handles->prev = handle;
    handles = handle;
    return handle;
}

static void delete_handle(struct uvcsp_handle *handle)
{
    if (handle->prev)
        handle->prev->next = handle->next;
    else
        handles = handle->next;
    if (handle->next)
        handle->next->prev = handle->prev;
    free(handle);
}

void usp_handle_ended(struct uvcsp_handle *handle, int code)
{
    if (handle->code == UVCSP_STILL_ALIVE || code != 0)
        handle->code = code;
    if (handle->light && --handle->left > 0)
        return;
    usp_event_set(&handle->ended);
    if (handle->freed)
        delete_handle(handle);
}

void usp_handles_deinit(void)
{
    while (handles)
        delete_handle(handles);
}

static void worker_ended(void *arg, int code, const char *how)
{
    usp_handle_ended(arg, how && code == 0 ? 1 : code);
    usp_somebody_ended();
}

/* ---- starting ---- */

static uvcsp_handle *no_handle(struct uvcsp_handle *handle, int error)
{
    if (handle)
        delete_handle(handle);
    errno = -error;
    return NULL;
}

uvcsp_handle *uvcsp_go(uvcsp_process value)
{
    USP_ENTER();
    struct usp_process *process = usp_value_use(value);
    if (!process)
        return no_handle(NULL, -EINVAL);
    struct uvcsp_handle *handle = new_handle();
    if (!handle) {
        usp_process_release(process);
        return no_handle(NULL, -ENOMEM);
    }
    handle->light = true;
    handle->pid = (int)getpid();
    process = usp_process_unpack(process);
    int rc = process ? usp_processes_prepare(process) : -EINVAL;
    if (rc < 0) {
        usp_processes_drop(process);
        return no_handle(handle, rc);
    }
    handle->left = usp_processes_launch(process, NULL, handle);
    handle->only = handle->left == 1 ? process : NULL;
    if (process->parent)
        process->parent->n_started += (uint32_t)handle->left;
    return handle;
}

uvcsp_handle *uvcsp_spawn(uvcsp_process value)
{
    USP_ENTER();
    if (usp_light_mode())
        return uvcsp_go(value);
    struct usp_process *process = usp_value_use(value);
    if (!process)
        return no_handle(NULL, -EINVAL);
    struct uvcsp_handle *handle = new_handle();
    int worker = -1, rc = handle ? usp_fork_join(&process, 1, &worker) : -ENOMEM;
    if (rc == 0 && worker >= 0) {
        usp_worker_of((unsigned)worker)->handle = &handle->ended;
        usp_worker_of((unsigned)worker)->handle_of = (uint16_t)(usp_worker_index() + 1);
    }
    if (rc == 0)
        rc = usp_fork_launch(process, worker, worker_ended, handle, false);
    usp_worker_watch();
    usp_process_release(process);
    if (rc < 0)
        return no_handle(handle, rc);
    handle->worker = (unsigned)worker;
    handle->pid = (int)usp_worker_of((unsigned)worker)->pid;
    return handle;
}

/* ---- handles ---- */

/* Is it one that this worker can use? What has ended is known in all that were forked since. */
static bool is_handle(const uvcsp_handle *handle, const char *what)
{
    if (handle && !usp_event_is_elsewhere(&handle->ended))
        return true;
    usp_report("%s: the handle is %s", what, handle ? "of another worker" : "NULL");
    return false;
}

int (uvcsp_join)(uvcsp_handle *handle, double seconds)
{
    return uvcsp_join_at(handle, seconds, "uvcsp_join");
}

int uvcsp_join_at(uvcsp_handle *handle, double seconds, const char *site)
{
    USP_ENTER();
    if (!is_handle(handle, "uvcsp_join") || !usp_timeout_is_good(seconds, site))
        return -EINVAL;
    if (handle->ended.set)
        return UVCSP_OK;
    struct usp_fibre *fibre = usp_current();
    struct usp_task *self = fibre->task;
    if (seconds == 0)
        return UVCSP_TIMEOUT;
    if (!self)
        usp_fatal("uvcsp_join: a callback of the loop must not wait");
    if (fibre->kill)
        usp_end_process(USP_KILLED, NULL);
    usp_wait_has(usp_wait_of(self), 0);
    self->site = usp_place_of_call(site);
    usp_task_arming(self);
    usp_task_open(self);
    int rc = usp_event_arm(self, INDEX_EVENT, &handle->ended);
    if (rc == 0 && seconds > 0)
        rc = usp_timer_arm(self, INDEX_TIMER, seconds);
    if (rc < 0 && usp_task_claim(self, usp_worker_index(), INDEX_TIMER))
        usp_wake(self);
    usp_task_armed(self);
    usp_park();
    usp_sources_disarm(self);
    self->site = NULL;
    uint64_t commit = atomic_load(&self->commit);
    atomic_store(&self->commit, USP_NONE);
    if (self->outcome == USP_KILLED)
        usp_end_process(USP_KILLED, NULL);
    if (rc < 0)
        return rc;
    return usp_commit_index(commit) == INDEX_EVENT ? UVCSP_OK : UVCSP_TIMEOUT;
}

bool uvcsp_alive(uvcsp_handle *handle)
{
    USP_ENTER();
    return is_handle(handle, "uvcsp_alive") && !handle->ended.set;
}

int uvcsp_exit_code(uvcsp_handle *handle)
{
    USP_ENTER();
    return is_handle(handle, "uvcsp_exit_code") ? handle->code : -EINVAL;
}

int uvcsp_pid(uvcsp_handle *handle)
{
    USP_ENTER();
    if (!handle)
        usp_report("uvcsp_pid: the handle is NULL");
    return handle ? handle->pid : -EINVAL;
}

/* A light process ends where it waits, if it can be claimed there, or else when it next waits. */
static void kill_one(struct usp_fibre *fibre, int signum)
{
    fibre->kill = signum;
    if (fibre != usp_current() && fibre->task && usp_claim_to_kill(fibre->task)) {
        fibre->task->outcome = USP_KILLED;
        usp_wake(fibre->task);
    }
}

/* Whoever runs in a PAR, CO or SEQ of one that is to end. False: there was nobody. */
static bool kill_waited_for(int signum)
{
    bool some = false;
    USP_EACH_FIBRE(fibre) {
        struct usp_process *process = usp_process_of(fibre);
        if (!process || !process->join->task || fibre->kill || !process->join->task->fibre->kill)
            continue;
        kill_one(fibre, signum);
        some = true;
    }
    return some;
}

static void kill_light(const uvcsp_handle *handle, int signum)
{
    USP_EACH_FIBRE(fibre) {
        struct usp_process *process = usp_process_of(fibre);
        if (process && process->handle == handle)
            kill_one(fibre, signum);
    }
    while (kill_waited_for(signum))
        ;
    usp_worker_signal_waited_for(signum);
    if (usp_current()->kill)
        usp_end_process(USP_KILLED, NULL);
}

/* This worker is to end; what it has started is, too. */
static void terminate_all(void)
{
    usp_worker_terminate_children();
    USP_EACH_FIBRE(fibre) {
        struct usp_process *process = usp_process_of(fibre);
        if (process)
            kill_one(fibre, SIGTERM);
    }
}

void usp_handles_init(void)
{
    usp_worker_hooks.terminate = terminate_all;
}

static int signal_it(uvcsp_handle *handle, int signum, const char *what)
{
    if (!is_handle(handle, what))
        return -EINVAL;
    if (handle->ended.set)
        return 0;
    if (handle->light)
        kill_light(handle, signum);
    else if (signum == SIGKILL)
        usp_worker_kill(handle->worker);
    else
        usp_worker_signal(handle->worker, signum);
    return 0;
}

int uvcsp_terminate(uvcsp_handle *handle)
{
    USP_ENTER();
    return signal_it(handle, SIGTERM, "uvcsp_terminate");
}

int uvcsp_kill(uvcsp_handle *handle)
{
    USP_ENTER();
    return signal_it(handle, SIGKILL, "uvcsp_kill");
}

void uvcsp_handle_free(uvcsp_handle *handle)
{
    USP_ENTER();
    if (!handle || !is_handle(handle, "uvcsp_handle_free"))
        return;
    if (handle->ended.set) {
        delete_handle(handle);
        return;
    }
    handle->freed = true;
    if (!handle->light)
        usp_worker_of(handle->worker)->handle_of = 0;
    if (!handle->light)
        return;
    if (handle->only) {
        if (handle->only->task)
            handle->only->task->hope.handle_of = 0;
        return;
    }
    USP_EACH_FIBRE(fibre)
        if (fibre->task && fibre->task->hope.handle == &handle->ended)
            fibre->task->hope.handle_of = 0;
}
