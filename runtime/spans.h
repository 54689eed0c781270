/* Spans: the part of the arena that all workers share. Private to arena.c, spans.c, runs.c.

   The region is an array of spans of 64 KiB. The first ones hold this file's own tables:

       words[span][16]     words of the blocks of spans that have no more than 16 of them
       struct usp_spans    the lock, the free lists, the bump
       shapes[span]        one byte: 0, or 1 + the class of the run that begins at this span

   In this order what a new worker looks at lies close together: lock, lists and the first shapes on one page, and
   that within 2 MiB of the first blocks, so that it needs one page table for all.

   A run is one span of small blocks, or the several spans of one large block. Every block has a
   word with its kind and its owner. Where a span has more than 16 blocks, their words lie at its
   start: beside the blocks, not between them, so that blocks of 64 bytes and more can be aligned
   to 64.

   The words, the shapes and the bump are the truth; everything else (lists, counters) can be made
   from them at any time, and is made again when the holder of the lock has died. Who changes what:

       FREE -> CACHED     under the lock
       CACHED -> FREE     under the lock, by the owner or for a dead one
       CACHED <-> live    by the owner of the cache, a single store
       shapes, bump       under the lock, in an order that leaves the runs below the bump whole
   after each single store */
#ifndef USP_RUNTIME_SPANS_H
#define USP_RUNTIME_SPANS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/arena.h"

#define USP_SPAN_SHIFT 16
#define USP_SPAN ((size_t)1 << USP_SPAN_SHIFT)
#define USP_WORDS_ASIDE 16 /* words of a span that lie in the table */

/* Classes 0 .. USP_LARGE - 1 are small: 32, 48, 64, the multiples of 64 up to 512, then four to a
   doubling up to 32 KiB. The others are runs of 1, 2, 3, 4 spans, then four to a doubling. */
#define USP_LARGE 34
#define USP_CLASSES 134
#define USP_CACHED_CLASSES (USP_LARGE + 13) /* up to 20 spans: 1 MiB and a little more */
#define USP_ARENA_MAX ((size_t)1 << 42)
#define USP_ARENA_MIN ((size_t)1 << 20)

struct usp_class {
    uint32_t step;    /* from block to block; 65536 for a large one */
    uint32_t start;   /* offset of the first block in its span */
    uint32_t inverse; /* ceil(2^32 / step); 0 for a large one, which makes its index 0 */
    uint32_t count;   /* blocks in a span */
    uint32_t batch;   /* blocks that move between a cache and the lists at once */
    uint32_t limit;   /* blocks that a cache keeps */
    uint32_t spans;   /* of one run */
    bool aside;       /* the words lie in the table */
    size_t size;      /* usable bytes of a block */
};

/* A block that lies in a cache or in a small class's list begins with this. */
struct usp_link {
    struct usp_link *next;
};

struct usp_small_list {
    struct usp_link *free;
    uint32_t carved_span; /* a span whose last blocks were never handed out; 0 for none */
    uint32_t carved;      /* how many were */
};

struct usp_spans {
    _Atomic uint32_t lock; /* 0, or 1 + the owner that holds it */
    uint32_t first;        /* first span behind the tables */
    uint32_t end;
    uint32_t peak;                      /* the highest that `bump` has been */
    uint32_t futile;                    /* rebuilds in a row that did not help */
    uint32_t idle;                      /* free large spans that may hold memory */
    uint64_t returned;                  /* bytes given back since the last rebuild */
    _Alignas(64) _Atomic uint32_t bump; /* runs lie below, nothing above */
    struct usp_small_list small[USP_LARGE];
    uint32_t large[USP_CLASSES - USP_LARGE]; /* first free run; words[run][1] is the next */
};

/* This worker's view, private: the same in each worker. */
struct usp_region {
    char *base; /* NULL: not mapped */
    size_t bytes;
    struct usp_spans *spans;
    _Atomic uint8_t *shapes;
    _Atomic uint32_t *words;
    struct usp_class classes[USP_CLASSES];
};
extern struct usp_region usp_region;
extern uint32_t usp_arena_me; /* as an owner */

/* A word: kind in bits 0 to 7, owner in bits 16 to 31. */
#define USP_WORD_CLEAN 0x100u /* of a FREE large block: its memory was given back */

