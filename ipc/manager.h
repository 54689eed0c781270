/* The manager, inside.

   manager.c         the face: starting, stopping, making objects, calls
   manager_client.c  the calling side of a connection; one for each process and manager
   manager_line.c    a connection within the program
   manager_server.c  the server: its processes, one request after the other
   manager_object.c  its table of objects
   manager_wait.c    operations that wait
   manager_remote.c  other programs
   manager_own.c     types, update functions and tasks of the program; uvcsp_proxy_update
   manager_list.c, _array.c, _dict.c, _set.c, _queue.c, _sync.c, _event.c, _pool.c (with _job.c)   the types

   A request is the id of an object (8 bytes), the name of the operation with its length before it (1 byte), and an array of
   arguments; an answer is a status (4 bytes) and a value: the result, or the words of the error. Object 0 is the manager
   itself: create, free, publish, find.

   The server is one worker, so its light processes, one for each connected process, share its memory; an operation does
   not wait but in usp_wait_in(), and so runs whole. */
#ifndef USP_IPC_MANAGER_H
#define USP_IPC_MANAGER_H

#include <uvcsp/manager.h>
#include <uvcsp/pipe.h>

#include "channels/channel.h"
#include "channels/value.h"

_Static_assert(UVCSP_MANAGER_DEPTH == USP_VALUE_DEPTH, "this is what values may be nested");

/* ---- manager.c ---- */

#define USP_MANAGER_MAGIC 0x67616e6du

/* In the arena, for as long as the program lives. */
struct uvcsp_manager {
    uint32_t magic;
    bool stopped;
    int starter;                /* pid of the worker that started it; the handle belongs there */
    int pid;                    /* of the server; 0: another program's */
    _Atomic int processor;      /* on which the server has run lately */
    uint64_t token;             /* tells its proxies from those of other managers */
    struct usp_channel *join;   /* carries a mobile end from each process that connects; NULL: another program's */
    struct usp_end *keeper;     /* writing end of `join` of who started it: it ends with that process */
    uvcsp_handle *handle;
    char *address, *key;        /* of another program's */
};

/* The manager behind a pointer; NULL with a line on stderr. */
uvcsp_manager *usp_manager_of(uvcsp_manager *manager, const char *what);
uvcsp_manager *usp_manager_new(void);
/* Sets what uvcsp_call_error() says; returns `status`. */
__attribute__((format(printf, 2, 3))) int usp_call_failed(int status, const char *format, ...);

/* ---- manager_line.c ---- */

struct usp_cell {
    uint32_t size; /* USP_LONG: what it is about follows on the other channel */
    char bytes[124];
};
#define USP_LONG UINT32_MAX

struct usp_line {
    void *in, *out;           /* ends of struct usp_cell; NULL: there is no connection */
    void *long_in, *long_out; /* ends of uvcsp_bytes */
    struct usp_cell *cell;    /* to write from and to read into, by turns; this worker's, in the arena */
    struct usp_packet packet; /* what is to be sent: in the cell, or in memory of its own */
    unsigned skip, penalty;   /* of looking */
    bool never_looks;
};

/* The cell, if there is none. 0 or -ENOMEM. */
int usp_line_init(struct usp_line *line);
/* The ends go with their process. */
void usp_line_deinit(struct usp_line *line);
/* Sends the packet; receives what the other side has sent. Give it back with usp_line_taken(), before the next packet is made. As
   uvcsp_write(), uvcsp_read(). `is_handed_over`: the other side has it when this answers 0. */
int usp_line_send(struct usp_line *line, bool is_handed_over);
/* Looks for what is about to come from that processor, before it is received. */
void usp_line_look(struct usp_line *line, int processor);
int usp_line_receive(struct usp_line *line, uvcsp_bytes *bytes);
void usp_line_taken(struct usp_line *line, uvcsp_bytes *bytes);

/* ---- manager_client.c ---- */

/* What the calling process has for the manager; its first call connects it. NULL: no memory. */
struct usp_client *usp_client_of(uvcsp_manager *manager);
/* Makes a connection that is there the calling process's. 0 or -ENOMEM. */
int usp_client_adopt(uvcsp_manager *manager, uvcsp_conn *conn);
/* Ends this worker's connections to it. */
void usp_client_drop(uvcsp_manager *manager);
/* Its buffer for a request, empty. */
struct usp_packet *usp_client_request(struct usp_client *client);
/* Sends the request and waits for the answer, to be given back. A process may be ended while it waits: nothing else may be in hand. 0, UVCSP_RETIRED, UVCSP_POISONED, -errno; uvcsp_call_error() is set. */
int usp_client_call(struct usp_client *client, uvcsp_bytes *answerp);
void usp_client_taken(struct usp_client *client, uvcsp_bytes *answer);

/* ---- manager_server.c ---- */

struct usp_session;
struct usp_object;

