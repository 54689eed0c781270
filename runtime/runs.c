#include "runtime/runs.h"

#include <sched.h>
#include <string.h>

#include "runtime/failpoint.h"
#include "runtime/report.h"

struct usp_region usp_region;

static uint32_t bytes_min(size_t bytes, uint32_t most)
{
    return bytes < most ? (uint32_t)bytes : most;
}

static void small_class_init(struct usp_class *class, uint32_t size)
{
    class->step = size;
    class->inverse = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
    class->size = size;
    class->spans = 1;
    class->count = (uint32_t)(USP_SPAN / size);
    class->aside = class->count <= USP_WORDS_ASIDE;
    if (!class->aside) {
        do {
            class->start = (uint32_t)(class->count * sizeof(uint32_t) + 63) & ~63u;
        } while (class->start + class->count * size > USP_SPAN && class->count--);
    }
    class->batch = bytes_min((16u << 10) / size, 64);
    if (class->batch == 0)
        class->batch = 1;
    class->limit = 2 * class->batch;
}

void usp_classes_init(size_t bytes)
{
    struct usp_class *to = usp_region.classes;
    memset(usp_region.classes, 0, sizeof usp_region.classes);
    small_class_init(to++, 32);
    small_class_init(to++, 48);
    for (uint32_t size = 64; size <= 512; size += 64)
        small_class_init(to++, size);
    for (uint32_t step = 128; step <= 4096; step *= 2)
        for (uint32_t n = 5; n <= 8; n++)
            small_class_init(to++, n * step);
    size_t share = bytes / 64 < (4u << 20) ? bytes / 64 : 4u << 20;
    for (unsigned i = 0; i < USP_CLASSES - USP_LARGE; i++, to++) {
        to->spans = i < 4 ? i + 1 : (5 + (i - 4) % 4) << ((i - 4) / 4);
        to->size = (size_t)to->spans << USP_SPAN_SHIFT;
        to->step = USP_SPAN;
        to->count = to->batch = 1;
        if (i < USP_CACHED_CLASSES - USP_LARGE)
            to->limit = bytes_min(share / to->size, 8);
        to->aside = true;
    }
}

uint32_t usp_spans_view(char *base, size_t bytes)
{
    size_t n = bytes >> USP_SPAN_SHIFT;
    size_t spans = n * USP_WORDS_ASIDE * sizeof(uint32_t);
    size_t shapes = spans + ((sizeof(struct usp_spans) + 63) & ~(size_t)63);
    usp_region.words = (_Atomic uint32_t *)(void *)base;
    usp_region.shapes = (_Atomic uint8_t *)(void *)(base + shapes);
    usp_region.spans = (struct usp_spans *)(void *)(base + spans);
    usp_region.bytes = bytes;
    usp_region.base = base;
    return (uint32_t)((shapes + n + USP_SPAN - 1) >> USP_SPAN_SHIFT);
}

void usp_spans_init(char *base, size_t bytes)
{
    uint32_t first = usp_spans_view(base, bytes);
    struct usp_spans *spans = usp_region.spans;
    spans->first = spans->peak = first;
    spans->end = (uint32_t)(bytes >> USP_SPAN_SHIFT);
    atomic_init(&spans->bump, first);
}

/* The lock. */

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

bool usp_spans_lock_or_take_over(int64_t dead)
{
    _Atomic uint32_t *lock = &usp_region.spans->lock;
    uint32_t me = usp_arena_me + 1;
    for (unsigned tries = 1;; tries++) {
        uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed);
        bool over = seen != 0 && (int64_t)seen - 1 == dead;
        /* Pairs with the release in usp_spans_unlock(); what a dead holder stored is visible. */
        if ((seen == 0 || over) && atomic_compare_exchange_strong_explicit(
                                       lock, &seen, me, memory_order_acquire, memory_order_relaxed))
            return over;
        if (seen == me)
            usp_fatal("arena: worker %u takes the lock that it holds", usp_arena_me);
        USP_SPINS(lock);
        if (tries < 64)
            relax();
        else
            sched_yield();
        if (tries % 1000 == 0 && seen != 0 && usp_lock_stuck != NULL)
            usp_lock_stuck(seen - 1);
    }
}

