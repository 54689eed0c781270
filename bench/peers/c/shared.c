/* shared spin|futex|memcpy CASE...: messages between two processes through a ring in shared memory,
   copied in and copied out. Who waits looks again and again (spin), or sleeps in the kernel until
   it is woken (futex), which is done only where somebody sleeps. memcpy: one process alone copies
   each message twice, as if in and out, and never waits: no message that is copied twice can be
   faster. */
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "peer.h"

struct place { /* where one side waits for the counter of the other to move */
    _Alignas(64) atomic_uint counter;
    _Atomic uint64_t asleep; /* who sleeps until the counter is no longer that, plus 1; 0: nobody */
};

struct ring {
    struct place written, read;
    unsigned room;
    size_t size;
    _Alignas(64) char data[];
};

struct way {
    struct ring *in, *out;
};

static enum { SPIN, FUTEX, MEMCPY } how;

static inline void rest(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits until the counter is no longer `seen`. */
static void await(struct place *place, unsigned seen)
{
    while (atomic_load_explicit(&place->counter, memory_order_acquire) == seen) {
        if (how == SPIN) {
            rest();
            continue;
        }
        atomic_store(&place->asleep, (uint64_t)seen + 1);
        syscall(SYS_futex, &place->counter, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

static void advance(struct place *place)
{
    if (how == SPIN) {
        atomic_store_explicit(&place->counter,
                              atomic_load_explicit(&place->counter, memory_order_relaxed) + 1,
                              memory_order_release);
        return;
    }
    /* Who waits for the next step already is left to that, or would sleep unnoticed. */
    unsigned now = atomic_fetch_add(&place->counter, 1) + 1;
    uint64_t who = atomic_load(&place->asleep);
    if (who != 0 && who != (uint64_t)now + 1 && atomic_compare_exchange_strong(&place->asleep, &who, 0))
        syscall(SYS_futex, &place->counter, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static struct ring *ring_new(size_t size, int room)
{
    struct ring *ring = (void *)peer_memory(sizeof *ring + (size_t)room * size, MAP_SHARED);
    *ring = (struct ring){.room = (unsigned)room, .size = size};
    return ring;
}

struct way *way_new(size_t size, bool both, int room)
{
    struct way *ways = bench_get(2, sizeof *ways);
    struct ring *there = ring_new(size, room), *back = both ? ring_new(size, room) : NULL;
    ways[0] = (struct way){.in = there, .out = back};
    ways[1] = (struct way){.in = back, .out = there};
    return ways;
}

void way_open(struct way *way, bool child)
{
    way[0] = way[child];
}

bool way_give(struct way *way, const char *bytes)
{
    struct ring *ring = way->out;
    unsigned at = atomic_load_explicit(&ring->written.counter, memory_order_relaxed);
    await(&ring->read, at - ring->room);
    memcpy(ring->data + at % ring->room * ring->size, bytes, ring->size);
    advance(&ring->written);
    return true;
}

bool way_take(struct way *way, char *bytes)
{
    struct ring *ring = way->in;
    unsigned at = atomic_load_explicit(&ring->read.counter, memory_order_relaxed);
    await(&ring->written, at);
    memcpy(bytes, ring->data + at % ring->room * ring->size, ring->size);
    advance(&ring->read);
    return true;
}

static void copy_twice(const char *name, long number)
{
    size_t size = (size_t)number;
    bench_join();
    char *from = peer_memory(size, MAP_PRIVATE), *between = peer_memory(size, MAP_SHARED),
         *to = peer_memory(size, MAP_PRIVATE);
    struct bench bench = {0};
    for (int warm = 1; warm >= 0; warm--) {
        bench = bench_begin();
        do
            for (int i = 0; i < 10; i++) {
                memcpy(between, from, size);
                __asm__ volatile("" ::"r"(between), "r"(from) : "memory");
                memcpy(to, between, size);
                __asm__ volatile("" ::"r"(between), "r"(to) : "memory");
            }
        while (bench_goes_on(&bench, 10) && !warm);
    }
    bench_tell(name, bench_ns(&bench) / 1e3, "us");
}

int main(int argc, char **argv)
{
    static const struct bench_kind kinds[] = {PEER_KINDS, {0}};
    static const struct bench_kind copies[] = {
        {"far-one-way-", copy_twice}, {"stream-", copy_twice}, {0}};
    const char *word = argc > 1 ? argv[1] : "";
    how = strcmp(word, "spin") == 0 ? SPIN : strcmp(word, "futex") == 0 ? FUTEX : MEMCPY;
    if (how == MEMCPY && strcmp(word, "memcpy") != 0) {
        fprintf(stderr, "usage: shared spin|futex|memcpy CASE...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        if (!bench_run(how == MEMCPY ? copies : kinds, argv[i]))
            return bench_no_such_case(argv[i]);
    return 0;
}
