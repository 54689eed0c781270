/* What valgrind is told, if its headers were there at the build. */
#ifndef USP_RUNTIME_VALGRIND_H
#define USP_RUNTIME_VALGRIND_H

#ifdef HAVE_VALGRIND_H
#include <valgrind/memcheck.h>
/* A variable may be looked at, whatever is in it. */
#define USP_DEFINED(x) ((void)VALGRIND_MAKE_MEM_DEFINED(&(x), sizeof(x)))
/* A new worker gives back what it has no use for, and else would not touch: it is counted as lost. */
#define USP_LOOKED_AT() RUNNING_ON_VALGRIND
#else
#define USP_DEFINED(x) ((void)(x))
#define USP_LOOKED_AT() 0
#endif

#endif
