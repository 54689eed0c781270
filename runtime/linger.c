/* What a worker does before it sleeps: where that has paid lately, it looks for work a little longer.

   To sleep and be woken costs 5 to 15 microseconds on one processor, and 50 and more when another one has
   to come out of its idle state; what a partner on another processor answers is there within one. But to
   wait awake is of use only while the partner runs. So each try is judged: it pays if something has become
   ready SOON. One that ran out of PATIENCE makes the next ones rare, in proportion to the time lost, and
   after several of them at most one in MOST_SKIPPED; that wears off slowly with tries that pay. More than
   about one in ten in vain, and it is given up.

   While it waits the worker gives up its processor in each round. If the partner has to run on the same
   one, the first round lets it, and the two change over without a system call that would wake anybody;
   if something else has to, the time that is gone when it comes back says that waiting did not pay. To tell
   the one from the other, each worker adds up for each processor how long it has used it when it gives it up: the
   time that others of the program have used is not lost.

   A process that waits at a buffer may look for some microseconds before it parks at all (channels/lane.h), as long as a
   worker that waits awake finds its partner on another processor. Looks in vain are followed by more and more waits without.

   A worker that has given something large to one on the same processor lends it that at once, while it lies in the caches.
   Where others got it instead, it is not lent again for a while.

   UVCSP_SPIN=0 in the environment: no waiting awake; 1, as without it. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/report.h"
#include "runtime/scheduler.h"
#include "runtime/worker.h"
#include "runtime/young.h"

/* In ticks of the cycle counter, of which a microsecond has two to four thousand. */
#define SOON 50000        /* what comes within this time has been worth the wait */
#define PATIENCE 250000   /* longer than it takes to wake a partner whose processor is idle */
#define LOSS_SHARE 1000   /* a loss of that many ticks is made up for by sleeping once at once */
#define MOST_SKIPPED 16384
#define PAUSES 64         /* looks at the mailbox in a round */
#define MOST_VAIN_LOOKS 64
#define MOST_VAIN_LENDS 1023
#define FIRST_SKIPPED 8   /* a worker that lives for a moment does not try */

static struct {
    bool never;
    bool yield_first;     /* what came last had come while the processor was given up */
    unsigned begun;       /* it has slept at once so many times, and did not think of anything else */
    unsigned skip;        /* so many times more it sleeps at once */
    unsigned penalty;     /* what `skip` will be */
    unsigned skip_looks;  /* the same, for looks before a process parks ... */
    unsigned vain_looks;  /* ... and its penalty */
    unsigned skip_lends;  /* the same, for the processor that is lent ... */
    unsigned vain_lends;  /* ... to somebody else than was meant */
    unsigned processor;
    uint64_t since;       /* it has had its processor */
    uint64_t theirs;      /* ticks of this try in which other workers had it */
} linger USP_YOUNG;

static _Atomic uint64_t *used(void)
{
    return &usp_shared->used[linger.processor % USP_PROCESSORS].ticks;
}

