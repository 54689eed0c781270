#include "ipc/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/report.h"

static int put(struct sockaddr_un *path, const char *directory, const char *middle,
               const char *name)
{
    int n = snprintf(path->sun_path, sizeof path->sun_path, "%s%s%s", directory, middle, name);
    return n < 0 || (size_t)n >= sizeof path->sun_path ? -ENAMETOOLONG : 0;
}

int usp_address_path(const char *address, struct sockaddr_un *path)
{
    memset(path, 0, sizeof *path);
    path->sun_family = AF_UNIX;
    if (!address || !*address)
        return -EINVAL;
    if (strchr(address, '/'))
        return put(path, "", "", address);
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && *runtime == '/')
        return put(path, runtime, "/uvcsp/", address);
    char middle[40];
    snprintf(middle, sizeof middle, "/uvcsp-%u/", (unsigned)geteuid());
    return put(path, "/tmp", middle, address);
}

/* Mode 0700 and this user's. It is not followed if it is a link: that could be another user's
 * trick. */
static int check_directory(const char *directory, const char *what)
{
    struct stat status;
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        int error = errno;
        usp_report("%s: directory %s cannot be made: %s", what, directory, strerror(error));
        return -error;
    }
    if (lstat(directory, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0)
        return 0;
    usp_report("%s: %s is not a directory of mode 0700 of this user; a socket in it could be "
               "reached by others (an "
               "address without '/' is a name in a directory that is)",
               what, directory);
    return -EACCES;
}

int usp_address_own(const char *address, struct sockaddr_un *path, const char *what)
{
    static unsigned n;
    char name[40];
    if (!address) {
        snprintf(name, sizeof name, "%d-%u", (int)getpid(), n++);
        address = name;
    }
    int rc = usp_address_path(address, path);
    if (rc < 0) {
        usp_report("%s: the address '%s' is %s", what, address,
                   rc == -EINVAL ? "empty" : "too long");
        return rc;
    }
    char directory[sizeof path->sun_path];
    snprintf(directory, sizeof directory, "%s", path->sun_path);
    char *slash = strrchr(directory, '/');
    if (slash == directory)
        slash++;
    *slash = '\0';
    return check_directory(directory, what);
}
