/* Managers: a server process that owns objects, and proxies by which any process uses them.

       uvcsp_manager *m = uvcsp_manager_start(NULL);
       uvcsp_proxy list = uvcsp_manager_list(m, json_pack("[i,i]", 1, 2));
       PAR(appends(list), appends(list));              PROCESS(appends, VAL(uvcsp_proxy, list)) {
       uvcsp_manager_stop(m);                              uvcsp_mlist_append(list, json_integer(3)); }

   The server is a worker of its own (a light process under UVCSP_PAR=light). A process that makes its first call is
   connected to it by a channel for its requests and one for the answers; a light process of the server serves it,
   and sees by the first of them when it has ended or died. An operation runs whole: no other comes in between. What
   it waits for (a lock, an item) it waits for in the server, which serves the others meanwhile. What goes wrong in
   an operation is told to its caller, and changes nothing.

   A proxy is a small value: copy it, hand it over by VAL, send it over a channel, or nest it in another object
   (uvcsp_proxy_json). Objects are not counted: one lives until uvcsp_proxy_free() or as long as its manager.
   A manager ends with the process that started it, or by uvcsp_manager_stop(). From then on every call says so at once:
   UVCSP_RETIRED, or UVCSP_POISONED where the server was killed or has crashed. A manager of another program is always
   said to have retired, also where it was killed between two answers: all that is seen of it is that its
   connection has ended (UVCSP_POISONED: in the middle of an answer).

   Values are Jansson's. As its own functions whose names end in `_new`, ALL functions here TAKE OVER the references that they
   are given, also when they fail (to keep a value, give json_incref(v)); results are new references, the caller's. A NULL among the
   values (what made it has failed), one that contains itself or is nested more than UVCSP_MANAGER_DEPTH deep, and text that is not
   UTF-8 cannot be encoded: -EINVAL, nothing was done.

   Every call blocks the calling process until the server has answered; none may be made in a callback of the loop. Where it
   is not said otherwise the answer is 0, or one of the errors below. */
#ifndef UVCSP_MANAGER_H
#define UVCSP_MANAGER_H

#include <uvcsp.h>
#include <uvcsp/json.h>

#define UVCSP_MANAGER_DEPTH 100 /* how deep a value may be nested */

typedef struct uvcsp_manager uvcsp_manager;

/* An object of a manager. All zero: none; a call of it gives -EINVAL. */
typedef struct uvcsp_proxy {
    uvcsp_manager *manager;
    uint64_t id;
} uvcsp_proxy;

/* What an operation may answer besides 0 and UVCSP_RETIRED, UVCSP_POISONED (the manager is gone), -EINVAL (an argument that
   cannot be encoded, no proxy), -ENOMEM. */
enum uvcsp_manager_error {
    UVCSP_INDEX_ERROR = -2001,      /* no such place in the list or array */
    UVCSP_KEY_ERROR = -2002,        /* no such key, attribute, element, published name */
    UVCSP_VALUE_ERROR = -2003,      /* not in the list; above the bound; out of range; a comparison that failed */
    UVCSP_TYPE_ERROR = -2004,       /* an argument of the wrong type, or too many, or too few */
    UVCSP_RUNTIME_ERROR = -2005,    /* released and not held, and the like */
    UVCSP_BROKEN_BARRIER = -2006,   /* somebody left, or the barrier was aborted */
    UVCSP_NO_SUCH_OBJECT = -2007,   /* it was freed */
    UVCSP_NO_SUCH_OPERATION = -2008, /* objects of this type cannot do that; no such type, update function or task */
    UVCSP_STOP_ITERATION = -2009    /* there are no more results */
};

/* "UVCSP_INDEX_ERROR" ..., or what uvcsp_status_name() says. Never NULL; not to be freed. */
UVCSP_API const char *uvcsp_manager_error_name(int status);

/* What the last call in this worker that did not answer 0 had to say, in words; "" if there was none. Look before the calling
   process waits again. Never NULL. Does not block. */
UVCSP_API const char *uvcsp_call_error(void);

/* ---- managers ---- */

typedef struct {
    const char *name;    /* for messages; copied; NULL: "manager" */
    const char *address; /* other programs may connect here (see uvcsp_listen); NULL: none may */
    const char *key;     /* ... who know this */
} uvcsp_manager_options;

/* Starts a manager, which belongs to the calling process. NULL for `options` is all zero. Blocks until it can be used. NULL
   with a line on stderr and errno: EINVAL, an address without a key; no worker could be started, the arena is full, or what
   uvcsp_listen() says. */
UVCSP_API uvcsp_manager *uvcsp_manager_start(const uvcsp_manager_options *options);

/* Ends it. Calls that wait are told UVCSP_RETIRED. In the worker that started it this waits until the server has ended; in others it
   only asks for that. Idempotent; NULL is accepted. A few hundred bytes of the arena stay until the end of the program, so that proxies
   can be told. For a connection to another program's manager: ends the connections of this worker's processes only. */
UVCSP_API int uvcsp_manager_stop(uvcsp_manager *manager);
#define uvcsp_manager_stop(...) UVCSP_CALL_(uvcsp_manager_stop, __VA_ARGS__)

/* The pid of the server; that of this program itself if it is a light process; 0 for another program's. -EINVAL for no manager. */
UVCSP_API int uvcsp_manager_pid(uvcsp_manager *manager);

