/* Queues: as Python's multiprocessing has them, and without what it gets wrong. */
#include <math.h>

#include "tests/ipc/queues.h"

/* ---- what goes in comes out ---- */

PROCESS(puts_record, VAL(uvcsp_queue *, q))
{
    MUST_BE(uvcsp_queue_put_new(q, json_pack("[i,n,s,{s:f}]", 42, "hello", "x", 0.5), -1),
            UVCSP_OK);
}

TEST(a_value_comes_out_as_it_went_in, .times = PLACEMENTS)
{
    uvcsp_queue *q = uvcsp_queue_new(0);
    ck_assert_int_eq(RUN(_i, puts_record(q)), 0);
    json_t *value, *expected = json_pack("[i,n,s,{s:f}]", 42, "hello", "x", 0.5);
    ck_assert_int_eq(uvcsp_queue_get(q, &value, 0), UVCSP_OK);
    ck_assert(json_equal(value, expected));
    json_decref(value);
    json_decref(expected);
    uvcsp_queue_free(q);
}

PROCESS(puts_numbers, VAL(uvcsp_queue *, q), VAL(int, from), VAL(int, to))
{
    for (int i = from; i < to; i++)
        put_int(q, i);
}

PROCESS(adds_up, VAL(uvcsp_queue *, q), VAL(int, n), OUT(long, sum))
{
    long total = 0;
    for (int i = 0; i < n; i++)
        total += get_int(q);
    WRITE(sum, total);
}

PROCESS(collects, VAL(int, n), VAL(long, expected), IN(long, sums))
{
    long total = 0;
    for (int i = 0; i < n; i++)
        total += READ(sums);
    MUST(total == expected);
}

TEST(many_producers_and_consumers_lose_nothing, .times = PLACEMENTS)
{
    const int n = house_valgrind() ? 40 : 500;
    for (int size = 1; size <= 1000; size *= 10) {
        uvcsp_queue *q = uvcsp_queue_new(size);
        CHAN(long) sums = CHANNEL(long);
        ck_assert_int_eq(RUN(_i, puts_numbers(q, 0, n), puts_numbers(q, n, 2 * n),
                             puts_numbers(q, 2 * n, 3 * n), adds_up(q, n, sums),
                             adds_up(q, n, sums), adds_up(q, n, sums),
                             collects(3, 3L * n * (3L * n - 1) / 2, sums)),
                         0);
        ck_assert_int_eq(uvcsp_queue_size(q), 0);
        uvcsp_queue_free(q);
    }
}

TEST(a_put_that_has_returned_is_found_by_a_get_that_does_not_wait)
{
    uvcsp_queue *q = uvcsp_queue_new(0);
    for (int i = 0; i < 1000; i++) {
        put_int(q, i);
        ck_assert_int_eq(uvcsp_queue_size(q), 1);
        ck_assert_int_eq(uvcsp_queue_empty(q), 0);
        json_t *value;
        ck_assert_int_eq(uvcsp_queue_get(q, &value, 0), UVCSP_OK);
        json_decref(value);
    }
    uvcsp_queue_free(q);
}

TEST(full_and_empty_are_told_apart)
{
    uvcsp_queue *q = uvcsp_queue_new(2);
    json_t *value = NULL, *one = json_integer(1);
    ck_assert_int_eq(uvcsp_queue_empty(q), 1);
    ck_assert_int_eq(uvcsp_queue_full(q), 0);
    ck_assert_int_eq(uvcsp_queue_get_try(q, &value), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_queue_get(q, &value, 0.01), UVCSP_TIMEOUT);
    ck_assert_ptr_null(value);
    ck_assert_int_eq(uvcsp_queue_put_try(q, one), UVCSP_OK);
    ck_assert_int_eq(uvcsp_queue_put(q, one, 0.01), UVCSP_OK);
    ck_assert_int_eq(uvcsp_queue_full(q), 1);
    ck_assert_int_eq(uvcsp_queue_size(q), 2);
    ck_assert_int_eq(uvcsp_queue_put_try(q, one), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_queue_put(q, one, 0.01), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_queue_size(q), 2);
    json_decref(one);
    uvcsp_queue_free(q);
}

