/* A system call from where we are: a new worker that called the C library for it would have to map a part of that, for
   each of a few calls that lie elsewhere than fork(). The result, or -errno. */
#ifndef USP_RUNTIME_SYSCALL_H
#define USP_RUNTIME_SYSCALL_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long usp_syscall(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
#else
    long result = syscall(number, a, b, c, d, 0);
    return result < 0 ? -errno : result;
#endif
}

#endif
