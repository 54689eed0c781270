/* Pipes: connections of two sides, for messages that are dynamic values (Jansson's) or bytes.

       uvcsp_conn *a, *b;
       uvcsp_pipe(&a, &b, true);
       uvcsp_handle *child = SPAWN(answers(b));       PROCESS(answers, VAL(uvcsp_conn *, conn)) {
   ... } uvcsp_conn_send_new(a, json_pack("[i,n,s]", 42, "hello")); json_t *answer; while
   (uvcsp_conn_recv(a, &answer) == UVCSP_OK)
           ...;                                       UVCSP_RETIRED: the child has ended, or has
   crashed

   Who holds a side. A process that is handed a connection as VAL(uvcsp_conn *, c) gets a connection
   of its own to the same side, and holds the side from then on, before it runs, until it closes the
   connection or ends, in whichever way. The process that made the pipe holds a side only if it uses
   it itself: from its first operation on it. So nobody has to close anything after a fork for the
   other side to see the end. A side is gone when all who held it have gone: then the other side
   still receives what had been sent, and after that UVCSP_RETIRED; what it sends is refused with
   UVCSP_RETIRED. A side that nobody has held yet is not gone; one that is gone comes back when it
   is handed to another process. A connection that reaches a process otherwise (in a variable, a
   structure) can be used there, but it is held by the process that got it.

   Messages. Up to UVCSP_PIPE_CAPACITY of them wait in each direction; then send waits. What send
   has returned for survives its sender. A value travels as its JSON text, so recv_bytes can receive
   it, and recv what was sent as bytes if it is such a text.

   Between programs that are not related, uvcsp_listen, uvcsp_accept and uvcsp_connect make
   connections of the same type over Unix sockets. Such a one is a descriptor, and so it moves: when
   it is handed to a process, it is that process's alone, and closed when that ends.

   All of these are for processes, not for callbacks of the loop. Those that wait let other light
   processes run. -EINVAL with a line on stderr: NULL. -EBADF with a line: no connection, or one
   that was closed, or the wrong direction of a one-way pipe. */
#ifndef UVCSP_PIPE_H
#define UVCSP_PIPE_H

#include <uvcsp.h>
#include <uvcsp/json.h>

typedef struct uvcsp_conn uvcsp_conn;
typedef struct uvcsp_listener uvcsp_listener;

#define UVCSP_PIPE_CAPACITY 256

/* Makes a pipe. `duplex`: both sides send and receive; else *ap receives what *bp sends. Does not
   block. 0; -EINVAL for NULL, -ENOMEM with a line: the arena is full. The two live until they are
   closed or the calling process ends. */
UVCSP_API int uvcsp_pipe(uvcsp_conn **ap, uvcsp_conn **bp, bool duplex);
/* The same. `site`, a constant: where it was made, for who looks on. */
UVCSP_API int uvcsp_pipe_at(uvcsp_conn **ap, uvcsp_conn **bp, bool duplex, const char *site);
#define uvcsp_pipe(...) uvcsp_pipe_at(__VA_ARGS__, UVCSP_HERE)

/* Sends a value, which stays the caller's reference; _send_new takes the reference over, also when
   it fails. Waits while the pipe (the socket) is full. UVCSP_OK; UVCSP_RETIRED: the other side is
   gone; -EINVAL: a value that cannot be encoded; -ENOMEM; -EMSGSIZE: longer than the connection's
   limit (sockets); -EBUSY: another process of this worker is in the middle of sending (sockets).
   Then nothing has been sent. */
UVCSP_API int uvcsp_conn_send(uvcsp_conn *conn, json_t *value);
#define uvcsp_conn_send(...) UVCSP_CALL_(uvcsp_conn_send, __VA_ARGS__)
UVCSP_API int uvcsp_conn_send_new(uvcsp_conn *conn, json_t *value);
#define uvcsp_conn_send_new(...) (uvcsp_called_at("uvcsp_conn_send", UVCSP_HERE), uvcsp_conn_send_new(__VA_ARGS__))

/* Receives a value: a new reference, the caller's. Waits for it. UVCSP_OK; UVCSP_RETIRED: the other
   side is gone and nothing is left; -EBADMSG: the message is not the text of a value, and is
   dropped; -ENOMEM; -EBUSY: another process of this worker is in the middle of receiving (sockets);
   -EPROTO, -EMSGSIZE, -ECONNRESET: what came is no message, one longer than the limit, or half a
   message; a socket connection is of no use from then on. */
UVCSP_API int uvcsp_conn_recv(uvcsp_conn *conn, json_t **valuep);
#define uvcsp_conn_recv(...) UVCSP_CALL_(uvcsp_conn_recv, __VA_ARGS__)

/* The same for bytes. What is received is the caller's, to be freed with free(); NULL if the length
 * is 0. */
UVCSP_API int uvcsp_conn_send_bytes(uvcsp_conn *conn, const void *data, size_t size);
#define uvcsp_conn_send_bytes(...) UVCSP_CALL_(uvcsp_conn_send_bytes, __VA_ARGS__)
UVCSP_API int uvcsp_conn_recv_bytes(uvcsp_conn *conn, void **datap, size_t *sizep);
#define uvcsp_conn_recv_bytes(...) UVCSP_CALL_(uvcsp_conn_recv_bytes, __VA_ARGS__)

