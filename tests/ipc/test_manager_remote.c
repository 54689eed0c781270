/* A manager that other programs use. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <uvcsp/ipc.h>

#include "ipc/address.h"
#include "tests/contract/contract.h"

static char address[64];

static int start(void)
{
    snprintf(address, sizeof address, "test-manager-%d", (int)getpid());
    return default_signals();
}

struct run {
    const char *key, *how;
    int status;
};

static void run_user(void *arg)
{
    struct run *run = arg;
    char *command = NULL;
    if (asprintf(&command, "%s %s %s %s", MANAGER_USER, address, run->key, run->how) < 0)
        abort();
    run->status = system(command);
    free(command);
}

/* The status of another program that uses the manager. */
static int user(const char *key, const char *how)
{
    struct run run = {key, how, -1};
    ck_assert_int_eq(uvcsp_blocking(run_user, &run), 0);
    return run.status;
}

TEST(another_program_uses_a_manager_by_its_address_and_key)
{
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "open sesame"});
    ck_assert_ptr_nonnull(m);
    uvcsp_proxy jobs = uvcsp_manager_list(m, NULL), lock = uvcsp_manager_lock(m);
    ck_assert_int_eq(uvcsp_manager_publish(m, "jobs", jobs), 0);
    ck_assert_int_eq(uvcsp_manager_publish(m, "lock", lock), 0);
    house_capture(2);
    ck_assert_int_eq(user("'open sesame'", ""), 0);
    ck_assert_int_eq(uvcsp_mlist_len(jobs), 3);
    ck_assert_int_eq(uvcsp_mlist_contains(jobs, json_string("from another program")), 1);
    ck_assert_int_eq(uvcsp_mlock_locked(lock), 0);
    ck_assert_int_eq(WEXITSTATUS(user("'another key'", "")), 3);
    ck_assert_int_ne(user("'open sesame'", "die"), 0);
    ck_assert_int_eq(uvcsp_mlock_acquire(lock, 10), UVCSP_OWNER_DIED);
    ck_assert_int_eq(uvcsp_mlist_len(jobs), 6);
    free(house_captured());
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
}

TEST(an_address_that_is_taken_is_told)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    ck_assert_ptr_nonnull(m);
    ck_assert_ptr_null(uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"}));
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_ptr_null(uvcsp_manager_start(&(uvcsp_manager_options){.address = address}));
    ck_assert_int_eq(errno, EINVAL);
    free(house_captured());
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
}

TEST(a_connection_in_the_own_program_and_its_end)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_manager *far = uvcsp_manager_connect(address, "k", 10);
    ck_assert_ptr_nonnull(far);
    uvcsp_proxy near = uvcsp_manager_value(m, json_integer(5)), seen = {far, near.id};
    json_t *v = NULL;
    ck_assert_int_eq(uvcsp_mvalue_get(seen, &v), 0);
    ck_assert_int_eq(json_integer_value(v), 5);
    json_decref(v);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    ck_assert_int_eq(uvcsp_mvalue_set(seen, json_null()), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_manager_stop(far), 0);
    ck_assert_int_eq(uvcsp_mvalue_set(seen, json_null()), UVCSP_RETIRED);
    free(house_captured());
}

PROCESS(finds_nobody, VAL(uvcsp_proxy, value))
{
    MUST_BE(uvcsp_mvalue_set(value, json_null()), UVCSP_RETIRED);
    MUST_BE(uvcsp_mvalue_set(value, json_null()), UVCSP_RETIRED);
}

TEST(processes_that_come_after_the_end_of_another_programs_manager_are_told_at_once)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_manager *far = uvcsp_manager_connect(address, "k", 10);
    uvcsp_proxy value = uvcsp_manager_value(far, json_integer(1));
    ck_assert_ptr_nonnull(value.manager);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    for (int i = 0; i < 50; i++) /* if each waited for a second, the time of the case would not do */
        ck_assert_int_eq(CO(finds_nobody(value)), 0);
    ck_assert_int_eq(PAR(finds_nobody(value)), 0);
    ck_assert_int_eq(uvcsp_mvalue_set(value, json_null()), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_manager_stop(far), 0);
    char *said = house_captured();
    ck_assert_str_eq(said, "");
    free(said);
}

/* A client that speaks the frames of a connection, and not the manager's language. */
PROCESS(counts, VAL(uvcsp_proxy, list)) { MUST_BE(uvcsp_mlist_append(list, json_null()), 0); }