/* ---- typed ---- */

struct record {
    int id;
    double weight;
    char name[20];
};

PROCESS(puts_records, VAL(QUEUE(struct record), q), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        QPUT(q, (struct record){i, i * 0.5, "a record"});
    uvcsp_queue_close(q);
}

PROCESS(gets_records, VAL(QUEUE(struct record), q), VAL(int, n))
{
    struct record r;
    for (int i = 0; i < n; i++) {
        r = QGET(q);
        MUST(r.id == i && r.weight == i * 0.5 && strcmp(r.name, "a record") == 0);
    }
    MUST_BE(uvcsp_qget(q, &r, -1), UVCSP_RETIRED);
}

TEST(a_queue_of_structures, .times = PLACEMENTS)
{
    for (int size = 1; size <= 64; size *= 8) {
        QUEUE(struct record) q = QUEUE_NEW(struct record, size);
        ck_assert_int_eq(RUN(_i, puts_records(q, 300), gets_records(q, 300)), 0);
        uvcsp_queue_free(q);
    }
}

PROCESS(ends_with_its_queue, VAL(QUEUE(int), q), OUT(int, out))
{
    for (;;)
        WRITE(out, QGET(q));
}

TEST(a_closed_queue_ends_a_process_as_a_retired_channel_does)
{
    QUEUE(int) q = QUEUE_NEW(int, 3);
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    QPUT(q, 1);
    QPUT(q, 2);
    uvcsp_queue_close(q);
    uvcsp_handle *h = SPAWN(ends_with_its_queue(q, c));
    int x;
    ck_assert_int_eq(READ(in), 1);
    ck_assert_int_eq(READ(in), 2);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    uvcsp_join(h, -1);
    ck_assert_int_eq(uvcsp_exit_code(h), 0);
    uvcsp_queue_free(q);
}

/* ---- in a choice ---- */

PROCESS(chooses, VAL(QUEUE(int), in), VAL(QUEUE(int), out), VAL(int, n))
{
    int x = 0, waiting = 0, got = 0, put = 0;
    while (put < n)
        switch (
            ALT(WHEN(!waiting, ON_GET(in, &x)), WHEN(waiting, ON_PUT(out, x)), ON_TIMEOUT(20))) {
        case 0:
            got++;
            waiting = 1;
            break;
        case 1:
            put++;
            waiting = 0;
            break;
        case 2:
            MUST(!"nothing came for twenty seconds");
        }
    MUST(got == n);
}

PROCESS(feeds, VAL(QUEUE(int), q), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        QPUT(q, i);
}

PROCESS(drains, VAL(QUEUE(int), q), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(QGET(q) == i);
}

TEST(a_queue_can_be_chosen_both_ways, .times = PLACEMENTS)
{
    QUEUE(int) a = QUEUE_NEW(int, 1), b = QUEUE_NEW(int, 1);
    ck_assert_int_eq(RUN(_i, feeds(a, 300), chooses(a, b, 300), drains(b, 300)), 0);
    uvcsp_queue_free(a);
    uvcsp_queue_free(b);
}

TEST(a_choice_over_queues_takes_exactly_one)
{
    QUEUE(int) a = QUEUE_NEW(int, 1), b = QUEUE_NEW(int, 1);
    uvcsp_queue *c = uvcsp_queue_new(1);
    int x = 0, seen[3] = {0};
    json_t *value = NULL;
    ck_assert_int_eq(ALT(ON_GET(a, &x), ON_GET(b, &x), ON_TIMEOUT(0.01)), 2);
    for (int i = 0; i < 30; i++) {
        int which = ALT(ON_PUT(a, 1), ON_PUT(b, 2), ON_PUT(c, json_true()));
        ck_assert_int_eq(uvcsp_queue_size(a) + uvcsp_queue_size(b) + uvcsp_queue_size(c), 1);
        ck_assert_int_eq(ALT(ON_GET(a, &x), ON_GET(b, &x), ON_GET(c, &value)), which);
        seen[which]++;
    }
    ck_assert(seen[0] && seen[1] && seen[2]);
    json_decref(value);
    uvcsp_queue_close(a);
    uvcsp_guard guards[] = {ON_GET(b, &x), ON_GET(a, &x)};
    ck_assert_int_eq(uvcsp_alt(guards, 2, UVCSP_FAIR), -UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_alt_failed(), 1);
    uvcsp_queue_free(a);
    uvcsp_queue_free(b);
    uvcsp_queue_free(c);
}

