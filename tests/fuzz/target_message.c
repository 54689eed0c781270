/* What a message is, by type, and the buffer of a channel: random messages put in and taken out,
   held against an array of what is in; bytes that are to become a value, whatever they are.

   input: the type; then operations: 0 put (a length, bytes), 1 get, 2 land (a length, bytes) */
#include <errno.h>
#include <jansson.h>
#include <limits.h>

#include "channels/message.h"
#include "runtime/arena.h"
#include "tests/fuzz/fuzz.h"

enum { CAPACITY = 4, PLAIN_SIZE = 24, MOST = 300 };

struct kept {
    unsigned char data[MOST];
    size_t length;
};

/* Gives back a value that has been taken out; is it the one that was put in? */
static bool take(const struct usp_channel *channel, const void *value, const struct kept *kept)
{
    bool good;
    if (channel->type == UVCSP_TYPE_BYTES) {
        const uvcsp_bytes *bytes = value;
        good =
            bytes->size == kept->length &&
            (bytes->size == 0 ? !bytes->data : memcmp(bytes->data, kept->data, bytes->size) == 0);
        free(bytes->data);
    } else if (channel->type == UVCSP_TYPE_STRING) {
        char *text = *(char *const *)value;
        good = kept->length == 0 ? !text : text && strcmp(text, (const char *)kept->data) == 0;
        free(text);
    } else {
        good = memcmp(value, kept->data, PLAIN_SIZE) == 0;
    }
    return good;
}

/* What can be decoded is encoded again without an error, and decoded to an equal value with the same bytes. */
static void land_value(const struct usp_channel *channel, struct input *in)
{
    char data[MOST], room[64];
    json_t *value = NULL, *again = NULL;
    size_t length = eat(in, data, eat_byte(in));
    int rc = usp_message_land(channel, &value, data, length);
    MUST(rc == 0 || (rc == -ENOMEM && !value));
    if (!value)
        return;
    struct usp_bytes bytes, same;
    MUST(usp_message_bytes(channel, &value, &bytes) == 0 && bytes.owned);
    MUST(usp_message_land(channel, &again, bytes.data, bytes.length) == 0);
    MUST(json_equal(value, again));
    MUST(usp_message_bytes_in(channel, &again, &same, room, sizeof room) == 0);
    MUST(!same.owned == (same.length <= sizeof room));
    MUST(same.length == bytes.length && memcmp(same.data, bytes.data, same.length) == 0);
    usp_bytes_release(&bytes);
    usp_bytes_release(&same);
    json_decref(value);
    json_decref(again);
}

static size_t compose(const struct usp_channel *channel, struct input *in, struct kept *kept)
{
    memset(kept, 0, sizeof *kept);
    size_t most = channel->type == UVCSP_TYPE_PLAIN ? PLAIN_SIZE : eat_byte(in);
    kept->length = eat(in, kept->data, most);
    if (channel->type == UVCSP_TYPE_PLAIN)
        kept->length = PLAIN_SIZE;
    if (channel->type == UVCSP_TYPE_STRING)
        kept->length = kept->length ? strlen((const char *)kept->data) + 1 : 0;
    return kept->length;
}

static void put(struct usp_channel *channel, struct input *in, struct kept *kept)
{
    size_t length = compose(channel, in, kept);
    const char *text = length ? (const char *)kept->data : NULL;
    uvcsp_bytes bytes = {kept->data, length};
    const void *value = channel->type == UVCSP_TYPE_BYTES    ? (const void *)&bytes
                        : channel->type == UVCSP_TYPE_STRING ? (const void *)&text
                                                             : (const void *)kept->data;
    struct usp_bytes packed;
    MUST(usp_message_bytes(channel, value, &packed) == 0 && packed.length == length);
    MUST(usp_buffer_put(channel, packed.data, packed.length) == 0);
    usp_bytes_release(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char slots[CAPACITY * 32] __attribute__((aligned(16)));
    static const enum uvcsp_type types[] = {UVCSP_TYPE_PLAIN, UVCSP_TYPE_BYTES, UVCSP_TYPE_STRING,
                                            UVCSP_TYPE_JSON};
    static struct usp_channel channel;
    struct kept kept[CAPACITY];
    struct input in = {data, data + size};
    unsigned first = 0, n = 0;
    MUST(usp_arena_init(16 << 20) == 0);
    memset(&channel, 0, sizeof channel);
    channel.type = types[eat_below(&in, 4)];
    channel.size = channel.type == UVCSP_TYPE_PLAIN   ? PLAIN_SIZE
                   : channel.type == UVCSP_TYPE_BYTES ? sizeof(uvcsp_bytes)
                                                      : sizeof(void *);
    channel.capacity = CAPACITY;
    channel.mask = CAPACITY - 1;
    channel.buffer = (void *)slots;
    channel.written = channel.read = eat_byte(&in) % 2 ? UINT32_MAX - 2 : 0; /* they wrap */
    while (in.at < in.end) {
        unsigned what = eat_below(&in, 3);
        if (channel.type == UVCSP_TYPE_JSON) {
            land_value(&channel, &in);
        } else if (what == 0 && n < CAPACITY) {
            put(&channel, &in, &kept[(first + n++) % CAPACITY]);
        } else if (what == 1 && n > 0) {
            unsigned char value[PLAIN_SIZE];
            MUST(channel.type == UVCSP_TYPE_PLAIN ||
                 usp_buffer_length(&channel, usp_counted(&channel, USP_READER)) == kept[first % CAPACITY].length);
            MUST(usp_buffer_get(&channel, value) == 0);
            MUST(take(&channel, value, &kept[first++ % CAPACITY]));
            n--;
        }
        MUST(channel.written - channel.read == n);
    }
    for (; n > 0; n--) {
        void *block = usp_buffer_block(&channel, channel.read);
        usp_buffer_skip(&channel);
        usp_arena_free(block);
    }
    static unsigned runs; /* to count takes longer than all the rest */
    MUST(runs++ % 64 != 0 || usp_arena_count(USP_BLOCK_MESSAGE) == 0);
    return 0;
}
