#include "ipc/shared_name.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uvcsp/time.h>

#define MAGIC 0x75766373702d7368ull
#define PATIENCE 10.0 /* seconds for one who is opening, or ending */
#define LOOK_AGAIN 0.001

/* ---- names ---- */

static bool is_name(const char *name)
{
    size_t length = name ? strlen(name) : 0;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr(".-_", name[i]))
            return false;
    return length > 0 && length <= USP_LONGEST_NAME;
}

/* Binds a name of the abstract namespace: a descriptor, or -errno. */
static int bind_name(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(text);
    memcpy(address.sun_path + 1, text, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    if (bind(fd, (struct sockaddr *)&address, size) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

int usp_name_lock(const char *prefix)
{
    char text[108];
    snprintf(text, sizeof text, "%slock", prefix);
    double start = uvcsp_now();
    for (;;) {
        int fd = bind_name(text);
        if (fd != -EADDRINUSE)
            return fd;
        if (uvcsp_now() - start > PATIENCE)
            return -EBUSY;
        uvcsp_sleep(LOOK_AGAIN);
    }
}

bool usp_name_prefix(const char *name, char prefix[USP_PREFIX_SIZE])
{
    if (!is_name(name))
        return false;
    snprintf(prefix, USP_PREFIX_SIZE, "uvcsp-shared/%u/%s/", (unsigned)geteuid(), name);
    return true;
}

int usp_name_user(const char *prefix, int fd)
{
    char text[108];
    snprintf(text, sizeof text, "%s%d/%d", prefix, (int)getpid(), fd);
    return bind_name(text);
}

/* ---- the memory ---- */

/* Is it what usp_name_make() makes, of the same user? Then it can neither shrink nor be a file of
 * another sort. */
static bool is_ours(int fd, const struct stat *st)
{
    int seals = fcntl(fd, F_GET_SEALS), needed = F_SEAL_SHRINK | F_SEAL_GROW;
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_size >= USP_HEAD &&
           seals >= 0 && (seals & needed) == needed;
}

struct usp_head *usp_name_map(int fd, const char *name)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !is_ours(fd, &st)) {
        errno = EACCES;
        return NULL;
    }
    struct usp_head *head =
        mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED)
        return NULL;
    if (head->magic == MAGIC && strcmp(head->name, name) == 0 &&
        head->size + USP_HEAD == (uint64_t)st.st_size)
        return head;
    munmap(head, (size_t)st.st_size);
    errno = EACCES;
    return NULL;
}

/* The memfd of a user, opened anew. -EAGAIN: that one is just ending. */
static int open_of(int pid, int fd)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    int rc = stat(path, &st);
    if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_uid != geteuid()))
        return -EACCES; /* anybody can take such a name */
    if (rc == 0)
        rc = open(path, O_RDWR | O_CLOEXEC);
    if (rc >= 0)
        return rc;
    return errno == ENOENT || errno == ESRCH ? -EAGAIN : -EACCES;
}

/* That of any user of this name. -ENOENT: there is none. -EACCES: there is one that cannot be
 * reached. */
static int find(const char *prefix)
{
    FILE *list = fopen("/proc/net/unix", "re");
    if (!list)
        return -EACCES;
    char line[512];
    int found = -ENOENT;
    size_t length = strlen(prefix);
    while (found < 0 && fgets(line, sizeof line, list)) {
        const char *at = strchr(line, '@');
        int pid, fd;
        if (at && strncmp(at + 1, prefix, length) == 0 &&
            sscanf(at + 1 + length, "%d/%d", &pid, &fd) == 2)
            found = open_of(pid, fd);
    }
    fclose(list);
    return found;
}

int usp_name_find(const char *prefix)
{
    double start = uvcsp_now();
    for (;;) {
        int fd = find(prefix);
        if (fd != -EAGAIN)
            return fd;
        if (uvcsp_now() - start > PATIENCE)
            return -EACCES;
        uvcsp_sleep(LOOK_AGAIN);
    }
}

static int make_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);
    if (rc)
        return -rc;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -rc;
}

static int fill_head(int fd, const char *name, size_t size)
{
    struct usp_head *head = mmap(NULL, USP_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED)
        return -errno;
    int rc = make_mutex(&head->mutex);
    memcpy(head->name, name, strlen(name) + 1);
    head->size = size;
    head->magic = rc == 0 ? MAGIC : 0;
    munmap(head, USP_HEAD);
    return rc;
}

int usp_name_make(const char *name, size_t size)
{
    if (size > SIZE_MAX / 2 - USP_HEAD)
        return -ENOMEM;
    int fd = memfd_create("uvcsp-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;
    if (fd < 0)
        return -errno;
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)(size + USP_HEAD)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        rc = errno == EFBIG || errno == EINVAL ? -ENOMEM : -errno;
    else
        rc = fill_head(fd, name, size);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}
