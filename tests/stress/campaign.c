/* A crash campaign: workers are killed at random moments, by the thousand, and what is left has to
   go on.

   A round is a network of a few workers with processes that talk over any-to-any channels by
   choices at both ends (traffic.h: both carriers, buffers, messages up to 1 MiB), and that now and
   then use a queue, a lock, a locked value, a semaphore and a manager, which all rounds of an epoch
   have in common. Some of the workers have workers of their own. The root kills some of them with
   SIGKILL, each at a random moment: before they are ready, in the middle of everything, or when
   they end. Now and then it kills the server of the manager. Of all that, these must hold:

       no survivor waits for longer than a second, by a clock that stands still while the root does
   not run itself, since what the machine keeps waiting is not told from what the library does the
   ledger of messages balances (ledger.h), and so do those of the queue, the locks and the manager
       who was not killed has not failed
       after each round no child is left, and no descriptor; after each epoch no block of the arena

   campaign [seconds [seed [kills]]]: ends after that many kills, or seconds. STRESS_TELL=0.3 in the
   environment tells of every wait that is longer. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/fixture.h"
#include "tests/stress/commons.h"
#include "tests/stress/traffic.h"

#define MOST_WORKERS 7
#define ROUNDS_OF_EPOCH 12
#define PATIENCE 1.0 /* seconds that a survivor may wait */
#define NESTED                                                                                     \
    8 /* process p + NESTED and p + 2 * NESTED are those that p has in workers of its own */

static struct traffic plan;
static unsigned n_roots; /* processes of the plan that the root starts */
static unsigned worker_of[NESTED];
static bool has_workers[NESTED];
static void *channels[MAX_CHANNELS];

static unsigned long kills, most_kills = 400, epochs;
static double longest_wait, told_at = PATIENCE; /* seconds; see STRESS_TELL */
static struct ledger_sums sums;
static unsigned long long dice;

/* ---- the processes ---- */

static bool use_commons(struct node *node)
{
    if (node_below(node, 6) == 0)
        commons_use(node->me, &node->random);
    return true;
}

/* Hands its ends to two processes in workers of their own. */
static void have_workers(struct node *node)
{
    uvcsp_handle *children[2] = {
        SPAWN(traffic_member(&plan, node->me + NESTED, channels)),
        SPAWN(traffic_member(&plan, node->me + 2 * NESTED, channels)),
    };
    for (unsigned i = 0; i < node->n_ports; i++) {
        uvcsp_retire(node->ports[i].in);
        uvcsp_retire(node->ports[i].out);
    }
    for (int i = 0; i < 2; i++)
        if (children[i])
            uvcsp_join(children[i], -1);
}

static void body(struct node *node)
{
    if (node->me < NESTED && has_workers[node->me])
        have_workers(node);
    else
        node_meet(node, use_commons);
}

/* ---- a round ---- */

static void draw(unsigned long long seed)
{
    memset(&plan, 0, sizeof plan);
    dice = stress_seeded(seed);
    plan.seed = seed;
    plan.body = body;
    plan.most_bytes = 1 << 20;
    plan.quota = 20 + stress_below(&dice, 80);
    plan.n_channels = 2 + stress_below(&dice, MAX_CHANNELS - 1);
    plan.n_processes = MAX_PROCESSES;
    n_roots = 3 + stress_below(&dice, NESTED - 2);
    unsigned n_workers = 2 + stress_below(&dice, MOST_WORKERS - 1);
    for (unsigned p = 0; p < n_roots; p++) {
        worker_of[p] = stress_below(&dice, n_workers);
        has_workers[p] = stress_below(&dice, 12) == 0;
    }
    for (unsigned c = 0; c < plan.n_channels; c++) {
        plan.types[c] = (enum message_type)stress_below(&dice, MESSAGE_TYPES);
        plan.capacities[c] = stress_below(&dice, 2) ? 0 : (int)stress_below(&dice, 4);
        for (unsigned p = 0; p < n_roots; p++) {
            /* two at least: nobody meets itself */
            bool has = p == c % n_roots || p == (c + 1) % n_roots || stress_below(&dice, 3) == 0;
            for (unsigned k = p; k < MAX_PROCESSES; k += NESTED)
                plan.reads[k][c] = plan.writes[k][c] = has;
        }
    }
}

/* Ends that keep the channels from retiring until all workers have been started. */
static void *keepers[2 * MAX_CHANNELS];

static void keep(void)
{
    for (unsigned c = 0; c < plan.n_channels; c++) {
        keepers[2 * c] = uvcsp_in_of(channels[c]);
        keepers[2 * c + 1] = uvcsp_out_of(channels[c]);
    }
}

static void stop_keeping(void)
{
    for (unsigned c = 0; c < 2 * plan.n_channels; c++)
        uvcsp_retire(keepers[c]);
}

