/* The arena as its users see it. Its inside, concurrency and death are in test_spans.c. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/arena.h"
#include "tests/fixture.h"
#include "tests/inject.h"

#define MIB ((size_t)1 << 20)

static int before(void)
{
    unsetenv("UVCSP_ARENA");
    return usp_arena_init(256 * MIB);
}

static int after(void)
{
    inject_stop();
    usp_arena_deinit();
    return 0;
}

static void map_again(size_t size)
{
    usp_arena_deinit();
    ck_assert_int_eq(usp_arena_init(size), 0);
}

static void check_block(size_t size)
{
    unsigned char *block = usp_arena_alloc(size, USP_BLOCK_MESSAGE);
    ck_assert_msg(block != NULL, "no block of %zu bytes", size);
    size_t alignment = size >= 65536 ? 4096 : size >= 64 ? 64 : 16;
    ck_assert_msg((uintptr_t)block % alignment == 0, "%zu bytes at %p", size, (void *)block);
    size_t usable = usp_arena_size(block);
    ck_assert_uint_ge(usable, size);
    if (size >= 256 && size <= 32768)
        ck_assert_msg(usable <= size + size / 4, "%zu usable for %zu", usable, size);
    block[0] = block[size / 2] = block[usable - 1] = 0xa5;
    ck_assert(usp_arena_holds(block, usable));
    usp_arena_free(block);
}

TEST(blocks_of_every_size_are_aligned_and_large_enough)
{
    for (size_t size = 1; size <= 70000; size += size < 1100 ? 1 : 61)
        check_block(size);
    for (size_t size = 65536; size <= 100 * MIB; size += size / 3) {
        check_block(size - 1);
        check_block(size);
        check_block(size + 1);
    }
    check_block(100 * MIB);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 0);
}

TEST(size_0_counts_as_1)
{
    void *a = usp_arena_alloc(0, USP_BLOCK_TEXT), *b = usp_arena_alloc(0, USP_BLOCK_TEXT);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_ptr_ne(a, b);
    usp_arena_free(a);
    usp_arena_free(b);
}

TEST(what_is_larger_than_the_arena_is_refused)
{
    size_t sizes[] = {256 * MIB - 1, 256 * MIB,        1000 * MIB,
                      SIZE_MAX / 2,  SIZE_MAX - 65535, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        ck_assert_ptr_null(usp_arena_alloc(sizes[i], USP_BLOCK_MESSAGE));
}

TEST(a_block_that_was_freed_is_the_next_to_be_had)
{
    size_t sizes[] = {1, 64, 300, 5000, 32768, 65536, MIB, 40 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = usp_arena_alloc(sizes[i], USP_BLOCK_END);
        usp_arena_free(block);
        ck_assert_ptr_eq(usp_arena_alloc(sizes[i], USP_BLOCK_TASK), block);
        usp_arena_free(block);
    }
}

/* Blocks that know by their contents which they are. */
static struct {
    unsigned char *at;
    size_t size;
} kept[4000];

static void check_and_free(size_t i)
{
    for (size_t k = 0; k < kept[i].size; k++)
        if (kept[i].at[k] != (unsigned char)i) /* an assertion that holds costs a write */
            ck_abort_msg("block %zu was overwritten", i);
    usp_arena_free(kept[i].at);
    kept[i].at = NULL;
}

TEST(live_blocks_never_overlap)
{
    unsigned seed = 1;
    size_t n = sizeof kept / sizeof *kept;
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)rand_r(&seed) % n;
        if (kept[i].at != NULL)
            check_and_free(i);
        kept[i].size = 1 + (size_t)rand_r(&seed) % (16u << rand_r(&seed) % 10);
        kept[i].at = usp_arena_alloc(kept[i].size, USP_BLOCK_MESSAGE);
        ck_assert_ptr_nonnull(kept[i].at);
        memset(kept[i].at, (int)i, kept[i].size);
    }
    for (size_t i = 0; i < n; i++)
        if (kept[i].at != NULL)
            check_and_free(i);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 0);
}

/* Takes blocks until there are no more, chained by their first word. */
static void **take_all(size_t size, size_t *np)
{
    void **chain = NULL;
    *np = 0;
    for (void **block; (block = usp_arena_alloc(size, USP_BLOCK_MESSAGE)) != NULL; ++*np) {
        *block = chain;
        chain = block;
    }
    return chain;
}

static void free_all(void **chain)
{
    while (chain != NULL) {
        void **next = *chain;
        usp_arena_free(chain);
        chain = next;
    }
}

