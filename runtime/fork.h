/* What fork.c and worker.c need of each other. */
#ifndef USP_RUNTIME_FORK_H
#define USP_RUNTIME_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* This operating-system process is a worker of its own now. */
void usp_worker_set_home(pid_t pid);
/* Ends the worker if it is done. The hook of the scheduler's of that name. */
void usp_worker_finished(void);

/* In a new worker: it has a loop now, or, with -errno, can have none, and ends. */
void usp_worker_opened(int error);

/* terminate.c. The handler of SIGTERM, where the program has none. */
void usp_terminate_install(void);
/* In a new worker. */
void usp_terminate_forget(void);
/* As if somebody else had sent it SIGTERM; may be called in a signal handler. */
void usp_terminate_itself(void);
/* It has been asked: tells the processes, once. */
void usp_terminate_look(void);
/* Was a process ended by it? */
bool usp_terminate_has_cut(void);
void usp_die_of_sigterm(void);
/* The kernel will send the signal to this process. */
void usp_die_later(int signum, long ms);

#endif