static size_t start(uvcsp_handle **workers)
{
    size_t n_workers = 0;
    for (unsigned w = 0; w < MOST_WORKERS; w++) {
        uvcsp_process members[NESTED];
        size_t n = 0;
        for (unsigned p = 0; p < n_roots; p++)
            if (worker_of[p] == w)
                members[n++] = traffic_member(&plan, p, channels);
        if (n > 0 && !(workers[n_workers++] = uvcsp_spawn(uvcsp_worker(members, n))))
            exit(2);
    }
    return n_workers;
}

/* The clock of the waiting: it goes on by what passes between two looks, and by 5 ms at the most.
 */
static double witnessed, looked_at;

static void look_at_clock(void)
{
    double now = uvcsp_now(), passed = now - looked_at;
    witnessed += passed < 0.005 ? passed : 0.005;
    looked_at = now;
}

/* Each of its threads, as the kernel has it: R runs or would, S sleeps. */
static const char *states_of(int pid)
{
    static char states[16];
    char path[300];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    for (struct dirent *entry; threads && n < 15 && (entry = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file && fscanf(file, "%*d (%*[^)]) %c", &states[n]) == 1)
            n++;
        if (file)
            fclose(file);
    }
    if (threads)
        closedir(threads);
    states[n] = '\0';
    return states;
}

static void tell_all(void)
{
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        struct ledger_process *of = &ledger->of[p];
        int pid = atomic_load(&of->pid);
        if (pid)
            fprintf(stderr, "process %u (pid %d %s): %s, %s, sent %u, reads %x, writes %d\n", p,
                    pid, states_of(pid),
                    atomic_load(&of->ended)  ? "ended"
                    : !commons_is_alive(pid) ? "killed"
                                             : "alive",
                    commons_doing(p), atomic_load(&of->n_sent), atomic_load(&of->reading),
                    atomic_load(&of->writing));
    }
}

/* How long has each process been where it is? */
static bool nobody_hangs(void)
{
    static unsigned long seen[MAX_PROCESSES];
    static double since[MAX_PROCESSES];
    static bool told[MAX_PROCESSES];
    look_at_clock();
    for (unsigned p = 0; p < MAX_PROCESSES; p++) {
        struct ledger_process *of = &ledger->of[p];
        unsigned long steps = atomic_load(&of->steps);
        if (steps != seen[p] || steps == 0 || atomic_load(&of->ended) ||
            (p < NESTED && has_workers[p]) || !commons_is_alive(atomic_load(&of->pid))) {
            if (told[p])
                fprintf(stderr, "process %u went on after %.3f seconds\n", p, witnessed - since[p]);
            told[p] = false;
            seen[p] = steps;
            since[p] = witnessed;
        }
        double waits = witnessed - since[p];
        if (waits > longest_wait)
            longest_wait = waits;
        if (waits <= told_at || (told[p] && waits <= PATIENCE))
            continue;
        fprintf(stderr, "process %u has waited for %.3f seconds\n", p, waits);
        tell_all();
        told[p] = true;
        if (waits <= PATIENCE)
            continue;
        if (getenv("STRESS_STOP"))
            raise(SIGSTOP);
        return false;
    }
    return true;
}

/* Lets `seconds` pass, whole milliseconds in the loop and the rest exactly. */
static bool pause_for(double seconds)
{
    double end = uvcsp_now() + seconds;
    while (uvcsp_now() < end - 0.0015) {
        uvcsp_sleep(0.001);
        if (!nobody_hangs())
            return false;
    }
    double left = end - uvcsp_now();
    if (left > 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1e9)}, NULL);
    return true;
}

static bool kill_some(uvcsp_handle **workers, size_t n)
{
    for (size_t left = n - stress_below(&dice, 3) % n; left > 0; left--) {
        if (!pause_for(stress_below(&dice, 6) ? stress_below(&dice, 4000) * 1e-6 : 0))
            return false;
        uvcsp_handle *worker = workers[stress_below(&dice, (unsigned)n)];
        if (uvcsp_alive(worker))
            (void)uvcsp_kill(worker);
    }
    return true;
}

static bool join_all(uvcsp_handle **workers, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        while (uvcsp_join(workers[i], 0.001) == UVCSP_TIMEOUT)
            if (!nobody_hangs())
                return false;
        int code = uvcsp_exit_code(workers[i]);
        kills += code == -SIGKILL;
        if (code != 0 && code != -SIGKILL) {
            fprintf(stderr, "a worker that was not killed has ended with %d\n", code);
            good = false;
        }
        uvcsp_handle_free(workers[i]);
    }
    return good;
}

#define MADE_LATE 2 /* a link with the manager's server, and an epoll for children: where the machine was busy they are not there
                       yet when the epoch begins. More than that in all of its rounds is a leak. */

/* No child but the manager's server, and no descriptor. What a dead worker had started dies a
   moment later. */
