/* The shared part of the arena: workers that die at chosen instructions. */
#include "tests/runtime/arenas.h"

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

SUITE("spans_death", .before = before, .after = after)
