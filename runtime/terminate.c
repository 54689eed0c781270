/* SIGTERM to a worker. What its processes have deferred is to run, so they are ended where they wait, or when they next
   wait, and when all of them have ended the worker dies of the signal after all. Its supervisor sees no
   difference. Where all of them have come to their own end before they waited, so has the worker.

   A worker that computes and never waits, or sits in a system call, does not come to that: the kernel sends the signal
   once more when the worker has used so much of the processor, or so much time has passed, and then it
   dies at once. So it does when somebody sends it twice, and when a process raises it itself. A program's own
   handler, and ON_SIGNAL, take the place of this one. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/fork.h"
#include "runtime/worker.h"
#include "runtime/young.h"

#define MOST_COMPUTED_MS 250
#define MOST_PASSED_MS 1000
#define MOST_PASSED_WITH_CHILDREN_MS 1500 /* what they have deferred runs first */

static volatile sig_atomic_t asked USP_YOUNG;
static pid_t asked_by USP_YOUNG;
static bool told USP_YOUNG; /* the processes have been */
static bool cut USP_YOUNG;  /* one of them was ended by it */

/* Not timer_create() of the C library: it may start a thread. */
static bool send_later(clockid_t clock, long ms, int signum)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signum};
    struct itimerspec when = {.it_value = {ms / 1000, ms % 1000 * 1000000}};
    int timer = 0; /* the kernel's timer_t */
    return syscall(SYS_timer_create, clock, &event, &timer) == 0 &&
           syscall(SYS_timer_settime, timer, 0, &when, NULL) == 0;
}

void usp_die_later(int signum, long ms)
{
    if (!send_later(CLOCK_MONOTONIC, ms, signum))
        raise(signum);
}

void usp_die_of_sigterm(void)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGTERM);
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
}

static void ask(void)
{
    asked = 1;
    usp_die_later(SIGTERM, usp_worker_children() > 0 ? MOST_PASSED_WITH_CHILDREN_MS : MOST_PASSED_MS);
    (void)send_later(CLOCK_PROCESS_CPUTIME_ID, MOST_COMPUTED_MS, SIGTERM);
    usp_worker_interrupt();
}

static void on_terminate(int signum, siginfo_t *info, void *context)
{
    (void)signum;
    (void)context;
    bool late = info->si_code == SI_TIMER;
    pid_t by = late ? 0 : info->si_pid;
    if (usp_worker_is_root() || !usp_runtime_is_home() || late || by == getpid() || (asked && by == asked_by))
        usp_die_of_sigterm();
    else if (!asked)
        ask();
    else
        return; /* a group was told, and the parent passes it on */
    asked_by = by;
}

void usp_terminate_itself(void)
{
    struct sigaction now;
    if (sigaction(SIGTERM, NULL, &now) != 0 || !(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_terminate)
        raise(SIGTERM);
    else if (!asked)
        ask();
}

void usp_terminate_install(void)
{
    struct sigaction action = {.sa_sigaction = on_terminate, .sa_flags = SA_RESTART | SA_SIGINFO}, now;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
        sigaction(SIGTERM, &action, NULL);
}

bool usp_worker_asked_to_end(void)
{
    return asked;
}

void usp_terminate_cuts(void)
{
    cut = true;
}

bool usp_terminate_has_cut(void)
{
    return cut;
}

void usp_terminate_look(void)
{
    if (told)
        return;
    told = true;
    if (usp_worker_hooks.terminate)
        usp_worker_hooks.terminate();
}

void usp_terminate_forget(void)
{
    asked = told = cut = false;
}