struct usp_request {
    struct usp_session *session;
    json_t **argv;        /* NULL: */
    json_t *args;         /* ... they are in an array; see usp_args() */
    size_t n;
    json_t *own;          /* what usp_args() has made */
    json_t *result;       /* NULL: null */
    char words[240];      /* of an error, or beside UVCSP_OWNER_DIED */
};

typedef int usp_op_fn(struct usp_object *object, struct usp_request *request);

struct usp_op {
    const char *name;
    usp_op_fn *run;
    size_t least, most; /* arguments */
};

struct usp_object_type {
    const char *name;
    size_t size;                                      /* of the whole object */
    usp_op_fn *create;                                /* 0, or an error, and then `destroy` is not called */
    void (*destroy)(struct usp_object *object);       /* its state; who waits has been told. NULL: the value only */
    void (*left)(struct usp_object *object, struct usp_session *session, bool died, const char *cause);
    const struct usp_op *ops;                         /* a name NULL ends them */
    void (*freed)(struct usp_object *object);         /* at once; `destroy` comes when no operation is at it any more. NULL: nothing */
};

struct usp_object {
    uint64_t id;
    const struct usp_object_type *type;
    struct usp_server *server;
    json_t *value;              /* of list, array, dict, namespace, value */
    struct usp_object *next_watching, *prev_watching; /* those whose type wants to know who has left */
    struct usp_waiter *waiters; /* all that wait for something of it */
    unsigned pins;              /* operations that have not yet left it */
    bool freed;
};

/* A place in the table of objects. It is used again, and the object in it has another id each time: the number of the
   place, and above it how often it was used. So a proxy of a freed object finds nothing. */
struct usp_place {
    struct usp_object *object; /* NULL: free */
    uint32_t used, next;       /* the next free place; 0: none */
};

struct usp_server {
    unsigned refs;              /* its processes */
    bool closing;
    uvcsp_manager *manager;
    struct usp_place *places;   /* the first is the manager itself */
    uint32_t n_places, room, free_place;
    struct usp_object *watching;
    struct usp_session *sessions;
    struct usp_keeper *keepers; /* of pools */
    json_t *published;          /* name: id */
    char *name, *address, *key;
    uvcsp_listener *listener;
    void *stop;                 /* writing end of char: what listens, and serves other programs, ends with it */
};

struct usp_session {
    struct usp_server *server;
    struct usp_session *next, *prev;
    struct usp_line line;
    uvcsp_conn *conn;           /* instead of a line */
    void *wake_in, *wake_out;   /* ends of char, made when it first waits */
    char who[80];
    json_t *item;               /* of a queue, in an answer that has not been taken yet */
    uint64_t item_of;
    void *stop;                 /* a connection's: reading end, retired when the server ends */
};

__attribute__((format(printf, 3, 4))) int usp_fail(struct usp_request *request, int status,
                                                   const char *format, ...);
/* Arguments by number; the last four fail with UVCSP_TYPE_ERROR. */
static inline json_t *usp_arg(const struct usp_request *request, size_t i)
{
    return i >= request->n ? NULL : request->argv ? request->argv[i] : json_array_get(request->args, i);
}
/* All of them; NULL: no memory. The request's. */
json_t *usp_args(struct usp_request *request);
int usp_arg_integer(struct usp_request *request, size_t i, json_int_t *valuep);
int usp_arg_string(struct usp_request *request, size_t i, const char **textp);
int usp_arg_array(struct usp_request *request, size_t i);
int usp_arg_timeout(struct usp_request *request, size_t i, double *secondsp); /* may be missing: for ever */
/* Sets the result; takes the reference over. -ENOMEM for NULL. */
int usp_give(struct usp_request *request, json_t *result);

/* "copy" and "str" of an object with a value. */
int usp_op_copy(struct usp_object *object, struct usp_request *request);
int usp_op_str(struct usp_object *object, struct usp_request *request);

/* ---- manager_object.c ---- */

bool usp_is_built_in(const char *type);
/* NULL: there never was one, or it was freed. */
struct usp_object *usp_object_of(const struct usp_server *server, uint64_t id);
/* Gives it a number, by which it can be found from now on. 0 or -ENOMEM. */
int usp_object_add(struct usp_server *server, struct usp_object *object);
/* It is not found any more, and who waits for it is told. Operations that wait still look at it; the last of them deletes it. */
void usp_object_free(struct usp_object *object);
void usp_object_delete(struct usp_object *object);
/* The manager's own operations. */
int usp_manager_run(struct usp_server *server, const char *op, struct usp_request *request);

/* ---- manager_server.c, again ---- */

struct usp_server *usp_server_new(uvcsp_manager *manager, const uvcsp_manager_options *options);
/* Starts it and waits until it can be used. 0 or -errno; the reference is taken over. */
int usp_server_start(struct usp_server *server);
void usp_server_unref(struct usp_server *server);

