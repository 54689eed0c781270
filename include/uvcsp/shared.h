/* Shared memory: values and arrays that all processes see, in whichever workers, by plain pointers.

       double *num = SHARED_VALUE(double, 0.0);
       int *a = SHARED_ARRAY(int, 10);
       ...
       LOCKED(num) {
           *num += 1;
       }

   The same address is valid in every worker of the program, started before or after: a pointer may
   be passed as VAL, sent over a channel, or kept in shared memory itself.

   Each block has an rlock of its own (but for the raw ones), which LOCKED takes: without a system
   call where nobody else wants it, letting other light processes run where it has to wait, and
   nesting. A process that ends in the middle, by poison or with its worker, leaves the lock to the
   next one, which is told: uvcsp_locked_after_death().

   A block is freed when the process that made it ends (main: when the program does), or by
   uvcsp_shared_free(). Pointers into it are of no use then, to whoever has them.

   Blocks with a name, for programs that are not related: see uvcsp_shared_open(). */
#ifndef UVCSP_SHARED_H
#define UVCSP_SHARED_H

#include <uvcsp/base.h>

/* A block of `count` elements of `size` bytes, zeroed, aligned to 64 bytes, with a lock or raw.
   Does not block. NULL with errno and a line on stderr: ENOMEM, the shared arena is full
   (UVCSP_ARENA sets its size) or the block too large; EINVAL, `size` is 0. */
UVCSP_API void *uvcsp_shared_new(size_t count, size_t size, bool raw, const char *site);

/* Frees a block, in the worker of the process that made it; leaves one with a name. NULL is
   accepted. 0; -EINVAL with a line: this is no block, or it was freed; -EPERM with a line: it was
   made by another worker. Who waits for its lock gets UVCSP_POISONED. */
UVCSP_API int uvcsp_shared_free(void *shared);

/* Elements of a block (bytes, if it has a name); 0 with a line for what is no block. */
UVCSP_API size_t uvcsp_shared_count(const void *shared);

/* The lock of a block. `seconds`: how long to wait, negative for ever, 0 not at all. UVCSP_OK;
   UVCSP_OWNER_DIED, and it is held: who had it before did not release it, so the data may be half
   changed; UVCSP_TIMEOUT; UVCSP_POISONED: the block was freed, or all of the program waits for
   ever; -EINVAL with a line: no block, or a raw one, or `seconds` is not a number; -ENOMEM. A process that has it may take it again, and releases it as often. */
UVCSP_API int uvcsp_shared_lock(const void *shared, double seconds);
#define uvcsp_shared_lock(...) UVCSP_CALL_(uvcsp_shared_lock, __VA_ARGS__)
/* 0; -EPERM with a line: the caller does not hold it; -EINVAL. Does not block. */
UVCSP_API int uvcsp_shared_unlock(const void *shared);
/* Does the caller hold the lock, and did whoever had it before not release it? */
UVCSP_API bool uvcsp_locked_after_death(const void *shared);

/* SHARED_VALUE(T, v): a `T *` to a block that holds `v` (zero, if it is left out). SHARED_ARRAY(T,
   n): n elements, zeroed; SHARED_ARRAY(T, n, from): copied from `from[0]` to `from[n - 1]`. NULL as
   said at uvcsp_shared_new(). */
#define UVCSP_SHARED_VALUE(T, ...) UVCSP_SHARED_VALUE_(T, false __VA_OPT__(, ) __VA_ARGS__)
#define UVCSP_SHARED_RAW_VALUE(T, ...) UVCSP_SHARED_VALUE_(T, true __VA_OPT__(, ) __VA_ARGS__)
#define UVCSP_SHARED_ARRAY(T, n, ...) UVCSP_SHARED_ARRAY_(T, n, false __VA_OPT__(, ) __VA_ARGS__)
#define UVCSP_SHARED_RAW_ARRAY(T, n, ...) UVCSP_SHARED_ARRAY_(T, n, true __VA_OPT__(, ) __VA_ARGS__)
#define UVCSP_COUNT_OF_SHARED(shared) uvcsp_shared_count(shared)

