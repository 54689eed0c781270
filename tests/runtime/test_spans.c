/* The shared part of the arena: several workers at once, and workers that die in the middle. Looks
   inside, to hold the lists against the words. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/spans.h"
#include "tests/fixture.h"

#define MIB ((size_t)1 << 20)

/* What parent and children tell each other; a block of the arena. */
static struct board {
    _Atomic long progress, broken, stop, found;
    void *_Atomic mailbox[64];
} * board;

static void map_again(size_t size)
{
    usp_arena_deinit();
    ck_assert_int_eq(usp_arena_init(size), 0);
    board = usp_arena_alloc(sizeof *board, USP_BLOCK_SHARED);
    ck_assert_ptr_nonnull(board);
    memset(board, 0, sizeof *board);
}

static int before(void)
{
    map_again(64 * MIB);
    return 0;
}

static int after(void)
{
    usp_lock_stuck = NULL;
    usp_arena_deinit();
    return 0;
}

/* Forks a worker that runs fn and drains its cache. */
static pid_t start(unsigned owner, void (*fn)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        usp_arena_adopt(owner);
        fn();
        usp_arena_drain();
        _exit(0);
    }
    return pid;
}

static void join(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static void kill_and_reap(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    do
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    while (!WIFSIGNALED(status) && !WIFEXITED(status));
}

/* Holds lists and counters against the words. No worker may be at work. */
static void check_lists(void)
{
    struct usp_spans *spans = usp_region.spans;
    size_t free_blocks[USP_CLASSES] = {0}, listed[USP_CLASSES] = {0};
    uint32_t idle = 0, end = atomic_load(&spans->bump);
    ck_assert_uint_eq(atomic_load(&spans->lock), 0);
    for (uint32_t span = spans->first, n; span < end; span += n) {
        unsigned shape = atomic_load(&usp_region.shapes[span]);
        ck_assert_msg(shape != 0, "no run begins at span %u", span);
        const struct usp_class *class = &usp_region.classes[shape - 1];
        n = class->spans;
        for (uint32_t i = 1; i < n; i++)
            if (atomic_load(&usp_region.shapes[span + i]) != 0)
                ck_abort_msg("a run begins inside that of span %u", span);
        for (uint32_t i = 0; i < class->count; i++)
            free_blocks[shape - 1] += usp_word_kind(usp_words_of(span, class)[i]) == USP_BLOCK_FREE;
    }
    for (unsigned c = 0; c < USP_LARGE; c++) {
        struct usp_small_list *list = &spans->small[c];
        const struct usp_class *class = NULL;
        for (struct usp_link *at = list->free; at != NULL; at = at->next) {
            _Atomic uint32_t *word = usp_word_find(at, &class);
            if (word == NULL || class != &usp_region.classes[c] || *word != 0 ||
                ++listed[c] > free_blocks[c])
                ck_abort_msg("%p should not be in the list of class %u", (void *)at, c);
        }
        if (list->carved_span != 0)
            listed[c] += usp_region.classes[c].count - list->carved;
        ck_assert_uint_eq(listed[c], free_blocks[c]);
    }
    for (unsigned c = USP_LARGE; c < USP_CLASSES; c++) {
        for (uint32_t span = spans->large[c - USP_LARGE]; span != 0;) {
            _Atomic uint32_t *word = usp_region.words + (size_t)span * USP_WORDS_ASIDE;
            ck_assert_uint_eq(atomic_load(&usp_region.shapes[span]), c + 1);
            ck_assert_int_eq(usp_word_kind(word[0]), USP_BLOCK_FREE);
            ck_assert_uint_le(++listed[c], free_blocks[c]);
            idle += word[0] & USP_WORD_CLEAN ? 0 : usp_region.classes[c].spans;
            span = word[1];
        }
        ck_assert_uint_eq(listed[c], free_blocks[c]);
    }
    ck_assert_uint_eq(spans->idle, idle);
}

/* Blocks that a worker holds and knows by their contents. */
struct held {
    unsigned char *at;
    unsigned size, mark;
};

static bool fill(struct held *held, unsigned size, unsigned mark)
{
    held->at = usp_arena_alloc(size, USP_BLOCK_MESSAGE);
    held->size = size < 5000 ? size : 5000;
    held->mark = mark;
    if (held->at != NULL)
        memset(held->at, (int)mark, held->size);
    return held->at != NULL;
}

static bool is_whole(const struct held *held)
{
    for (unsigned i = 0; i < held->size; i++)
        if (held->at[i] != (unsigned char)held->mark)
            return false;
    return true;
}

static unsigned some_size(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 8;
    return kind < 5    ? 1 + (unsigned)rand_r(seed) % 600
           : kind == 5 ? 1 + (unsigned)rand_r(seed) % 40000
           : kind == 6 ? 30000
                       : 65536 * (1 + (unsigned)rand_r(seed) % 6);
}

/* Allocates and frees at random, watches over its blocks, drains now and then: most of it is spent
   under the lock. Ends when told to, or after `rounds`. */
static void churn(long rounds)
{
    static struct held held[100];
    unsigned seed = (unsigned)getpid();
    memset(held, 0, sizeof held);
    for (long round = 0; round < rounds && !board->stop; round++) {
        struct held *one = &held[(unsigned)rand_r(&seed) % 100];
        if (one->at != NULL) {
            if (!is_whole(one))
                board->broken++;
            usp_arena_free(one->at);
        }
        fill(one, some_size(&seed), (unsigned)rand_r(&seed));
        if (round % 16 == 0)
            usp_arena_drain();
        board->progress++;
    }
    for (int i = 0; i < 100; i++)
        usp_arena_free(held[i].at);
}

static void churn_on(void)
{
    churn(LONG_MAX);
}

static void churn_a_while(void)
{
    churn(house_valgrind() ? 2000 : 100000);
}

static void free_the_first(void)
{
    void *block = board->mailbox[0];
    if (!usp_arena_is(block, USP_BLOCK_TEXT) || usp_arena_owner(block) != 0 ||
        strcmp(block, "from the parent") != 0)
        _exit(1);
    usp_arena_free(block);
    char *mine = usp_arena_alloc(128, USP_BLOCK_TEXT);
    strcpy(mine, "from the child");
    board->mailbox[1] = mine;
}

TEST(a_block_means_the_same_in_every_worker)
{
    board->mailbox[0] = usp_arena_alloc(64, USP_BLOCK_TEXT);
    strcpy(board->mailbox[0], "from the parent");
    join(start(3, free_the_first));
    char *theirs = board->mailbox[1];
    ck_assert(!usp_arena_is(board->mailbox[0], USP_BLOCK_TEXT));
    ck_assert(usp_arena_is(theirs, USP_BLOCK_TEXT));
    ck_assert_uint_eq(usp_arena_owner(theirs), 3);
    ck_assert_str_eq(theirs, "from the child");
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_TEXT), 1);
    usp_arena_free(theirs);
    check_lists();
}

