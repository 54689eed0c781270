/* By which descriptor the end of a process is seen: a pidfd. Where there is none (valgrind, some sandboxes), a clock that
   ticks takes its place, and at each tick the process is looked at. */
#include "runtime/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_NS 5000000

static bool ticks; /* there are no pidfds */

static int new_clock(void)
{
    struct itimerspec when = {{0, TICK_NS}, {0, TICK_NS}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd >= 0)
        timerfd_settime(fd, 0, &when, NULL);
    return fd < 0 ? -errno : fd;
}

int usp_watch_open(pid_t pid)
{
    if (!ticks) {
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0)
            return fd;
        if (errno != ENOSYS && errno != EPERM)
            return -errno;
        ticks = true;
    }
    return new_clock();
}

int usp_zombie_status(pid_t pid)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    const char *name = strrchr(text, ')'), *last = strrchr(text, ' ');
    bool dead = name && name[1] == ' ' && (name[2] == 'Z' || name[2] == 'X');
    return dead && last ? atoi(last) : -1; /* as wait() would give it */
}

/* A process that does not exist has ended, and so has one that waits to be reaped. */
static bool is_gone(pid_t pid)
{
    return (kill(pid, 0) < 0 && errno == ESRCH) || usp_zombie_status(pid) >= 0;
}

bool usp_watch_confirms(int fd, pid_t pid)
{
    uint64_t n;
    siginfo_t info = {0};
    if (!ticks)
        return true;
    (void)!read(fd, &n, sizeof n); /* of a pidfd, from before they were refused, this fails */
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno == ECHILD : info.si_pid == pid;
}

bool usp_process_has_ended(pid_t pid)
{
    if (ticks)
        return is_gone(pid);
    int fd = usp_watch_open(pid);
    if (fd < 0)
        return fd == -ESRCH;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ended = ticks ? is_gone(pid) : poll(&p, 1, 0) > 0;
    close(fd);
    return ended;
}
