/* The tasks of this worker's processes. Those of processes that have ended are kept for the next ones, as they are: to
   others such a block lies in the worker's cache, and it goes with that if the worker dies. */
#include <string.h>

#include "process/process.h"
#include "runtime/young.h"

struct usp_kept_tasks usp_kept USP_YOUNG;

/* The arena is drained. */
static void give_back(void)
{
    if (usp_sched.idle)
        usp_rests(usp_sched.idle);
    while (usp_kept.first) {
        struct usp_task *task = usp_kept.first;
        usp_kept.first = task->mail_next;
        usp_task_give_up(task);
    }
    usp_kept.n = 0;
}

struct usp_task *usp_task_make(void)
{
    struct usp_task *task = usp_arena_alloc(sizeof *task, USP_BLOCK_TASK);
    if (!task)
        return NULL;
    memset(task, 0, sizeof *task);
    task->worker = (uint16_t)usp_worker_index();
    task->word = usp_arena_word(task);
    usp_wait_of(task)->first.task = task;
    usp_arena_drains = give_back;
    usp_kept.self = usp_worker_of(usp_worker_index());
    return task;
}

void usp_task_discard(struct usp_task *task)
{
    usp_common_leave(task, 0); /* of a process that did not come back from where it waited */
    usp_arena_free(usp_wait_of(task)->table);
    struct usp_uses *uses = task->uses;
    *(struct usp_uses *volatile *)&task->uses = NULL; /* who buries this worker must not look into what is somebody else's by then */
    atomic_signal_fence(memory_order_seq_cst);
    usp_arena_free(uses);
    usp_arena_free(task);
}

void usp_task_give_up(struct usp_task *task)
{
    usp_task_unshelve(task);
    usp_arena_free(task);
}

void usp_tasks_forget(void)
{
    usp_kept.first = NULL;
    usp_kept.n = 0;
}
