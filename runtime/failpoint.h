/* Failpoints: marked steps at which a test can have a worker die. In an ordinary build they are
   nothing; with -DUSP_FAILPOINTS each calls usp_failpoint(), which the test brings
   (tests/failpoint.c), and stands in the section usp_failpoints, so that a test can tell which of
   them it has never passed.

   With -DUSP_EXPLORE they are places at which another worker may go on, and so are USP_MARKs, at which nothing is lost
   by a crash; tests/explore/control.c decides who does. A worker that spins says for which word it does, to become 0, and
   one that is about to sleep says on which word it does; NULL: in its loop. */
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
#define USP_FAILPOINT(name) USP_MARK(name)
#define USP_FAILPOINT_BORN() ((void)0)
#endif

#ifdef USP_EXPLORE
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
void usp_mark(const char *name);
void usp_spins(const volatile void *word, size_t size);
void usp_sleeps(const _Atomic uint32_t *word);
#define USP_MARK(name) usp_mark(name)
#define USP_SPINS(word) usp_spins(word, sizeof *(word)) /* of 2 or 4 bytes */
#define USP_SLEEPS(word) usp_sleeps(word)
#else
#define USP_MARK(name) ((void)0)
#define USP_SPINS(word) ((void)0)
#define USP_SLEEPS(word) ((void)0)
#endif

#endif
