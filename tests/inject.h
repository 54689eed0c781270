/* Makes the n-th call of a system or library function fail, with no hook in the product: a test linked
   with `inject_dep` has the calls of the floors (not those of libuv or libc) go through here.

       inject_fail("mmap", 2, ENOMEM);      the second call from now on fails, the others do not
       ... inject_calls("mmap") ...         how many there were since
       inject_stop();                       all calls go through again

   To walk every failure path: count the calls of a run that works, then fail each of them in turn. A
   forked worker inherits the state and then counts on its own. */
#ifndef TESTS_INJECT_H
#define TESTS_INJECT_H

#include <limits.h>

/* nth = 1 is the next call; 0 only counts; INJECT_ALL fails all of them. An unknown name aborts. */
#define INJECT_ALL INT_MAX
void inject_fail(const char *call, int nth, int error);
int inject_calls(const char *call);
void inject_stop(void);

#endif
