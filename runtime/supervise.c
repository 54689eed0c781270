/* Supervision: who sees that a worker has ended. burial.c puts right what it has left. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "runtime/burial.h"
#include "runtime/link.h"
#include "runtime/patrol.h"
#include "runtime/report.h"
#include "runtime/valgrind.h"
#include "runtime/watch.h"
#include "runtime/worker.h"
#include "runtime/young.h"

struct child {
    struct child *next;
    unsigned index;
    pid_t pid;
    int fd; /* its pidfd; -1 until it is watched */
    usp_ended_fn *ended;
    void *arg;
};

#define DOZE_MS 200
#define DIES_MS 50 /* a process that is killed is gone within one, unless it has much memory to give back */
#define MOST_DOZING 64

/* The pidfds lie in an epoll, and libuv watches that: a uv_poll_t for each costs nine system calls. */
static bool watches USP_YOUNG;
static int pidfds USP_YOUNG;
static uv_poll_t any_pidfd;

static struct child *children USP_YOUNG;
static struct child few[8] USP_YOUNG; /* whose index is not 0 are in use */
static unsigned n_children USP_YOUNG, n_unwatched USP_YOUNG;
static bool looking USP_YOUNG;

unsigned usp_worker_children(void)
{
    return n_children;
}

/* ---- the end of a child ---- */

/* `code`: what it exited with, or -signal. */
void usp_describe_end(const struct usp_worker *worker, int code, char *text, size_t size)
{
    if (code == 127 && worker->start_error == USP_PARENT_ENDED)
        snprintf(text, size, "worker of '%s' (pid %d) was not started: its parent has ended", worker->name,
                 (int)worker->pid);
    else if (code == 127 && worker->start_error)
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

void usp_uncount(struct usp_worker *worker)
{
    if (atomic_exchange(&worker->counted, 0))
        atomic_fetch_sub(&usp_shared->n_running, 1);
    usp_sched_count_run();
}

void usp_end_badly(unsigned index, int code, const char *how, usp_ended_fn *ended, void *arg)
{
    usp_uncount(usp_worker_of(index));
    if (how)
        usp_report("%s", how);
    usp_bury(index, how);
    if (ended)
        ended(arg, code, how);
}

void usp_reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* A child that cannot be watched must not be. */
static void give_up(unsigned index, pid_t pid, int error, usp_ended_fn *ended, void *arg)
{
    kill(pid, SIGKILL);
    usp_reap(pid);
    struct usp_worker *worker = usp_worker_of(index);
    char how[200];
    snprintf(how, sizeof how,
             "worker of '%s' (pid %d) could not be watched: %s; it was killed by signal %d",
             worker->name, (int)worker->pid, strerror(-error), SIGKILL);
    usp_end_badly(index, -SIGKILL, how, ended, arg);
}

static struct child *new_child(void)
{
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++)
        if (few[i].index == 0)
            return &few[i];
    return calloc(1, sizeof(struct child));
}

static void free_child(struct child *child)
{
    if (child >= few && child < few + sizeof few / sizeof few[0])
        child->index = 0;
    else
        free(child);
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
    if (watches && child->fd >= 0)
        epoll_ctl(pidfds, EPOLL_CTL_DEL, child->fd, NULL); /* a new worker may have a copy still */
    if (child->fd >= 0)
        close(child->fd);
    unlink_child(child);
    struct usp_worker *worker = usp_worker_of(child->index);
    int code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    if (code == 0 && atomic_load(&worker->state) == USP_WORKER_ENDED) {
        usp_uncount(worker);
        usp_link_ended(child->index);
        usp_worker_release(child->index);
        if (child->ended)
            child->ended(child->arg, 0, NULL);
    } else if (code == 0) { /* by exit(0), or a program that it has become has ended well: no blame */
        usp_end_badly(child->index, 0, NULL, child->ended, child->arg);
    } else {
        char how[200];
        usp_describe_end(worker, code, how, sizeof how);
        usp_end_badly(child->index, code, how, child->ended, child->arg);
    }
    if (!child->ended && usp_worker_hooks.orphan_ended)
        usp_worker_hooks.orphan_ended();
    free_child(child);
}