#define UVCSP_SHARED_VALUE_(T, raw, ...)                                                           \
    __extension__({                                                                                \
        _Static_assert(_Alignof(__typeof__(T)) <= 64, "shared blocks are aligned to 64 bytes");    \
        __typeof__(T) *uvcsp_s_ = uvcsp_shared_new(1, sizeof(T), (raw), UVCSP_HERE);               \
        __VA_OPT__(if (uvcsp_s_) *uvcsp_s_ = (__VA_ARGS__);)                                       \
        uvcsp_s_;                                                                                  \
    })
#define UVCSP_SHARED_ARRAY_(T, n, raw, ...)                                                        \
    __extension__({                                                                                \
        _Static_assert(_Alignof(__typeof__(T)) <= 64, "shared blocks are aligned to 64 bytes");    \
        size_t uvcsp_n_ = (size_t)(n);                                                             \
        __typeof__(T) *uvcsp_s_ = uvcsp_shared_new(uvcsp_n_, sizeof(T), (raw), UVCSP_HERE);        \
        __VA_OPT__(const __typeof__(T) *uvcsp_f_ = (__VA_ARGS__);                                  \
                   for (size_t uvcsp_i_ = 0; uvcsp_s_ && uvcsp_i_ < uvcsp_n_; uvcsp_i_++)          \
                       uvcsp_s_[uvcsp_i_] = uvcsp_f_[uvcsp_i_];)                                   \
        uvcsp_s_;                                                                                  \
    })

/* LOCKED(p) { ... } runs its body once, with the lock of the block held. It may be left in any way,
   by `break`, `continue`, `return` or `goto` too (the first two leave it, and not a loop around
   it), and then the lock is released; it is released as well when the process ends inside. Where it
   waits in a deadlock of the whole program it ends the process as poison does. A block that is none,
   is raw, or was freed: a line, and abort. */
struct uvcsp_locked_ {
    const void *shared;
};
UVCSP_API struct uvcsp_locked_ uvcsp_locked_enter(const void *shared, const char *site);
UVCSP_API void uvcsp_locked_leave(struct uvcsp_locked_ *locked);
static inline void uvcsp_locked_left_(struct uvcsp_locked_ *locked)
{
    if (locked->shared)
        uvcsp_locked_leave(locked);
}
/* A loop that a compiler knows to run once: what its body sets is set afterwards. */
#define UVCSP_LOCKED(p)                                                                            \
    for (struct uvcsp_locked_ UVCSP_CAT(uvcsp_l_, __LINE__)                                        \
             __attribute__((cleanup(uvcsp_locked_left_))) = uvcsp_locked_enter((p), UVCSP_HERE),   \
             *UVCSP_CAT(uvcsp_o_, __LINE__) = &UVCSP_CAT(uvcsp_l_, __LINE__);                      \
         UVCSP_CAT(uvcsp_o_, __LINE__); UVCSP_CAT(uvcsp_o_, __LINE__) = NULL)

/* A block with a name, which unrelated programs of the same user share: `size` bytes, zeroed when
   the first of them opens it. `size` 0: as large as it is, and it must exist. Its address differs
   from program to program, so it must hold no pointers; in one program, workers that are started
   after it was opened have it at the same address. LOCKED, uvcsp_shared_lock() and the rest work on
   it, also between the programs; here who has to wait looks again every millisecond.

   The memory has no file: nothing of it is in /dev/shm. It exists as long as a process that has
   opened it does, however that ends, and is gone with the last of them. A process leaves it with
   uvcsp_shared_free() or by ending; main, when the program ends. Opening it twice gives the same
   block, to be freed as often.

   `name`: 1 to 60 letters, digits, and any of `.`, `-` and `_`. May wait a moment for another that
   is just opening it; other light processes go on. NULL with errno and a line on stderr: EINVAL, NULL or no
   such name; EEXIST, it exists with another size; ENOENT, with size 0, it does not exist; EACCES,
   it belongs to another user or cannot be reached (/proc is needed); EBUSY, another process has
   been opening it for ten seconds; ENOMEM; EMFILE. */
UVCSP_API void *uvcsp_shared_open(const char *name, size_t size);

#endif
