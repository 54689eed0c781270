/* Where the only worker of a PAR begins, and that nothing is left of that. */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <uvcsp.h>

#include "tests/failpoint.h"
#include "tests/fixture.h"

struct processors {
    cpu_set_t set;
};

static struct processors allowed(void)
{
    struct processors p;
    MUST(sched_getaffinity(0, sizeof p.set, &p.set) == 0);
    return p;
}

static bool is_same(struct processors a, struct processors b)
{
    return CPU_EQUAL(&a.set, &b.set);
}

static int count(struct processors p)
{
    return CPU_COUNT(&p.set);
}

static void ask_for(struct processors p)
{
    MUST(sched_setaffinity(0, sizeof p.set, &p.set) == 0);
}

/* The first `n` of those that are allowed. */
static struct processors some(int n)
{
    struct processors all = allowed(), some;
    CPU_ZERO(&some.set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all.set) && count(some) < n)
            CPU_SET(i, &some.set);
    return some;
}

static int held;

static void see_where(void)
{
    struct processors now = allowed();
    MUST(count(now) == 1 && CPU_ISSET(sched_getcpu(), &now.set));
    held++;
}

/* False: here nobody is ever held. */
static bool can_be_held(void)
{
    failpoints_share();
    failpoint_call("held-to-fork", see_where);
    held = 0;
    return !house_light() && count(allowed()) > 1 && prctl(PR_GET_SECCOMP) == 0;
}

PROCESS(nothing)
{
}

TEST(the_only_worker_of_a_par_begins_where_its_parent_is)
{
    bool can = can_be_held();
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(PAR(nothing()), 0);
        ck_assert_int_eq(held, can ? i : 0);
    }
    ck_assert_int_eq(PAR(WORKER(nothing(), nothing())), 0);
    ck_assert_int_eq(held, can ? 4 : 0);
}

PROCESS(waits, IN(int, in))
{
    int x;
    (void)uvcsp_read(in, &x);
}

PROCESS(pars, VAL(CHAN(int), c))
{
    MUST(PAR(nothing()) == 0);
    POISON(c);
}

PROCESS(gets_ready)
{
    uvcsp_yield();
}

PROCESS(pars_at_once)
{
    MUST(PAR(nothing()) == 0);
}

TEST(where_there_are_others_the_kernel_chooses)
{
    can_be_held();
    ck_assert_int_eq(PAR(nothing(), nothing()), 0);
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_ge(CO(waits(c), pars(c)), 0);
    ck_assert_int_eq(CO(pars_at_once(), gets_ready()), 0);
    c = CHANNEL(int);
    uvcsp_handle *handle = SPAWN(waits(c));
    ck_assert_int_eq(PAR(nothing()), 0);
    ck_assert_int_eq(held, 0);
    POISON(c);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
}

PROCESS(tells_its_processors, OUT(struct processors, out))
{
    WRITE(out, allowed());
}

static void run_and_compare(void)
{
    struct processors before = allowed();
    CHAN(struct processors) c = CHANNEL(struct processors, .capacity = 1);
    IN_END(struct processors) in = IN_OF(c);
    ck_assert_int_eq(PAR(tells_its_processors(c)), 0);
    ck_assert(is_same(READ(in), before));
    ck_assert(is_same(allowed(), before));
    RETIRE(in);
    uvcsp_channel_free(c);
}

TEST(parent_and_worker_may_run_afterwards_wherever_the_parent_could)
{
    bool can = can_be_held();
    struct processors all = allowed();
    run_and_compare();
    for (int n = 2; n < count(all) && n < 4; n++) {
        ask_for(some(n));
        run_and_compare();
        ask_for(all);
    }
    run_and_compare();
    ck_assert(!can || held >= 2);
    held = 0;
    ask_for(some(1));
    run_and_compare();
    ck_assert_int_eq(held, 0);
}

static struct processors at_begin;
static bool was_other; /* in this process */

static void compare_in_handler(void)
{
    was_other = was_other || !is_same(allowed(), at_begin);
}

PROCESS(says_whether, OUT(bool, out))
{
    WRITE(out, was_other);
}

TEST(handlers_of_the_program_do_not_see_that_their_process_is_held)
{
    bool can = can_be_held();
    at_begin = allowed();
    ck_assert_int_eq(pthread_atfork(compare_in_handler, compare_in_handler, compare_in_handler), 0);
    CHAN(bool) c = CHANNEL(bool, .capacity = 1);
    IN_END(bool) in = IN_OF(c);
    ck_assert_int_eq(PAR(says_whether(c)), 0);
    ck_assert(!READ(in));
    ck_assert(!was_other);
    ck_assert_int_eq(held, can);
}

static struct processors another;

static void ask_for_another(void)
{
    see_where();
    another = at_begin;
    CPU_CLR(sched_getcpu(), &another.set);
    ask_for(another);
}

TEST(a_set_that_somebody_else_asks_for_meanwhile_is_left_alone)
{
    if (!can_be_held())
        return;
    at_begin = allowed();
    failpoint_call("held-to-fork", ask_for_another);
    ck_assert_int_eq(PAR(nothing()), 0);
    ck_assert_int_eq(held, 1);
    ck_assert(is_same(allowed(), another));
}

SUITE("affinity", .after = uvcsp_shutdown)
