#include "channels/message.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "channels/value.h"
#include "runtime/arena.h"

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

/* A value's bytes lie in `room`, or in memory of their own. */
static int encode(const json_t *json, struct usp_bytes *bytes, void *room, size_t size)
{
    struct usp_packet packet = {.data = room, .room = size, .fixed = room, .fixed_room = size};
    if (!json)
        return 0;
    usp_encode_message(&packet, json);
    int rc = packet.error;
    if (rc < 0) {
        usp_packet_free(&packet);
        return rc;
    }
    bytes->data = packet.data;
    bytes->length = packet.size;
    bytes->owned = packet.data == room ? NULL : packet.data;
    return 0;
}

int usp_message_bytes_in(const struct usp_channel *channel, const void *value, struct usp_bytes *bytes, void *room,
                         size_t size)
{
    *bytes = (struct usp_bytes){NULL, 0, NULL};
    switch ((enum uvcsp_type)channel->type) {
    case UVCSP_TYPE_END:
        if (usp_end_stays(((const uvcsp_end *)value)->end_))
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
    case UVCSP_TYPE_JSON:
        return encode(*(const json_t *const *)value, bytes, room, size);
    }
    return -EINVAL;
}

int usp_message_bytes(const struct usp_channel *channel, const void *value, struct usp_bytes *bytes)
{
    return usp_message_bytes_in(channel, value, bytes, NULL, 0);
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

static int land_json(json_t **valuep, const void *data, size_t length)
{
    json_t *json = length ? usp_decode_message(data, length) : NULL;
    if (!json && length)
        return -ENOMEM;
    *valuep = json;
    return 0;
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
        int rc = land_json(value, place, length);
        free(place);
        return rc;
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
    if (channel->type == UVCSP_TYPE_JSON)
        return land_json(value, data, length);
    void *place = usp_message_place(channel, value, length);
    if (!place)
        return -ENOMEM;
    if (length)
        memcpy(place, data, length);
    return usp_message_settle(channel, value, place, length);
}

/* ---- the buffer ---- */

static struct usp_end *end_of(const void *value)
{
    uvcsp_end end;
    memcpy(&end, value, sizeof end);
    return end.end_;
}

static inline bool fixed(const struct usp_channel *channel)
{
    return channel->type == UVCSP_TYPE_PLAIN || channel->type == UVCSP_TYPE_END;
}

int usp_parcel_pack(union usp_parcel *parcel, const void *data, size_t length)
{
    if (length > 0 && length <= USP_SHORT) {
        memcpy(parcel->bytes, data, length);
        parcel->is_short = (uint8_t)(USP_IS_SHORT + length);
        return 0;
    }
    parcel->block = NULL;
    parcel->length = htole64(length);
    if (length > 0) {
        parcel->block = usp_arena_alloc(length, USP_BLOCK_MESSAGE);
        if (!parcel->block)
            return -ENOMEM;
        usp_copy_over(parcel->block, data, length);
    }
    return 0;
}

size_t usp_parcel_length(const union usp_parcel *parcel)
{
    return parcel->is_short ? parcel->is_short - USP_IS_SHORT : (size_t)le64toh(parcel->length);
}

size_t usp_message_slot(const struct usp_channel *channel)
{
    return fixed(channel) ? channel->size : sizeof(union usp_parcel);
}

static inline void *slot_of(const struct usp_channel *channel, uint32_t n)
{
    return usp_buffer_slot(channel, n, usp_message_slot(channel));
}

void *usp_buffer_block(const struct usp_channel *channel, uint32_t n)
{
    const void *slot = slot_of(channel, n);
    if (channel->type == UVCSP_TYPE_PLAIN)
        return NULL;
    if (channel->type == UVCSP_TYPE_END)
        return end_of(slot);
    union usp_parcel parcel;
    memcpy(&parcel, slot, sizeof parcel);
    return usp_parcel_block(&parcel);
}

size_t usp_buffer_length(const struct usp_channel *channel, uint32_t n)
{
    union usp_parcel parcel;
    memcpy(&parcel, slot_of(channel, n), sizeof parcel);
    return usp_parcel_length(&parcel);
}

/* A message of so many bytes has entered, or left, and there is a limit to them. After a crash they are counted anew. */
static void count_bytes(struct usp_channel *channel, enum usp_side side, size_t length)
{
    if (usp_is_laned(channel))
        channel->lanes[side].bytes += (int64_t)length;
    else
        channel->bytes += side == USP_WRITER ? (int64_t)length : -(int64_t)length;
}

void usp_buffer_count_bytes(struct usp_channel *channel)
{
    int64_t sum = 0;
    if (!channel->enough)
        return;
    for (uint32_t n = usp_counted(channel, USP_READER); n != usp_counted(channel, USP_WRITER); n++)
        sum += (int64_t)usp_buffer_length(channel, n);
    if (usp_is_laned(channel))
        channel->lanes[USP_READER].bytes = channel->lanes[USP_READER].bytes_then = channel->lanes[USP_WRITER].bytes - sum;
    else
        channel->bytes = sum;
}

/* One store moves a message in or out. A block that belongs to a message is made nobody's after it is in, and somebody's
   before it is out: a crash in between is repaired by the rule that what is in the buffer is nobody's. */
static inline void step(struct usp_channel *channel, enum usp_side side)
{
    uint32_t *count = usp_count(channel, side);
    if (usp_is_laned(channel)) /* else a lane might pass by what it has seen, of which it looks for just that number */
        channel->lanes[side].seen = channel->lanes[usp_other(side)].count;
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)count = *count + 1;
    atomic_signal_fence(memory_order_seq_cst);
}

