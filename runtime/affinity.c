/* On which processor the only worker of a PAR begins: on its parent's, which is about to sleep.

   The memory of the two lies in the caches there. Elsewhere a processor may have to be woken first, and each page, page table
   and counter that both write to goes from one cache to the other. So the parent says that it can run only where it is,
   forks, and both take that back at once. With more than one worker the choice is the kernel's, which knows where each of
   them is.

   What the program asks for in handlers of its own (pthread_atfork), threads that it starts there, say, is not to inherit
   that. So ours are registered before those of anybody who comes later: then they are the last before
   the fork, and the first after it.

   A set of processors that was asked for is kept by the kernel for ever, even where the machine or the group gets more of
   them later. So where the set was what is to be had at all, what is asked for in the end is: all. Where
   it was a smaller one, it is asked for as it was found, which is what was asked for as long as all of those are to be had.

   A filter of system calls may kill who asks for one that it does not know: where there is any, nothing is asked. */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

#include "runtime/failpoint.h"
#include "runtime/syscall.h"
#include "runtime/worker.h"

#define LONGS 16 /* 1,024 processors; where there are more the kernel chooses */
#define BITS (CHAR_BIT * sizeof(unsigned long))

struct set {
    unsigned long bits[LONGS];
};

/* Of this thread: others may fork as well. That it is to be held, and, from before the fork to after it, that it is. */
static _Thread_local bool stays;

static struct {
    long size;       /* of a set, in bytes */
    struct set here; /* what was asked for ... */
    struct set back; /* ... and what is to be asked for to have what was there before */
} hold;

static long get(struct set *set)
{
    return usp_syscall(SYS_sched_getaffinity, 0, sizeof set->bits, (long)set->bits, 0);
}

static bool ask_for(const struct set *set, long size)
{
    return usp_syscall(SYS_sched_setaffinity, 0, size, (long)set->bits, 0) == 0;
}

static bool is_same(const struct set *a, const struct set *b, long size)
{
    return memcmp(a->bits, b->bits, (size_t)size) == 0;
}

static bool has_several(const struct set *set, long size)
{
    int n = 0;
    for (size_t i = 0; i < (size_t)size / sizeof *set->bits; i++)
        n += __builtin_popcountl(set->bits[i]);
    return n > 1;
}

static struct set all_processors(void)
{
    struct set all;
    memset(&all, 0xff, sizeof all);
    return all;
}

/* What to ask for to have what was found. It is asked for, too. */
static struct set same_again(const struct set *found, long size)
{
    struct set all = all_processors(), most;
    if (ask_for(&all, size) && get(&most) == size && is_same(&most, found, size))
        return all;
    (void)ask_for(found, size);
    return *found;
}

/* (-EINVAL: by a kernel that has no filters.) */
static bool is_filtered(void)
{
    long mode = usp_syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0);
    return mode != 0 && mode != -EINVAL;
}

/* False: it is not, and can run where it could. */
static bool hold_here(void)
{
    struct set found;
    long size = get(&found);
    int processor = sched_getcpu();
    if (size <= 0 || processor < 0 || processor >= size * CHAR_BIT || !has_several(&found, size))
        return false;
    hold.size = size;
    hold.back = same_again(&found, size);
    memset(&hold.here, 0, sizeof hold.here);
    hold.here.bits[(size_t)processor / BITS] = 1ul << ((size_t)processor % BITS);
    bool held = ask_for(&hold.here, size);
    USP_FAILPOINT("held-to-fork");
    return held;
}

static void before_fork(void)
{
    stays = stays && hold_here();
}

/* Unless somebody else has asked for another set meanwhile. */
static void after_fork(void)
{
    if (!stays)
        return;
    stays = false;
    struct set now, all = all_processors();
    if (get(&now) == hold.size && !is_same(&now, &hold.here, hold.size))
        return;
    if (!ask_for(&hold.back, hold.size)) /* none of them is left */
        (void)ask_for(&all, hold.size);
}

__attribute__((constructor(101))) static void be_the_first(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

void usp_affinity_stay(void)
{
    stays = !is_filtered();
}
