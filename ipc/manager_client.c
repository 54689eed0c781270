/* The calling side. A process has one connection to each manager that it uses, made by its first call: to a manager of this program
   two channels, for requests and answers, whose other ends it sends to the server; to one of another program a socket.

   A connection is found by the serial number of its process, in a table of this worker. It ends with its process by itself, since its ends (its
   socket) do; what is deferred only gives the record back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"
#include "process/process.h"
#include "runtime/arena.h"
#include "runtime/report.h"

struct usp_client {
    struct usp_client *next;
    const struct usp_process *process;
    unsigned long serial;
    const struct usp_task *task;
    uvcsp_manager *manager;
    UVCSP_OUT_END(uvcsp_bytes) out;
    UVCSP_IN_END(uvcsp_bytes) in;
    uvcsp_conn *conn;
    struct usp_packet request; /* the process may wait while it is sent, and others make theirs */
};

#define PATIENCE 1.0 /* seconds, for another program to answer */

#define BUCKETS 256
static struct usp_client *table[BUCKETS];
static struct usp_client *last;
static unsigned table_of; /* the worker whose table it is; a child inherits its parent's */

static struct usp_client **bucket_of(unsigned long serial)
{
    return &table[serial % BUCKETS];
}

static void drop_inherited(void)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (table[i]) {
            struct usp_client *client = table[i];
            table[i] = client->next;
            usp_packet_free(&client->request);
            free(client);
        }
    last = NULL;
    table_of = usp_worker_index();
}

static void forget(void *arg)
{
    struct usp_client *client = arg;
    for (struct usp_client **at = bucket_of(client->serial); *at; at = &(*at)->next)
        if (*at == client) {
            *at = client->next;
            break;
        }
    if (last == client)
        last = NULL;
    if (client->conn)
        (void)uvcsp_conn_close(client->conn);
    usp_packet_free(&client->request);
    free(client);
}

static bool is_of(const struct usp_client *client, const uvcsp_manager *manager, const struct usp_process *process)
{
    return client->serial == process->serial && client->process == process && client->task == process->task &&
           client->manager == manager;
}

static struct usp_client *find(const uvcsp_manager *manager, const struct usp_process *process)
{
    if (table_of != usp_worker_index())
        drop_inherited();
    if (last && is_of(last, manager, process))
        return last;
    for (struct usp_client *client = *bucket_of(process->serial); client; client = client->next)
        if (is_of(client, manager, process))
            return last = client;
    return NULL;
}

/* ---- connecting ---- */

struct ends {
    struct usp_end *near, *far;
};

static int make_pair(struct ends *ends, const char *name, enum usp_side near)
{
    void *channel = uvcsp_channel_new(
        sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES,
        (uvcsp_channel_options){.name = name, .carrier = UVCSP_SHARED, .site_ = "manager"});
    if (!channel)
        return -ENOMEM;
    ends->near = near == USP_READER ? uvcsp_in_of(channel) : uvcsp_out_of(channel);
    ends->far = near == USP_READER ? uvcsp_out_of(channel) : uvcsp_in_of(channel);
    uvcsp_channel_free(channel);
    return ends->near && ends->far ? 0 : -ENOMEM;
}

static void release(struct usp_end *end)
{
    if (end)
        usp_end_release(end, USP_LEAVE_RETIRE, NULL);
}

/* Sends both far ends by way of a channel of their own, whose reading end is what the server gets first. */
static int introduce(uvcsp_manager *manager, struct usp_end *request, struct usp_end *answer)
{
    UVCSP_CHAN(uvcsp_end) handover = UVCSP_CHANNEL(uvcsp_end, .capacity = 2, .name = "handover");
    if (!handover)
        return -ENOMEM;
    UVCSP_IN_END(uvcsp_end) in = UVCSP_IN_OF(handover);
    UVCSP_OUT_END(uvcsp_end) out = UVCSP_OUT_OF(handover);
    UVCSP_OUT_END(uvcsp_end) join = uvcsp_out_of(manager->join);
    uvcsp_channel_free(handover);
    int rc = in && out && join ? 0 : -ENOMEM;
    struct usp_end *ends[] = {request, answer};
    for (int i = 0; i < 2 && rc == 0; i++) {
        uvcsp_end end = UVCSP_MOBILE(ends[i]);
        rc = uvcsp_write(out, &end);
        if (rc)
            release(end.end_);
    }
    if (rc == 0) {
        uvcsp_end end = UVCSP_MOBILE(in);
        rc = uvcsp_write(join, &end);
        if (rc)
            release(end.end_);
    }
    release((struct usp_end *)(void *)out);
    release((struct usp_end *)(void *)join);
    return rc;
}

