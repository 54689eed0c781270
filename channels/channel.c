#include "channels/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channels/lock.h"
#include "channels/message.h"
#include "runtime/arena.h"
#include "runtime/link.h"
#include "runtime/report.h"

#define MAX_CAPACITY (1u << 30)

/* ---- making and freeing ---- */

/* The environment is asked once. */
static enum uvcsp_carrier default_carrier(void)
{
    static enum uvcsp_carrier carrier;
    if (__builtin_expect(carrier != 0, 1))
        return carrier;
    const char *text = getenv("UVCSP_CARRIER");
    carrier = text && strcmp(text, "shared") == 0 ? UVCSP_SHARED : UVCSP_PIPE;
    if (text && carrier == UVCSP_PIPE && strcmp(text, "pipe") != 0)
        usp_report("UVCSP_CARRIER=%s is neither pipe nor shared; it is pipe", text);
    return carrier;
}

static int slowness(enum uvcsp_type type, size_t size, int capacity)
{
    if (type != UVCSP_TYPE_PLAIN || size > UINT32_MAX)
        return USP_GENERALLY;
    if (capacity == 0)
        return USP_RENDEZVOUS;
    return size == 4 ? USP_BUFFERED_4 : size == 8 ? USP_BUFFERED_8 : USP_BUFFERED;
}

static struct usp_channel *make(size_t size, enum uvcsp_type type,
                                const uvcsp_channel_options *options)
{
    const char *name = options->name ? options->name : options->site_ ? options->site_ : "?";
    size_t length = strlen(name) + 1;
    struct usp_channel *channel = usp_arena_alloc(sizeof *channel + length, USP_BLOCK_CHANNEL);
    if (!channel)
        return NULL;
    memset(channel, 0, sizeof *channel);
    memcpy(channel->name, name, length);
    channel->size = size;
    channel->type = (uint8_t)type;
    channel->carrier = (uint8_t)(options->carrier ? options->carrier : default_carrier());
    channel->capacity = (uint32_t)options->capacity;
    channel->site = options->site_;
    channel->home = (uint16_t)usp_worker_index();
    atomic_init(&channel->bias, usp_bias_of(usp_worker_index()));
    channel->slow = (uint8_t)slowness(type, size, options->capacity);
    channel->plain_size = size == 4 || size == 8 ? (uint8_t)size : 0;
    channel->n_refs = 1;
    channel->held = true;
    if (options->capacity > 0) {
        while (channel->mask + 1 < channel->capacity)
            channel->mask = channel->mask * 2 + 1;
        channel->buffer = usp_arena_alloc(usp_message_slot(channel) * ((size_t)channel->mask + 1),
                                          USP_BLOCK_MESSAGE);
        if (!channel->buffer) {
            usp_arena_free(channel);
            return NULL;
        }
    }
    struct usp_task *task = usp_current()->task;
    if (task) { /* callbacks of the loop run for no process */
        struct usp_wait *wait = usp_wait_of(task);
        channel->maker = task;
        channel->made_next = wait->made;
        if (wait->made)
            wait->made->made_prev = channel;
        wait->made = channel;
    }
    atomic_signal_fence(memory_order_seq_cst);
    channel->magic = USP_CHANNEL_MAGIC;
    if (channel->buffer) /* from now on it is found with its channel */
        usp_arena_set_owner(channel->buffer, USP_NOBODY);
    return channel;
}

void *uvcsp_channel_new(size_t size, enum uvcsp_type type, uvcsp_channel_options options)
{
    USP_ENTER();
    const char *site = options.site_ ? options.site_ : "?";
    int error = 0;
    if (options.capacity < 0 || (uint32_t)options.capacity > MAX_CAPACITY)
        error = EINVAL;
    else if (size == 0 || type > UVCSP_TYPE_JSON ||
             (options.carrier && options.carrier != UVCSP_PIPE && options.carrier != UVCSP_SHARED))
        error = EINVAL;
    if (error) {
        usp_report("%s: CHANNEL: %s", site,
                   size == 0 ? "a message type of size 0"
                   : options.capacity < 0 || (uint32_t)options.capacity > MAX_CAPACITY
                       ? "the capacity is negative or too large"
                       : "unknown type or carrier");
        errno = error;
        return NULL;
    }
    struct usp_channel *channel = make(size, type, &options);
    if (!channel) {
        usp_report("%s: CHANNEL: no room in the shared arena for %d messages of %zu bytes "
                   "(UVCSP_ARENA sets its size)", site, options.capacity, size);
        errno = ENOMEM;
    }
    return channel;
}

