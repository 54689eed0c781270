/* The loop of a worker. It has none until something needs it: many workers end before that, and a parent that only
   waits for its children can do without. (libuv has a handler run in every child of a process that has had a loop, at
   the price of a quarter of a fork.)

   What a fork copies of the parent's loop is of no use in the child, and cannot be closed there: libuv would
   take the parent's descriptors out of the epoll that both share. Only its descriptors are closed, which the
   parent has listed before the fork, for to walk the handles is to write to them, and after a fork each page
   that is written first is copied. Those of the loop itself, which nobody can notice, are kept until the
   child makes its own: so there are enough for that, even if the child's process has used up all others. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/report.h"
#include "runtime/scheduler.h"
#include "runtime/sources.h"
#include "runtime/syscall.h"
#include "runtime/young.h"

struct loop {
    uv_loop_t uv; /* first: the one is the other */
    struct loop *inherited; /* the parent's, kept where a leak checker finds it */
};

static struct loop *newest USP_YOUNG;
static uv_async_t keep_alive; /* the loop sleeps, and does not return at once, while it has a handle */
static volatile bool may_interrupt USP_YOUNG;

#define LOOP_FDS 7 /* what libuv opens for a loop, and for the first one of a process */
#define KEPT_FDS 9 /* and what the parent has beside them */
static int kept[KEPT_FDS] USP_YOUNG;
static size_t n_kept USP_YOUNG;

static struct {
    int *fds;
    size_t n, room;
    bool has_signals;
    bool failed;
} listed USP_YOUNG;

static void nothing(uv_async_t *handle)
{
    (void)handle;
}

static void close_kept(void)
{
    while (n_kept > 0)
        close(kept[--n_kept]);
}

int usp_loop_reserve(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    while (fd >= 0 && n_kept + 1 < LOOP_FDS) {
        kept[n_kept++] = fd;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    if (fd < 0) {
        int rc = -errno;
        close_kept();
        return rc;
    }
    kept[n_kept++] = fd;
    return 0;
}

static int open_loop(void)
{
    close_kept();
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
    int rc = open_loop();
    if (usp_sched_hooks.opened)
        usp_sched_hooks.opened(rc);
    if (rc < 0)
        usp_fatal("there can be no loop: %s", strerror(-rc));
    return usp_sched.loop;
}

/* All of the library's own handles but this one are unreferenced. */
bool usp_sched_has_foreign(void)
{
    uv_loop_t *loop = usp_sched.loop;
    if (!loop)
        return false;
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
static void list_handle(uv_handle_t *handle)
{
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

int usp_loop_place(bool is_first)
{
    static int last;
    int fd = fcntl(usp_sched.loop ? uv_backend_fd(usp_sched.loop) : kept[0], F_DUPFD_CLOEXEC, is_first ? 0 : last + 1);
    if (fd >= 0)
        last = fd;
    return fd >= 0 ? fd : errno == EINVAL ? -EMFILE : -errno; /* EINVAL: it is beyond the limit */
}

int usp_loop_before_fork(void)
{
    uv_loop_t *loop = usp_sched.loop;
    listed.n = 0;
    listed.failed = listed.has_signals = false;
    if (!loop)
        return 0;
    listed.has_signals = uv_is_active((uv_handle_t *)&loop->child_watcher);
    /* not uv_walk(), which writes to every handle on its way, and so to pages that are then copied */
    void **all = (void **)&loop->handle_queue;
    for (void **at = *all; at != all; at = *at) {
        uv_handle_t *handle = (void *)((char *)at - offsetof(uv_handle_t, handle_queue));
        if (handle != (uv_handle_t *)&loop->child_watcher)
            list_handle(handle);
    }
    return listed.failed ? -ENOMEM : 0;
}

static void keep(int fd)
{
    if (fd > STDERR_FILENO && n_kept < KEPT_FDS)
        kept[n_kept++] = fd;
    else if (fd > STDERR_FILENO)
        close(fd);
}

void usp_loop_keep_place(int fd)
{
    if (n_kept == 0 || n_kept == KEPT_FDS || usp_syscall(SYS_dup3, kept[0], fd, O_CLOEXEC, 0) < 0)
        close(fd);
    else
        kept[n_kept++] = fd;
}

void usp_loop_forked(int watch, int place)
{
    uv_loop_t *loop = usp_sched.loop;
    may_interrupt = false;
    for (size_t i = 0; i < listed.n; i++)
        close(listed.fds[i]);
    usp_sources_forget(listed.has_signals ? loop : NULL);
    if (loop) {
        const int own[] = {loop->backend_fd, loop->signal_pipefd[0], loop->signal_pipefd[1],
                           loop->async_io_watcher.fd, loop->async_wfd, loop->emfile_fd, watch,
                           loop->inotify_fd};
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            keep(own[i]);
        usp_sched.loop = NULL;
    }
    keep(place);
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
    close_kept();
    free(listed.fds);
    memset(&listed, 0, sizeof listed);
    may_interrupt = false;
    usp_sources_deinit();
    if (!loop)
        return 0;
    if (!uv_is_closing((uv_handle_t *)&keep_alive))
        uv_close((uv_handle_t *)&keep_alive, NULL);
    usp_writing++;
    uv_run(loop, UV_RUN_NOWAIT);
    uv_walk(loop, close_left, NULL);
    while (uv_run(loop, UV_RUN_NOWAIT) != 0)
        ;
    usp_writing--;
    if (uv_loop_close(loop) < 0)
        return -EBUSY; /* the program's handles may still point to it */
    struct loop *older = newest->inherited;
    free(newest);
    newest = older;
    return 0;
}
