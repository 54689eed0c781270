#include "tests/explore/control.h"

#include <signal.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/failpoint.h"
#include "runtime/scheduler.h"
#include "runtime/worker.h"
#include "tests/explore/loops.h"
#include "tests/explore/timers.h"

#define LIMIT 60 /* seconds, for what takes a ten-thousandth of one */

enum state { OUT, ABLE, SPINNING, SLEEPING };

static struct shared {
    struct control control;
    struct {
        enum state state;
        const _Atomic uint32_t *word;
        const volatile void *spins; /* until that is 0 */
        size_t size;
        unsigned timers;
        bool busy; /* its loop has something to do that no descriptor tells */
        unsigned priority;
    } workers[MOST_WORKERS];
    unsigned change_at[MOST_WORKERS + 4];
    bool quiet; /* the janitor has come */
    bool sweeps;
    _Atomic uint32_t go[MOST_WORKERS], over, n_joined;
} * shared;

struct control *control;
static int me = -1;      /* -1: the root */
static bool on;          /* under control */
static struct usp_fibre *janitor;
static uvcsp_handle *workers[MOST_WORKERS];

/* ---- waiting for each other ---- */

static void wake(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void wait_for(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
    atomic_store(word, 0);
}

static void hand_over(unsigned to)
{
    if ((int)to == me)
        return;
    control->current = to;
    wake(&shared->go[to]);
    wait_for(&shared->go[me]);
}

/* ---- who can go on ---- */

static bool can_go_on(unsigned w)
{
    struct pollfd p = {.fd = loops[w], .events = POLLIN};
    switch (shared->workers[w].state) {
    case ABLE:
        return true;
    case SPINNING:
        return shared->workers[w].size == 2 ? *(const volatile uint16_t *)shared->workers[w].spins == 0
                                            : *(const volatile uint32_t *)shared->workers[w].spins == 0;
    case SLEEPING:
        if (shared->workers[w].timers > 0 || shared->workers[w].busy)
            return true;
        return shared->workers[w].word ? atomic_load(shared->workers[w].word) != USP_ON_ITS_WORD
                                       : poll(&p, 1, 0) > 0;
    default:
        return false;
    }
}

/* The running one first. */
static unsigned all_that_can(bool i_can, unsigned *list)
{
    unsigned n = 0;
    if (i_can)
        list[n++] = (unsigned)me;
    for (unsigned w = 0; w < control->n_workers; w++)
        if (!(i_can && (int)w == me) && can_go_on(w))
            list[n++] = w;
    return n;
}

static unsigned decide_depth_first(const unsigned *list, unsigned n, bool i_can)
{
    if (n == 1 || (i_can && control->preemptions >= control->bound))
        return list[0];
    MUST(control->at < MOST_DECISIONS);
    unsigned d = control->at++;
    if (d >= control->n_decisions) {
        control->made[control->n_decisions++] = 0;
    } else if (control->among[d] != n && control->made[d] != 0) {
        control->strayed = 1;
        if (control->made[d] >= n)
            control->made[d] = 0;
    }
    control->among[d] = (uint8_t)n;
    if (i_can && control->made[d] > 0)
        control->preemptions++;
    return list[control->made[d]];
}

static unsigned decide_by_priority(const unsigned *list, unsigned n, bool i_can)
{
    for (unsigned i = 0; i < control->n_changes; i++)
        if (i_can && control->steps == shared->change_at[i])
            shared->workers[me].priority = i; /* below all that were given by lot */
    unsigned best = 0;
    for (unsigned k = 1; k < n; k++)
        if (shared->workers[list[k]].priority > shared->workers[list[best]].priority)
            best = k;
    return list[best];
}

static void fail(enum fault fault)
{
    control->fault = fault;
    wake(&shared->over);
    for (;;)
        pause();
}

/* Who goes on. With nobody left it is over, and the answer is MOST_WORKERS. */
static unsigned decide(bool i_can)
{
    unsigned list[MOST_WORKERS], n = all_that_can(i_can, list), n_out = 0;
    if (n > 0)
        return control->strategy == DEPTH_FIRST ? decide_depth_first(list, n, i_can)
                                                : decide_by_priority(list, n, i_can);
    for (unsigned w = 0; w < control->n_workers; w++) {
        if (shared->workers[w].state == SPINNING)
            fail(SPINS_FOR_EVER);
        n_out += shared->workers[w].state == OUT;
    }
    if (n_out == control->n_workers)
        return MOST_WORKERS;
    if (shared->quiet)
        fail(WAITS_FOR_EVER);
    shared->quiet = shared->sweeps = true;
    happened(&(struct event){.what = QUIET});
    return 0;
}

/* ---- marks ---- */

/* Blocks of the arena come out of a cache, or not, according to what was before this run. */
static bool is_steady(const char *name)
{
    return strncmp(name, "arena-", 6) != 0 && strncmp(name, "block-", 6) != 0;
}

/* The loop has its turn when there is nothing else to do, and not by the clock. */
static void ignore_clock(void)
{
    usp_sched.polled = UINT64_MAX / 4;
}

void usp_mark(const char *name)
{
    if (!on || !is_steady(name))
        return;
    ignore_clock();
    control->last = name;
    if (++control->steps > MOST_MARKS)
        fail(NEVER_ENDS);
    hand_over(decide(true));
}

/* The worker cannot go on until somebody has let it. */
static void wait_as(enum state state)
{
    shared->workers[me].state = state;
    unsigned next = decide(false);
    hand_over(next);
    shared->workers[me].state = ABLE;
}

void usp_spins(const volatile void *word, size_t size)
{
    if (!on)
        return;
    shared->workers[me].spins = word;
    shared->workers[me].size = size;
    wait_as(SPINNING);
}

/* Makes the sleep that comes next end at once. */
static void rouse(const _Atomic uint32_t *word)
{
    if (word)
        atomic_store((_Atomic uint32_t *)(uintptr_t)word, USP_AWAKE);
    else
        usp_sched_interrupt();
}

void usp_sleeps(const _Atomic uint32_t *word)
{
    if (!on)
        return;
    struct pollfd p = {.fd = loops[me], .events = POLLIN};
    shared->workers[me].word = word;
    shared->workers[me].timers = timers_armed;
    shared->workers[me].busy = uv_backend_timeout(usp_loop()) == 0;
    wait_as(SLEEPING);
    if (shared->sweeps && me == 0) {
        shared->sweeps = false;
        usp_ready(janitor);
        rouse(word);
    } else if (timers_armed > 0 && poll(&p, 1, 0) == 0) {
        timer_goes_off(0);
        rouse(word);
    }
}

/* ---- a worker ---- */

static void poll_twice(void *arg)
{
    (void)arg;
    usp_poll();
    usp_poll();
}

static void start_actors(uvcsp_handle **handles)
{
    for (unsigned a = 0; a < run->net.n_actors; a++)
        if (run->net.actors[a].parent == NOBODY && run->net.actors[a].worker == me)
            MUST((handles[a] = GO(run_actor(a))));
}

static void join_actors(uvcsp_handle **handles)
{
    for (unsigned a = 0; a < run->net.n_actors; a++)
        if (handles[a]) {
            MUST(uvcsp_join(handles[a], -1) == UVCSP_OK);
            uvcsp_handle_free(handles[a]);
        }
}

/* One after the other they join; then it begins. */
static void carry_out(void)
{
    uvcsp_handle *handles[MOST_ACTORS] = {NULL};
    bool last = me == (int)control->n_workers - 1;
    usp_on_loop_stack(poll_twice, NULL);
    if (me == 0)
        run_make_channels();
    start_actors(handles);
    shared->workers[me].state = ABLE;
    if (!last)
        wake(&shared->go[me + 1]);
    on = control->strategy != FREELY;
    if (on && last)
        hand_over(decide(false));
    else if (!last)
        wait_for(&shared->go[me]);
    else
        for (unsigned w = 0; w < control->n_workers - 1; w++)
            wake(&shared->go[w]);
    if (on)
        ignore_clock();
    if (on && me == 0) {
        janitor = usp_current();
        usp_park();
        run_janitor();
    }
    join_actors(handles);
    usp_sched.polled = 0;
    if (on) {
        on = false;
        shared->workers[me].state = OUT;
        unsigned next = decide(false);
        if (next < MOST_WORKERS) {
            control->current = next;
            wake(&shared->go[next]);
        } else if (me != 0) {
            wake(&shared->go[0]);
        }
        if (me == 0 && next < MOST_WORKERS)
            wait_for(&shared->go[0]);
    } else {
        atomic_fetch_add(&shared->n_joined, 1);
        while (me == 0 && atomic_load(&shared->n_joined) < control->n_workers)
            sched_yield();
    }
    if (me == 0) {
        run_free_channels();
        wake(&shared->over);
    }
}

PROCESS(worker, VAL(int, number))
{
    me = number;
    loops_exchange((unsigned)me, control->n_workers);
    for (;;) {
        wait_for(&shared->go[me]);
        if (control->command == LEAVE)
            return;
        carry_out();
    }
}

/* ---- the root ---- */

/* All on one processor: only one of them runs, and to wake another one is dear. */
static void stay_here(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);
}

