/* Pipes: as Python's multiprocessing has them, and without what it gets wrong. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static void send_int(uvcsp_conn *conn, int n)
{
    MUST_BE(uvcsp_conn_send_new(conn, json_integer(n)), UVCSP_OK);
}

static int recv_int(uvcsp_conn *conn)
{
    json_t *value = NULL;
    MUST_BE(uvcsp_conn_recv(conn, &value), UVCSP_OK);
    int n = (int)json_integer_value(value);
    json_decref(value);
    return n;
}

static int recv_status(uvcsp_conn *conn)
{
    json_t *value = NULL;
    int rc = uvcsp_conn_recv(conn, &value);
    json_decref(value);
    return rc;
}

static void make_pipe(uvcsp_conn **ap, uvcsp_conn **bp)
{
    MUST_BE(uvcsp_pipe(ap, bp, true), 0);
}

/* ---- messages ---- */

PROCESS(echoes, VAL(uvcsp_conn *, conn))
{
    json_t *value;
    while (uvcsp_conn_recv(conn, &value) == UVCSP_OK)
        MUST_BE(uvcsp_conn_send_new(conn, value), UVCSP_OK);
}

PROCESS(asks, VAL(uvcsp_conn *, conn), VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        send_int(conn, i);
        MUST(recv_int(conn) == i);
    }
    json_t *value = json_pack("{s:[i,n,s]}", "key", 42, "h\xc3\xa9llo"), *back;
    MUST_BE(uvcsp_conn_send(conn, value), UVCSP_OK);
    MUST_BE(uvcsp_conn_recv(conn, &back), UVCSP_OK);
    MUST(json_equal(value, back));
    json_decref(value);
    json_decref(back);
}

TEST(values_go_to_and_fro, .times = PLACEMENTS)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(RUN(_i, asks(a, 200), echoes(b)), 0);
}

PROCESS(echoes_bytes, VAL(uvcsp_conn *, conn))
{
    void *data;
    size_t size;
    while (uvcsp_conn_recv_bytes(conn, &data, &size) == UVCSP_OK) {
        MUST_BE(uvcsp_conn_send_bytes(conn, data, size), UVCSP_OK);
        free(data);
    }
}

PROCESS(asks_bytes, VAL(uvcsp_conn *, conn), VAL(size_t, most))
{
    char *data = malloc(most);
    for (size_t i = 0; i < most; i++)
        data[i] = (char)(i * 7);
    for (size_t size = 0; size <= most; size = size * 4 + 1) {
        void *back;
        size_t length;
        MUST_BE(uvcsp_conn_send_bytes(conn, data, size), UVCSP_OK);
        MUST_BE(uvcsp_conn_recv_bytes(conn, &back, &length), UVCSP_OK);
        MUST(length == size && (size == 0 || memcmp(back, data, size) == 0));
        free(back);
    }
    free(data);
}

TEST(bytes_of_any_length_go_to_and_fro, .times = PLACEMENTS)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(RUN(_i, asks_bytes(a, house_valgrind() ? 100000 : 6000000), echoes_bytes(b)),
                     0);
}

#define MANY 50

PROCESS(sends_and_receives_much, VAL(uvcsp_conn *, conn))
{
    char *data = calloc(1, 1 << 20);
    for (int i = 0; i < MANY; i++)
        MUST_BE(uvcsp_conn_send_bytes(conn, data, 1 << 20), UVCSP_OK);
    for (int i = 0; i < MANY; i++) {
        void *got;
        size_t size;
        MUST_BE(uvcsp_conn_recv_bytes(conn, &got, &size), UVCSP_OK);
        MUST(size == 1 << 20);
        free(got);
    }
    free(data);
}

TEST(two_that_send_each_other_much_at_the_same_time_do_not_hang, .times = PLACEMENTS)
{
    if (house_valgrind())
        return;
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(RUN(_i, sends_and_receives_much(a), sends_and_receives_much(b)), 0);
}

TEST(one_process_may_use_both_sides)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    for (int i = 0; i < UVCSP_PIPE_CAPACITY; i++)
        send_int(a, i);
    for (int i = 0; i < UVCSP_PIPE_CAPACITY; i++)
        ck_assert_int_eq(recv_int(b), i);
    send_int(b, 1);
    ck_assert_int_eq(recv_int(a), 1);
    ck_assert_int_eq(uvcsp_conn_close(a), 0);
    ck_assert_int_eq(recv_status(b), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_conn_close(b), 0);
}