/* ---- task_done and join ---- */

PROCESS(works, VAL(uvcsp_queue *, q))
{
    json_t *value;
    while (uvcsp_queue_get(q, &value, -1) == UVCSP_OK) {
        json_decref(value);
        uvcsp_yield();
        MUST_BE(uvcsp_queue_task_done(q), 0);
    }
}

TEST(join_waits_until_every_item_is_done, .times = PLACEMENTS)
{
    uvcsp_queue *q = uvcsp_queue_new(10);
    ck_assert_int_eq(uvcsp_queue_join(q, -1), UVCSP_OK);
    uvcsp_handle *workers[3];
    for (int i = 0; i < 3; i++)
        workers[i] = _i == LIGHT ? GO(works(q)) : SPAWN(works(q));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 30; i++)
            put_int(q, i);
        ck_assert_int_eq(uvcsp_queue_join(q, 20), UVCSP_OK);
        ck_assert_int_eq(uvcsp_queue_size(q), 0);
    }
    uvcsp_queue_close(q);
    for (int i = 0; i < 3; i++)
        uvcsp_join(workers[i], -1);
    uvcsp_queue_free(q);
}

TEST(an_item_that_is_not_done_keeps_join_waiting)
{
    uvcsp_queue *q = uvcsp_queue_new(10);
    put_int(q, 1);
    ck_assert_int_eq(uvcsp_queue_join(q, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(get_int(q), 1);
    ck_assert_int_eq(uvcsp_queue_join(q, 0.02), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_queue_task_done(q), 0);
    ck_assert_int_eq(uvcsp_queue_join(q, 0), UVCSP_OK);
    uvcsp_queue_free(q);
}

TEST(task_done_once_too_often_is_told)
{
    uvcsp_queue *q = uvcsp_queue_new(10);
    put_int(q, 1);
    house_capture(2);
    ck_assert_int_eq(uvcsp_queue_task_done(q), -ERANGE); /* it has not been taken out */
    (void)get_int(q);
    ck_assert_int_eq(uvcsp_queue_task_done(q), 0);
    ck_assert_int_eq(uvcsp_queue_task_done(q), -ERANGE);
    char *said = house_captured();
    ck_assert_contains(said, "uvcsp_queue_task_done");
    free(said);
    put_int(q, 2);
    (void)get_int(q);
    ck_assert_int_eq(uvcsp_queue_task_done(q), 0);
    uvcsp_queue_free(q);
}

/* ---- bad input ---- */

TEST(a_value_that_cannot_be_encoded_fails_at_put)
{
    uvcsp_queue *q = uvcsp_queue_new(10);
    json_t *circle = json_array(), *deep = json_array(), *latin = json_string_nocheck("\xff");
    json_t *inner = json_array();
    json_array_append(circle, inner);
    json_array_append(inner, circle);
    for (int i = 0; i < 2100; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    house_capture(2);
    ck_assert_int_eq(uvcsp_queue_put(q, circle, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put(q, deep, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put(q, latin, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put(q, NULL, -1), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put_new(q, NULL, -1), -EINVAL);
    char *said = house_captured();
    ck_assert_contains(said, "uvcsp_queue_put");
    free(said);
    ck_assert_int_eq(uvcsp_queue_size(q), 0);
    put_int(q, 5);
    ck_assert_int_eq(get_int(q), 5);
    json_array_clear(inner);
    json_decref(inner);
    json_decref(circle);
    json_decref(deep);
    json_decref(latin);
    uvcsp_queue_free(q);
}

TEST(what_is_no_queue_is_refused)
{
    uvcsp_queue *q = uvcsp_queue_new(1);
    json_t *value = json_true();
    int no_queue = 0;
    house_capture(2);
    ck_assert_int_eq(uvcsp_queue_put(NULL, value, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_get(NULL, &value, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_get(q, NULL, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put((void *)&no_queue, value, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_size(&no_queue), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_empty(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_full(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_close(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_join(NULL, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_task_done(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_queue_put(q, value, (double)NAN), -EINVAL);
    ck_assert_ptr_null(uvcsp_queue_new(-1));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(uvcsp_queue_new(1L << 40));
    uvcsp_channel_free(uvcsp_queue_channel(q)); /* it is the queue's */
    uvcsp_queue_free(&no_queue);
    uvcsp_queue_free(NULL);
    ck_assert_int_eq(uvcsp_queue_put(q, value, 0), UVCSP_OK);
    uvcsp_queue_free(q);
    ck_assert_int_eq(uvcsp_queue_put(q, value, 0), -EINVAL);
    uvcsp_queue_free(q);
    free(house_captured());
}

struct large {
    char bytes[1 << 20];
};

TEST(a_queue_without_a_size_has_a_limit_and_says_when_it_is_met)
{
    QUEUE(struct large) q = QUEUE_NEW(struct large, 0);
    struct large *item = calloc(1, sizeof *item);
    house_capture(2);
    int n = 0;
    while (uvcsp_qput(q, item, 0) == UVCSP_OK)
        n++;
    char *said = house_captured();
    ck_assert_int_eq(n, 64);
    ck_assert_contains(said, "with 64 items");
    free(said);
    free(item);
    uvcsp_queue_free(q);
}

TEST(bytes_count_in_a_queue_without_a_size)
{
    QUEUE(uvcsp_bytes) q = QUEUE_NEW(uvcsp_bytes, 0);
    uvcsp_bytes block = {calloc(1, 1 << 20), 1 << 20}, small = {"x", 1};
    house_capture(2);
    int n = 0;
    while (uvcsp_qput(q, &block, 0) == UVCSP_OK)
        n++;
    ck_assert_int_eq(n, 64);
    ck_assert_int_eq(uvcsp_queue_full(q), 1);
    ck_assert_int_eq(uvcsp_qput(q, &small, 0.01), UVCSP_TIMEOUT);
    free(QGET(q).data);
    ck_assert_int_eq(uvcsp_queue_full(q), 0);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(uvcsp_qput(q, &small, 0), UVCSP_OK);
    for (int i = 0; i < 5063; i++)
        free(QGET(q).data);
    ck_assert_int_eq(uvcsp_queue_size(q), 0);
    free(house_captured());
    free(block.data);
    uvcsp_queue_free(q);
}

TEST(a_full_arena_is_told_and_loses_nothing)
{
    setenv("UVCSP_ARENA", "16M", 1);
    QUEUE(uvcsp_bytes) q = QUEUE_NEW(uvcsp_bytes, 1000);
    char *block = calloc(1, 1 << 20);
    int n = 0, rc;
    while ((rc = uvcsp_qput(q, (&(uvcsp_bytes){block, 1 << 20}), 0)) == UVCSP_OK)
        n++;
    ck_assert_int_eq(rc, -ENOMEM);
    ck_assert_int_gt(n, 5);
    ck_assert_int_eq(uvcsp_queue_size(q), n);
    free(QGET(q).data);
    ck_assert_int_eq(uvcsp_qput(q, (&(uvcsp_bytes){block, 1 << 20}), 0), UVCSP_OK);
    for (; n > 0; n--)
        free(QGET(q).data);
    free(block);
    uvcsp_queue_free(q);
    ck_assert_ptr_null(uvcsp_queue_new(1 << 29));
    ck_assert_int_eq(errno, ENOMEM);
}

SUITE("queue", .before = default_signals, .after = uvcsp_shutdown)
