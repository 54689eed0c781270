/* Listeners and clients: connections between programs that know a key, and what strangers can do.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define KEY "a key of the tests"

static char directory[60];

static int before(void)
{
    strcpy(directory, "/tmp/uvcsp-test-XXXXXX");
    MUST(mkdtemp(directory));
    setenv("XDG_RUNTIME_DIR", directory, 1);
    return default_signals();
}

static int n_files(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* After a case no socket is left. */
static int after(void)
{
    int rc = uvcsp_shutdown();
    char path[100];
    snprintf(path, sizeof path, "%s/uvcsp", directory);
    rc |= n_files(path);
    rmdir(path);
    return rc | rmdir(directory);
}

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

static uvcsp_listener *listen_at(const char *address)
{
    uvcsp_listener *listener = uvcsp_listen(address, KEY);
    MUST(listener);
    return listener;
}

static uvcsp_conn *accept_one(uvcsp_listener *listener)
{
    uvcsp_conn *conn = uvcsp_accept(listener, 20);
    MUST(conn);
    return conn;
}

/* ---- as it should be ---- */

PROCESS(client, VAL(const char *, address), VAL(int, n))
{
    uvcsp_conn *conn = uvcsp_connect(address, KEY, 20);
    MUST(conn);
    for (int i = 0; i < n; i++) {
        send_int(conn, i);
        MUST(recv_int(conn) == i + 1);
    }
    size_t size = 3000000;
    char *data = malloc(size);
    memset(data, 'x', size);
    MUST_BE(uvcsp_conn_send_bytes(conn, data, size), UVCSP_OK);
    free(data);
}

PROCESS(server, VAL(uvcsp_conn *, conn), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        send_int(conn, recv_int(conn) + 1);
    void *data;
    size_t size;
    MUST_BE(uvcsp_conn_recv_bytes(conn, &data, &size), UVCSP_OK);
    MUST(size == 3000000 && memcmp(data, (char *)data + 1, size - 1) == 0 && *(char *)data == 'x');
    free(data);
    MUST_BE(recv_status(conn), UVCSP_RETIRED);
    MUST_BE(recv_status(conn), UVCSP_RETIRED);
}

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

/* ---- keys ---- */

PROCESS(has_another_key, VAL(const char *, address))
{
    MUST(!uvcsp_connect(address, "another key", 20));
    MUST(errno == EKEYREJECTED);
}

TEST(a_wrong_key_is_refused_and_the_next_client_is_served)
{
    uvcsp_listener *listener = listen_at("keys");
    house_capture(2);
    uvcsp_handle *wrong = SPAWN(has_another_key("keys"));
    ck_assert_ptr_null(uvcsp_accept(listener, 0.2));
    uvcsp_handle *right = SPAWN(client("keys", 5));
    uvcsp_conn *conn = accept_one(listener);
    ck_assert_int_eq(CO(server(conn, 5)), 0);
    uvcsp_join(wrong, -1);
    uvcsp_join(right, -1);
    char *said = house_captured();
    ck_assert_contains(said, "refused");
    free(said);
    ck_assert_int_eq(uvcsp_exit_code(wrong), 0);
}

static int raw_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

TEST(a_server_that_does_not_know_the_key_is_found_out)
{
    uvcsp_listener_close(listen_at("false")); /* makes the directory */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/uvcsp/false", directory);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    uvcsp_handle *victim = GO(has_another_key(address.sun_path));
    ck_assert_int_eq(uvcsp_wait_fd(fd, UV_READABLE, 20), UVCSP_OK);
    int peer = accept(fd, NULL, NULL);
    char hello[38] = "uvcsp\1", proof[70], answer[33] = {1}; /* it claims that all is well */
    ck_assert_int_eq(write(peer, hello, sizeof hello), sizeof hello);
    size_t have = 0;
    while (have < sizeof proof) {
        ck_assert_int_eq(uvcsp_wait_fd(peer, UV_READABLE, 20), UVCSP_OK);
        have += (size_t)read(peer, proof + have, sizeof proof - have);
    }
    memcpy(answer + 1, proof + 38, 32); /* the client's own proof, sent back */
    ck_assert_int_eq(write(peer, answer, sizeof answer), sizeof answer);
    uvcsp_join(victim, -1);
    close(peer);
    close(fd);
    unlink(address.sun_path);
}

