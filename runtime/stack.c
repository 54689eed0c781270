#include "runtime/stack.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/fibre.h"
#include "runtime/report.h"
#include "runtime/syscall.h"
#include "runtime/young.h"

#ifdef HAVE_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(a, b) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { BIG = USP_BIG_STACK, SMALL, CLASSES };

#define SMALL_SIZE ((size_t)64 << 10)
#define MIN_SIZE ((size_t)32 << 10)
#define MPROTECT_GUARDS 20000 /* each splits a mapping in three; the kernel allows 65,530 */

struct slab {
    struct slab *next;
    char *base;
    size_t size;
};

static struct {
    size_t size, guard;
    unsigned per_slab;
    struct usp_fibre *free;
    char *fresh, *fresh_end; /* what is left of the newest slab */
    unsigned n_made;
} classes[CLASSES] USP_YOUNG;

static struct slab *slabs USP_YOUNG;
static struct slab *left USP_YOUNG; /* in a worker: its parents' records, where a leak checker finds them */
static unsigned big_in_use USP_YOUNG;
static unsigned n_mprotected USP_YOUNG;
static bool no_guard_install USP_YOUNG;

static size_t size_from_environment(void)
{
    const char *text = getenv("UVCSP_STACK");
    if (!text)
        return SMALL_SIZE;
    char *rest;
    unsigned long long n = strtoull(text, &rest, 10);
    if (*rest == 'k' || *rest == 'K')
        n <<= 10, rest++;
    else if (*rest == 'm' || *rest == 'M')
        n <<= 20, rest++;
    if (*rest || n < MIN_SIZE || n > (1ull << 32)) {
        usp_report("UVCSP_STACK=%s is no size from 32K to 4096M; stacks are 64K", text);
        return SMALL_SIZE;
    }
    return ((size_t)n + 0xffff) & ~(size_t)0xffff;
}

static void set_up(void)
{
    classes[BIG].size = USP_BIG_SIZE;
    classes[BIG].guard = (size_t)64 << 10;
    classes[BIG].per_slab = 16;
    classes[SMALL].size = size_from_environment() + (size_t)sysconf(_SC_PAGESIZE); /* see step_of() */
    classes[SMALL].guard = (size_t)16 << 10; /* frames step over a guard of one page only too easily */
    classes[SMALL].per_slab = 64;
}

static void install_guard(char *bottom, size_t size)
{
    if (!no_guard_install) {
        if (usp_syscall(SYS_madvise, (long)bottom, (long)size, MADV_GUARD_INSTALL, 0) == 0)
            return;
        no_guard_install = true;
    }
    if (n_mprotected < MPROTECT_GUARDS && mprotect(bottom, size, PROT_NONE) == 0)
        n_mprotected++;
}

/* The first is not on the heap: a program that has none is forked in less time, by two microseconds or three. */
static struct slab first;

static void free_slab(struct slab *slab)
{
    if (slab == &first)
        first.base = NULL;
    else
        free(slab);
}

static bool add_slab(int class)
{
    size_t spare = class == BIG ? USP_STACK_SPARE : 0;
    size_t size = classes[class].size * classes[class].per_slab + spare;
    struct slab *slab = first.base ? malloc(sizeof *slab) : &first;
    if (!slab)
        return false;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        free_slab(slab);
        return false;
    }
    /* one huge page would make thirty-two stacks resident at once */
    (void)madvise(base, size, MADV_NOHUGEPAGE);
    if (class == SMALL)
        (void)madvise(base, size, MADV_DONTFORK);
    *slab = (struct slab){slabs, base, size};
    slabs = slab;
    classes[class].fresh = base + spare;
    classes[class].fresh_end = base + size;
    return true;
}

/* Tops of stacks would be all alike modulo the page, and modulo many pages: the hot lines of all fibres would fall into one
   set of the first-level cache, and their pages into one set of the translation buffer. So each begins
   some lines lower; large ones some pages lower besides, and small ones are an odd number of pages apart. */
static size_t step_of(int class, unsigned n)
{
    return n % 16 * 64 + (class == BIG ? n % 64 * 4096 : 0);
}

void *usp_stack_spare(void)
{
    return slabs->base;
}

/* Large ones downwards: the kernel puts the slab right below the libraries, so the first stack has its top on a page
   table that every worker has, and the second one has it where the guard of the first is. */
static char *take_fresh(int class)
{
    if (class == BIG)
        return classes[BIG].fresh_end -= classes[BIG].size;
    classes[SMALL].fresh += classes[SMALL].size;
    return classes[SMALL].fresh - classes[SMALL].size;
}

static struct usp_fibre *make(int class)
{
    if (classes[class].fresh == classes[class].fresh_end && !add_slab(class))
        return NULL;
    char *stack = take_fresh(class);
    install_guard(stack, classes[class].guard);

    uintptr_t top = (uintptr_t)stack + classes[class].size - step_of(class, classes[class].n_made++);
    struct usp_fibre *fibre = (void *)((top - sizeof *fibre) & ~(uintptr_t)63);
    fibre->sp = NULL;
    fibre->warm = false;
    fibre->stack = stack;
    fibre->stack_size = classes[class].size;
    fibre->guard_size = classes[class].guard;
    fibre->stack_class = (uint32_t)class;
    fibre->valgrind_id = (uint32_t)VALGRIND_STACK_REGISTER(stack, stack + classes[class].size - 1);
    return fibre;
}

struct usp_fibre *usp_stack_take(void)
{
    if (!classes[BIG].size)
        set_up();
    int class = big_in_use < USP_BIG_STACKS ? BIG : SMALL;
    struct usp_fibre *fibre = classes[class].free;
    if (fibre)
        classes[class].free = fibre->next;
    else
        fibre = make(class);
    if (fibre && class == BIG)
        big_in_use++;
    return fibre;
}

void usp_stack_give(struct usp_fibre *fibre)
{
    if (fibre->stack_class == BIG)
        big_in_use--;
    fibre->next = classes[fibre->stack_class].free;
    classes[fibre->stack_class].free = fibre;
}

void usp_stack_inherit(struct usp_fibre *fibre, bool inherit)
{
    if (fibre->stack && fibre->stack_class == SMALL)
        (void)madvise(fibre->stack, fibre->stack_size, inherit ? MADV_DOFORK : MADV_DONTFORK);
}

void usp_stack_forget(void)
{
    /* big stacks that nobody has used yet are inherited and taken first: no page of them is touched */
    classes[BIG].free = classes[SMALL].free = NULL;
    classes[SMALL].fresh = classes[SMALL].fresh_end = NULL;
    big_in_use = 1; /* the loop's */
    n_mprotected = 0;
    if (!slabs)
        return;
    struct slab **at = &left;
    while (*at)
        at = &(*at)->next;
    *at = slabs;
    slabs = NULL;
}

void usp_stack_deinit(void)
{
    while (slabs) {
        struct slab *slab = slabs;
        slabs = slab->next;
        munmap(slab->base, slab->size);
        free_slab(slab);
    }
    memset(classes, 0, sizeof classes);
    big_in_use = 0;
    n_mprotected = 0;
}
