/* What valgrind is told, if its headers were there at the build. */
#ifndef USP_RUNTIME_VALGRIND_H
#define USP_RUNTIME_VALGRIND_H

#ifdef HAVE_VALGRIND_H
#include <valgrind/memcheck.h>
/* A variable may be looked at, whatever is in it. */
#define USP_DEFINED(x) ((void)VALGRIND_MAKE_MEM_DEFINED(&(x), sizeof(x)))
#else
#define USP_DEFINED(x) ((void)(x))
#endif

#endif
