/* Jobs: the tasks of one call, and what the program sees of them, a result. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/pool.h"
#include "runtime/report.h"

static size_t times(size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX ? 0 : bytes ? bytes : 1;
}

static void free_job(uvcsp_result *job)
{
    for (size_t i = 0; job->failures && i < job->n; i++)
        free(job->failures[i]);
    free(job->failures);
    free(job->came);
    free(job->arguments);
    free(job->results);
    free(job->items);
    free(job);
}

void usp_job_unref(uvcsp_result *job)
{
    if (--job->refs == 0)
        free_job(job);
}

static size_t chunk_of(const uvcsp_pool *pool, size_t n, int chunk, enum uvcsp_pool_order order)
{
    size_t shares = 4 * (size_t)pool->n_slots;
    if (chunk > 0)
        return (size_t)chunk;
    return order != UVCSP_POOL_ALL || n == 0 ? 1 : (n + shares - 1) / shares;
}

uvcsp_result *usp_job_new(uvcsp_pool *pool, uvcsp_task *task, const void *arguments, size_t n,
                          size_t argument_size, size_t result_size, int chunk,
                          enum uvcsp_pool_order order)
{
    size_t arguments_bytes = times(n, argument_size), results_bytes = times(n, result_size);
    uvcsp_result *job = calloc(1, sizeof *job);
    if (!job || !arguments_bytes || !results_bytes) {
        free(job);
        return NULL;
    }
    job->refs = 1;
    job->n = n;
    job->items = calloc(n + 1, 1);
    job->arguments = malloc(arguments_bytes);
    job->results = calloc(1, results_bytes);
    job->came = order == UVCSP_POOL_UNORDERED ? calloc(n + 1, sizeof *job->came) : NULL;
    if (!job->items || !job->arguments || !job->results ||
        (order == UVCSP_POOL_UNORDERED && !job->came)) {
        free_job(job);
        return NULL;
    }
    if (n > 0)
        memcpy(job->arguments, arguments, n * argument_size);
    job->task = task;
    job->order = order;
    job->argument_size = argument_size;
    job->result_size = result_size;
    job->chunk = chunk_of(pool, n, chunk, order);
    job->last = SIZE_MAX;
    usp_handle_init(&job->all);
    usp_handle_init(&job->some);
    job->all.light = job->some.light = true;
    return job;
}

/* ---- what comes in ---- */

static void came(uvcsp_result *job, size_t index, int state)
{
    job->items[index] = (uint8_t)state;
    if (job->came)
        job->came[job->n_done] = (uint32_t)index;
    job->n_done++;
}

static bool has_next(const uvcsp_result *job)
{
    if (job->taken == job->n)
        return true; /* that there is none */
    return job->came ? job->taken < job->n_done : job->items[job->taken] != USP_ITEM_WAITS;
}

/* After something came in. The job may be gone afterwards. */
static void tell(uvcsp_result *job)
{
    if (job->order != UVCSP_POOL_ALL && !job->some.ended.set && has_next(job))
        usp_event_set(&job->some.ended);
    if (job->n_done < job->n || job->all.ended.set)
        return;
    job->all.code = 0;
    usp_event_set(&job->all.ended);
    if (job->live_at) {
        *job->live_at = job->live_next;
        if (job->live_next)
            job->live_next->live_at = job->live_at;
        job->live_at = NULL;
        usp_job_unref(job);
    }
}

void usp_job_done(uvcsp_result *job, size_t first, size_t n, const void *results)
{
    for (size_t i = 0; i < n; i++) {
        if (job->items[first + i] != USP_ITEM_WAITS)
            continue;
        memcpy(job->results + (first + i) * job->result_size,
               (const char *)results + i * job->result_size, job->result_size);
        came(job, first + i, USP_ITEM_DONE);
    }
    tell(job);
}

void usp_job_failed(uvcsp_result *job, size_t index, int status, int code, const char *message,
                    size_t length)
{
    if (job->items[index] != USP_ITEM_WAITS)
        return;
    struct usp_failure *failure = malloc(sizeof *failure + length + 1);
    if (!job->failures)
        job->failures = calloc(job->n, sizeof *job->failures);
    if (!job->failures || !failure)
        usp_fatal("pool: no memory to say that a task has failed: %s", message);
    memcpy(failure->text, message, length);
    failure->text[length] = '\0';
    failure->error = (uvcsp_task_error){status, code, failure->text};
    job->failures[index] = failure;
    job->n_failed++;
    came(job, index, USP_ITEM_FAILED);
    tell(job);
}

/* ---- what the program sees ---- */

static uvcsp_result *check(uvcsp_result *result, const char *what)
{
    USP_ENTER();
    if (!result)
        usp_report("%s: the result is NULL", what);
    return result;
}

/* ---- waiting: another process may free the result meanwhile ---- */

static void unref(void *result)
{
    usp_job_unref(result);
}

