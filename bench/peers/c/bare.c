/* bare pipe|socketpair CASE...: messages between two processes by blocking read() and write() and
   nothing else. `any-4x4`, with pipe only: four writers and four readers of one pipe, 4 bytes each.
 */
#include <sys/socket.h>

#include "peer.h"

struct way {
    int in[2], out[2]; /* for the parent, for the child */
    size_t size;
};

static bool sockets;

struct way *way_new(size_t size, bool both, int room)
{
    static struct way way;
    int there[2], back[2] = {-1, -1};
    (void)room; /* as much as the kernel has */
    way.size = size;
    if (sockets) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, there) < 0)
            exit(1);
        way = (struct way){{there[0], there[1]}, {there[0], there[1]}, size};
        return &way;
    }
    if (pipe(there) < 0 || (both && pipe(back) < 0))
        exit(1);
    way = (struct way){{there[0], back[0]}, {back[1], there[1]}, size};
    return &way;
}

void way_open(struct way *way, bool child)
{
    int in = way->in[child], out = way->out[child];
    for (int i = 0; i < 2; i++) {
        if (way->in[i] >= 0 && way->in[i] != in && way->in[i] != out)
            close(way->in[i]);
        if (way->out[i] >= 0 && way->out[i] != way->in[i] && way->out[i] != out)
            close(way->out[i]);
    }
    way->in[0] = in;
    way->out[0] = out;
}

bool way_take(struct way *way, char *bytes)
{
    for (size_t done = 0; done < way->size;) {
        ssize_t n = read(way->in[0], bytes + done, way->size - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool way_give(struct way *way, const char *bytes)
{
    for (size_t done = 0; done < way->size;) {
        ssize_t n = write(way->out[0], bytes + done, way->size - done);
        if (n < 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* ---- any to any ---- */

struct count {
    _Alignas(64) volatile unsigned long n;
};

static double sum(const struct count *counts, long n)
{
    double total = 0;
    for (long i = 0; i < n; i++)
        total += (double)counts[i].n;
    return total;
}

static void any(const char *name, long writers)
{
    long readers = bench_second(name, writers);
    struct count *counts = (void *)peer_memory((size_t)readers * sizeof *counts, MAP_SHARED);
    pid_t *pids = bench_get((size_t)(readers + writers), sizeof *pids);
    int fds[2], x = 0;
    if (pipe(fds) < 0)
        exit(1);
    for (long i = 0; i < readers + writers; i++) {
        if ((pids[i] = peer_fork()) != 0)
            continue;
        if (i < writers)
            while (write(fds[1], &x, sizeof x) == sizeof x)
                ;
        else
            while (read(fds[0], &x, sizeof x) == sizeof x)
                counts[i - writers].n++;
        _exit(0);
    }
    usleep(20000);
    struct bench bench = bench_begin();
    double before = sum(counts, readers);
    do
        usleep((useconds_t)(bench.limit * 1e6));
    while (sum(counts, readers) == before);
    bench_goes_on(&bench, sum(counts, readers) - before);
    bench_tell(name, bench_ns(&bench), "ns");
    for (long i = 0; i < readers + writers; i++)
        kill(pids[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    free(pids);
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {
        PEER_KINDS, {"any-", any}, {"any-buffered-", any}, {0}};
    if (argc < 2 || (strcmp(argv[1], "pipe") != 0 && strcmp(argv[1], "socketpair") != 0)) {
        fprintf(stderr, "usage: bare pipe|socketpair CASE...\n");
        return 2;
    }
    sockets = strcmp(argv[1], "socketpair") == 0;
    for (int i = 2; i < argc; i++)
        if (!bench_run(kinds, argv[i]))
            return bench_no_such_case(argv[i]);
    return 0;
}
