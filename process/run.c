/* PAR, CO and SEQ. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/fork.h"
#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"

#define ON_STACK 16

/* The records of n values, all marked as used, in `few` or in memory of their own. */
struct batch {
    struct usp_process *few[ON_STACK];
    struct usp_process **all;
    size_t n;
};

static int take_batch(struct batch *batch, const uvcsp_process *values, size_t n, const char *what)
{
    if (!values && n > 0) {
        usp_report("%s: the processes are NULL", what);
        return -EINVAL;
    }
    if (!usp_current()->task)
        usp_fatal("%s: a callback of the loop is no process and cannot wait for others", what);
    batch->n = n;
    batch->all = batch->few;
    if (n > ON_STACK) {
        batch->all = malloc(n * sizeof *batch->all);
        if (!batch->all)
            return -ENOMEM;
    }
    int rc = usp_values_use(values, n, batch->all);
    if (rc < 0 && batch->all != batch->few)
        free(batch->all);
    return rc;
}

static void free_batch(struct batch *batch)
{
    if (batch->all != batch->few)
        free(batch->all);
}

static void unprepare(struct usp_process *process)
{
    for (struct usp_process *p = process->kind ? process : process->members; p;
         p = process->kind ? NULL : p->next) {
        if (!p->task)
            continue;
        usp_ends_release(p->task, USP_LEAVE_RETIRE, NULL);
        usp_arena_free(p->task);
        p->task = NULL;
    }
}

/* All join their channels before the first of them runs, or none does. */
static int prepare_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        int rc = usp_process_prepare(batch->all[i]);
        if (rc == 0)
            continue;
        for (size_t k = 0; k < i; k++)
            unprepare(batch->all[k]);
        for (size_t k = 0; k < batch->n; k++)
            usp_process_release(batch->all[k]);
        free_batch(batch);
        return rc;
    }
    return 0;
}

/* The first failure to start cannot wake a joiner that does not wait yet: one more is counted until then. */
static int wait_for(struct usp_join *join)
{
    struct usp_hope *hope = &join->task->hope;
    hope->told &= (uint8_t)~USP_TOLD_DEADLOCK;
    if (--join->left > 0) {
        hope->epoch++;
        hope->state |= USP_HOPE_JOINS;
        usp_park();
        hope->state &= (uint8_t)~USP_HOPE_JOINS;
    }
    return hope->told & USP_TOLD_DEADLOCK ? -EDEADLK : join->failed;
}

static int run_light(struct batch *batch)
{
    struct usp_join join = {.task = usp_current()->task, .left = 1};
    for (size_t i = 0; i < batch->n; i++)
        join.left += usp_process_count(batch->all[i]);
    for (size_t i = 0; i < batch->n; i++)
        usp_processes_launch(batch->all[i], &join, NULL);
    return wait_for(&join);
}

int uvcsp_co(const uvcsp_process *values, size_t n)
{
    USP_ENTER();
    struct batch batch;
    int rc = take_batch(&batch, values, n, "CO");
    if (rc == 0)
        rc = prepare_batch(&batch);
    if (rc < 0)
        return rc;
    rc = run_light(&batch);
    free_batch(&batch);
    return rc;
}

int uvcsp_seq(const uvcsp_process *values, size_t n)
{
    USP_ENTER();
    struct batch batch;
    int rc = take_batch(&batch, values, n, "SEQ");
    if (rc == 0)
        rc = prepare_batch(&batch);
    if (rc < 0)
        return rc;
    int failed = 0;
    bool dead = false;
    for (size_t i = 0; i < n; i++) {
        struct batch one = {.all = &batch.all[i], .n = 1};
        int rc_one = run_light(&one);
        dead |= rc_one < 0;
        failed += rc_one < 0 ? 0 : rc_one;
    }
    free_batch(&batch);
    return dead ? -EDEADLK : failed;
}

/* ---- forked ---- */

static void member_ended(void *arg, int code, const char *how)
{
    (void)code;
    struct usp_join *join = arg;
    join->failed += how != NULL;
    if (--join->left == 0)
        usp_wake(join->task);
}

static int run_forked(struct batch *batch)
{
    struct usp_join join = {.task = usp_current()->task, .left = batch->n + 1};
    int *workers = malloc((batch->n ? batch->n : 1) * sizeof *workers);
    int rc = workers ? usp_fork_join(batch->all, batch->n, workers) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < batch->n; i++)
        if (workers[i] >= 0)
            usp_worker_of((unsigned)workers[i])->waiter = join.task;
    for (size_t i = 0; rc == 0 && i < batch->n; i++)
        if (usp_fork_launch(batch->all[i], workers[i], member_ended, &join) < 0) {
            join.failed++;
            join.left--;
        }
    for (size_t i = 0; i < batch->n; i++)
        usp_process_release(batch->all[i]);
    free(workers);
    return rc < 0 ? rc : wait_for(&join);
}

int uvcsp_par(const uvcsp_process *values, size_t n)
{
    USP_ENTER();
    if (usp_light_mode())
        return uvcsp_co(values, n);
    struct batch batch;
    int rc = take_batch(&batch, values, n, "PAR");
    if (rc < 0)
        return rc;
    rc = run_forked(&batch);
    free_batch(&batch);
    return rc;
}