void control_init(unsigned n_workers)
{
    setenv("UVCSP_DEADLOCK", "off", 1);
    setenv("UVCSP_SPIN", "0", 1);
    unsetenv("UVCSP_PAR");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    control = &shared->control;
    run = &control->run;
    control->n_workers = n_workers;
    stay_here();
}

/* Two workers that talk have a link; here all have, before anything is looked at. */
static void link_up(unsigned a, unsigned b)
{
    static const struct op read_a = {CHOICE, VIA_READ, 1, true, false, {{G_READ, 0, false}}, 0, 0},
                           write_a = {CHOICE, VIA_READ, 1, true, false, {{G_WRITE, 0, false}},
                                      0,      0};
    memset(&run->net, 0, sizeof run->net);
    run->net.n_channels = 1;
    run->net.channels[0].width = 5000;
    run->net.n_actors = 2;
    run->net.actors[0] =
        (struct actor){.n_ops = 2, .parent = NOBODY, .worker = (uint8_t)a, .ops = {read_a, read_a}};
    run->net.actors[1] = (struct actor){
        .n_ops = 2, .parent = NOBODY, .worker = (uint8_t)b, .ops = {write_a, write_a}};
    network_complete(&run->net);
    control->strategy = FREELY;
    MUST(control_run());
}

