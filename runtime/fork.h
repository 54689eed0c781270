/* What fork.c and worker.c need of each other. */
#ifndef USP_RUNTIME_FORK_H
#define USP_RUNTIME_FORK_H

#include <sys/types.h>

/* This operating-system process is a worker of its own now. */
void usp_worker_set_home(pid_t pid);
/* Ends the worker if it is done. The hook of the scheduler's of that name. */
void usp_worker_finished(void);

/* In a new worker: it has a loop now, or, with -errno, can have none, and ends. */
void usp_worker_opened(int error);

#endif
