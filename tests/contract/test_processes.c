/* Processes: parameters, PAR, CO, SEQ, WORKER, replicators and how they nest, what is deferred, and
   the snapshot that a worker is of its parent. */
#include <sched.h>

#include "tests/contract/contract.h"

/* ---- parameters ---- */

static atomic_int *count; /* shared by all */

PROCESS_DECLARE(declared_here, VAL(int, a), IN(int, in));
PROCESS_DECLARE(in_another_file, VAL(atomic_int *, p), OUT(int, out));

PROCESS(p0)
{
    ++*count;
}
PROCESS(p1, VAL(int, a))
{
    MUST(a == 1);
    ++*count;
}
PROCESS(p8, VAL(char, a), VAL(short, b), VAL(float, c), VAL(double, d), VAL(const char *, e),
        VAL(bool, f), VAL(unsigned char, g), VAL(long double, h))
{
    MUST(a == 'a' && b == -2 && c == 0.5f && d == 0.25 && strcmp(e, "e") == 0 && f && g == 255 &&
         h == 8.5L);
    ++*count;
}
PROCESS(p16, VAL(int, a), VAL(int, b), VAL(int, c), VAL(int, d), VAL(int, e), VAL(int, f),
        VAL(int, g), VAL(int, h), VAL(int, i), VAL(int, j), VAL(int, k), VAL(int, l), VAL(int, m),
        VAL(int, n), IN(int, in), OUT(int, out))
{
    MUST(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 &&
         j == 10);
    MUST(k == 11 && l == 12 && m == 13 && n == 14);
    WRITE(out, READ(in) + 1);
    ++*count;
}

struct point {
    int x, y;
    char name[100];
};
PROCESS(takes_structures, VAL(struct point, p), VAL(struct point *, q))
{
    MUST(p.x == 1 && p.y == 2 && strcmp(p.name, "p") == 0 && q->y == 4);
    ++*count;
}

PROCESS(gives, OUT(int, out), VAL(int, x))
{
    WRITE(out, x);
}

TEST(a_process_takes_up_to_sixteen_parameters_of_any_kind, .times = PLACEMENTS)
{
    count = seen_by_all(sizeof *count);
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 1);
    IN_END(int) in = IN_OF(d);
    struct point p = {1, 2, "p"}, q = {3, 4, "q"};
    ck_assert_int_eq(RUN(_i, p0(), p1(1), p8('a', -2, 0.5f, 0.25, "e", true, 255, 8.5L),
                         p16(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, c, d), gives(c, 41),
                         takes_structures(p, &q)),
                     0);
    ck_assert_int_eq(*count, 5);
    ck_assert_int_eq(READ(in), 42);
}

TEST(a_process_can_be_declared_before_and_defined_elsewhere, .times = PLACEMENTS)
{
    count = seen_by_all(sizeof *count);
    CHAN(int) c = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, in_another_file(count, c), declared_here(7, c)), 0);
    ck_assert_int_eq(*count, 7 + 100);
}

PROCESS(declared_here, VAL(int, a), IN(int, in))
{
    *count += a + READ(in);
}

TEST(a_process_value_runs_once_and_says_so_the_second_time)
{
    count = seen_by_all(sizeof *count);
    uvcsp_process p = p0(), spare = p0(), unused = p0();
    ck_assert_int_eq(CO(p), 0);
    house_capture(2);
    int again = CO(p), with_another = PAR(spare, p);
    char *said = house_captured();
    ck_assert_int_eq(again, -EINVAL);
    ck_assert_int_eq(with_another, -EINVAL);
    ck_assert_contains(said, "p0");
    free(said);
    ck_assert_int_eq(*count, 1); /* none of a PAR that is refused has run */
    uvcsp_process_free(unused);
}

TEST(no_processes_at_all_are_done_at_once)
{
    ck_assert_int_eq(uvcsp_par(NULL, 0), 0);
    ck_assert_int_eq(uvcsp_co(NULL, 0), 0);
    ck_assert_int_eq(uvcsp_seq(NULL, 0), 0);
    ck_assert_int_eq(PAR_FOR(i, 0, p1(i)), 0);
    ck_assert_int_eq(CO_FOR(i, -3, p1(i)), 0);
}

