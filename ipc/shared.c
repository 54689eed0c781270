/* Shared values and arrays: blocks of the arena. */
#include <uvcsp/shared.h>

#include <errno.h>
#include <string.h>

#include "channels/io.h"
#include "ipc/shared.h"
#include "runtime/arena.h"
#include "runtime/report.h"

static inline struct usp_block *block_at(const void *shared)
{
    struct usp_block *block = (void *)((uintptr_t)shared - USP_BLOCK_ROOM);
    return shared && (uintptr_t)shared % 16 == 0 && usp_arena_holds(block, USP_BLOCK_ROOM) &&
                   block->magic == USP_SHARED_MAGIC
               ? block
               : NULL;
}

static int complain(const char *what, const void *shared)
{
    usp_report("%s: %s", what,
               shared ? "this is no shared block, or it was freed" : "the block is NULL");
    return -EINVAL;
}

/* ---- making and freeing ---- */

static void free_block(struct usp_block *block)
{
    block->magic = 0;
    usp_made_unlink(&block->made);
    if (block->lock)
        usp_sync_free(block->lock, USP_KIND(USP_RLOCK), "uvcsp_shared_free");
    usp_arena_free(block);
}

static void free_made(struct usp_made *made)
{
    free_block((void *)((char *)made - offsetof(struct usp_block, made)));
}

void *uvcsp_shared_new(size_t count, size_t size, bool raw, const char *site)
{
    USP_ENTER();
    usp_free_what_can_be();
    size_t bytes;
    const char *where = site ? site : "?";
    if (size == 0) {
        usp_report("%s: shared elements of size 0", where);
        errno = EINVAL;
        return NULL;
    }
    bool too_large = __builtin_mul_overflow(count, size, &bytes) ||
                     __builtin_add_overflow(bytes, USP_BLOCK_ROOM, &bytes);
    struct usp_block *block = too_large ? NULL : usp_arena_alloc(bytes, USP_BLOCK_SHARED);
    if (!block) {
        usp_report("%s: no room in the shared arena for %zu elements of %zu bytes (UVCSP_ARENA "
                   "sets its size)",
                   where, count, size);
        errno = ENOMEM;
        return NULL;
    }
    memset(block, 0, bytes);
    block->count = count;
    block->raw = raw;
    block->lock = raw ? NULL : usp_sync_new(USP_RLOCK, 1, 0, "shared block", site);
    if (!raw && !block->lock) {
        usp_arena_free(block);
        errno = ENOMEM;
        return NULL;
    }
    if (block->lock)
        usp_made_unlink(&block->lock->made); /* it goes with the block */
    usp_made_link(&block->made, free_made);
    atomic_signal_fence(memory_order_seq_cst);
    block->magic = USP_SHARED_MAGIC;
    return (char *)block + USP_BLOCK_ROOM;
}

int uvcsp_shared_free(void *shared)
{
    USP_ENTER();
    usp_free_what_can_be();
    if (!shared)
        return 0;
    struct usp_block *block = block_at(shared);
    if (!block) {
        struct usp_named *named = usp_named_of(shared);
        return named ? usp_named_close(named) : complain("uvcsp_shared_free", shared);
    }
    if (usp_arena_owner(block) != usp_worker_index()) {
        usp_report("uvcsp_shared_free: the block was made by another worker");
        return -EPERM;
    }
    free_block(block);
    return 0;
}

void usp_shared_bury(void *x)
{
    struct usp_block *block = x;
    if (block->magic == USP_SHARED_MAGIC)
        block->magic = USP_SHARED_BURIED;
}

void usp_shared_give_back(void *x)
{
    struct usp_block *block = x;
    if (block->magic != USP_SHARED_BURIED)
        return;
    block->magic = 0;
    usp_arena_set_owner(block, usp_worker_index());
    usp_free_unwalked(block, usp_arena_free);
}

size_t uvcsp_shared_count(const void *shared)
{
    USP_ENTER();
    struct usp_block *block = block_at(shared);
    if (block)
        return block->count;
    struct usp_named *named = usp_named_of(shared);
    if (named)
        return usp_named_size(named);
    complain("uvcsp_shared_count", shared);
    return 0;
}

/* ---- the lock ---- */

static int no_lock(const struct usp_block *block, const void *shared, const char *what)
{
    if (!block)
        return complain(what, shared);
    usp_report("%s: a raw block has no lock", what);
    return -EINVAL;
}

static int lock(const void *shared, double seconds, const char *site)
{
    USP_ENTER();
    struct usp_block *block = block_at(shared);
    if (__builtin_expect(block && block->lock, 1))
        return usp_lock_acquire(block->lock, seconds, site);
    struct usp_named *named = block ? NULL : usp_named_of(shared);
    return named ? usp_named_lock(named, seconds) : no_lock(block, shared, site);
}

static int unlock(const void *shared, const char *what)
{
    struct usp_block *block = block_at(shared);
    if (__builtin_expect(block && block->lock, 1))
        return usp_lock_release(block->lock, what);
    struct usp_named *named = block ? NULL : usp_named_of(shared);
    return named ? usp_named_unlock(named) : no_lock(block, shared, what);
}

int (uvcsp_shared_lock)(const void *shared, double seconds)
{
    return !usp_timeout_is_good(seconds, "uvcsp_shared_lock") ? -EINVAL : lock(shared, seconds, "uvcsp_shared_lock");
}

int uvcsp_shared_unlock(const void *shared)
{
    USP_ENTER();
    return unlock(shared, "uvcsp_shared_unlock");
}

bool uvcsp_locked_after_death(const void *shared)
{
    USP_ENTER();
    struct usp_block *block = block_at(shared);
    if (block && block->lock)
        return block->lock->after_death && usp_lock_is_mine(block->lock);
    struct usp_named *named = block ? NULL : usp_named_of(shared);
    return named && usp_named_after_death(named);
}

static bool is_still_there(const void *shared)
{
    const struct usp_block *block = block_at(shared);
    return block && block->lock && block->lock->magic == USP_SYNC_MAGIC;
}

struct uvcsp_locked_ uvcsp_locked_enter(const void *shared, const char *site)
{
    int rc = lock(shared, -1, site);
    if (__builtin_expect(rc == UVCSP_POISONED && is_still_there(shared), 0)) {
        struct usp_fibre *fibre = usp_current();
        fibre->unwind(fibre->process, UVCSP_POISONED, USP_DEADLOCK); /* what it holds is let go */
    }
    if (__builtin_expect(rc != UVCSP_OK && rc != UVCSP_OWNER_DIED, 0))
        usp_fatal("%s: LOCKED: %s", site,
                  rc == UVCSP_POISONED ? "the block was freed while this process waited for it"
                                       : strerror(-rc));
    return (struct uvcsp_locked_){shared};
}

void uvcsp_locked_leave(struct uvcsp_locked_ *locked)
{
    if (!locked->shared)
        return;
    (void)unlock(locked->shared, "LOCKED");
    locked->shared = NULL;
}
