/* The frames of a socket connection, which come from another program: bytes in pieces of any size.
   What is received has to be what a reader says that has all of them before it, and memory is only
   taken for what has come.

   input: a seed for the pieces; the limit in KiB; is a proper header in front?; the bytes */
#include <sys/socket.h>
#include <sys/types.h>

static ssize_t recv_input(int fd, void *to, size_t most, int flags);
#define recv recv_input
#include "ipc/socket.c"
#undef recv

#include "tests/fuzz/fuzz.h"

static const uint8_t *bytes;
static size_t n_bytes;
static uint32_t pieces;

static ssize_t recv_input(int fd, void *to, size_t most, int flags)
{
    (void)fd;
    (void)flags;
    size_t n = next_chunk(&pieces);
    if (n == 7) { /* nothing has come yet */
        errno = EAGAIN;
        return -1;
    }
    n = n > most ? most : n;
    n = n > n_bytes ? n_bytes : n;
    memcpy(to, bytes, n);
    bytes += n;
    n_bytes -= n;
    return (ssize_t)n;
}

/* What has to come of the bytes at `data`: a message (0) of `*lengthp`, or the error. */
static int expected(const uint8_t *data, size_t size, uint32_t limit, uint32_t *lengthp)
{
    if (size == 0)
        return UVCSP_RETIRED;
    if (size < HEADER)
        return -ECONNRESET;
    if (memcmp(data, "uCSP", 4) != 0)
        return -EPROTO;
    *lengthp = (uint32_t)data[4] << 24 | (uint32_t)data[5] << 16 | (uint32_t)data[6] << 8 | data[7];
    return *lengthp > limit ? -EMSGSIZE : *lengthp > size - HEADER ? -ECONNRESET : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t all[1 << 17];
    struct input in = {data, data + size};
    pieces = eat_byte(&in);
    struct usp_socket s = {.limit = eat_byte(&in) * 1024u, .fd = -1};
    size_t n = 0;
    if (eat_byte(&in) % 4 != 0) {
        memcpy(all, "uCSP\0\0", 6);
        n = 6;
    }
    n += eat(&in, all + n, sizeof all - n);
    const uint8_t *next = all;
    bytes = all;
    n_bytes = n;
    for (;;) {
        uint32_t length = 0;
        int rc, right = expected(next, (size_t)(all + n - next), s.limit, &length);
        while ((rc = pump(&s)) == USP_WAITS)
            MUST(s.room <= FIRST_ROOM || s.room <= 2 * s.have);
        MUST(rc == right);
        if (rc != 0)
            break;
        MUST(s.length == length && (length == 0 || memcmp(s.data, next + HEADER, length) == 0));
        next += HEADER + length;
        begin_next(&s);
    }
    MUST(pump(&s) == s.broken && s.broken != 0); /* it stays broken */
    free(s.data);
    return 0;
}