void usp_spans_lock(void)
{
    usp_spans_lock_or_take_over(-1);
    USP_FAILPOINT("arena-locked");
}

void usp_spans_unlock(void)
{
    USP_FAILPOINT("arena-unlocking");
    atomic_store_explicit(&usp_region.spans->lock, 0, memory_order_release);
}

/* Runs. */

const struct usp_class *usp_run_class(uint32_t span)
{
    unsigned shape = usp_shape(span);
    if (shape == 0)
        usp_fatal("arena: span %u lies between runs", span);
    return &usp_region.classes[shape - 1];
}

bool usp_run_is_large(const struct usp_class *class)
{
    return class >= &usp_region.classes[USP_LARGE];
}

unsigned usp_class_within(uint32_t n)
{
    unsigned class = usp_class_of_spans(n);
    return usp_region.classes[class].spans > n ? class - 1 : class;
}

void usp_run_list(uint32_t span, unsigned class, uint32_t clean)
{
    struct usp_spans *spans = usp_region.spans;
    usp_word_store(usp_run_word(span), usp_word(USP_BLOCK_FREE, 0) | clean);
    atomic_store_explicit(usp_run_word(span) + 1, spans->large[class - USP_LARGE],
                          memory_order_relaxed);
    spans->large[class - USP_LARGE] = span;
    if (!clean)
        spans->idle += usp_region.classes[class].spans;
}

static uint32_t unlist_run(unsigned class)
{
    struct usp_spans *spans = usp_region.spans;
    uint32_t span = spans->large[class - USP_LARGE];
    if (span == 0)
        return 0;
    spans->large[class - USP_LARGE] = usp_word_load(usp_run_word(span) + 1);
    if (!(usp_word_load(usp_run_word(span)) & USP_WORD_CLEAN))
        spans->idle -= usp_region.classes[class].spans;
    return span;
}

/* Makes runs of the spans from .. from + n - 1 and lists them. Something in front still covers
   them: so the last comes first, and the caller uncovers all by one store afterwards. */
static void list_covered(uint32_t from, uint32_t n, uint32_t clean)
{
    while (n > 0) {
        unsigned class = usp_class_within(n);
        n -= usp_region.classes[class].spans;
        usp_run_list(from + n, class, clean);
        usp_shape_set(from + n, class + 1);
    }
}

/* A fresh run; it begins to exist when the bump moves. */
static uint32_t bump_run(unsigned class)
{
    struct usp_spans *spans = usp_region.spans;
    uint32_t span = usp_bump(), n = usp_region.classes[class].spans;
    if (n > spans->end - span)
        return 0;
    usp_word_store(usp_run_word(span), usp_word(USP_BLOCK_FREE, 0));
    for (uint32_t i = 1; i < n; i++)
        atomic_store_explicit(&usp_region.shapes[span + i], 0, memory_order_relaxed);
    usp_shape_set(span, class + 1);
    usp_bump_set(span + n);
    if (spans->peak < span + n)
        spans->peak = span + n;
    return span;
}

static uint32_t split_run(unsigned class)
{
    uint32_t n = usp_region.classes[class].spans;
    for (unsigned larger = class + 1; larger < USP_CLASSES; larger++) {
        uint32_t span = unlist_run(larger);
        if (span == 0)
            continue;
        uint32_t clean = usp_word_load(usp_run_word(span)) & USP_WORD_CLEAN;
        list_covered(span + n, usp_region.classes[larger].spans - n, clean);
        usp_shape_set(span, class + 1);
        return span;
    }
    return 0;
}

uint32_t usp_run_take(unsigned class)
{
    uint32_t span = unlist_run(class);
    if (span == 0)
        span = bump_run(class);
    return span != 0 ? span : split_run(class);
}