void control_start(void)
{
    loops_init(control->n_workers);
    for (unsigned w = 0; w < control->n_workers; w++)
        MUST((workers[w] = SPAWN(worker((int)w))));
    for (unsigned a = 0; a < control->n_workers; a++)
        for (unsigned b = 0; b < control->n_workers; b++)
            if (a != b)
                link_up(a, b);
}

static void lots(void)
{
    struct random random = {control->seed};
    for (unsigned w = 0; w < control->n_workers; w++)
        shared->workers[w].priority = MOST_WORKERS + 4 + below(&random, 1000);
    for (unsigned i = 0; i < control->n_changes; i++)
        shared->change_at[i] = 1 + below(&random, control->expected);
}

static bool has_died(unsigned w)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)uvcsp_pid(workers[w]), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

/* Until they are through, or it is clear that they will never be. */
static void wait_for_all(void)
{
    const struct timespec second = {.tv_sec = 1};
    for (int seconds = 0; atomic_load(&shared->over) == 0;) {
        if (syscall(SYS_futex, &shared->over, FUTEX_WAIT, 0, &second, NULL, 0) == 0 ||
            errno != ETIMEDOUT)
            continue;
        for (unsigned w = 0; w < control->n_workers; w++)
            if (has_died(w))
                control->fault = HAS_DIED;
        if (++seconds == LIMIT && !control->fault)
            control->fault = NEVER_ENDS;
        if (control->fault)
            break;
    }
    atomic_store(&shared->over, 0);
}

bool control_run(void)
{
    run->history.n = 0;
    control->command = CARRY_OUT;
    control->at = control->steps = control->preemptions = control->strayed = 0;
    control->fault = NO_FAULT;
    shared->quiet = shared->sweeps = false;
    atomic_store(&shared->n_joined, 0);
    for (unsigned w = 0; w < control->n_workers; w++)
        shared->workers[w].state = OUT;
    if (control->strategy == BY_PRIORITY)
        lots();
    wake(&shared->go[0]);
    wait_for_all();
    return control->fault == NO_FAULT;
}

bool control_next(void)
{
    while (control->n_decisions > 0) {
        unsigned last = control->n_decisions - 1;
        if (last < control->at && ++control->made[last] < control->among[last])
            return true;
        control->n_decisions--;
    }
    return false;
}

void control_stop(void)
{
    bool well = control->fault == NO_FAULT;
    control->command = LEAVE;
    for (unsigned w = 0; w < control->n_workers; w++)
        if (well)
            wake(&shared->go[w]);
        else
            kill(uvcsp_pid(workers[w]), SIGKILL); /* all of them before the first is buried: they may hold locks */
    for (unsigned w = 0; w < control->n_workers; w++) {
        uvcsp_join(workers[w], -1);
        uvcsp_handle_free(workers[w]);
    }
}

void control_print(FILE *to)
{
    static const char *const faults[] = {"", "a worker spins for a lock that nobody will let go",
                                         "nobody can go on, and not all have come to their end",
                                         "it does not come to its end", "a worker has died of it"};
    network_print(to, &run->net);
    fprintf(to, "  %u marks, %u times somebody was made to wait", control->steps,
            control->preemptions);
    if (control->strategy == DEPTH_FIRST) {
        fprintf(to, "; decisions:");
        for (unsigned i = 0; i < control->n_decisions; i++)
            if (control->made[i] > 0)
                fprintf(to, " %u:%u", i, control->made[i]);
    }
    fprintf(to, "\n");
    if (control->fault)
        fprintf(to, "  not by the rules: %s (worker %u, after mark '%s')\n", faults[control->fault],
                control->current, control->last);
    check_print(to, &run->net, &run->history);
}
