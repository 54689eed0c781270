/* How a worker sleeps, and how it is woken.

   Where the loop has nothing but what the library has put there, and of that nothing is under way, a worker sleeps
   on its own word, `sleeping`, in the kernel's futex: to be woken takes one system call on each side, where a bell
   on a link takes three. Otherwise it sleeps in the loop.

   A worker that sleeps on its word does not see its links. So whoever has written to one says so: it sets `knocked`,
   and only then looks at `sleeping`; the sleeper sets `sleeping` and then looks at `knocked`. It is not needed for
   who sleeps in the loop: from there a worker first has the loop look around before it sleeps on its word. The timers
   of the loop are kept by a limit to the sleep. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/failpoint.h"
#include "runtime/link.h"
#include "runtime/sources.h"
#include "runtime/worker.h"
#include "runtime/young.h"

#define LONGEST_MS 300 /* without a loop: as often as one that has it would look around (supervise.c) */

#define RARELY 2500000 /* ticks between two turns of a loop in which nothing is expected: about a millisecond */

static uint64_t looked USP_YOUNG;  /* when the loop last had a turn here */
static bool was_in_loop USP_YOUNG; /* something that it has not seen may have been written to a link */

/* ---- who wakes ---- */

static void wake_word(struct usp_worker *worker)
{
    syscall(SYS_futex, &worker->sleeping, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* `how` it slept when the caller took `sleeping` down. */
static void ring(unsigned index, uint32_t how)
{
    USP_FAILPOINT("bell-to-ring");
    if (how == USP_ON_ITS_WORD)
        wake_word(usp_worker_of(index));
    else
        usp_link_bell(index);
}

void usp_worker_rouse(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    if (!atomic_load_explicit(&worker->sleeping, memory_order_seq_cst))
        return;
    USP_MARK("to-rouse");
    uint32_t how = atomic_exchange_explicit(&worker->sleeping, 0, memory_order_seq_cst);
    if (how)
        ring(index, how);
}

void usp_worker_ring(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    uint32_t how = atomic_exchange(&worker->sleeping, 0);
    wake_word(worker);
    if (how != USP_ON_ITS_WORD)
        usp_link_bell(index);
}

void usp_worker_knock(unsigned index)
{
    struct usp_worker *worker = usp_worker_of(index);
    if (atomic_load_explicit(&worker->sleeping, memory_order_seq_cst) == USP_IN_THE_LOOP)
        return;
    USP_MARK("to-knock");
    atomic_store_explicit(&worker->knocked, 1, memory_order_seq_cst);
    USP_FAILPOINT("knocked");
    if (atomic_load_explicit(&worker->sleeping, memory_order_seq_cst) == USP_ON_ITS_WORD)
        usp_worker_rouse(index);
}

/* ---- who sleeps ---- */

static bool may_sleep_on_its_word(const struct usp_worker *self)
{
    return usp_sources_armed == 0 && usp_worker_children() == 0 && usp_links_are_quiet() &&
           atomic_load_explicit(&self->streams, memory_order_relaxed) == 0 &&
           !atomic_load_explicit(&self->lent, memory_order_relaxed) &&
           (!usp_sched.loop || !usp_sched_has_foreign());
}

/* What has been written to a link is read; then nothing is left there. Whoever still sees this worker in its loop, and
   so does not knock, has written before: hence the fence (tests/model/weak.pml). */
static void look_at_links(struct usp_worker *self)
{
    was_in_loop = false;
    atomic_exchange_explicit(&self->knocked, 0, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    usp_poll();
    looked = usp_sched.polled;
}

/* Says that it sleeps, and looks once more. False: there is something to do. */
static bool fall_asleep(struct usp_worker *self, uint32_t how)
{
    if (usp_worker_hooks.rests)
        usp_worker_hooks.rests();
    if (__builtin_expect(atomic_load_explicit(&self->lent, memory_order_relaxed), 0))
        atomic_store_explicit(&self->foreign, usp_sched_has_foreign(), memory_order_relaxed);
    USP_MARK("to-sleep");
    atomic_store_explicit(&self->sleeping, how, memory_order_seq_cst);
    USP_MARK("says-that-it-sleeps");
    return !usp_sched.head && !atomic_load_explicit(&self->mailbox, memory_order_seq_cst) &&
           (how == USP_IN_THE_LOOP || !atomic_load_explicit(&self->knocked, memory_order_seq_cst)) &&
           !usp_supervise_pending();
}

void usp_sleep_look(void)
{
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    if (was_in_loop || atomic_load_explicit(&self->knocked, memory_order_relaxed) ||
        !may_sleep_on_its_word(self))
        look_at_links(self);
}

/* Until the loop has a timer to run. */
static int longest_ms(void)
{
    if (!usp_sched.loop)
        return LONGEST_MS;
    uv_update_time(usp_sched.loop);
    return uv_backend_timeout(usp_sched.loop);
}

/* False: it has not been woken by the word, or the loop has not had a turn for long. */
static bool sleep_on_word(struct usp_worker *self)
{
    int ms = longest_ms();
    struct timespec most = {ms / 1000, ms % 1000 * 1000000l};
    if (ms == 0 || (syscall(SYS_futex, &self->sleeping, FUTEX_WAIT, USP_ON_ITS_WORD,
                            ms > 0 ? &most : NULL, NULL, 0) != 0 && errno != EAGAIN))
        return false;
    uint64_t now = usp_ticks();
    if (now - looked > RARELY)
        return false;
    usp_sched.polled = now;
    return true;
}

void usp_worker_sleep(void)
{
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    bool on_word = may_sleep_on_its_word(self);
    bool woken = true;
    if (on_word && (was_in_loop || atomic_load_explicit(&self->knocked, memory_order_relaxed)))
        return look_at_links(self);
    uv_loop_t *loop = on_word ? NULL : usp_loop(); /* before it says that it sleeps: from then on it can be rung */
    if (fall_asleep(self, on_word ? USP_ON_ITS_WORD : USP_IN_THE_LOOP)) {
        USP_SLEEPS(on_word ? &self->sleeping : NULL);
        usp_processor_leave();
        if (on_word)
            woken = sleep_on_word(self);
        else
            usp_sleep_in_loop(loop);
        usp_processor_back();
    }
    was_in_loop = !on_word;
    USP_MARK("awake");
    atomic_store_explicit(&self->sleeping, 0, memory_order_relaxed);
    if (!woken)
        look_at_links(self);
}

void usp_worker_interrupt(void)
{
    uint32_t how = USP_ON_ITS_WORD;
    usp_sched_interrupt();
    if (!usp_shared)
        return;
    struct usp_worker *self = usp_worker_of(usp_worker_index());
    atomic_store(&self->knocked, 1);
    atomic_compare_exchange_strong(&self->sleeping, &how, USP_AWAKE);
}

void usp_sleep_dozed(void)
{
    was_in_loop = true;
}

void usp_sleep_forget(void)
{
    was_in_loop = false;
}
