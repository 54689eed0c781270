/* What strangers can do to listeners and connections: those who do not know the key, who are
   somebody else, or who say anything. */
#include <arpa/inet.h>

#include "tests/ipc/sockets.h"

static int raw_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
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

/* ---- other users: only root can become one, to try ---- */

enum { NOBODY = 65534 };

static void become_nobody(void)
{
    MUST(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* A connection of another user gets no challenge, nor anything else. */
PROCESS(another_user_connects, VAL(const char *, path))
{
    become_nobody();
    int fd = raw_socket(path);
    char byte;
    MUST(uvcsp_wait_fd(fd, UV_READABLE, 20) == UVCSP_OK && read(fd, &byte, 1) <= 0);
    close(fd);
    MUST(!uvcsp_connect(path, KEY, 1));
}

TEST(another_user_is_refused_though_the_directory_lets_him_in)
{
    if (house_light() || geteuid() != 0)
        return;
    uvcsp_listener *listener = listen_at("mine");
    const char *path = uvcsp_listener_address(listener);
    char up[120];
    snprintf(up, sizeof up, "%s/uvcsp", directory);
    ck_assert(chmod(directory, 0755) == 0 && chmod(up, 0755) == 0 && chmod(path, 0777) == 0);
    house_capture(2);
    uvcsp_handle *another = SPAWN(another_user_connects(path));
    while (uvcsp_alive(another))
        ck_assert_ptr_null(uvcsp_accept(listener, 0.02));
    ck_assert_int_eq(uvcsp_exit_code(another), 0);
    uvcsp_handle *right = SPAWN(client(path, 5));
    ck_assert(chmod(up, 0700) == 0);
    uvcsp_conn *conn = accept_one(listener);
    ck_assert_int_eq(CO(server(conn, 5)), 0);
    uvcsp_join(right, -1);
    free(house_captured());
}

PROCESS(another_user_listens, VAL(const char *, path), OUT(bool, ready), IN(bool, end))
{
    become_nobody();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
    WRITE(ready, true);
    (void)uvcsp_read(end, &(bool){false});
    close(fd);
}

TEST(a_listener_of_another_user_is_told_nothing)
{
    if (house_light() || geteuid() != 0)
        return;
    char theirs[100], path[108];
    snprintf(theirs, sizeof theirs, "%s/theirs", directory);
    snprintf(path, sizeof path, "%s/false", theirs);
    ck_assert(chmod(directory, 0755) == 0 && mkdir(theirs, 0700) == 0 &&
              chown(theirs, NOBODY, NOBODY) == 0);
    CHAN(bool) ready = CHANNEL(bool), end = CHANNEL(bool);
    IN_END(bool) in = IN_OF(ready);
    OUT_END(bool) out = OUT_OF(end);
    house_capture(2);
    uvcsp_handle *another = SPAWN(another_user_listens(path, ready, end));
    (void)READ(in);
    ck_assert_ptr_null(uvcsp_connect(path, KEY, 5));
    ck_assert_int_eq(errno, EACCES);
    RETIRE(out);
    uvcsp_join(another, -1);
    free(house_captured());
    ck_assert_int_eq(uvcsp_exit_code(another), 0);
    ck_assert(unlink(path) == 0 && rmdir(theirs) == 0);
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

SUITE("strangers", .before = before, .after = after)