TEST(a_one_way_pipe_goes_one_way)
{
    uvcsp_conn *a, *b;
    ck_assert_int_eq(uvcsp_pipe(&a, &b, false), 0);
    send_int(b, 5);
    ck_assert_int_eq(recv_int(a), 5);
    house_capture(2);
    ck_assert_int_eq(uvcsp_conn_send_bytes(a, "x", 1), -EBADF);
    ck_assert_int_eq(recv_status(b), -EBADF);
    ck_assert_int_eq(uvcsp_conn_poll(b, 0), -EBADF);
    ck_assert_int_eq(uvcsp_wait(&b, 1, 0), -EBADF);
    char *said = house_captured();
    ck_assert_contains(said, "one-way");
    free(said);
    send_int(b, 6);
    uvcsp_conn_close(b);
    ck_assert_int_eq(recv_int(a), 6);
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
}

TEST(a_buffer_that_is_too_short_is_told_and_the_message_stays)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    char buffer[16] = "untouched";
    size_t size = 0;
    MUST_BE(uvcsp_conn_send_bytes(a, "a longer message", 16), UVCSP_OK);
    MUST_BE(uvcsp_conn_send_bytes(a, NULL, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(b, buffer, 8, &size), -EMSGSIZE);
    ck_assert_uint_eq(size, 16);
    ck_assert_str_eq(buffer, "untouched");
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(b, buffer, 16, &size), UVCSP_OK);
    ck_assert_uint_eq(size, 16);
    ck_assert(memcmp(buffer, "a longer message", 16) == 0);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(b, NULL, 0, NULL), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_poll(b, 0), UVCSP_WOULD_BLOCK);
}

PROCESS(receives_into, VAL(uvcsp_conn *, conn), VAL(int, n))
{
    int x;
    size_t size;
    for (int i = 0; i < n; i++) {
        MUST_BE(uvcsp_conn_recv_bytes_into(conn, &x, sizeof x, &size), UVCSP_OK);
        MUST(size == sizeof x && x == i);
    }
    MUST_BE(uvcsp_conn_recv_bytes_into(conn, &x, sizeof x, &size), UVCSP_RETIRED);
}

PROCESS(sends_raw, VAL(uvcsp_conn *, conn), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST_BE(uvcsp_conn_send_bytes(conn, &i, sizeof i), UVCSP_OK);
}

TEST(messages_can_be_received_into_a_buffer_as_they_come, .times = PLACEMENTS)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(RUN(_i, receives_into(a, 1000), sends_raw(b, 1000)), 0);
}

/* ---- the end ---- */

enum { RETURNS, CLOSES, IS_KILLED, IS_KILLED_AT_ONCE, WAYS };

PROCESS(sends_three_and_ends, VAL(uvcsp_conn *, conn), VAL(int, how))
{
    if (how == IS_KILLED_AT_ONCE)
        raise(SIGKILL);
    for (int i = 0; i < 3; i++)
        send_int(conn, i);
    if (how == IS_KILLED)
        raise(SIGKILL);
    if (how == CLOSES)
        MUST_BE(uvcsp_conn_close(conn), 0);
}

TEST(the_end_of_the_only_user_is_the_end_of_the_file, .times = WAYS)
{
    if (house_light() && _i >= IS_KILLED)
        return;
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    uvcsp_handle *child = SPAWN(sends_three_and_ends(b, _i));
    for (int i = 0; i < (_i == IS_KILLED_AT_ONCE ? 0 : 3); i++)
        ck_assert_int_eq(recv_int(a), i);
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_conn_poll(a, -1), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_send_bytes(a, "x", 1), UVCSP_RETIRED);
    if (_i >= IS_KILLED)
        ck_assert_contains(uvcsp_conn_cause(a), "signal 9");
    else
        ck_assert_ptr_null(uvcsp_conn_cause(a));
    uvcsp_join(child, -1);
}

PROCESS(waits_for_the_end, VAL(uvcsp_conn *, conn), OUT(int, status))
{
    WRITE(status, recv_status(conn));
}

PROCESS(stays_until, IN(int, end))
{
    (void)READ(end);
}

TEST(a_sibling_does_not_keep_a_pipe_open)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    CHAN(int) end = CHANNEL(int), status = CHANNEL(int);
    OUT_END(int) out = OUT_OF(end);
    IN_END(int) in = IN_OF(status);
    uvcsp_handle *sibling = SPAWN(stays_until(end));
    ck_assert_int_eq(uvcsp_conn_poll(a, 0),
                     UVCSP_WOULD_BLOCK); /* from here on main holds this side too */
    uvcsp_handle *reader = SPAWN(waits_for_the_end(a, status));
    uvcsp_handle *writer = SPAWN(sends_three_and_ends(b, RETURNS));
    uvcsp_handle *another = SPAWN(stays_until(end));
    int rc = READ(in);
    ck_assert_int_eq(rc, UVCSP_OK);
    uvcsp_join(writer, -1);
    uvcsp_join(reader, -1);
    ck_assert(uvcsp_alive(sibling) && uvcsp_alive(another));
    ck_assert_int_eq(recv_int(a), 1);
    ck_assert_int_eq(recv_int(a), 2);
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
    RETIRE(out);
    uvcsp_join(sibling, -1);
    uvcsp_join(another, -1);
}