static void look_at_each(void)
{
    for (struct child *child = children, *next; child; child = next) {
        struct pollfd p = {.fd = child->fd, .events = POLLIN};
        next = child->next;
        if (poll(&p, 1, 0) > 0 && usp_watch_confirms(child->fd, child->pid))
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
        if (child && usp_watch_confirms(child->fd, child->pid))
            child_ended(child);
    }
    if (n < 0)
        look_at_each();
}

/* With a loop. */
static int watch(const struct child *child)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)child->pid};
    return epoll_ctl(pidfds, EPOLL_CTL_ADD, child->fd, &event) < 0 ? -errno : 0;
}

static int watch_all(void)
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
    for (const struct child *child = children; child && rc == 0; child = child->next)
        rc = child->fd < 0 ? 0 : watch(child);
    return rc;
}

int usp_supervise_start(void)
{
    if (!usp_sched.loop)
        return 0;
    int rc = watch_all();
    return rc < 0 ? rc : usp_patrol_start();
}

int usp_supervise_watch(void)
{
    return watches ? pidfds : -1;
}

/* A parent that has no loop, and only waits for its children, needs none: it is woken by their ends, and by whoever
   connects. Whatever else a loop does can wait for a moment; then there is one. */
bool usp_supervise_doze(void)
{
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    struct pollfd fds[MOST_DOZING + 1] = {{.fd = usp_link_socket(), .events = POLLIN}};
    nfds_t n = 1;
    if (n_children == 0 || n_children > MOST_DOZING)
        return false;
    for (const struct child *child = children; child; child = child->next)
        fds[n++] = (struct pollfd){.fd = child->fd, .events = POLLIN};
    atomic_store_explicit(&self->sleeping, USP_IN_THE_LOOP, memory_order_seq_cst);
    usp_sleep_dozed();
    int found = 1;
    if (!atomic_load_explicit(&self->mailbox, memory_order_seq_cst) && !usp_supervise_pending()) {
        usp_processor_leave();
        found = poll(fds, n, DOZE_MS);
        usp_processor_back();
    }
    atomic_store_explicit(&self->sleeping, 0, memory_order_relaxed);
    if (found <= 0)
        return found < 0; /* interrupted */
    for (nfds_t i = 1; i < n; i++) {
        struct child *child = fds[i].revents ? children : NULL;
        while (child && child->fd != fds[i].fd)
            child = child->next;
        if (child && usp_watch_confirms(child->fd, child->pid))
            child_ended(child);
    }
    return !fds[0].revents;
}

void usp_supervise_add(unsigned index, pid_t pid, usp_ended_fn *ended, void *arg)
{
    struct child *child = new_child();
    if (!child)
        return give_up(index, pid, -ENOMEM, ended, arg);
    *child = (struct child){children, index, pid, -1, ended, arg};
    children = child;
    n_children++;
    n_unwatched++;
    if (!atomic_exchange(&usp_worker_of(index)->counted, 1))
        atomic_fetch_add(&usp_shared->n_running, 1);
}

unsigned usp_supervise_unwatched(void)
{
    return n_unwatched;
}

static int begin_to_watch(struct child *child)
{
    n_unwatched--;
    child->fd = usp_watch_open(child->pid);
    if (child->fd < 0)
        return child->fd;
    if (usp_sched.loop && !watches)
        return watch_all(); /* it is one of them */
    return watches ? watch(child) : 0;
}

static void lose(struct child *child, int error)
{
    if (child->fd >= 0)
        close(child->fd);
    unlink_child(child);
    give_up(child->index, child->pid, error, child->ended, child->arg);
    free_child(child);
}

void usp_supervise_watch_new(void)
{
    for (struct child *child = children, *next; child && n_unwatched > 0; child = next) {
        next = child->next;
        int rc = child->fd < 0 ? begin_to_watch(child) : 0;
        if (rc == -ESRCH) /* the program ignores SIGCHLD, and it has ended already */
            child_ended(child);
        else if (rc < 0)
            lose(child, rc);
    }
}

void usp_worker_signal(unsigned index, int signum)
{
    for (struct child *child = children; child; child = child->next)
        if (child->index == index)
            kill(child->pid, signum);
}

