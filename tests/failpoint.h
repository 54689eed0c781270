/* Lets a worker die at a marked step of the library (runtime/failpoint.h). For tests linked with `failpoint_dep`,
   a build of the floors in which the marks count.

       failpoints_share();                      once, before the first fork
       ... in the victim ...
       failpoint_arm(n, NULL);                  the n-th mark from now on is its last
       failpoint_arm(n, "channel-locked");      the n-th of that name
       failpoint_arm_children(n, NULL);         the same for each child that it forks from now on
       ... in the root ...
       failpoint_died_at()                      the name of the mark, NULL if nobody has died
       failpoint_forget();

   A worker does not inherit from its parent what that has armed for itself. */
#ifndef TESTS_FAILPOINT_H
#define TESTS_FAILPOINT_H

void failpoints_share(void);
void failpoint_arm(long nth, const char *name);
void failpoint_arm_children(long nth, const char *name);
const char *failpoint_died_at(void);
void failpoint_forget(void);

#endif
