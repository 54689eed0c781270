/* On which processor a new worker begins.

   The kernel puts a new process on an idle processor. For the last worker of a PAR that is the wrong one: its parent is
   about to sleep, so the processor where its memory lies in the caches is free at once, and an idle one has to be woken
   first; and where one was found for each of the others, this is the one that is left. So the parent says that it can run
   only where it is, forks, and takes that back, as the child does as the first that it does.

   A set of processors that was asked for is kept by the kernel for ever, even where the machine or the group gets more of
   them later. So where the set was what is to be had at all, what is asked for in the end is: all. */
#include <limits.h>
#include <sched.h>
#include <string.h>

#include "runtime/syscall.h"
#include "runtime/worker.h"

#define LONGS 16 /* 1,024 processors; where there are more the kernel chooses */
#define BITS (CHAR_BIT * sizeof(unsigned long))

struct set {
    unsigned long bits[LONGS];
};

static struct {
    long size;         /* of a set, in bytes */
    struct set found;  /* what the worker was allowed when it was last held ... */
    struct set asked;  /* ... and what to ask for to get that back */
} known;

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

static void get_to_know(const struct set *found, long size)
{
    struct set all, most;
    memset(&all, 0xff, sizeof all);
    bool is_all = ask_for(&all, size) && get(&most) == size && is_same(&most, found, size);
    known.size = size;
    known.found = *found;
    known.asked = is_all ? all : *found;
}

bool usp_affinity_hold(void)
{
    struct set found, here = {{0}};
    long size = get(&found);
    int processor = sched_getcpu();
    if (size <= 0 || processor < 0 || processor >= size * CHAR_BIT || !has_several(&found, size))
        return false;
    if (known.size != size || !is_same(&found, &known.found, size))
        get_to_know(&found, size);
    here.bits[(size_t)processor / BITS] = 1ul << ((size_t)processor % BITS);
    if (ask_for(&here, size))
        return true;
    usp_affinity_release();
    return false;
}

void usp_affinity_release(void)
{
    struct set all;
    memset(&all, 0xff, sizeof all);
    if (!ask_for(&known.asked, known.size)) /* none of them is left */
        (void)ask_for(&all, known.size);
}
