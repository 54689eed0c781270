#include "runtime/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/failpoint.h"
#include "runtime/report.h"
#include "runtime/spans.h"
#include "runtime/valgrind.h"
#include "runtime/young.h"

#define LEAST ((size_t)16 << 20) /* where halving ends */
#define FOR_VALGRIND ((size_t)256 << 20) /* which looks at every page of it when the program ends */
#define MOST ((size_t)64 << 30)  /* of what is chosen by the machine's memory */
#define AT_FIRST 4u
#define PAGE_TABLE ((uintptr_t)2 << 20) /* so much does one map */
#define LINKER_SIZE ((uintptr_t)512 << 10)
#define ROOM_FOR_STACK ((size_t)4 << 30)

struct usp_arena_range usp_arena_range USP_YOUNG;
bool (*usp_lock_stuck)(unsigned holder);
void (*usp_arena_drains)(void) USP_YOUNG;

/* The cache of this worker: for each class a stack, linked through the blocks. */
static struct {
    struct usp_link *head;
    unsigned n;
    bool filled; /* before: this worker needs more of them than a few */
} cache[USP_CACHED_CLASSES] USP_YOUNG;
uint32_t usp_arena_me USP_YOUNG;

/* Mapping. */

/* Above the dynamic linker, where the kernel puts nothing by itself: so near to the libraries that a new worker has
   their page tables for it, but for the last. It is a wish: NULL where there is no room below the stack. */
static void *wanted_place(size_t size)
{
    uintptr_t linker = getauxval(AT_BASE), stack = (uintptr_t)__builtin_frame_address(0);
    uintptr_t place = (linker + PAGE_TABLE + LINKER_SIZE - 1) & ~(PAGE_TABLE - 1);
    struct rlimit limit;
    if (linker == 0 || getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur > ROOM_FOR_STACK)
        return NULL;
    return place < stack && stack - place > size + ROOM_FOR_STACK ? (void *)place : NULL;
}

/* A sealed memfd, mapped; its descriptor is closed again. */
static int map(size_t size, char **basep)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur < size)
        return -EFBIG; /* ftruncate would raise SIGXFSZ */
    int fd = memfd_create("uvcsp-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    void *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        base = mmap(wanted_place(size), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    int failed = base == MAP_FAILED ? -errno : 0;
    close(fd);
    *basep = base;
    return failed;
}

static size_t memory_of_the_machine(void)
{
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    size_t size = LEAST;
    while (size < memory && size < MOST)
        size *= 2;
    return size;
}

/* "4096", "64K", "16M", "2G"; 0 for anything else. */
static size_t parse_size(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' || *end == 'k'   ? 10
                     : *end == 'M' || *end == 'm' ? 20
                     : *end == 'G' || *end == 'g' ? 30
                                                  : 0;
    end += shift != 0;
    bool bad = errno != 0 || *text < '0' || *text > '9' || *end != '\0' || n > USP_ARENA_MAX;
    return bad || n > USP_ARENA_MAX >> shift ? 0 : (size_t)n << shift;
}

int usp_arena_init(size_t size)
{
    if (usp_region.base != NULL)
        return 0;
    size_t least = size;
    const char *text = getenv("UVCSP_ARENA");
    if (size == 0 && text != NULL && *text != '\0') {
        least = size = parse_size(text);
        if (size == 0) {
            usp_report("UVCSP_ARENA=%s is no size: bytes, or with K, M or G", text);
            return -EINVAL;
        }
        if (size < USP_ARENA_MIN)
            usp_report("UVCSP_ARENA=%s is less than 1M; it is 1M", text);
    }
    if (size == 0) {
        size = usp_under_valgrind() ? FOR_VALGRIND : memory_of_the_machine();
        least = LEAST;
    }
    if (size > USP_ARENA_MAX)
        return -ENOMEM;
    char *base = MAP_FAILED;
    int failed;
    for (;; size /= 2) {
        size = size < USP_ARENA_MIN ? USP_ARENA_MIN : (size + USP_SPAN - 1) & ~(USP_SPAN - 1);
        failed = map(size, &base);
        if (failed == 0 || size / 2 < least)
            break;
    }
    if (failed)
        return failed;
    madvise(base, size, MADV_DONTDUMP);
    usp_classes_init(size);
    usp_spans_init(base, size);
    usp_arena_range = (struct usp_arena_range){(uintptr_t)base, size, size - 1024, 0};
    usp_arena_adopt(0);
    return 0;
}