TEST(a_full_arena_gives_null_and_is_whole_again_after_the_frees)
{
    map_again(32 * MIB);
    size_t sizes[] = {64, 300, 20000, 65536, MIB, 64, 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n;
        void **chain = take_all(sizes[i], &n);
        ck_assert_msg(n * sizes[i] > 24 * MIB, "only %zu blocks of %zu", n, sizes[i]);
        ck_assert_ptr_null(usp_arena_alloc(sizes[i], USP_BLOCK_MESSAGE));
        ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE), n);
        free_all(chain);
        check_block(28 * MIB);
    }
    ck_assert_uint_le(usp_arena_used(), 32 * MIB);
}

TEST(one_freed_block_is_enough_for_one_more)
{
    map_again(32 * MIB);
    for (int round = 0; round < 100; round++) {
        size_t n;
        void **chain = take_all(65536, &n), **next = *chain;
        usp_arena_free(chain);
        void *again = usp_arena_alloc(65536, USP_BLOCK_MESSAGE);
        ck_assert_ptr_nonnull(again);
        ck_assert_ptr_null(usp_arena_alloc(65536, USP_BLOCK_MESSAGE));
        usp_arena_free(again);
        free_all(next);
    }
}

TEST(small_blocks_waste_little)
{
    struct {
        size_t size, most;
    } what[] = {{64, 70}, {256, 264}, {300, 328}, {1024, 1044}};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        map_again(256 * MIB);
        for (int k = 0; k < 20000; k++)
            ck_assert_ptr_nonnull(usp_arena_alloc(what[i].size, USP_BLOCK_TASK));
        ck_assert_uint_le(usp_arena_used(), 20000 * what[i].most + 2 * 65536);
    }
}

TEST(a_header_tells_kind_and_owner)
{
    void *block = usp_arena_alloc(100, USP_BLOCK_CHANNEL);
    ck_assert_int_eq(usp_arena_kind(block), USP_BLOCK_CHANNEL);
    ck_assert_uint_eq(usp_arena_owner(block), 0);
    usp_arena_set_owner(block, USP_NOBODY);
    ck_assert_uint_eq(usp_arena_owner(block), USP_NOBODY);
    usp_arena_set_owner(block, 4095);
    ck_assert_uint_eq(usp_arena_owner(block), 4095);
    ck_assert_int_eq(usp_arena_kind(block), USP_BLOCK_CHANNEL);
    usp_arena_free(block);
}

TEST(only_the_start_of_a_live_block_of_the_kind_is_one)
{
    size_t sizes[] = {1, 64, 300, 4096, 32768, 65536, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = usp_arena_alloc(sizes[i], USP_BLOCK_END);
        ck_assert(usp_arena_is(block, USP_BLOCK_END));
        ck_assert(!usp_arena_is(block, USP_BLOCK_CHANNEL));
        for (size_t k = 1; k < usp_arena_size(block); k += 1 + k / 8)
            ck_assert(!usp_arena_is(block + k, USP_BLOCK_END));
        usp_arena_free(block);
        for (int kind = USP_BLOCK_FREE; kind < USP_BLOCK_KINDS; kind++)
            ck_assert(!usp_arena_is(block, (enum usp_block_kind)kind));
    }
}

TEST(any_pointer_value_may_be_asked_about)
{
    void *block = usp_arena_alloc(64, USP_BLOCK_END);
    uintptr_t some = (uintptr_t)block & ~(uintptr_t)65535;
    int local;
    const void *others[] = {NULL, (void *)1, (void *)UINTPTR_MAX, &local, "text", (void *)some};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (int kind = USP_BLOCK_FREE; kind < USP_BLOCK_KINDS; kind++)
            ck_assert(!usp_arena_is(others[i], (enum usp_block_kind)kind));
    for (uintptr_t p = some - 512 * MIB; p < some + 512 * MIB; p += 4096)
        if (p != (uintptr_t)block && usp_arena_is((void *)p, USP_BLOCK_END))
            ck_abort_msg("%p is taken for a block", (void *)p);
    usp_arena_free(block);
    usp_arena_deinit();
    ck_assert(!usp_arena_is(block, USP_BLOCK_END));
    ck_assert(!usp_arena_is(NULL, USP_BLOCK_END));
    ck_assert(!usp_arena_holds(block, 1));
}

