/* The tasks of this worker's processes. Those of processes that have ended are kept for the next ones, as they are: to
   others such a block lies in the worker's cache, and it goes with that if the worker dies. */
#include <string.h>

#include "process/process.h"
#include "runtime/arena.h"

#define MOST 1024 /* that are kept */

static struct usp_task *kept; /* linked by `mail_next` */
static unsigned n_kept;
static struct usp_worker *self;

/* The arena is drained. */
static void give_back(void)
{
    while (kept) {
        struct usp_task *task = kept;
        kept = task->mail_next;
        usp_arena_unshelve(task->word, USP_BLOCK_TASK);
        usp_arena_free(task);
    }
    n_kept = 0;
}

static __attribute__((noinline)) struct usp_task *another(void)
{
    struct usp_task *task = usp_arena_alloc(sizeof *task, USP_BLOCK_TASK);
    if (!task)
        return NULL;
    memset(task, 0, sizeof *task);
    task->worker = (uint16_t)usp_worker_index();
    task->word = usp_arena_word(task);
    usp_wait_of(task)->first.task = task;
    usp_arena_drains = give_back;
    self = usp_worker_of(usp_worker_index());
    return task;
}

struct usp_task *usp_task_new(const char *name)
{
    struct usp_task *task = kept;
    if (__builtin_expect(task != NULL, 1)) {
        kept = task->mail_next;
        n_kept--;
        task->hope.epoch++; /* whoever knew the last one that it was */
        usp_arena_unshelve(task->word, USP_BLOCK_TASK);
        USP_FAILPOINT("task-off-the-shelf");
    } else {
        task = another();
        if (!task)
            return NULL;
    }
    task->name = name;
    atomic_store_explicit(&self->tasks_made, /* nobody else writes it */
                          atomic_load_explicit(&self->tasks_made, memory_order_relaxed) + 1,
                          memory_order_release);
    return task;
}

void usp_task_free(struct usp_task *task)
{
    struct usp_wait *wait = usp_wait_of(task);
    if (wait->table) {
        usp_arena_free(wait->table);
        wait->table = NULL;
        wait->room = 0;
    }
    if (n_kept >= MOST) {
        usp_arena_free(task);
        return;
    }
    atomic_store_explicit(&task->commit, USP_NONE, memory_order_relaxed);
    task->waking = 0;
    task->flags = 0;
    task->site = NULL;
    wait->n = 0;
    task->hope.state = task->hope.sources = task->hope.n_events = task->hope.told = 0;
    task->hope.handle_of = 0;
    usp_arena_shelve(task->word);
    USP_FAILPOINT("task-shelved");
    task->mail_next = kept;
    kept = task;
    n_kept++;
}

void usp_tasks_forget(void)
{
    kept = NULL;
    n_kept = 0;
}
