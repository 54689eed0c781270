#include "tests/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/failpoint.h"

#define MOST_MARKS 1024

struct armed {
    long left; /* marks to pass; 0: not armed */
    const char *name;
};
static struct armed own, of_children;
static void (*die_by)(void);

/* Names are string constants, at the same address in every worker. */
static struct {
    const char *died_at;
    _Atomic(const char *) passed[MOST_MARKS];
} *shared;

extern const char *const __start_usp_failpoints[] __attribute__((weak));
extern const char *const __stop_usp_failpoints[] __attribute__((weak));

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

static const char *calls_at;
static void (*calls)(void);

void failpoint_call(const char *name, void (*fn)(void))
{
    calls_at = name;
    calls = fn;
}

void failpoint_die_by(void (*die)(void))
{
    die_by = die;
}

static size_t hash(const char *name)
{
    size_t h = 5381;
    while (*name)
        h = h * 33 + (unsigned char)*name++;
    return h % MOST_MARKS;
}

/* A hash table that only grows. One name may lie at several addresses, for inline functions. */
static bool find(const char *name, bool add)
{
    size_t i = hash(name);
    for (size_t tries = 0; tries < MOST_MARKS; tries++, i = (i + 1) % MOST_MARKS) {
        const char *there = shared->passed[i];
        if (!there && add && atomic_compare_exchange_strong(&shared->passed[i], &there, name))
            return true;
        if (!there)
            return false;
        if (strcmp(there, name) == 0)
            return true;
    }
    return false;
}

void failpoint_each(void (*see)(const char *name, bool passed))
{
    for (const char *const *at = __start_usp_failpoints; at < __stop_usp_failpoints; at++)
        see(*at, find(*at, false));
}

void usp_failpoint(const char *name)
{
    if (!shared)
        return;
    find(name, true);
    if (calls && strcmp(calls_at, name) == 0)
        calls();
    if (own.left == 0 || (own.name && strcmp(own.name, name) != 0) || --own.left > 0)
        return;
    shared->died_at = name;
    if (die_by)
        die_by();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void usp_failpoint_born(void)
{
    own = of_children;
    of_children = (struct armed){0, NULL};
}
