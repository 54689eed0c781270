/* The codec of the manager: bytes that somebody may have sent. What can be decoded is a value that
   is encoded and decoded again to an equal one, and no more bytes are read than there are. */
#include <jansson.h>

#include "ipc/manager.h"
#include "tests/fuzz/fuzz.h"

static bool same_number(const json_t *a, const json_t *b)
{
    double x = json_real_value(a), y = json_real_value(b);
    return memcmp(&x, &y, sizeof x) == 0;
}

/* json_equal(), but that a real that is no number equals itself; keys of an object come once. */
static bool same(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    if (json_typeof(a) != json_typeof(b))
        return false;
    switch (json_typeof(a)) {
    case JSON_REAL:
        return same_number(a, b);
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!same(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return json_array_size(a) == json_array_size(b);
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)a, key,
                            value) if (!json_object_get(b, key) ||
                                       !same(value, json_object_get(b, key))) return false;
        return json_object_size(a) == json_object_size(b);
    default:
        return json_equal(a, b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    while (at < end) {
        json_t *value = usp_decode(&at, end);
        MUST(at <= end);
        if (!value)
            break;
        struct usp_packet packet = {.deeper = USP_DEEPER};
        usp_encode(&packet, value);
        /* what is decoded may be nested by one more than what is encoded */
        MUST(packet.error == 0 || packet.error == -EINVAL);
        if (packet.error == 0) {
            const char *again = packet.data;
            json_t *copy = usp_decode(&again, packet.data + packet.size);
            MUST(copy && again == packet.data + packet.size && same(value, copy));
            json_decref(copy);
        }
        usp_packet_free(&packet);
        json_decref(value);
    }
    return 0;
}