/* ---- PAR, CO, SEQ ---- */

PROCESS(in_turn, VAL(int, i))
{
    uvcsp_yield();
    MUST(*count == i);
    ++*count;
}

TEST(seq_runs_one_after_the_other)
{
    count = seen_by_all(sizeof *count);
    ck_assert_int_eq(SEQ(in_turn(0), in_turn(1), in_turn(2)), 0);
    ck_assert_int_eq(SEQ_FOR(i, 20, in_turn(i + 3)), 0);
    ck_assert_int_eq(*count, 23);
}

PROCESS(sums, IN(long, in), OUT(long, out), VAL(int, n))
{
    long total = 0;
    for (int i = 0; i < n; i++)
        total += READ(in);
    WRITE(out, total);
}

PROCESS(squares, VAL(int, i), OUT(long, out))
{
    WRITE(out, (long)i * i);
}

TEST(replicated_processes_get_their_number)
{
    CHAN(long) c = CHANNEL(long), d = CHANNEL(long, .capacity = 2);
    IN_END(long) in = IN_OF(d);
    OUT_END(long) held = OUT_OF(c); /* or the channel would retire with the last of the CO */
    GO(sums(c, d, 30));
    ck_assert_int_eq(CO_FOR(i, 20, squares(i, c)), 0);
    ck_assert_int_eq(PAR_FOR(i, 10, squares(i + 20, c)), 0);
    ck_assert_int_eq(READ(in), 29 * 30 * 59 / 6);
    (void)held;
}

PROCESS(notes_pid, VAL(atomic_int *, pid))
{
    *pid = getpid();
}

TEST(par_forks_co_does_not_and_a_worker_is_one_for_all_that_it_hosts)
{
    atomic_int *pids = seen_by_all(8 * sizeof *pids);
    ck_assert_int_eq(CO(notes_pid(&pids[0]), notes_pid(&pids[1])), 0);
    ck_assert_int_eq(
        PAR(notes_pid(&pids[2]), WORKER(notes_pid(&pids[3]), WORKER(notes_pid(&pids[4])))), 0);
    ck_assert_int_eq(CO(WORKER(notes_pid(&pids[5]), notes_pid(&pids[6])), notes_pid(&pids[7])), 0);
    int here = getpid();
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pids[i] == here, house_light() || i < 2 || i > 4);
    ck_assert_int_eq(pids[3], pids[4]);
    ck_assert_int_eq(pids[2] == pids[3], house_light());
}

/* ---- nesting ---- */

enum kind { BY_PAR, BY_CO, BY_SEQ, BY_WORKERS, KINDS };

PROCESS(tree, VAL(int, depth), VAL(unsigned, way), OUT(int, leaves))
{
    if (depth == 0) {
        WRITE(leaves, 1);
        return;
    }
    int failed;
    switch ((enum kind)(way % KINDS)) {
    case BY_PAR:
        failed = PAR(tree(depth - 1, way / KINDS, leaves), tree(depth - 1, way / KINDS, leaves));
        break;
    case BY_CO:
        failed = CO(tree(depth - 1, way / KINDS, leaves), tree(depth - 1, way / KINDS, leaves));
        break;
    case BY_SEQ:
        failed = SEQ(tree(depth - 1, way / KINDS, leaves), tree(depth - 1, way / KINDS, leaves));
        break;
    default:
        failed =
            PAR(WORKER(tree(depth - 1, way / KINDS, leaves), tree(depth - 1, way / KINDS, leaves)));
    }
    MUST(failed == 0);
}

PROCESS(counts, IN(int, in), VAL(int, n))
{
    int x, got = 0;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        got += x;
    MUST(got == n);
}

/* In PyCSP a kind of process that is started in another kind hangs. */
TEST(every_kind_of_parallel_nests_in_every_other, .times = KINDS * KINDS * KINDS)
{
    CHAN(int) leaves = CHANNEL(int);
    ck_assert_int_eq(CO(tree(3, (unsigned)_i, leaves), counts(leaves, 8)), 0);
}

