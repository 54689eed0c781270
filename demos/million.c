/* million: a million processes, all parked at once in one worker.

   A light process is a stack and a few words. Each one here says that it is there, and then waits
   to read a number; when all are waiting, the teacher hands out the numbers, and each pupil hands
   its own back. The resident memory of the program is taken when all wait. */
#include <unistd.h>
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: million [processes]\n"
    "\n"
    "Parks `processes` (1000000) light processes at once, and then wakes each of them.\n"
    "Tells time and memory on stderr. A million take about 5 GB of memory.\n";

/* In KiB. */
static long resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

PROCESS(pupil, OUT(bool, here), IN(long, number), OUT(long, back))
{
    WRITE(here, true);
    WRITE(back, READ(number));
}

PROCESS(teacher, VAL(long, n), VAL(double, start), VAL(long, before), IN(bool, here),
        OUT(long, number), IN(long, back))
{
    for (long i = 0; i < n; i++)
        (void)READ(here);
    uvcsp_yield(); /* the last one gets to its READ */
    printf("%ld processes are waiting\n", n);
    fprintf(stderr, "after %.2f s; %.1f KiB of memory each\n", uvcsp_now() - start,
            (double)(resident() - before) / (double)n);

    start = uvcsp_now();
    long sum = 0;
    for (long i = 0; i < n; i++) {
        WRITE(number, i);
        sum += READ(back);
    }
    demo_expect(sum == n * (n - 1) / 2, "each number should come back once");
    printf("each of them had one number, and gave it back\n");
    fprintf(stderr, "%.0f ns for each to be woken, to answer and to end\n",
            (uvcsp_now() - start) * 1e9 / (double)n);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 1000000, 1, 10000000);

    double start = uvcsp_now();
    long before = resident();
    CHAN(bool) here = CHANNEL(bool);
    CHAN(long) number = CHANNEL(long), back = CHANNEL(long);
    uvcsp_process *school = uvcsp_values_new((size_t)n + 1);
    school[0] = teacher(n, start, before, here, number, back);
    for (int i = 1; i <= n; i++)
        school[i] = pupil(here, number, back);
    int failed = uvcsp_co(school, (size_t)n + 1);
    uvcsp_values_free(school);
    return failed != 0;
}
