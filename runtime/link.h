/* Links: a libuv pipe between two workers that talk, made on first use.

   Each worker but a root without children listens on a Unix socket (an address of the abstract
   namespace that the kernel chose, kept in the worker table). Whoever connects says HELLO first, and
   the accepting side believes the kernel, not the frame, about whose it is (SO_PEERCRED), and the
   frame only if it knows the arena's secret. A parent and its child are no exception: many never talk,
   and a link from birth would wake the parent twice when the child ends.

   A link carries frames: a header, and for DATA a payload. A payload is written straight from the
   sender's memory when the socket takes it at once or the sender waits for it, and read straight
   into the receiver's. */
#ifndef USP_RUNTIME_LINK_H
#define USP_RUNTIME_LINK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/scheduler.h"

struct usp_task;

enum usp_frame_type {
    USP_FRAME_HELLO = 0x75760001,
    USP_FRAME_BELL,  /* look at your mailbox */
    USP_FRAME_DATA,  /* a message for guard `index` of task `to` */
    USP_FRAME_PULL,  /* the message of guard `index` of task `to` to guard `from_index` of `from` */
};

struct usp_frame {
    uint32_t type;
    uint32_t worker;   /* the sender */
    uint64_t length;   /* of the payload, DATA only */
    struct usp_task *to;
    struct usp_task *from;
    uint32_t index;
    uint32_t from_index;
};

struct usp_link_hooks {
    /* A DATA frame has come: where do its bytes go? NULL: nobody waits for it, throw it away.
       With length 0 the result does not matter. */
    void *(*place)(const struct usp_frame *frame);
    void (*arrived)(const struct usp_frame *frame, void *place);
    /* The link ended in the middle of it. */
    void (*lost)(const struct usp_frame *frame, void *place);
    void (*pull)(const struct usp_frame *frame);
    /* A payload that stayed in place has been sent, or -errno; also for a task in usp_link_ready(). */
    void (*sent)(struct usp_task *task, int status);
};
extern struct usp_link_hooks usp_link_hooks;

/* Is there a link that the peer is known to read? A connection that is only made may be turned
   away, for want of a descriptor there, and what was sent on it be lost; so messages go on links
   that have been answered. */
bool usp_link_is_ready(unsigned worker);
/* Waits until there is one. `task` is the caller's; its commit word says that it is claimed by
   that worker. 0 or -errno. */
int usp_link_ready(unsigned worker, struct usp_task *task);

/* Sends a frame to a worker. 0: the kernel has it, or, where `stream` is NULL, it may be a copy in this
   worker's queue, and be lost with it. 1: the payload is being sent from where it lies; `stream` (a task of
   this worker) must wait, and hooks.sent will be called for it. -ECONNRESET: the link broke when the peer had
   the header, and it is told. Any other -errno: no link could be had, nothing was sent. */
int usp_link_send(unsigned worker, struct usp_frame *frame, const void *payload,
                  struct usp_task *stream);

/* Rings a worker: makes its loop return. Where no link can be had, a signal does it. */
void usp_link_bell(unsigned worker);

/* Takes in everything that a dead worker has sent, and closes the links to it. Those to who has its record by now stay. On the
   loop's fibre. */
void usp_link_drain(unsigned worker, uint32_t generation);

/* Every link is known to be read by its peer, and none is in the middle of a frame. */
bool usp_links_are_quiet(void);

/* Frames queued and not yet sent. */
unsigned usp_link_queued(void);

/* The listening socket of this worker, made on the first call. Who connects before there is a loop waits
   in the kernel. 0 or -errno. */
int usp_link_listen(void);
/* A new worker does not listen before it has a loop, or waits where others may want a link to it. */
extern bool usp_link_listens;
static inline void usp_link_expect(void)
{
    if (__builtin_expect(!usp_link_listens, 0) && usp_worker_index() != 0)
        (void)usp_link_listen(); /* if it fails the arena has to do */
}
/* The worker has a loop now: it listens, and takes in who connects. 0 or -errno. */
int usp_link_opened(void);
/* The listening socket, or -1. */
int usp_link_socket(void);
/* The links to a worker that has ended are closed, once what it sent has been read. */
void usp_link_ended(unsigned worker);

/* In a new worker, after usp_loop_forked() has closed the descriptors of the parent's links. */
void usp_link_forget(void);
void usp_link_deinit(void);

#endif
