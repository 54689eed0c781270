#include "runtime/sources.h"

#include <errno.h>

#include "runtime/fibre.h"
#include "runtime/scheduler.h"
#include "runtime/task.h"

/* Lies on the stack of the fibre, which stays parked until the pool is done with it: the commit
   word of the task says NONE, so nothing can claim it meanwhile, a kill neither. */
struct job {
    uv_work_t request;
    void (*fn)(void *);
    void *arg;
    struct usp_task *task;
    int status;
};

static void work(uv_work_t *request)
{
    struct job *job = request->data;
    job->fn(job->arg);
}

static void finished(uv_work_t *request, int status)
{
    struct job *job = request->data;
    job->status = status;
    usp_wake(job->task);
}

int usp_blocking(void (*fn)(void *), void *arg)
{
    if (!fn)
        return -EINVAL;
    struct job job = {.fn = fn, .arg = arg, .task = usp_current()->task};
    job.request.data = &job;
    int r = uv_queue_work(usp_loop(), &job.request, work, finished);
    if (r < 0)
        return r;
    atomic_store_explicit(&job.task->commit, USP_NONE, memory_order_release);
    usp_park();
    return job.status;
}