static void bury_child(void *child)
{
    child_ended(child);
}

void usp_worker_kill(unsigned index)
{
    struct child *child = children;
    while (child && child->index != index)
        child = child->next;
    if (!child)
        return;
    kill(child->pid, SIGKILL);
    struct pollfd p = {.fd = child->fd, .events = POLLIN};
    if (poll(&p, 1, DIES_MS) > 0 && usp_watch_confirms(child->fd, child->pid))
        usp_on_loop_stack(bury_child, child);
}

void usp_worker_signal_waited_for(int signum)
{
    for (struct child *child = children; child; child = child->next) {
        const struct usp_task *waiter = usp_worker_of(child->index)->waiter;
        if (waiter && waiter->fibre->kill)
            kill(child->pid, signum);
    }
}

void usp_worker_terminate_children(void)
{
    for (struct child *child = children; child; child = child->next)
        kill(child->pid, SIGTERM);
}

/* `deadline`: in nanoseconds of uv_hrtime(). */
static bool ends_before(uint64_t deadline, const struct child *child)
{
    struct pollfd p = {.fd = child->fd, .events = POLLIN};
    for (;;) {
        uint64_t now = uv_hrtime();
        int n = poll(&p, 1, now < deadline ? (int)((deadline - now) / 1000000) : 0);
        if (n > 0 && usp_watch_confirms(child->fd, child->pid))
            return true;
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
    }
}

void usp_worker_end_children(void)
{
    usp_worker_terminate_children();
    uint64_t deadline = uv_hrtime() + 2000000000u;
    for (struct child *child = children; child; child = child->next) {
        if (child->fd < 0) /* a handler of the program's calls exit() in the middle of a PAR */
            child->fd = usp_watch_open(child->pid);
        if (child->fd != -ESRCH && (child->fd < 0 || !ends_before(deadline, child)))
            kill(child->pid, SIGKILL);
        usp_reap(child->pid);
    }
    usp_supervise_hand_over();
}

static bool is_over(void)
{
    return atomic_load_explicit(&usp_shared->over, memory_order_relaxed) == USP_TO_END;
}

bool usp_supervise_pending(void)
{
    return usp_burial_pending() ||
           (usp_worker_is_root() && (usp_orphans_pending() || is_over()));
}

void usp_supervise_look(void)
{
    if (looking)
        return;
    looking = true;
    usp_burial_look();
    if (usp_worker_is_root() && usp_orphans_pending())
        usp_orphans_look();
    looking = false;
    if (usp_worker_is_root() && is_over() && usp_current() == usp_sched.loop_fibre)
        usp_worker_hooks.over();
}

/* The pidfds of brothers and sisters: one beside the other, as a rule, for they were opened in a row; those of a PAR upwards in
   this list, those of one SPAWN after the other downwards. */
static void close_inherited(void)
{
    int least = 0, most = -1;
    for (const struct child *child = children; child; child = child->next) {
        if (child->fd < 0)
            continue; /* it is being started, as this one is */
        if (most >= 0 && child->fd == least - 1) {
            least--;
        } else if (most >= 0 && child->fd == most + 1) {
            most++;
        } else {
            if (most >= 0)
                close_range((unsigned)least, (unsigned)most, 0);
            least = most = child->fd;
        }
    }
    if (most >= 0)
        close_range((unsigned)least, (unsigned)most, 0);
}

void usp_supervise_forget(void)
{
    close_inherited();
    watches = false; /* its descriptor is kept: usp_loop_forked() */
    if (children && usp_under_valgrind()) /* which would count them as lost */
        for (struct child *next; children; children = next) {
            next = children->next;
            free_child(children);
        }
    children = NULL;
    n_children = n_unwatched = 0;
    for (size_t i = 0; i < sizeof few / sizeof few[0]; i++)
        few[i].index = 0;
    usp_burial_forget();
    usp_patrol_forget();
    looking = false;
}

void usp_supervise_deinit(void)
{
    usp_burial_deinit();
    usp_patrol_forget(); /* its timer is closed with the loop */
    usp_orphans_deinit();
    if (watches) {
        uv_close((uv_handle_t *)&any_pidfd, NULL);
        close(pidfds);
    }
    watches = false;
}