static int join(struct usp_client *client)
{
    struct ends request = {NULL, NULL}, answer = {NULL, NULL};
    const char *name = usp_current()->task->name;
    int rc = make_pair(&request, name, USP_WRITER);
    if (rc == 0)
        rc = make_pair(&answer, name, USP_READER);
    if (rc == 0)
        rc = introduce(client->manager, request.far, answer.far);
    if (rc) {
        release(request.near);
        release(answer.near);
        return rc;
    }
    client->out = (void *)request.near;
    client->in = (void *)answer.near;
    return 0;
}

/* What a manager that is gone says: that it was stopped, or how it died. */
static int gone(const uvcsp_manager *manager, int status, const char *cause)
{
    if (status != UVCSP_RETIRED && status != UVCSP_POISONED)
        return usp_call_failed(status, "%s", uvcsp_status_name(status));
    if (manager->stopped || (!cause && status == UVCSP_RETIRED))
        return usp_call_failed(UVCSP_RETIRED, "the manager has ended");
    return usp_call_failed(UVCSP_POISONED, "the manager is gone: %s", cause ? cause : "its connection is poisoned");
}

static struct usp_client *new_client(uvcsp_manager *manager)
{
    struct usp_process *process = usp_process_current();
    if (!process || !usp_current()->task)
        usp_fatal("a call of a manager in a callback of the loop, which must not wait");
    struct usp_client *client = calloc(1, sizeof *client);
    if (client)
        *client = (struct usp_client){
            .process = process, .serial = process->serial, .task = process->task, .manager = manager};
    return client;
}

/* It can be found from now on, and goes with its process. */
static int keep(struct usp_client *client)
{
    if (table_of != usp_worker_index())
        drop_inherited();
    int rc = usp_defer_always(forget, client);
    if (rc)
        return rc;
    client->next = *bucket_of(client->serial);
    *bucket_of(client->serial) = last = client;
    return 0;
}

static struct usp_client *connect_to(uvcsp_manager *manager, int *rcp)
{
    struct usp_client *client = new_client(manager);
    if (!client) {
        *rcp = usp_call_failed(-ENOMEM, "no memory");
        return NULL;
    }
    if (manager->stopped) {
        *rcp = UVCSP_RETIRED;
    } else if (manager->join) {
        *rcp = join(client);
    } else {
        client->conn = uvcsp_connect(manager->address, manager->key, PATIENCE);
        *rcp = client->conn ? 0 : errno == ETIMEDOUT ? UVCSP_RETIRED : -errno;
    }
    if (*rcp == 0)
        *rcp = keep(client);
    if (*rcp == 0)
        return client;
    *rcp = gone(manager, *rcp, manager->join ? manager->join->cause : NULL);
    if (client->conn)
        (void)uvcsp_conn_close(client->conn);
    free(client);
    return NULL;
}

int usp_client_adopt(uvcsp_manager *manager, uvcsp_conn *conn)
{
    struct usp_client *client = new_client(manager);
    if (!client)
        return -ENOMEM;
    client->conn = conn;
    int rc = keep(client);
    if (rc)
        free(client);
    return rc;
}

/* They are not to be found any more; what they have goes with their processes. */
void usp_client_drop(uvcsp_manager *manager)
{
    for (size_t i = 0; i < BUCKETS && table_of == usp_worker_index(); i++)
        for (struct usp_client *client = table[i]; client; client = client->next)
            if (client->manager == manager && client->conn) {
                (void)uvcsp_conn_close(client->conn);
                client->conn = NULL;
            }
}

/* ---- calling ---- */

struct usp_client *usp_client_of(uvcsp_manager *manager, int *rcp)
{
    struct usp_process *process = usp_process_current();
    struct usp_client *client = process ? find(manager, process) : NULL;
    return client ? client : connect_to(manager, rcp);
}

struct usp_packet *usp_client_request(struct usp_client *client)
{
    struct usp_packet *request = &client->request;
    request->size = 0;
    request->error = 0;
    if (request->room > 1 << 20)
        usp_packet_free(request);
    return request;
}

static int call_over_socket(struct usp_client *client, const uvcsp_bytes *request, uvcsp_bytes *answerp)
{
    int rc = uvcsp_conn_send_bytes(client->conn, request->data, request->size);
    if (rc == 0)
        rc = uvcsp_conn_recv_bytes(client->conn, &answerp->data, &answerp->size);
    if (rc == -ECONNRESET)
        return gone(client->manager, UVCSP_POISONED, "the connection broke");
    return rc ? gone(client->manager, rc, NULL) : 0;
}

int usp_client_call(struct usp_client *client, uvcsp_bytes *answerp)
{
    uvcsp_bytes request = {client->request.data, client->request.size};
    if (!client->out && !client->conn)
        return gone(client->manager, UVCSP_RETIRED, NULL);
    if (client->conn)
        return call_over_socket(client, &request, answerp);
    int rc = uvcsp_write(client->out, &request);
    if (rc)
        return gone(client->manager, rc, uvcsp_cause(client->out));
    rc = uvcsp_read(client->in, answerp);
    return rc ? gone(client->manager, rc, uvcsp_cause(client->in)) : 0;
}
