/* What the tests of sockets have in common: a directory of their own, connections that were made,
   and two processes that talk over one. */
#ifndef TESTS_IPC_SOCKETS_H
#define TESTS_IPC_SOCKETS_H

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

#define KEY "a key of the tests"

static char directory[60];

static inline int before(void)
{
    strcpy(directory, "/tmp/uvcsp-test-XXXXXX");
    MUST(mkdtemp(directory));
    setenv("XDG_RUNTIME_DIR", directory, 1);
    return default_signals();
}

static inline int n_files(const char *path)
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
static inline int after(void)
{
    int rc = uvcsp_shutdown();
    char path[100];
    snprintf(path, sizeof path, "%s/uvcsp", directory);
    rc |= n_files(path);
    rmdir(path);
    return rc | rmdir(directory);
}

static inline void send_int(uvcsp_conn *conn, int n)
{
    MUST_BE(uvcsp_conn_send_new(conn, json_integer(n)), UVCSP_OK);
}

static inline int recv_int(uvcsp_conn *conn)
{
    json_t *value = NULL;
    MUST_BE(uvcsp_conn_recv(conn, &value), UVCSP_OK);
    int n = (int)json_integer_value(value);
    json_decref(value);
    return n;
}

static inline int recv_status(uvcsp_conn *conn)
{
    json_t *value = NULL;
    int rc = uvcsp_conn_recv(conn, &value);
    json_decref(value);
    return rc;
}

static inline uvcsp_listener *listen_at(const char *address)
{
    uvcsp_listener *listener = uvcsp_listen(address, KEY);
    MUST(listener);
    return listener;
}

static inline uvcsp_conn *accept_one(uvcsp_listener *listener)
{
    uvcsp_conn *conn = uvcsp_accept(listener, 20);
    MUST(conn);
    return conn;
}

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

#endif
