#include "channels/transfer.h"

#include <errno.h>

#include "channels/io.h"
#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"

/* ---- waiting for a stream ---- */

/* The calling process waits for the other side of a communication that has been agreed. Its
   commit word names the worker that it depends on, so that it is looked after if that one dies. */
static void depend_on(struct usp_task *self, unsigned worker)
{
    self->woken = 0;
    self->outcome = 0;
    usp_wait_of(self)->first.queued = 0; /* else nothing would say any more that it is not (usp_was_taken) */
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&self->commit, usp_commit_claimed(worker, 0), memory_order_release);
}

static int wait_for_stream(struct usp_task *self)
{
    usp_park();
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    return self->outcome;
}

/* ---- writing to a reader that waits ---- */

/* Two of that size, in two blocks, do not fit into the second-level cache of a processor: before the writer makes the next one, a
   reader on the same processor may take it. */
#define LARGE 524288

static bool leave_in_arena(struct usp_offer *reader, const struct usp_bytes *bytes)
{
    struct usp_channel *channel = reader->channel;
    struct usp_task *task = reader->task;
    unsigned worker = task->worker;
    if (bytes->length <= USP_SMALL) {
        if (bytes->length)
            memcpy(reader->small, bytes->data, bytes->length);
        reader->filled = 1;
        task->outcome = USP_FILLED;
    } else if (usp_is_plain(channel) && usp_arena_holds(reader->data, bytes->length)) {
        usp_copy_over(reader->data, bytes->data, bytes->length);
    } else {
        void *block = usp_arena_alloc(bytes->length, USP_BLOCK_MESSAGE);
        if (!block)
            return false;
        usp_copy_over(block, bytes->data, bytes->length);
        /* where this worker dies, the reader looks whose it is before it gives it back */
        reader->stash = block;
        USP_FAILPOINT("stash-left");
        usp_arena_set_owner(block, task->worker);
        reader->filled = 1;
        task->outcome = USP_FILLED;
    }
    reader->length = bytes->length;
    USP_FAILPOINT("message-left");
    usp_wake_far(task);
    USP_FAILPOINT("reader-woken");
    if (bytes->length >= LARGE)
        usp_processor_lend(worker);
    return true;
}

/* Waits for a link to the worker of a claimed partner. 0; -errno: there is none; USP_RETRY: that
   worker has ended, and the partner's memory may be another's by now. */
static int have_link(struct usp_task *self, unsigned worker)
{
    if (__builtin_expect(usp_link_is_ready(worker), 1))
        return 0;
    if (!self)
        return -ENOTCONN;
    struct usp_worker *peer = usp_worker_of(worker);
    uint32_t generation = peer->generation;
    depend_on(self, worker);
    int rc = usp_link_ready(worker, self);
    atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    if (peer->generation != generation || atomic_load(&peer->state) != USP_WORKER_RUNNING)
        return USP_RETRY; /* whether or not there is a link by now: it may be to who came after it */
    return rc;
}

static int send_data(struct usp_offer *reader, const struct usp_bytes *bytes)
{
    struct usp_task *self = usp_current()->task;
    unsigned worker = reader->task->worker;
    int linked = have_link(self, worker);
    if (__builtin_expect(linked != 0, 0))
        return linked;
    struct usp_frame frame = {
        .type = USP_FRAME_DATA,
        .length = bytes->length,
        .to = reader->task,
        .index = reader->index,
    };
    if (self) {
        depend_on(self, worker);
        self->flags |= USP_TASK_STREAMING;
    }
    USP_FAILPOINT("data-to-send");
    int rc = usp_link_send(worker, &frame, bytes->data, self);
    USP_FAILPOINT("data-sent");
    if (rc == 1)
        return wait_for_stream(self); /* hooks.sent takes the flag down */
    if (self) {
        self->flags &= (uint8_t)~USP_TASK_STREAMING;
        atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    }
    return rc;
}

