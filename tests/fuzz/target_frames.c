/* The frames of a link: bytes as a peer could send them, in pieces of any size. What comes of them
   has to be what a reader says that has all of them before it, whatever the pieces.

   input: a seed for the pieces; is a proper HELLO in front of it?; the bytes */
#include <uv.h>

/* A link that is closed here is used again. */
static void note_close(uv_handle_t *handle, uv_close_cb callback);
#define uv_close note_close
#define uv_fileno fileno_of_none
static int fileno_of_none(const uv_handle_t *handle, uv_os_fd_t *fd)
{
    (void)handle;
    (void)fd;
    return -1;
}
#include "runtime/link.c"
#undef uv_close

#include "tests/fuzz/fuzz.h"

#define SECRET 0x1234567890abcdefull
#define MOST_EVENTS 4096

struct event {
    enum { HELLO, PULLED, PLACED, ARRIVED, LOST } what;
    uint32_t index;
    uint64_t length;
    uint32_t sum;
};
static struct events {
    struct event of[MOST_EVENTS];
    size_t n;
    bool closed;
} seen, said;
static char *places;

static void note(struct events *events, int what, const struct usp_frame *frame, uint32_t sum)
{
    if (events->n < MOST_EVENTS) {
        struct event event = {.index = frame->index, .length = frame->length, .sum = sum};
        event.what = what;
        events->of[events->n++] = event;
    }
}

static uint32_t sum_of(const void *data, size_t size)
{
    uint32_t sum = 17;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + ((const uint8_t *)data)[i];
    return sum;
}

/* Some are thrown away. */
static bool is_wanted(const struct usp_frame *frame)
{
    return frame->index % 4 != 3 && frame->length <= 1 << 20;
}

/* ---- what the link calls ---- */

static void note_close(uv_handle_t *handle, uv_close_cb callback)
{
    (void)handle;
    (void)callback;
    seen.closed = true;
}

static void *place(const struct usp_frame *frame)
{
    note(&seen, PLACED, frame, 0);
    free(places);
    places = is_wanted(frame) ? malloc(frame->length ? frame->length : 1) : NULL;
    return places;
}

static void arrived(const struct usp_frame *frame, void *at)
{
    MUST(at == places);
    note(&seen, ARRIVED, frame, sum_of(at, frame->length));
}

static void lost(const struct usp_frame *frame, void *at)
{
    MUST(at == places);
    note(&seen, LOST, frame, 0);
}

static void pull(const struct usp_frame *frame)
{
    note(&seen, PULLED, frame, 0);
}

static void sent(struct usp_task *task, int status)
{
    (void)task;
    (void)status;
}

static bool is_hello(const struct usp_frame *frame)
{
    return frame->worker < USP_MAX_WORKERS && frame->length == SECRET;
}

/* In the place of link_connect.c's, which asks the kernel for the user of the other side. */
bool usp_links_introduce(struct link *link, const struct usp_frame *frame)
{
    if (!is_hello(frame))
        return false;
    note(&seen, HELLO, frame, 0);
    link->confirmed = true;
    link->peer = frame->worker;
    return true;
}

/* The rest of link_connect.c, which nobody comes to. */
#define UNREACHED(result, name, ...)                                                               \
    result name(__VA_ARGS__)                                                                       \
    {                                                                                              \
        abort();                                                                                   \
    }
UNREACHED(int, usp_links_to, unsigned worker __attribute__((unused)),
          struct link **linkp __attribute__((unused)))
UNREACHED(bool, usp_links_knocked, void)
UNREACHED(void, usp_links_forget_listener, void)
UNREACHED(void, usp_links_close_listener, void)
UNREACHED(int, usp_link_listen, void)
UNREACHED(int, usp_link_opened, void)
UNREACHED(int, usp_link_socket, void)
bool usp_link_listens;

/* ---- a reader that has it all ---- */

static void say(const uint8_t *data, size_t size)
{
    bool introduced = false;
    while (size >= sizeof(struct usp_frame)) {
        struct usp_frame frame;
        memcpy(&frame, data, sizeof frame);
        data += sizeof frame;
        size -= sizeof frame;
        if (!introduced) {
            if (frame.type != USP_FRAME_HELLO || !is_hello(&frame))
                break;
            introduced = true;
            note(&said, HELLO, &frame, 0);
        } else if (frame.type == USP_FRAME_PULL) {
            note(&said, PULLED, &frame, 0);
        } else if (frame.type == USP_FRAME_DATA) {
            note(&said, PLACED, &frame, 0);
            bool all = frame.length <= size;
            if (is_wanted(&frame))
                note(&said, all ? ARRIVED : LOST, &frame, all ? sum_of(data, frame.length) : 0);
            data += all ? frame.length : size;
            size -= all ? frame.length : size;
        } else if (frame.type != USP_FRAME_BELL) {
            break;
        }
    }
}

/* ---- the link ---- */

static void feed(struct link *link, const uint8_t *data, size_t size, uint32_t seed)
{
    while (size > 0 && !seen.closed) {
        uv_buf_t buffer = {NULL, 0};
        give_buffer((uv_handle_t *)&link->pipe, 65536, &buffer);
        if (buffer.len == 0) {
            on_read((uv_stream_t *)&link->pipe, UV_ENOBUFS, &buffer);
            continue;
        }
        size_t n = next_chunk(&seed);
        n = n > size ? size : n;
        n = n > buffer.len ? buffer.len : n;
        memcpy(buffer.base, data, n);
        on_read((uv_stream_t *)&link->pipe, (ssize_t)n, &buffer);
        data += n;
        size -= n;
    }
    if (!seen.closed)
        on_read((uv_stream_t *)&link->pipe, UV_EOF, NULL);
}

static bool same(const struct event *a, const struct event *b)
{
    return a->what == b->what && a->index == b->index && a->length == b->length && a->sum == b->sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1 << 17];
    struct input in = {data, data + size};
    uint32_t seed = eat_byte(&in);
    size_t n = 0;
    if (eat_byte(&in) % 8 != 0) {
        struct usp_frame hello = {.type = USP_FRAME_HELLO, .worker = 1, .length = SECRET};
        memcpy(bytes, &hello, sizeof hello);
        n = sizeof hello;
    }
    n += eat(&in, bytes + n, sizeof bytes - n);
    usp_link_hooks = (struct usp_link_hooks){place, arrived, lost, pull, sent};
    seen.n = said.n = 0;
    seen.closed = false;
    static struct usp_shared workers;
    usp_shared = &workers;
    struct link link = {.peer = USP_MAX_WORKERS};
    link.pipe.data = &link;
    links = &link;
    say(bytes, n);
    feed(&link, bytes, n, seed);
    MUST(seen.n == said.n);
    for (size_t i = 0; i < seen.n; i++)
        MUST(same(&seen.of[i], &said.of[i]));
    free(places);
    places = NULL;
    return 0;
}
