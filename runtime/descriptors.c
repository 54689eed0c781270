/* Descriptors. libuv waits for one descriptor, an epoll of our own, and that one for all others. A
   uv_poll_t for each would make them non-blocking for everybody who shares the open file, would not
   go together with a handle that the program has on the same one, and libuv aborts when a
   descriptor is closed between the start of a handle and the next turn of the loop.

   A descriptor has a place with the queue of those who wait for it and the number of those who want
   each event. It is registered as one-shot, for the union: an event that is delivered switches it
   off, and it is switched on again for what is still wanted. So nothing has to be undone when a
   wait ends, nor when the program closes the descriptor: at most one event comes that nobody wants.
   What comes from an earlier file under the same number bears an earlier generation. */
#include "runtime/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/scheduler.h"

enum { EVERY_EVENT = UV_READABLE | UV_WRITABLE | UV_DISCONNECT | UV_PRIORITIZED, N_EVENTS = 4 };

/* By the bit that libuv has for it; those of poll() are the same. */
static const unsigned epoll_bits[N_EVENTS] = {EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLPRI};

struct place {
    struct usp_source *waiting;
    unsigned wanted[N_EVENTS];
    uint32_t generation; /* of its registration; 0: never registered */
};

static struct place *places; /* by descriptor */
static int n_places;
static uint32_t last_generation;
static int epoll = -1;
static uv_poll_t handle;

static bool valid(int events)
{
    return events && !(events & ~EVERY_EVENT);
}

static unsigned to_epoll(int events)
{
    unsigned bits = 0;
    for (int i = 0; i < N_EVENTS; i++)
        bits |= events & 1 << i ? epoll_bits[i] : 0;
    return bits;
}

int usp_fd_ready(int fd, int events)
{
    if (!valid(events))
        return -EINVAL;
    if (fd < 0)
        return -EBADF; /* poll() would pass over it */
    struct pollfd one = {.fd = fd, .events = (short)to_epoll(events)};
    int n;
    do {
        n = poll(&one, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return one.revents & POLLNVAL ? -EBADF : n;
}

static void count(struct place *place, int events, int by)
{
    for (int i = 0; i < N_EVENTS; i++)
        if (events & 1 << i)
            place->wanted[i] += (unsigned)by;
}

static int all_wanted(const struct place *place)
{
    int events = 0;
    for (int i = 0; i < N_EVENTS; i++)
        events |= place->wanted[i] ? 1 << i : 0;
    return events;
}

/* Wakes those who want one of the events. They want nothing more from then on. */
static void wake(struct place *place, unsigned bits)
{
    for (struct usp_source *source = place->waiting; source; source = source->next) {
        if (!(to_epoll(source->events) & bits))
            continue;
        count(place, source->events, -1);
        source->events = 0;
        usp_source_fire(source);
    }
}

static int control(int operation, int fd, const struct place *place)
{
    struct epoll_event event = {.events = EPOLLONESHOT | to_epoll(all_wanted(place)),
                                .data.u64 = (uint64_t)place->generation << 32 | (uint32_t)fd};
    return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

/* Switches the registration on for what is wanted, or makes one. Where that cannot be, because the
   number is closed by now or another file's, those who wait learn of it by trying. */
static int ask(int fd)
{
    struct place *place = &places[fd];
    int r = place->generation ? control(EPOLL_CTL_MOD, fd, place) : -ENOENT;
    if (r == -ENOENT) {
        if (++last_generation == 0)
            last_generation = 1;
        place->generation = last_generation;
        r = control(EPOLL_CTL_ADD, fd, place);
    }
    if (r < 0)
        wake(place, ~0u);
    return r;
}

static void deliver(const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    if (fd >= n_places || places[fd].generation != event->data.u64 >> 32)
        return;
    /* An error or a hang-up is everybody's. */
    wake(&places[fd], event->events & (EPOLLERR | EPOLLHUP) ? ~0u : event->events);
    if (all_wanted(&places[fd]))
        ask(fd);
}

static void some_ready(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
    struct epoll_event seen[64];
    int n = epoll_wait(epoll, seen, sizeof seen / sizeof *seen, 0);
    for (int i = 0; i < n; i++)
        deliver(&seen[i]);
}

static int open_epoll(void)
{
    if (epoll >= 0)
        return 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return -errno;
    int r = uv_poll_init(usp_loop(), &handle, epoll);
    if (r < 0) {
        close(epoll);
        epoll = -1;
        return r;
    }
    uv_poll_start(&handle, UV_READABLE, some_ready); /* fails only when closing */
    uv_unref((uv_handle_t *)&handle);                /* tasks say that they wait for a descriptor */
    return 0;
}

static int make_room(int fd)
{
    if (fd < n_places)
        return 0;
    if (fcntl(fd, F_GETFD) < 0) /* no large table for a wild number */
        return -errno;
    size_t n = n_places ? (size_t)n_places : 64;
    while (n <= (size_t)fd)
        n *= 2;
    struct place *more = realloc(places, n * sizeof *more);
    if (!more)
        return -ENOMEM;
    memset(more + n_places, 0, (n - (size_t)n_places) * sizeof *more);
    places = more;
    n_places = (int)n;
    return 0;
}

int usp_fd_arm(struct usp_task *task, uint32_t index, int fd, int events)
{
    if (!valid(events))
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    int r = make_room(fd); /* first, or a closed number might become our own */
    if (r == 0)
        r = open_epoll();
    if (r < 0)
        return r;
    struct usp_source *source = usp_source_new(USP_SOURCE_FD, task, index, NULL);
    if (!source)
        return -ENOMEM;
    source->fd = fd;
    source->events = events;
    count(&places[fd], events, 1);
    r = ask(fd);
    if (r < 0) {
        count(&places[fd], events, -1);
        usp_source_free(source);
        /* a regular file: epoll has no use for it, it is always ready */
        return r == -EPERM ? usp_timer_arm(task, index, 0) : r;
    }
    usp_source_link(source);
    usp_queue_append(&places[fd].waiting, source);
    return 0;
}

void usp_fd_disarm(struct usp_source *source)
{
    struct place *place = &places[source->fd];
    usp_queue_remove(&place->waiting, source);
    count(place, source->events, -1);
    usp_source_free(source);
}

static void drop_places(void)
{
    free(places);
    places = NULL;
    n_places = 0;
}

void usp_fds_deinit(void)
{
    if (epoll >= 0) {
        uv_close((uv_handle_t *)&handle, NULL);
        close(epoll);
        epoll = -1;
    }
    drop_places();
}

void usp_fds_forget(void)
{
    if (epoll < 0)
        return;
    close(epoll);
    epoll = -1;
    drop_places();
}