static bool all_is_quiet(int descriptors)
{
    double patience = witnessed + 2 * PATIENCE;
    for (;;) {
        int open = house_count_descriptors(), children = commons_children();
        if (open <= descriptors + MADE_LATE && children == 0)
            return true;
        look_at_clock();
        if (witnessed > patience) {
            fprintf(stderr, "left: %d children, %d descriptors more\n", children,
                    open - descriptors);
            return false;
        }
        uvcsp_sleep(0.001);
    }
}

static bool run_network(unsigned long long seed)
{
    uvcsp_handle *workers[MOST_WORKERS];
    draw(seed);
    ledger_clear();
    for (unsigned p = n_roots; p < MAX_PROCESSES; p++)
        if (p % NESTED >= n_roots || !has_workers[p % NESTED])
            atomic_store(&ledger->of[p].ended, true);
    traffic_channels(&plan, channels);
    keep();
    size_t n = start(workers);
    stop_keeping();
    bool good = kill_some(workers, n) && commons_strike(&dice) && join_all(workers, n);
    for (unsigned c = 0; c < plan.n_channels; c++)
        uvcsp_channel_free(channels[c]);
    struct ledger_rules rules = {plan.n_processes, plan.n_channels, plan.capacities, true, true};
    return good && all_is_quiet(commons_descriptors()) && ledger_balances(&rules, &sums) &&
           commons_round_over();
}

static void list_descriptors(void)
{
    for (int fd = 3; fd < 64; fd++) {
        char path[40], target[100];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0)
            fprintf(stderr, "  %d: %.*s\n", fd, (int)n, target);
    }
}

/* A link whose other side has died is closed when the loop has read the end of it. */
static bool descriptors_are_closed(int before)
{
    double patience = witnessed + 2 * PATIENCE;
    int open;
    while ((open = house_count_descriptors()) > before) {
        look_at_clock();
        if (witnessed > patience) {
            fprintf(stderr, "%d descriptors are open, %d were\n", open, before);
            list_descriptors();
            return false;
        }
        uvcsp_sleep(0.001);
    }
    return true;
}

static const char *const kinds[] = {"free", "cached", "table", "task", "offers", "channel", "end", "message", "text", "value"};

static void tell_of_block(void *block, unsigned owner, void *arg)
{
    fprintf(stderr, "  a %s of %zu bytes, at %p, of worker %u\n", kinds[*(int *)arg], usp_arena_size(block), block, owner);
}

static bool arena_is_empty(size_t before)
{
    double patience = witnessed + 2 * PATIENCE;
    while (usp_arena_count(USP_BLOCK_FREE) > before) {
        look_at_clock();
        if (witnessed > patience) {
            fprintf(stderr, "left: %zu blocks, %zu more\n", usp_arena_count(USP_BLOCK_FREE),
                    usp_arena_count(USP_BLOCK_FREE) - before);
            for (int k = USP_BLOCK_TABLE; k < USP_BLOCK_KINDS; k++)
                usp_arena_each((enum usp_block_kind)k, tell_of_block, &k);
            return false;
        }
        uvcsp_sleep(0.001);
    }
    return true;
}

static bool enough(void)
{
    return kills >= most_kills;
}

/* In a process of its own: its ends, and its connection to the manager, go with it. */
PROCESS(epoch, VAL(unsigned long long, seed), VAL(bool *, goodp))
{
    *goodp = commons_open();
    for (unsigned i = 0; i < ROUNDS_OF_EPOCH && *goodp && !enough(); i++)
        *goodp = run_network(seed * ROUNDS_OF_EPOCH + i);
    *goodp = *goodp && commons_close();
}

static bool run_epoch(unsigned long long seed, int mode, bool light)
{
    (void)mode;
    (void)light;
    bool good = false;
    uvcsp_yield();
    int descriptors = house_count_descriptors();
    size_t blocks = usp_arena_count(USP_BLOCK_FREE);
    if (CO(epoch(seed, &good)) != 0 || !good ||
        !arena_is_empty(blocks + commons_blocks_that_stay()))
        return false;
    return ++epochs == 1 || descriptors_are_closed(descriptors);
}

int main(int argc, char **argv)
{
    const char *par = getenv("UVCSP_PAR");
    if (par && strcmp(par, "light") == 0)
        return 77; /* skipped: there is nobody to kill */
    if (stress_is_large())
        most_kills = 10000;
    else if (argc > 3)
        most_kills = strtoul(argv[3], NULL, 0);
    if (getenv("STRESS_TELL"))
        told_at = atof(getenv("STRESS_TELL"));
    looked_at = uvcsp_now();
    int rc = stress_main(
        &(struct stress){.large = 7200, .limit = 120, .round = run_epoch, .enough = enough}, argc,
        argv);
    printf("%lu kills; %lu messages arrived, %lu were dropped from buffers of channels that ended, "
           "%lu were agreed by one that was killed before it counted; longest wait %.0f ms\n",
           kills, sums.received, sums.dropped, sums.agreed_and_killed, longest_wait * 1000);
    commons_print();
    return rc;
}
