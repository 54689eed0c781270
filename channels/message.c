#include "channels/message.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "runtime/arena.h"

/* A message of variable length in a buffer. */
struct parcel {
    void *block;
    size_t length;
};

/* Where another processor has read what lies at `to` before, and it is more than a cache holds, a
   store that fetches its line first takes five times as long as one that does not. `rep movsb` does
   not, on processors that are made for it (ERMS: leaf 7, EBX bit 9); below this size it makes no
   difference. */
#define COPY_BY_STRING 524288

void usp_copy_over(void *to, const void *from, size_t size)
{
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
    static int strings; /* 0: not asked yet */
    if (size >= COPY_BY_STRING && !strings) {
        unsigned a, b, c, d;
        strings = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 9 & 1 ? 1 : -1;
    }
    if (size >= COPY_BY_STRING && strings > 0) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
        return;
    }
#endif
    memcpy(to, from, size);
}

/* Jansson writes values that are nested more deeply than it reads. */
static bool too_deep(const char *text, size_t length)
{
    if (length <= 2 * JSON_PARSER_MAX_DEPTH)
        return false;
    int depth = 0;
    for (bool quoted = false; *text; text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted)
            text += *text == '\\';
        else if (*text == '[' || *text == '{')
            depth++;
        else if (*text == ']' || *text == '}')
            depth--;
        if (depth > JSON_PARSER_MAX_DEPTH)
            return true;
    }
    return false;
}

int usp_message_bytes(const struct usp_channel *channel, const void *value, struct usp_bytes *bytes)
{
    bytes->owned = NULL;
    switch ((enum uvcsp_type)channel->type) {
    case UVCSP_TYPE_END:
        if (!usp_arena_is(((const uvcsp_end *)value)->end_, USP_BLOCK_END))
            return -EINVAL;
        /* fall through */
    case UVCSP_TYPE_PLAIN:
        bytes->data = value;
        bytes->length = channel->size;
        return 0;
    case UVCSP_TYPE_BYTES: {
        const uvcsp_bytes *b = value;
        if (!b->data && b->size > 0)
            return -EINVAL;
        bytes->data = b->data;
        bytes->length = b->size;
        return 0;
    }
    case UVCSP_TYPE_STRING: {
        const char *s = *(const char *const *)value;
        bytes->data = s;
        bytes->length = s ? strlen(s) + 1 : 0;
        return 0;
    }
    case UVCSP_TYPE_JSON: {
        const json_t *json = *(const json_t *const *)value;
        bytes->data = bytes->owned = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        bytes->length = bytes->owned ? strlen(bytes->owned) : 0;
        if (bytes->owned && too_deep(bytes->owned, bytes->length)) {
            usp_bytes_release(bytes);
            return -EINVAL;
        }
        return bytes->owned || !json ? 0 : -EINVAL;
    }
    }
    return -EINVAL;
}

void usp_bytes_release(struct usp_bytes *bytes)
{
    free(bytes->owned);
    bytes->owned = NULL;
}

void *usp_message_place(const struct usp_channel *channel, void *value, size_t length)
{
    switch ((enum uvcsp_type)channel->type) {
    case UVCSP_TYPE_PLAIN:
    case UVCSP_TYPE_END:
        return length == channel->size ? value : NULL;
    default:
        return malloc(length ? length : 1);
    }
}

