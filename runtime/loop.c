/* The loop of a worker. A new worker has none until something needs it: many end before that.

   What a fork copies of the parent's loop is of no use in the child, and cannot be closed there: libuv would
   take the parent's descriptors out of the epoll that both share. Only its descriptors are closed, which the
   parent has listed before the fork, for to walk the handles is to write to them, and after a fork each page
   that is written first is copied. Those of the loop itself, which nobody can notice, are kept until the
   child makes its own: so there are enough for that, even if the child's process has used up all others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/scheduler.h"
#include "runtime/sources.h"

struct loop {
    uv_loop_t uv; /* first: the one is the other */
    struct loop *inherited; /* the parent's, kept where a leak checker finds it */
};

static struct loop *newest;
static uv_async_t keep_alive; /* the loop sleeps, and does not return at once, while it has a handle */
static volatile bool may_interrupt;

#define OWN_FDS 8 /* of a loop, and one for a pidfd */
static int kept[OWN_FDS];
static size_t n_kept;

static struct {
    int *fds;
    size_t n, room;
    bool has_signals;
    bool failed;
} listed;

static void nothing(uv_async_t *handle)
{
    (void)handle;
}

int usp_loop_open(void)
{
    while (n_kept > 0)
        close(kept[--n_kept]);
    struct loop *loop = malloc(sizeof *loop);
    int rc = loop ? uv_loop_init(&loop->uv) : -ENOMEM;
    if (rc < 0) {
        free(loop);
        return rc;
    }
    rc = uv_async_init(&loop->uv, &keep_alive, nothing);
    if (rc == 0)
        rc = usp_sources_init(&loop->uv);
    if (rc < 0) {
        if (rc != UV_EMFILE)
            uv_close((uv_handle_t *)&keep_alive, NULL);
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        uv_loop_close(&loop->uv);
        free(loop);
        return rc;
    }
    loop->inherited = newest;
    newest = loop;
    usp_sched.loop = &loop->uv;
    may_interrupt = true;
    return 0;
}

uv_loop_t *usp_loop_needed(void)
{
    int rc = usp_loop_open();
    usp_sched_hooks.opened(rc);
    return usp_sched.loop;
}

/* All of the library's own handles but this one are unreferenced. */
bool usp_sched_has_foreign(void)
{
    uv_loop_t *loop = usp_loop();
    uv_unref((uv_handle_t *)&keep_alive);
    bool foreign = uv_loop_alive(loop);
    uv_ref((uv_handle_t *)&keep_alive);
    return foreign;
}

bool usp_sched_is_stuck(void)
{
    return !usp_sched.head && usp_sources_armed == 0 && !usp_sched_has_foreign();
}

/* A bell may come late, by a signal: libuv would abort. One that comes before there is a loop is for nobody:
   nobody sleeps. */
void usp_sched_interrupt(void)
{
    if (may_interrupt)
        uv_async_send(&keep_alive);
}

/* ---- fork ---- */

static void list_fd(int fd)
{
    if (fd <= STDERR_FILENO)
        return;
    if (listed.n == listed.room) {
        size_t room = listed.room ? listed.room * 2 : 32;
        int *more = realloc(listed.fds, room * sizeof *more);
        listed.failed = listed.failed || !more;
        if (!more)
            return;
        listed.fds = more;
        listed.room = room;
    }
    listed.fds[listed.n++] = fd;
}

/* A handle that owns a descriptor: a child can make no use of either. */
static void list_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_os_fd_t fd;
    switch (uv_handle_get_type(handle)) {
    case UV_NAMED_PIPE:
    case UV_TCP:
    case UV_UDP:
        if (uv_fileno(handle, &fd) == 0)
            list_fd(fd);
        break;
    case UV_SIGNAL:
        listed.has_signals = true;
        break;
    default:
        break;
    }
}

int usp_loop_before_fork(int place)
{
    uv_loop_t *loop = usp_loop();
    listed.n = 0;
    listed.failed = false;
    listed.has_signals = uv_is_active((uv_handle_t *)&loop->child_watcher);
    uv_walk(loop, list_handle, NULL);
    const int own[OWN_FDS] = {uv_backend_fd(loop), loop->signal_pipefd[0], loop->signal_pipefd[1],
                              loop->async_io_watcher.fd, loop->async_wfd, loop->inotify_fd,
                              loop->emfile_fd, place};
    memcpy(kept, own, sizeof own);
    return listed.failed ? -ENOMEM : 0;
}

void usp_loop_forked(void)
{
    may_interrupt = false;
    usp_sources_forget(listed.has_signals ? usp_sched.loop : NULL);
    for (size_t i = 0; i < listed.n; i++)
        close(listed.fds[i]);
    for (int i = 0; i < OWN_FDS; i++)
        if (kept[i] > STDERR_FILENO)
            kept[n_kept++] = kept[i];
    usp_sched.loop = NULL;
}

/* ---- the end ---- */

static void close_left(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

int usp_loop_close(void)
{
    uv_loop_t *loop = usp_sched.loop;
    may_interrupt = false;
    usp_sources_deinit();
    if (!uv_is_closing((uv_handle_t *)&keep_alive))
        uv_close((uv_handle_t *)&keep_alive, NULL);
    usp_writing++;
    uv_run(loop, UV_RUN_NOWAIT);
    uv_walk(loop, close_left, NULL);
    while (uv_run(loop, UV_RUN_NOWAIT) != 0)
        ;
    usp_writing--;
    free(listed.fds);
    memset(&listed, 0, sizeof listed);
    if (uv_loop_close(loop) < 0)
        return -EBUSY; /* the program's handles may still point to it */
    struct loop *older = newest->inherited;
    free(newest);
    newest = older;
    return 0;
}
