#include "runtime/spans.h"

#include <string.h>
#include <sys/mman.h>

#include "runtime/runs.h"

/* Everything from here to the end of sweep() is called with the lock held. */

/* Small blocks. */

/* Makes `span`, a free run of one, a span of a small class. */
static void format_small(uint32_t span, unsigned index)
{
    const struct usp_class *class = &usp_region.classes[index];
    _Atomic uint32_t *words = usp_words_of(span, class);
    for (uint32_t i = 0; i < class->count; i++)
        atomic_store_explicit(&words[i], usp_word(USP_BLOCK_FREE, 0), memory_order_relaxed);
    usp_shape_set(span, index + 1);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Blocks that were never handed out: the next of the span that is being carved, or of a new one. */
static struct usp_link *carve(unsigned index, unsigned *np)
{
    const struct usp_class *class = &usp_region.classes[index];
    struct usp_small_list *list = &usp_region.spans->small[index];
    if (list->carved_span == 0) {
        uint32_t span = usp_run_take(USP_LARGE);
        if (span == 0)
            return NULL;
        format_small(span, index);
        list->carved = 0;
        list->carved_span = span;
    }
    uint32_t n = class->count - list->carved;
    n = least(n, least(class->batch, *np));
    char *at = usp_span_start(list->carved_span) + class->start + list->carved * class->step;
    _Atomic uint32_t *words = usp_words_of(list->carved_span, class) + list->carved;
    struct usp_link *head = (struct usp_link *)(void *)at;
    for (uint32_t i = 0; i < n; i++, at += class->step) {
        usp_word_store(&words[i], usp_word(USP_BLOCK_CACHED, usp_arena_me));
        ((struct usp_link *)(void *)at)->next =
            i + 1 < n ? (struct usp_link *)(void *)(at + class->step) : NULL;
    }
    list->carved += n;
    if (list->carved == class->count)
        list->carved_span = 0;
    *np = n;
    return head;
}

static void *take_locked(unsigned index, unsigned *np)
{
    const struct usp_class *class = &usp_region.classes[index];
    uint32_t cached = usp_word(USP_BLOCK_CACHED, usp_arena_me);
    if (index >= USP_LARGE) {
        uint32_t span = usp_run_take(index);
        if (span == 0)
            return NULL;
        usp_word_store(usp_run_word(span), cached);
        *np = 1;
        return usp_span_start(span);
    }
    struct usp_small_list *list = &usp_region.spans->small[index];
    struct usp_link *head = list->free, *last = NULL;
    if (head == NULL)
        return carve(index, np);
    unsigned n = 0, most = least(class->batch, *np);
    /* The first look at a span is a read: by that the kernel maps all its pages for a new worker, and not one. */
    for (struct usp_link *at = head, *next; at != NULL && n < most; at = next, n++) {
        next = at->next;
        usp_word_store(usp_word_at(at, class), cached);
        last = at;
    }
    list->free = last->next;
    last->next = NULL;
    *np = n;
    return head;
}

static void give_locked(unsigned index, void *block, uint32_t clean)
{
    const struct usp_class *class = &usp_region.classes[index];
    usp_region.spans->returned += class->size;
    if (index >= USP_LARGE) {
        uint32_t span = (uint32_t)((size_t)((char *)block - usp_region.base) >> USP_SPAN_SHIFT);
        usp_run_list(span, index, clean);
        return;
    }
    struct usp_small_list *list = &usp_region.spans->small[index];
    struct usp_link *link = block;
    usp_word_store(usp_word_at(block, class), usp_word(USP_BLOCK_FREE, 0));
    link->next = list->free;
    list->free = link;
}

/* Making everything from the words. */

static bool all_free(uint32_t span, const struct usp_class *class)
{
    _Atomic uint32_t *words = usp_words_of(span, class);
    for (uint32_t i = 0; i < class->count; i++)
        if (usp_word_kind(usp_word_load(&words[i])) != USP_BLOCK_FREE)
            return false;
    return true;
}

/* Turns a free run into single spans. The head goes last: until then it covers the others. Words
   of small blocks may be where the large one's is: they are FREE, and so is it. */
static void dissolve(uint32_t span, const struct usp_class *class)
{
    for (uint32_t i = class->spans; i-- > 0;) {
        usp_word_store(usp_run_word(span + i), usp_word(USP_BLOCK_FREE, 0));
        usp_shape_set(span + i, USP_LARGE + 1);
    }
}

/* Makes large runs of the single free spans from .. end - 1. A head first covers its spans. */
static void merge(uint32_t from, uint32_t end, uint32_t clean)
{
    while (from < end) {
        unsigned class = usp_class_within(end - from);
        uint32_t n = usp_region.classes[class].spans;
        usp_word_store(usp_run_word(from), usp_word(USP_BLOCK_FREE, 0) | clean);
        usp_shape_set(from, class + 1);
        for (uint32_t i = 1; i < n; i++)
            atomic_store_explicit(&usp_region.shapes[from + i], 0, memory_order_relaxed);
        usp_run_list(from, class, clean);
        from += n;
    }
}

/* Lists the free blocks of a span in address order, behind those of the spans before it. */
static void list_blocks(uint32_t span, const struct usp_class *class, struct usp_link **tail)
{
    _Atomic uint32_t *words = usp_words_of(span, class);
    char *at = usp_span_start(span) + class->start;
    for (uint32_t i = 0; i < class->count; i++, at += class->step) {
        if (usp_word_load(&words[i]) != usp_word(USP_BLOCK_FREE, 0))
            continue;
        struct usp_link *link = (struct usp_link *)(void *)at;
        link->next = NULL;
        if (*tail != NULL)
            (*tail)->next = link;
        else
            usp_region.spans->small[class - usp_region.classes].free = link;
        *tail = link;
    }
}

/* Drops all lists and makes them again from the words; free runs side by side become one, also
   those of small classes, and the last goes back above the bump. */
static void rebuild(void)
{
    struct usp_spans *spans = usp_region.spans;
    struct usp_link *tails[USP_LARGE] = {0};
    memset(spans->small, 0, sizeof spans->small);
    memset(spans->large, 0, sizeof spans->large);
    spans->idle = 0;
    spans->returned = 0;
    uint32_t run = 0, clean = 0, end = usp_bump();
    for (uint32_t span = spans->first, n; span < end; span += n) {
        const struct usp_class *class = usp_run_class(span);
        n = class->spans;
        bool large = usp_run_is_large(class);
        uint32_t word = usp_word_load(usp_run_word(span));
        if (large ? usp_word_kind(word) == USP_BLOCK_FREE : all_free(span, class)) {
            clean = run == 0 ? USP_WORD_CLEAN : clean;
            clean &= large ? word : 0;
            run = run == 0 ? span : run;
            dissolve(span, class);
            continue;
        }
        if (run != 0)
            merge(run, span, clean);
        run = 0;
        if (!large)
            list_blocks(span, class, &tails[class - usp_region.classes]);
    }
    if (run != 0)
        usp_bump_set(run);
}

/* Frees what `owner` has of these kinds, into the lists if they are whole. */
static void sweep(unsigned owner, uint32_t kinds)
{
    uint32_t end = usp_bump();
    for (uint32_t span = usp_region.spans->first, n; span < end; span += n) {
        const struct usp_class *class = usp_run_class(span);
        _Atomic uint32_t *words = usp_words_of(span, class);
        n = class->spans;
        for (uint32_t i = 0; i < class->count; i++) {
            uint32_t word = usp_word_load(&words[i]);
            if (usp_word_owner(word) == owner && kinds >> usp_word_kind(word) & 1)
                give_locked((unsigned)(class - usp_region.classes),
                            usp_span_start(span) + class->start + i * class->step, 0);
        }
    }
}

/* What the lock is taken for. */

/* Is a rebuild worth its walk? Something must have come back. After several that did not help, as
   much as is asked for, or a full arena would be walked at each request. */
static bool rebuild_may_help(const struct usp_class *class)
{
    struct usp_spans *spans = usp_region.spans;
    uint64_t need = class->spans * (uint64_t)USP_SPAN;
    return spans->returned >= (spans->futile < 8 ? 1 : need);
}

void *usp_spans_take(unsigned class, unsigned *np)
{
    struct usp_spans *spans = usp_region.spans;
    usp_spans_lock();
    void *chain = take_locked(class, np);
    if (chain == NULL && rebuild_may_help(&usp_region.classes[class])) {
        rebuild();
        chain = take_locked(class, np);
        spans->futile = chain != NULL ? 0 : spans->futile + 1;
    }
    usp_spans_unlock();
    return chain;
}

/* Does the memory of a large block go back to the system? Only where much lies idle already, a
   sixteenth of the arena, but at least 64 and at most 256 MiB: what is allocated and freed for each
   message keeps its pages. The sum is read without the lock, it is a matter of degree. */
static bool must_clean(const struct usp_class *class)
{
    uint32_t enough = usp_region.spans->end / 16;
    uint32_t idle = *(volatile uint32_t *)&usp_region.spans->idle;
    enough = enough < 1024 ? 1024 : enough > 4096 ? 4096 : enough;
    return idle + class->spans > enough;
}

void usp_spans_give_large(unsigned index, void *block)
{
    const struct usp_class *class = &usp_region.classes[index];
    bool clean = must_clean(class) && madvise(block, class->size, MADV_REMOVE) == 0;
    usp_spans_lock();
    give_locked(index, block, clean ? USP_WORD_CLEAN : 0);
    usp_spans_unlock();
}

struct usp_link *usp_spans_give(unsigned index, struct usp_link *chain, unsigned n)
{
    const struct usp_class *class = &usp_region.classes[index];
    struct usp_small_list *list = &usp_region.spans->small[index];
    struct usp_link *last = chain, *rest = NULL;
    usp_spans_lock();
    for (unsigned i = 0; i < n; i++) {
        last = i == 0 ? chain : last->next;
        usp_word_store(usp_word_at(last, class), usp_word(USP_BLOCK_FREE, 0));
    }
    rest = last->next;
    last->next = list->free;
    list->free = chain;
    usp_region.spans->returned += n * class->size;
    usp_spans_unlock();
    return rest;
}

void usp_spans_recover(unsigned dead)
{
    bool torn = usp_spans_lock_or_take_over(dead);
    if (torn)
        rebuild(); /* before the sweep, which adds to the lists */
    sweep(dead, 1u << USP_BLOCK_CACHED);
    usp_spans_unlock();
}

void usp_spans_sweep(unsigned owner, uint32_t kinds)
{
    usp_spans_lock();
    sweep(owner, kinds);
    usp_spans_unlock();
}

size_t usp_spans_walk(struct usp_walk *walk, enum usp_block_kind kind, void **blocks,
                      uint32_t *found, size_t n)
{
    size_t got = 0;
    usp_spans_lock();
    uint32_t end = usp_bump();
    if (walk->span == 0)
        walk->span = usp_region.spans->first;
    while (walk->span < end) {
        /* Between two calls runs may have merged or split: what is new may be missed. */
        unsigned shape = usp_shape(walk->span);
        if (shape == 0 || (walk->index != 0 && walk->shape != shape)) {
            walk->span++;
            walk->index = 0;
            continue;
        }
        const struct usp_class *class = &usp_region.classes[shape - 1];
        _Atomic uint32_t *words = usp_words_of(walk->span, class);
        char *start = usp_span_start(walk->span) + class->start;
        walk->shape = shape;
        while (walk->index < class->count && got < n) {
            uint32_t i = walk->index++, word = usp_word_load(&words[i]);
            enum usp_block_kind is = usp_word_kind(word);
            if (is <= USP_BLOCK_CACHED || (kind != USP_BLOCK_FREE && is != kind))
                continue;
            found[got] = word;
            blocks[got++] = start + i * class->step;
        }
        if (walk->index < class->count)
            break;
        walk->span += class->spans;
        walk->index = 0;
    }
    usp_spans_unlock();
    return got;
}