/* Receives into `buffer` of `room` bytes; `*sizep` is the length of the message (may be NULL).
   -EMSGSIZE: the message is longer than that; it stays where it is, and `*sizep` says how long it
   is. */
UVCSP_API int uvcsp_conn_recv_bytes_into(uvcsp_conn *conn, void *buffer, size_t room,
                                         size_t *sizep);
#define uvcsp_conn_recv_bytes_into(...) UVCSP_CALL_(uvcsp_conn_recv_bytes_into, __VA_ARGS__)

/* Waits until a message, or the end, can be received without waiting. `timeout` in seconds;
   negative for ever, 0 not at all. UVCSP_OK, UVCSP_TIMEOUT, UVCSP_WOULD_BLOCK (timeout 0), or the
   error that receiving would report. UVCSP_RETIRED, though the end is not reached: all of the program
   waits for ever, which has been told. */
UVCSP_API int uvcsp_conn_poll(uvcsp_conn *conn, double timeout);
#define uvcsp_conn_poll(...) UVCSP_CALL_(uvcsp_conn_poll, __VA_ARGS__)

/* Waits until one of `n` connections can be received from: its index, fairly chosen among those
   that can. -UVCSP_TIMEOUT; -UVCSP_RETIRED: all of the program waits for ever; -EINVAL for n = 0 or a NULL among them, -EBADF, -ENOMEM. One that is at
   its end, or broken, counts as ready. The others can be asked with uvcsp_conn_poll(conn, 0). */
UVCSP_API int uvcsp_wait(uvcsp_conn *const *conns, size_t n, double timeout);
#define uvcsp_wait(...) UVCSP_CALL_(uvcsp_wait, __VA_ARGS__)

/* A guard for a choice: ready when uvcsp_wait would say so; the message is then to be received. (On
   a socket it may be the first part of a message only.) */
UVCSP_API uvcsp_guard uvcsp_conn_guard(uvcsp_conn *conn);
#define UVCSP_ON_CONN(conn) uvcsp_conn_guard(conn)

/* Gives the connection up. Not to be used any more from then on, neither by the callers of
   operations that still wait on it. What it has sent is still received. 0; -EBUSY: a socket in the
   middle of an operation. */
UVCSP_API int uvcsp_conn_close(uvcsp_conn *conn);

/* The descriptor of a socket connection, to be waited for only (readable: something has come).
   -ENOTSUP for a pipe, which has none: use UVCSP_ON_CONN or uvcsp_wait. */
UVCSP_API int uvcsp_conn_fileno(uvcsp_conn *conn);

/* How the first of the other side's processes that has crashed died; NULL if none has. Lives as
 * long as the connection. */
UVCSP_API const char *uvcsp_conn_cause(uvcsp_conn *conn);

/* The longest message that a socket connection sends and accepts, in bytes; UVCSP_CONN_LIMIT to
   begin with. A length is checked before memory is taken, and memory is taken as the message comes.
 */
#define UVCSP_CONN_LIMIT (256u << 20)
UVCSP_API int uvcsp_conn_set_limit(uvcsp_conn *conn, uint32_t limit);

/* ---- programs that are not related ----

   An address is a name without '/', which is a socket in the user's own directory
   ($XDG_RUNTIME_DIR/uvcsp, or /tmp/uvcsp-UID), or the path of a socket. Its directory must be the
   user's, with mode 0700; it is made if it does not exist. NULL, only for uvcsp_listen: a name of
   its own.

   Both sides check that the other one runs under the same user (or root), and prove to each other
   that they know `key`, a string that is not empty, by HMAC-SHA256 of two random challenges. */

/* Waits for clients at an address. The address must be free: a socket that nobody listens on any
   more is replaced. The listener is the worker's that made it, until uvcsp_listener_close() or its
   end; then the socket is removed. NULL with a line on stderr and errno: EINVAL, EADDRINUSE, EACCES
   (the directory is not for the user alone), ENAMETOOLONG, ... */
UVCSP_API uvcsp_listener *uvcsp_listen(const char *address, const char *key);

/* The path of the socket. Lives as long as the listener. */
UVCSP_API const char *uvcsp_listener_address(const uvcsp_listener *listener);
UVCSP_API void uvcsp_listener_close(uvcsp_listener *listener); /* NULL is accepted */

/* A connection to the next client that has proved that it knows the key. Clients that fail are
   refused with a line on stderr, and one that says nothing is given up after five seconds; none of
   them keeps the others waiting. The connection is the calling process's, until it closes it, hands
   it on or ends. NULL and errno: ETIMEDOUT; EINVAL; EMFILE and others. */
UVCSP_API uvcsp_conn *uvcsp_accept(uvcsp_listener *listener, double timeout);

/* A guard: a client may be there (uvcsp_accept with timeout 0 tells). */
UVCSP_API uvcsp_guard uvcsp_listener_guard(uvcsp_listener *listener);
#define UVCSP_ON_CLIENT(listener) uvcsp_listener_guard(listener)

/* Connects; waits until somebody listens there, `timeout` seconds at most. NULL and errno: ENOENT or
   ECONNREFUSED: nobody did; ETIMEDOUT: who did has not answered; EKEYREJECTED: one of the two has
   another key; EACCES: another user's; EPROTO: that is no listener of this kind; EINVAL; and others.
   A line on stderr for all but ETIMEDOUT. */
UVCSP_API uvcsp_conn *uvcsp_connect(const char *address, const char *key, double timeout);

#endif
