/* The arena: one region of shared memory for the whole tree of workers.

   The root process maps it before its first fork (a sealed memfd: large, committed as touched). Forked
   workers keep the mapping at the same address, so a plain pointer into it means the same everywhere.

   The region is cut into spans of 64 KiB. A span holds blocks of one size class; a large block takes
   several spans. Every block has a header, one word in a table beside the blocks, with its kind and its
   owner, the worker that answers for it. So the whole arena can be walked block by block, and what a
   dead worker left behind can be found and given back, whatever it was doing when it died.

   Small blocks come from a cache of the calling worker (private memory, no lock; a cached block says so in
   its header and belongs to the worker). The cache is filled and drained in batches under the arena's one
   lock. The lock names its holder; usp_arena_recover() takes it over from a dead one and rebuilds the lists
   from the headers, which are the truth: every header changes by single stores, in an order that a walk
   can read at any moment.

   The region is reserved, not committed: its pages count as used when they are first touched. Where the
   machine (or its control group) has no memory left at that moment, the kernel has no call to refuse and
   sends SIGBUS; a smaller arena (UVCSP_ARENA) makes usp_arena_alloc() say so earlier. Large blocks give
   their pages back when they are freed and much lies idle; small ones keep them for the next. */
#ifndef USP_RUNTIME_ARENA_H
#define USP_RUNTIME_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum usp_block_kind {
    USP_BLOCK_FREE = 0,
    USP_BLOCK_CACHED,
    USP_BLOCK_TABLE,   /* a table of the runtime's own: workers */
    USP_BLOCK_TASK,
    USP_BLOCK_OFFERS,  /* the guards of a wide choice */
    USP_BLOCK_CHANNEL,
    USP_BLOCK_END,
    USP_BLOCK_MESSAGE,
    USP_BLOCK_TEXT,    /* names, causes */
    USP_BLOCK_SHARED,  /* values that programs share */
    USP_BLOCK_KINDS
};

#define USP_ARENA_OWNERS 4096 /* owners are 0 .. USP_ARENA_OWNERS - 1; 0 is the root */
#define USP_NOBODY 0xffff     /* the owner of a block that outlives every worker but the root */

/* Maps the arena in the root. `size` 0: UVCSP_ARENA in the environment (bytes, or with K, M or G; -EINVAL
   and a line on stderr if it is not that), or as much as the machine has memory, at most 64 GiB, halved
   until the mapping succeeds, down to 16 MiB. 0 or -errno; 0 if it is mapped already. The least is 1 MiB: to ask for less
   is told, and gives that. */
int usp_arena_init(size_t size);

/* For a program that has a copy of the arena of another one at the same address: it can be walked, and nothing may be
   allocated. */
void usp_arena_view(void *base, size_t size);

/* Unmaps. Only in the root, with no worker left. */
void usp_arena_deinit(void);

/* In a new worker, after fork and before any other call: forget the parent's cache (it stays the
   parent's), allocate as `owner`. The number must be free: its last holder recovered and reclaimed. */
void usp_arena_adopt(unsigned owner);

/* A block of at least `size` bytes, aligned to 16 (to 64 from 64 bytes on, pages from 64 KiB on),
   contents undefined, owned by the calling worker. NULL when the arena is full or size is too large;
   size 0 counts as 1. Does not print. */
void *usp_arena_alloc(size_t size, enum usp_block_kind kind);

/* Gives a block back, whoever owns it. NULL is accepted. Freeing what is no live block aborts. Two
   workers must not free one block at the same time. */
void usp_arena_free(void *block);

/* Header of a live block. */
enum usp_block_kind usp_arena_kind(const void *block);
unsigned usp_arena_owner(const void *block);
void usp_arena_set_owner(void *block, unsigned owner);
size_t usp_arena_size(const void *block); /* usable bytes */

/* Is `p` the start of a live block of that kind? Safe for any pointer value. */
bool usp_arena_is(const void *p, enum usp_block_kind kind);

/* The same, and is it owned by `owner`? */
bool usp_arena_is_owned(const void *p, enum usp_block_kind kind, unsigned owner);

/* Where it is mapped; 0 bytes: not at all. */
struct usp_arena_range {
    uintptr_t base;
    size_t bytes;
    size_t most; /* bytes but for the last few */
    uint32_t me; /* the owner that this worker is, where it stands in a block's header */
};
extern struct usp_arena_range usp_arena_range;

/* Can `p` be a block of a few bytes? It can be read as one. */
static inline bool usp_arena_may_hold(const void *p)
{
    return (uintptr_t)p - usp_arena_range.base < usp_arena_range.most;
}

/* Does the address range lie in the arena at all? */
static inline bool usp_arena_holds(const void *p, size_t size)
{
    size_t offset = (size_t)((uintptr_t)p - usp_arena_range.base);
    return offset < usp_arena_range.bytes && size <= usp_arena_range.bytes - offset;
}

/* Calls fn for every live block of a kind, in address order. fn may free the block that it is given.
   Blocks that others allocate meanwhile may or may not be seen. USP_BLOCK_FREE: of all kinds. */
void usp_arena_each(enum usp_block_kind kind, void (*fn)(void *block, unsigned owner, void *arg),
                    void *arg);

/* A clean end of the calling worker: its cache goes back to the shared lists. Before that `usp_arena_drains` is
   called, by which a floor gives back what it has shelved; NULL: nothing. */
void usp_arena_drain(void);
extern void (*usp_arena_drains)(void);

/* A block that a floor keeps for when it next needs one of that size lies on its shelf: to everybody else it is in the
   cache of its owner, who is the caller. `word` is the block's, by usp_arena_word(). */
_Atomic uint32_t *usp_arena_word(const void *block);
static inline void usp_arena_shelve(_Atomic uint32_t *word)
{
    atomic_store_explicit(word, USP_BLOCK_CACHED | usp_arena_range.me, memory_order_release);
}
static inline void usp_arena_unshelve(_Atomic uint32_t *word, enum usp_block_kind kind)
{
    atomic_store_explicit(word, (uint32_t)kind | usp_arena_range.me, memory_order_release);
}

/* `owner` has died: takes over the arena's lock if it holds it (rebuilding the lists), and frees every
   block of its cache. Its live blocks stay: the floors above give them back, kind by kind. If the caller
   dies in the middle of it, recover the caller first, then `owner` again. Waits for the lock while a third
   holds it; where that one may have died as well, usp_lock_stuck has to find out. */
void usp_arena_recover(unsigned owner);

/* Called every thousand or so vain tries for a lock that `holder` holds, with no lock held: where a
   supervisor spins itself, it looks for deaths here and may call usp_arena_recover(). The result says
   whether it did something; the arena tries again either way. NULL, the default: nothing is called. */
extern bool (*usp_lock_stuck)(unsigned holder);

/* Frees every live block of `owner` but those of kinds USP_BLOCK_TABLE and USP_BLOCK_SHARED. Nobody else
   may be freeing them meanwhile. */
void usp_arena_reclaim(unsigned owner);

/* Live blocks of a kind, or of all kinds for USP_BLOCK_FREE; the highest that
   the spans in use have been, in bytes. */
size_t usp_arena_count(enum usp_block_kind kind);
size_t usp_arena_used(void);

#endif