PROCESS(ticks, OUT(int, out))
{
    for (int i = 0;; i++)
        WRITE(out, i);
}

PROCESS(goes_on, IN(int, ticks), OUT(int, tell), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(ticks);
    WRITE(tell, n);
}

PROCESS(pars, IN(int, wait), IN(int, ticks))
{
    /* until the light processes beside it have exchanged so many messages the forked one does not
       end */
    MUST(PAR(counts(wait, 500)) == 0);
    (void)ticks;
}

TEST(light_processes_go_on_while_one_of_them_is_in_a_par)
{
    CHAN(int) t = CHANNEL(int), tell = CHANNEL(int);
    ck_assert_int_eq(PAR(WORKER(ticks(t), goes_on(t, tell, 500), pars(tell, t))), 0);
}

/* ---- what is deferred ---- */

static char *order;
static void append(void *text)
{
    strcat(order, text);
}

enum how { RETURNS, EXITS, BY_POISON, BY_RETIREMENT, BY_POISON_IN_ALT, HOWS };

PROCESS(defers, VAL(enum how, how), IN(int, ended))
{
    int x;
    MUST(DEFER(append, "1") == 0);
    MUST(DEFER(append, "2") == 0);
    MUST(DEFER(append, "3") == 0);
    if (how == EXITS)
        uvcsp_exit_process();
    if (how == BY_POISON_IN_ALT)
        ALT(ON_READ(ended, &x));
    if (how != RETURNS)
        (void)READ(ended);
    strcat(order, "r");
}

TEST(what_is_deferred_runs_last_in_first_out_whichever_way_the_process_ends,
     .times = HOWS * PLACEMENTS)
{
    enum how how = (enum how)(_i % HOWS);
    order = seen_by_all(100);
    CHAN(int) c = CHANNEL(int);
    if (how == BY_RETIREMENT)
        RETIRE(OUT_OF(c));
    else
        POISON(c);
    ck_assert_int_eq(RUN(_i / HOWS, defers(how, c)), 0);
    ck_assert_str_eq(order, how == RETURNS ? "r321" : "321");
}

static OUT_END(int) last_words;
static void says_goodbye(void *arg)
{
    WRITE(last_words, (int)(intptr_t)arg);
}
PROCESS(communicates_at_its_end, OUT(int, out), IN(int, ended))
{
    last_words = out;
    DEFER(says_goodbye, (void *)2);
    DEFER(says_goodbye, (void *)1);
    (void)READ(ended);
}
PROCESS(hears, IN(int, in))
{
    MUST(READ(in) == 1);
    MUST(READ(in) == 2);
    int x;
    MUST_BE(uvcsp_read(in, &x), UVCSP_POISONED);
}

TEST(what_is_deferred_still_has_the_ends_of_the_process, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int), ended = CHANNEL(int);
    POISON(ended);
    ck_assert_int_eq(RUN(_i, communicates_at_its_end(c, ended), hears(c)), 0);
}

TEST(a_null_function_is_not_deferred)
{
    house_capture(2);
    int code = DEFER(NULL, NULL);
    free(house_captured());
    ck_assert_int_eq(code, -EINVAL);
}

/* ---- the snapshot ---- */

static int global = 1;

PROCESS(writes_to_memory, VAL(int *, local), VAL(int *, heap))
{
    MUST(global == 2 && *local == 3 && *heap == 4);
    global = *local = *heap = 9;
}

PROCESS(starts_with_its_stack, VAL(int, i))
{
    int mine[1000], *heap = malloc(sizeof *heap);
    MUST(i >= 0);
    for (int i = 0; i < 1000; i++)
        mine[i] = 3;
    *heap = 4;
    global = 2;
    MUST(PAR(writes_to_memory(&mine[777], heap), writes_to_memory(&mine[3], heap)) == 0 ||
         house_light());
    MUST(house_light() || (global == 2 && mine[777] == 3 && mine[3] == 3 && *heap == 4));
    free(heap);
}

