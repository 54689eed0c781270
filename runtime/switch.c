#include "runtime/switch.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "runtime/scheduler.h"

#if !defined(USP_SWITCH_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__x86_64__)

#ifdef USP_PARK_TAIL
void (*usp_tail_hook)(void);
#endif

/* The first jump into a fibre lands here, with the function to call on top of the stack. The stack is
   aligned to 16 before the call, as the ABI wants it. */
__attribute__((visibility("hidden"))) void usp_switch_enter(void);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl usp_switch_enter\n"
        ".hidden usp_switch_enter\n"
        ".type usp_switch_enter, @function\n"
        "usp_switch_enter:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined rip\n\t"
        "popq %rax\n\t"
        "xorl %ebp, %ebp\n\t"
        "call *%rax\n\t"
        "ud2\n\t"
        ".cfi_endproc\n"
        ".size usp_switch_enter, .-usp_switch_enter");

#ifdef USP_PARK_TAIL
/* The frame: the label on top, as usp_switch() leaves it, then what a call preserves, then the return
   address of whoever was to be returned to. */
extern const char usp_tail_resume[], usp_tail_resume_slow[];
__asm__(".text\n"
        ".p2align 4\n"
        ".globl usp_park_tail\n"
        ".hidden usp_park_tail\n"
        ".type usp_park_tail, @function\n"
        "usp_park_tail:\n\t"
        "pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "leaq usp_tail_resume(%rip), %rax\n\t"
        "pushq %rax\n\t"
        "movq %rsp, (%rdi)\n\t"
        "movq %rsi, %rsp\n\t"
        "popq %rax\n\t"
        "jmpq *%rax\n\t"
        ".p2align 4\n"
        ".hidden usp_tail_resume\n"
        ".globl usp_tail_resume\n"
        "usp_tail_resume:\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "popq %rcx\n\t"
        "jmpq *%rcx\n\t"
        ".p2align 4\n"
        ".hidden usp_tail_resume_slow\n"
        ".globl usp_tail_resume_slow\n"
        "usp_tail_resume_slow:\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "jmpq *usp_tail_hook(%rip)\n"
        ".size usp_park_tail, .-usp_park_tail");

/* The frame: the label, `then`, what a call preserves, the return address. The record of a fibre begins with its
   saved stack pointer, usp_sched with the fibre that runs. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl usp_park_then\n"
        ".hidden usp_park_then\n"
        ".type usp_park_then, @function\n"
        "usp_park_then:\n\t"
        "pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "pushq %rdi\n\t"
        "leaq usp_then_resume(%rip), %rax\n\t"
        "pushq %rax\n\t"
        "movq usp_sched(%rip), %rcx\n\t"
        "movq %rsi, usp_sched(%rip)\n\t"
        "movq %rsp, (%rcx)\n\t"
        "movq (%rsi), %rsp\n\t"
        "popq %rax\n\t"
        "jmpq *%rax\n\t"
        ".p2align 4\n"
        "usp_then_resume:\n\t"
        "callq *(%rsp)\n\t"
        "addq $8, %rsp\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "popq %rcx\n\t"
        "jmpq *%rcx\n\t"
        ".size usp_park_then, .-usp_park_then");
_Static_assert(offsetof(struct usp_sched, current) == 0 && offsetof(struct usp_fibre, sp) == 0,
               "usp_park_then knows where they are");

void usp_park_tail_slow(void *sp)
{
    const char **top = sp;
    if (*top == usp_tail_resume)
        *top = usp_tail_resume_slow;
}
#endif

void *usp_switch_prepare(void *top, void *bottom, void (*start)(void))
{
    (void)bottom;
    uintptr_t *sp = top;
    *--sp = 0;
    *--sp = 0;
    *--sp = (uintptr_t)start; /* once popped, the stack is aligned for the call */
    *--sp = (uintptr_t)usp_switch_enter;
    return sp;
}

#else /* aarch64 */

/* x19 to x30 and d8 to d15 are what a call preserves. */
__attribute__((visibility("hidden"))) void usp_switch_enter(void);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl usp_switch\n"
        ".hidden usp_switch\n"
        ".type usp_switch, %function\n"
        "usp_switch:\n\t"
        "sub sp, sp, #160\n\t"
        "stp x19, x20, [sp, #0]\n\t"
        "stp x21, x22, [sp, #16]\n\t"
        "stp x23, x24, [sp, #32]\n\t"
        "stp x25, x26, [sp, #48]\n\t"
        "stp x27, x28, [sp, #64]\n\t"
        "stp x29, x30, [sp, #80]\n\t"
        "stp d8, d9, [sp, #96]\n\t"
        "stp d10, d11, [sp, #112]\n\t"
        "stp d12, d13, [sp, #128]\n\t"
        "stp d14, d15, [sp, #144]\n\t"
        "mov x2, sp\n\t"
        "str x2, [x0]\n\t"
        "mov sp, x1\n\t"
        "ldp x19, x20, [sp, #0]\n\t"
        "ldp x21, x22, [sp, #16]\n\t"
        "ldp x23, x24, [sp, #32]\n\t"
        "ldp x25, x26, [sp, #48]\n\t"
        "ldp x27, x28, [sp, #64]\n\t"
        "ldp x29, x30, [sp, #80]\n\t"
        "ldp d8, d9, [sp, #96]\n\t"
        "ldp d10, d11, [sp, #112]\n\t"
        "ldp d12, d13, [sp, #128]\n\t"
        "ldp d14, d15, [sp, #144]\n\t"
        "add sp, sp, #160\n\t"
        "br x30\n"
        ".size usp_switch, .-usp_switch\n"
        ".globl usp_switch_enter\n"
        ".hidden usp_switch_enter\n"
        ".type usp_switch_enter, %function\n"
        "usp_switch_enter:\n\t"
        "mov x29, xzr\n\t"
        "blr x19\n\t"
        "brk #1\n"
        ".size usp_switch_enter, .-usp_switch_enter");

void *usp_switch_prepare(void *top, void *bottom, void (*start)(void))
{
    (void)bottom;
    uint64_t *sp = (uint64_t *)top - 20;
    for (int i = 0; i < 20; i++)
        sp[i] = 0;
    sp[0] = (uint64_t)start;             /* x19 */
    sp[11] = (uint64_t)usp_switch_enter; /* x30 */
    return sp;
}

#endif

void usp_switch_release(void *sp)
{
    (void)sp;
}

void *usp_switch_outer(void)
{
    return NULL;
}

#else /* everywhere else: ucontext. The saved pointer is the address of the context. */

#include <ucontext.h>

void usp_switch(void **save, void *load)
{
    swapcontext(*save, load);
}

void *usp_switch_prepare(void *top, void *bottom, void (*start)(void))
{
    ucontext_t *volatile context = malloc(sizeof *context); /* getcontext() may return twice */
    if (!context || getcontext(context) < 0) {
        free(context);
        return NULL;
    }
    context->uc_stack.ss_sp = bottom;
    context->uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    context->uc_link = NULL;
    makecontext(context, start, 0);
    return context;
}

void usp_switch_release(void *sp)
{
    free(sp);
}

void *usp_switch_outer(void)
{
    return malloc(sizeof(ucontext_t));
}

#endif
