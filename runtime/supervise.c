/* Supervision: who sees that a worker has ended, and what has to be put right then. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/worker.h"

struct child {
    uv_poll_t poll;
    struct child *next;
    unsigned index;
    pid_t pid;
    int fd;
    bool gone;
    usp_ended_fn *ended;
    void *arg;
};

/* A dead worker whose blocks wait until every survivor has looked. */
struct grave {
    struct grave *next;
    unsigned index;
    uint32_t death; /* count of deaths that the survivors must have seen */
};

static struct child *children;
static unsigned n_children;
static struct grave *graves;
static uint32_t orphans_seen;
static bool looking;

unsigned usp_worker_children(void)
{
    return n_children;
}

/* ---- the end of a child ---- */

static void describe(const struct usp_worker *worker, const siginfo_t *info, char *text, size_t size)
{
    if (info->si_code == CLD_EXITED && info->si_status == 127 && worker->start_error)
        snprintf(text, size, "worker of '%s' (pid %d) could not start: %s", worker->name,
                 (int)worker->pid, strerror(worker->start_error));
    else if (info->si_code == CLD_EXITED)
        snprintf(text, size, "worker of '%s' (pid %d) exited with code %d", worker->name,
                 (int)worker->pid, info->si_status);
    else
        snprintf(text, size, "worker of '%s' (pid %d) was killed by signal %d (%s)", worker->name,
                 (int)worker->pid, info->si_status, strsignal(info->si_status));
}

/* The children of a dead worker are the root's now. */
static void orphan_children_of(unsigned index)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    bool any = false;
    for (unsigned i = 1; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        if (atomic_load(&worker->parent) == index &&
            atomic_load(&worker->state) == USP_WORKER_RUNNING) {
            atomic_store(&worker->parent, 0);
            atomic_store(&worker->orphan, 1);
            any = true;
        }
    }
    if (any) {
        atomic_fetch_add(&usp_shared->orphans, 1);
        if (!usp_worker_is_root())
            usp_link_bell(0);
    }
}

static void ring_everybody(void)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++)
        if (i != usp_worker_index() &&
            atomic_load(&usp_worker_of(i)->state) == USP_WORKER_RUNNING)
            usp_link_bell(i); /* in any case: the dead one may have taken `sleeping` down and not rung */
}

static void bury(unsigned index, const char *how)
{
    struct usp_worker *worker = usp_worker_of(index);
    atomic_store(&worker->state, USP_WORKER_DEAD);
    usp_arena_recover(index);
    if (usp_worker_hooks.died)
        usp_worker_hooks.died(index, how);
    orphan_children_of(index);
    uint32_t death = atomic_fetch_add(&usp_shared->deaths, 1) + 1;
    ring_everybody();
    struct grave *grave = malloc(sizeof *grave);
    if (!grave)
        return; /* the record and its blocks stay unused */
    *grave = (struct grave){graves, index, death};
    graves = grave;
}

static void child_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    close(child->fd);
    free(child);
}

static void unlink_child(struct child *child)
{
    struct child **at = &children;
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    n_children--;
}

/* Reaps a child that has ended, puts right what it left, and tells who started it. */
static void child_ended(struct child *child)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED) < 0)
        if (errno != EINTR) { /* ECHILD: the program ignores SIGCHLD; only the record tells */
            info.si_code = CLD_EXITED;
            info.si_status = atomic_load(&usp_worker_of(child->index)->state) != USP_WORKER_ENDED;
            break;
        }
    child->gone = true;
    unlink_child(child);
    atomic_fetch_sub(&usp_shared->n_running, 1);
    struct usp_worker *worker = usp_worker_of(child->index);
    int code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    if (code == 0 && atomic_load(&worker->state) == USP_WORKER_ENDED) {
        usp_link_ended(child->index);
        usp_worker_release(child->index);
        if (child->ended)
            child->ended(child->arg, 0, NULL);
    } else {
        char how[200];
        describe(worker, &info, how, sizeof how);
        usp_report("%s", how);
        bury(child->index, how);
        if (child->ended)
            child->ended(child->arg, code, how);
    }
    uv_poll_stop(&child->poll);
    uv_close((uv_handle_t *)&child->poll, child_closed);
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct child *child = poll->data;
    if (!child->gone)
        child_ended(child);
}

int usp_supervise_add(unsigned index, pid_t pid, int fd, usp_ended_fn *ended, void *arg)
{
    struct child *child = calloc(1, sizeof *child);
    int rc = child ? uv_poll_init(usp_loop(), &child->poll, fd) : -ENOMEM;
    if (rc < 0) {
        close(fd);
        free(child);
        return rc;
    }
    child->poll.data = child;
    child->index = index;
    child->pid = pid;
    child->fd = fd;
    child->ended = ended;
    child->arg = arg;
    child->next = children;
    children = child;
    n_children++;
    return uv_poll_start(&child->poll, UV_READABLE, on_pidfd);
}

void usp_worker_signal(unsigned index, int signum)
{
    for (struct child *child = children; child; child = child->next)
        if (child->index == index)
            kill(child->pid, signum);
}

