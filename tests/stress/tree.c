/* Random trees of processes.

   A round starts a process that starts others in every way that there is, talks to them over channels of its own,
   hands them ends, joins them or not, and ends in one of many ways; and so do they. In a peaceful round everything
   that was started has ended, what was deferred has run, and what was written has been read. In a violent one processes
   terminate and kill each other, exit in the middle, and crash; then it is enough that the round comes to its end.

   A round that does not come to its end has lost a wake-up. The command line is that of stress.h; in
   light mode there is no worker, and nothing that would end the only one. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uvcsp.h>

#include "tests/stress/stress.h"

#define MOST 60 /* processes of a round */

struct ledger {
    _Atomic int started, ended, deferred, ran, written, read, left;
    _Atomic bool violent, light;
};
static struct ledger *ledger;
static int root_pid;

static bool may_start(void)
{
    if (atomic_fetch_sub(&ledger->left, 1) > 0)
        return true;
    atomic_fetch_add(&ledger->left, 1);
    return false;
}

PROCESS_DECLARE(branch, VAL(unsigned long long, seed), VAL(int, depth), OUT(int, pulse));

static void count_end(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ledger->ended, 1);
}

static void count_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ledger->ran, 1);
}

static void deferred_work(void *arg)
{
    switch ((uintptr_t)arg % 3) {
    case 0:
        uvcsp_sleep(0.0005);
        break;
    case 1:
        uvcsp_yield();
        break;
    }
    atomic_fetch_add(&ledger->ran, 1);
}

static void defer_some(unsigned long long *r)
{
    atomic_fetch_add(&ledger->deferred, 1);
    DEFER(stress_below(r, 2) ? count_run : deferred_work, (void *)(uintptr_t)stress_below(r, 3));
}

/* ---- small processes that a branch talks to ---- */

PROCESS(source, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        if (uvcsp_write(out, &i) != UVCSP_OK)
            return;
        atomic_fetch_add(&ledger->written, 1);
    }
}

PROCESS(drain, IN(int, in))
{
    int x;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        atomic_fetch_add(&ledger->read, 1);
}

/* Gets the end that it writes to. */
PROCESS(traveller, IN(uvcsp_end, ends), VAL(int, n))
{
    OUT_END(int) out = AS_OUT(int, READ(ends));
    for (int i = 0; i < n; i++) {
        WRITE(out, i);
        atomic_fetch_add(&ledger->written, 1);
    }
}

PROCESS(sender, OUT(uvcsp_end, ends), OUT(int, out))
{
    WRITE(ends, MOBILE(out));
}

/* Runs them in one of the ways. */
static void run(unsigned long long *r, uvcsp_process *processes, size_t n)
{
    uvcsp_process in_worker;
    switch (stress_below(r, 4)) {
    case 0:
        (void)uvcsp_par(processes, n);
        break;
    case 1:
        in_worker = uvcsp_worker(processes, n);
        (void)uvcsp_par(&in_worker, 1);
        break;
    default:
        (void)uvcsp_co(processes, n);
    }
}

static void talk(unsigned long long *r)
{
    int n = (int)stress_below(r, 30), capacity = (int)stress_below(r, 3);
    enum uvcsp_carrier carrier = stress_below(r, 2) ? UVCSP_PIPE : UVCSP_SHARED;
    CHAN(int) c = CHANNEL(int, .capacity = capacity, .carrier = carrier);
    CHAN(uvcsp_end) ends = CHANNEL(uvcsp_end, .capacity = (int)stress_below(r, 2), .carrier = carrier);
    if (stress_below(r, 2)) {
        uvcsp_process both[] = {source(c, n), drain(c)};
        run(r, both, 2);
    } else {
        uvcsp_process three[] = {sender(ends, c), traveller(ends, n), drain(c)};
        run(r, three, 3);
    }
    uvcsp_channel_free(ends);
    uvcsp_channel_free(c);
}

/* One end here, the other in a process that goes on by itself. */
static void converse(unsigned long long *r)
{
    CHAN(int) c = CHANNEL(int, .capacity = (int)stress_below(r, 2));
    int n = 1 + (int)stress_below(r, 10), x = 0;
    if (stress_below(r, 2)) {
        OUT_END(int) out = OUT_OF(c);
        uvcsp_handle *h = stress_below(r, 2) ? SPAWN(drain(c)) : GO(drain(c));
        for (int i = 0; h && i < n; i++) {
            if (uvcsp_write_timeout(out, &i, stress_below(r, 4) ? 30 : 0.0005) == UVCSP_OK)
                atomic_fetch_add(&ledger->written, 1);
        }
        RETIRE(out);
    } else {
        IN_END(int) in = IN_OF(c);
        uvcsp_handle *h = stress_below(r, 2) ? SPAWN(source(c, n)) : GO(source(c, n));
        while (h) {
            int i = ALT(ON_ENDED(h), ON_TIMEOUT(stress_below(r, 5) * 1e-4), WHEN(stress_below(r, 2), ON_SKIP));
            int rc = uvcsp_read_timeout(in, &x, i == 0 ? -1 : 0.001);
            if (rc == UVCSP_OK)
                atomic_fetch_add(&ledger->read, 1);
            else if (rc != UVCSP_TIMEOUT)
                break;
        }
        RETIRE(in);
    }
}

