#include "channels/value.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_DEPTH JSON_PARSER_MAX_DEPTH

static bool grow(struct usp_packet *buffer, size_t size)
{
    size_t room = buffer->room ? buffer->room : 256;
    while (room < buffer->size + size)
        room *= 2;
    bool leaves = buffer->fixed && buffer->data == buffer->fixed;
    char *grown = realloc(leaves ? NULL : buffer->data, room);
    if (!grown) {
        buffer->error = buffer->error ? buffer->error : -ENOMEM;
        return false;
    }
    if (leaves)
        memcpy(grown, buffer->fixed, buffer->size);
    buffer->data = grown;
    buffer->room = room;
    return true;
}

/* Where the next `size` bytes go; NULL: no memory. */
static inline char *reserve(struct usp_packet *buffer, size_t size)
{
    if (buffer->size + size > buffer->room && !grow(buffer, size))
        return NULL;
    char *at = buffer->data + buffer->size;
    buffer->size += size;
    return at;
}

void usp_packet_put(struct usp_packet *buffer, const void *data, size_t size)
{
    char *at = size > 0 ? reserve(buffer, size) : NULL;
    if (at)
        memcpy(at, data, size);
}

void usp_packet_reset(struct usp_packet *buffer)
{
    if (buffer->fixed && buffer->data != buffer->fixed) {
        free(buffer->data);
        buffer->data = buffer->fixed;
        buffer->room = buffer->fixed_room;
    } else if (!buffer->fixed && buffer->room > 1 << 20) {
        free(buffer->data);
        buffer->data = NULL;
        buffer->room = 0;
    }
    buffer->size = 0;
    buffer->error = 0;
}

void usp_packet_free(struct usp_packet *buffer)
{
    if (buffer->data != buffer->fixed)
        free(buffer->data);
    *buffer = (struct usp_packet){0};
}

/* A letter and what belongs to it. */
static inline void put_with(struct usp_packet *buffer, char letter, const void *data, size_t size)
{
    char *at = reserve(buffer, 1 + size);
    if (!at)
        return;
    *at = letter;
    if (size > 0)
        memcpy(at + 1, data, size);
}

/* As Jansson has it: not longer than it need be, no surrogates, nothing above 10ffff. */
static bool is_utf8(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    uint64_t eight;
    for (;;) {
        while ((size_t)(end - at) >= sizeof eight && (memcpy(&eight, at, sizeof eight), !(eight & 0x8080808080808080u)))
            at += sizeof eight;
        while (at < end && *at < 0x80)
            at++;
        if (at == end)
            return true;
        unsigned first = *at, least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < n || at[1] < least || at[1] > most)
            return false;
        for (size_t i = 2; i < n; i++)
            if ((at[i] & 0xc0) != 0x80)
                return false;
        at += n;
    }
}

static void put_text(struct usp_packet *buffer, const char *text, size_t length)
{
    uint8_t small = (uint8_t)length;
    uint32_t n = (uint32_t)length;
    uint64_t large = length;
    if (buffer->strict && !is_utf8(text, length)) {
        buffer->error = -EINVAL;
        return;
    }
    if (length <= UINT8_MAX)
        put_with(buffer, 'c', &small, sizeof small);
    else if (length <= UINT32_MAX)
        put_with(buffer, 's', &n, sizeof n);
    else
        put_with(buffer, 'S', &large, sizeof large);
    usp_packet_put(buffer, text, length);
}

static void put_count(struct usp_packet *buffer, char letter_of_few, char letter, size_t n)
{
    uint8_t few = (uint8_t)n;
    uint32_t count = (uint32_t)n;
    if (n > UINT32_MAX)
        buffer->error = -EINVAL;
    else if (n <= UINT8_MAX)
        put_with(buffer, letter_of_few, &few, sizeof few);
    else
        put_with(buffer, letter, &count, sizeof count);
}

void usp_encode_array(struct usp_packet *buffer, size_t n)
{
    put_count(buffer, 'v', 'a', n);
}

static void put_integer(struct usp_packet *buffer, int64_t integer)
{
    int8_t small = (int8_t)integer;
    if (small == integer)
        put_with(buffer, 'b', &small, sizeof small);
    else
        put_with(buffer, 'i', &integer, sizeof integer);
}

static void put_key(struct usp_packet *buffer, void *it)
{
    const char *key = json_object_iter_key(it);
    size_t length = strlen(key);
#if JANSSON_VERSION_HEX >= 0x020e00
    if (json_object_iter_key_len(it) != length) /* with a zero in it: not what Jansson reads, and cut off by most of its functions */
        buffer->error = -EINVAL;
#endif
    put_text(buffer, key, length);
}

static void encode(struct usp_packet *buffer, const json_t *value, int depth, const json_t *mark);

static void encode_inside(struct usp_packet *buffer, const json_t *value, int depth, const json_t *mark)
{
    if (json_is_array(value)) {
        size_t n = json_array_size(value);
        usp_encode_array(buffer, n);
        for (size_t i = 0; i < n && !buffer->error; i++)
            encode(buffer, json_array_get(value, i), depth + 1, mark);
        return;
    }
    json_t *object = (json_t *)(uintptr_t)value;
    put_count(buffer, 'm', 'o', json_object_size(value));
    for (void *it = json_object_iter(object); it && !buffer->error; it = json_object_iter_next(object, it)) {
        put_key(buffer, it);
        encode(buffer, json_object_iter_value(it), depth + 1, mark);
    }
}

/* `mark` is what lies on the way here at a depth that is a power of two, the last of these: a way that leads round and round
   comes by it again after some three rounds, and does not go on to where it is too deep. */