/* Until let_go(), also if this process is killed. */
static int hold(uvcsp_result *result, bool waits)
{
    if (!waits)
        return 0;
    int rc = usp_defer_always(unref, result);
    if (rc == 0)
        result->refs++;
    return rc;
}

static void let_go(bool waits)
{
    if (waits)
        usp_defer_done();
}

static bool must_wait(const struct uvcsp_handle *handle, double seconds)
{
    return !handle->ended.set && seconds != 0 && usp_current()->task;
}

int (uvcsp_result_wait)(uvcsp_result *result, double seconds)
{
    return check(result, "uvcsp_result_wait") ? uvcsp_join_at(&result->all, seconds, "uvcsp_result_wait") : -EINVAL; /* it is not looked at again */
}

bool uvcsp_result_ready(uvcsp_result *result)
{
    return check(result, "uvcsp_result_ready") && result->all.ended.set;
}

bool uvcsp_result_successful(uvcsp_result *result)
{
    return check(result, "uvcsp_result_successful") && result->all.ended.set &&
           result->n_failed == 0;
}

static bool size_is_good(const uvcsp_result *result, size_t size, const char *what)
{
    if (size == result->result_size)
        return true;
    usp_report("%s: a result has %zu bytes, not %zu", what, result->result_size, size);
    return false;
}

static int get(uvcsp_result *result, void *results, double seconds)
{
    int rc = uvcsp_join_at(&result->all, seconds, "uvcsp_result_wait");
    if (rc != UVCSP_OK)
        return rc;
    if (results && result->n > 0)
        memcpy(results, result->results, result->n * result->result_size);
    for (size_t i = 0; result->n_failed > 0 && i < result->n; i++)
        if (result->items[i] == USP_ITEM_FAILED)
            return result->failures[i]->error.status;
    return UVCSP_OK;
}

int (uvcsp_result_get_into)(uvcsp_result *result, void *results, size_t size, double seconds)
{
    if (!check(result, "uvcsp_result_get") || (results && !size_is_good(result, size, "uvcsp_result_get")) ||
        !usp_timeout_is_good(seconds, "uvcsp_result_get"))
        return -EINVAL;
    bool waits = must_wait(&result->all, seconds);
    int rc = hold(result, waits);
    if (rc == 0) {
        rc = get(result, results, seconds);
        let_go(waits);
    }
    return rc;
}

/* UVCSP_OK: there is a next one, or there are no more. */
static int await_next(uvcsp_result *result, double seconds)
{
    double deadline = seconds > 0 ? uvcsp_now() + seconds : 0;
    while (!has_next(result)) {
        double left = seconds > 0 ? deadline - uvcsp_now() : seconds;
        if (seconds >= 0 && left <= 0)
            return UVCSP_TIMEOUT;
        result->some.ended.set = false;
        int rc = uvcsp_join_at(&result->some, left, "uvcsp_result_wait");
        if (rc < 0)
            return rc;
    }
    return UVCSP_OK;
}

static int next(uvcsp_result *result, void *p, double seconds)
{
    int rc = await_next(result, seconds);
    if (rc != UVCSP_OK)
        return rc;
    if (result->taken == result->n)
        return UVCSP_RETIRED;
    size_t i = result->came ? result->came[result->taken] : result->taken;
    result->taken++;
    result->last = i;
    if (p)
        memcpy(p, result->results + i * result->result_size, result->result_size);
    return result->items[i] == USP_ITEM_FAILED ? result->failures[i]->error.status : UVCSP_OK;
}

int (uvcsp_result_next_into)(uvcsp_result *result, void *p, size_t size, double seconds)
{
    const char *what = "uvcsp_result_next";
    if (!check(result, what) || (p && !size_is_good(result, size, what)) || !usp_timeout_is_good(seconds, what))
        return -EINVAL;
    if (result->order == UVCSP_POOL_ALL) {
        usp_report("%s: these results are not handed out one by one", what);
        return -EINVAL;
    }
    bool waits = !has_next(result) && seconds != 0 && usp_current()->task;
    int rc = hold(result, waits);
    if (rc == 0) {
        rc = next(result, p, seconds);
        let_go(waits);
    }
    return rc;
}

long uvcsp_result_index(uvcsp_result *result)
{
    return check(result, "uvcsp_result_index") ? (long)result->last : -EINVAL;
}

size_t uvcsp_result_failed(uvcsp_result *result)
{
    return check(result, "uvcsp_result_failed") ? result->n_failed : 0;
}

const uvcsp_task_error *uvcsp_result_error(uvcsp_result *result, size_t index)
{
    if (!check(result, "uvcsp_result_error") || index >= result->n || !result->failures ||
        !result->failures[index])
        return NULL;
    return &result->failures[index]->error;
}

uvcsp_handle *uvcsp_result_handle(uvcsp_result *result)
{
    return check(result, "uvcsp_result_handle") ? &result->all : NULL;
}

void uvcsp_result_free(uvcsp_result *result)
{
    USP_ENTER();
    if (result)
        usp_job_unref(result);
}
