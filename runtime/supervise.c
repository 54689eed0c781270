/* Supervision: who sees that a worker has ended. burial.c puts right what it has left. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/burial.h"
#include "runtime/link.h"
#include "runtime/report.h"
#include "runtime/worker.h"

struct child {
    struct child *next;
    unsigned index;
    pid_t pid;
    int fd;
    usp_ended_fn *ended;
    void *arg;
};

#define AROUND_MS 300 /* between two looks around */
#define AT_A_TIME 16  /* records in one of them */
static uv_timer_t around;
static bool looks_around;

/* The pidfds lie in an epoll, and libuv watches that: a uv_poll_t for each costs nine system calls. */
static bool watches;
static int pidfds;
static uv_poll_t any_pidfd;

static struct child *children;
static unsigned n_children;
static uint32_t orphans_seen;
static bool looking;

unsigned usp_worker_children(void)
{
    return n_children;
}

/* ---- the end of a child ---- */

/* `code`: what it exited with, or -signal. */
static void describe(const struct usp_worker *worker, int code, char *text, size_t size)
{
    if (code == 127 && worker->start_error)
        snprintf(text, size, "worker of '%s' (pid %d) could not start: %s", worker->name,
                 (int)worker->pid, strerror(worker->start_error));
    else if (code >= 0)
        snprintf(text, size, "worker of '%s' (pid %d) exited with code %d", worker->name,
                 (int)worker->pid, code);
    else
        snprintf(text, size, "worker of '%s' (pid %d) was killed by signal %d (%s)", worker->name,
                 (int)worker->pid, -code, strsignal(-code));
}

static void unlink_child(struct child *child)
{
    struct child **at = &children;
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    n_children--;
}

static void uncount(struct usp_worker *worker)
{
    if (atomic_exchange(&worker->counted, 0))
        atomic_fetch_sub(&usp_shared->n_running, 1);
    usp_sched_count_run();
}

static void end_badly(unsigned index, int code, const char *how, usp_ended_fn *ended, void *arg)
{
    uncount(usp_worker_of(index));
    if (how)
        usp_report("%s", how);
    usp_bury(index, how);
    if (ended)
        ended(arg, code, how);
}

void usp_supervise_lost(unsigned index, const char *why, usp_ended_fn *ended, void *arg)
{
    struct usp_worker *worker = usp_worker_of(index);
    char how[200];
    snprintf(how, sizeof how,
             "worker of '%s' (pid %d) could not be watched: %s; it was killed by signal %d",
             worker->name, (int)worker->pid, why, SIGKILL);
    end_badly(index, -SIGKILL, how, ended, arg);
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
    epoll_ctl(pidfds, EPOLL_CTL_DEL, child->fd, NULL); /* a new worker may have a copy still */
    close(child->fd);
    unlink_child(child);
    struct usp_worker *worker = usp_worker_of(child->index);
    int code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    if (code == 0 && atomic_load(&worker->state) == USP_WORKER_ENDED) {
        uncount(worker);
        usp_link_ended(child->index);
        usp_worker_release(child->index);
        if (child->ended)
            child->ended(child->arg, 0, NULL);
    } else if (code == 0 && atomic_load(&worker->gentle)) {
        end_badly(child->index, 0, NULL, child->ended, child->arg);
    } else {
        char how[200];
        describe(worker, code, how, sizeof how);
        end_badly(child->index, code, how, child->ended, child->arg);
    }
    if (!child->ended && usp_worker_hooks.orphan_ended)
        usp_worker_hooks.orphan_ended();
    free(child);
}

static void look_at_each(void)
{
    for (struct child *child = children, *next; child; child = next) {
        struct pollfd p = {.fd = child->fd, .events = POLLIN};
        next = child->next;
        if (poll(&p, 1, 0) > 0)
            child_ended(child);
    }
}

static void on_pidfd(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
    struct epoll_event ended[16];
    int n = epoll_wait(pidfds, ended, sizeof ended / sizeof *ended, 0);
    for (int i = 0; i < n; i++) {
        struct child *child = children;
        while (child && child->pid != (pid_t)ended[i].data.u64)
            child = child->next;
        if (child)
            child_ended(child);
    }
    if (n < 0)
        look_at_each();
}