static void encode(struct usp_packet *buffer, const json_t *value, int depth, const json_t *mark)
{
    if (!value || depth > USP_VALUE_DEPTH + buffer->deeper)
        buffer->error = -EINVAL;
    if (buffer->error)
        return;
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_TRUE:
    case JSON_FALSE:
        put_with(buffer, json_is_null(value) ? 'n' : json_is_true(value) ? 't' : 'f', NULL, 0);
        return;
    case JSON_INTEGER:
        put_integer(buffer, json_integer_value(value));
        return;
    case JSON_REAL: {
        double real = json_real_value(value);
        put_with(buffer, 'd', &real, sizeof real);
        return;
    }
    case JSON_STRING:
        put_text(buffer, json_string_value(value), json_string_length(value));
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        if (value == mark || (buffer->strict && depth == MESSAGE_DEPTH))
            break;
        encode_inside(buffer, value, depth, depth & (depth - 1) ? mark : value);
        return;
    }
    buffer->error = -EINVAL;
}

void usp_encode(struct usp_packet *buffer, const json_t *value)
{
    encode(buffer, value, 0, NULL);
}

void usp_encode_message(struct usp_packet *buffer, const json_t *value)
{
    buffer->strict = true;
    buffer->deeper = MESSAGE_DEPTH - USP_VALUE_DEPTH;
    encode(buffer, value, 0, NULL);
}

/* ---- back ---- */

static inline bool take(const char **atp, const char *end, void *to, size_t size)
{
    if ((size_t)(end - *atp) < size)
        return false;
    memcpy(to, *atp, size);
    *atp += size;
    return true;
}

/* The number behind a letter that has one of 1, 4 or 8 bytes. */
static inline bool take_count(const char **atp, const char *end, size_t size, size_t *np)
{
    uint8_t small;
    uint32_t n;
    uint64_t large;
    bool good = size == sizeof small ? take(atp, end, &small, sizeof small)
                : size == sizeof n   ? take(atp, end, &n, sizeof n)
                                     : take(atp, end, &large, sizeof large);
    if (good)
        *np = size == sizeof small ? small : size == sizeof n ? n : (size_t)large;
    return good;
}

static const char *take_text(const char **atp, const char *end, char letter, size_t *lengthp)
{
    if (!take_count(atp, end, letter == 'c' ? 1 : letter == 's' ? 4 : 8, lengthp) || (size_t)(end - *atp) < *lengthp)
        return NULL;
    const char *text = *atp;
    *atp += *lengthp;
    return text;
}

bool usp_decode_array(const char **atp, const char *end, size_t *np)
{
    char letter;
    size_t n = 0;
    bool good = take(atp, end, &letter, 1) && (letter == 'a' || letter == 'v') &&
                take_count(atp, end, letter == 'a' ? 4 : 1, &n) && n <= (size_t)(end - *atp);
    *np = good ? n : 0;
    return good;
}

static json_t *decode(const char **atp, const char *end, int deeper);

static json_t *decode_array(const char **atp, const char *end, size_t n, int deeper)
{
    json_t *array = json_array();
    for (; array && n > 0; n--)
        if (json_array_append_new(array, decode(atp, end, deeper - 1)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static bool decode_member(json_t *object, const char **atp, const char *end, int deeper)
{
    char small[64], letter;
    size_t length;
    if (!take(atp, end, &letter, 1) || (letter != 'c' && letter != 's' && letter != 'S'))
        return false;
    const char *text = take_text(atp, end, letter, &length);
    char *key = text ? length < sizeof small ? small : malloc(length + 1) : NULL;
    if (!key)
        return false;
    memcpy(key, text, length);
    key[length] = '\0';
    bool good = strlen(key) == length && json_object_set_new(object, key, decode(atp, end, deeper - 1)) == 0;
    if (key != small)
        free(key);
    return good;
}

static json_t *decode_object(const char **atp, const char *end, size_t n, int deeper)
{
    json_t *object = json_object();
    for (; object && n > 0; n--)
        if (!decode_member(object, atp, end, deeper)) {
            json_decref(object);
            return NULL;
        }
    return object;
}

/* A value that may be nested `deeper` deep. */
static json_t *decode(const char **atp, const char *end, int deeper)
{
    char letter;
    int8_t small;
    int64_t integer;
    double real;
    size_t n;
    const char *text;
    if (deeper < 0 || !take(atp, end, &letter, 1))
        return NULL;
    switch (letter) {
    case 'n': return json_null();
    case 't': return json_true();
    case 'f': return json_false();
    case 'b': return take(atp, end, &small, sizeof small) ? json_integer(small) : NULL;
    case 'i': return take(atp, end, &integer, sizeof integer) ? json_integer(integer) : NULL;
    case 'd': return take(atp, end, &real, sizeof real) ? json_real(real) : NULL;
    case 'c':
    case 's':
    case 'S':
        text = take_text(atp, end, letter, &n);
        return text ? json_stringn(text, n) : NULL;
    case 'v': return take_count(atp, end, 1, &n) ? decode_array(atp, end, n, deeper) : NULL;
    case 'a': return take_count(atp, end, 4, &n) ? decode_array(atp, end, n, deeper) : NULL;
    case 'm': return take_count(atp, end, 1, &n) ? decode_object(atp, end, n, deeper) : NULL;
    case 'o': return take_count(atp, end, 4, &n) ? decode_object(atp, end, n, deeper) : NULL;
    default: return NULL;
    }
}

json_t *usp_decode(const char **atp, const char *end)
{
    return decode(atp, end, USP_VALUE_DEPTH + USP_DEEPER + 1);
}

json_t *usp_decode_message(const void *data, size_t size)
{
    const char *at = data, *end = at + size;
    json_t *value = decode(&at, end, MESSAGE_DEPTH);
    if (value && at != end) {
        json_decref(value);
        return NULL;
    }
    return value;
}
