/* What a message is, by type: how a value becomes a run of bytes, and back.

   Plain values are their own bytes. The types of variable length are bytes and a length: in a
   buffer such a message is a block of the arena. A mobile end is its address; it is nobody's on its way. */
#ifndef USP_CHANNELS_MESSAGE_H
#define USP_CHANNELS_MESSAGE_H

#include <stddef.h>
#include <string.h>

#include "channels/channel.h"

struct usp_bytes {
    const void *data;
    size_t length;
    void *owned; /* to be freed, or NULL */
};

/* A copy of small values without a call. */
static inline void usp_copy(void *to, const void *from, size_t size)
{
    if (size == 4)
        memcpy(to, from, 4);
    else if (size == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, size);
}

/* A copy into the arena, for a reader that may run on another processor. */
void usp_copy_over(void *to, const void *from, size_t size);

static inline bool usp_is_plain(const struct usp_channel *channel)
{
    return channel->type == UVCSP_TYPE_PLAIN;
}

/* The bytes of a value. 0; -EINVAL: it cannot be encoded; -ENOMEM. */
int usp_message_bytes(const struct usp_channel *channel, const void *value, struct usp_bytes *bytes);
/* The same; a short one that has to be made lies in `room`. */
int usp_message_bytes_in(const struct usp_channel *channel, const void *value, struct usp_bytes *bytes, void *room,
                         size_t size);
void usp_bytes_release(struct usp_bytes *bytes);

/* The value from its bytes. 0, -ENOMEM, -EINVAL. */
int usp_message_land(const struct usp_channel *channel, void *value, const void *data,
                     size_t length);

/* The same in two steps, for bytes that come bit by bit: where they go (NULL: no memory), and, when all are
   there, the value. For a plain value that is the value itself. */
void *usp_message_place(const struct usp_channel *channel, void *value, size_t length);
int usp_message_settle(const struct usp_channel *channel, void *value, void *place, size_t length);
void usp_message_abandon(const struct usp_channel *channel, void *place);

/* ---- what lies in a slot of a buffer, of variable length ---- */

#define USP_SHORT 15
#define USP_IS_SHORT 0x80u

/* A few bytes, or a block with more. */
union usp_parcel {
    struct {
        void *block;
        uint64_t length;      /* little-endian, so that its last byte is the highest: 0 */
    };
    struct {
        char bytes[USP_SHORT];
        uint8_t is_short;     /* USP_IS_SHORT + length */
    };
};

_Static_assert(sizeof(union usp_parcel) == USP_SHORT + 1, "the mark is the last byte of the length");

/* 0 or -ENOMEM. A block is the caller's. */
int usp_parcel_pack(union usp_parcel *parcel, const void *data, size_t length);
static inline void *usp_parcel_block(const union usp_parcel *parcel)
{
    return parcel->is_short ? NULL : parcel->block;
}
size_t usp_parcel_length(const union usp_parcel *parcel);
static inline const void *usp_parcel_data(const union usp_parcel *parcel)
{
    return parcel->is_short ? parcel->bytes : parcel->block;
}

/* ---- the buffer; the lock is held ---- */

/* Bytes of a slot. */
size_t usp_message_slot(const struct usp_channel *channel);
/* That of message `n`; `size` is what usp_message_slot() says. */
static inline void *usp_buffer_slot(const struct usp_channel *channel, uint32_t n, size_t size)
{
    return channel->buffer + size * (n & channel->mask);
}
/* Puts bytes behind the last message. 0 or -ENOMEM. There is room. */
int usp_buffer_put(struct usp_channel *channel, const void *data, size_t length);
/* The length of message `n`, from `read` to `written`; of variable length. */
size_t usp_buffer_length(const struct usp_channel *channel, uint32_t n);
/* After a crash the bytes in the buffer are counted anew, where there is a limit to them. */
void usp_buffer_count_bytes(struct usp_channel *channel);
/* Takes the first message out into `value`. 0; or -errno, and it is still there. */
int usp_buffer_get(struct usp_channel *channel, void *value);
/* The block that belongs to message `n`, from `read` to `written`: of its bytes, or an end; or NULL. */
void *usp_buffer_block(const struct usp_channel *channel, uint32_t n);
/* The first message is out; its block is the caller's. */
void usp_buffer_skip(struct usp_channel *channel);

#endif
