#include "tests/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/failpoint.h"

struct armed {
    long left; /* marks to pass; 0: not armed */
    const char *name;
};
static struct armed own, of_children;

/* Shared; names are string constants, at the same address in every worker. */
static struct {
    const char *died_at;
} *shared;

void failpoints_share(void)
{
    if (shared)
        return;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
}

void failpoint_arm(long nth, const char *name)
{
    own = (struct armed){nth, name};
}

void failpoint_arm_children(long nth, const char *name)
{
    of_children = (struct armed){nth, name};
}

const char *failpoint_died_at(void)
{
    return shared->died_at;
}

void failpoint_forget(void)
{
    shared->died_at = NULL;
}

void usp_failpoint(const char *name)
{
    if (own.left == 0 || (own.name && strcmp(own.name, name) != 0) || --own.left > 0)
        return;
    shared->died_at = name;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void usp_failpoint_born(void)
{
    own = of_children;
    of_children = (struct armed){0, NULL};
}
