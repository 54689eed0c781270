/* Values on their way to a manager and back: a letter and what belongs to it, in the machine's own order of bytes, since both
   sides run on one machine. Shorter to write and to read than text, and exact for numbers.

     n t f    null, true, false            i d   8 bytes of an integer, of a real
     s        4 bytes of length, text      a o   4 bytes of count, elements; of an object a string and a value each */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"

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

static inline void put_with(struct usp_packet *buffer, char letter, const void *data, size_t size)
{
    char *at = reserve(buffer, 1 + size);
    if (!at)
        return;
    *at = letter;
    if (size > 0)
        memcpy(at + 1, data, size);
}

static void put_text(struct usp_packet *buffer, const char *text, size_t length)
{
    uint32_t n = (uint32_t)length;
    if (length > UINT32_MAX) {
        buffer->error = -EINVAL;
        return;
    }
    put_with(buffer, 's', &n, sizeof n);
    usp_packet_put(buffer, text, length);
}

void usp_encode_array(struct usp_packet *buffer, size_t n)
{
    uint32_t count = (uint32_t)n;
    if (n > UINT32_MAX)
        buffer->error = -EINVAL;
    put_with(buffer, 'a', &count, sizeof count);
}

static void encode(struct usp_packet *buffer, const json_t *value, int depth)
{
    if (!value || depth > UVCSP_MANAGER_DEPTH + buffer->deeper)
        buffer->error = -EINVAL;
    if (buffer->error)
        return;
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_TRUE:
    case JSON_FALSE:
        put_with(buffer, json_is_null(value) ? 'n' : json_is_true(value) ? 't' : 'f', NULL, 0);
        return;
    case JSON_INTEGER: {
        int64_t integer = json_integer_value(value);
        put_with(buffer, 'i', &integer, sizeof integer);
        return;
    }
    case JSON_REAL: {
        double real = json_real_value(value);
        put_with(buffer, 'd', &real, sizeof real);
        return;
    }
    case JSON_STRING:
        put_text(buffer, json_string_value(value), json_string_length(value));
        return;
    case JSON_ARRAY: {
        size_t n = json_array_size(value);
        usp_encode_array(buffer, n);
        for (size_t i = 0; i < n && !buffer->error; i++)
            encode(buffer, json_array_get(value, i), depth + 1);
        return;
    }
    case JSON_OBJECT: {
        uint32_t n = (uint32_t)json_object_size(value);
        put_with(buffer, 'o', &n, sizeof n);
        json_t *object = (json_t *)(uintptr_t)value;
        for (void *it = json_object_iter(object); it && !buffer->error; it = json_object_iter_next(object, it)) {
            const char *key = json_object_iter_key(it);
            put_text(buffer, key, strlen(key));
            encode(buffer, json_object_iter_value(it), depth + 1);
        }
        return;
    }
    }
    buffer->error = -EINVAL;
}

void usp_encode(struct usp_packet *buffer, const json_t *value)
{
    encode(buffer, value, 0);
}

/* ---- back ---- */

static bool take(const char **atp, const char *end, void *to, size_t size)
{
    if ((size_t)(end - *atp) < size)
        return false;
    memcpy(to, *atp, size);
    *atp += size;
    return true;
}

static const char *take_text(const char **atp, const char *end, uint32_t *lengthp)
{
    if (!take(atp, end, lengthp, sizeof *lengthp) || (size_t)(end - *atp) < *lengthp)
        return NULL;
    const char *text = *atp;
    *atp += *lengthp;
    return text;
}

static json_t *decode(const char **atp, const char *end, int depth);

bool usp_decode_array(const char **atp, const char *end, size_t *np)
{
    char letter;
    uint32_t n;
    bool good = take(atp, end, &letter, 1) && letter == 'a' && take(atp, end, &n, sizeof n) && n <= (size_t)(end - *atp);
    *np = good ? n : 0;
    return good;
}

static json_t *decode_array(const char **atp, const char *end, int depth)
{
    uint32_t n;
    if (!take(atp, end, &n, sizeof n))
        return NULL;
    json_t *array = json_array();
    for (; array && n > 0; n--)
        if (json_array_append_new(array, decode(atp, end, depth + 1)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static bool decode_member(json_t *object, const char **atp, const char *end, int depth)
{
    char small[64], letter;
    uint32_t length;
    if (!take(atp, end, &letter, 1) || letter != 's')
        return false;
    const char *text = take_text(atp, end, &length);
    char *key = text ? length < sizeof small ? small : malloc(length + 1u) : NULL;
    if (!key)
        return false;
    memcpy(key, text, length);
    key[length] = '\0';
    bool good = strlen(key) == length && json_object_set_new(object, key, decode(atp, end, depth + 1)) == 0;
    if (key != small)
        free(key);
    return good;
}

static json_t *decode_object(const char **atp, const char *end, int depth)
{
    uint32_t n;
    if (!take(atp, end, &n, sizeof n))
        return NULL;
    json_t *object = json_object();
    for (; object && n > 0; n--)
        if (!decode_member(object, atp, end, depth)) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static json_t *decode(const char **atp, const char *end, int depth)
{
    char letter;
    int64_t integer;
    double real;
    uint32_t length;
    const char *text;
    if (depth > UVCSP_MANAGER_DEPTH + USP_DEEPER + 1 || !take(atp, end, &letter, 1))
        return NULL;
    switch (letter) {
    case 'n': return json_null();
    case 't': return json_true();
    case 'f': return json_false();
    case 'i': return take(atp, end, &integer, sizeof integer) ? json_integer(integer) : NULL;
    case 'd': return take(atp, end, &real, sizeof real) ? json_real(real) : NULL;
    case 's':
        text = take_text(atp, end, &length);
        return text ? json_stringn(text, length) : NULL;
    case 'a': return decode_array(atp, end, depth);
    case 'o': return decode_object(atp, end, depth);
    default: return NULL;
    }
}

json_t *usp_decode(const char **atp, const char *end)
{
    return decode(atp, end, 0);
}
