/* The worker's side of a pool, and what a task can call. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uvcsp/queue.h>

#include "ipc/pool.h"
#include "runtime/report.h"
#include "runtime/worker.h"

struct worker {
    struct worker *next;
    const struct usp_process *process;
    void *context;
    _Atomic uint64_t *begun;
    void *order;    /* the message that it is at */
    char *buffer;   /* the answer: header, results */
    char *failures; /* what comes behind them */
    size_t buffer_size, failures_size, failures_room;
    uint32_t n_failed;
    char message[USP_POOL_MESSAGE];
};

static struct worker *workers; /* more than one where they are light */

static void free_worker(void *arg)
{
    struct worker *worker = arg;
    struct worker **at = &workers;
    while (*at && *at != worker)
        at = &(*at)->next;
    if (*at)
        *at = worker->next;
    free(worker->order);
    free(worker->buffer);
    free(worker->failures);
    free(worker);
}

int uvcsp_task_fail(int code, const char *format, ...)
{
    USP_ENTER();
    const struct usp_process *process = usp_process_current();
    struct worker *worker = workers;
    while (worker && worker->process != process)
        worker = worker->next;
    if (worker) {
        va_list args;
        va_start(args, format);
        vsnprintf(worker->message, sizeof worker->message, format, args);
        va_end(args);
    }
    return code ? code : EINVAL;
}

/* ---- one order ---- */

static bool grow(char **buffer, size_t *room, size_t size)
{
    if (size <= *room)
        return true;
    size_t more = size > *room + *room / 2 ? size : *room + *room / 2;
    char *bigger = realloc(*buffer, more);
    if (!bigger)
        return false;
    *buffer = bigger;
    *room = more;
    return true;
}

static bool note_failure(struct worker *worker, uint32_t index, int code)
{
    struct usp_pool_failure failure = {index, code, (uint32_t)strlen(worker->message)};
    size_t size = worker->failures_size + sizeof failure + failure.length;
    if (!grow(&worker->failures, &worker->failures_room, size))
        return false;
    memcpy(worker->failures + worker->failures_size, &failure, sizeof failure);
    memcpy(worker->failures + worker->failures_size + sizeof failure, worker->message,
           failure.length);
    worker->failures_size = size;
    worker->n_failed++;
    return true;
}

static bool answer(struct worker *worker, UVCSP_OUT_END(uvcsp_bytes) answers,
                   const struct usp_pool_order *order, uint32_t first, uint32_t n,
                   uint64_t nanoseconds)
{
    struct usp_pool_answer head = {
        .seq = order->seq,
        .first = first,
        .n = n,
        .n_failed = worker->n_failed,
        .nanoseconds = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds,
    };
    size_t size = sizeof head + n * order->result_size;
    if (!grow(&worker->buffer, &worker->buffer_size, size + worker->failures_size))
        return false;
    memcpy(worker->buffer, &head, sizeof head);
    if (worker->failures_size > 0)
        memcpy(worker->buffer + size, worker->failures, worker->failures_size);
    uvcsp_bytes bytes = {worker->buffer, size + worker->failures_size};
    worker->n_failed = 0;
    worker->failures_size = 0;
    return uvcsp_end_write(answers, &bytes, -1, "pool worker") == UVCSP_OK;
}

/* A task with parameters of other pointer types is called here as one of void pointers. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
static int
call(struct worker *worker, const struct usp_pool_order *order, const void *argument, void *result)
{
    worker->message[0] = '\0';
    usp_serving(false);
    usp_is_as_new();
    int code = order->task(argument, result, worker->context);
    usp_serving(true);
    return code;
}

/* False: the answer cannot be given, and the worker ends, which is an answer too. */
static bool carry_out(struct worker *worker, const struct usp_pool_order *order,
                      UVCSP_OUT_END(uvcsp_bytes) answers)
{
    if (!grow(&worker->buffer, &worker->buffer_size,
              sizeof(struct usp_pool_answer) + order->n * order->result_size))
        return false;
    const char *arguments = (const char *)(order + 1);
    uint64_t begin = uv_hrtime(), told = begin, now = begin;
    uint32_t from = 0;
    for (uint32_t i = 0; i < order->n; i++) {
        char *result =
            worker->buffer + sizeof(struct usp_pool_answer) + (i - from) * order->result_size;
        memset(result, 0, order->result_size);
        atomic_store_explicit(worker->begun, usp_pool_begun(order->seq, order->first + i),
                              memory_order_release);
        int code = call(worker, order, arguments + i * order->argument_size, result);
        if (code != 0) {
            memset(result, 0, order->result_size);
            if (!note_failure(worker, i - from, code))
                return false;
        }
        now = uv_hrtime();
        if (i + 1 < order->n && now - told < USP_POOL_PATIENCE)
            continue;
        if (!answer(worker, answers, order, order->first + from, i + 1 - from, now - begin))
            return false;
        from = i + 1;
        told = now;
    }
    return true;
}

/* ---- the process ---- */

/* SIGTERM is how a pool ends a worker that is in the middle of a task: no crash, and nothing to be
   said of it. */
static void leave(int signum)
{
    (void)signum;
    _exit(0);
}

static struct worker *new_worker(const struct usp_slot *slot)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker || usp_defer_always(free_worker, worker) != 0) {
        free(worker);
        return NULL;
    }
    worker->process = usp_process_current();
    worker->begun = slot->begun;
    worker->next = workers;
    workers = worker;
    return worker;
}

UVCSP_PROCESS(pool_worker, VAL(struct usp_slot *, slot), VAL(void *, orders),
              OUT(uvcsp_bytes, answers))
{
    if (!usp_light_mode()) {
        struct sigaction action = {.sa_handler = leave};
        sigaction(SIGTERM, &action, NULL);
    }
    struct worker *worker = new_worker(slot);
    if (!worker)
        return;
    const uvcsp_pool_options options = slot->pool->options;
    worker->context = options.initializer ? options.initializer(options.initarg) : options.initarg;
    struct usp_pool_order none = {0};
    usp_serving(true);
    bool good = answer(worker, answers, &none, 0, 0, 0);
    while (good) {
        uvcsp_bytes message;
        if (uvcsp_queue_get_into(orders, &message, -1, "pool worker") != UVCSP_OK)
            return;
        worker->order = message.data;
        good = carry_out(worker, message.data, answers);
        free(message.data);
        worker->order = NULL;
    }
    usp_report("pool '%s': no memory for an answer", slot->pool->name);
}

uvcsp_process usp_pool_worker(struct usp_slot *slot)
{
    UVCSP_CHAN(uvcsp_bytes) answers = uvcsp_queue_channel(slot->answers);
    return pool_worker(slot, slot->orders, answers);
}