/* ---- strangers ---- */

static void fill(unsigned char *bytes, size_t n, unsigned *seed)
{
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(*seed >> 24);
    }
}

PROCESS(throws_random_bytes, VAL(const char *, path), VAL(int, n))
{
    unsigned seed = 1;
    unsigned char bytes[300];
    for (int i = 0; i < n; i++) {
        int fd = raw_socket(path);
        fill(bytes, sizeof bytes, &seed);
        if (i % 3 == 0)
            memcpy(bytes, "uvcsp\1", 6);
        if (send(fd, bytes, (size_t)(i % 300), MSG_NOSIGNAL) >= 0)
            (void)uvcsp_wait_fd(fd, UV_READABLE, i % 2 ? 0 : 0.001);
        close(fd);
    }
}

TEST(a_thousand_random_frames_do_not_hurt_a_listener, .seconds = 60)
{
    uvcsp_listener *listener = listen_at("storm");
    house_capture(2);
    uvcsp_handle *storm = SPAWN(throws_random_bytes(uvcsp_listener_address(listener), 1000));
    while (uvcsp_alive(storm))
        ck_assert_ptr_null(uvcsp_accept(listener, 0.05));
    uvcsp_handle *right = SPAWN(client("storm", 5));
    uvcsp_conn *conn = accept_one(listener);
    ck_assert_int_eq(CO(server(conn, 5)), 0);
    uvcsp_join(right, -1);
    uvcsp_join(storm, -1);
    free(house_captured());
    ck_assert_int_eq(uvcsp_exit_code(storm), 0);
}

TEST(a_client_that_says_nothing_keeps_nobody_waiting)
{
    uvcsp_listener *listener = listen_at("silent");
    int silent[5];
    for (int i = 0; i < 5; i++)
        silent[i] = raw_socket(uvcsp_listener_address(listener));
    uvcsp_handle *right = SPAWN(client("silent", 5));
    double start = uvcsp_now();
    uvcsp_conn *conn = accept_one(listener);
    ck_assert(uvcsp_now() - start < 4);
    ck_assert_int_eq(CO(server(conn, 5)), 0);
    uvcsp_join(right, -1);
    for (int i = 0; i < 5; i++)
        close(silent[i]);
    house_capture(2);
    ck_assert_ptr_null(uvcsp_accept(listener, 0)); /* it finds out that they have hung up */
    free(house_captured());
}

/* The first of a connection's two sides, and the descriptor of the other one, on which anything can
 * be written. */
struct torn {
    uvcsp_conn *conn;
    int raw;
};

PROCESS(connects_raw, VAL(const char *, address), VAL(int *, fdp))
{
    uvcsp_conn *conn = uvcsp_connect(address, KEY, 20);
    MUST(conn);
    *fdp = dup(uvcsp_conn_fileno(conn)); /* in this worker: it is a light process */
}

static struct torn tear(uvcsp_listener *listener, const char *address)
{
    struct torn torn;
    uvcsp_handle *peer = GO(connects_raw(address, &torn.raw));
    torn.conn = accept_one(listener);
    uvcsp_join(peer, -1);
    return torn;
}

static void write_frame(int fd, const char *magic, uint32_t length, const void *data, size_t size)
{
    char header[8];
    length = htonl(length);
    memcpy(header, magic, 4);
    memcpy(header + 4, &length, 4);
    MUST(write(fd, header, 8) == 8);
    MUST(size == 0 || write(fd, data, size) == (ssize_t)size);
}

