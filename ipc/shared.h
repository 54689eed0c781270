/* Shared blocks: what lies in front of the pointer that the program has. */
#ifndef USP_IPC_SHARED_H
#define USP_IPC_SHARED_H

#include "ipc/sync.h"

#define USP_SHARED_MAGIC 0x64657268u
#define USP_SHARED_BURIED 0x64657275u

/* In front of the first element of a block in the arena. */
struct usp_block {
    uint32_t magic;
    bool raw;
    size_t count;
    struct usp_sync *lock; /* NULL: raw */
    struct usp_made made;  /* private to the maker's worker */
};
#define USP_BLOCK_ROOM 64
_Static_assert(sizeof(struct usp_block) <= USP_BLOCK_ROOM, "the header of a block has grown");

/* A block of a dead worker, found in the arena: nobody finds it any more; and, when every survivor has seen the death, it is
   freed. (Its lock is found by itself.) Both leave other things alone. */
void usp_shared_bury(void *block);
void usp_shared_give_back(void *block);

/* ---- shared_named.c ---- */

struct usp_named;
/* The block with a name that begins at `shared` in this process, or NULL. */
struct usp_named *usp_named_of(const void *shared);
int usp_named_close(struct usp_named *named);
size_t usp_named_size(const struct usp_named *named);
int usp_named_lock(struct usp_named *named, double seconds);
int usp_named_unlock(struct usp_named *named);
bool usp_named_after_death(const struct usp_named *named);
/* A process of this worker has ended: releases what it held. */
void usp_named_gone(const struct usp_task *task);
/* Main has ended before those that it has started: what it has opened stays mapped, and can be
 * opened anew. */
void usp_named_left(void);

#endif