TEST(a_range_is_held_only_as_a_whole)
{
    char *block = usp_arena_alloc(64, USP_BLOCK_END);
    ck_assert(usp_arena_holds(block, 64));
    ck_assert(!usp_arena_holds(block, 256 * MIB));
    ck_assert(!usp_arena_holds(block, SIZE_MAX));
    ck_assert(!usp_arena_holds(block - 256 * MIB, 64));
    ck_assert(!usp_arena_holds(NULL, 0));
    usp_arena_free(block);
}

struct seen {
    size_t n;
    void *last;
    bool free;
};

static void see(void *block, unsigned owner, void *arg)
{
    struct seen *seen = arg;
    ck_assert_uint_eq(owner, seen->n % 2);
    ck_assert_uint_gt((uintptr_t)block, (uintptr_t)seen->last);
    seen->last = block;
    seen->n++;
    if (seen->free)
        usp_arena_free(block);
}

TEST(live_blocks_are_counted_by_kind)
{
    for (int i = 0; i < 3000; i++) {
        usp_arena_alloc(i % 30 == 0 ? 100000 : 40, USP_BLOCK_TEXT);
        usp_arena_alloc(64, USP_BLOCK_END);
        usp_arena_alloc((size_t)i, USP_BLOCK_TASK);
    }
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_TEXT), 3000);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_END), 3000);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 9000);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_SHARED), 0);
}

static void alternate(void *block, unsigned owner, void *arg)
{
    (void)owner;
    usp_arena_set_owner(block, (*(unsigned *)arg)++ % 2);
}

TEST(each_meets_the_blocks_in_address_order_and_may_free_them)
{
    for (int i = 0; i < 3000; i++)
        usp_arena_alloc(i % 3 == 0 ? 70000 : 200, USP_BLOCK_MESSAGE);
    unsigned turn = 0;
    usp_arena_each(USP_BLOCK_MESSAGE, alternate, &turn);
    struct seen seen = {0};
    usp_arena_each(USP_BLOCK_MESSAGE, see, &seen);
    ck_assert_uint_eq(seen.n, 3000);
    seen = (struct seen){.free = true};
    usp_arena_each(USP_BLOCK_MESSAGE, see, &seen);
    ck_assert_uint_eq(seen.n, 3000);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 0);
}

TEST(reclaim_frees_what_an_owner_has_but_tables_and_shared_values)
{
    for (int kind = USP_BLOCK_TABLE; kind < USP_BLOCK_KINDS; kind++)
        for (int i = 0; i < 20; i++)
            usp_arena_set_owner(usp_arena_alloc(i * 10000u, (enum usp_block_kind)kind), i % 2 + 1u);
    usp_arena_reclaim(2);
    for (int kind = USP_BLOCK_TABLE; kind < USP_BLOCK_KINDS; kind++) {
        bool stays = kind == USP_BLOCK_TABLE || kind == USP_BLOCK_SHARED;
        ck_assert_uint_eq(usp_arena_count((enum usp_block_kind)kind), stays ? 20 : 10);
    }
}

TEST(freeing_null_does_nothing)
{
    usp_arena_free(NULL);
}

TEST(freeing_twice_aborts, .raises = SIGABRT)
{
    void *block = usp_arena_alloc(64, USP_BLOCK_END);
    usp_arena_free(block);
    usp_arena_free(block);
}

TEST(freeing_the_inside_of_a_block_aborts, .raises = SIGABRT)
{
    usp_arena_free((char *)usp_arena_alloc(64, USP_BLOCK_END) + 16);
}

TEST(freeing_what_never_was_in_the_arena_aborts, .raises = SIGABRT)
{
    int local;
    usp_arena_free(&local);
}

TEST(freeing_is_told_on_stderr)
{
    house_capture(STDERR_FILENO);
    pid_t pid = fork();
    if (pid == 0)
        usp_arena_free((void *)16);
    int status;
    waitpid(pid, &status, 0);
    char *text = house_captured();
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_contains(text, "uvcsp: arena: 0x10 is freed, which is no live block\n");
    free(text);
}

TEST(the_owner_of_a_freed_block_cannot_be_asked, .raises = SIGABRT)
{
    void *block = usp_arena_alloc(64, USP_BLOCK_END);
    usp_arena_free(block);
    usp_arena_owner(block);
}

TEST(without_a_mapping_there_is_nothing)
{
    usp_arena_deinit();
    ck_assert_ptr_null(usp_arena_alloc(64, USP_BLOCK_END));
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_FREE), 0);
    ck_assert_uint_eq(usp_arena_used(), 0);
    usp_arena_drain();
    usp_arena_recover(1);
    usp_arena_reclaim(1);
    usp_arena_deinit();
}