TEST(a_worker_reads_what_pointers_point_to_and_what_it_writes_stays_its_own)
{
    if (house_light())
        return;
    int local = 3, *heap = malloc(sizeof *heap);
    *heap = 4;
    global = 2;
    ck_assert_int_eq(PAR(writes_to_memory(&local, heap), writes_to_memory(&local, heap)), 0);
    ck_assert_int_eq(global + local + *heap, 2 + 3 + 4);
    free(heap);
    ck_assert_int_eq(CO(starts_with_its_stack(0)), 0);
    ck_assert_int_eq(PAR(starts_with_its_stack(0), WORKER(starts_with_its_stack(0))), 0);
    /* beyond the first few hundred, light processes have stacks that a fork leaves out but for this
       one */
    CHAN(int) never = CHANNEL(int);
    for (int i = 0; i < 300; i++)
        GO(counts(never, 0));
    ck_assert_int_eq(CO(starts_with_its_stack(0), starts_with_its_stack(1)), 0);
    RETIRE(OUT_OF(never));
}

/* ---- the first process of a worker waits while others of it come and go ---- */

PROCESS(comes_and_goes, VAL(int, turns), VAL(int *, ended), VAL(bool, retires))
{
    for (int i = 0; i < turns; i++)
        uvcsp_yield();
    ++*ended;
    if (retires)
        uvcsp_exit_process();
}

PROCESS(first_of_its_worker, VAL(int, n), VAL(bool, retires), OUT(int, out))
{
    int ended = 0, before = n * 7, sum = 0;
    for (int i = 0; i < n; i++)
        GO(comes_and_goes(1 + i % 2, &ended, retires));
    uvcsp_sleep(0.005);
    for (int i = 0; i < n; i++)
        CO(comes_and_goes(0, &sum, retires));
    WRITE(out, before == n * 7 && sum == n ? ended : -1);
}

TEST(the_first_process_of_a_worker_waits_while_others_of_it_come_and_go, .times = 2)
{
    for (int n = 1; n <= 6; n++) {
        CHAN(int) c = CHANNEL(int, .capacity = 1);
        IN_END(int) in = IN_OF(c);
        uvcsp_handle *handle = SPAWN(first_of_its_worker(n, _i == 1, c));
        ck_assert_int_eq(READ(in), n);
        RETIRE(in);
        ck_assert_int_eq(uvcsp_join(handle, 20), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(handle), 0);
    }
}

PROCESS(is_quick)
{
}

TEST(a_program_that_ignores_the_ends_of_children_has_workers_all_the_same, .times = 2)
{
    signal(SIGCHLD, SIG_IGN);
    for (int round = 0; round < 10; round++) {
        ck_assert_int_eq(PAR_FOR(i, 8, is_quick()), 0);
        uvcsp_handle *handle = SPAWN(is_quick());
        ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(handle), 0);
        uvcsp_handle_free(handle);
        if (_i == 1) /* from now on with a loop */
            uvcsp_sleep(0.001);
    }
}

struct processors {
    cpu_set_t set;
};

PROCESS(tells_its_processors, OUT(struct processors, out))
{
    struct processors mine;
    MUST(sched_getaffinity(0, sizeof mine.set, &mine.set) == 0);
    WRITE(out, mine);
}

TEST(workers_may_run_wherever_their_parent_may_and_it_still_may_afterwards, .times = 2)
{
    cpu_set_t set, after;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    for (int i = CPU_SETSIZE - 1; _i == 1 && i >= 0 && CPU_COUNT(&set) > 1; i--)
        CPU_CLR(i, &set); /* to one */
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
    for (int n = 1; n <= 2; n++) {
        CHAN(struct processors) c = CHANNEL(struct processors, .capacity = 2);
        IN_END(struct processors) in = IN_OF(c);
        ck_assert_int_eq(PAR_FOR(i, n, tells_its_processors(c)), 0);
        for (int i = 0; i < n; i++) {
            struct processors its = READ(in);
            ck_assert(CPU_EQUAL(&its.set, &set));
        }
    }
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&after, &set));
}

SUITE("processes", .before = default_signals, .after = uvcsp_shutdown)
