/* What supervise.c, burial.c and orphans.c need of one another. */
#ifndef USP_RUNTIME_BURIAL_H
#define USP_RUNTIME_BURIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/worker.h"

/* Repairs what a dead worker has left half done, and tells everybody. `how`: NULL if its ends are to retire.
   Gives the count of deaths that the survivors must have seen. All of it may be done twice, if who
   does it first dies of it. */
uint32_t usp_put_right(unsigned index, const char *how);
/* The same, and when every survivor has looked, gives the blocks and the record back. */
void usp_bury(unsigned index, const char *how);

/* Is there a death that this worker has not seen, or a grave that may be cleared? */
bool usp_burial_pending(void);
void usp_burial_look(void);
/* In a new worker: the graves are the parent's. */
void usp_burial_forget(void);
void usp_burial_deinit(void);

/* In the root: has somebody ended who may have left children? Takes them over. */
bool usp_orphans_pending(void);
void usp_orphans_look(void);
void usp_orphans_deinit(void);

/* A worker does not run any more. */
void usp_uncount(struct usp_worker *worker);
/* It has ended, and what it has left is to be put right. `how`: the line for stderr, and the cause of poison; or NULL. */
void usp_end_badly(unsigned index, int code, const char *how, usp_ended_fn *ended, void *arg);
/* Waits for a child that is about to end. */
void usp_reap(pid_t pid);

#endif