static int watch_pidfds(void)
{
    if (watches)
        return 0;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = uv_poll_init(usp_loop(), &any_pidfd, fd);
    if (rc == 0)
        rc = uv_poll_start(&any_pidfd, UV_READABLE, on_pidfd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    uv_unref((uv_handle_t *)&any_pidfd);
    pidfds = fd;
    watches = true;
    return 0;
}

int usp_supervise_add(unsigned index, pid_t pid, int fd, usp_ended_fn *ended, void *arg)
{
    struct child *child = calloc(1, sizeof *child);
    int rc = child ? watch_pidfds() : -ENOMEM;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)pid};
    if (rc == 0 && epoll_ctl(pidfds, EPOLL_CTL_ADD, fd, &event) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        free(child);
        return rc;
    }
    child->index = index;
    child->pid = pid;
    child->fd = fd;
    child->ended = ended;
    child->arg = arg;
    child->next = children;
    children = child;
    n_children++;
    return 0;
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
        int n;
        do {
            uint64_t now = uv_hrtime();
            n = poll(&p, 1, now < deadline ? (int)((deadline - now) / 1000000) : 0);
        } while (n < 0 && errno == EINTR);
        if (n <= 0)
            kill(child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    usp_supervise_hand_over();
}

/* Has the process of a record that is RUNNING ended? Then it has crashed, for a worker that ends
   says so first. Asks the kernel, not the record: the parent may not have seen it yet. */
static bool has_crashed(struct usp_worker *worker)
{
    uint32_t generation = worker->generation;
    pid_t pid = worker->pid;
    if (atomic_load(&worker->state) == USP_WORKER_DEAD ||
        atomic_load(&worker->state) == USP_WORKER_BURIED)
        return true;
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ended = fd < 0 ? pid > 0 && errno == ESRCH : poll(&p, 1, 0) > 0;
    if (fd >= 0)
        close(fd);
    /* If it is RUNNING still, the record is still that of the process asked for: it cannot be
       used again before this worker has answered. */
    return ended && worker->generation == generation && worker->pid == pid &&
           atomic_load(&worker->state) == USP_WORKER_RUNNING;
}

bool usp_supervise_has_ended(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    return atomic_load(&worker->state) != USP_WORKER_RUNNING || has_crashed(worker);
}

/* How a process has ended that is another's child. False: it has been reaped. */
static bool code_of_zombie(pid_t pid, int *codep)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *last = strrchr(text, ' '); /* as wait() would give it */
    int status = last ? atoi(last) : 0;
    *codep = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

/* A parent that computes sees no death. So whoever has nothing to do looks now and then whether
   some worker is dead and nobody has looked after it since the last time. The parent reaps it and
   tells when it comes to it. */
static void look_around(uv_timer_t *timer)
{
    static uint32_t *suspected; /* generations */
    static unsigned next;
    (void)timer;
    uint32_t n = atomic_load(&usp_shared->n_records);
    if (!suspected)
        suspected = calloc(USP_MAX_WORKERS, sizeof *suspected);
    for (unsigned i = 0; suspected && i < AT_A_TIME && i < n; i++) {
        unsigned index = next++ % n;
        struct usp_worker *worker = usp_worker_of(index);
        uint32_t state = atomic_load(&worker->state);
        if (index == 0 || index == usp_worker_index() || state == USP_WORKER_BURIED ||
            atomic_load(&worker->parent) == usp_worker_index() || !has_crashed(worker))
            continue;
        if (suspected[index] != worker->generation) {
            suspected[index] = worker->generation;
            continue;
        }
        char how[200];
        int code;
        if (!code_of_zombie(worker->pid, &code))
            continue; /* the parent is about it */
        describe(worker, code, how, sizeof how);
        usp_put_right(index, code == 0 && atomic_load(&worker->gentle) ? NULL : how);
    }
}

