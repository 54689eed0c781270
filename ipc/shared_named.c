/* Shared blocks with a name, for unrelated programs.

   The memory is a memfd, which has no file and goes with the last who has it open or mapped. Its
   name is a matter of the abstract socket namespace, where the kernel takes a name away when the
   process that has it ends, however that is:

       @uvcsp-shared/UID/NAME/lock       who has it bound is opening the block
       @uvcsp-shared/UID/NAME/PID/FD     process PID uses it, and has the memfd as descriptor FD

   Who opens a block binds the lock, looks through the list of all names (/proc/net/unix) for a
   user, opens the memfd of that one (/proc/PID/fd/FD; the kernel lets only the same user do that),
   or else makes one, and then binds a name of its own. No user has to do anything for another, and
   none can leave anything behind.

   The two descriptors belong to handles on the loop, which closes them when it ends, and whose
   descriptors a new worker closes: only the process that has opened the block is one of its users.

   The lock in the block is a robust mutex of pthread's. Its owner is a thread, so which of the
   light processes of this worker has it, and how often, is noted here. */
#include <uvcsp/shared.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <uvcsp/time.h>

#include "ipc/shared.h"
#include "ipc/shared_name.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define LOOK_AGAIN 0.001 /* seconds */

struct descriptor {
    uv_pipe_t handle; /* only the owner of the descriptor: nothing is ever read by it */
};

/* One call of uvcsp_shared_open(). */
struct use {
    struct use *next;
    struct usp_named *named;
    struct usp_lease *lease;
    struct usp_made made;
};

struct usp_named {
    struct usp_named *next;
    struct use *uses;
    struct usp_head *head;
    char *shared;
    size_t size;
    unsigned worker; /* who has opened it, here; a worker inherits its parent's */
    struct descriptor *memory, *user;
    struct usp_task *holder; /* of the mutex ... */
    unsigned holder_worker;  /* ... if this is the running worker, and not its parent */
    uint32_t depth;
};
static struct usp_named *all;
#define NOBODYS                                                                                    \
    USP_NOBODY /* `worker` of a block of an earlier main, whose memory stays while others may use  \
                  it */

/* ---- the descriptors ---- */

/* Those that the loop has yet to close, and which loop that is: a new worker has none of them. */
#define CLOSING_MOST 64
static unsigned n_closing;
static uv_loop_t *closing_in;

static void closed(uv_handle_t *handle)
{
    n_closing--;
    free(handle);
}

static void close_descriptor(struct descriptor *descriptor)
{
    if (!descriptor)
        return;
    if (closing_in != descriptor->handle.loop)
        n_closing = 0;
    closing_in = descriptor->handle.loop;
    n_closing++;
    uv_close((uv_handle_t *)&descriptor->handle, closed);
}

/* Who opens and closes without ever waiting lets the loop have a turn. */
static void let_them_be_closed(void)
{
    while (n_closing > CLOSING_MOST && closing_in == usp_sched.loop)
        usp_yield();
}

static struct descriptor *own(int fd)
{
    struct descriptor *descriptor = calloc(1, sizeof *descriptor);
    if (!descriptor || uv_pipe_init(usp_loop(), &descriptor->handle, 0) < 0) {
        free(descriptor);
        close(fd);
        return NULL;
    }
    if (uv_pipe_open(&descriptor->handle, fd) < 0) {
        close(fd);
        close_descriptor(descriptor);
        return NULL;
    }
    uv_unref((uv_handle_t *)&descriptor->handle);
    return descriptor;
}

/* ---- opening and closing ---- */

static struct usp_task *holder_of(const struct usp_named *named)
{
    return named->holder_worker == usp_worker_index() ? named->holder : NULL;
}

static void release(struct usp_named *named, bool after_death)
{
    named->holder = NULL;
    named->head->after_death = after_death;
    pthread_mutex_unlock(&named->head->mutex);
}

static void forget(struct usp_named *named)
{
    struct usp_named **at = &all;
    while (*at != named)
        at = &(*at)->next;
    *at = named->next;
    if (named->head && holder_of(named))
        release(named, true);
    if (named->head)
        munmap(named->head, named->size + USP_HEAD);
    close_descriptor(named->memory);
    close_descriptor(named->user);
    free(named);
}

static void end_use(struct use *use)
{
    struct usp_named *named = use->named;
    struct use **at = &named->uses;
    while (*at != use)
        at = &(*at)->next;
    *at = use->next;
    usp_made_unlink(&use->made);
    free(use);
    if (!named->uses)
        forget(named);
}

static void free_made(struct usp_made *made)
{
    end_use((void *)((char *)made - offsetof(struct use, made)));
}

static int begin_use(struct usp_named *named)
{
    struct use *use = calloc(1, sizeof *use);
    if (!use)
        return -ENOMEM;
    use->next = named->uses;
    use->named = named;
    use->lease = usp_lease();
    named->uses = use;
    usp_made_link(&use->made, free_made);
    return 0;
}

/* Fills in a block that is in the list already; the name is locked. 0 or -errno. */
static int attach(struct usp_named *named, const char *name, const char *prefix, size_t size)
{
    int fd = usp_name_find(prefix);
    if (fd == -ENOENT && size > 0)
        fd = usp_name_make(name, size);
    if (fd < 0)
        return fd;
    named->memory = own(fd);
    named->head = named->memory ? usp_name_map(fd, name) : NULL;
    if (!named->head)
        return named->memory ? -errno : -ENOMEM;
    named->size = named->head->size;
    named->shared = (char *)named->head + USP_HEAD;
    if (size > 0 && size != named->size)
        return -EEXIST;
    int user = usp_name_user(prefix, fd);
    named->user = user < 0 ? NULL : own(user);
    return user < 0 ? user : named->user ? 0 : -ENOMEM;
}

