/* Sources: what a task can wait for that is no channel. A timer, a descriptor, a signal, an event (a
   condition inside this worker, such as the end of a process).

   Every source has one shape. A task arms sources with the index that it wants to be told, opens its
   commit word and parks. When the thing happens, on the loop, the source claims the task with that index and
   wakes it; if somebody else has claimed it already, nothing happens. After the wait the task disarms
   all of them with one call. Sources live in private memory, in pools; a signal's and a descriptor's libuv
   handle is shared by all tasks of the worker that wait for the same one. */
#ifndef USP_RUNTIME_SOURCES_H
#define USP_RUNTIME_SOURCES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

enum usp_source_kind { USP_SOURCE_TIMER, USP_SOURCE_FD, USP_SOURCE_SIGNAL, USP_SOURCE_EVENT };

struct usp_task;
struct usp_source; /* linked in the fibre of its task: usp_fibre.sources */

/* Something that comes true once and stays so. */
struct usp_event {
    bool set;
    pid_t home;  /* of its worker: in others there is a copy, which nobody sets */
    struct usp_source *waiting;
};

/* All of these: 0, or -errno and then nothing is armed. Only for the running task. */
int usp_timer_arm(struct usp_task *task, uint32_t index, double seconds);
int usp_fd_arm(struct usp_task *task, uint32_t index, int fd, int events);
int usp_signal_arm(struct usp_task *task, uint32_t index, int signum);
int usp_event_arm(struct usp_task *task, uint32_t index, struct usp_event *event);

/* Sources of this worker's tasks that are armed, events not counted: what may happen without anybody's doing. */
extern unsigned usp_sources_armed;

/* Disarms all sources of the task. */
void usp_sources_disarm(struct usp_task *task);

/* Is the descriptor ready now? 1, 0, or -errno (-EBADF). A regular file is always ready. */
int usp_fd_ready(int fd, int events);

/* Installs the handler of a signal in this worker, once; deliveries are counted from then on. */
int usp_signal_watch(int signum);
/* Takes one delivery: true if there was one. */
bool usp_signal_take(int signum);

void usp_event_init(struct usp_event *event);
/* Is this a copy of another worker's, which was not set when it was made? */
bool usp_event_is_elsewhere(const struct usp_event *event);
/* Sets the event and wakes who waits for it. Idempotent. */
void usp_event_set(struct usp_event *event);

/* Runs fn(arg) on libuv's thread pool while the calling fibre is parked. 0 or -errno. */
int usp_blocking(void (*fn)(void *), void *arg);

/* Makes the sources of this worker on its loop; in a new worker after fork the parent's are forgotten
   (their memory is a private copy, never closed). */
int usp_sources_init(uv_loop_t *loop);
/* Stops and closes every handle; the caller then runs the loop until they are gone. */
void usp_sources_deinit(void);
/* In a new worker, before anything else and with all signals blocked: takes the parent's signal
   handlers out of libuv's process-wide tree and resets their dispositions, so that they cannot write into a
   descriptor that the child has closed or reused. `loop` is the parent's loop, a private copy. */
void usp_sources_forget(uv_loop_t *loop);

#endif
