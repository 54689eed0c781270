/* The switch from one stack to another: save what the compiler cannot, swap stack pointers, jump.

   On x86-64 it is inlined: everything that a call would preserve is declared clobbered, so the compiler
   saves just what is live, and the jump at the end is an indirect one, predicted by where it went last, and not
   a return, which the return stack would predict to go back to where it came from. The 128 bytes below
   the stack pointer are a leaf function's to use (red zone), hence the step over them. Control words
   of the floating-point units are not switched: a process that changes them changes them for its worker. */
#ifndef USP_RUNTIME_SWITCH_H
#define USP_RUNTIME_SWITCH_H

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define USP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USP_ASAN 1
#endif
#endif

#if !defined(USP_SWITCH_UCONTEXT) && defined(__x86_64__)

#ifdef __AVX512F__
#define USP_CLOBBER_512                                                                            \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"
#else
#define USP_CLOBBER_512
#endif

static inline __attribute__((always_inline)) void usp_switch(void **save, void *load)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rax\n\t"
                     "jmpq *%%rax\n"
                     "1:\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+D"(save), "+S"(load)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15" USP_CLOBBER_512, "memory", "cc");
}

/* The same as a function that is entered by a jump at the end of another: its caller is where the fibre
   goes on. usp_park_tail_slow() makes it call usp_tail_hook() before, if it is parked here. */
#if !defined(USP_ASAN) && !defined(USP_NO_PARK_TAIL)
#define USP_PARK_TAIL 1
void usp_park_tail(void **save, void *load);
void usp_park_tail_slow(void *sp);
/* Switches from the fibre that runs to the next one. When it is resumed then() is called, and its answer is what the caller
   gets. */
struct usp_fibre;
int usp_park_then(int (*then)(void), struct usp_fibre *next);
/* Set by the floor above: what such a fibre does first when it was woken with an outcome. */
extern void (*usp_tail_hook)(void) __attribute__((visibility("hidden")));
#endif

#else

void usp_switch(void **save, void *load);

#endif

/* Prepares a stack that ends below `top` (aligned to 16): the first switch to the value returned calls
   `start` on it, which must not return. NULL when there is no memory (ucontext only). */
void *usp_switch_prepare(void *top, void *bottom, void (*start)(void));
/* Gives back what usp_switch_prepare took, when the fibre is gone; `sp` is its saved pointer. */
void usp_switch_release(void *sp);
/* A place to save the context of a stack that exists already (main's); NULL where none is needed. */
void *usp_switch_outer(void);

#endif
