/* fork CASE...: bare fork and waitpid. par-8: eight children that do nothing, then all are waited
   for; par-resident-1024: one child, with that many MiB resident. Microseconds for each round. */
#include "peer.h"

static void forks(const char *name, long n)
{
    struct bench bench = bench_begin();
    do {
        for (long i = 0; i < n; i++) {
            pid_t pid = fork();
            if (pid == 0)
                _exit(0);
            if (pid < 0)
                exit(1);
        }
        for (long i = 0; i < n; i++)
            if (wait(NULL) < 0)
                exit(1);
    } while (bench_goes_on(&bench, 1));
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

static void resident(const char *name, long mib)
{
    char *at = peer_memory((size_t)mib << 20, MAP_PRIVATE);
    forks(name, 1);
    munmap(at, (size_t)mib << 20);
}

static void one(const char *name, long number)
{
    (void)number;
    forks(name, 1);
}

int main(int argc, char **argv)
{
    bench_join();
    static const struct bench_kind kinds[] = {
        {"par-", forks}, {"par-resident-", resident}, {"ipc-start-join", one}, {0}};
    for (int i = 1; i < argc; i++)
        if (!bench_run(kinds, argv[i]))
            return bench_no_such_case(argv[i]);
    return 0;
}
