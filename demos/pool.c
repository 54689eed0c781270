/* pool: a worker is killed in the middle of its task, and nothing is lost.

   The tasks are done by a pool of workers. One of the tasks kills the worker that runs it, with
   SIGKILL, the first time that it is run: there is no chance to say anything. In multiprocessing
   that task would never be heard of again, and whoever waits for it would wait for ever. Here its
   supervisor knows what the dead worker had begun, starts another, and the task is reported, with
   the cause; or it is run again, if the pool may do that.

   Under UVCSP_PAR=light the worker is a light process, and just ends in the middle. */
#include <signal.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] =
    "usage: pool [tasks [workers]]\n"
    "\n"
    "Has a pool of workers (4) square so many numbers (1000), one of which kills its\n"
    "worker; without retries, and with them. What the library says of the death is on stderr.\n";

struct job {
    int x;
    int *deadly; /* in shared memory: this is the task that kills, and it has not yet */
    pid_t root;
};

static int square(const struct job *job, long *result, void *context)
{
    (void)context;
    if (job->deadly && *job->deadly) {
        *job->deadly = 0;
        if (getpid() != job->root)
            kill(getpid(), SIGKILL);
        uvcsp_exit_process();
    }
    *result = (long)job->x * job->x;
    return 0;
}

static void run(const char *title, int n, int workers, int retries)
{
    struct job *jobs = calloc((size_t)n, sizeof *jobs);
    int *deadly = SHARED_RAW_VALUE(int, 1);
    demo_expect(jobs && deadly, "there is memory");
    for (int i = 0; i < n; i++)
        jobs[i] = (struct job){i, i == n / 2 ? deadly : NULL, getpid()};

    uvcsp_pool *pool = POOL(workers, .retries = retries);
    uvcsp_result *result = uvcsp_pool_imap_unordered(pool, square, jobs, n, long, 1);
    long square_of_it, sum = 0;
    int done = 0, status;
    while ((status = uvcsp_result_next(result, &square_of_it, -1)) != UVCSP_RETIRED) {
        long i = uvcsp_result_index(result);
        if (status == UVCSP_OK) {
            demo_expect(square_of_it == i * i, "each result is that of its task");
            sum += square_of_it;
            done++;
        } else {
            printf("%s: task %ld: %s\n", title, i, uvcsp_status_name(status));
            fprintf(stderr, "cause: %s\n", uvcsp_result_error(result, (size_t)i)->message);
        }
    }
    printf("%s: %d of %d tasks are done, the sum is %ld\n", title, done, n, sum);
    demo_expect(done == n - (retries == 0), "nothing else is lost");
    uvcsp_result_free(result);
    uvcsp_pool_free(pool);
    uvcsp_shared_free(deadly);
    free(jobs);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 2, help);
    int n = demo_size(argc, argv, 1, 1000, 1, 1000000);
    int workers = demo_size(argc, argv, 2, 4, 1, 500);
    run("without retries", n, workers, 0);
    run("with retries", n, workers, 1);
    return 0;
}