int uvcsp_channels_new(void *array, size_t n, size_t size, enum uvcsp_type type,
                       uvcsp_channel_options options)
{
    if (!array && n > 0) {
        usp_report("%s: CHANNELS: the array is NULL", options.site_ ? options.site_ : "?");
        return -EINVAL;
    }
    void **channels = array;
    void **made = malloc((n ? n : 1) * sizeof *made);
    if (!made)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        made[i] = uvcsp_channel_new(size, type, options);
        if (!made[i]) {
            int error = errno;
            while (i-- > 0)
                uvcsp_channel_free(made[i]);
            free(made);
            return -error;
        }
    }
    memcpy(channels, made, n * sizeof *made);
    free(made);
    return 0;
}

static void unlink_made(struct usp_channel *channel)
{
    if (!channel->maker)
        return;
    if (channel->made_prev)
        channel->made_prev->made_next = channel->made_next;
    else
        usp_wait_of(channel->maker)->made = channel->made_next;
    if (channel->made_next)
        channel->made_next->made_prev = channel->made_prev;
    channel->maker = NULL;
    channel->made_next = channel->made_prev = NULL;
}

/* Takes the messages out one by one: a message that is out is this worker's, and goes with it if it dies. */
void usp_buffer_drop(struct usp_channel *channel)
{
    for (;;) {
        usp_lock(channel);
        void *block = NULL;
        bool any = usp_buffered(channel) > 0;
        if (any) {
            block = usp_buffer_block(channel, usp_counted(channel, USP_READER));
            usp_buffer_skip(channel);
        }
        usp_unlock(channel);
        if (!any)
            return;
        if (channel->type == UVCSP_TYPE_END && block)
            usp_end_release(block, USP_LEAVE_RETIRE, NULL);
        else
            usp_arena_free(block);
    }
}

static void own(void *block)
{
    if (block)
        usp_arena_set_owner(block, usp_worker_index());
}

void usp_channel_unref(struct usp_channel *channel)
{
    if (--channel->n_refs > 0) {
        usp_unlock(channel);
        return;
    }
    /* while it is taken to pieces they are this worker's, and go with it if it dies */
    own(channel);
    own(channel->buffer);
    own(channel->lanes);
    own((void *)(uintptr_t)channel->cause);
    for (uint32_t n = usp_counted(channel, USP_READER); n != usp_counted(channel, USP_WRITER); n++)
        own(usp_buffer_block(channel, n));
    USP_FAILPOINT("channel-owned");
    channel->magic = USP_GONE_MAGIC;
    usp_unlock(channel);
    if (channel->buffer) {
        usp_buffer_drop(channel);
        usp_arena_free(channel->lanes);
        usp_arena_free(channel->buffer);
    }
    usp_arena_free((void *)(uintptr_t)channel->cause);
    USP_FAILPOINT("channel-in-pieces");
    usp_arena_free(channel);
}

void usp_channel_disown(struct usp_channel *channel)
{
    usp_lock(channel);
    if (!channel->held) {
        usp_unlock(channel);
        return;
    }
    channel->held = false;
    channel->common = NULL;
    USP_FAILPOINT("channel-not-held");
    unlink_made(channel);
    /* nobody can make an end any more: a side that has none will never have one */
    for (int side = 0; side < 2 && !channel->lenient; side++)
        if (channel->n_ends[side] == 0)
            usp_side_retires(channel, (enum usp_side)side);
    if (channel->n_refs > 1)
        usp_arena_set_owner(channel, USP_NOBODY);
    usp_channel_unref(channel);
}