TEST(processes_that_use_another_programs_manager_end_in_silence)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_manager *far = uvcsp_manager_connect(address, "k", 10);
    uvcsp_proxy list = uvcsp_manager_list(far, NULL);
    ck_assert_int_eq(CO(counts(list), counts(list)), 0);
    ck_assert_int_eq(PAR(counts(list), counts(list)), 0);
    ck_assert_int_eq(uvcsp_mlist_len(list), 4);
    ck_assert_int_eq(uvcsp_manager_stop(far), 0);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    char *said = house_captured();
    ck_assert_str_eq(said, "");
    free(said);
}

TEST(a_thousand_random_requests_harm_nobody)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    uvcsp_conn *conn = uvcsp_connect(address, "k", 10);
    ck_assert_ptr_nonnull(conn);
    srand(7);
    for (int i = 0; i < (house_valgrind() ? 50 : 1000); i++) {
        unsigned char bytes[64];
        size_t n = (size_t)rand() % sizeof bytes;
        for (size_t k = 0; k < n; k++)
            bytes[k] = (unsigned char)rand();
        if (i % 2 && n > 20) {
            /* almost a request: an operation of the list with arguments that are none */
            memcpy(bytes, "\1\0\0\0\0\0\0\0\6appenda\377\377\377\177", 20);
        }
        void *answer = NULL;
        size_t size = 0;
        ck_assert_int_eq(uvcsp_conn_send_bytes(conn, bytes, n), 0);
        ck_assert_int_eq(uvcsp_conn_recv_bytes(conn, &answer, &size), 0);
        int status;
        memcpy(&status, answer, sizeof status);
        ck_assert_int_ne(status, 0);
        free(answer);
    }
    ck_assert_int_eq(uvcsp_conn_close(conn), 0);
    ck_assert_int_eq(uvcsp_mlist_append(list, json_integer(1)), 0);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    free(house_captured());
}

/* Strangers at its door, who do not speak the frames of a connection either. */
TEST(a_thousand_connections_of_random_bytes_harm_nobody, .seconds = 60)
{
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    struct sockaddr_un path;
    ck_assert_int_eq(usp_address_path(address, &path), 0);
    int n = house_valgrind() ? 50 : 1000;
    srand(11);
    for (int i = 0; i < n; i++) {
        unsigned char bytes[200];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (unsigned char)rand();
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&path, sizeof path), 0);
        (void)!send(fd, bytes, (size_t)rand() % sizeof bytes, MSG_NOSIGNAL);
        ck_assert_int_eq(uvcsp_mlist_append(list, json_integer(i)), 0);
        close(fd);
    }
    uvcsp_manager *far = uvcsp_manager_connect(address, "k", 10);
    ck_assert_ptr_nonnull(far);
    ck_assert_int_eq(uvcsp_mlist_len((uvcsp_proxy){far, list.id}), n);
    ck_assert_int_eq(uvcsp_manager_stop(far), 0);
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    free(house_captured());
}

TEST(frames_with_a_false_length_end_their_connection_alone)
{
    static const struct {
        const char *magic;
        uint32_t length;
        size_t size;
        bool answered;
    } table[] = {{"uCSP", 0, 0, true},           {"uCSP", 6, 6, true},           {"uCSP", 7, 6, false},
                 {"uCSP", UINT32_MAX, 6, false}, {"uCSP", 200 << 20, 6, false}, {"uCSp", 6, 6, false}};
    house_capture(2);
    uvcsp_manager *m = uvcsp_manager_start(&(uvcsp_manager_options){.address = address, .key = "k"});
    uvcsp_proxy list = uvcsp_manager_list(m, NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uvcsp_conn *conn = uvcsp_connect(address, "k", 10);
        ck_assert_ptr_nonnull(conn);
        char frame[14] = {0};
        uint32_t length = htonl(table[i].length);
        memcpy(frame, table[i].magic, 4);
        memcpy(frame + 4, &length, 4);
        int fd = uvcsp_conn_fileno(conn);
        ck_assert_int_eq(send(fd, frame, 8 + table[i].size, MSG_NOSIGNAL), 8 + (ssize_t)table[i].size);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        void *answer = NULL;
        size_t size = 0;
        int rc = uvcsp_conn_recv_bytes(conn, &answer, &size);
        ck_assert_msg((rc == 0) == table[i].answered, "row %zu: %s", i, uvcsp_status_name(rc));
        int status = 0;
        if (rc == 0)
            memcpy(&status, answer, sizeof status);
        ck_assert_int_eq(status, rc == 0 ? -EINVAL : 0);
        free(answer);
        ck_assert_int_eq(uvcsp_conn_close(conn), 0);
        ck_assert_int_eq(uvcsp_mlist_append(list, json_integer(1)), 0);
    }
    ck_assert_int_eq(uvcsp_manager_stop(m), 0);
    free(house_captured());
}

SUITE("manager_remote", .before = start, .after = uvcsp_shutdown)
