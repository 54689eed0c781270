/* Signals. A signal that was once asked for stays watched: its default effect is off, and every
   delivery goes to one who waits or, if there is none, is counted until somebody takes it. */
#include "runtime/source.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/fork.h"
#include "runtime/scheduler.h"
#include "runtime/worker.h"

struct watcher {
    uv_signal_t handle;
    int signum;
    bool ignored; /* it was before it was watched */
    uint64_t untaken;
    struct usp_source *waiting;
};

static struct watcher *watchers[NSIG];
static struct watcher *left[NSIG]; /* of the parent, to be used again */

static void delivered(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct watcher *watcher = handle->data;
    for (struct usp_source *source = watcher->waiting; source; source = source->next)
        if (usp_source_fire(source))
            return;
    watcher->untaken++;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Refused are, besides what nobody can catch, the faults (libuv's handler would return to the
   faulting instruction for ever, and they tell of stack overflows) and the two by which workers
   reach each other. */
static bool watchable(int signum)
{
    switch (signum) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
        return false;
    default:
        return signum > 0 && signum < NSIG && signum != USP_SIGNAL_BELL &&
               signum != USP_SIGNAL_ORPHAN;
    }
}

static bool is_set_to(int signum, void (*handler)(int))
{
    struct sigaction now;
    return sigaction(signum, NULL, &now) == 0 && now.sa_handler == handler;
}

int usp_signal_watch(int signum)
{
    if (!watchable(signum))
        return -EINVAL;
    if (watchers[signum])
        return 0;
    struct watcher *watcher = left[signum] ? left[signum] : malloc(sizeof *watcher);
    if (!watcher)
        return -ENOMEM;
    left[signum] = NULL;
    memset(watcher, 0, sizeof *watcher);
    int r = uv_signal_init(usp_loop(), &watcher->handle);
    if (r < 0) {
        free(watcher);
        return r;
    }
    watcher->handle.data = watcher;
    watcher->signum = signum;
    watcher->ignored = is_set_to(signum, SIG_IGN);
    r = uv_signal_start(&watcher->handle, delivered, signum);
    if (r < 0) {
        uv_close((uv_handle_t *)&watcher->handle, closed);
        return r;
    }
    uv_unref((uv_handle_t *)&watcher->handle); /* tasks say that they wait for it */
    watchers[signum] = watcher;
    return 0;
}

bool usp_signal_take(int signum)
{
    struct watcher *watcher = watchable(signum) ? watchers[signum] : NULL;
    if (!watcher || !watcher->untaken)
        return false;
    watcher->untaken--;
    return true;
}

int usp_signal_arm(struct usp_task *task, uint32_t index, int signum)
{
    int r = usp_signal_watch(signum);
    if (r < 0)
        return r;
    struct usp_source *source = usp_source_new(USP_SOURCE_SIGNAL, task, index, watchers[signum]);
    if (!source)
        return -ENOMEM;
    usp_source_link(source);
    usp_queue_append(&watchers[signum]->waiting, source);
    return 0;
}

void usp_signal_disarm(struct usp_source *source)
{
    struct watcher *watcher = source->subject;
    usp_queue_remove(&watcher->waiting, source);
    usp_source_free(source);
}

/* libuv leaves the default effect behind. What the program was started to ignore (by nohup, say) it
   goes on ignoring. */
static void restore(const struct watcher *watcher)
{
    if (watcher->ignored && is_set_to(watcher->signum, SIG_DFL))
        signal(watcher->signum, SIG_IGN);
}

void usp_signals_deinit(void)
{
    for (int signum = 1; signum < NSIG; signum++) {
        struct watcher *watcher = watchers[signum];
        free(left[signum]);
        left[signum] = NULL;
        if (!watcher)
            continue;
        watchers[signum] = NULL;
        uv_close((uv_handle_t *)&watcher->handle, closed); /* stops it */
        restore(watcher);
    }
}

static void stop(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (handle->type == UV_SIGNAL && !uv_is_closing(handle))
        uv_signal_stop((uv_signal_t *)handle);
}

/* libuv keeps all signal handles of an operating-system process in one tree, and its handler writes
   into the pipe of the loop of each that it finds there: in a new worker, the pipe of the parent.
   Stopping the handles changes nothing but this copy of the tree and this process's dispositions;
   the lock of the tree libuv itself has made anew after the fork. The walk leaves out libuv's own
   handle for SIGCHLD, which is active while uv_spawn() has children. */
void usp_signals_forget(uv_loop_t *loop)
{
    if (loop) {
        uv_walk(loop, stop, NULL);
        stop((uv_handle_t *)&loop->child_watcher, NULL);
    }
    for (int signum = 1; signum < NSIG; signum++) {
        if (!watchers[signum])
            continue;
        restore(watchers[signum]);
        left[signum] = watchers[signum];
        watchers[signum] = NULL;
        if (signum == SIGTERM) /* what the parent asked for is none of this worker's */
            usp_terminate_install();
    }
}