TEST(two_workers_allocate_and_free_at_once)
{
    pid_t other = start(1, churn_a_while);
    churn_a_while();
    join(other);
    usp_arena_drain();
    ck_assert_int_eq(board->broken, 0);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 1);
    check_lists();
}

/* Puts marked blocks into the mailbox and frees what it finds there, whoever made it. */
static void exchange(void)
{
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < (house_valgrind() ? 2000 : 100000); i++) {
        struct held mine;
        if (!fill(&mine, 8 + some_size(&seed) % 1000, 0))
            continue;
        uintptr_t mark = (uintptr_t)mine.at ^ 0x5a5a;
        memcpy(mine.at, &mark, sizeof mark);
        void *theirs = atomic_exchange(&board->mailbox[rand_r(&seed) % 64], mine.at);
        if (theirs == NULL)
            continue;
        memcpy(&mark, theirs, sizeof mark);
        if (mark != ((uintptr_t)theirs ^ 0x5a5a))
            board->broken++;
        usp_arena_free(theirs);
    }
}

TEST(workers_free_each_others_blocks)
{
    pid_t one = start(1, exchange), two = start(2, exchange);
    exchange();
    join(one);
    join(two);
    usp_arena_drain();
    ck_assert_int_eq(board->broken, 0);
    for (int i = 0; i < 64; i++)
        usp_arena_free(board->mailbox[i]);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 1);
}

static void look_at(void *block, unsigned owner, void *arg)
{
    (void)arg;
    if (!usp_arena_holds(block, 32) || owner > 1)
        ck_abort_msg("%p of %u should not be met", block, owner);
    board->found++;
}

TEST(a_walk_can_be_made_while_another_worker_allocates)
{
    map_again(8 * MIB); /* full now and then, so that runs merge and split */
    pid_t other = start(1, churn_on);
    for (long seen = 0; board->found < 20000 || board->progress < 20000;) {
        usp_arena_each(USP_BLOCK_MESSAGE, look_at, &seen);
        if (house_valgrind() && board->found > 500)
            break;
    }
    board->stop = 1;
    join(other);
    ck_assert_int_eq(board->broken, 0);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 1);
}

TEST(a_drained_cache_is_for_all)
{
    map_again(2 * MIB);
    size_t n = 0, again = 0;
    void *blocks[2000];
    while (n < 2000 && (blocks[n] = usp_arena_alloc(1024, USP_BLOCK_MESSAGE)) != NULL)
        n++;
    for (size_t i = 0; i < n; i++)
        usp_arena_free(blocks[i]);
    usp_arena_drain();
    check_lists();
    usp_arena_adopt(1);
    while (again < 2000 && (blocks[again] = usp_arena_alloc(1024, USP_BLOCK_MESSAGE)) != NULL)
        again++;
    ck_assert_uint_eq(again, n);
}

