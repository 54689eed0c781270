/* A copy of the arena of another program, at the same address: every pointer in it means what it
   means there, so the structures of the library can be read as they are. The program is not
   stopped, and nothing of it is changed; so the copy may show a moment here and a later one there.
   What is read from it is checked before it is followed. */
#ifndef USP_TOOLS_MIRROR_H
#define USP_TOOLS_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the arena of a process lies, and which it is: all workers of a program have the same inode.
 */
struct mirror_place {
    uintptr_t start;
    size_t bytes;
    unsigned long inode;
};

/* False: the process has none, or may not be looked at. */
bool mirror_find(pid_t pid, struct mirror_place *place);

/* Copies what processes, channels and offers there are; usp_arena_each() and usp_shared then show
   them. NULL, or what is in the way: mirror_is_taken, if this process has something of its own at
   that address. `anywhere`: then it is copied to another one, and pointers in it cannot be
   followed. A copy that was taken before is given back first. */
const char *mirror_take(pid_t pid, const struct mirror_place *place, bool anywhere);
extern const char mirror_is_taken[];

/* A text of that program, of its constants or of its arena, as far as it goes into `size` bytes;
 * "?" if there is none. */
const char *mirror_text(const char *theirs, char *text, size_t size);

#endif
