/* What the death of producers and consumers does to a queue: nothing. And what a queue without a
   feeder thread behind it is good for. */
#include "ipc/queue.h"
#include "tests/ipc/queues.h"

/* ---- three kinds of queues; an item is who put it in and its number ---- */

enum { NUMBERS, BLOCKS, VALUES, KINDS };

struct item {
    uint32_t who, n;
};
struct block {
    struct item item;
    char rest[65536 - sizeof(struct item)];
};

static void *new_queue(int kind, long room)
{
    void *q = kind == NUMBERS  ? (void *)QUEUE_NEW(struct item, room)
              : kind == BLOCKS ? (void *)QUEUE_NEW(uvcsp_bytes, room)
                               : (void *)uvcsp_queue_new(room);
    MUST(q);
    return q;
}

/* A light process that is killed frees nothing: so its value is to be found elsewhere. */
static json_t *in_hand[2];

static void drop_all(void)
{
    for (int i = 0; i < 2; i++) {
        json_decref(in_hand[i]);
        in_hand[i] = NULL;
    }
}

static int put(int kind, void *q, struct item item)
{
    QUEUE(struct item) numbers = q;
    QUEUE(uvcsp_bytes) blocks = q;
    if (kind == NUMBERS)
        return uvcsp_qput(numbers, &item, -1);
    if (kind == VALUES) {
        json_decref(in_hand[item.who]);
        in_hand[item.who] = json_pack("[i, i]", (int)item.who, (int)item.n);
        return uvcsp_queue_put(q, in_hand[item.who], -1);
    }
    struct block block;
    block.item = item;
    memset(block.rest, (int)item.n, sizeof block.rest);
    return uvcsp_qput(blocks, (&(uvcsp_bytes){&block, sizeof block}), -1);
}

static struct item item_of_value(json_t *value)
{
    int who, n;
    MUST(json_unpack(value, "[i, i!]", &who, &n) == 0);
    json_decref(value);
    return (struct item){(uint32_t)who, (uint32_t)n};
}

static struct item item_of_block(uvcsp_bytes bytes)
{
    const struct block *block = bytes.data;
    MUST(bytes.size == sizeof *block && block->rest[0] == (char)block->item.n);
    MUST(memcmp(block->rest, block->rest + 1, sizeof block->rest - 1) == 0);
    struct item item = block->item;
    free(bytes.data);
    return item;
}

/* Takes one out, whole; or the status that is not UVCSP_OK. */
static int get(int kind, void *q, struct item *item, double timeout)
{
    QUEUE(struct item) numbers = q;
    QUEUE(uvcsp_bytes) blocks = q;
    uvcsp_bytes bytes;
    json_t *value;
    int status = kind == NUMBERS  ? uvcsp_qget(numbers, item, timeout)
                 : kind == BLOCKS ? uvcsp_qget(blocks, &bytes, timeout)
                                  : uvcsp_queue_get(q, &value, timeout);
    if (status == UVCSP_OK && kind == BLOCKS)
        *item = item_of_block(bytes);
    if (status == UVCSP_OK && kind == VALUES)
        *item = item_of_value(value);
    return status;
}

PROCESS(puts_items, VAL(int, kind), VAL(void *, q), VAL(int, who), VAL(int, n))
{
    for (int i = 0; n < 0 || i < n; i++)
        MUST_BE(put(kind, q, (struct item){(uint32_t)who, (uint32_t)i}), UVCSP_OK);
}

static void pause_somehow(void)
{
    for (volatile int spins = rand() % 20000; spins > 0;)
        spins = spins - 1;
    if (rand() % 2)
        uvcsp_yield();
}

static int rounds_of(int kind)
{
    return house_valgrind() ? 2 : kind == BLOCKS ? 80 : 40;
}

/* ---- deaths ---- */

enum { VICTIM, OTHER };

TEST(a_producer_that_is_killed_at_any_moment_holds_nobody_up, .times = KINDS, .seconds = 120)
{
    house_capture(2);
    for (int round = 0; round < rounds_of(_i); round++) {
        void *q = new_queue(_i, 1 + rand() % 5);
        uvcsp_handle *victim = SPAWN(puts_items(_i, q, VICTIM, -1));
        uvcsp_handle *other = SPAWN(puts_items(_i, q, OTHER, 30));
        uint32_t next[2] = {0, 0};
        int until = rand() % 40;
        for (int got = 0; next[OTHER] < 30; got++) {
            if (got == until) {
                pause_somehow();
                uvcsp_kill(victim);
            }
            struct item item;
            ck_assert_int_eq(get(_i, q, &item, 30), UVCSP_OK);
            ck_assert_int_eq(item.n,
                             next[item.who]); /* each one's in their order, and none is missing */
            next[item.who]++;
        }
        uvcsp_kill(victim);
        ck_assert_int_eq(uvcsp_join(victim, 30), UVCSP_OK);
        ck_assert_int_eq(uvcsp_join(other, 30), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(other), 0);
        uvcsp_queue_free(q);
    }
    free(house_captured());
}

