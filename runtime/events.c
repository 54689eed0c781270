#include "runtime/source.h"

#include <errno.h>

#include "runtime/task.h"
#include "runtime/worker.h"

void usp_event_init(struct usp_event *event)
{
    *event = (struct usp_event){.home = usp_runtime_home()};
}

bool usp_event_is_elsewhere(const struct usp_event *event)
{
    return !event->set && event->home != usp_runtime_home();
}

int usp_event_arm(struct usp_task *task, uint32_t index, struct usp_event *event)
{
    if (event->set)
        return usp_timer_arm(task, index, 0); /* true already: the task is told on the next pass */
    struct usp_source *source = usp_source_new(USP_SOURCE_EVENT, task, index, event);
    if (!source)
        return -ENOMEM;
    task->hope.event = event;
    task->hope.n_events += task->hope.n_events < UINT8_MAX;
    usp_source_link(source);
    usp_queue_append(&event->waiting, source);
    return 0;
}

void usp_event_disarm(struct usp_source *source)
{
    struct usp_event *event = source->subject;
    if (event)
        usp_queue_remove(&event->waiting, source);
    usp_source_free(source);
}

void usp_event_set(struct usp_event *event)
{
    event->set = true;
    struct usp_source *source;
    while ((source = event->waiting)) {
        usp_queue_remove(&event->waiting, source);
        source->subject = NULL; /* the event may be gone before its task runs */
        usp_source_fire(source);
    }
}
