/* The calling side. A process has one connection to each manager that it uses, made by its first call: to a manager of this program
   a line (manager_line.c), whose other ends it sends to the server; to one of another program a socket.

   A connection is found by the serial number of its process, in a table of this worker. It ends with its process by itself, since its ends (its
   socket) do; what is deferred only gives the record back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/conn.h"
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
    struct usp_line line; /* a connection to another program uses its packet */
    uvcsp_conn *conn;
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
            usp_packet_free(&client->line.packet); /* the cell is the parent's */
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
    usp_line_deinit(&client->line);
    free(client);
}

static bool is_of(const struct usp_client *client, const uvcsp_manager *manager, const struct usp_process *process)
{
    return client->serial == process->serial && client->process == process && client->task == usp_current()->task &&
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

static int make_pair(struct ends *ends, const char *name, enum usp_side near, size_t size, enum uvcsp_type type,
                     int capacity)
{
    void *channel = uvcsp_channel_new(
        size, type,
        (uvcsp_channel_options){.name = name, .capacity = capacity, .carrier = UVCSP_SHARED, .site_ = "manager"});
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

#define ENDS 4 /* requests, answers; the same for what is long */

/* Sends the far ends by way of a channel of their own, whose reading end is what the server gets first. */
static int introduce(uvcsp_manager *manager, const struct ends *ends)
{
    UVCSP_CHAN(uvcsp_end) handover = UVCSP_CHANNEL(uvcsp_end, .capacity = ENDS, .name = "handover");
    if (!handover)
        return -ENOMEM;
    UVCSP_IN_END(uvcsp_end) in = UVCSP_IN_OF(handover);
    UVCSP_OUT_END(uvcsp_end) out = UVCSP_OUT_OF(handover);
    UVCSP_OUT_END(uvcsp_end) join = uvcsp_out_of(manager->join);
    uvcsp_channel_free(handover);
    int rc = in && out && join ? 0 : -ENOMEM;
    for (int i = 0; i < ENDS && rc == 0; i++) {
        uvcsp_end end = UVCSP_MOBILE(ends[i].far);
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
    release((struct usp_end *)(void *)in); /* what has been moved stays behind, retired */
    release((struct usp_end *)(void *)out);
    release((struct usp_end *)(void *)join);
    return rc;
}

static int join(struct usp_client *client)
{
    struct ends ends[ENDS] = {{NULL, NULL}};
    const char *name = usp_current()->task->name;
    int rc = 0;
    for (int i = 0; i < ENDS && rc == 0; i++)
        rc = make_pair(&ends[i], name, i % 2 ? USP_READER : USP_WRITER,
                       i < 2 ? sizeof(struct usp_cell) : sizeof(uvcsp_bytes), i < 2 ? UVCSP_TYPE_PLAIN : UVCSP_TYPE_BYTES, i == 1);
    if (rc == 0)
        rc = introduce(client->manager, ends);
    for (int i = 0; i < ENDS; i++) {
        release(ends[i].far);
        if (rc)
            release(ends[i].near);
    }
    if (rc)
        return rc;
    client->line.out = ends[0].near;
    client->line.in = ends[1].near;
    client->line.long_out = ends[2].near;
    client->line.long_in = ends[3].near;
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

/* One of this process's whose manager has ended. */
static struct usp_client *idle_client(const struct usp_process *process)
{
    struct usp_client *client = find(NULL, process);
    return client && usp_line_init(&client->line) == 0 ? client : NULL;
}

/* A record without a connection. It can be found from now on, and goes with its process, whenever that is ended. */
static struct usp_client *new_client(uvcsp_manager *manager)
{
    struct usp_process *process = usp_process_current();
    struct usp_client *client = idle_client(process);
    if (client) {
        client->manager = manager;
        return client;
    }
    client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    *client = (struct usp_client){
        .process = process, .serial = process->serial, .task = usp_current()->task, .manager = manager};
    if ((manager->join && usp_line_init(&client->line) != 0) || usp_defer_always(forget, client) != 0) {
        usp_line_deinit(&client->line);
        free(client);
        return NULL;
    }
    client->next = *bucket_of(client->serial);
    *bucket_of(client->serial) = last = client;
    return client;
}

static int connect_to(struct usp_client *client)
{
    uvcsp_manager *manager = client->manager;
    int rc;
    if (manager->stopped) {
        rc = UVCSP_RETIRED;
    } else if (manager->join) {
        rc = join(client);
    } else {
        client->conn = usp_connect_again(manager->address, manager->key, PATIENCE);
        bool nobody = errno == ETIMEDOUT || errno == ENOENT || errno == ECONNREFUSED;
        rc = client->conn ? 0 : nobody ? UVCSP_RETIRED : -errno;
    }
    return rc ? gone(manager, rc, manager->join ? manager->join->cause : NULL) : 0;
}

int usp_client_adopt(uvcsp_manager *manager, uvcsp_conn *conn)
{
    struct usp_client *client = new_client(manager);
    if (!client)
        return -ENOMEM;
    client->conn = conn;
    return 0;
}

static void disconnect(struct usp_client *client)
{
    struct usp_line *line = &client->line;
    void **ends[] = {&line->in, &line->out, &line->long_in, &line->long_out};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        release(*ends[i]);
        *ends[i] = NULL;
    }
    if (client->conn)
        (void)uvcsp_conn_close(client->conn);
    client->conn = NULL;
}

/* Whoever calls again is told that it was stopped. Ends are their process's to release: those of others stay until it calls, or ends. */
void usp_client_drop(uvcsp_manager *manager)
{
    const struct usp_process *process = usp_process_current();
    for (size_t i = 0; i < BUCKETS && table_of == usp_worker_index(); i++)
        for (struct usp_client *client = table[i]; client; client = client->next)
            if (client->manager == manager && (client->conn || client->process == process)) {
                disconnect(client);
                client->manager = NULL;
            }
}

/* ---- calling ---- */

struct usp_client *usp_client_of(uvcsp_manager *manager)
{
    struct usp_process *process = usp_process_current();
    if (!process || !usp_current()->task)
        usp_fatal("a call of a manager in a callback of the loop, which must not wait");
    struct usp_client *client = find(manager, process);
    return client ? client : new_client(manager);
}

struct usp_packet *usp_client_request(struct usp_client *client)
{
    usp_packet_reset(&client->line.packet);
    return &client->line.packet;
}

static int call_over_socket(struct usp_client *client, uvcsp_bytes *answerp)
{
    const struct usp_packet *request = &client->line.packet;
    int rc = (uvcsp_conn_send_bytes)(client->conn, request->data, request->size);
    if (rc == 0)
        rc = (uvcsp_conn_recv_bytes)(client->conn, &answerp->data, &answerp->size);
    if (rc == -ECONNRESET)
        return gone(client->manager, UVCSP_POISONED, "the connection broke");
    return rc ? gone(client->manager, rc, NULL) : 0;
}

int usp_client_call(struct usp_client *client, uvcsp_bytes *answerp)
{
    struct usp_line *line = &client->line;
    int rc = line->out || client->conn ? 0 : connect_to(client);
    if (rc)
        return rc;
    if (client->conn)
        return call_over_socket(client, answerp);
    rc = usp_line_send(line, false);
    const void *broken = rc ? line->out : line->in;
    if (rc == 0) {
        usp_line_look(line, atomic_load_explicit(&client->manager->processor, memory_order_relaxed));
        rc = usp_line_receive(line, answerp);
    }
    if (rc == 0)
        return 0;
    rc = gone(client->manager, rc, uvcsp_cause((void *)(uintptr_t)broken));
    disconnect(client);
    return rc;
}

void usp_client_taken(struct usp_client *client, uvcsp_bytes *answer)
{
    usp_line_taken(&client->line, answer);
}
