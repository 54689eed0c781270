/* web: an HTTP server in which each connection is a process.

   libuv calls back; a process waits. The two meet at a channel: a process asks libuv for
   something and then READs the channel `events` of its connection, where the callback leaves one
   message. So the code of a connection is written from top to bottom, although thousands of them
   share one loop.

     on_connection --connections--> server --GO--> connection, connection, connection ...
                                                     ^ events
                                                     | on_read, on_written

   The server holds the only writing end of `open`, on which nothing is ever written. When it
   returns, that end retires, and every connection that still waits for its client ends too.

   The visitors of the self-test are processes with plain sockets, and wait with uvcsp_wait_fd(). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: web [visitors] [pages]\n"
    "       web --port number\n"
    "\n"
    "The first form is a self-test: `visitors` (8) processes fetch `pages` (10) pages\n"
    "each from the server, which runs in another worker, and then the server stops.\n"
    "`--self-test` says the same. With --port it serves on 127.0.0.1 until Ctrl-C.\n";

enum { ROOM = 4096 };

struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    OUT_END(uvcsp_bytes) events;
    char text[ROOM];
};

static void free_client(uv_handle_t *handle)
{
    free(handle->data);
}

static void hang_up(void *client)
{
    uv_close((uv_handle_t *)&((struct client *)client)->tcp, free_client);
}

/* The callbacks: each leaves a message. There is room for it, since a process asks for one thing
   at a time. An empty message means that there is nothing more to come. */
static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    *buffer = uv_buf_init(((struct client *)handle->data)->text, ROOM);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    uvcsp_bytes message = {buffer->base, n > 0 ? (size_t)n : 0};
    uv_read_stop(stream);
    (void)!uvcsp_write_try(client->events, &message);
}

static void on_written(uv_write_t *write, int status)
{
    struct client *client = write->data;
    uvcsp_bytes message = {&status, status == 0 ? sizeof status : 0};
    (void)!uvcsp_write_try(client->events, &message);
}

static void on_connection(uv_stream_t *listener, int status)
{
    OUT_END(struct client *) connections = listener->data;
    struct client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (!client)
        return;
    uv_tcp_init(listener->loop, &client->tcp);
    client->tcp.data = client->write.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0 ||
        uvcsp_write_try(connections, &client) != UVCSP_OK)
        hang_up(client);
}

/* One connection: a request, an answer, and good-bye. */
PROCESS(connection, VAL(struct client *, client), IN(bool, open), OUT(bool, served))
{
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes, .capacity = 1);
    IN_END(uvcsp_bytes) events = IN_OF(c);
    client->events = OUT_OF(c);
    DEFER(hang_up, client);

    char request[ROOM] = "";
    size_t have = 0;
    while (!strstr(request, "\r\n\r\n")) {
        uvcsp_bytes message;
        bool over;
        uv_read_start((uv_stream_t *)&client->tcp, give_room, on_read);
        if (ALT(ON_READ(events, &message), ON_READ(open, &over), ON_TIMEOUT(10)) != 0)
            return;
        size_t size = message.size < ROOM - 1 - have ? message.size : ROOM - 1 - have;
        if (size > 0)
            memcpy(request + have, message.data, size);
        free(message.data);
        if (size == 0)
            return;
        have += size;
        request[have] = '\0';
    }
    WRITE(served, true);

    char path[256] = "", page[512];
    bool get = sscanf(request, "GET %255s", path) == 1;
    if (!get)
        strcpy(path, "not a request that I know");
    for (char *p = path; *p; p++)
        if (strchr("<>&\"", *p))
            *p = '?';
    snprintf(page, sizeof page,
             "<h1>Hello</h1>\n<p>This is %s, by a process of its own.</p>\n", path);
    int n = snprintf(client->text, ROOM,
                     "HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     get ? "200 OK" : "400 Bad Request", strlen(page), page);
    uv_buf_t buffer = uv_buf_init(client->text, (unsigned)n);
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written) == 0)
        free(READ(events).data);
}

static void close_listener(void *listener)
{
    uv_close(listener, (uv_close_cb)free);
}

