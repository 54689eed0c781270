#include "runtime/source.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/fibre.h"
#include "runtime/scheduler.h"
#include "runtime/task.h"
#include "runtime/young.h"

static struct usp_pool plain = {.size = sizeof(struct usp_source)}; /* those without a timer */
static uv_prepare_t before_sleep USP_YOUNG;
unsigned usp_sources_armed USP_YOUNG;

struct usp_source *usp_pool_take(struct usp_pool *pool, bool *newp)
{
    struct usp_source *source = pool->free;
    *newp = !source;
    if (source) {
        pool->free = source->of_task;
        return source;
    }
    source = pool->left;
    if (source)
        pool->left = source->all;
    else if (!(source = malloc(pool->size)))
        return NULL;
    memset(source, 0, pool->size);
    source->all = pool->all;
    pool->all = source;
    if (!source->all)
        pool->oldest = source;
    return source;
}

void usp_pool_give(struct usp_pool *pool, struct usp_source *source)
{
    source->of_task = pool->free;
    pool->free = source;
}

static void free_all(struct usp_source *source)
{
    while (source) {
        struct usp_source *next = source->all;
        free(source);
        source = next;
    }
}

void usp_pool_forget(struct usp_pool *pool)
{
    if (!pool->all)
        return;
    pool->oldest->all = pool->left;
    pool->left = pool->all;
    pool->free = pool->all = NULL;
}

struct usp_source *usp_pool_empty(struct usp_pool *pool)
{
    struct usp_source *all = pool->all;
    free_all(pool->left);
    pool->free = pool->all = pool->left = NULL;
    return all;
}

struct usp_source *usp_source_new(enum usp_source_kind kind, struct usp_task *task, uint32_t index,
                                  void *subject)
{
    bool is_new;
    struct usp_source *source = usp_pool_take(&plain, &is_new);
    if (!source)
        return NULL;
    source->kind = kind;
    source->task = task;
    source->index = index;
    source->subject = subject;
    return source;
}

void usp_source_free(struct usp_source *source)
{
    usp_pool_give(&plain, source);
}

void usp_source_link(struct usp_source *source)
{
    struct usp_fibre *fibre = source->task->fibre;
    source->of_task = fibre->sources;
    fibre->sources = source;
    source->task->hope.sources |= (uint8_t)(1 << source->kind);
    usp_sources_armed += source->kind != USP_SOURCE_EVENT;
}

bool usp_source_fire(struct usp_source *source)
{
    if (!usp_task_claim(source->task, usp_worker_index(), source->index))
        return false;
    usp_wake(source->task);
    return true;
}

void usp_queue_append(struct usp_source **queue, struct usp_source *source)
{
    struct usp_source *first = *queue;
    source->next = NULL;
    if (!first) {
        source->prev = source;
        *queue = source;
        return;
    }
    source->prev = first->prev;
    source->prev->next = source;
    first->prev = source;
}

void usp_queue_remove(struct usp_source **queue, struct usp_source *source)
{
    struct usp_source *first = *queue;
    if (source->next)
        source->next->prev = source->prev;
    else
        first->prev = source->prev;
    if (source == first)
        *queue = source->next;
    else
        source->prev->next = source->next;
    source->next = source->prev = NULL;
}

static void (*const disarm[])(struct usp_source *) = {
    [USP_SOURCE_TIMER] = usp_timer_disarm,
    [USP_SOURCE_FD] = usp_fd_disarm,
    [USP_SOURCE_SIGNAL] = usp_signal_disarm,
    [USP_SOURCE_EVENT] = usp_event_disarm,
};

void usp_sources_disarm(struct usp_task *task)
{
    struct usp_source *source = task->fibre->sources;
    task->fibre->sources = NULL;
    task->hope.sources = task->hope.n_events = 0;
    while (source) {
        struct usp_source *next = source->of_task;
        usp_sources_armed -= source->kind != USP_SOURCE_EVENT;
        disarm[source->kind](source);
        source = next;
    }
}

/* A turn of the loop runs the timers that are due and then sleeps, even if they have made a fibre
   ready, until something else happens. This is called in between. */
static void sleep_only_when_idle(uv_prepare_t *handle)
{
    if (usp_sched.head)
        uv_stop(handle->loop); /* this turn polls without waiting; the next is not affected */
}

/* Every kind makes its handles when they are first needed. */
int usp_sources_init(uv_loop_t *loop)
{
    uv_prepare_init(loop, &before_sleep); /* neither can fail */
    uv_prepare_start(&before_sleep, sleep_only_when_idle);
    uv_unref((uv_handle_t *)&before_sleep);
    return 0;
}

void usp_sources_deinit(void)
{
    if (before_sleep.loop && !uv_is_closing((uv_handle_t *)&before_sleep))
        uv_close((uv_handle_t *)&before_sleep, NULL);
    usp_timers_deinit();
    usp_fds_deinit();
    usp_signals_deinit();
    usp_sources_armed = 0;
    free_all(usp_pool_empty(&plain));
}

void usp_sources_forget(uv_loop_t *loop)
{
    if (usp_sched.loop) { /* without one there are only events */
        usp_signals_forget(loop);
        usp_timers_forget();
        usp_fds_forget();
    }
    usp_pool_forget(&plain);
    usp_sources_armed = 0;
}
