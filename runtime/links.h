/* What link.c and link_connect.c need of each other. */
#ifndef USP_RUNTIME_LINKS_H
#define USP_RUNTIME_LINKS_H

#include <uv.h>

#include "runtime/link.h"
#include "runtime/worker.h"

/* A task that waits until a link is confirmed; it lies on the stack of its fibre. */
struct waiter {
    struct waiter *next;
    struct usp_task *task;
};

struct link {
    uv_pipe_t pipe;
    struct link *next, *prev;
    unsigned peer;        /* USP_MAX_WORKERS until its HELLO has come */
    uint32_t generation;  /* of the peer's record */
    bool closing;
    bool confirmed;       /* the peer has accepted it: what is sent arrives, or the peer has ended */
    struct waiter *waiting; /* for that */
    bool unquiet;         /* counted: not confirmed, or in the middle of a frame */
    bool enough;          /* a payload was read whole, to where it belongs: nothing more is likely to be there */
    /* what is being received */
    struct usp_frame frame;
    size_t have;          /* bytes of the header */
    char *place;          /* of the payload */
    size_t left;          /* bytes of the payload still to come */
};

/* The link on which a frame to a worker goes. */
extern struct link *usp_link_by_peer[USP_MAX_WORKERS];

/* A link with a pipe that is not open yet; `peer` may be USP_MAX_WORKERS. NULL: no memory. */
struct link *usp_links_new(unsigned peer);
int usp_links_read(struct link *link);
void usp_links_close(struct link *link);

/* The first frame of a link that was accepted. False: it is of no use. */
bool usp_links_introduce(struct link *link, const struct usp_frame *frame);
/* The link to a worker, made if there is none. 0 or -errno. */
int usp_links_to(unsigned worker, struct link **linkp);
/* Has somebody connected, or said something, that has not been taken in? */
bool usp_links_knocked(void);
void usp_links_forget_listener(void);
void usp_links_close_listener(void);

#endif