static inline uint32_t usp_word(enum usp_block_kind kind, unsigned owner)
{
    return (uint32_t)kind | (uint32_t)owner << 16;
}
static inline enum usp_block_kind usp_word_kind(uint32_t word)
{
    return (enum usp_block_kind)(word & 0xff);
}
static inline unsigned usp_word_owner(uint32_t word)
{
    return word >> 16;
}

static inline char *usp_span_start(uint32_t span)
{
    return usp_region.base + ((size_t)span << USP_SPAN_SHIFT);
}

static inline _Atomic uint32_t *usp_words_of(uint32_t span, const struct usp_class *class)
{
    return class->aside ? usp_region.words + (size_t)span * USP_WORDS_ASIDE
                        : (_Atomic uint32_t *)(void *)usp_span_start(span);
}

/* Index of the block of `class` that contains the offset `in` of a span. The product is exact for
   every offset below 64 KiB, since the inverse is too large by less than 2^-16 of a block. */
static inline uint32_t usp_index_in(const struct usp_class *class, uint32_t in)
{
    return (uint32_t)((uint64_t)(uint32_t)(in - class->start) * class->inverse >> 32);
}

/* The word of a block that is known to be one. */
static inline _Atomic uint32_t *usp_word_at(const void *block, const struct usp_class *class)
{
    size_t offset = (size_t)((const char *)block - usp_region.base);
    return usp_words_of((uint32_t)(offset >> USP_SPAN_SHIFT), class) +
           usp_index_in(class, (uint32_t)(offset & (USP_SPAN - 1)));
}

/* The word of any pointer value, and its class; NULL if no block can begin there. */
static inline _Atomic uint32_t *usp_word_find(const void *p, const struct usp_class **classp)
{
    size_t offset = (size_t)((uintptr_t)p - (uintptr_t)usp_region.base);
    if (offset >= usp_region.bytes)
        return NULL;
    uint32_t span = (uint32_t)(offset >> USP_SPAN_SHIFT);
    uint32_t in = (uint32_t)(offset & (USP_SPAN - 1));
    /* Pairs with the store of the shape, which comes after the words were set to FREE. */
    unsigned shape = atomic_load_explicit(&usp_region.shapes[span], memory_order_acquire);
    if (shape == 0)
        return NULL;
    const struct usp_class *class = &usp_region.classes[shape - 1];
    uint32_t index = usp_index_in(class, in);
    if (index >= class->count || class->start + index * class->step != in)
        return NULL;
    *classp = class;
    return usp_words_of(span, class) + index;
}

static inline uint32_t usp_word_load(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}
static inline void usp_word_store(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

/* The class that serves a request of this many spans. */
static inline unsigned usp_class_of_spans(size_t n)
{
    if (n <= 4)
        return USP_LARGE + (unsigned)n - 1;
    unsigned bit = 63u - (unsigned)__builtin_clzll(n - 1);
    return USP_LARGE + 4 + 4 * (bit - 2) + (unsigned)((n - 1) >> (bit - 2) & 3);
}

/* Fills usp_region.classes, for a region of `bytes`. */
void usp_classes_init(size_t bytes);

/* Points usp_region at the tables of a region; the first span behind them. */
uint32_t usp_spans_view(char *base, size_t bytes);

/* Lays out the tables in a fresh, zeroed region and points usp_region at them. */
void usp_spans_init(char *base, size_t bytes);

/* Up to a batch of blocks, but no more than *np, in their words cached by this worker; *np says how many. The blocks of a
   small class are linked, a large one comes alone and untouched. NULL: there is no room. */
void *usp_spans_take(unsigned class, unsigned *np);

/* Gives back the first `n` small blocks of a chain from its cache. Returns the rest. */
struct usp_link *usp_spans_give(unsigned class, struct usp_link *chain, unsigned n);

/* Gives back one large block that this worker has cached. */
void usp_spans_give_large(unsigned class, void *block);

/* Takes the lock, from a dead owner too, and frees the blocks that it had in its cache. */
void usp_spans_recover(unsigned dead);

/* Frees the blocks of `owner` whose kind is in the set `kinds` (1 << kind). */
void usp_spans_sweep(unsigned owner, uint32_t kinds);

/* A walk over the live blocks. Each call looks on, under the lock, and fills the arrays; it gives
   how many there were, 0 at the end. */
struct usp_walk {
    uint32_t span;  /* 0: at the start */
    uint32_t shape; /* of that span, while in the middle of it */
    uint32_t index;
};
size_t usp_spans_walk(struct usp_walk *walk, enum usp_block_kind kind, void **blocks,
                      uint32_t *words, size_t n);

#endif