void usp_channels_unmatched(struct usp_task *task)
{
    for (struct usp_channel *c = usp_wait_of(task)->made; c; c = c->made_next) {
        usp_lock(c);
        if (!c->lenient && (c->n_ends[USP_READER] == 0) != (c->n_ends[USP_WRITER] == 0))
            usp_side_retires(c, c->n_ends[USP_READER] == 0 ? USP_READER : USP_WRITER);
        usp_unlock(c);
    }
}

void usp_channel_make_common(struct usp_channel *channel)
{
    usp_arena_set_owner(channel, USP_NOBODY);
    usp_lock(channel);
    unlink_made(channel);
    usp_unbias(channel);
    channel->far = 1;
    usp_link_expect();
    usp_unlock(channel);
}

void usp_channels_release(struct usp_task *task)
{
    while (usp_wait_of(task)->made)
        usp_channel_disown(usp_wait_of(task)->made);
}

void uvcsp_channel_free(void *x)
{
    USP_ENTER();
    if (!x)
        return;
    struct usp_channel *channel = x;
    if (!usp_arena_is(x, USP_BLOCK_CHANNEL) || channel->magic != USP_CHANNEL_MAGIC ||
        !channel->held || channel->lenient) {
        usp_report("uvcsp_channel_free: this is no channel, or it was freed before");
        return;
    }
    if (channel->maker && channel->maker->worker != usp_worker_index()) {
        usp_report("uvcsp_channel_free: channel '%s' was made by another worker", channel->name);
        return;
    }
    usp_channel_disown(channel);
}

/* ---- looking at a channel ---- */

struct usp_channel *usp_channel_of(void *x, const char *what)
{
    if (usp_arena_is(x, USP_BLOCK_CHANNEL)) {
        struct usp_channel *channel = x;
        if (channel->magic == USP_CHANNEL_MAGIC)
            return channel;
    } else if (usp_arena_is(x, USP_BLOCK_END)) {
        struct usp_end *end = x;
        if (end->magic == USP_END_MAGIC)
            return end->channel;
    }
    usp_report("%s: %s", what,
               x ? "this is neither a channel nor an end, or it was freed" : "the channel or end is NULL");
    return NULL;
}

bool usp_channel_stands(const struct usp_channel *channel)
{
    atomic_thread_fence(memory_order_seq_cst);
    return usp_arena_is(channel, USP_BLOCK_CHANNEL) && *(const volatile uint32_t *)&channel->magic == USP_CHANNEL_MAGIC;
}

int uvcsp_channel_size(void *x)
{
    USP_ENTER();
    struct usp_channel *channel = usp_channel_of(x, "uvcsp_channel_size");
    if (!channel)
        return -EINVAL;
    usp_lock(channel);
    int n = (int)usp_buffered(channel);
    usp_unlock(channel);
    return n;
}

bool usp_describe_wait(const struct usp_task *task, char *text, size_t size)
{
    struct usp_wait *wait = (struct usp_wait *)task->room;
    const struct usp_offer *offers = wait->n > 1 ? wait->table : &wait->first;
    if (usp_commit_state(atomic_load(&task->commit)) != USP_OPEN || wait->n == 0)
        return false;
    size_t n = 0;
    for (uint32_t i = 0; i < wait->n && i < 4; i++) {
        const struct usp_channel *channel = offers[i].channel;
        bool named = channel->site && strcmp(channel->name, channel->site) != 0;
        n += (size_t)snprintf(text + n, n < size ? size - n : 0, "%s%s channel '%s'%s%s%s",
                              i ? ", or " : "", offers[i].side == USP_READER ? "to read from" : "to write to",
                              channel->name, named ? " (made at " : "", named ? channel->site : "",
                              named ? ")" : "");
    }
    if (wait->n > 4 && n < size)
        snprintf(text + n, size - n, ", or %u more", wait->n - 4);
    return true;
}

