/* The scheduler of this program's one worker asks __wrap_usp_pick_slowly() whenever it has a
   choice: with a seed it always does (runtime/order.c). Timers are under control too:
   usp_timer_arm() only notes them.

   main starts the actors and then lets them run for as long as there is one that can. */
#include "tests/explore/light.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "runtime/arena.h"
#include "runtime/scheduler.h"
#include "tests/explore/timers.h"

enum { BY_LIBRARY, BY_CHOICES };

static struct {
    int mode;
    struct usp_fibre *main;
    struct choices *choices;
    unsigned at;
    struct random random; /* when timers go off, with a seed */
} light;

static unsigned choose(unsigned n)
{
    struct choices *choices = light.choices;
    if (n == 1)
        return 0;
    MUST(light.at < MOST_CHOICES);
    if (light.at == choices->n)
        choices->made[choices->n++] = 0;
    choices->among[light.at] = (uint8_t)n;
    MUST(choices->made[light.at] < n);
    return choices->made[light.at++];
}

bool light_next(struct choices *choices)
{
    while (choices->n > 0) {
        uint8_t *last = &choices->made[choices->n - 1];
        if (++*last < choices->among[choices->n - 1])
            return true;
        choices->n--;
    }
    return false;
}

/* ---- who runs next ---- */

struct usp_fibre *__real_usp_pick_slowly(void);
struct usp_fibre *__wrap_usp_pick_slowly(void);

/* main comes when nobody else can. */
static struct usp_fibre *pick_chosen(void)
{
    unsigned n = 0, main_at = MOST_ACTORS + 1, k = 0;
    for (struct usp_fibre *fibre = usp_sched.head; fibre; fibre = fibre->next, k++) {
        if (fibre == light.main)
            main_at = k;
        else
            n++;
    }
    unsigned hops = n == 0 ? 0 : choose(n);
    hops += n > 0 && hops >= main_at;
    struct usp_fibre *before = NULL, *picked = usp_sched.head;
    while (hops-- > 0) {
        before = picked;
        picked = picked->next;
    }
    *(before ? &before->next : &usp_sched.head) = picked->next;
    if (usp_sched.tail == picked)
        usp_sched.tail = before;
    return picked->sp ? picked : usp_fibre_bear(picked);
}

struct usp_fibre *__wrap_usp_pick_slowly(void)
{
    run_switches++;
    if (light.mode == BY_LIBRARY || !usp_sched.head)
        return __real_usp_pick_slowly();
    usp_sched.turns = 1; /* so that it is asked the next time, too */
    return pick_chosen();
}

/* ---- a run ---- */

/* Until nobody can go on. */
static void settle(void)
{
    do {
        while (usp_sched.head) {
            if (light.mode == BY_LIBRARY && timers_armed > 0 && one_in(&light.random, 8))
                timer_goes_off(below(&light.random, timers_armed));
            uvcsp_yield();
        }
        if (timers_armed > 0)
            timer_goes_off(light.mode == BY_LIBRARY ? below(&light.random, timers_armed)
                                                    : choose(timers_armed));
    } while (usp_sched.head || timers_armed > 0);
}

static void set_seed(uint64_t seed)
{
    usp_sched.seed = seed;
    usp_grant_turns();
}

/* In seconds of the processor, for many of which a run takes microseconds. */
#define LIMIT 2

static void never_ends(int signum)
{
    (void)signum;
    fprintf(stderr, "not by the rules: a run does not come to its end\n");
    network_print(stderr, &run->net);
    abort();
}

static void run_network(uint64_t seed)
{
    static unsigned runs;
    static const struct itimerval limit = {.it_value.tv_sec = LIMIT};
    if (runs % 256 == 0)
        setitimer(ITIMER_PROF, &limit, NULL);
    static size_t blocks;
    uvcsp_handle *handles[MOST_ACTORS] = {NULL};
    if (runs == 0)
        blocks = usp_arena_count(USP_BLOCK_FREE);
    run->history.n = 0;
    memset(run_tasks, 0, sizeof run_tasks);
    light.main = usp_current();
    run_make_channels();
    for (unsigned a = 0; a < run->net.n_actors; a++)
        if (run->net.actors[a].parent == NOBODY)
            MUST((handles[a] = GO(run_actor(a))));
    set_seed(seed);
    settle();
    happened(&(struct event){.what = QUIET});
    run_janitor();
    settle();
    light.mode = BY_LIBRARY;
    set_seed(0);
    for (unsigned a = 0; a < run->net.n_actors; a++)
        if (handles[a]) {
            MUST(uvcsp_join(handles[a], 0) == UVCSP_OK);
            uvcsp_handle_free(handles[a]);
        }
    run_free_channels();
    MUST(runs++ % 256 != 0 || usp_arena_count(USP_BLOCK_FREE) == blocks); /* to count takes long */
}

void light_run_seeded(uint64_t seed)
{
    light.mode = BY_LIBRARY;
    light.random.state = seed;
    run->steps = false;
    run_network(seed);
}

void light_run_chosen(struct choices *choices)
{
    light.mode = BY_CHOICES;
    light.choices = choices;
    light.at = 0;
    run->steps = true;
    run_network(1);
}

void light_init(void)
{
    static struct run own;
    run = &own;
    setenv("UVCSP_DEADLOCK", "off", 1);
    signal(SIGPROF, never_ends);
    uvcsp_yield();
}