/* A worker that does not sleep in its loop looks at its mailbox sooner than at its links. */
static bool looks_by_itself(const struct usp_offer *reader, const struct usp_bytes *bytes)
{
    return bytes->length <= USP_STASH_LIMIT &&
           atomic_load_explicit(&usp_worker_of(reader->task->worker)->sleeping, memory_order_relaxed) !=
               USP_IN_THE_LOOP;
}

static int deliver_far(struct usp_channel *channel, struct usp_offer *reader,
                       const struct usp_bytes *bytes)
{
    /* A callback of the loop cannot wait until a link has it; a mobile end must not, for in a link it would be nobody's. */
    bool may_wait = usp_current()->task && channel->type != UVCSP_TYPE_END;
    if ((channel->carrier == UVCSP_SHARED || !may_wait || looks_by_itself(reader, bytes)) && leave_in_arena(reader, bytes))
        return 0;
    if (bytes->length <= USP_STASH_LIMIT && !usp_link_is_ready(reader->task->worker) &&
        leave_in_arena(reader, bytes)) /* a short one does not wait for a link; the bell makes it */
        return 0;
    /* what is counted goes by the arena alone, as through the buffer */
    int rc = channel->lenient ? -ENOMEM : send_data(reader, bytes);
    if (rc == 0 || rc == USP_RETRY)
        return rc;
    if (rc == -ECONNRESET) { /* the reader has lost the rest, and looks again; not this way, though */
        channel->carrier = UVCSP_SHARED;
        return USP_RETRY;
    }
    /* no link: a full table of descriptors, or a worker that has just died. The arena is always
       there. */
    if (leave_in_arena(reader, bytes))
        return 0;
    if (usp_supervise_has_ended(reader->task->worker))
        return USP_RETRY;
    usp_report("channel '%s': neither a link (%s) nor room in the arena for %zu bytes",
               channel->name, strerror(-rc), bytes->length);
    if (channel->lenient)
        usp_not_passed(channel, reader);
    reader->task->outcome = USP_RETRY;
    usp_wake_far(reader->task);
    return -ENOMEM;
}

static struct usp_end *end_of(const void *value)
{
    uvcsp_end moved;
    memcpy(&moved, value, sizeof moved);
    return moved.end_;
}

/* A mobile end stays its sender's until the receiver runs and adopts it. */
static void note_way(const struct usp_channel *channel, const void *value, unsigned way)
{
    if (channel->type == UVCSP_TYPE_END)
        end_of(value)->way = (uint16_t)way;
}

int usp_deliver(struct usp_channel *channel, struct usp_offer *reader, const struct usp_bytes *bytes)
{
    struct usp_task *task = reader->task;
    if (task->worker != usp_worker_index()) {
        note_way(channel, bytes->data, USP_ON_ITS_WAY_TO(task->worker));
        int sent = deliver_far(channel, reader, bytes);
        if (sent != 0)
            note_way(channel, bytes->data, USP_ON_ITS_WAY);
        if (sent == USP_RETRY && channel->lenient)
            usp_not_passed(channel, NULL);
        return sent;
    }
    int rc = usp_message_land(channel, reader->data, bytes->data, bytes->length);
    if (__builtin_expect(rc != 0, 0)) {
        task->outcome = rc;
        if (channel->lenient)
            usp_not_passed(channel, reader);
    }
    usp_wake_first(task);
    return 0;
}

/* ---- reading from a writer that waits ---- */

const void *usp_reachable(const struct usp_offer *writer)
{
    if (writer->task->worker == usp_worker_index())
        return writer->data;
    if (writer->filled)
        return writer->stash ? writer->stash : writer->small;
    return usp_arena_holds(writer->data, writer->length) ? writer->data : NULL;
}

