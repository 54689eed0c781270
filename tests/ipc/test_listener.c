/* Listeners and clients: connections between programs that know a key. */
#include "tests/ipc/sockets.h"

/* ---- as it should be ---- */

TEST(two_processes_talk_over_a_socket)
{
    uvcsp_listener *listener = listen_at("talk");
    uvcsp_handle *child = SPAWN(client("talk", 100));
    uvcsp_conn *conn = accept_one(listener);
    ck_assert_int_ge(uvcsp_conn_fileno(conn), 0);
    ck_assert_int_eq(CO(server(conn, 100)), 0);
    uvcsp_join(child, -1);
    ck_assert_int_eq(uvcsp_exit_code(child), 0);
}

TEST(connections_are_served_by_processes_of_their_own, .times = PLACEMENTS)
{
    uvcsp_listener *listener = listen_at(NULL);
    uvcsp_handle *handles[12];
    for (int i = 0; i < 6; i++)
        handles[i] = SPAWN(client(uvcsp_listener_address(listener), 20));
    for (int i = 6; i < 12; i++) {
        uvcsp_conn *conn = accept_one(listener);
        handles[i] = _i == LIGHT ? GO(server(conn, 20)) : SPAWN(server(conn, 20));
    }
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(uvcsp_join(handles[i], 20), UVCSP_OK);
        ck_assert_int_eq(uvcsp_exit_code(handles[i]), 0);
    }
}

PROCESS(connects_and_waits, VAL(const char *, address), OUT(int, status))
{
    uvcsp_conn *conn = uvcsp_connect(address, KEY, 20);
    MUST(conn);
    WRITE(status, recv_status(conn));
}

enum { RETURNS, IS_KILLED };

PROCESS(has_a_connection, VAL(uvcsp_conn *, conn), VAL(int, how))
{
    MUST_BE(uvcsp_conn_poll(conn, 0), UVCSP_WOULD_BLOCK);
    if (how == IS_KILLED)
        raise(SIGKILL);
}

PROCESS(stays, IN(int, end))
{
    (void)READ(end);
}

TEST(the_end_of_who_has_a_connection_is_seen_at_once, .times = 2)
{
    if (house_light() && _i)
        return;
    uvcsp_listener *listener = listen_at("end");
    CHAN(int) status = CHANNEL(int), end = CHANNEL(int);
    IN_END(int) in = IN_OF(status);
    OUT_END(int) out = OUT_OF(end);
    uvcsp_handle *peer = SPAWN(connects_and_waits("end", status));
    uvcsp_conn *conn = accept_one(listener);
    uvcsp_handle *sibling = SPAWN(stays(end)); /* forked while the descriptor is open */
    uvcsp_handle *holder = SPAWN(has_a_connection(conn, _i));
    ck_assert_int_eq(READ(in), UVCSP_RETIRED);
    house_capture(2);
    ck_assert_int_eq(recv_status(conn), -EBADF); /* it has moved */
    free(house_captured());
    RETIRE(out);
    uvcsp_join(peer, -1);
    uvcsp_join(holder, -1);
    uvcsp_join(sibling, -1);
}

TEST(wait_and_choice_take_sockets_and_pipes_together)
{
    uvcsp_listener *listener = listen_at("mixed");
    CHAN(int) status = CHANNEL(int);
    IN_END(int) in = IN_OF(status);
    ck_assert_int_eq(ALT(ON_CLIENT(listener), ON_TIMEOUT(0.01)), 1);
    uvcsp_handle *peer = SPAWN(connects_and_waits("mixed", status));
    ck_assert_int_eq(ALT(ON_CLIENT(listener), ON_TIMEOUT(20)), 0);
    uvcsp_conn *socket = accept_one(listener), *a, *b;
    MUST_BE(uvcsp_pipe(&a, &b, true), 0);
    uvcsp_conn *both[] = {socket, a};
    ck_assert_int_eq(uvcsp_wait(both, 2, 0.01), -UVCSP_TIMEOUT);
    send_int(b, 1);
    ck_assert_int_eq(uvcsp_wait(both, 2, -1), 1);
    ck_assert_int_eq(recv_int(a), 1);
    send_int(socket, 5);
    ck_assert_int_eq(READ(in), UVCSP_OK);
    uvcsp_join(peer, -1);
    ck_assert_int_eq(uvcsp_wait(both, 2, -1), 0); /* its end */
    ck_assert_int_eq(ALT(ON_CONN(a), ON_CONN(socket)), 1);
    ck_assert_int_eq(recv_status(socket), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_conn_close(socket), 0);
}