TEST(idle_large_blocks_give_their_memory_back)
{
    map_again(512 * MIB);
    unsigned char *blocks[40];
    int dirty = 0;
    for (int i = 0; i < 40; i++) {
        blocks[i] = usp_arena_alloc(8 * MIB, USP_BLOCK_MESSAGE);
        ck_assert_ptr_nonnull(blocks[i]);
        blocks[i][MIB] = 1;
    }
    for (int i = 0; i < 40; i++)
        usp_arena_free(blocks[i]);
    check_lists();
    for (int i = 0; i < 40; i++) {
        blocks[i] = usp_arena_alloc(8 * MIB, USP_BLOCK_MESSAGE);
        dirty += blocks[i][MIB];
    }
    ck_assert_int_ge(dirty, 4);
    ck_assert_int_le(dirty, 10);
    check_lists();
}

TEST(a_killed_workers_cache_and_blocks_come_back, .seconds = 60)
{
    int kills = house_valgrind() ? 5 : 300;
    unsigned seed = 5;
    pid_t survivor = start(1, churn_on);
    for (int i = 0; i < kills; i++) {
        unsigned owner = 2 + (unsigned)i % 50;
        long until = board->progress + 1 + rand_r(&seed) % 400;
        pid_t victim = start(owner, churn_on);
        while (board->progress < until)
            sched_yield();
        kill_and_reap(victim);
        usp_arena_recover(owner);
        usp_arena_reclaim(owner);
    }
    board->stop = 1;
    join(survivor);
    ck_assert_int_eq(board->broken, 0);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 1);
    check_lists();
}

/* The same at chosen instructions, in an arena so small that all that there is happens soon:
   carving, refilling, splitting, merging, draining, being full. A traced worker stops before a
   chosen operation; from there its parent steps it, and board->progress tells which operation it is
   in. */

enum { ALLOC, FREE, DRAIN, FILL, FREE_ALL, N_OPERATIONS = 12 };
static const struct {
    int what;
    size_t size; /* of ALLOC and FILL; the index of FREE */
} operations[N_OPERATIONS] = {{ALLOC, 700},    {ALLOC, 16384}, {FREE, 1},  {DRAIN, 0},
                              {ALLOC, 200000}, {ALLOC, 16384}, {FREE, 1},  {ALLOC, 60000},
                              {FILL, 100000},  {FREE_ALL, 1},  {DRAIN, 0}, {ALLOC, 300000}};

static int operation; /* in which the death is to be */

static void everything_once(int stop_before)
{
    void *blocks[40];
    int n = 0;
    for (int i = 0; i < N_OPERATIONS; i++) {
        board->progress = i;
        if (i == stop_before)
            raise(SIGSTOP);
        size_t size = operations[i].size;
        switch (operations[i].what) {
        case ALLOC:
            blocks[n++] = usp_arena_alloc(size, USP_BLOCK_MESSAGE);
            break;
        case FREE:
            usp_arena_free(blocks[size]);
            blocks[size] = blocks[--n];
            break;
        case DRAIN:
            usp_arena_drain();
            break;
        case FILL:
            while ((blocks[n] = usp_arena_alloc(size, USP_BLOCK_MESSAGE)) != NULL)
                n++;
            break;
        case FREE_ALL:
            while (n > (int)size)
                usp_arena_free(blocks[--n]);
        }
    }
    _exit(n != 2 || blocks[1] == NULL);
}

/* In an arena of 1 MiB, none of it zero: something of each sort live and listed. */
static void prepare(struct held *held, int n)
{
    map_again(MIB);
    void *dirty = usp_arena_alloc(800000, USP_BLOCK_MESSAGE);
    memset(dirty, 0x77, 800000);
    usp_arena_free(dirty);
    ck_assert_ptr_null(
        usp_arena_alloc(1000000, USP_BLOCK_MESSAGE)); /* puts it above the bump again */
    void *hole = usp_arena_alloc(250000, USP_BLOCK_MESSAGE);
    for (int i = 0; i < n; i++)
        ck_assert(fill(&held[i], i % 3 == 0 ? 1000 : i % 3 == 1 ? 16384 : 3000, (unsigned)i));
    usp_arena_free(hole);
    usp_arena_drain();
    check_lists();
}

static pid_t start_traced(unsigned owner, int stop_before)
{
    pid_t pid = fork();
    if (pid == 0) {
        usp_arena_adopt(owner);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
            _exit(77);
        everything_once(stop_before);
    }
    return pid;
}