/* Serves one request of a session: the answer goes to the packet of session->line. USP_CLIENT_GONE: it is nobody's any more. */
int usp_serve(struct usp_session *session, const void *data, size_t size);
#define USP_CLIENT_GONE (-2999)

struct usp_session *usp_session_new(struct usp_server *server, const char *who);
/* Its client has taken the answer. */
void usp_session_taken(struct usp_session *session);
/* The session's process ends: its locks are released. `cause`: how its client has died; NULL: it has ended. */
void usp_session_end(struct usp_session *session, const char *cause);

/* ---- manager_wait.c ---- */

struct usp_waiter {
    struct usp_session *session;
    struct usp_object *object;
    struct usp_waiter *next, *prev; /* in the object's list, in the order in which they came */
    int what;                   /* for what, where an object has more than one thing to wait for */
    bool queued;
    bool granted, freed;        /* by whoever took it out of the list */
    bool broken;
    long number;                /* beside the grant */
    json_t *item;
    struct uvcsp_handle *event; /* grants it as well, by being set; NULL: none does */
};

/* The session's channel of wake-ups. 0 or -ENOMEM. */
int usp_session_waker(struct usp_session *session);
/* Waits at the object. 0: granted. UVCSP_TIMEOUT, UVCSP_WOULD_BLOCK; UVCSP_NO_SUCH_OBJECT; USP_CLIENT_GONE, with `granted` set if what was
   granted meanwhile has to be given back. */
int usp_wait_in(struct usp_object *object, struct usp_request *request, int what, double seconds,
                struct usp_waiter *waiter);
/* The first that waits for `what`; NULL. */
struct usp_waiter *usp_first_waiter(struct usp_object *object, int what);
size_t usp_count_waiters(const struct usp_object *object, int what);
/* Takes it out of the list and lets it run. */
void usp_grant(struct usp_waiter *waiter);
/* All of them, because the object is freed. */
void usp_object_drop_waiters(struct usp_object *object);

/* ---- manager_remote.c ---- */

/* Listens at the server's address, in the server. 0 or -errno with a line on stderr. */
int usp_remote_listen(struct usp_server *server);
/* Ends what listens. */
void usp_remote_stop(struct usp_server *server);

/* ---- manager_own.c ---- */

int usp_op_update(struct usp_request *request, const json_t *old, const char *how, const json_t *arg,
                  json_t **newp, json_t **resultp);
const struct uvcsp_manager_type *usp_own_type(const char *name);
extern const struct usp_object_type usp_type_own;
int usp_own_create(struct usp_object *object, const struct uvcsp_manager_type *type, struct usp_request *request);
int usp_own_run(struct usp_object *object, const char *op, struct usp_request *request);

/* Tasks for pools: the number of one by its name, -1 if there is none; and running it, in whatever process. An error has words. */
int usp_task_find(const char *name);
int usp_task_run(uint32_t number, uvcsp_manager *manager, const json_t *args, json_t **valuep,
                 const char **wordsp);

/* ---- manager_pool.c ---- */

/* All pools of the server are to end; each has a process that waits for that. */
void usp_pools_end(struct usp_server *server);

/* ---- the types ---- */

extern const struct usp_object_type usp_type_list, usp_type_array, usp_type_dict, usp_type_namespace,
    usp_type_value, usp_type_set, usp_type_queue, usp_type_lock, usp_type_rlock, usp_type_semaphore,
    usp_type_bounded_semaphore, usp_type_event, usp_type_condition, usp_type_barrier, usp_type_pool, usp_type_job;

/* manager_queue.c: an item that its getter did not live to take goes back. */
void usp_queue_take_back(struct usp_object *object, json_t *item);

/* manager_list.c, for arrays too */
struct usp_cut {
    json_int_t from, step;
    size_t n;
};
/* The index in arguments `i`; UVCSP_INDEX_ERROR. */
int usp_arg_index(struct usp_request *request, size_t i, size_t length, size_t *indexp);
/* The slice in the first three arguments. */
int usp_arg_cut(struct usp_request *request, size_t length, struct usp_cut *cut);
/* The same, of `array`, and an array of what is to be there as the fourth. */
int usp_arg_new_slice(struct usp_request *request, const json_t *array, struct usp_cut *cut);
/* "update": where, the new element, and the result. See manager_own.c. */
int usp_update_element(struct usp_object *object, struct usp_request *request, size_t *atp, json_t **freshp,
                       json_t **resultp);
json_t *usp_cut_out(const json_t *array, const struct usp_cut *cut);
bool usp_equal(const json_t *a, const json_t *b);
/* "get", "slice", "len", "index", "count", "contains" of `value` as an array. */
usp_op_fn usp_op_len, usp_op_get, usp_op_slice, usp_op_index, usp_op_count, usp_op_contains;

#endif