const char *uvcsp_cause(void *x)
{
    USP_ENTER();
    struct usp_channel *channel = usp_channel_of(x, "uvcsp_cause");
    if (!channel || !(channel->ended & USP_POISONED))
        return NULL;
    return channel->cause ? channel->cause : "poisoned; the arena had no room for the cause";
}

/* ---- poison ---- */

/* Claims all who wait on that side, and appends their offers to a list. */
static struct usp_offer **claim_side(struct usp_channel *channel, enum usp_side side, int outcome,
                                     struct usp_offer **end)
{
    struct usp_offer *offer;
    while ((offer = usp_take(channel, side))) {
        offer->task->outcome = outcome;
        *end = offer;
        end = &offer->next;
    }
    *end = NULL;
    return end;
}

static void wake_claimed(struct usp_offer *offer)
{
    while (offer) {
        struct usp_task *task = offer->task;
        offer = offer->next; /* its own once it runs */
        usp_wake_any(task);
    }
}

void usp_wake_side(struct usp_channel *channel, enum usp_side side, int outcome)
{
    struct usp_offer *claimed;
    claim_side(channel, side, outcome, &claimed);
    wake_claimed(claimed);
}

void usp_wake_sides(struct usp_channel *channel, int outcome)
{
    struct usp_offer *claimed;
    claim_side(channel, USP_WRITER, outcome, claim_side(channel, USP_READER, outcome, &claimed));
    wake_claimed(claimed);
}

void usp_channel_note(struct usp_channel *channel, const char *cause)
{
    size_t length = strlen(cause) + 1;
    char *text = usp_arena_alloc(length, USP_BLOCK_TEXT);
    if (!text)
        return;
    memcpy(text, cause, length);
    usp_lock(channel);
    if (!channel->cause) {
        channel->cause = text;
        usp_arena_set_owner(text, USP_NOBODY);
        text = NULL;
    }
    usp_unlock(channel);
    usp_arena_free(text);
}

/* And all who waited know it: whoever has done it has let go of the lock, or will soon, and then is waited for. */
static bool is_poisoned(const struct usp_channel *channel)
{
    if (!(*(const volatile uint8_t *)&channel->ended & USP_POISONED))
        return false;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&channel->lock, memory_order_acquire) == 0 &&
           atomic_load_explicit(&channel->inside, memory_order_acquire) == 0;
}

void usp_channel_poison(struct usp_channel *channel, const char *cause)
{
    if (is_poisoned(channel)) /* for ever */
        return;
    size_t length = strlen(cause) + 1;
    char *text = usp_arena_alloc(length, USP_BLOCK_TEXT);
    if (text)
        memcpy(text, cause, length);
    usp_lock(channel);
    if (channel->ended & USP_POISONED) {
        usp_unlock(channel);
        usp_arena_free(text);
        return;
    }
    if (!channel->cause) { /* one is there if who left it died of it */
        channel->cause = text;
        USP_FAILPOINT("cause-left");
        if (text)
            usp_arena_set_owner(text, USP_NOBODY);
        text = NULL;
    }
    channel->ended |= USP_POISONED;
    channel->slow = USP_GENERALLY;
    USP_FAILPOINT("poisoned");
    usp_wake_sides(channel, UVCSP_POISONED);
    usp_unlock(channel);
    usp_arena_free(text);
    usp_buffer_drop(channel); /* nobody reads it any more; and an end in it may be one of this channel */
}

int uvcsp_poison_at(void *x, const char *site)
{
    USP_ENTER();
    struct usp_channel *channel = usp_channel_of(x, "POISON");
    if (!channel)
        return -EINVAL;
    struct usp_task *task = usp_current()->task;
    if (x == channel)
        usp_channel_used(channel, task);
    char cause[300];
    snprintf(cause, sizeof cause, "poisoned by process '%s' (pid %d) at %s",
             task ? task->name : "callback", (int)getpid(), site ? site : "?");
    usp_channel_poison(channel, cause);
    return 0;
}
