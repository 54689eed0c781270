/* What supervise.c needs of burial.c. */
#ifndef USP_RUNTIME_BURIAL_H
#define USP_RUNTIME_BURIAL_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
