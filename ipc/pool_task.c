/* Tasks on their way into a pool: what a call gives becomes a job, and the supervisors are told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipc/pool.h"
#include "runtime/report.h"

static int refusal(const uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                   int chunk)
{
    const char *why = !task                 ? "the task is NULL"
                      : n > 0 && !arguments ? "the arguments are NULL"
                      : chunk < 0           ? "the size of a chunk is negative"
                      : n > UINT32_MAX / 2  ? "too many tasks"
                                            : NULL;
    if (why) {
        usp_report("pool '%s': %s", pool->name, why);
        return -EINVAL;
    }
    if (!pool->closing)
        return 0;
    usp_report("pool '%s' takes no more tasks: %s", pool->name,
               pool->broken       ? pool->broken
               : pool->terminated ? "it was terminated"
                                  : "it is closed");
    return -EPIPE;
}

static void submit(uvcsp_pool *pool, uvcsp_result *job)
{
    if (job->n == 0) {
        usp_job_done(job, 0, 0, NULL);
        return;
    }
    job->refs++;
    job->live_next = pool->live;
    job->live_at = &pool->live;
    if (pool->live)
        pool->live->live_at = &job->live_next;
    pool->live = job;
    *pool->jobs_end = job;
    pool->jobs_end = &job->next;
    size_t n = (job->n + job->chunk - 1) / job->chunk;
    pool->n_waiting += n;
    usp_pool_ring(pool, n);
}

static int begin(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                 size_t argument_size, size_t result_size, int chunk, enum uvcsp_pool_order order,
                 uvcsp_result **jobp)
{
    int rc;
    if (!usp_pool_check(pool, "a task for a pool", &rc))
        return rc;
    rc = refusal(pool, task, arguments, n, chunk);
    if (rc < 0)
        return rc;
    *jobp = usp_job_new(pool, task, arguments, n, argument_size, result_size, chunk, order);
    if (!*jobp) {
        usp_report("pool '%s': no memory for %zu tasks", pool->name, n);
        return -ENOMEM;
    }
    submit(pool, *jobp);
    return 0;
}

uvcsp_result *uvcsp_pool_start(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                               size_t argument_size, size_t result_size, int chunk,
                               enum uvcsp_pool_order order)
{
    uvcsp_result *job = NULL;
    int rc = begin(pool, task, arguments, n, argument_size, result_size, chunk, order, &job);
    if (rc < 0)
        errno = -rc;
    return job;
}

static void remember_why(uvcsp_pool *pool, const uvcsp_result *job)
{
    size_t i = 0;
    while (job->items[i] != USP_ITEM_FAILED)
        i++;
    const uvcsp_task_error *error = &job->failures[i]->error;
    char code[32] = "";
    if (error->status == UVCSP_TASK_FAILED)
        snprintf(code, sizeof code, ", code %d", error->code);
    snprintf(pool->why, sizeof pool->why, "task %zu of %zu: %s%s%s%s", i, job->n,
             uvcsp_status_name(error->status), code, error->message[0] ? ": " : "", error->message);
}

int (uvcsp_pool_run)(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                   size_t argument_size, void *results, size_t result_size, int chunk)
{
    uvcsp_result *job = NULL;
    int rc =
        begin(pool, task, arguments, n, argument_size, result_size, chunk, UVCSP_POOL_ALL, &job);
    if (rc < 0)
        return rc;
    pool->refs++;
    rc = (uvcsp_result_get_into)(job, results, result_size, -1);
    if (rc > 0)
        remember_why(pool, job);
    usp_pool_unref(pool);
    usp_job_unref(job);
    return rc;
}

const char *uvcsp_pool_why(uvcsp_pool *pool)
{
    int rc;
    return usp_pool_check(pool, "uvcsp_pool_why", &rc) ? pool->why : "";
}