PROCESS(gets_items, VAL(int, kind), VAL(void *, q), VAL(atomic_int *, n))
{
    struct item item;
    while (get(kind, q, &item, -1) == UVCSP_OK)
        atomic_fetch_add(n, 1);
}

TEST(a_consumer_that_is_killed_takes_along_no_more_than_what_it_has_got, .times = KINDS,
     .seconds = 120)
{
    enum { ITEMS = 60 };
    atomic_int *n = seen_by_all(2 * sizeof *n);
    house_capture(2);
    for (int round = 0; round < rounds_of(_i) / 2; round++) {
        void *q = new_queue(_i, 1 + rand() % 5);
        n[VICTIM] = n[OTHER] = 0;
        uvcsp_handle *victim = SPAWN(gets_items(_i, q, &n[VICTIM]));
        uvcsp_handle *other = SPAWN(gets_items(_i, q, &n[OTHER]));
        int until = rand() % ITEMS;
        for (int i = 0; i < ITEMS; i++) {
            if (i == until) {
                pause_somehow();
                uvcsp_kill(victim);
            }
            ck_assert_int_eq(put(_i, q, (struct item){0, (uint32_t)i}), UVCSP_OK);
        }
        uvcsp_queue_close(q);
        ck_assert_int_eq(uvcsp_join(victim, 30), UVCSP_OK);
        ck_assert_int_eq(uvcsp_join(other, 30), UVCSP_OK);
        ck_assert_int_eq(uvcsp_queue_size(q), 0);
        ck_assert_int_ge(n[VICTIM] + n[OTHER], ITEMS - 1); /* one it may have got and not counted */
        ck_assert_int_le(n[VICTIM] + n[OTHER], ITEMS);
        uvcsp_queue_free(q);
    }
    free(house_captured());
}

PROCESS(produces_for_ever, OUT(struct item, out))
{
    for (uint32_t i = 0;; i++)
        WRITE(out, (struct item){0, i});
}

TEST(getters_learn_that_the_last_counted_producer_was_killed, .seconds = 60)
{
    house_capture(2);
    for (int round = 0; round < (house_valgrind() ? 2 : 20); round++) {
        QUEUE(struct item) q = QUEUE_NEW(struct item, 1 + rand() % 5);
        OUT_END(struct item) mine = OUT_OF(QUEUE_CHAN(q));
        uvcsp_handle *one = SPAWN(produces_for_ever(QUEUE_CHAN(q)));
        uvcsp_handle *two = SPAWN(produces_for_ever(QUEUE_CHAN(q)));
        RETIRE(mine);
        struct item item;
        for (int i = rand() % 30; i > 0; i--)
            ck_assert_int_eq(uvcsp_qget(q, &item, 30), UVCSP_OK);
        uvcsp_kill(one);
        for (int i = rand() % 30; i > 0; i--)
            ck_assert_int_eq(uvcsp_qget(q, &item, 30), UVCSP_OK);
        uvcsp_kill(two);
        int status;
        while ((status = uvcsp_qget(q, &item, 30)) == UVCSP_OK)
            ;
        ck_assert_int_eq(status, UVCSP_RETIRED);
        uvcsp_join(one, -1);
        uvcsp_join(two, -1);
        uvcsp_queue_free(q);
    }
    free(house_captured());
}

PROCESS(takes_one_and_stays, VAL(uvcsp_queue *, q), OUT(bool, ready), IN(bool, never))
{
    struct item item;
    MUST_BE(get(VALUES, q, &item, -1), UVCSP_OK);
    WRITE(ready, true);
    (void)READ(never);
}

