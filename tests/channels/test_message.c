/* Messages: from a value to bytes and back, and the buffer in between. */
#include <errno.h>
#include <jansson.h>

#include "channels/message.h"
#include "tests/channels/floor.h"

struct pair {
    long a, b;
};

/* The value that comes out of the bytes of `value`. */
static void through(struct usp_channel *channel, const void *value, void *landed)
{
    struct usp_bytes bytes;
    ck_assert_int_eq(usp_message_bytes(channel, value, &bytes), 0);
    ck_assert_int_eq(usp_message_land(channel, landed, bytes.data, bytes.length), 0);
    usp_bytes_release(&bytes);
}

TEST(a_plain_value_is_its_own_bytes)
{
    struct usp_channel *channel = floor_channel(sizeof(struct pair), UVCSP_TYPE_PLAIN, 0);
    struct pair in = {3, 4}, out = {0, 0};
    through(channel, &in, &out);
    ck_assert_int_eq(out.a, 3);
    ck_assert_int_eq(out.b, 4);
}

TEST(bytes_are_copied_and_the_readers_to_free)
{
    struct usp_channel *channel = floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 0);
    char text[] = "seven";
    uvcsp_bytes in = {text, sizeof text}, out;
    through(channel, &in, &out);
    text[0] = 'x';
    ck_assert_str_eq(out.data, "seven");
    free(out.data);
}

TEST(no_bytes_arrive_as_null)
{
    struct usp_channel *channel = floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 0);
    uvcsp_bytes in = {"", 0}, out = {&in, 9};
    through(channel, &in, &out);
    ck_assert_ptr_null(out.data);
    ck_assert_uint_eq(out.size, 0);
}

TEST(a_size_without_data_cannot_be_sent)
{
    struct usp_channel *channel = floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 0);
    struct usp_bytes bytes;
    ck_assert_int_eq(usp_message_bytes(channel, &(uvcsp_bytes){NULL, 3}, &bytes), -EINVAL);
}

TEST(a_string_keeps_its_end_and_null_stays_null)
{
    struct usp_channel *channel = floor_channel(sizeof(char *), UVCSP_TYPE_STRING, 0);
    char *in = "word", *out;
    through(channel, &in, &out);
    ck_assert_str_eq(out, "word");
    ck_assert_ptr_ne(out, in);
    free(out);
    in = NULL;
    through(channel, &in, &out);
    ck_assert_ptr_null(out);
}

TEST(json_of_any_kind_comes_out_equal)
{
    struct usp_channel *channel = floor_channel(sizeof(json_t *), UVCSP_TYPE_JSON, 0);
    const char *texts[] = {"[42,null,\"hello\"]", "{\"a\":{\"b\":[1.5,true]}}", "7", "\"\\u0000x\"", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *in = json_loads(texts[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL), *out;
        ck_assert_ptr_nonnull(in);
        through(channel, &in, &out);
        ck_assert(json_equal(in, out));
        json_decref(in);
        json_decref(out);
    }
}

TEST(bytes_that_come_bit_by_bit_settle_into_the_value)
{
    struct usp_channel *channel = floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 0);
    uvcsp_bytes out;
    char *place = usp_message_place(channel, &out, 4);
    memcpy(place, "ab", 2);
    memcpy(place + 2, "cd", 2);
    ck_assert_int_eq(usp_message_settle(channel, &out, place, 4), 0);
    ck_assert_mem_eq(out.data, "abcd", 4);
    free(out.data);
}

TEST(a_plain_value_of_another_length_has_no_place)
{
    struct usp_channel *channel = floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 0);
    int out;
    ck_assert_ptr_null(usp_message_place(channel, &out, 5));
}

/* ---- the buffer ---- */

TEST(a_buffer_gives_back_in_order_also_when_its_counters_wrap)
{
    struct usp_channel *channel = floor_channel(sizeof(int), UVCSP_TYPE_PLAIN, 3);
    channel->written = channel->read = UINT32_MAX - 4;
    int next = 0;
    for (int i = 0; i < 30; i += 3) {
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(usp_buffer_put(channel, &(int){i + k}, sizeof(int)), 0);
        ck_assert_uint_eq(usp_buffered(channel), 3);
        for (int k = 0; k < 3; k++) {
            int x;
            ck_assert_int_eq(usp_buffer_get(channel, &x), 0);
            ck_assert_int_eq(x, next++);
        }
    }
}

TEST(a_message_of_any_length_goes_through_a_buffer_and_a_short_one_needs_no_block)
{
    struct usp_channel *channel = floor_channel(sizeof(uvcsp_bytes), UVCSP_TYPE_BYTES, 2);
    size_t before = usp_arena_count(USP_BLOCK_MESSAGE);
    char data[200];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(0xff - i);
    for (size_t length = 0; length <= sizeof data; length++) {
        uvcsp_bytes out;
        ck_assert_int_eq(usp_buffer_put(channel, data, length), 0);
        ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE) - before, length > 15);
        ck_assert_int_eq(usp_buffer_block(channel, channel->read) != NULL, length > 15);
        ck_assert_uint_eq(usp_buffer_length(channel, usp_counted(channel, USP_READER)), length);
        ck_assert_int_eq(usp_buffer_get(channel, &out), 0);
        ck_assert_uint_eq(out.size, length);
        ck_assert(length == 0 ? !out.data : memcmp(out.data, data, length) == 0);
        free(out.data);
        ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE), before);
    }
}

TEST(what_is_dropped_from_a_buffer_leaves_no_block)
{
    struct usp_channel *channel = floor_channel(sizeof(char *), UVCSP_TYPE_STRING, 4);
    size_t before = usp_arena_count(USP_BLOCK_MESSAGE);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(usp_buffer_put(channel, "text that is not short", 23), 0);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE), before + 4);
    usp_buffer_drop(channel);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE), before);
}

TEST(a_channel_that_goes_takes_its_buffer_with_it)
{
    size_t channels = usp_arena_count(USP_BLOCK_CHANNEL), messages = usp_arena_count(USP_BLOCK_MESSAGE);
    struct usp_channel *channel = floor_channel(sizeof(char *), UVCSP_TYPE_STRING, 4);
    ck_assert_int_eq(usp_buffer_put(channel, "text that is not short", 23), 0);
    uvcsp_channel_free(channel);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_CHANNEL), channels);
    ck_assert_uint_eq(usp_arena_count(USP_BLOCK_MESSAGE), messages);
}

SUITE("message", .before = floor_before, .after = floor_after)
