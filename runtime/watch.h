#ifndef USP_RUNTIME_WATCH_H
#define USP_RUNTIME_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

/* A descriptor, close-on-exec, that can be read when the process may have ended; or -errno. The process is a child of this
   one. */
int usp_watch_open(pid_t pid);
/* The descriptor can be read: has the process ended? */
bool usp_watch_confirms(int fd, pid_t pid);
/* Any process of this machine, reaped or not. */
bool usp_process_has_ended(pid_t pid);
/* What wait() would give of a process that has ended and has not been reaped; else -1. */
int usp_zombie_status(pid_t pid);

#endif