TEST(an_item_of_a_killed_consumer_stays_undone_until_somebody_says_it_is_done)
{
    uvcsp_queue *q = uvcsp_queue_new(0);
    CHAN(bool) ready = CHANNEL(bool), never = CHANNEL(bool);
    IN_END(bool) in = IN_OF(ready);
    OUT_END(bool) keeps = OUT_OF(never);
    ck_assert_int_eq(put(VALUES, q, (struct item){0, 0}), UVCSP_OK);
    house_capture(2);
    uvcsp_handle *victim = SPAWN(takes_one_and_stays(q, ready, never));
    (void)READ(in);
    uvcsp_kill(victim);
    uvcsp_join(victim, -1);
    free(house_captured());
    ck_assert_int_eq(uvcsp_queue_size(q), 0);
    ck_assert_int_eq(uvcsp_queue_join(q, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_queue_task_done(q), 0);
    ck_assert_int_eq(uvcsp_queue_join(q, -1), UVCSP_OK);
    RETIRE(keeps);
    uvcsp_queue_free(q);
}

/* Its last item counts as done, and nobody who waits for that has been told. */
PROCESS(dies_before_it_tells, VAL(void *, q))
{
    struct usp_store *store = q;
    while (!store->idle->waiting[USP_READER].head)
        uvcsp_yield();
    atomic_fetch_add(&store->done, 1);
    raise(SIGKILL);
}

TEST(who_joins_a_queue_goes_on_when_the_last_to_be_done_has_died_before_it_could_tell)
{
    if (house_light())
        return;
    uvcsp_queue *q = uvcsp_queue_new(0);
    struct item item;
    ck_assert_int_eq(put(VALUES, q, (struct item){0, 0}), UVCSP_OK);
    ck_assert_int_eq(get(VALUES, q, &item, -1), UVCSP_OK);
    house_capture(2);
    uvcsp_handle *victim = SPAWN(dies_before_it_tells(q));
    ck_assert_int_eq(uvcsp_queue_join(q, -1), UVCSP_OK);
    uvcsp_join(victim, -1);
    free(house_captured());
    uvcsp_queue_free(q);
}

/* ---- after the death ---- */

PROCESS(puts_and_is_killed, VAL(uvcsp_queue *, q), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        put_int(q, i);
    raise(SIGKILL);
}

TEST(what_was_put_survives_the_death_of_its_producer)
{
    if (house_light())
        return;
    uvcsp_queue *q = uvcsp_queue_new(0);
    ck_assert_int_eq(PAR(puts_and_is_killed(q, 500)), 1);
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(get_int(q), i);
    ck_assert_int_eq(uvcsp_queue_size(q), 0);
    uvcsp_queue_free(q);
}

PROCESS(gets_for_ever, VAL(uvcsp_queue *, q))
{
    for (;;)
        (void)get_int(q);
}

TEST(a_consumer_that_is_killed_while_it_waits_does_no_harm)
{
    uvcsp_queue *q = uvcsp_queue_new(10);
    uvcsp_handle *victim = SPAWN(gets_for_ever(q));
    put_int(q, 1);
    while (uvcsp_queue_size(q) > 0)
        uvcsp_sleep(0.001);
    uvcsp_kill(victim);
    ck_assert_int_eq(uvcsp_join(victim, 10), UVCSP_OK);
    for (int i = 0; i < 10; i++)
        put_int(q, i);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(get_int(q), i);
    uvcsp_queue_free(q);
}

PROCESS(makes_a_queue, OUT(uvcsp_queue *, out), VAL(bool, crashes), IN(bool, seen))
{
    uvcsp_queue *q = uvcsp_queue_new(3);
    put_int(q, 7);
    WRITE(out, q);
    (void)READ(seen);
    if (crashes)
        raise(SIGKILL);
}

TEST(a_queue_outlives_the_process_that_made_it, .times = 2)
{
    if (house_light() && _i)
        return;
    CHAN(uvcsp_queue *) made = CHANNEL(uvcsp_queue *);
    CHAN(bool) seen = CHANNEL(bool);
    IN_END(uvcsp_queue *) in = IN_OF(made);
    OUT_END(bool) out = OUT_OF(seen);
    uvcsp_handle *maker = SPAWN(makes_a_queue(made, _i, seen));
    uvcsp_queue *q = READ(in);
    WRITE(out, true);
    ck_assert_int_eq(uvcsp_join(maker, 10), UVCSP_OK);
    ck_assert_int_eq(get_int(q), 7);
    put_int(q, 8);
    ck_assert_int_eq(get_int(q), 8);
    uvcsp_queue_free(q);
}

/* ---- no feeder thread ---- */

TEST(a_process_ends_at_once_with_much_in_a_queue_that_nobody_drains)
{
    enum { ITEMS = 300 }; /* 18.75 MiB */
    void *q = new_queue(BLOCKS, ITEMS);
    uvcsp_handle *child = SPAWN(puts_items(BLOCKS, q, 0, ITEMS));
    ck_assert_int_eq(uvcsp_join(child, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(child), 0);
    ck_assert_int_eq(uvcsp_queue_size(q), ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        struct item item;
        ck_assert_int_eq(get(BLOCKS, q, &item, 0), UVCSP_OK);
        ck_assert_int_eq(item.n, i);
    }
    uvcsp_queue_free(q);
}

PROCESS(puts_and_says_so, VAL(int, kind), VAL(void *, q), OUT(int, said), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        MUST_BE(put(kind, q, (struct item){0, (uint32_t)i}), UVCSP_OK);
        WRITE(said, i);
    }
}

TEST(what_another_process_has_put_is_found_without_waiting, .times = KINDS)
{
    void *q = new_queue(_i, 0);
    CHAN(int) said = CHANNEL(int);
    IN_END(int) in = IN_OF(said);
    int n = house_valgrind() ? 20 : 500;
    uvcsp_handle *child = SPAWN(puts_and_says_so(_i, q, said, n));
    for (int i = 0; i < n; i++) {
        struct item item;
        ck_assert_int_eq(READ(in), i);
        ck_assert_int_eq(uvcsp_queue_empty(q), 0);
        ck_assert_int_eq(get(_i, q, &item, 0), UVCSP_OK);
        ck_assert_int_eq(item.n, i);
    }
    uvcsp_join(child, -1);
    uvcsp_queue_free(q);
}

static int before(void)
{
    srand((unsigned)getpid());
    return default_signals();
}

static int after(void)
{
    drop_all();
    return uvcsp_shutdown();
}

SUITE("queue_death", .before = before, .after = after)
