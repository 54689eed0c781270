/* Lets a worker die at a marked step of the library (runtime/failpoint.h). For tests linked with
   `failpoint_dep`, a build of the floors in which the marks count.

       failpoints_share();                      once, before the first fork
       ... in the victim ...
       failpoint_arm(n, NULL);                  the n-th mark from now on is its last
       failpoint_arm(n, "channel-locked");      the n-th of that name
       failpoint_arm_children(n, NULL);         the same for the next child that it forks
       ... in the root ...
       failpoint_died_at()                      the name of the mark, NULL if nobody has died of one
       failpoint_forget();

   A worker does not inherit from its parent what that has armed for itself. */
#ifndef TESTS_FAILPOINT_H
#define TESTS_FAILPOINT_H

#include <stdbool.h>

void failpoints_share(void);
void failpoint_arm(long nth, const char *name);
void failpoint_arm_children(long nth, const char *name);
const char *failpoint_died_at(void);
void failpoint_forget(void);

/* Whoever comes to a mark of that name in this worker calls `fn` there, and goes on. NULL: no more. */
void failpoint_call(const char *name, void (*fn)(void));

/* How it dies: SIGKILL, or what this does. */
void failpoint_die_by(void (*die)(void));

/* Calls `see` for each mark by name, in any order, some several times; `passed`: by some worker
   since failpoints_share(). */
void failpoint_each(void (*see)(const char *name, bool passed));

#endif
