/* A soak: everything at once, again and again, and what is in use afterwards must not grow.

   A round runs a network between workers (channels of both carriers, buffers, choices, short and
   long messages), a queue, locks, shared values, a pool, a manager, a pipe, timers, descriptors,
   blocking calls, and lets everything end; two workers and a server live as long as the program.
   After a third of the time, and then after every round, it counts the blocks of the arena, what
   the arena has ever touched, the descriptors, the children, and the resident memory of the root
   and of those that stay.

   soak [seconds] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "runtime/arena.h"
#include "tests/fixture.h"
#include "tests/stress/stress.h"

/* ---- a round ---- */

typedef struct {
    int number;
    char filler[65536];
} large;

PROCESS(writer, OUT(int, out), OUT(uvcsp_bytes, bytes), OUT(large, larges))
{
    static large message;
    char text[5000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 60; i++) {
        uvcsp_bytes some = {text, (size_t)i * 80 + 1};
        (void)ALT(ON_WRITE(out, i), ON_WRITE(bytes, some));
        message.number = i;
        if (i % 10 == 0)
            WRITE(larges, message);
    }
}

PROCESS(reader, IN(int, in), IN(uvcsp_bytes, bytes), IN(large, larges))
{
    static large message;
    uvcsp_bytes got;
    int x;
    for (;;)
        if (ALT(ON_READ(in, &x), ON_READ(bytes, &got), ON_READ(larges, &message)) == 1)
            free(got.data);
}

PROCESS(producer, VAL(uvcsp_queue *, queue))
{
    for (int i = 0; i < 30; i++)
        MUST(uvcsp_queue_put_new(queue, json_pack("{s:i,s:s}", "n", i, "text", "some text"), -1) ==
             0);
}

