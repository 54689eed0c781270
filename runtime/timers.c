/* Timers. libuv counts in whole milliseconds of a loop time that is read once a pass and may come
   from a coarse clock. It lags behind the true time, by much when processes have run for long. So a
   deadline is taken from the true clock and rounded up to a whole millisecond, and libuv is given
   what is missing to it from the loop time, however stale that is: libuv adds the two again. When
   the lagging clock has reached a deadline the true one has passed it. A timer never fires early.

   Handles are not closed while the worker lives. A disarmed one goes to the pool, stopped. */
#include "runtime/source.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/scheduler.h"

#define NS_PER_MS 1000000
#define LONGEST 1e9 /* seconds: more than thirty years stand for ever */

struct timer {
    struct usp_source source; /* first, so that the one is the other */
    uv_timer_t handle;
};

static struct usp_pool pool = {.size = sizeof(struct timer)};

/* In milliseconds of the clock that the loop time comes from; 0 for at once. */
static uint64_t due_after(double seconds)
{
    if (!(seconds > 0)) /* nor a number at all */
        return 0;
    if (seconds > LONGEST)
        seconds = LONGEST;
    double ns = seconds * 1e9;
    uint64_t whole = (uint64_t)ns;
    return (uv_hrtime() + whole + ((double)whole < ns) + NS_PER_MS - 1) / NS_PER_MS;
}

static void fired(uv_timer_t *handle)
{
    usp_source_fire(handle->data);
}

static struct timer *take(void)
{
    bool is_new;
    struct timer *timer = (struct timer *)usp_pool_take(&pool, &is_new);
    if (timer && is_new) {
        uv_timer_init(usp_loop(), &timer->handle); /* cannot fail */
        uv_unref((uv_handle_t *)&timer->handle);   /* its task says that it waits for it */
        timer->handle.data = timer;
    }
    return timer;
}

int usp_timer_arm(struct usp_task *task, uint32_t index, double seconds)
{
    struct timer *timer = take();
    if (!timer)
        return -ENOMEM;
    timer->source.kind = USP_SOURCE_TIMER;
    timer->source.task = task;
    timer->source.index = index;
    usp_source_link(&timer->source);
    uint64_t due = due_after(seconds), now = uv_now(usp_loop());
    uv_timer_start(&timer->handle, fired, due > now ? due - now : 0,
                   0); /* only closing ones fail */
    return 0;
}

void usp_timer_disarm(struct usp_source *source)
{
    uv_timer_stop(&((struct timer *)source)->handle);
    usp_pool_give(&pool, source);
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void usp_timers_deinit(void)
{
    struct usp_source *source = usp_pool_empty(&pool);
    while (source) {
        struct usp_source *next = source->all;
        uv_close((uv_handle_t *)&((struct timer *)source)->handle, closed);
        source = next;
    }
}

void usp_timers_forget(void)
{
    usp_pool_forget(&pool);
}