int usp_supervise_start(void)
{
    uv_loop_t *loop = usp_loop(); /* first: where it is made, this is called */
    if (looks_around)
        return 0;
    int rc = uv_timer_init(loop, &around);
    if (rc == 0)
        rc = uv_timer_start(&around, look_around, AROUND_MS, AROUND_MS);
    if (rc < 0)
        return rc;
    uv_unref((uv_handle_t *)&around);
    looks_around = true;
    return 0;
}

/* Only what frees the locks: the caller may hold others, and the rest of a burial needs them. */
bool usp_supervise_stuck(unsigned holder)
{
    if (holder >= USP_MAX_WORKERS || holder == usp_worker_index())
        return false;
    struct usp_worker *worker = usp_worker_of(holder);
    if (!has_crashed(worker))
        return false;
    uint32_t running = USP_WORKER_RUNNING;
    atomic_compare_exchange_strong(&worker->state, &running, USP_WORKER_DEAD);
    usp_arena_recover(holder);
    if (usp_worker_hooks.seize)
        usp_worker_hooks.seize(holder);
    return true;
}

/* A worker whose parent has ended. */
static void take_over(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    uint64_t birth = (uint64_t)worker->generation << 32;
    char how[200];
    if (atomic_compare_exchange_strong(&worker->birth, &birth, birth | USP_UNBORN)) {
        snprintf(how, sizeof how, "no worker was started for process '%s': its parent has ended",
                 worker->name);
        end_badly(index, 0, how, NULL, NULL);
        return;
    }
    pid_t pid = (pid_t)(uint32_t)birth;
    siginfo_t info;
    if ((uint32_t)birth != USP_UNBORN &&
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        int rc = fd < 0 ? -errno : usp_supervise_add(index, pid, fd, NULL, NULL);
        if (rc == 0) {
            if (!atomic_exchange(&worker->counted, 1))
                atomic_fetch_add(&usp_shared->n_running, 1);
            return;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        usp_supervise_lost(index, strerror(-rc), NULL, NULL);
        return;
    }
    /* its parent has reaped it and then ended */
    uint32_t state = atomic_load(&worker->state);
    if (state == USP_WORKER_ENDED) {
        uncount(worker);
        usp_worker_release(index);
        return;
    }
    snprintf(how, sizeof how, "worker of '%s' (pid %d) has ended with its parent", worker->name,
             (int)pid);
    if (state == USP_WORKER_RUNNING)
        usp_report("%s", how);
    uncount(worker);
    usp_bury(index, how);
}

static void reap_strays(void)
{
    for (size_t i = 0; i < sizeof usp_shared->strays / sizeof usp_shared->strays[0]; i++) {
        pid_t pid = atomic_exchange(&usp_shared->strays[i], 0);
        if (pid > 0)
            waitpid(pid, NULL, 0); /* it is about to end */
    }
}

static void take_over_orphans(void)
{
    orphans_seen = atomic_load(&usp_shared->orphans);
    reap_strays();
    uint32_t n = atomic_load(&usp_shared->n_records);
    for (unsigned i = 1; i < n; i++)
        if (atomic_exchange(&usp_worker_of(i)->orphan, 0))
            take_over(i);
}

bool usp_supervise_pending(void)
{
    return usp_burial_pending() ||
           (usp_worker_is_root() && atomic_load(&usp_shared->orphans) != orphans_seen);
}

void usp_supervise_look(void)
{
    if (looking)
        return;
    looking = true;
    usp_burial_look();
    if (usp_worker_is_root() && atomic_load(&usp_shared->orphans) != orphans_seen)
        take_over_orphans();
    looking = false;
}

void usp_supervise_forget(void)
{
    for (struct child *child = children; child; child = child->next)
        close(child->fd);
    if (watches)
        close(pidfds);
    watches = false;
    children = NULL;
    n_children = 0;
    usp_burial_forget();
    looking = false;
    looks_around = false;
}

void usp_supervise_deinit(void)
{
    usp_burial_deinit();
    orphans_seen = 0;
    looks_around = false; /* its timer is closed with the loop */
    if (watches) {
        uv_close((uv_handle_t *)&any_pidfd, NULL);
        close(pidfds);
    }
    watches = false;
}