int usp_message_settle(const struct usp_channel *channel, void *value, void *place, size_t length)
{
    switch ((enum uvcsp_type)channel->type) {
    case UVCSP_TYPE_PLAIN:
    case UVCSP_TYPE_END:
        return 0;
    case UVCSP_TYPE_BYTES:
        if (length == 0) {
            free(place);
            place = NULL;
        }
        *(uvcsp_bytes *)value = (uvcsp_bytes){place, length};
        return 0;
    case UVCSP_TYPE_STRING:
        if (length == 0) {
            free(place);
            place = NULL;
        }
        *(char **)value = place;
        return 0;
    case UVCSP_TYPE_JSON: {
        json_t *json = length ? json_loadb(place, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
        free(place);
        if (!json && length)
            return -ENOMEM;
        *(json_t **)value = json;
        return 0;
    }
    }
    return -EINVAL;
}

void usp_message_abandon(const struct usp_channel *channel, void *place)
{
    if (channel->type != UVCSP_TYPE_PLAIN && channel->type != UVCSP_TYPE_END)
        free(place);
}

int usp_message_land(const struct usp_channel *channel, void *value, const void *data, size_t length)
{
    if (usp_is_plain(channel)) {
        usp_copy(value, data, channel->size);
        return 0;
    }
    void *place = usp_message_place(channel, value, length);
    if (!place)
        return -ENOMEM;
    if (length)
        memcpy(place, data, length);
    return usp_message_settle(channel, value, place, length);
}

/* ---- the buffer ---- */

static inline bool fixed(const struct usp_channel *channel)
{
    return channel->type == UVCSP_TYPE_PLAIN || channel->type == UVCSP_TYPE_END;
}

size_t usp_message_slot(const struct usp_channel *channel)
{
    return fixed(channel) ? channel->size : sizeof(struct parcel);
}

static inline void *slot_of(const struct usp_channel *channel, uint32_t n)
{
    return channel->buffer + usp_message_slot(channel) * (n & channel->mask);
}

void *usp_buffer_block(const struct usp_channel *channel, uint32_t n)
{
    if (channel->type == UVCSP_TYPE_PLAIN)
        return NULL;
    void *block; /* in a parcel as in an end, the first member */
    memcpy(&block, slot_of(channel, n), sizeof block);
    return block;
}

size_t usp_buffer_length(const struct usp_channel *channel)
{
    struct parcel parcel;
    memcpy(&parcel, slot_of(channel, channel->read), sizeof parcel);
    return parcel.length;
}

/* One store moves a message in or out. A block that belongs to a message is made nobody's after it is in, and somebody's
   before it is out: a crash in between is repaired by the rule that what is in the buffer is nobody's. */
static inline void step(uint32_t *count)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)count = *count + 1;
    atomic_signal_fence(memory_order_seq_cst);
}

int usp_buffer_put(struct usp_channel *channel, const void *data, size_t length)
{
    void *slot = slot_of(channel, channel->written);
    struct parcel parcel = {NULL, length};
    if (channel->type == UVCSP_TYPE_PLAIN) {
        usp_copy(slot, data, channel->size);
    } else if (channel->type == UVCSP_TYPE_END) {
        memcpy(slot, data, channel->size);
        memcpy(&parcel.block, data, sizeof parcel.block);
    } else {
        if (length > 0) {
            parcel.block = usp_arena_alloc(length, USP_BLOCK_MESSAGE);
            if (!parcel.block)
                return -ENOMEM;
            usp_copy_over(parcel.block, data, length);
        }
        memcpy(slot, &parcel, sizeof parcel);
    }
    USP_FAILPOINT("buffer-filled");
    step(&channel->written);
    USP_FAILPOINT("buffer-put");
    if (parcel.block)
        usp_arena_set_owner(parcel.block, USP_NOBODY);
    return 0;
}

void usp_buffer_skip(struct usp_channel *channel)
{
    void *block = usp_buffer_block(channel, channel->read);
    if (block)
        usp_arena_set_owner(block, usp_worker_index());
    USP_FAILPOINT("buffer-read");
    step(&channel->read);
    USP_FAILPOINT("buffer-got");
}

int usp_buffer_get(struct usp_channel *channel, void *value)
{
    const void *slot = slot_of(channel, channel->read);
    struct parcel parcel = {NULL, 0};
    if (fixed(channel)) {
        usp_copy(value, slot, channel->size);
    } else {
        memcpy(&parcel, slot, sizeof parcel);
        int rc = usp_message_land(channel, value, parcel.block, parcel.length);
        if (rc < 0)
            return rc;
    }
    usp_buffer_skip(channel);
    usp_arena_free(parcel.block);
    return 0;
}