/* ---- addresses ---- */

TEST(a_socket_lies_in_a_directory_for_its_user_alone)
{
    uvcsp_listener *listener = listen_at("own");
    struct stat status;
    char path[120];
    snprintf(path, sizeof path, "%s/uvcsp", directory);
    ck_assert_str_eq(uvcsp_listener_address(listener) + strlen(path), "/own");
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 0777, 0700);
    house_capture(2);
    ck_assert_ptr_null(uvcsp_listen("/tmp/uvcsp-in-the-open", KEY));
    ck_assert_int_eq(errno, EACCES);
    ck_assert_ptr_null(uvcsp_listen("own", KEY));
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_ptr_null(uvcsp_listen("", KEY));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(uvcsp_listen("other", NULL));
    ck_assert_ptr_null(uvcsp_listen("other", ""));
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_ptr_null(uvcsp_listen(longer, KEY));
    ck_assert_int_eq(errno, ENAMETOOLONG);
    free(house_captured());
    ck_assert_int_eq(n_files(path), 1);
    uvcsp_listener_close(listener);
    uvcsp_listener_close(NULL);
    ck_assert_int_eq(n_files(path), 0);
}

PROCESS(listens_for_a_moment, OUT(bool, closed), IN(bool, end))
{
    for (int i = 0; i < 3; i++)
        uvcsp_listener_close(listen_at("moment"));
    WRITE(closed, true);
    (void)READ(end);
}

TEST(who_has_closed_a_listener_does_not_close_the_next_one_when_it_ends)
{
    CHAN(bool) closed = CHANNEL(bool), end = CHANNEL(bool);
    IN_END(bool) in = IN_OF(closed);
    OUT_END(bool) out = OUT_OF(end);
    uvcsp_handle *other = GO(listens_for_a_moment(closed, end));
    (void)READ(in);
    uvcsp_listener *listeners[3]; /* one of them may lie where his lay */
    for (int i = 0; i < 3; i++)
        listeners[i] = uvcsp_listen(NULL, KEY);
    RETIRE(out);
    uvcsp_join(other, -1);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_null(uvcsp_accept(listeners[i], 0));
        ck_assert_int_eq(errno, ETIMEDOUT); /* it is still a listener */
    }
}

TEST(a_socket_that_was_left_over_is_replaced)
{
    char path[120];
    uvcsp_listener_close(listen_at("left")); /* makes the directory */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/uvcsp/left", directory);
    strcpy(path, address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    uvcsp_listener *listener = listen_at("left");
    ck_assert_str_eq(uvcsp_listener_address(listener), path);
}

TEST(nobody_there_is_told_after_the_time)
{
    house_capture(2);
    ck_assert_ptr_null(uvcsp_connect("nobody", KEY, 0.02));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_null(uvcsp_connect(NULL, KEY, 0));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(uvcsp_connect("nobody", NULL, 0));
    ck_assert_ptr_null(uvcsp_accept(NULL, 0));
    ck_assert_int_eq(errno, EINVAL);
    free(house_captured());
    uvcsp_listener *listener = listen_at("lonely");
    ck_assert_ptr_null(uvcsp_accept(listener, 0));
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_ptr_null(uvcsp_accept(listener, 0.02));
    ck_assert_int_eq(errno, ETIMEDOUT);
}

SUITE("listener", .before = before, .after = after)
