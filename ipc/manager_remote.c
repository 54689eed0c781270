/* Other programs. In the server a light process listens at the manager's address, and one for each client serves it, as
   manager_server.c does for processes of the own program. They end when the end that `stop` has, the server's own, retires. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/conn.h"
#include "ipc/manager.h"
#include "runtime/arena.h"
#include "runtime/report.h"

/* ---- in the server ---- */

static void serve_remote(struct usp_server *server, uvcsp_conn *conn, UVCSP_IN_END(char) stop)
{
    struct usp_session *session = server->closing ? NULL : usp_session_new(server, "another program's");
    if (!session)
        return;
    session->conn = conn;
    session->stop = stop;
    int rc = 0;
    char nothing;
    uvcsp_guard guards[] = {UVCSP_ON_CONN(conn), UVCSP_ON_READ(stop, &nothing)};
    while (rc == 0 && uvcsp_alt_at(guards, 2, UVCSP_PRI, "manager") == 0) {
        uvcsp_bytes request = {NULL, 0};
        rc = (uvcsp_conn_recv_bytes)(conn, &request.data, &request.size);
        if (rc == 0)
            rc = usp_serve(session, request.data, request.size);
        free(request.data);
        if (rc == 0)
            rc = (uvcsp_conn_send_bytes)(conn, session->line.packet.data, session->line.packet.size);
        if (rc == 0)
            usp_session_taken(session);
    }
    usp_session_end(session, NULL);
}

UVCSP_PROCESS(manager_remote, VAL(uvcsp_conn *, conn), IN(char, stop), VAL(struct usp_server *, server))
{
    serve_remote(server, conn, stop);
    usp_server_unref(server);
}

static void accept_all(struct usp_server *server, UVCSP_IN_END(char) stop)
{
    char nothing;
    uvcsp_guard guards[] = {UVCSP_ON_CLIENT(server->listener), UVCSP_ON_READ(stop, &nothing)};
    while (uvcsp_alt_at(guards, 2, UVCSP_PRI, "manager") == 0) {
        uvcsp_conn *conn = uvcsp_accept(server->listener, 0);
        if (!conn)
            continue;
        server->refs++;
        uvcsp_handle *handle = uvcsp_go(manager_remote(conn, stop, server));
        if (!handle) {
            usp_server_unref(server);
            (void)uvcsp_conn_close(conn);
        }
        uvcsp_handle_free(handle);
    }
}

/* The listener is its own, and goes with it. */
UVCSP_PROCESS(manager_listener, IN(char, stop), OUT(int, ready), VAL(struct usp_server *, server))
{
    server->listener = uvcsp_listen(server->address, server->key);
    int rc = server->listener ? 0 : errno ? -errno : -EINVAL;
    (void)uvcsp_write(ready, &rc);
    if (rc == 0) {
        accept_all(server, stop);
        uvcsp_listener_close(server->listener);
    }
    usp_server_unref(server);
}

int usp_remote_listen(struct usp_server *server)
{
    UVCSP_CHAN(char) stop = UVCSP_CHANNEL(char, .name = "stop");
    UVCSP_CHAN(int) ready = UVCSP_CHANNEL(int, .name = "ready");
    UVCSP_IN_END(int) in = ready ? UVCSP_IN_OF(ready) : NULL;
    server->stop = stop ? UVCSP_OUT_OF(stop) : NULL;
    server->refs++;
    uvcsp_handle *handle = server->stop && in ? uvcsp_go(manager_listener(stop, ready, server)) : NULL;
    int rc = -ENOMEM;
    if (!handle)
        server->refs--;
    else if (uvcsp_read(in, &rc) != UVCSP_OK)
        rc = -ECHILD;
    uvcsp_handle_free(handle);
    uvcsp_channel_free(stop);
    uvcsp_channel_free(ready);
    return rc;
}

/* A client that has sent half a request would keep its session for ever. */
void usp_remote_stop(struct usp_server *server)
{
    if (!server->stop)
        return;
    (void)uvcsp_retire(server->stop);
    for (struct usp_session *session = server->sessions; session; session = session->next)
        if (session->conn)
            (void)shutdown(uvcsp_conn_fileno(session->conn), SHUT_RDWR);
}

/* ---- in the other program ---- */

/* Any worker may use it later. */
static char *common_text(const char *text)
{
    char *copy = usp_arena_alloc(strlen(text) + 1, USP_BLOCK_TEXT);
    if (!copy)
        return NULL;
    usp_arena_set_owner(copy, USP_NOBODY);
    return strcpy(copy, text);
}

uvcsp_manager *uvcsp_manager_connect(const char *address, const char *key, double timeout)
{
    USP_ENTER();
    if (!usp_key_is_good(key, "uvcsp_manager_connect") || !usp_timeout_is_good(timeout, "uvcsp_manager_connect")) {
        errno = EINVAL;
        return NULL;
    }
    uvcsp_conn *conn = uvcsp_connect(address, key, timeout);
    if (!conn)
        return NULL;
    uvcsp_manager *manager = usp_manager_new();
    if (manager) {
        manager->address = common_text(address);
        manager->key = common_text(key);
    }
    if (!manager || !manager->address || !manager->key || usp_client_adopt(manager, conn) != 0) {
        (void)uvcsp_conn_close(conn);
        if (manager) {
            usp_arena_free(manager->address);
            usp_arena_free(manager->key);
            usp_arena_free(manager);
        }
        usp_report("uvcsp_manager_connect: no memory");
        errno = ENOMEM;
        return NULL;
    }
    return manager;
}