TEST(a_side_is_gone_with_the_last_of_its_holders)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(CO(sends_three_and_ends(b, RETURNS), sends_three_and_ends(b, CLOSES)), 0);
    for (int i = 0; i < 6; i++)
        (void)recv_int(a);
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
}

TEST(processes_may_take_turns_at_a_side)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    for (int round = 0; round < 5; round++) {
        uvcsp_handle *child = SPAWN(echoes_bytes(b));
        MUST_BE(uvcsp_conn_send_bytes(a, "x", 1), UVCSP_OK);
        char x;
        ck_assert_int_eq(uvcsp_conn_recv_bytes_into(a, &x, 1, NULL), UVCSP_OK);
        uvcsp_kill(child);
        uvcsp_join(child, -1);
        ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
    }
}

PROCESS(hands_on, VAL(uvcsp_conn *, conn))
{
    MUST(PAR(sends_three_and_ends(conn, RETURNS)) == 0);
    send_int(conn, 3);
}

TEST(a_connection_can_be_handed_on)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    uvcsp_handle *child = SPAWN(hands_on(b));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(recv_int(a), i);
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
    uvcsp_join(child, -1);
}

PROCESS(sends_until_told, VAL(uvcsp_conn *, conn), OUT(int, n))
{
    int i = 0;
    while (uvcsp_conn_send_bytes(conn, &i, sizeof i) == UVCSP_OK)
        i++;
    WRITE(n, i);
}

TEST(who_waits_to_send_is_told_that_the_other_side_has_gone)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    CHAN(int) sent = CHANNEL(int);
    IN_END(int) in = IN_OF(sent);
    uvcsp_handle *child = SPAWN(sends_until_told(b, sent));
    int x;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(uvcsp_conn_recv_bytes_into(a, &x, sizeof x, NULL), UVCSP_OK);
    ck_assert_int_eq(uvcsp_read_timeout(in, &x, 0.02), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_conn_close(a), 0);
    ck_assert_int_eq(READ(in), UVCSP_PIPE_CAPACITY + 10);
    uvcsp_join(child, -1);
}

/* ---- waiting for several ---- */

TEST(poll_says_whether_a_message_is_there)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    ck_assert_int_eq(uvcsp_conn_poll(a, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_conn_poll(a, 0.01), UVCSP_TIMEOUT);
    send_int(b, 1);
    ck_assert_int_eq(uvcsp_conn_poll(a, 0), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_poll(a, -1), UVCSP_OK);
    ck_assert_int_eq(recv_int(a), 1);
    ck_assert_int_eq(uvcsp_conn_poll(a, 0), UVCSP_WOULD_BLOCK);
}

#define SENDERS 5

PROCESS(sends_its_number, VAL(uvcsp_conn *, conn), VAL(int, number), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        send_int(conn, number);
}

TEST(wait_finds_those_that_are_ready, .times = PLACEMENTS)
{
    uvcsp_conn *conns[SENDERS], *other;
    uvcsp_handle *handles[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        make_pipe(&conns[i], &other), handles[i] = _i == LIGHT
                                                       ? GO(sends_its_number(other, i, 100))
                                                       : SPAWN(sends_its_number(other, i, 100));
    int got[SENDERS] = {0}, left = SENDERS;
    size_t number[SENDERS] = {0, 1, 2, 3, 4};
    while (left > 0) {
        int i = uvcsp_wait(conns, (size_t)left, 20);
        ck_assert_int_ge(i, 0);
        json_t *value;
        if (uvcsp_conn_recv(conns[i], &value) == UVCSP_OK) {
            ck_assert_int_eq((int)json_integer_value(value), (int)number[i]);
            json_decref(value);
            got[number[i]]++;
        } else {
            left--;
            conns[i] = conns[left];
            number[i] = number[left];
        }
    }
    for (int i = 0; i < SENDERS; i++) {
        ck_assert_int_eq(got[i], 100);
        uvcsp_join(handles[i], -1);
    }
}

TEST(wait_gives_up_after_its_time)
{
    uvcsp_conn *conns[100], *other;
    for (int i = 0; i < 100; i++)
        make_pipe(&conns[i], &other);
    ck_assert_int_eq(uvcsp_wait(conns, 100, 0), -UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_wait(conns, 100, 0.02), -UVCSP_TIMEOUT);
    send_int(other, 1);
    ck_assert_int_eq(uvcsp_wait(conns, 100, -1), 99);
    ck_assert_int_eq(uvcsp_wait(conns, 100, 0), 99);
}

TEST(a_pipe_can_be_chosen_with_other_things)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    uvcsp_queue *q = uvcsp_queue_new(1);
    json_t *value;
    ck_assert_int_eq(ALT(ON_CONN(a), ON_GET(q, &value), ON_TIMEOUT(0.01)), 2);
    send_int(b, 1);
    ck_assert_int_eq(ALT(ON_CONN(a), ON_GET(q, &value), ON_TIMEOUT(5)), 0);
    ck_assert_int_eq(ALT(ON_CONN(a), ON_GET(q, &value), ON_TIMEOUT(5)), 0); /* it is still there */
    ck_assert_int_eq(recv_int(a), 1);
    MUST_BE(uvcsp_queue_put_new(q, json_true(), 0), UVCSP_OK);
    ck_assert_int_eq(ALT(ON_CONN(a), ON_GET(q, &value), ON_TIMEOUT(5)), 1);
    uvcsp_handle *child = SPAWN(sends_three_and_ends(b, RETURNS));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ALT(ON_GET(q, &value), ON_CONN(a)), 1);
        ck_assert_int_eq(recv_int(a), i);
    }
    uvcsp_conn_close(b);
    ck_assert_int_eq(ALT(ON_GET(q, &value), ON_CONN(a)), 1); /* the end counts as ready */
    ck_assert_int_eq(recv_status(a), UVCSP_RETIRED);
    uvcsp_join(child, -1);
    uvcsp_queue_free(q);
}

