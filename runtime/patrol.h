/* What supervise.c and patrol.c need of each other. */
#ifndef USP_RUNTIME_PATROL_H
#define USP_RUNTIME_PATROL_H

#include <stddef.h>

struct usp_worker;

/* How a worker has ended, as a line. `code`: what it exited with, or -signal. */
void usp_describe_end(const struct usp_worker *worker, int code, char *text, size_t size);

/* Starts looking around, once in each loop. 0 or -errno. */
int usp_patrol_start(void);
/* There is no loop any more. */
void usp_patrol_forget(void);

#endif
