/* What fork.c and worker.c need of each other. */
#ifndef USP_RUNTIME_FORK_H
#define USP_RUNTIME_FORK_H

/* This operating-system process is a worker of its own now. */
void usp_worker_set_home(void);
/* Ends the worker if it is done. The hook of the scheduler's of that name. */
void usp_worker_finished(void);

#endif