void usp_arena_view(void *base, size_t size)
{
    usp_classes_init(size);
    (void)usp_spans_view(base, size);
    usp_arena_range = (struct usp_arena_range){(uintptr_t)base, size, size - 1024, 0};
}

void usp_arena_deinit(void)
{
    if (usp_region.base != NULL)
        munmap(usp_region.base, usp_region.bytes);
    usp_arena_drains = NULL;
    memset(&usp_region, 0, sizeof usp_region);
    memset(&usp_arena_range, 0, sizeof usp_arena_range);
    memset(cache, 0, sizeof cache);
}

void usp_arena_adopt(unsigned owner)
{
    if (owner >= USP_ARENA_OWNERS)
        usp_fatal("arena: no worker can have the number %u", owner);
    /* a new worker writes to as few pages as it can */
    for (unsigned i = 0; i < USP_CACHED_CLASSES; i++)
        if (cache[i].filled || cache[i].n > 0) {
            cache[i].head = NULL;
            cache[i].n = 0;
            cache[i].filled = false;
        }
    usp_arena_me = owner;
    usp_arena_range.me = usp_word(USP_BLOCK_FREE, owner);
}

/* Allocating. */

/* Classes of requests up to 512 bytes, by sixteens. Not among the constants, which a new worker would have to map. */
static uint8_t tiny[33] USP_YOUNG = {0, 0, 0, 1, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5,
                                     6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9};

static unsigned class_of(size_t size)
{
    if (size <= 512)
        return tiny[(size + 15) >> 4];
    if (size > USP_SPAN / 2)
        return usp_class_of_spans((size + USP_SPAN - 1) >> USP_SPAN_SHIFT);
    unsigned bit = 63u - (unsigned)__builtin_clzll(size - 1);
    return 10 + 4 * (bit - 9) + (unsigned)((size - 1) >> (bit - 2) & 3);
}

/* A block from the lists, its word CACHED; the rest of its batch goes to the cache. The first batch is small: most workers
   need but a task, and each block is a line of the cache that may lie with another processor. */
static __attribute__((noinline)) void *refill(unsigned class)
{
    unsigned most = class < USP_CACHED_CLASSES && cache[class].filled ? USP_SPAN : AT_FIRST, n = most;
    void *chain = usp_spans_take(class, &n);
    if (chain == NULL) {
        usp_arena_drain(); /* which may have been the last of it */
        n = most;
        chain = usp_spans_take(class, &n);
    }
    if (chain != NULL && class < USP_LARGE) {
        cache[class].head = ((struct usp_link *)chain)->next;
        cache[class].n = n - 1;
        cache[class].filled = true;
    }
    return chain;
}

void *usp_arena_alloc(size_t size, enum usp_block_kind kind)
{
    if (__builtin_expect(size >= usp_region.bytes, 0))
        return NULL; /* too large, or not mapped */
    unsigned class = class_of(size);
    void *block = NULL;
    if (class < USP_CACHED_CLASSES && cache[class].head != NULL) {
        block = cache[class].head;
        cache[class].head = cache[class].head->next;
        cache[class].n--;
    } else {
        block = refill(class);
        if (block == NULL)
            return NULL;
    }
    USP_FAILPOINT("block-out-of-cache");
    usp_word_store(usp_word_at(block, &usp_region.classes[class]), usp_word(kind, usp_arena_me));
    USP_FAILPOINT("block-live");
    return block;
}

/* Gives back some of the cache: a batch, or all of a class. */
static __attribute__((noinline)) void give(unsigned class, unsigned n)
{
    cache[class].n -= n;
    if (class < USP_LARGE) {
        cache[class].head = usp_spans_give(class, cache[class].head, n);
        return;
    }
    while (n-- > 0) {
        struct usp_link *head = cache[class].head;
        cache[class].head = head->next;
        usp_spans_give_large(class, head);
    }
}

