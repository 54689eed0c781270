/* Connections: the two kinds of them behind one face.

   A connection is one block of the arena that begins with an end, so that it is in the list of its
   process's ends, and goes with them. Of a pipe that end is real: the reading one, or the writing
   one of a side that only sends; the other direction has an end of its own. An end that does not
   count is marked as retired, and the process does not hold the side. Of a socket it is no end at
   all (no magic), and the block belongs to the socket's record, which is private memory of one
   worker, as the descriptor is. */
#ifndef USP_IPC_CONN_H
#define USP_IPC_CONN_H

#include <uvcsp/pipe.h>

#include "channels/channel.h"
#include "channels/io.h"
#include "process/process.h"

#define USP_CONN_MAGIC 0x6e6e6f63u

struct usp_socket;

struct uvcsp_conn {
    struct usp_end first;
    uint32_t magic;
    bool held;                /* by the process that has it: its ends count */
    uint16_t worker;          /* of a socket's record */
    struct usp_end *in, *out; /* of a pipe; NULL for the direction that it does not have */
    struct usp_end look;      /* of a pipe: waits for a message and takes nothing */
    struct usp_socket *socket;
};

/* The connection, if it is one that this worker can use; NULL with a line, and *rcp. */
struct uvcsp_conn *usp_conn_of(uvcsp_conn *conn, const char *what, int *rcp);
/* Ends the process if `rc` says that it was killed; else `rc`. */
int usp_conn_killed(int rc);

/* ---- pipe.c. Each of these holds the side; the statuses are those of the face ---- */

int usp_pipe_send(struct uvcsp_conn *conn, const uvcsp_bytes *bytes, const char *what);
int usp_pipe_recv(struct uvcsp_conn *conn, uvcsp_bytes *bytes, const char *what);
int usp_pipe_recv_into(struct uvcsp_conn *conn, void *buffer, size_t room, size_t *sizep,
                       const char *what);
int usp_pipe_poll(struct uvcsp_conn *conn, double timeout, const char *what);
uvcsp_guard usp_pipe_guard(struct uvcsp_conn *conn);
void usp_pipe_close(struct uvcsp_conn *conn);
int usp_pipe_join(void **place, unsigned worker, struct usp_task *task, const char *what);
void usp_pipe_adopt(struct uvcsp_conn *conn, struct usp_task *task);
void usp_pipe_leave(struct uvcsp_conn *conn, enum usp_leave how, const char *cause);

/* ---- socket.c ---- */

/* A connection of the calling process's that owns the descriptor. NULL: no memory; the descriptor
 * is closed. */
struct uvcsp_conn *usp_socket_conn(int fd);
int usp_socket_send(struct uvcsp_conn *conn, const uvcsp_bytes *bytes);
int usp_socket_recv(struct uvcsp_conn *conn, uvcsp_bytes *bytes);
int usp_socket_recv_into(struct uvcsp_conn *conn, void *buffer, size_t room, size_t *sizep);
int usp_socket_poll(struct uvcsp_conn *conn, double timeout);
uvcsp_guard usp_socket_guard(struct uvcsp_conn *conn);
int usp_socket_close(struct uvcsp_conn *conn);
int usp_socket_fileno(const struct uvcsp_conn *conn);
void usp_socket_set_limit(struct uvcsp_conn *conn, uint32_t limit);
/* It is handed to a process: the place gets a connection that takes the descriptor over. */
int usp_socket_join(void **place, unsigned worker, const char *what);
/* The process that has it by its arguments has ended, or has been forked off. Nothing if it is no
 * socket. */
void usp_socket_ended(void *conn);
/* It will not run. */
void usp_socket_left(void *conn);
/* In a new worker: closes those that are not its own. */
void usp_sockets_forked(void);

/* ---- conn.c ---- */
/* A socket or a listener is made: from here on a new worker has something to close. */
void usp_conn_opens(void);

/* ---- listener.c ---- */
void usp_listeners_forked(void);

/* ---- connect.c, for both sides ---- */

/* Is it a key at all? Else a line. */
bool usp_key_is_good(const char *key, const char *what);
/* Sends what fits into a socket that is empty. */
bool usp_send_whole(int fd, const void *data, size_t size);
/* NULL, and errno. */
uvcsp_conn *usp_conn_failed(int rc);
/* uvcsp_connect() where somebody has listened before: who does not now will not again, and says nothing on stderr. */
uvcsp_conn *usp_connect_again(const char *address, const char *key, double timeout);
/* The connection of a descriptor whose other side has proved itself. */
uvcsp_conn *usp_connected(int fd, const char *what);

#endif