TEST(mapping_twice_is_mapping_once)
{
    void *block = usp_arena_alloc(64, USP_BLOCK_END);
    ck_assert_int_eq(usp_arena_init(0), 0);
    ck_assert(usp_arena_is(block, USP_BLOCK_END));
}

TEST(the_environment_gives_the_size)
{
    struct {
        const char *text;
        size_t size;
    } what[] = {
        {"3M", 3 * MIB}, {"2097152", 2 * MIB}, {"4096k", 4 * MIB}, {"1G", 1024 * MIB}, {"5", MIB}};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
        setenv("UVCSP_ARENA", what[i].text, 1);
        map_again(0);
        size_t n;
        free_all(take_all(what[i].size > 100 * MIB ? 16 * MIB : 65536, &n));
        ck_assert_uint_le(usp_arena_used(), what[i].size);
        ck_assert_uint_ge(usp_arena_used(), what[i].size - what[i].size / 8);
    }
}

TEST(a_size_that_is_none_is_told)
{
    const char *bad[] = {"x", "-1", "0", "12Q", "3MB", "99999999999999999999", "9999999999G", " 1"};
    usp_arena_deinit();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("UVCSP_ARENA", bad[i], 1);
        house_capture(STDERR_FILENO);
        int failed = usp_arena_init(0);
        char *text = house_captured();
        ck_assert_int_eq(failed, -EINVAL);
        ck_assert_contains(text, "uvcsp: UVCSP_ARENA=");
        ck_assert_contains(text, bad[i]);
        free(text);
    }
}

TEST(the_machine_gives_the_size_where_nobody_says)
{
    map_again(0);
    check_block(4 * MIB);
    ck_assert_int_eq(usp_arena_owner(usp_arena_alloc(1, USP_BLOCK_TEXT)), 0);
}

static const char *const mapping_calls[] = {"memfd_create", "ftruncate", "mmap"};

TEST(a_refused_mapping_is_tried_with_half_the_size)
{
    usp_arena_deinit();
    for (int i = 0; i < 3; i++) {
        inject_fail(mapping_calls[i], 1, ENOMEM);
        ck_assert_int_eq(usp_arena_init(0), 0);
        ck_assert_int_eq(inject_calls(mapping_calls[i]), 2);
        usp_arena_deinit();
        inject_stop();
    }
}

TEST(a_mapping_that_is_refused_to_the_end_gives_the_error)
{
    usp_arena_deinit();
    for (int i = 0; i < 3; i++) {
        inject_fail(mapping_calls[i], INJECT_ALL, ENOMEM);
        ck_assert_int_eq(usp_arena_init(0), -ENOMEM);
        ck_assert_int_gt(inject_calls(mapping_calls[i]), 3);
        inject_fail(mapping_calls[i], INJECT_ALL, EMFILE);
        ck_assert_int_eq(usp_arena_init(32 * MIB), -EMFILE);
        ck_assert_int_eq(inject_calls(mapping_calls[i]), 1);
        inject_stop();
        ck_assert_ptr_null(usp_arena_alloc(1, USP_BLOCK_TEXT));
    }
    ck_assert_int_eq(usp_arena_init(SIZE_MAX), -ENOMEM);
}

TEST(the_mapping_leaves_no_descriptor)
{
    usp_arena_deinit();
    int n = house_count_descriptors();
    ck_assert_int_eq(usp_arena_init(0), 0);
    ck_assert_int_eq(house_count_descriptors(), n);
}

static size_t resident(void *block, size_t size)
{
    static unsigned char pages[MIB / 4096];
    size_t n = 0;
    ck_assert_int_eq(mincore(block, size, pages), 0);
    for (size_t i = 0; i < size / 4096; i++)
        n += pages[i] & 1;
    return n * 4096;
}

TEST(large_blocks_that_are_freed_leave_at_most_so_much_memory_idle)
{
    enum { N = 400 };
    static void *blocks[N];
    size_t left = 0;
    map_again(16384 * MIB);
    for (size_t i = 0; i < N; i++) {
        blocks[i] = usp_arena_alloc(MIB, USP_BLOCK_MESSAGE);
        ck_assert_ptr_nonnull(blocks[i]);
        memset(blocks[i], 1, MIB);
    }
    for (size_t i = 0; i < N; i++)
        usp_arena_free(blocks[i]);
    for (size_t i = 0; i < N; i++)
        left += resident(blocks[i], MIB);
    ck_assert_uint_le(left, 256 * MIB + 16 * MIB);
    ck_assert_uint_ge(left, 64 * MIB); /* for the next ones */
}

SUITE("arena", .before = before, .after = after)
