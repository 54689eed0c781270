/* Memory with a name: a memfd, and who has it. What the names are is said in shared_named.c. */
#ifndef USP_IPC_SHARED_NAME_H
#define USP_IPC_SHARED_NAME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define USP_LONGEST_NAME 60
#define USP_HEAD 4096

/* The first page of the memfd; the program's bytes begin with the second. */
struct usp_head {
    uint64_t magic; /* set last */
    uint64_t size;  /* of the program's bytes */
    char name[USP_LONGEST_NAME + 1];
    bool after_death; /* the lock was not released by its last holder, or is held by one who was
                         told so */
    pthread_mutex_t mutex;
};
_Static_assert(sizeof(struct usp_head) <= USP_HEAD, "the head of a block has grown");

#define USP_PREFIX_SIZE 96
/* What all names of a block begin with. False: `name` is none. */
bool usp_name_prefix(const char *name, char prefix[USP_PREFIX_SIZE]);

/* Waits until nobody else is opening the block. A descriptor, to be closed when it has been opened;
 * -EBUSY, -errno. */
int usp_name_lock(const char *prefix);
/* Says that this process uses the block and has it as descriptor `fd`, for as long as the
   descriptor that is returned is open. -errno. */
int usp_name_user(const char *prefix, int fd);

/* Both of these with the name locked; a descriptor, or -errno. The memfd of any user: -ENOENT,
   there is none; -EACCES, there is one that cannot be reached. A new one. */
int usp_name_find(const char *prefix);
int usp_name_make(const char *name, size_t size);

/* The memory of this name behind a descriptor, head and all. NULL with errno. */
struct usp_head *usp_name_map(int fd, const char *name);

#endif
