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

/* The same at the beginning of a call, whose values are not run then. */
static inline void end_if_killed(const uvcsp_process *values, size_t n)
{
    if (__builtin_expect(usp_current()->kill == 0, 1))
        return;
    for (size_t i = 0; values && i < n; i++)
        uvcsp_process_free(values[i]);
    usp_end_process(USP_KILLED, NULL);
}

/* A light process that was terminated or killed before it waited for others, or while it did, ends here. */
static inline int unless_killed(int rc)
{
    if (__builtin_expect(usp_current()->kill != 0, 0))
        usp_end_process(USP_KILLED, NULL);
    return rc;
}

/* For who looks on while it waits. */
static void set_site(const char *site)
{
    if (usp_current()->task)
        usp_current()->task->site = site;
}

static int check_call(const uvcsp_process *values, size_t n, const char *what)
{
    if (!values && n > 0) {
        usp_report("%s: the processes are NULL", what);
        return -EINVAL;
    }
    if (!usp_current()->task)
        usp_fatal("%s: a callback of the loop is no process and cannot wait for others", what);
    return 0;
}

static int take_batch(struct batch *batch, const uvcsp_process *values, size_t n, const char *what)
{
    end_if_killed(values, n);
    int rc = check_call(values, n, what);
    if (rc < 0)
        return rc;
    batch->n = n;
    batch->all = batch->few;
    if (n > ON_STACK) {
        batch->all = malloc(n * sizeof *batch->all);
        if (!batch->all)
            return -ENOMEM;
    }
    rc = usp_values_use(values, n, batch->all);
    if (rc < 0 && batch->all != batch->few)
        free(batch->all);
    return rc;
}

static void free_batch(struct batch *batch)
{
    if (batch->all != batch->few)
        free(batch->all);
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
    return __builtin_expect(hope->told & USP_TOLD_DEADLOCK, 0) ? -EDEADLK : join->failed;
}

/* The same for those that have just been conceived, none of whom has run: `join` counts them alone. `to` runs next; NULL:
   whose turn it is. */
static inline __attribute__((always_inline)) int wait_for_plain(struct usp_join *join, struct usp_fibre *to)
{
    struct usp_hope *hope = &join->task->hope;
    hope->told &= (uint8_t)~USP_TOLD_DEADLOCK;
    hope->epoch++;
    hope->state |= USP_HOPE_JOINS;
    if (to)
        usp_switch_to(to);
    else
        usp_park();
    hope->state &= (uint8_t)~USP_HOPE_JOINS;
    return __builtin_expect(hope->told & USP_TOLD_DEADLOCK, 0) ? -EDEADLK : join->failed;
}

/* Runs those that are prepared, `first` and the others by `next`, and waits for them. */
static int run_light(struct usp_process *first)
{
    struct usp_join join = {.task = usp_current()->task, .left = 1};
    join.left += usp_processes_launch(first, &join, NULL);
    return wait_for(&join);
}

/* CO of processes some of which have parameters: `first` and the others by `next`. */
static __attribute__((noinline)) int run_joined(struct usp_process *first)
{
    int rc = usp_processes_prepare(first);
    if (rc == 0)
        return run_light(first);
    usp_processes_drop(first);
    return rc;
}

/* The value at `i` cannot be used; those before it are `first` and the others. */
static __attribute__((cold, noinline)) int no_value(const uvcsp_process *values, size_t n, size_t i,
                                                    struct usp_process *first)
{
    (void)usp_value_use(values[i]); /* says why */
    usp_processes_drop(first);
    while (++i < n)
        uvcsp_process_free(values[i]);
    return -EINVAL;
}

static __attribute__((noinline)) int co(const uvcsp_process *values, size_t n, const char *site)
{
    USP_ENTER();
    struct usp_fibre *self = usp_current();
    if (__builtin_expect(!values || !self->task || self->kill, 0)) {
        end_if_killed(values, n);
        int rc = check_call(values, n, "CO");
        if (rc < 0 || n == 0)
            return rc;
    }
    self->task->site = site;
    struct usp_join join = {.task = self->task, .left = n};
    struct usp_process *first = NULL, *last = NULL, **at = &first;
    bool all_plain = true;
    for (size_t i = 0; i < n; i++) {
        struct usp_process *process = values[i].args;
        if (__builtin_expect(!process || process->serial != values[i].serial, 0)) {
            *at = NULL;
            return no_value(values, n, i, first);
        }
        process->serial |= 1;
        if (__builtin_expect(usp_process_is_plain(process), 1)) {
            process->parent = self;
            process->join = &join;
            *at = last = process;
            at = &process->next;
            continue;
        }
        all_plain = false;
        process->next = NULL;
        *at = usp_process_unpack(process);
        while (*at)
            at = &(*at)->next;
    }
    *at = NULL;
    if (!all_plain || n == 0)
        return unless_killed(run_joined(first));
    usp_fibres_conceive(&first->unborn, &last->unborn, n);
    return unless_killed(wait_for_plain(&join, NULL));
}

