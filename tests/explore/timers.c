#include "tests/explore/timers.h"

#include <string.h>

#include "runtime/sources.h"
#include "runtime/worker.h"
#include "tests/explore/actors.h"

unsigned timers_armed;
static struct {
    struct usp_task *task;
    uint32_t index;
} armed[MOST_ACTORS];

int __real_usp_timer_arm(struct usp_task *task, uint32_t index, double seconds);
int __wrap_usp_timer_arm(struct usp_task *task, uint32_t index, double seconds);
void __real_usp_sources_disarm(struct usp_task *task);
void __wrap_usp_sources_disarm(struct usp_task *task);

int __wrap_usp_timer_arm(struct usp_task *task, uint32_t index, double seconds)
{
    if (seconds < AN_HOUR - 60)
        return __real_usp_timer_arm(task, index, seconds);
    MUST(timers_armed < MOST_ACTORS);
    armed[timers_armed].task = task;
    armed[timers_armed++].index = index;
    usp_sources_armed++;
    return 0;
}

static void forget(unsigned i)
{
    timers_armed--;
    usp_sources_armed--;
    memmove(&armed[i], &armed[i + 1], (timers_armed - i) * sizeof armed[0]);
}

void __wrap_usp_sources_disarm(struct usp_task *task)
{
    for (unsigned i = timers_armed; i-- > 0;)
        if (armed[i].task == task)
            forget(i);
    __real_usp_sources_disarm(task);
}

void timer_goes_off(unsigned i)
{
    struct usp_task *task = armed[i].task;
    uint32_t index = armed[i].index;
    unsigned actor = 0;
    while (actor < MOST_ACTORS && run_tasks[actor] != task)
        actor++;
    MUST(actor < MOST_ACTORS);
    forget(i);
    if (!usp_task_claim(task, usp_worker_index(), index))
        return;
    happened(&(struct event){.what = TIME_IS_UP, .actor = (uint8_t)actor});
    usp_wake(task);
}