int usp_buffer_put(struct usp_channel *channel, const void *data, size_t length)
{
    void *slot = slot_of(channel, usp_counted(channel, USP_WRITER)), *block = NULL;
    if (channel->type == UVCSP_TYPE_PLAIN) {
        usp_copy(slot, data, channel->size);
    } else if (channel->type == UVCSP_TYPE_END) {
        memcpy(slot, data, channel->size);
        block = end_of(data);
    } else {
        union usp_parcel parcel = {.bytes = {0}};
        if (usp_parcel_pack(&parcel, data, length) < 0)
            return -ENOMEM;
        memcpy(slot, &parcel, sizeof parcel);
        block = usp_parcel_block(&parcel);
    }
    USP_FAILPOINT("buffer-filled");
    step(channel, USP_WRITER);
    USP_FAILPOINT("buffer-put");
    if (block)
        usp_arena_set_owner(block, USP_NOBODY);
    if (channel->enough)
        count_bytes(channel, USP_WRITER, length);
    return 0;
}

void usp_buffer_skip(struct usp_channel *channel)
{
    uint32_t n = usp_counted(channel, USP_READER);
    void *block = usp_buffer_block(channel, n);
    size_t length = channel->enough ? usp_buffer_length(channel, n) : 0;
    if (block)
        usp_arena_set_owner(block, usp_worker_index());
    USP_FAILPOINT("buffer-read");
    step(channel, USP_READER);
    USP_FAILPOINT("buffer-got");
    if (channel->enough)
        count_bytes(channel, USP_READER, length);
}

int usp_buffer_get(struct usp_channel *channel, void *value)
{
    const void *slot = slot_of(channel, usp_counted(channel, USP_READER));
    void *block = NULL;
    if (fixed(channel)) {
        usp_copy(value, slot, channel->size);
    } else {
        union usp_parcel parcel;
        memcpy(&parcel, slot, sizeof parcel);
        block = usp_parcel_block(&parcel);
        int rc = usp_message_land(channel, value, usp_parcel_data(&parcel), usp_parcel_length(&parcel));
        if (rc < 0)
            return rc;
    }
    usp_buffer_skip(channel);
    usp_arena_free(block);
    return 0;
}