void usp_worker_end_children(void)
{
    for (struct child *child = children; child; child = child->next)
        kill(child->pid, SIGTERM);
    uint64_t deadline = uv_hrtime() + 2000000000u;
    for (struct child *child = children; child; child = child->next) {
        struct pollfd p = {.fd = child->fd, .events = POLLIN};
        uint64_t now = uv_hrtime();
        if (poll(&p, 1, now < deadline ? (int)((deadline - now) / 1000000) : 0) <= 0)
            kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
}

/* Only what frees the locks: the caller may hold others, and the rest of a burial needs them. */
bool usp_supervise_stuck(unsigned holder)
{
    (void)holder;
    bool any = false;
    for (struct child *child = children; child; child = child->next) {
        struct pollfd p = {.fd = child->fd, .events = POLLIN};
        struct usp_worker *worker = usp_worker_of(child->index);
        if (child->gone || poll(&p, 1, 0) <= 0 ||
            atomic_load(&worker->state) == USP_WORKER_ENDED)
            continue;
        atomic_store(&worker->state, USP_WORKER_DEAD);
        usp_arena_recover(child->index);
        if (usp_worker_hooks.seize)
            usp_worker_hooks.seize(child->index);
        any = true;
    }
    return any;
}

/* ---- what a survivor does ---- */

static void look_after_own_tasks(void)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++)
        if (atomic_load(&usp_worker_of(i)->state) == USP_WORKER_DEAD)
            usp_link_drain(i);
    /* what the dead ones had sent or put into the mailbox has arrived; claims still open are lost */
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    if (atomic_load(&self->mailbox))
        usp_sched_hooks.drain();
    for (struct usp_fibre *fibre = usp_sched.all; fibre; fibre = fibre->all_next) {
        struct usp_task *task = fibre->task;
        if (!task || task->woken || task->flags & USP_TASK_STREAMING)
            continue;
        uint64_t commit = atomic_load(&task->commit);
        if (usp_commit_state(commit) == USP_CLAIMED &&
            atomic_load(&usp_worker_of(usp_commit_worker(commit))->state) == USP_WORKER_DEAD) {
            if (commit & USP_DONE)
                usp_wake(task);
            else
                usp_worker_hooks.retry(task);
        }
    }
}

static bool everybody_has_seen(uint32_t death)
{
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 0; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        if (atomic_load(&worker->state) == USP_WORKER_RUNNING &&
            (int32_t)(atomic_load(&worker->deaths_seen) - death) < 0)
            return false;
    }
    return true;
}

static void clear_graves(void)
{
    for (struct grave **at = &graves; *at;) {
        struct grave *grave = *at;
        if (everybody_has_seen(grave->death)) {
            usp_arena_reclaim(grave->index);
            usp_worker_release(grave->index);
            *at = grave->next;
            free(grave);
        } else {
            at = &grave->next;
        }
    }
}

static void take_over_orphans(void)
{
    orphans_seen = atomic_load(&usp_shared->orphans);
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++) {
        struct usp_worker *worker = usp_worker_of(i);
        if (!atomic_exchange(&worker->orphan, 0))
            continue;
        int fd = (int)syscall(SYS_pidfd_open, worker->pid, 0);
        if (fd < 0 || usp_supervise_add(i, worker->pid, fd, NULL, NULL) < 0)
            usp_report("cannot watch the orphaned worker of '%s' (pid %d)", worker->name,
                       (int)worker->pid);
    }
}

bool usp_supervise_pending(void)
{
    return atomic_load_explicit(&usp_shared->deaths, memory_order_seq_cst) !=
               atomic_load_explicit(&usp_worker_of(usp_worker_index())->deaths_seen,
                                    memory_order_relaxed) ||
           (graves && everybody_has_seen(graves->death)) ||
           (usp_worker_is_root() && atomic_load(&usp_shared->orphans) != orphans_seen);
}

/* Tells the supervisors of the dead, who may be asleep by now, that one survivor more has looked. */
static void answer(struct usp_worker *self, uint32_t deaths)
{
    atomic_store(&self->deaths_seen, deaths);
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++) {
        unsigned supervisor = atomic_load(&usp_worker_of(i)->parent);
        if (atomic_load(&usp_worker_of(i)->state) == USP_WORKER_DEAD &&
            supervisor != usp_worker_index() &&
            atomic_exchange(&usp_worker_of(supervisor)->sleeping, 0))
            usp_link_bell(supervisor);
    }
}

void usp_supervise_look(void)
{
    if (looking)
        return;
    looking = true;
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    uint32_t deaths = atomic_load(&usp_shared->deaths);
    if (deaths != atomic_load(&self->deaths_seen)) {
        look_after_own_tasks();
        answer(self, deaths);
    }
    if (graves)
        clear_graves();
    if (usp_worker_is_root() && atomic_load(&usp_shared->orphans) != orphans_seen)
        take_over_orphans();
    looking = false;
}

void usp_supervise_forget(void)
{
    for (struct child *child = children; child; child = child->next)
        close(child->fd);
    children = NULL;
    n_children = 0;
    graves = NULL;
    looking = false;
}

void usp_supervise_deinit(void)
{
    while (graves) {
        struct grave *grave = graves;
        graves = grave->next;
        free(grave);
    }
    orphans_seen = 0;
}