/* Lets it run for so many instructions, or until `enough`, and kills it. Gives how many there were,
   or -1 where tracing is not allowed. */
static long steps(pid_t pid, long most, bool (*enough)(void))
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return -1;
    for (long n = 0;; n++) {
        if (WIFEXITED(status)) {
            ck_assert_int_eq(WEXITSTATUS(status), 0);
            return n;
        }
        if (!WIFSTOPPED(status))
            ck_abort_msg("status %x", (unsigned)status);
        if (n == most || (enough != NULL && enough())) {
            kill_and_reap(pid);
            return n;
        }
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1 || waitpid(pid, &status, 0) != pid)
            ck_abort_msg("step %ld: %s", n, strerror(errno));
    }
}

/* What the survivors have is whole, and all that is left can be had once. */
static void check_after(const struct held *held, int n_held, long at)
{
    usp_arena_recover(7);
    usp_arena_reclaim(7);
    check_lists();
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 1 + (size_t)n_held);
    static struct held rest[2000];
    int n = 0;
    for (unsigned size = 3 * 65536; size >= 512; size = size > 3000 ? 3000 : size / 2)
        while (n < 2000 && fill(&rest[n], size, (unsigned)n))
            n++;
    for (int i = 0; i < n; i++)
        if (!is_whole(&rest[i]))
            ck_abort_msg("block %d given twice, death at step %ld of operation %d", i, at,
                         operation);
    for (int i = 0; i < n_held; i++)
        if (!is_whole(&held[i]))
            ck_abort_msg("block %d overwritten, death at step %ld of operation %d", i, at,
                         operation);
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += usp_arena_size(rest[i].at);
    ck_assert_msg(total > MIB / 2, "only %zu bytes left, death at step %ld of operation %d", total,
                  at, operation);
}

/* The promise that a recovery builds on: after each instruction the runs are whole and their words
   mean something. */
static void check_runs(void)
{
    uint32_t end = atomic_load(&usp_region.spans->bump);
    for (uint32_t span = usp_region.spans->first, n; span < end; span += n) {
        unsigned shape = atomic_load(&usp_region.shapes[span]);
        if (shape == 0 || shape > USP_CLASSES)
            ck_abort_msg("no run begins at span %u of %u", span, end);
        const struct usp_class *class = &usp_region.classes[shape - 1];
        n = class->spans;
        for (uint32_t i = 0; i < class->count; i++) {
            uint32_t word = usp_words_of(span, class)[i];
            if (usp_word_kind(word) >= USP_BLOCK_KINDS || usp_word_owner(word) % 7 != 0)
                ck_abort_msg("word %u of span %u is %x", i, span, word);
        }
        if (span + n > end)
            ck_abort_msg("the run at span %u reaches over the bump", span);
    }
}

static bool is_past(void)
{
    if (atomic_load(&usp_region.spans->lock) != 0)
        check_runs();
    return board->progress > operation;
}

TEST(a_worker_may_die_at_any_instruction, .times = N_OPERATIONS, .seconds = 60)
{
    enum { HELD = 12, MOST = 5000 }; /* a step costs as much as thousands of instructions */
    struct held held[HELD];
    if (house_valgrind())
        return;
    operation = _i;
    prepare(held, HELD);
    long all = steps(start_traced(7, _i), -1, is_past), sum = 0;
    for (long i = 0; i < 16 && sum < MOST && all != -1; i++) {
        long at = all * (i * 7 % 16) / 16 + i;
        check_after(held, HELD, at);
        prepare(held, HELD);
        sum += steps(start_traced(7, _i), at, NULL);
    }
    check_after(held, HELD, all);
}

static bool has_the_lock(void)
{
    return atomic_load(&usp_region.spans->lock) == 7 + 1;
}

static bool somebody_died(unsigned holder)
{
    ck_assert_uint_eq(holder, 7);
    usp_arena_recover(holder);
    board->found++;
    return true;
}

TEST(who_waits_for_a_lock_may_look_for_deaths)
{
    if (house_valgrind() || steps(start_traced(7, 0), -1, has_the_lock) == -1)
        return;
    ck_assert(has_the_lock());
    usp_lock_stuck = somebody_died;
    usp_arena_free(usp_arena_alloc(2000, USP_BLOCK_MESSAGE));
    ck_assert_int_eq(board->found, 1);
    check_lists();
}

TEST(of_two_deaths_the_second_may_be_recovered_first)
{
    if (house_valgrind() || steps(start_traced(7, 0), -1, has_the_lock) == -1)
        return;
    usp_lock_stuck = somebody_died;
    usp_arena_recover(5);
    ck_assert_int_eq(board->found, 1);
    check_lists();
}

SUITE("spans", .before = before, .after = after)
