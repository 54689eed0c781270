/* The handshake of a listener and its client, each with a partner that sends what it likes: the
   right bytes, with changes. Whoever does not prove that it knows the key is refused, whatever the
   pieces.

   input: a seed for the pieces; which side; how many bytes come; then a mask for the bytes of the
   partner: zero leaves them right */
#include <sys/socket.h>
#include <sys/types.h>

static ssize_t recv_input(int fd, void *to, size_t most, int flags);
static ssize_t send_nowhere(int fd, const void *data, size_t size, int flags);
#include "ipc/auth.h"
#include "runtime/report.h"
#define recv recv_input
#define send send_nowhere
#define usp_auth_peer(fd, pidp) ((void)(fd), *(pidp) = 0)   /* there is no kernel to ask */
#define usp_report(...) ((void)sizeof(printf(__VA_ARGS__))) /* every refusal is a line */
#include "ipc/connect.c"
#include "ipc/listener.c"
#undef recv
#undef send

#include "tests/fuzz/fuzz.h"

static uint8_t bytes[sizeof(struct usp_auth_hello) + sizeof(struct usp_auth_proof) +
                     sizeof(struct usp_auth_answer)];
static size_t at, n_bytes;
static uint32_t pieces;
static void (*on_send)(const void *data, size_t size);

static ssize_t recv_input(int fd, void *to, size_t most, int flags)
{
    (void)fd;
    (void)flags;
    size_t n = next_chunk(&pieces);
    n = n > most ? most : n;
    n = n > n_bytes - at ? n_bytes - at : n;
    memcpy(to, bytes + at, n);
    at += n;
    return (ssize_t)n;
}

static ssize_t send_nowhere(int fd, const void *data, size_t size, int flags)
{
    (void)fd;
    (void)flags;
    if (on_send)
        on_send(data, size);
    return (ssize_t)size;
}

/* Makes the partner's bytes wrong; true if it left them right. */
static bool spoil(struct input *in, uint8_t *data, size_t size)
{
    bool right = true;
    for (size_t i = 0; i < size; i++) {
        uint8_t mask = eat_byte(in);
        data[i] ^= mask;
        right = right && mask == 0;
    }
    return right;
}

/* ---- the listener's side ---- */

static void try_listener(struct input *in, size_t comes)
{
    static uvcsp_listener listener = {.key = (char *)"a key", .fd = -1, .epoll = -1};
    struct client *client = &listener.clients[0];
    *client = (struct client){.fd = 1 << 20, .pid = 1};
    listener.n_clients = 1;
    struct usp_auth_proof proof;
    MUST(usp_auth_hello(&client->hello) == 0);
    MUST(usp_auth_prove(listener.key, &client->hello, &proof) == 0);
    bool right = spoil(in, (uint8_t *)&proof, sizeof proof);
    memcpy(bytes, &proof, sizeof proof);
    at = 0;
    n_bytes = comes < sizeof proof ? comes : sizeof proof;
    int fd = -1;
    while (fd < 0 && client->fd >= 0)
        fd = listen_to(&listener, client);
    MUST((fd >= 0) == (right && n_bytes == sizeof proof));
    MUST(listener.n_clients == 0 && client->fd < 0);
}

/* ---- the client's side ---- */

static struct input *masks;
static struct usp_auth_hello hello;
static bool all_right;

/* The client has sent its proof: the server answers. */
static void answer_it(const void *data, size_t size)
{
    struct usp_auth_answer answer;
    MUST(size == sizeof(struct usp_auth_proof));
    (void)usp_auth_answer("a key", &hello, data, &answer);
    all_right = spoil(masks, (uint8_t *)&answer, sizeof answer) && all_right;
    memcpy(bytes + sizeof hello, &answer, sizeof answer);
}

static void try_client(struct input *in, size_t comes)
{
    masks = in;
    MUST(usp_auth_hello(&hello) == 0);
    struct usp_auth_hello sent = hello;
    all_right = spoil(in, (uint8_t *)&sent, sizeof sent);
    memcpy(bytes, &sent, sizeof sent);
    at = 0;
    size_t whole = sizeof hello + sizeof(struct usp_auth_answer);
    n_bytes = comes < whole ? comes : whole;
    on_send = answer_it;
    int rc = prove(-1, "a key", 0);
    on_send = NULL;
    MUST((rc == 0) == (all_right && n_bytes == whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    pieces = eat_byte(&in);
    bool client = eat_byte(&in) % 2;
    size_t comes = eat_byte(&in);
    if (client)
        try_client(&in, comes);
    else
        try_listener(&in, comes);
    return 0;
}