/* One without parameters, at once, while nobody else is ready; nothing is queued. */
static __attribute__((noinline)) int co_alone(struct usp_process *process, struct usp_fibre *self, struct usp_fibre *idle,
                                              const char *site)
{
    struct usp_join join;
    join.task = self->task;
    join.left = 1;
    join.failed = 0;
    join.task->site = site;
    process->serial |= 1;
    process->join = &join;
    usp_sched.n_live++;
    usp_sched.turns--;
    usp_sched.idle = NULL;
    usp_fibre_become(idle, &process->unborn, self, 0);
    return unless_killed(wait_for_plain(&join, idle));
}

/* Saves no registers where it cannot be done so. */
int uvcsp_co_at(const uvcsp_process *values, size_t n, const char *site)
{
    if (__builtin_expect(n != 1 || !usp_here || !values, 0))
        return co(values, n, site);
    struct usp_process *process = values->args;
    if (__builtin_expect(!process || !usp_process_is_plain(process) || process->serial != values->serial, 0))
        return co(values, n, site);
    struct usp_fibre *self = usp_sched.current, *idle = usp_sched.idle;
    if (__builtin_expect(!self->task || self->kill || !idle || usp_sched.head || usp_sched.turns <= 1, 0))
        return co(values, n, site);
    return co_alone(process, self, idle, site);
}

/* Each is the first of those that a value stands for. */
static int prepare_batch(struct batch *batch)
{
    int rc = 0;
    for (size_t i = 0; i < batch->n; i++)
        batch->all[i] = usp_process_unpack(batch->all[i]);
    for (size_t i = 0; i < batch->n && rc == 0; i++)
        rc = usp_processes_prepare(batch->all[i]);
    for (size_t i = 0; i < batch->n && rc < 0; i++)
        usp_processes_drop(batch->all[i]);
    if (rc < 0)
        free_batch(batch);
    return rc;
}

int uvcsp_seq_at(const uvcsp_process *values, size_t n, const char *site)
{
    USP_ENTER();
    set_site(site);
    struct batch batch;
    int rc = take_batch(&batch, values, n, "SEQ");
    if (rc == 0)
        rc = prepare_batch(&batch);
    if (rc < 0)
        return rc;
    int failed = 0;
    bool dead = false;
    for (size_t i = 0; i < n; i++) {
        if (usp_current()->kill) {
            usp_processes_drop(batch.all[i]);
            continue;
        }
        int rc_one = run_light(batch.all[i]);
        dead |= rc_one < 0;
        failed += rc_one < 0 ? 0 : rc_one;
    }
    free_batch(&batch);
    return unless_killed(dead ? -EDEADLK : failed);
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
    int few[ON_STACK], *workers = batch->n > ON_STACK ? malloc(batch->n * sizeof *workers) : few;
    int rc = workers ? usp_fork_join(batch->all, batch->n, workers) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < batch->n; i++)
        if (workers[i] >= 0)
            usp_worker_of((unsigned)workers[i])->waiter = join.task;
    for (size_t i = 0; rc == 0 && i < batch->n; i++)
        if (usp_fork_launch(batch->all[i], workers[i], member_ended, &join, batch->n == 1) < 0) {
            join.failed++;
            join.left--;
        }
    usp_worker_watch();
    for (size_t i = 0; i < batch->n; i++)
        usp_process_release(batch->all[i]);
    if (workers != few)
        free(workers);
    return rc < 0 ? rc : wait_for(&join);
}

int uvcsp_par_at(const uvcsp_process *values, size_t n, const char *site)
{
    USP_ENTER();
    set_site(site);
    if (usp_light_mode())
        return uvcsp_co_at(values, n, site);
    struct batch batch;
    int rc = take_batch(&batch, values, n, "PAR");
    if (rc < 0)
        return rc;
    rc = run_forked(&batch);
    free_batch(&batch);
    return unless_killed(rc);
}

/* ---- the plain functions ---- */

int (uvcsp_par)(const uvcsp_process *values, size_t n)
{
    return uvcsp_par_at(values, n, "uvcsp_par");
}

int (uvcsp_co)(const uvcsp_process *values, size_t n)
{
    return uvcsp_co_at(values, n, "uvcsp_co");
}

int (uvcsp_seq)(const uvcsp_process *values, size_t n)
{
    return uvcsp_seq_at(values, n, "uvcsp_seq");
}
