/* Failpoints: marked steps at which a test can have a worker die. In an ordinary build they are
   nothing; with -DUSP_FAILPOINTS each calls usp_failpoint(), which the test brings
   (tests/failpoint.c), and stands in the section usp_failpoints, so that a test can tell which of
   them it has never passed. */
#ifndef USP_RUNTIME_FAILPOINT_H
#define USP_RUNTIME_FAILPOINT_H

#ifdef USP_FAILPOINTS
void usp_failpoint(const char *name);
/* A child has been forked; nothing of it is done yet. */
void usp_failpoint_born(void);
#define USP_FAILPOINT(name)                                                                        \
    do {                                                                                           \
        static const char *const failpoint_ __attribute__((used, section("usp_failpoints"))) =     \
            name;                                                                                  \
        usp_failpoint(failpoint_);                                                                 \
    } while (0)
#define USP_FAILPOINT_BORN() usp_failpoint_born()
#else
#define USP_FAILPOINT(name) ((void)0)
#define USP_FAILPOINT_BORN() ((void)0)
#endif

#endif
