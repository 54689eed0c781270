#include "tools/mirror.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "runtime/arena.h"
#include "runtime/spans.h"
#include "runtime/worker.h"

const char mirror_is_taken[] = "its arena lies where this program has something itself";

static pid_t looked_at;
static ptrdiff_t distance; /* from here to there */

bool mirror_find(pid_t pid, struct mirror_place *place)
{
    char path[40], line[400];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return false;
    bool found = false;
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        found = strstr(line, "/memfd:uvcsp-arena") &&
                sscanf(line, "%lx-%lx %*s %*s %*s %lu", &start, &end, &place->inode) == 3;
        if (found) {
            place->start = start;
            place->bytes = end - start;
        }
    }
    fclose(maps);
    return found;
}

/* Bytes of the other program, into the same place here. */
static bool copy(const void *at, size_t bytes)
{
    struct iovec here = {(void *)(uintptr_t)at, bytes};
    struct iovec there = {(void *)((uintptr_t)at + (uintptr_t)distance), bytes};
    while (here.iov_len > 0) {
        ssize_t n = process_vm_readv(looked_at, &here, 1, &there, 1, 0);
        if (n <= 0)
            return false;
        here.iov_base = (char *)here.iov_base + n;
        there.iov_base = (char *)there.iov_base + n;
        here.iov_len = there.iov_len -= (size_t)n;
    }
    return true;
}

static bool is_shown(uint32_t word)
{
    switch (usp_word_kind(word)) {
    case USP_BLOCK_TABLE:
    case USP_BLOCK_TASK:
    case USP_BLOCK_OFFERS:
    case USP_BLOCK_CHANNEL:
        return true;
    default:
        return false;
    }
}

/* The blocks of the run that begins at a span; the next run. 0: it could not be read. */
static uint32_t copy_run(uint32_t span, uint32_t end)
{
    unsigned shape = usp_region.shapes[span];
    if (shape == 0 || shape > USP_CLASSES)
        return span + 1;
    const struct usp_class *class = &usp_region.classes[shape - 1];
    if (class->spans > end - span)
        return end;
    if (!class->aside)
        return copy(usp_span_start(span), USP_SPAN) ? span + 1 : 0;
    for (uint32_t i = 0; i < class->count; i++)
        if (is_shown(usp_words_of(span, class)[i]) &&
            !copy(usp_span_start(span) + class->start + (size_t)i * class->step, class->size))
            return 0;
    return span + class->spans;
}

static void recognise(void *block, unsigned owner, void *arg)
{
    (void)owner;
    (void)arg;
    struct usp_shared *shared = block;
    if (usp_arena_size(block) >= sizeof *shared && shared->tag == USP_SHARED_TAG)
        usp_shared = shared;
}

const char *mirror_take(pid_t pid, const struct mirror_place *place, bool anywhere)
{
    usp_arena_deinit();
    usp_shared = NULL;
    looked_at = pid;
    char *base = mmap(
        anywhere ? NULL : (void *)place->start, place->bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (anywhere ? 0 : MAP_FIXED_NOREPLACE), -1, 0);
    if (base == MAP_FAILED)
        return errno == EEXIST ? mirror_is_taken : strerror(errno);
    if (!anywhere && base != (char *)place->start) { /* a kernel that takes it for a wish */
        munmap(base, place->bytes);
        return mirror_is_taken;
    }
    distance = (ptrdiff_t)(place->start - (uintptr_t)base);
    usp_arena_view(base, place->bytes);
    struct usp_spans *spans = usp_region.spans;
    if (!copy(spans, sizeof *spans))
        return errno == ESRCH ? "it has just ended" : strerror(errno);
    spans->lock = 0;
    uint32_t first = spans->first, end = spans->bump;
    if (first > end || end > place->bytes >> USP_SPAN_SHIFT)
        return "it uses another version of the library";
    if (!copy((const void *)&usp_region.shapes[first], end - first) ||
        !copy((const void *)&usp_region.words[(size_t)first * USP_WORDS_ASIDE],
              (size_t)(end - first) * USP_WORDS_ASIDE * sizeof(uint32_t)))
        return strerror(errno);
    for (uint32_t span = first; span < end;) {
        span = copy_run(span, end);
        if (span == 0)
            return errno == ESRCH ? "it has just ended" : strerror(errno);
    }
    usp_arena_each(USP_BLOCK_TABLE, recognise, NULL);
    return usp_shared ? NULL : "it uses another version of the library";
}

const char *mirror_text(const char *theirs, char *text, size_t size)
{
    size_t n = 0;
    if (usp_arena_holds(theirs, size)) {
        n = strnlen(theirs, size - 1);
        memcpy(text, theirs, n);
        theirs = NULL;
    }
    while (theirs && n < size - 1) { /* up to the end of a page at a time */
        size_t bytes = 4096 - ((uintptr_t)theirs + n) % 4096;
        if (bytes > size - 1 - n)
            bytes = size - 1 - n;
        struct iovec here = {text + n, bytes}, there = {(void *)(uintptr_t)(theirs + n), bytes};
        if (process_vm_readv(looked_at, &here, 1, &there, 1, 0) != (ssize_t)bytes)
            break;
        size_t length = strnlen(text + n, bytes);
        n += length;
        if (length < bytes)
            break;
    }
    text[n] = '\0';
    for (size_t i = 0; i < n; i++) /* a terminal is not to be told what to do */
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            text[i] = '?';
    if (n == 0)
        strcpy(text, "?");
    return text;
}
