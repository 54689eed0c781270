#include "tests/stress/stress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uvcsp.h>

static volatile unsigned long long current_seed;

bool stress_is_large(void)
{
    const char *setup = getenv("UVCSP_STRESS");
    return setup && strcmp(setup, "large") == 0;
}

unsigned stress_below(unsigned long long *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

unsigned long long stress_seeded(unsigned long long seed)
{
    return seed * 0x9e3779b97f4a7c15ull + 1;
}

void *stress_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return memory;
}

static void too_long(int signum)
{
    (void)signum;
    char text[80];
    int n = snprintf(text, sizeof text, "seed %llu does not come to its end\n", current_seed);
    if (write(2, text, (size_t)n) < 0)
        _exit(2);
    if (getenv("STRESS_STOP"))
        raise(SIGSTOP);
    _exit(1);
}

int stress_main(const struct stress *stress, int argc, char **argv)
{
    double seconds = stress_is_large() ? stress->large : argc > 1 ? atof(argv[1]) : 4;
    unsigned long long seed =
        argc > 2 ? strtoull(argv[2], NULL, 0) : (unsigned long long)getpid() * 1000003u;
    int mode = -1;
    for (int i = 0; argc > 3 && stress->modes && stress->modes[i]; i++)
        if (strcmp(argv[3], stress->modes[i]) == 0)
            mode = i;
    const char *par = getenv("UVCSP_PAR");
    bool light = par && strcmp(par, "light") == 0;
    signal(SIGALRM, too_long);
    setenv("UVCSP_DEADLOCK", "abort", 0); /* these networks live: who is told to wait for ever fails the run */
    double end = uvcsp_now() + seconds;
    unsigned rounds = 0;
    printf("from seed %llu on\n", seed);
    fflush(stdout);
    do {
        current_seed = seed + rounds;
        alarm(stress->limit);
        bool good = stress->round(current_seed, mode, light);
        alarm(0);
        if (!good) {
            fprintf(stderr, "seed %llu%s: failed\n", current_seed, light ? ", light" : "");
            return 1;
        }
        rounds++;
    } while (uvcsp_now() < end && !(stress->enough && stress->enough()));
    printf("%u rounds\n", rounds);
    return uvcsp_shutdown() != 0;
}
