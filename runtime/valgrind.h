/* Whether this is a program under valgrind, and what that is told, if its headers were there at the build. */
#ifndef USP_RUNTIME_VALGRIND_H
#define USP_RUNTIME_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Known by what it preloads, whether or not its headers were there. */
static inline bool usp_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "/vgpreload_");
}

#ifdef HAVE_VALGRIND_H
#include <valgrind/memcheck.h>
/* A variable may be looked at, whatever is in it. */
#define USP_DEFINED(x) ((void)VALGRIND_MAKE_MEM_DEFINED(&(x), sizeof(x)))
#else
#define USP_DEFINED(x) ((void)(x))
#endif

#endif
