#include "runtime/overflow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/scheduler.h"
#include "runtime/stack.h"

static struct sigaction before;
static bool installed;
static bool alternate; /* the alternate stack is ours */

static void put(char **at, char *end, const char *text)
{
    while (*text && *at < end)
        *(*at)++ = *text++;
}

/* Async-signal-safe: one write of a line put together by hand. */
static void tell(const struct usp_fibre *fibre)
{
    char line[300], *at = line, *end = line + sizeof line - 1;
    put(&at, end, "uvcsp: stack overflow in process '");
    put(&at, end, fibre->task && fibre->task->name ? fibre->task->name : "(scheduler)");
    put(&at, end, "' of ");
    char digits[24];
    bool fixed = fibre->stack_class == USP_BIG_STACK;
    size_t n = (fibre->stack_size >> 10) & ~(size_t)31, i = sizeof digits; /* without the page between two */
    digits[--i] = 0;
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) != 0 && i > 0);
    put(&at, end, digits + i);
    put(&at, end, fixed ? " KiB (which is fixed: large arrays belong to malloc)"
                        : " KiB (UVCSP_STACK sets the size of light processes' stacks)");
    *at++ = '\n';
    if (write(STDERR_FILENO, line, (size_t)(at - line)) < 0) {
        /* nothing can be done about it here */
    }
}

static void on_fault(int signum, siginfo_t *info, void *context)
{
    const struct usp_fibre *fibre = usp_sched.current;
    const char *address = info->si_addr;
    if (fibre && fibre->stack && info->si_code > 0 && address >= fibre->stack &&
        address < fibre->stack + fibre->guard_size)
        tell(fibre);
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) {
        before.sa_sigaction(signum, info, context);
        return;
    }
    /* the instruction is tried again, and faults with the default effect; one that was sent by kill() or
       raise() has no instruction, and comes again on the way out of here */
    signal(signum, SIG_DFL);
    if (info->si_code <= 0)
        raise(signum);
}

void usp_overflow_install(void)
{
    struct sigaction now;
    if (installed || sigaction(SIGSEGV, NULL, &now) < 0)
        return;
    stack_t stack;
    if (sigaltstack(NULL, &stack) < 0)
        return;
    if (stack.ss_flags & SS_DISABLE) {
        stack = (stack_t){.ss_sp = usp_stack_spare(), .ss_size = USP_STACK_SPARE};
        if (sigaltstack(&stack, NULL) < 0)
            return;
        alternate = true;
    }
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (now.sa_handler != SIG_DFL && !(now.sa_flags & SA_SIGINFO))
        return; /* the program's own */
    if (sigaction(SIGSEGV, &action, &before) == 0)
        installed = true;
}

void usp_overflow_remove(void)
{
    if (installed) {
        struct sigaction now;
        if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_fault)
            sigaction(SIGSEGV, &before, NULL);
        installed = false;
    }
    if (alternate) {
        stack_t off = {.ss_flags = SS_DISABLE};
        sigaltstack(&off, NULL);
        alternate = false;
    }
}
