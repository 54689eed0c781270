/* socketpair ping|one-way BYTES: messages between two forked processes over a bare socketpair, by blocking
   read() and write(). Microseconds for a round trip, or for a message. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common.h"

static bool take(int fd, char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, bytes + done, size - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool give(int fd, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void partner(int fd, char *bytes, size_t size, bool answers)
{
    if (answers)
        while (take(fd, bytes, size) && give(fd, bytes, size))
            ;
    else
        while (give(fd, bytes, size))
            ;
}

static double measure(int fd, char *bytes, size_t size, bool asks)
{
    struct bench bench = {0};
    for (int warm = 1; warm >= 0; warm--) {
        bench = bench_begin();
        do
            for (int i = 0; i < 10; i++)
                if ((asks && !give(fd, bytes, size)) || !take(fd, bytes, size))
                    exit(1);
        while (bench_goes_on(&bench, 10) && !warm);
    }
    return bench_ns(&bench) / 1e3;
}

int main(int argc, char **argv)
{
    bool ping = argc == 3 && strcmp(argv[1], "ping") == 0;
    size_t size = argc == 3 ? (size_t)strtol(argv[2], NULL, 10) : 0;
    if (size == 0 || (!ping && strcmp(argv[1], "one-way") != 0)) {
        fprintf(stderr, "usage: socketpair ping|one-way BYTES\n");
        return 2;
    }
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 1;
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED)
        return 1;
    memset(bytes, 1, size);
    close(fds[pid == 0 ? 0 : 1]);
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        partner(fds[1], bytes, size, ping);
        _exit(0);
    }
    bench_tell(argv[1], measure(fds[0], bytes, size, ping), "us");
    close(fds[0]);
    return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}