/* ---- bad input ---- */

TEST(what_is_no_connection_is_refused)
{
    uvcsp_conn *a, *b;
    json_t *value = json_true();
    void *data;
    size_t size;
    int nothing = 0;
    house_capture(2);
    ck_assert_int_eq(uvcsp_pipe(NULL, &b, true), -EINVAL);
    ck_assert_int_eq(uvcsp_pipe(&a, NULL, true), -EINVAL);
    make_pipe(&a, &b);
    ck_assert_int_eq(uvcsp_conn_send(NULL, value), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_send(a, NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_recv(NULL, &value), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_recv(a, NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_send_bytes(NULL, "x", 1), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_send_bytes(a, NULL, 1), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_recv_bytes(NULL, &data, &size), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_recv_bytes(a, NULL, &size), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(a, NULL, 1, &size), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_poll(NULL, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_wait(NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_wait(&a, 0, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_wait((uvcsp_conn *[]){a, NULL}, 2, 0), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_close(NULL), -EINVAL);
    ck_assert_int_eq(uvcsp_conn_send((void *)&nothing, value), -EBADF);
    ck_assert_int_eq(uvcsp_conn_fileno(a), -ENOTSUP);
    ck_assert_int_eq(uvcsp_conn_set_limit(a, 1), -ENOTSUP);
    ck_assert_int_eq(uvcsp_conn_close(a), 0);
    ck_assert_int_eq(uvcsp_conn_send(a, value), -EBADF);
    ck_assert_int_eq(recv_status(a), -EBADF);
    ck_assert_int_eq(uvcsp_conn_close(a), -EBADF);
    ck_assert_ptr_null(SPAWN(echoes(a)));
    char *said = house_captured();
    ck_assert_contains(said, "was closed");
    free(said);
    ck_assert_int_eq(recv_status(b), UVCSP_RETIRED); /* the value to it was never sent */
}

TEST(a_value_that_cannot_be_encoded_is_not_sent)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    json_t *circle = json_array(), *inner = json_array();
    json_array_append(circle, inner);
    json_array_append(inner, circle);
    house_capture(2);
    ck_assert_int_eq(uvcsp_conn_send(a, circle), -EINVAL);
    char *said = house_captured();
    ck_assert_contains(said, "cannot be encoded");
    free(said);
    ck_assert_int_eq(uvcsp_conn_poll(b, 0), UVCSP_WOULD_BLOCK);
    json_array_clear(inner);
    json_decref(inner);
    json_decref(circle);
}

TEST(bytes_that_are_no_value_are_told_and_the_next_message_comes)
{
    uvcsp_conn *a, *b;
    make_pipe(&a, &b);
    MUST_BE(uvcsp_conn_send_bytes(a, "{\"x\":", 5), UVCSP_OK);
    MUST_BE(uvcsp_conn_send_bytes(a, "[1, 2]", 6), UVCSP_OK);
    ck_assert_int_eq(recv_status(b), -EBADMSG);
    json_t *value;
    ck_assert_int_eq(uvcsp_conn_recv(b, &value), UVCSP_OK);
    ck_assert_uint_eq(json_array_size(value), 2);
    json_decref(value);
}

SUITE("pipe", .before = default_signals, .after = uvcsp_shutdown)
