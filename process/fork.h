/* Processes in forked workers. */
#ifndef USP_PROCESS_FORK_H
#define USP_PROCESS_FORK_H

#include "process/process.h"
#include "runtime/worker.h"

/* Reserves a worker for each process and joins the channels of all. 0 and their indices, -EAGAIN where the table
   of workers is full; or -errno, and nothing was joined. */
int usp_fork_join(struct usp_process **processes, size_t n, int *workers);
/* Forks it. `rests`: the caller is about to wait. 0; or -errno with a line on stderr, and its ends are poisoned with the cause. */
int usp_fork_launch(struct usp_process *process, int worker, usp_ended_fn *ended, void *arg, bool rests);

#endif
