/* The shared part of the arena: several workers at once. */
#include "tests/runtime/arenas.h"

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

SUITE("spans", .before = before, .after = after)
