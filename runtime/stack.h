/* Stacks for fibres, from slabs, reused last in, first out, never unmapped while the worker lives.

   Two classes. The first USP_BIG_STACKS fibres of a worker that are alive at a time get stacks as large as a
   thread's (8 MiB of address space), so that code which does not know that it runs on a fibre just runs.
   Beyond that, stacks are 64 KiB apart (UVCSP_STACK in the environment changes it): one touched page, 128
   bytes of page table.

   Guard pages: MADV_GUARD_INSTALL where the kernel has it (Linux 6.13), which splits no mapping; else
   PROT_NONE until the mappings of the process run short (vm.max_map_count), and none after that.

   Slabs of small stacks are not inherited over fork (MADV_DONTFORK: a hundred thousand touched stacks
   would make a fork take 130 ms), but for those that usp_stack_inherit() names. */
#ifndef USP_RUNTIME_STACK_H
#define USP_RUNTIME_STACK_H

#include <stdbool.h>
#include <stddef.h>

struct usp_fibre;

#define USP_BIG_STACKS 256
#define USP_BIG_STACK 0 /* `stack_class` of those */
#define USP_BIG_SIZE ((size_t)8 << 20)

/* A fibre's record at the top of a stack, with `stack`, `stack_size`, `guard_size` and `stack_class` set, `sp` and `warm`
   as they were when it was given back (NULL and false if it never was), and everything else undefined. NULL: no
   memory. */
struct usp_fibre *usp_stack_take(void);
/* Back to the free list; its memory stays readable, and its record (foresight.h) writable, until the next usp_stack_take(). */
void usp_stack_give(struct usp_fibre *fibre);

/* USP_STACK_SPARE bytes beside the stacks, after the first usp_stack_take(): one mapping less to copy for a fork. */
#define USP_STACK_SPARE ((size_t)64 << 10)
void *usp_stack_spare(void);

/* Before a fork: this fibre's stack is to be inherited (or, after it, in the parent, no longer). */
void usp_stack_inherit(struct usp_fibre *fibre, bool inherit);

/* In a new worker: the parent's stacks are not ours. */
void usp_stack_forget(void);
/* Unmaps every slab. Only when no fibre is left. */
void usp_stack_deinit(void);

#endif