/* Asks the writer's worker to stream the bytes into `value`. */
static int pull(struct usp_channel *channel, struct usp_offer *writer, void *value)
{
    struct usp_task *self = usp_current()->task;
    struct usp_task *task = writer->task;
    struct usp_frame frame = {
        .type = USP_FRAME_PULL,
        .to = task,
        .index = writer->index,
        .from = self,
        .from_index = 0,
    };
    int rc = have_link(self, task->worker);
    if (rc == USP_RETRY)
        return rc;
    if (rc == 0 && self) {
        struct usp_wait *wait = usp_wait_of(self);
        uint32_t ticket = wait->first.ticket; /* it counts on */
        usp_wait_has(wait, 1);
        wait->first = (struct usp_offer){.channel = channel, .task = self, .data = value, .ticket = ticket};
        depend_on(self, task->worker);
        USP_FAILPOINT("pull-to-send");
        rc = usp_link_send(task->worker, &frame, NULL, NULL);
        USP_FAILPOINT("pull-sent");
        if (rc == 0)
            return wait_for_stream(self);
        atomic_store_explicit(&self->commit, USP_NONE, memory_order_relaxed);
    }
    /* no link: the writer leaves the bytes in the arena, whatever their length, and both look
       again */
    bool no_room = writer->no_room && !usp_supervise_has_ended(task->worker);
    if (no_room)
        usp_report("channel '%s': neither a link (%s) nor room in the arena for %zu bytes",
                   channel->name, strerror(-rc), (size_t)writer->length);
    channel->carrier = UVCSP_SHARED;
    task->outcome = USP_RETRY;
    usp_wake_far(task);
    return no_room ? -ENOMEM : USP_RETRY;
}

/* A long message in the arena is the reader's from here on: its writer is woken first, and may
   bring the next while this one is copied. False: not such a message, and nothing has been done. */
static bool take_stash(const struct usp_channel *channel, struct usp_offer *writer, void *value,
                       int *rc)
{
    size_t length = writer->length;
    void *block = writer->stash;
    bool takes = block && length >= USP_STASH_TAKEN &&
                 (usp_is_plain(channel) || channel->type == UVCSP_TYPE_BYTES);
    void *place = takes ? usp_message_place(channel, value, length) : NULL;
    if (!place)
        return false;
    struct usp_task *task = writer->task;
    /* where this worker dies before it has woken the writer, that one looks whose the block is */
    usp_arena_set_owner(block, usp_worker_index());
    USP_FAILPOINT("stash-taken");
    writer->stash = NULL;
    usp_wake_any(task);
    USP_FAILPOINT("writer-woken-first");
    usp_copy(place, block, length);
    usp_arena_free(block);
    *rc = usp_message_settle(channel, value, place, length);
    return true;
}

int usp_receive(struct usp_channel *channel, struct usp_offer *writer, void *value)
{
    struct usp_task *task = writer->task;
    const void *data = usp_reachable(writer);
    if (__builtin_expect(!data && writer->length > 0, 0))
        return pull(channel, writer, value);
    int rc;
    if (task->worker != usp_worker_index() && take_stash(channel, writer, value, &rc))
        return rc;
    rc = usp_message_land(channel, value, data, writer->length);
    if (__builtin_expect(rc != 0, 0))
        task->outcome = USP_RETRY;
    else if (channel->type == UVCSP_TYPE_END)
        usp_arena_set_owner(end_of(value), usp_worker_index());
    USP_FAILPOINT("message-taken");
    usp_wake_any(task); /* before the caller's code sees the message */
    USP_FAILPOINT("writer-woken");
    return rc;
}

/* ---- what a waiting process prepares and finds ---- */

void usp_stash(struct usp_offer *offer)
{
    struct usp_channel *channel = offer->channel;
    offer->no_room = 0;
    if (!channel->far)
        return;
    if (offer->length <= USP_SMALL) {
        if (offer->length)
            memcpy(offer->small, offer->data, offer->length);
        offer->filled = 1;
    } else if (channel->carrier == UVCSP_SHARED || channel->capacity > 0 ||
               offer->length <= USP_STASH_LIMIT) {
        if (usp_arena_holds(offer->data, offer->length))
            return;
        offer->stash = usp_arena_alloc(offer->length, USP_BLOCK_MESSAGE);
        offer->no_room = !offer->stash;
        if (!offer->stash)
            return;
        usp_copy_over(offer->stash, offer->data, offer->length);
        offer->filled = 1;
    }
}