void usp_processor_leave(void)
{
    linger.processor = (unsigned)sched_getcpu();
    atomic_store_explicit(&usp_worker_of(usp_worker_index())->processor, linger.processor, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(used(), memory_order_relaxed);
    atomic_store_explicit(used(), before + usp_ticks() - linger.since, memory_order_relaxed);
}

void usp_processor_back(void)
{
    linger.since = usp_ticks();
}

uint64_t usp_processor_yield(void)
{
    usp_processor_leave();
    uint64_t before = atomic_load_explicit(used(), memory_order_relaxed);
    sched_yield();
    uint64_t theirs = atomic_load_explicit(used(), memory_order_relaxed) - before;
    usp_processor_back();
    return theirs;
}

void usp_processor_lend(unsigned worker)
{
    if (linger.skip_lends > 0) {
        linger.skip_lends--;
        return;
    }
    if (atomic_load_explicit(&usp_worker_of(worker)->processor, memory_order_relaxed) != (unsigned)sched_getcpu())
        return;
    uint64_t start = usp_ticks();
    uint64_t theirs = usp_processor_yield();
    uint64_t taken = usp_ticks() - start;
    bool vain = taken > theirs + SOON;
    linger.vain_lends = vain ? 2 * linger.vain_lends + 1 : linger.vain_lends / 2;
    if (linger.vain_lends > MOST_VAIN_LENDS)
        linger.vain_lends = MOST_VAIN_LENDS;
    linger.skip_lends = vain ? linger.vain_lends : 0;
}

void usp_linger_reset(void)
{
    const char *text = getenv("UVCSP_SPIN");
    linger.never = text && strcmp(text, "0") == 0;
    if (text && *text && !linger.never && strcmp(text, "1") != 0)
        usp_report("UVCSP_SPIN=%s is neither 0 nor 1; it is 1", text);
    usp_linger_forget();
}

/* Called in every new worker, of which most will not wait. */
void usp_linger_forget(void)
{
    linger.yield_first = false;
    linger.begun = linger.skip = linger.penalty = linger.skip_looks = linger.vain_looks = 0;
    linger.skip_lends = linger.vain_lends = 0;
    usp_processor_back();
}

static bool mail(void)
{
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    for (int i = 0; i < PAUSES; i++) {
        if (atomic_load_explicit(&self->mailbox, memory_order_relaxed))
            return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    return false;
}

/* `usedp`: has another worker had the processor? */
static bool others(bool *usedp)
{
    uint64_t theirs = usp_processor_yield();
    *usedp = theirs > 0;
    linger.theirs += theirs;
    if (!atomic_load_explicit(&usp_worker_of(usp_worker_index())->mailbox, memory_order_relaxed))
        usp_sleep_look(); /* a frame on a link */
    usp_sched_hooks.drain();
    return usp_sched.head != NULL;
}

bool usp_may_look_first(void)
{
    if (linger.never || linger.begun < FIRST_SKIPPED || linger.skip > 0 || linger.yield_first || usp_sched.head ||
        usp_sched.turns <= 1 ||
        atomic_load_explicit(&usp_worker_of(usp_worker_index())->mailbox, memory_order_relaxed))
        return false;
    if (linger.skip_looks > 0) {
        linger.skip_looks--;
        return false;
    }
    usp_sched.turns--;
    return true;
}

void usp_looked_first(bool found)
{
    unsigned vain = found ? linger.vain_looks / 2 : 2 * linger.vain_looks + 1;
    linger.vain_looks = vain < MOST_VAIN_LOOKS ? vain : MOST_VAIN_LOOKS;
    linger.skip_looks = found ? 0 : linger.vain_looks;
}

static bool wait_awake(uint64_t start)
{
    bool yields = linger.yield_first;
    linger.theirs = 0;
    do {
        bool again = false;
        if (yields ? others(&again) : mail()) {
            linger.yield_first = yields;
            return true;
        }
        yields = !yields || again;
    } while (usp_ticks() - start < PATIENCE);
    return false;
}

static void judge(bool found, uint64_t taken)
{
    if (taken < SOON) {
        linger.penalty -= (linger.penalty + 7) / 8;
        linger.skip = !found; /* who has the processor computes for longer */
        return;
    }
    uint64_t penalty = found && taken < PATIENCE ? linger.penalty + 1
                                                 : linger.penalty * 4 + taken / LOSS_SHARE;
    linger.penalty = penalty < MOST_SKIPPED ? (unsigned)penalty : MOST_SKIPPED;
    linger.skip = linger.penalty;
}

bool usp_linger(void)
{
    if (linger.never || (usp_worker_is_root() && atomic_load(&usp_shared->n_running) == 0))
        return false;
    if (linger.begun < FIRST_SKIPPED) {
        linger.begun++;
        return false;
    }
    if (linger.skip > 0) {
        linger.skip--;
        return false;
    }
    if (!linger.yield_first && mail()) { /* at once; to ask for the time takes some */
        judge(true, 0);
        return true;
    }
    uint64_t start = usp_ticks();
    bool found = wait_awake(start);
    uint64_t taken = usp_ticks() - start;
    judge(found, taken > linger.theirs ? taken - linger.theirs : 0);
    return true; /* found or not: the loop has had turns, and may have seen the end of a child */
}