static struct usp_named *opened_before(const char *name)
{
    for (struct usp_named *named = all; named; named = named->next)
        if (named->head && named->worker == usp_worker_index() &&
            strcmp(named->head->name, name) == 0)
            return named;
    return NULL;
}

/* The name is locked. */
static int open_locked(const char *name, const char *prefix, size_t size, struct usp_named **namedp)
{
    struct usp_named *named = opened_before(name);
    int rc = 0;
    if (!named) {
        named = calloc(1, sizeof *named);
        if (!named)
            return -ENOMEM;
        named->worker = usp_worker_index();
        named->next = all;
        all = named;
        rc = attach(named, name, prefix, size);
    } else if (size > 0 && size != named->size) {
        rc = -EEXIST;
    }
    if (rc == 0)
        rc = begin_use(named);
    if (rc < 0 && !named->uses)
        forget(named);
    *namedp = named;
    return rc;
}

static int open_it(const char *name, size_t size, struct usp_named **namedp)
{
    char prefix[USP_PREFIX_SIZE];
    if (!usp_name_prefix(name, prefix))
        return -EINVAL;
    usp_sync_self("uvcsp_shared_open");
    let_them_be_closed();
    int fd = usp_name_lock(prefix);
    if (fd < 0)
        return fd;
    struct descriptor *lock = own(fd); /* others may run, and fork, while it is held */
    if (!lock)
        return -ENOMEM;
    int rc = open_locked(name, prefix, size, namedp);
    close_descriptor(lock);
    return rc;
}

void *uvcsp_shared_open(const char *name, size_t size)
{
    USP_ENTER();
    struct usp_named *named = NULL;
    if (!name) {
        usp_report("uvcsp_shared_open: the name is NULL");
        errno = EINVAL;
        return NULL;
    }
    int rc = open_it(name, size, &named);
    if (rc == 0)
        return named->shared;
    const char *why = rc == -EINVAL   ? "that is no name: 1 to 60 letters, digits, '.', '-' and '_'"
                      : rc == -EEXIST ? "it exists with another size"
                      : rc == -ENOENT ? "there is no such block"
                                      : strerror(-rc);
    usp_report("uvcsp_shared_open: '%s': %s", name, why);
    errno = -rc;
    return NULL;
}

int usp_named_close(struct usp_named *named)
{
    if (named->worker != usp_worker_index()) {
        usp_report("uvcsp_shared_free: the block was opened by another worker");
        return -EPERM;
    }
    struct use *use = named->uses;
    while (use->next && use->lease != usp_lease())
        use = use->next;
    end_use(use);
    return 0;
}

void usp_named_left(void)
{
    for (struct usp_named *named = all; named; named = named->next)
        if (named->worker == usp_worker_index())
            named->worker = NOBODYS;
}

struct usp_named *usp_named_of(const void *shared)
{
    for (struct usp_named *named = all; named; named = named->next)
        if (named->shared == shared)
            return named;
    return NULL;
}

size_t usp_named_size(const struct usp_named *named)
{
    return named->size;
}

/* ---- the lock ---- */

static int answer(const struct usp_named *named)
{
    return named->head->after_death ? UVCSP_OWNER_DIED : UVCSP_OK;
}

static int take(struct usp_named *named, struct usp_task *self)
{
    int rc = holder_of(named) ? EBUSY : pthread_mutex_trylock(&named->head->mutex);
    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(&named->head->mutex);
        named->head->after_death = true;
    } else if (rc != 0) {
        return -rc;
    }
    named->holder = self;
    named->holder_worker = usp_worker_index();
    named->depth = 0;
    usp_lease()->holds |= USP_MAY_HOLD;
    return answer(named);
}

int usp_named_lock(struct usp_named *named, double seconds)
{
    struct usp_task *self = usp_sync_self("uvcsp_shared_lock");
    if (!usp_lease())
        return -ENOMEM;
    if (holder_of(named) == self) {
        named->depth++;
        return answer(named);
    }
    double start = uvcsp_now();
    for (;;) {
        int rc = take(named, self);
        if (rc != -EBUSY)
            return rc;
        if (seconds >= 0 && uvcsp_now() - start >= seconds)
            return UVCSP_TIMEOUT;
        uvcsp_sleep(LOOK_AGAIN);
    }
}

static bool is_held_by(const struct usp_named *named, const struct usp_task *task)
{
    return task && holder_of(named) == task;
}

int usp_named_unlock(struct usp_named *named)
{
    if (!is_held_by(named, usp_current()->task)) {
        usp_report("uvcsp_shared_unlock: the lock is not held by this process");
        return -EPERM;
    }
    if (named->depth > 0)
        named->depth--;
    else
        release(named, false);
    return 0;
}

bool usp_named_after_death(const struct usp_named *named)
{
    return named->head->after_death && is_held_by(named, usp_current()->task);
}

void usp_named_gone(const struct usp_task *task)
{
    for (struct usp_named *named = all; named; named = named->next)
        if (is_held_by(named, task))
            release(named, true);
}