/* Listens on `port`, or on any that is free; says which. Stops when it is told to, or by Ctrl-C. */
PROCESS(server, VAL(int, port), OUT(int, ready), IN(bool, stop), OUT(int, total))
{
    CHAN(struct client *) c = CHANNEL(struct client *, .capacity = 128);
    CHAN(bool) served_channel = CHANNEL(bool), open_channel = CHANNEL(bool);
    IN_END(struct client *) connections = IN_OF(c);

    /* The server has both ends of these, and connections share in one of them. So no side retires
       for want of members while there is no connection. */
    IN_END(bool) served = IN_OF(served_channel), open = IN_OF(open_channel);
    OUT_END(bool) serve = OUT_OF(served_channel);
    (void)OUT_OF(open_channel); /* its retirement, when the server returns, is its message */

    uv_tcp_t *listener = malloc(sizeof *listener);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int length = sizeof address;
    uv_tcp_init(uvcsp_loop(), listener);
    listener->data = OUT_OF(c);
    DEFER(close_listener, listener);
    int error = uv_tcp_bind(listener, (struct sockaddr *)&address, 0);
    error = error ? error : uv_listen((uv_stream_t *)listener, 128, on_connection);
    error = error ? error : uv_tcp_getsockname(listener, (struct sockaddr *)&address, &length);
    if (error) {
        fprintf(stderr, "port %d: %s\n", port, uv_strerror(error));
        exit(1);
    }
    WRITE(ready, ntohs(address.sin_port));

    for (int n = 0;;) {
        struct client *client;
        bool word;
        switch (ALT(ON_READ(connections, &client), ON_READ(served, &word), ON_READ(stop, &word),
                    WHEN(port != 0, ON_SIGNAL(SIGINT)))) {
        case 0:
            uvcsp_handle_free(GO(connection(client, open, serve)));
            break;
        case 1:
            n++;
            break;
        default:
            WRITE(total, n);
            return;
        }
    }
}

/* Fetches a page into `answer` and returns its length, or -1. */
static ssize_t fetch(int port, const char *path, char *answer, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    ssize_t have = -1, got;
    if ((connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) &&
        uvcsp_wait_fd(fd, UV_WRITABLE, 10) == UVCSP_OK &&
        dprintf(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) > 0) {
        have = 0;
        do {
            got = -1;
            if (uvcsp_wait_fd(fd, UV_READABLE, 10) == UVCSP_OK)
                got = recv(fd, answer + have, room - 1 - (size_t)have, 0);
            have += got > 0 ? got : 0;
        } while (got > 0);
        answer[have] = '\0';
        have = got < 0 ? -1 : have;
    }
    close(fd);
    return have;
}

PROCESS(visitor, VAL(int, me), VAL(int, pages), VAL(int, port))
{
    for (int i = 0; i < pages; i++) {
        char path[64], what[128], answer[1024];
        snprintf(path, sizeof path, "/visitor/%d/page/%d", me, i);
        snprintf(what, sizeof what, "This is %s,", path);
        demo_expect(fetch(port, path, answer, sizeof answer) > 0, "a page can be fetched");
        demo_expect(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0, "the server is content");
        demo_expect(strstr(answer, what) != NULL, "this is the page that was asked for");
    }
}

PROCESS(visitors, VAL(int, n), VAL(int, pages), IN(int, ready), OUT(bool, stop), IN(int, total))
{
    int port = READ(ready);
    demo_expect(CO_FOR(i, n, visitor(i, pages, port)) == 0, "all visitors are content");
    WRITE(stop, true);
    int served = READ(total);
    printf("%d visitors fetched %d pages each, the server served %d\n", n, pages, served);
    demo_expect(served == n * pages, "the server counts as its visitors do");
}

/* What stands in for the visitors when the real ones are outside. */
PROCESS(doorman, IN(int, ready), OUT(bool, stop), IN(int, total))
{
    (void)stop; /* held, and never used: it is Ctrl-C that stops the server */
    printf("serving on http://127.0.0.1:%d/ until Ctrl-C\n", READ(ready));
    fflush(stdout);
    int served = READ(total);
    printf("served %d requests\n", served);
}

int main(int argc, char **argv)
{
    bool serve = demo_word(&argc, argv, "--port");
    demo_word(&argc, argv, "--self-test");
    demo_args(argc, argv, serve ? 1 : 2, help);
    signal(SIGPIPE, SIG_IGN); /* who writes to a client that has gone is told so by an error */

    CHAN(int) ready = CHANNEL(int), total = CHANNEL(int);
    CHAN(bool) stop = CHANNEL(bool);
    if (serve) {
        int port = demo_size(argc, argv, 1, 8080, 1, 65535);
        return CO(server(port, ready, stop, total), doorman(ready, stop, total)) != 0;
    }
    int n = demo_size(argc, argv, 1, 8, 1, 1000);
    int pages = demo_size(argc, argv, 2, 10, 1, 1000000);
    return PAR(server(0, ready, stop, total), visitors(n, pages, ready, stop, total)) != 0;
}