TEST(false_lengths_and_false_frames_break_only_their_connection)
{
    uvcsp_listener *listener = listen_at("frames");
    static const struct {
        const char *magic;
        uint32_t length;
        size_t size;
        int status;
    } table[] = {
        {"uCSP", 6, 6, UVCSP_OK},
        {"uCSP", 0, 0, -EBADMSG},
        {"uCSP", 7, 6, -ECONNRESET},
        {"uCSP", UINT32_MAX, 6, -EMSGSIZE},
        {"uCSP", 200 << 20, 6, -ECONNRESET},
        {"uCSp", 6, 6, -EPROTO},
        {"\0\0\0\0", 0, 0, -EPROTO},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct torn torn = tear(listener, "frames");
        write_frame(torn.raw, table[i].magic, table[i].length, "[1, 2]", table[i].size);
        close(torn.raw);
        ck_assert_int_eq(recv_status(torn.conn), table[i].status);
        if (table[i].status == UVCSP_OK || table[i].status == -EBADMSG)
            ck_assert_int_eq(recv_status(torn.conn), UVCSP_RETIRED);
        else
            ck_assert_int_eq(recv_status(torn.conn), table[i].status); /* it stays broken */
        ck_assert_int_eq(uvcsp_conn_close(torn.conn), 0);
    }
}

TEST(random_bytes_on_a_connection_are_an_error_and_no_more, .seconds = 60)
{
    uvcsp_listener *listener = listen_at("random");
    unsigned seed = 7;
    for (int round = 0; round < 200; round++) {
        struct torn torn = tear(listener, "random");
        unsigned char bytes[400];
        fill(bytes, sizeof bytes, &seed);
        if (round % 2)
            memcpy(bytes, "uCSP\0\0", 6);
        MUST(write(torn.raw, bytes, sizeof bytes) == sizeof bytes);
        close(torn.raw);
        void *data;
        size_t size;
        int rc;
        while ((rc = uvcsp_conn_recv_bytes(torn.conn, &data, &size)) == UVCSP_OK)
            free(data);
        ck_assert(rc == -EPROTO || rc == -ECONNRESET || rc == -EMSGSIZE || rc == UVCSP_RETIRED);
        uvcsp_conn_close(torn.conn);
    }
}

TEST(a_limit_holds_in_both_directions)
{
    uvcsp_listener *listener = listen_at("limit");
    struct torn torn = tear(listener, "limit");
    ck_assert_int_eq(uvcsp_conn_set_limit(torn.conn, 10), 0);
    ck_assert_int_eq(uvcsp_conn_send_bytes(torn.conn, "01234567890", 11), -EMSGSIZE);
    ck_assert_int_eq(uvcsp_conn_send_bytes(torn.conn, "0123456789", 10), UVCSP_OK);
    write_frame(torn.raw, "uCSP", 10, "0123456789", 10);
    char buffer[10];
    size_t size;
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(torn.conn, buffer, 5, &size),
                     -EMSGSIZE); /* short, and kept */
    ck_assert_uint_eq(size, 10);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(torn.conn, buffer, 10, &size), UVCSP_OK);
    write_frame(torn.raw, "uCSP", 2, "ab", 2);
    write_frame(torn.raw, "uCSP", 3, "cde", 3);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(torn.conn, buffer, 10, &size), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_recv_bytes_into(torn.conn, buffer, 10, &size), UVCSP_OK);
    ck_assert(size == 3 && memcmp(buffer, "cde", 3) == 0);
    write_frame(torn.raw, "uCSP", 11, "01234567890", 11);
    ck_assert_int_eq(recv_status(torn.conn), -EMSGSIZE);
    close(torn.raw);
}

TEST(half_a_message_is_not_ready)
{
    uvcsp_listener *listener = listen_at("half");
    struct torn torn = tear(listener, "half");
    write_frame(torn.raw, "uCSP", 6, "[1,", 3);
    ck_assert_int_eq(uvcsp_conn_poll(torn.conn, 0), UVCSP_WOULD_BLOCK);
    ck_assert_int_eq(uvcsp_conn_poll(torn.conn, 0.02), UVCSP_TIMEOUT);
    ck_assert_int_eq(uvcsp_wait(&torn.conn, 1, 0.02), -UVCSP_TIMEOUT);
    MUST(write(torn.raw, " 2]", 3) == 3);
    ck_assert_int_eq(uvcsp_conn_poll(torn.conn, 20), UVCSP_OK);
    ck_assert_int_eq(recv_status(torn.conn), UVCSP_OK);
    close(torn.raw);
    ck_assert_int_eq(uvcsp_conn_poll(torn.conn, 20), UVCSP_OK);
    ck_assert_int_eq(uvcsp_conn_send_bytes(torn.conn, "x", 1), UVCSP_RETIRED);
}

SUITE("listener", .before = before, .after = after)