int usp_collect(struct usp_offer *offer, int outcome)
{
    if (outcome == 0 && offer->side == USP_READER && offer->filled)
        outcome = usp_message_land(offer->channel, offer->data,
                                   offer->stash ? offer->stash : offer->small, offer->length);
    if (outcome != 0 && offer->passed)
        usp_not_passed(offer->channel, offer);
    if (offer->stash)
        usp_arena_free(offer->stash);
    offer->stash = NULL;
    offer->filled = 0;
    return outcome;
}

/* ---- frames ---- */

/* The offer that a frame speaks of, if its task waits for that, and for this worker. */
static struct usp_offer *offer_of(const struct usp_frame *frame)
{
    struct usp_task *task = frame->to;
    if (!usp_arena_is(task, USP_BLOCK_TASK) || task->worker != usp_worker_index() || task->woken)
        return NULL;
    uint64_t commit = atomic_load(&task->commit);
    if (usp_commit_state(commit) != USP_CLAIMED || usp_commit_worker(commit) != frame->worker ||
        frame->index >= usp_wait_of(task)->n)
        return NULL;
    return &usp_offers_of(task)[frame->index];
}

static void *place(const struct usp_frame *frame)
{
    struct usp_offer *offer = offer_of(frame);
    if (!offer || !offer->channel)
        return NULL;
    void *at = usp_message_place(offer->channel, offer->data, frame->length);
    USP_FAILPOINT("data-placed");
    if (at) {
        frame->to->flags |= USP_TASK_STREAMING;
    } else {
        frame->to->outcome = -ENOMEM;
        usp_wake(frame->to);
    }
    return at;
}

static void arrived(const struct usp_frame *frame, void *at)
{
    struct usp_task *task = frame->to;
    struct usp_offer *offer = offer_of(frame);
    task->flags &= (uint8_t)~USP_TASK_STREAMING;
    task->outcome = usp_message_settle(offer->channel, offer->data, at, frame->length);
    usp_wake(task);
}

static void lost(const struct usp_frame *frame, void *at)
{
    struct usp_task *task = frame->to;
    usp_message_abandon(offer_of(frame)->channel, at);
    task->flags &= (uint8_t)~USP_TASK_STREAMING;
    task->outcome = USP_RETRY;
    usp_wake(task);
}

/* A reader cannot be given what it has asked for: both look again, and then the bytes are in the
   arena, if there is room for them. */
static void decline(const struct usp_frame *frame, const struct usp_offer *offer)
{
    frame->from->outcome = offer->no_room ? -ENOMEM : USP_RETRY;
    offer->channel->carrier = UVCSP_SHARED;
    usp_wake_any(frame->from);
}

static void on_pull(const struct usp_frame *frame)
{
    struct usp_task *task = frame->to;
    struct usp_offer *offer = offer_of(frame);
    if (!offer)
        return; /* whoever asked is dead, and the writer looks again already */
    struct usp_frame answer = {
        .type = USP_FRAME_DATA,
        .length = offer->length,
        .to = frame->from,
        .index = frame->from_index,
    };
    USP_FAILPOINT("pulled");
    /* a new link, where the one on which this came has failed, may yet be turned away; an end does not go by a link, but by
       the arena when both look again */
    int rc = usp_link_is_ready(frame->worker) && offer->channel->type != UVCSP_TYPE_END
                 ? usp_link_send(frame->worker, &answer, offer->data, task)
                 : -ENOTCONN;
    USP_FAILPOINT("answer-sent");
    if (rc == 1) {
        task->flags |= USP_TASK_STREAMING;
        return;
    }
    if (rc < 0) {
        if (rc == -ECONNRESET)
            offer->channel->carrier = UVCSP_SHARED;
        else
            decline(frame, offer);
    }
    task->outcome = rc < 0 ? USP_RETRY : 0;
    usp_wake(task);
}

static void sent(struct usp_task *task, int status)
{
    task->flags &= (uint8_t)~USP_TASK_STREAMING;
    task->outcome = status < 0 ? USP_RETRY : 0;
    usp_wake(task);
}

void usp_transfer_init(void)
{
    usp_link_hooks = (struct usp_link_hooks){place, arrived, lost, on_pull, sent};
}
