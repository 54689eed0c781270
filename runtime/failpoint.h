/* Failpoints: marked steps at which a test can have a worker die. In an ordinary build they are nothing; with
   -DUSP_FAILPOINTS each calls usp_failpoint(), which the test brings (tests/failpoint.c). */
#ifndef USP_RUNTIME_FAILPOINT_H
#define USP_RUNTIME_FAILPOINT_H

#ifdef USP_FAILPOINTS
void usp_failpoint(const char *name);
/* A child has been forked; nothing of it is done yet. */
void usp_failpoint_born(void);
#define USP_FAILPOINT(name) usp_failpoint(name)
#define USP_FAILPOINT_BORN() usp_failpoint_born()
#else
#define USP_FAILPOINT(name) ((void)0)
#define USP_FAILPOINT_BORN() ((void)0)
#endif

#endif
