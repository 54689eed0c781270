/* Each call of the system that the library makes fails once: the first, the second, ... until a
   program that uses everything gets through. Each time the program has to end, not by a hang or a
   fault: with codes that say what has not been done and a line on standard error, or by abort()
   with a line. If it goes on, nothing is left behind, and the library works. */
#include <fcntl.h>

#include "tests/inject/walk.h"

/* ---- a program that uses everything ---- */

typedef struct {
    char bytes[300000];
} large;
static large in_hand; /* each worker has its own; malloc() may fail here as well */

PROCESS(writer, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        OR_END(uvcsp_write(out, &i));
}

PROCESS(reader, IN(int, in), VAL(int, n))
{
    int x;
    for (int i = 0; i < n; i++) {
        OR_END(uvcsp_read(in, &x));
        MUST(x == i);
    }
}

PROCESS(large_writer, OUT(large, out))
{
    memset(&in_hand, 'x', sizeof in_hand);
    (void)uvcsp_write(out, &in_hand);
}

PROCESS(large_reader, IN(large, in))
{
    if (uvcsp_read(in, &in_hand) == UVCSP_OK)
        for (size_t i = 0; i < sizeof in_hand; i++)
            MUST(in_hand.bytes[i] == 'x');
}

PROCESS(bytes_writer, OUT(uvcsp_bytes, out), VAL(size_t, size))
{
    for (int i = 0; i < 3; i++)
        OR_END(uvcsp_write(out, &(uvcsp_bytes){in_hand.bytes, size}));
}

PROCESS(bytes_reader, IN(uvcsp_bytes, in), VAL(size_t, size))
{
    uvcsp_bytes message;
    while (uvcsp_read(in, &message) == UVCSP_OK) {
        MUST(message.size == size);
        free(message.data);
    }
}

PROCESS(end_giver, OUT(uvcsp_end, out), OUT(int, mine))
{
    uvcsp_end end = MOBILE(mine);
    (void)uvcsp_write(out, &end);
}

PROCESS(end_taker, IN(uvcsp_end, in))
{
    uvcsp_end end;
    OR_END(uvcsp_read(in, &end));
    (void)uvcsp_write(AS_OUT(int, end), &(int){0});
}

enum { MANY = 100 };

PROCESS(chooser, INS(int, ins, n), VAL(int, rounds))
{
    int x;
    uvcsp_guard guards[MANY];
    for (size_t i = 0; i < n; i++)
        guards[i] = ON_READ(ins[i], &x);
    for (int i = 0; i < rounds; i++)
        if (uvcsp_alt(guards, n, UVCSP_FAIR) < 0)
            return;
}

PROCESS(writer_to_many, OUTS(int, outs, n), VAL(int, rounds))
{
    for (int i = 0; i < rounds; i++)
        OR_END(uvcsp_write(outs[(size_t)i * 37 % n], &i));
}

PROCESS(sleeper)
{
    uvcsp_sleep(0.001);
}

static void set_to_one(void *arg)
{
    *(int *)arg = 1;
}

/* The outside world. */
PROCESS(worldly)
{
    int done = 0, fds[2];
    if (uvcsp_blocking(set_to_one, &done) == 0)
        MUST(done == 1);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    int status = uvcsp_wait_fd(fds[0], UV_READABLE, 0.001);
    MUST(status == UVCSP_TIMEOUT || status < 0);
    status = uvcsp_wait_fd(fds[1], UV_WRITABLE, -1);
    MUST(status == UVCSP_OK || status < 0);
    status = uvcsp_alt(
        (uvcsp_guard[]){ON_FD(fds[0], UV_READABLE), ON_SIGNAL(SIGUSR1), ON_TIMEOUT(0.001)}, 3,
        UVCSP_FAIR);
    MUST(status == 2 || status < 0);
    close(fds[0]);
    close(fds[1]);
    (void)uvcsp_defer(free, malloc(1));
}

PROCESS(nest, OUT(int, out))
{
    (void)PAR(writer(out, 2), sleeper());
}

static void use_everything(void)
{
    CHAN(int) a = CHANNEL(int), c = CHANNEL(int);
    CHAN(int) b = CHANNEL(int, .capacity = 2, .carrier = UVCSP_SHARED);
    CHAN(large) d = CHANNEL(large), e = CHANNEL(large, .carrier = UVCSP_SHARED);
    CHAN(uvcsp_bytes) f = CHANNEL(uvcsp_bytes, .capacity = 1), g = CHANNEL(uvcsp_bytes);
    CHAN(uvcsp_end) h = CHANNEL(uvcsp_end);
    CHAN(int) many[MANY] = {NULL};
    MAY_FAIL(CHANNELS(int, many, MANY));
    if (many[0])
        MAY_FAIL(PAR(chooser(many, MANY, 5), writer_to_many(many, MANY, 5)));
    MAY_FAIL(PAR(writer(a, 5), reader(a, 5), writer(b, 5), reader(b, 5)));
    MAY_FAIL(PAR(large_writer(d), large_reader(d), large_writer(e), large_reader(e)));
    MAY_FAIL(PAR(bytes_writer(f, 9000), bytes_reader(f, 9000), bytes_writer(g, 200000),
                 bytes_reader(g, 200000)));
    MAY_FAIL(PAR(end_giver(h, c), end_taker(h), reader(c, 1)));
    CHAN(int) i = CHANNEL(int), j = CHANNEL(int);
    MAY_FAIL(PAR(nest(i), reader(i, 2)));
    MAY_FAIL(PAR(worldly()));
    MAY_FAIL(CO(worldly(), sleeper(), writer(j, 3), reader(j, 3)));
    MAY_FAIL(SEQ(sleeper(), sleeper()));
    MAY_FAIL(CO_FOR(k, 40, sleeper()));
    uvcsp_handle *forked = SPAWN(sleeper()), *light = GO(sleeper());
    n_failed += !forked + !light;
    if (forked)
        MAY_FAIL(uvcsp_join(forked, -1) || uvcsp_exit_code(forked));
    if (light)
        MAY_FAIL(uvcsp_join(light, 10));
}

static void the_library_works(void)
{
    CHAN(int) c = CHANNEL(int);
    MUST(c);
    MUST(PAR(writer(c, 3), reader(c, 3)) == 0);
    uvcsp_channel_free(c);
}

SUITE("paths", .before = default_signals)
