/* Queues.

   A queue is a buffered channel that nobody owns, and an end of each side that belongs to nobody:
   whoever has the queue's pointer reads and writes by these. They do not count. Ends that do count
   are made from the channel, for the processes that are handed it; the last one of a side closes
   the queue, and so does uvcsp_queue_close(): for the channel both are the same mark in `ended`.

   What has been put in is `written`, what went through the buffer, and `passed`, what went past it
   to a consumer that waited, from when that is claimed. Unfinished is what of that was not said to be done. Whoever joins reads from `idle`, a channel on which nobody ever writes: it is marked as
   retired when nothing is unfinished. */
#ifndef USP_IPC_QUEUE_H
#define USP_IPC_QUEUE_H

#include <uvcsp/queue.h>

#include "channels/channel.h"

#define USP_STORE_MAGIC 0x65756575u

/* What a queue's pointer points to. */
struct usp_store {
    uint32_t magic;
    bool unlimited;
    bool told; /* that its limit was met */
    _Atomic uint32_t done;
    _Atomic uint32_t joining; /* who may wait at `idle`; never too few */
    struct usp_channel *items;
    struct usp_channel *idle;
    struct usp_end in, out, resting; /* of nobody; the last one of `idle` */
    struct usp_common common;        /* who waits at one of the channels, or comes back to it */
};

/* The queue, or NULL with a line. */
struct usp_store *usp_store_of(void *x, const char *what);
/* Marks a channel as ended for both sides, and tells who waits. */
void usp_store_end(struct usp_channel *channel);
/* One operation; the statuses are those of the face. Does not return if the process was killed. */
int usp_store_transact(struct usp_end *end, void *value, double timeout, const char *site);

#endif