/* A manager of another program, by its address and key. Each process that uses it gets a connection of its own. Waits until somebody listens
   there, `timeout` seconds at most (negative: for ever). It serves as one of the program's own, but that it does not end with anything
   here. NULL with errno as by uvcsp_connect(). */
UVCSP_API uvcsp_manager *uvcsp_manager_connect(const char *address, const char *key, double timeout);

/* Gives an object a name, under which others find it, in other programs too. An empty proxy takes the name back. -EINVAL with a
   line: the proxy is another manager's. */
UVCSP_API int uvcsp_manager_publish(uvcsp_manager *manager, const char *name, uvcsp_proxy proxy);
UVCSP_API int uvcsp_manager_find(uvcsp_manager *manager, const char *name, uvcsp_proxy *proxyp);

/* ---- proxies ---- */

/* Makes an object of the type; `args` is an array for its maker, or NULL. The functions below do it for the types of the library. */
UVCSP_API int uvcsp_manager_create(uvcsp_manager *manager, const char *type, json_t *args, uvcsp_proxy *proxyp);

/* Does `op` with `args` (an array, or NULL for none). `*resultp` is the result, a new reference, json null where there is none;
   NULL drops it. On an error it is as it was. */
UVCSP_API int uvcsp_call(uvcsp_proxy proxy, const char *op, json_t *args, json_t **resultp);

/* The same with `n` arguments, each a json_t *. */
UVCSP_API int uvcsp_call_with(uvcsp_proxy proxy, const char *op, json_t **resultp, int n, ...);

/* The same for a result that is a number from 0 up, or a truth value: it, or the error. */
UVCSP_API long uvcsp_call_long(uvcsp_proxy proxy, const char *op, int n, ...);

/* Frees the object, whoever uses it; who waits for it gets UVCSP_NO_SUCH_OBJECT. */
UVCSP_API int uvcsp_proxy_free(uvcsp_proxy proxy);

/* A proxy as a value, to be kept in an object of the same manager; and back. uvcsp_proxy_of: does not take the reference over; -EINVAL if the
   value is no proxy of that manager. Neither blocks, but for the first use of a manager of another program. */
UVCSP_API json_t *uvcsp_proxy_json(uvcsp_proxy proxy);
UVCSP_API int uvcsp_proxy_of(uvcsp_manager *manager, const json_t *value, uvcsp_proxy *proxyp);

/* A read-modify-write in one request, on the element `key` (an index of a list or array, a key of a dict, a name of a namespace; NULL
   for a value). `*resultp`, if not NULL, is the new value. `how`:
     "add" "sub" "mul" "div" "min" "max"   by a number; "add" also joins strings and arrays
     "and" "or" "xor"                      of integers
     "append"                              to an array
     "append_if_absent"                    to an array that does not contain it yet
     "cas"                                 arg is [old, new]: UVCSP_VALUE_ERROR, with the value as it is, unless it is `old`
     "swap"                                arg is the new value; the result is the OLD one
   or what was registered. `arg` may be NULL for none. A key that a dict or namespace does not have begins with `otherwise`;
   if that is NULL, it is UVCSP_KEY_ERROR. */
UVCSP_API int uvcsp_proxy_update(uvcsp_proxy proxy, json_t *key, const char *how, json_t *arg, json_t *otherwise,
                                 json_t **resultp);

/* ---- what a program adds; before it starts the manager, in the process that starts it ---- */

/* An update function: `*newp` is to be a new reference; or an error is returned and nothing changes. It runs in the server and must not wait. 0, or
   -EINVAL, -EEXIST (the name is taken), -ENOMEM, with a line on stderr. The name is not copied. */
typedef int uvcsp_update_fn(const json_t *old, const json_t *arg, json_t **newp);
UVCSP_API int uvcsp_manager_register_update(const char *name, uvcsp_update_fn *fn);

/* A type of objects. `create` makes an object's state from its arguments; `run` of an operation may set `*resultp`. Both return 0 or an
   error, which goes to the caller; uvcsp_manager_fail() gives it words. They run in the server and must not wait. `destroy` may be
   NULL. What a function of these crashes, it crashes the server. */
struct uvcsp_manager_op {
    const char *name; /* NULL ends the table */
    int (*run)(void *self, const json_t *args, json_t **resultp);
};
struct uvcsp_manager_type {
    const char *name;
    int (*create)(const json_t *args, void **selfp);
    void (*destroy)(void *self);
    const struct uvcsp_manager_op *ops;
};
/* The type is not copied. 0, or -EINVAL, -EEXIST, -ENOMEM, with a line on stderr. Does not block. */
UVCSP_API int uvcsp_manager_register(const struct uvcsp_manager_type *type);

/* A task, for the pools of a manager, which is given. `args` is an array; `*valuep`, a new reference, may be left as it is: null. 0, or an error,
   which goes to the task's caller with what uvcsp_manager_fail() has said. It runs in a worker of the pool, a process of its own: it may wait,
   and use the manager as others do. 0, or -EINVAL, -EEXIST, -ENOMEM, with a line on stderr. The name is not copied. */
typedef int uvcsp_manager_task(uvcsp_manager *manager, const json_t *args, json_t **valuep);
UVCSP_API int uvcsp_manager_register_task(const char *name, uvcsp_manager_task *fn);

/* For the functions above: the words of an error. Returns `status`. */
UVCSP_API int uvcsp_manager_fail(int status, const char *text);

#include <uvcsp/manager_types.h>

#endif
