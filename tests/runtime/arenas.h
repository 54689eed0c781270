/* The shared part of the arena: several workers at once, and workers that die in the middle. Looks
   inside, to hold the lists against the words. */
#ifndef TESTS_RUNTIME_ARENAS_H
#define TESTS_RUNTIME_ARENAS_H

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

static __attribute__((unused)) void map_again(size_t size)
{
    usp_arena_deinit();
    ck_assert_int_eq(usp_arena_init(size), 0);
    board = usp_arena_alloc(sizeof *board, USP_BLOCK_SHARED);
    ck_assert_ptr_nonnull(board);
    memset(board, 0, sizeof *board);
}

static __attribute__((unused)) int before(void)
{
    map_again(64 * MIB);
    return 0;
}

static __attribute__((unused)) int after(void)
{
    usp_lock_stuck = NULL;
    usp_arena_deinit();
    return 0;
}

/* Forks a worker that runs fn and drains its cache. */
static __attribute__((unused)) pid_t start(unsigned owner, void (*fn)(void))
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

static __attribute__((unused)) void join(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static __attribute__((unused)) void kill_and_reap(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    do
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    while (!WIFSIGNALED(status) && !WIFEXITED(status));
}

/* Holds lists and counters against the words. No worker may be at work. */
static __attribute__((unused)) void check_lists(void)
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

static __attribute__((unused)) bool fill(struct held *held, unsigned size, unsigned mark)
{
    held->at = usp_arena_alloc(size, USP_BLOCK_MESSAGE);
    held->size = size < 5000 ? size : 5000;
    held->mark = mark;
    if (held->at != NULL)
        memset(held->at, (int)mark, held->size);
    return held->at != NULL;
}

static __attribute__((unused)) bool is_whole(const struct held *held)
{
    for (unsigned i = 0; i < held->size; i++)
        if (held->at[i] != (unsigned char)held->mark)
            return false;
    return true;
}

static __attribute__((unused)) unsigned some_size(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 8;
    return kind < 5    ? 1 + (unsigned)rand_r(seed) % 600
           : kind == 5 ? 1 + (unsigned)rand_r(seed) % 40000
           : kind == 6 ? 30000
                       : 65536 * (1 + (unsigned)rand_r(seed) % 6);
}

/* Allocates and frees at random, watches over its blocks, drains now and then: most of it is spent
   under the lock. Ends when told to, or after `rounds`. */
static __attribute__((unused)) void churn(long rounds)
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

static __attribute__((unused)) void churn_on(void)
{
    churn(LONG_MAX);
}

static __attribute__((unused)) void churn_a_while(void)
{
    churn(house_valgrind() ? 2000 : 100000);
}

static __attribute__((unused)) void free_the_first(void)
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

#endif
