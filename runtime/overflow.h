/* Stack overflow of a fibre: told by the name of its process, then the worker dies of SIGSEGV as it would
   have. A handler that the program has installed itself is left in place. */
#ifndef USP_RUNTIME_OVERFLOW_H
#define USP_RUNTIME_OVERFLOW_H

void usp_overflow_install(void);
void usp_overflow_remove(void);

#endif
