/* How queues end: they are closed, or all who took part by ends have gone. */
#include "tests/ipc/queues.h"

TEST(a_closed_queue_is_drained_and_then_says_so)
{
    uvcsp_queue *q = uvcsp_queue_new(5);
    put_int(q, 1);
    put_int(q, 2);
    ck_assert_int_eq(uvcsp_queue_close(q), 0);
    ck_assert_int_eq(uvcsp_queue_close(q), 0);
    json_t *value, *three = json_integer(3);
    ck_assert_int_eq(uvcsp_queue_put(q, three, -1), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_queue_put(q, three, 0), UVCSP_RETIRED);
    ck_assert_int_eq(get_int(q), 1);
    ck_assert_int_eq(get_int(q), 2);
    ck_assert_int_eq(uvcsp_queue_get(q, &value, -1), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_queue_get(q, &value, 0), UVCSP_RETIRED);
    json_decref(three);
    uvcsp_queue_free(q);
}

PROCESS(waits_to_get, VAL(uvcsp_queue *, q), OUT(int, status))
{
    json_t *value;
    WRITE(status, uvcsp_queue_get(q, &value, -1));
}

PROCESS(waits_to_put, VAL(uvcsp_queue *, q), OUT(int, status))
{
    json_t *value = json_integer(1);
    int rc = uvcsp_queue_put(q, value, -1);
    json_decref(value);
    WRITE(status, rc);
}

PROCESS(closes, VAL(uvcsp_queue *, empty), VAL(uvcsp_queue *, full), IN(int, statuses))
{
    int x;
    MUST_BE(uvcsp_read_timeout(statuses, &x, 0.02), UVCSP_TIMEOUT); /* they wait */
    MUST_BE(uvcsp_queue_close(empty), 0);
    MUST_BE(uvcsp_queue_close(full), 0);
    for (int i = 0; i < 4; i++)
        MUST_BE(READ(statuses), UVCSP_RETIRED);
}

TEST(who_waits_at_a_queue_that_is_closed_is_told, .times = PLACEMENTS)
{
    uvcsp_queue *empty = uvcsp_queue_new(1), *full = uvcsp_queue_new(1);
    put_int(full, 1);
    CHAN(int) statuses = CHANNEL(int);
    ck_assert_int_eq(RUN(_i, waits_to_get(empty, statuses), waits_to_get(empty, statuses),
                         waits_to_put(full, statuses), waits_to_put(full, statuses),
                         closes(empty, full, statuses)),
                     0);
    ck_assert_int_eq(get_int(full), 1);
    uvcsp_queue_free(empty);
    uvcsp_queue_free(full);
}

TEST(a_queue_that_was_closed_stays_closed_when_an_end_of_it_is_made)
{
    QUEUE(int) q = QUEUE_NEW(int, 1);
    uvcsp_queue_close(q);
    OUT_END(int) out = OUT_OF(QUEUE_CHAN(q));
    int x = 1;
    ck_assert_int_eq(uvcsp_write(out, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_qput(q, &x, 0), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_qget(q, &x, 0), UVCSP_RETIRED);
    uvcsp_queue_free(q);
}

enum { RETURNS, IS_KILLED };

PROCESS(produces, OUT(int, out), VAL(int, n), VAL(int, how))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
    if (how == IS_KILLED)
        raise(SIGKILL);
}

TEST(getters_learn_that_all_producers_are_gone, .times = 2)
{
    if (house_light() && _i == IS_KILLED)
        return;
    QUEUE(int) q = QUEUE_NEW(int, 100);
    int x, n = 0;
    OUT_END(int) mine = OUT_OF(QUEUE_CHAN(q)); /* until both have been started */
    uvcsp_handle *first = SPAWN(produces(QUEUE_CHAN(q), 10, RETURNS));
    uvcsp_handle *second = SPAWN(produces(QUEUE_CHAN(q), 20, _i));
    RETIRE(mine);
    while (uvcsp_qget(q, &x, -1) == UVCSP_OK)
        n++;
    ck_assert_int_eq(n, 30);
    ck_assert_int_eq(uvcsp_qget(q, &x, -1), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_qput(q, &x, -1), UVCSP_RETIRED);
    uvcsp_join(first, -1);
    uvcsp_join(second, -1);
    uvcsp_queue_free(q);
}

PROCESS(consumes, IN(int, in), VAL(int, n), VAL(int, how))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
    if (how == IS_KILLED)
        raise(SIGKILL);
}

TEST(putters_learn_that_all_consumers_are_gone, .times = 2)
{
    if (house_light() && _i == IS_KILLED)
        return;
    QUEUE(int) q = QUEUE_NEW(int, 2);
    IN_END(int) mine = IN_OF(QUEUE_CHAN(q)); /* until both have been started */
    uvcsp_handle *first = SPAWN(consumes(QUEUE_CHAN(q), 10, RETURNS));
    uvcsp_handle *second = SPAWN(consumes(QUEUE_CHAN(q), 5, _i));
    RETIRE(mine);
    int n = 0;
    while (uvcsp_qput(q, &n, -1) == UVCSP_OK)
        n++;
    ck_assert_int_ge(n, 15);
    ck_assert_int_le(n, 17);
    uvcsp_join(first, -1);
    uvcsp_join(second, -1);
    uvcsp_queue_free(q);
}

SUITE("queue_end", .before = default_signals, .after = uvcsp_shutdown)
