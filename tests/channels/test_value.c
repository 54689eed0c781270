/* Dynamic values as bytes: what goes in comes out, to the bit, and what cannot is refused. */
#include <errno.h>
#include <float.h>
#include <stdint.h>
#include <stdlib.h>

#include "channels/value.h"
#include "tests/channels/floor.h"

static json_t *through(const json_t *value)
{
    struct usp_packet packet = {0};
    usp_encode_message(&packet, value);
    ck_assert_int_eq(packet.error, 0);
    json_t *out = usp_decode_message(packet.data, packet.size);
    ck_assert_ptr_nonnull(out);
    usp_packet_free(&packet);
    return out;
}

static int error_of(const json_t *value)
{
    struct usp_packet packet = {0};
    usp_encode_message(&packet, value);
    int error = packet.error;
    usp_packet_free(&packet);
    return error;
}

/* It comes out equal, and its text is the same: so the order of keys too. */
static void comes_through(json_t *value)
{
    json_t *out = through(value);
    ck_assert(json_equal(value, out));
    char *before = json_dumps(value, JSON_ENCODE_ANY), *after = json_dumps(out, JSON_ENCODE_ANY);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    json_decref(value);
    json_decref(out);
}

static json_t *nested(json_t *value, int depth)
{
    for (int i = 0; i < depth; i++) {
        json_t *outer = i % 2 ? json_array() : json_object();
        if (i % 2)
            json_array_append_new(outer, value);
        else
            json_object_set_new(outer, "in", value);
        value = outer;
    }
    return value;
}

TEST(integers_of_any_size_come_through)
{
    const json_int_t few[] = {0, 1, -1, 127, 128, -128, -129, 255, 256, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        comes_through(json_integer(few[i]));
}

TEST(reals_come_through_to_the_bit)
{
    const double few[] = {0.0, -0.0, 0.1, 1e300, DBL_MAX, DBL_MIN, DBL_MIN / 1e10, -DBL_EPSILON, 3.0};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        json_t *in = json_real(few[i]), *out = through(in);
        double real = json_real_value(out);
        ck_assert(json_is_real(out));
        ck_assert_mem_eq(&real, &few[i], sizeof real);
        json_decref(in);
        json_decref(out);
    }
}

TEST(text_of_any_length_comes_through_and_zeroes_in_it)
{
    const size_t lengths[] = {0, 1, 7, 8, 13, 14, 254, 255, 256, 257, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *text = calloc(1, lengths[i] + 1);
        for (size_t k = 0; k < lengths[i]; k++)
            text[k] = (char)(k % 5 == 3 ? 0 : 'a' + k % 26);
        comes_through(json_stringn(text, lengths[i]));
        free(text);
    }
    comes_through(json_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d, \"quoted\" \\ \n"));
}

TEST(arrays_and_objects_of_any_size_come_through)
{
    const int sizes[] = {0, 1, 254, 255, 256, 257, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        json_t *array = json_array(), *object = json_object();
        for (int k = 0; k < sizes[i]; k++) {
            char key[300];
            snprintf(key, sizeof key, "%0*d", k % 90 * 3 + 1, k * 7919 % 4096);
            json_array_append_new(array, json_integer(k));
            json_object_set_new(object, key, k % 3 ? json_integer(k) : json_array());
        }
        comes_through(json_pack("[o,o,n,b,b]", array, object, 1, 0));
    }
}

TEST(one_value_in_two_places_is_no_circle)
{
    json_t *shared = json_pack("[i,s]", 1, "two");
    comes_through(json_pack("[O,{s:O},o]", shared, "again", shared, shared));
}

TEST(nested_as_deep_as_text_may_be_and_no_deeper)
{
    json_t *deepest = nested(json_integer(1), JSON_PARSER_MAX_DEPTH);
    json_t *too_deep = nested(json_array(), JSON_PARSER_MAX_DEPTH);
    comes_through(deepest);
    ck_assert_int_eq(error_of(too_deep), -EINVAL);
    json_decref(too_deep);
}

/* A way round of any length, after a way in of any length; at each step hangs what would fill memory if the
   way were gone to its end. */
TEST(a_circle_is_refused_and_soon)
{
    json_t *weight = json_array();
    for (int i = 0; i < 1000; i++)
        json_array_append_new(weight, json_string("some text that takes its room"));
    for (int in = 0; in < 9; in++)
        for (int round = 2; round < 9; round++) {
            json_t *first = json_array(), *last = first, *start = NULL;
            for (int i = 0; i < in + round; i++) {
                json_t *next = json_array();
                json_array_append(last, weight);
                json_array_append_new(last, next);
                start = i == in ? next : start;
                last = next;
            }
            start = start ? start : first;
            json_array_append(last, start);
            struct usp_packet packet = {0};
            usp_encode_message(&packet, first);
            ck_assert_int_eq(packet.error, -EINVAL);
            ck_assert_uint_le(packet.size, 64 * 32 * 1000);
            usp_packet_free(&packet);
            json_array_clear(last);
            json_decref(first);
        }
    json_decref(weight);
}

/* Jansson's judgement of all texts of two bytes, and of those of up to four whose bytes are at some limit. */
TEST(text_is_utf8_where_jansson_says_so)
{
    static const unsigned char limits[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                           0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const unsigned n = sizeof limits;
    for (unsigned i = 0; i < 0x10000 + n * n * n * n; i++) {
        unsigned k = i - 0x10000;
        char pair[] = {(char)(i >> 8), (char)i};
        char four[] = {'a', 'b', 'c', (char)limits[k % n], (char)limits[k / n % n], (char)limits[k / n / n % n],
                       (char)limits[k / n / n / n % n]};
        const char *text = i < 0x10000 ? pair : four;
        size_t length = i < 0x10000 ? sizeof pair : sizeof four - k % 2;
        json_t *good = json_stringn(text, length), *any = json_stringn_nocheck(text, length);
        ck_assert_int_eq(error_of(any), good ? 0 : -EINVAL);
        json_decref(good);
        json_decref(any);
    }
}

TEST(keys_are_judged_as_text_is)
{
    json_t *object = json_object();
    json_object_set_new_nocheck(object, "latin \xff", json_null());
    ck_assert_int_eq(error_of(object), -EINVAL);
    json_decref(object);
#if JANSSON_VERSION_HEX >= 0x020e00
    object = json_object();
    json_object_setn_new(object, "a\0b", 3, json_null());
    ck_assert_int_eq(error_of(object), -EINVAL);
    json_decref(object);
#endif
}

TEST(bytes_that_are_cut_off_or_go_on_are_no_value)
{
    json_t *value = json_pack("{s:[i,i,f,s],s:{},s:n}", "a", 1, 1000, 1.5, "text", "b", "c");
    struct usp_packet packet = {0};
    usp_encode_message(&packet, value);
    for (size_t size = 0; size < packet.size; size++) {
        char *cut = malloc(size + 1); /* so that what reads past its end is found */
        memcpy(cut, packet.data, size);
        ck_assert_ptr_null(usp_decode_message(cut, size));
        free(cut);
    }
    usp_packet_put(&packet, "n", 1);
    ck_assert_ptr_null(usp_decode_message(packet.data, packet.size));
    usp_packet_free(&packet);
    json_decref(value);
}

SUITE("value", .before = floor_before, .after = floor_after)