void usp_arena_free(void *block)
{
    if (block == NULL)
        return;
    const struct usp_class *found;
    _Atomic uint32_t *word = usp_word_find(block, &found);
    if (word == NULL || usp_word_kind(usp_word_load(word)) <= USP_BLOCK_CACHED)
        usp_fatal("arena: %p is freed, which is no live block", block);
    unsigned class = (unsigned)(found - usp_region.classes);
    /* From here on a dead worker's recovery gives it back. */
    usp_word_store(word, usp_word(USP_BLOCK_CACHED, usp_arena_me));
    USP_FAILPOINT("block-freed");
    if (found->limit == 0) {
        usp_spans_give_large(class, block);
        return;
    }
    struct usp_link *link = block;
    link->next = cache[class].head;
    cache[class].head = link;
    if (++cache[class].n > found->limit)
        give(class, found->batch);
}

void usp_arena_drain(void)
{
    if (usp_arena_drains)
        usp_arena_drains();
    for (unsigned i = 0; i < USP_CACHED_CLASSES; i++)
        if (cache[i].n > 0)
            give(i, cache[i].n);
}

/* Headers. */

static _Atomic uint32_t *live_word(const void *block, const struct usp_class **classp)
{
    _Atomic uint32_t *word = usp_word_find(block, classp);
    if (word == NULL || usp_word_kind(usp_word_load(word)) <= USP_BLOCK_CACHED)
        usp_fatal("arena: %p is no live block", block);
    return word;
}

_Atomic uint32_t *usp_arena_word(const void *block)
{
    const struct usp_class *class;
    return live_word(block, &class);
}

enum usp_block_kind usp_arena_kind(const void *block)
{
    const struct usp_class *class;
    return usp_word_kind(usp_word_load(live_word(block, &class)));
}

unsigned usp_arena_owner(const void *block)
{
    const struct usp_class *class;
    return usp_word_owner(usp_word_load(live_word(block, &class)));
}

void usp_arena_set_owner(void *block, unsigned owner)
{
    const struct usp_class *class;
    _Atomic uint32_t *word = live_word(block, &class);
    usp_word_store(word, usp_word(usp_word_kind(usp_word_load(word)), owner));
}

size_t usp_arena_size(const void *block)
{
    const struct usp_class *class;
    live_word(block, &class);
    return class->size;
}

bool usp_arena_is(const void *p, enum usp_block_kind kind)
{
    const struct usp_class *class;
    const _Atomic uint32_t *word = usp_word_find(p, &class);
    return word != NULL && kind > USP_BLOCK_CACHED && usp_word_kind(usp_word_load(word)) == kind;
}

bool usp_arena_is_owned(const void *p, enum usp_block_kind kind, unsigned owner)
{
    const struct usp_class *class;
    const _Atomic uint32_t *word = usp_word_find(p, &class);
    return word != NULL && kind > USP_BLOCK_CACHED && usp_word_load(word) == usp_word(kind, owner);
}

/* Walks. */

void usp_arena_each(enum usp_block_kind kind, void (*fn)(void *block, unsigned owner, void *arg),
                    void *arg)
{
    if (usp_region.base == NULL)
        return;
    struct usp_walk walk = {0};
    void *blocks[64];
    uint32_t words[64];
    size_t n;
    while ((n = usp_spans_walk(&walk, kind, blocks, words, 64)) > 0)
        for (size_t i = 0; i < n; i++)
            fn(blocks[i], usp_word_owner(words[i]), arg);
}

static void count_one(void *block, unsigned owner, void *arg)
{
    (void)block;
    (void)owner;
    ++*(size_t *)arg;
}

size_t usp_arena_count(enum usp_block_kind kind)
{
    size_t n = 0;
    usp_arena_each(kind, count_one, &n);
    return n;
}

size_t usp_arena_used(void)
{
    struct usp_spans *spans = usp_region.spans;
    return spans == NULL ? 0 : (size_t)(spans->peak - spans->first) << USP_SPAN_SHIFT;
}

/* Death. */

void usp_arena_recover(unsigned owner)
{
    if (usp_region.base != NULL)
        usp_spans_recover(owner);
}

void usp_arena_reclaim(unsigned owner)
{
    uint32_t spared = 1u << USP_BLOCK_FREE | 1u << USP_BLOCK_CACHED | 1u << USP_BLOCK_TABLE |
                      1u << USP_BLOCK_SHARED;
    if (usp_region.base != NULL)
        usp_spans_sweep(owner, ~spared);
}