PROCESS(consumer, VAL(uvcsp_queue *, queue), VAL(int *, sum))
{
    for (int i = 0; i < 30; i++) {
        json_t *value;
        MUST(uvcsp_queue_get(queue, &value, -1) == 0);
        LOCKED (sum)
            *sum += (int)json_integer_value(json_object_get(value, "n"));
        json_decref(value);
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

PROCESS(worldly, VAL(uvcsp_conn *, conn))
{
    int fds[2];
    MUST(pipe(fds) == 0);
    MUST(uvcsp_wait_fd(fds[1], UV_WRITABLE, -1) == 0);
    MUST(uvcsp_blocking(nothing, NULL) == 0);
    uvcsp_sleep(0.001);
    close(fds[0]);
    close(fds[1]);
    json_t *value;
    for (int i = 0; i < 10; i++) {
        MUST(uvcsp_conn_recv(conn, &value) == 0);
        MUST(uvcsp_conn_send_new(conn, value) == 0);
    }
}

PROCESS(speaks, VAL(uvcsp_conn *, conn))
{
    json_t *value;
    for (int i = 0; i < 10; i++) {
        MUST(uvcsp_conn_send_new(conn, json_pack("[i,s]", i, "said")) == 0);
        MUST(uvcsp_conn_recv(conn, &value) == 0);
        json_decref(value);
    }
}

PROCESS(calls, VAL(uvcsp_manager *, manager))
{
    uvcsp_proxy list = uvcsp_manager_list(manager, NULL), lock = uvcsp_manager_lock(manager);
    for (int i = 0; i < 10; i++) {
        MUST(uvcsp_mlock_acquire(lock, -1) == 0);
        MUST(uvcsp_mlist_append(list, json_pack("[i]", i)) == 0);
        MUST(uvcsp_mlock_release(lock) == 0);
    }
    MUST(uvcsp_proxy_free(list) == 0 && uvcsp_proxy_free(lock) == 0);
}

static void run_network(void)
{
    CHAN(int) a = CHANNEL(int), b = CHANNEL(int, .capacity = 3, .carrier = UVCSP_SHARED);
    CHAN(uvcsp_bytes) c = CHANNEL(uvcsp_bytes), d = CHANNEL(uvcsp_bytes, .capacity = 2);
    CHAN(large) e = CHANNEL(large), f = CHANNEL(large, .carrier = UVCSP_SHARED);
    MUST(PAR(writer(a, c, e), reader(a, c, e), WORKER(writer(b, d, f), reader(b, d, f)),
             writer(b, d, f), reader(b, d, f)) == 0);
    MUST(CO(writer(a, c, e), reader(a, c, e)) == 0);
    void *all[] = {a, b, c, d, e, f};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        uvcsp_channel_free(all[i]);
}

static void run_ipc(uvcsp_manager *manager)
{
    uvcsp_queue *queue = uvcsp_queue_new(4);
    int *sum = SHARED_VALUE(int, 0);
    uvcsp_conn *near, *far;
    MUST(queue && sum && uvcsp_pipe(&near, &far, true) == 0);
    MUST(PAR(producer(queue), producer(queue), WORKER(consumer(queue, sum), consumer(queue, sum)),
             speaks(near), worldly(far), calls(manager), calls(manager)) == 0);
    MUST(*sum == 2 * 29 * 30 / 2);
    uvcsp_queue_free(queue);
    uvcsp_shared_free(sum);
}

PROCESS(sleeps)
{
    uvcsp_sleep(1000);
}

PROCESS(one_round, VAL(uvcsp_manager *, manager))
{
    run_network();
    run_ipc(manager);
    uvcsp_handle *killed = SPAWN(sleeps());
    MUST(killed && uvcsp_kill(killed) == 0 && uvcsp_join(killed, -1) == UVCSP_OK);
    uvcsp_handle_free(killed);
}

/* ---- those that stay, and the counts ---- */

PROCESS(stays, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

struct counts {
    size_t blocks, touched;
    int descriptors;
    long root, server, worker; /* KiB */
};

static long resident(int pid)
{
    char path[40], line[200];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Dirty: %ld", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib;
}

static struct counts count(int server, int worker)
{
    return (struct counts){usp_arena_count(USP_BLOCK_FREE),
                           usp_arena_used(),
                           house_count_descriptors(),
                           resident(getpid()),
                           resident(server),
                           resident(worker)};
}

static void print(const char *when, const struct counts *c)
{
    printf(
        "%s: %zu blocks, %zu KiB of the arena, %d descriptors, private KiB: root %ld, server %ld, "
        "worker %ld\n",
        when, c->blocks, c->touched >> 10, c->descriptors, c->root, c->server, c->worker);
}

/* What the arena has ever touched is a peak, which a later round may raise. Memory may move by a
   few pages; a leak of a few bytes in each round is seen when there are many. What valgrind and the
   sanitizer have for themselves grows. */
static bool has_grown(const struct counts *first, const struct counts *last)
{
    enum { SLACK = 512 };
    bool private = last->root > first->root + SLACK || last->server > first->server + SLACK ||
                   last->worker > first->worker + SLACK;
    return last->blocks > first->blocks || last->touched > first->touched + (4 << 20) ||
           last->descriptors > first->descriptors || (private && !SANITIZED && !house_valgrind());
}

int main(int argc, char **argv)
{
    double seconds = stress_is_large() ? 3600 : argc > 1 ? atof(argv[1]) : 5;
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    OUT_END(int) out = OUT_OF(there);
    IN_END(int) in = IN_OF(back);
    uvcsp_manager *manager = uvcsp_manager_start(NULL);
    uvcsp_handle *stayer = SPAWN(stays(there, back));
    MUST(manager && stayer);
    int server = uvcsp_manager_pid(manager), worker = uvcsp_pid(stayer);
    double start = uvcsp_now();
    unsigned rounds = 0, counted_at = 0;
    struct counts first = {0}, now = {0};
    do {
        MUST(CO(one_round(manager)) == 0);
        for (int i = 0; i < 50; i++) {
            WRITE(out, i);
            MUST(READ(in) == i);
        }
        rounds++;
        if (!counted_at && rounds >= 5 && uvcsp_now() > start + seconds / 3) {
            first = count(server, worker);
            counted_at = rounds;
        }
    } while (uvcsp_now() < start + seconds || rounds < counted_at + 5);
    /* what ends may take a moment longer than who waits for it */
    double patience = uvcsp_now() + 5;
    while (now = count(server, worker), has_grown(&first, &now) && uvcsp_now() < patience)
        uvcsp_sleep(0.01);
    print("after a third", &first);
    print("at the end", &now);
    printf("%u rounds, %u of them before the first count\n", rounds, counted_at);
    RETIRE(out);
    MUST(uvcsp_join(stayer, -1) == UVCSP_OK && uvcsp_manager_stop(manager) == 0);
    int rc = uvcsp_shutdown();
    return rc != 0 || has_grown(&first, &now);
}
