/* Time and the outside world. */
#include <uvcsp/time.h>

#include <errno.h>
#include <string.h>

#include "channels/channel.h"
#include "process/process.h"
#include "runtime/report.h"
#include "runtime/sources.h"

enum { INDEX_FIRST, INDEX_TIMER };

double uvcsp_now(void)
{
    return (double)uv_hrtime() * 1e-9;
}

uv_loop_t *uvcsp_loop(void)
{
    USP_ENTER();
    atomic_store(&usp_worker_of(usp_worker_index())->lent, 1);
    return usp_loop();
}

void uvcsp_yield(void)
{
    USP_ENTER();
    if (usp_current() == usp_sched.loop_fibre)
        return;
    usp_yield();
    if (usp_current()->kill)
        usp_end_process(USP_KILLED, NULL);
}

/* Parks until one of the armed sources claims this process; the index. */
static uint32_t wait_for_source(struct usp_task *self, int armed)
{
    if (armed < 0 && usp_task_claim(self, usp_worker_index(), INDEX_TIMER))
        usp_wake(self);
    usp_task_armed(self);
    usp_park();
    usp_sources_disarm(self);
    self->site = NULL;
    uint64_t commit = atomic_load(&self->commit);
    atomic_store(&self->commit, USP_NONE);
    if (self->outcome == USP_KILLED)
        usp_end_process(USP_KILLED, NULL);
    return usp_commit_index(commit);
}

static struct usp_task *begin_wait(const char *what)
{
    struct usp_fibre *fibre = usp_current();
    struct usp_task *self = fibre->task;
    if (!self)
        usp_fatal("%s: a callback of the loop must not wait", what);
    if (fibre->kill)
        usp_end_process(USP_KILLED, NULL);
    usp_wait_has(usp_wait_of(self), 0);
    self->site = what;
    usp_task_arming(self);
    usp_task_open(self);
    return self;
}

void uvcsp_sleep(double seconds)
{
    USP_ENTER();
    if (!usp_timeout_is_good(seconds, "uvcsp_sleep"))
        return;
    if (!(seconds > 0)) {
        uvcsp_yield();
        return;
    }
    struct usp_task *self = begin_wait("uvcsp_sleep");
    int rc = usp_timer_arm(self, INDEX_TIMER, seconds);
    wait_for_source(self, rc);
    if (rc < 0)
        usp_fatal("uvcsp_sleep: %s", strerror(-rc));
}

int uvcsp_wait_fd(int fd, int events, double seconds)
{
    USP_ENTER();
    if (!usp_timeout_is_good(seconds, "uvcsp_wait_fd"))
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    if (!(events & (UV_READABLE | UV_WRITABLE)))
        return -EINVAL;
    int rc = usp_fd_ready(fd, events);
    if (rc != 0)
        return rc < 0 ? rc : UVCSP_OK;
    if (seconds == 0)
        return UVCSP_TIMEOUT;
    struct usp_task *self = begin_wait("uvcsp_wait_fd");
    rc = usp_fd_arm(self, INDEX_FIRST, fd, events);
    if (rc == 0 && seconds > 0)
        rc = usp_timer_arm(self, INDEX_TIMER, seconds);
    uint32_t index = wait_for_source(self, rc);
    if (rc < 0)
        return rc;
    return index == INDEX_FIRST ? UVCSP_OK : UVCSP_TIMEOUT;
}

int uvcsp_blocking(void (*fn)(void *), void *arg)
{
    USP_ENTER();
    if (!fn) {
        usp_report("uvcsp_blocking: the function is NULL");
        return -EINVAL;
    }
    if (!usp_current()->task)
        usp_fatal("uvcsp_blocking: a callback of the loop must not wait");
    if (usp_current()->kill)
        usp_end_process(USP_KILLED, NULL);
    int rc = usp_blocking(fn, arg);
    if (usp_current()->kill) /* while the call was under way */
        usp_end_process(USP_KILLED, NULL);
    return rc;
}

void uvcsp_called_at(const char *name, const char *site)
{
    if (!usp_here)
        return;
    usp_current()->called = name;
    usp_current()->called_at = site;
}

const char *uvcsp_status_name(int status)
{
    switch (status) {
    case UVCSP_OK:
        return "UVCSP_OK";
    case UVCSP_RETIRED:
        return "UVCSP_RETIRED";
    case UVCSP_POISONED:
        return "UVCSP_POISONED";
    case UVCSP_TIMEOUT:
        return "UVCSP_TIMEOUT";
    case UVCSP_WOULD_BLOCK:
        return "UVCSP_WOULD_BLOCK";
    case UVCSP_OWNER_DIED:
        return "UVCSP_OWNER_DIED";
    case UVCSP_BROKEN:
        return "UVCSP_BROKEN";
    case UVCSP_TASK_FAILED:
        return "UVCSP_TASK_FAILED";
    case UVCSP_TASK_DIED:
        return "UVCSP_TASK_DIED";
    case UVCSP_TASK_CANCELLED:
        return "UVCSP_TASK_CANCELLED";
    default:
        return status < 0 ? strerror(-status) : "unknown status";
    }
}