static void breed(unsigned long long *r, int depth, OUT_END(int) pulse, uvcsp_handle **handles,
                  unsigned *n_handles)
{
    uvcsp_process children[4];
    size_t n = 0, most = 1 + stress_below(r, 3);
    while (n < most && may_start())
        children[n++] = branch((unsigned long long)stress_below(r, 1u << 30) << 8, depth - 1, pulse);
    if (n == 0)
        return;
    switch (stress_below(r, 6)) {
    case 0:
        (void)uvcsp_par(children, n);
        return;
    case 1:
        (void)uvcsp_co(children, n);
        return;
    case 2:
        (void)uvcsp_seq(children, n);
        return;
    case 3: {
        uvcsp_process group = uvcsp_worker(children, n);
        (void)uvcsp_par(&group, 1);
        return;
    }
    default:
        for (size_t i = 0; i < n; i++) {
            uvcsp_handle *h = stress_below(r, 2) ? SPAWN(children[i]) : GO(children[i]);
            if (h && *n_handles < 8)
                handles[(*n_handles)++] = h;
            else if (h)
                uvcsp_handle_free(h);
        }
    }
}

static void be_violent(unsigned long long *r, OUT_END(int) pulse, uvcsp_handle **handles,
                       unsigned n_handles)
{
    uvcsp_handle *h = n_handles ? handles[stress_below(r, n_handles)] : NULL;
    bool alone = getpid() != root_pid; /* only a worker may end as a whole */
    switch (stress_below(r, 12)) {
    case 0:
        if (h)
            uvcsp_kill(h);
        break;
    case 1:
    case 2:
        if (h)
            uvcsp_terminate(h);
        break;
    case 3:
        if (alone)
            exit((int)stress_below(r, 2));
        break;
    case 4:
        if (alone)
            kill(getpid(), SIGKILL);
        break;
    case 5:
        if (stress_below(r, 8) == 0)
            POISON(pulse);
        break;
    case 6:
        uvcsp_exit_process();
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

PROCESS(branch, VAL(unsigned long long, seed), VAL(int, depth), OUT(int, pulse))
{
    unsigned long long r = seed;
    uvcsp_handle *handles[8];
    unsigned n_handles = 0;
    atomic_fetch_add(&ledger->started, 1);
    DEFER(count_end, NULL);
    for (unsigned i = 0, n = stress_below(&r, 8); i < n; i++) {
        switch (stress_below(&r, 9)) {
        case 0:
            WRITE(pulse, 1);
            break;
        case 1:
            defer_some(&r);
            break;
        case 2:
            uvcsp_sleep(stress_below(&r, 20) * 1e-4);
            break;
        case 3:
            uvcsp_blocking(nothing, NULL);
            break;
        case 4:
            talk(&r);
            break;
        case 5:
            converse(&r);
            break;
        case 6:
            if (n_handles)
                (void)uvcsp_join(handles[stress_below(&r, n_handles)], stress_below(&r, 3) * 1e-3);
            break;
        default:
            if (depth > 0)
                breed(&r, depth, pulse, handles, &n_handles);
        }
        if (atomic_load(&ledger->violent) && stress_below(&r, 4) == 0)
            be_violent(&r, pulse, handles, n_handles);
    }
}

/* ---- a round ---- */

static bool run_round(unsigned long long seed, int mode, bool light)
{
    unsigned long long r = stress_seeded(seed);
    (void)mode;
    memset(ledger, 0, sizeof *ledger);
    atomic_store(&ledger->left, MOST);
    atomic_store(&ledger->violent, stress_below(&r, 2));
    CHAN(int) pulse = CHANNEL(int);
    IN_END(int) in = IN_OF(pulse);
    uvcsp_handle *h = stress_below(&r, 2) ? SPAWN(branch(r, 4, pulse)) : GO(branch(r, 4, pulse));
    int x;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        ;
    if (h)
        uvcsp_join(h, -1);
    RETIRE(in);
    uvcsp_channel_free(pulse);
    bool good = uvcsp_shutdown() == 0; /* waits for what was left running */
    /* one that was just being forked when its parent was killed may take a moment to find out */
    int left = 0;
    for (int i = 0; i < 1000 && (left = (int)waitpid(-1, NULL, WNOHANG)) == 0; i++)
        usleep(1000);
    if (left == 0) {
        fprintf(stderr, "seed %llu has left a process\n", seed);
        good = false;
    }
    const struct ledger *l = ledger;
    if (!atomic_load(&l->violent) &&
        (atomic_load(&l->started) != atomic_load(&l->ended) || atomic_load(&l->deferred) != atomic_load(&l->ran) ||
         atomic_load(&l->written) != atomic_load(&l->read)))
        good = false;
    if (!good || getenv("STRESS_VERBOSE"))
        fprintf(stderr, "seed %llu%s%s: started %d, ended %d; deferred %d, run %d; written %d, read %d\n", seed,
                light ? ", light" : "", atomic_load(&l->violent) ? ", violent" : "", atomic_load(&l->started),
                atomic_load(&l->ended), atomic_load(&l->deferred), atomic_load(&l->ran),
                atomic_load(&l->written), atomic_load(&l->read));
    return good;
}

int main(int argc, char **argv)
{
    root_pid = (int)getpid();
    ledger = stress_shared(sizeof *ledger);
    return stress_main(&(struct stress){.large = 60, .limit = 60, .round = run_round}, argc, argv);
}
