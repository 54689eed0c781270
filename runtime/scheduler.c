#include "runtime/scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/foresight.h"
#include "runtime/overflow.h"
#include "runtime/report.h"
#include "runtime/sources.h"
#include "runtime/young.h"

#ifdef USP_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
/* Of the sanitizer that the program may have been built with, though not this library. */
void __asan_unpoison_memory_region(const volatile void *, size_t) __attribute__((weak));
#endif

/* Where there is no loop yet the first turn comes later: a worker that has ended by then has never needed one. */
#define GRACE_TICKS 600000

struct usp_sched usp_sched USP_YOUNG;
volatile sig_atomic_t usp_writing USP_YOUNG;
struct usp_sched_hooks usp_sched_hooks;
_Thread_local bool usp_here;
_Thread_local uint64_t usp_gates[USP_GATES] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

static struct usp_fibre main_fibre USP_YOUNG;
static struct {
    void (*fn)(void *);
    void *arg;
    struct usp_fibre *caller;
} errand USP_YOUNG;

uint64_t usp_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t << 6; /* counts at 24 MHz to 1 GHz; near enough */
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 2000000000u + (uint64_t)t.tv_nsec * 2;
#endif
}

static void link_fibre(struct usp_fibre *fibre)
{
    fibre->all_prev = NULL;
    fibre->all_next = usp_sched.all;
    if (usp_sched.all)
        usp_sched.all->all_prev = fibre;
    usp_sched.all = fibre;
}

static void unlink_fibre(struct usp_fibre *fibre)
{
    if (fibre->all_prev)
        fibre->all_prev->all_next = fibre->all_next;
    else
        usp_sched.all = fibre->all_next;
    if (fibre->all_next)
        fibre->all_next->all_prev = fibre->all_prev;
}

#ifdef USP_ASAN
static void *main_bottom;
static size_t main_size;

static void switched(struct usp_fibre *from_hint)
{
    (void)from_hint;
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(usp_sched.current->fake_stack, &bottom, &size);
    usp_sched.current->fake_stack = NULL;
}

static void switch_annotated(struct usp_fibre *to, bool dying)
{
    struct usp_fibre *from = usp_sched.current;
    if (!main_bottom) {
        pthread_attr_t attributes;
        pthread_getattr_np(pthread_self(), &attributes);
        pthread_attr_getstack(&attributes, &main_bottom, &main_size);
        pthread_attr_destroy(&attributes);
    }
    const void *bottom = to->stack ? (char *)to->stack + to->guard_size : main_bottom;
    size_t size = to->stack ? (size_t)((char *)to - (char *)bottom) : main_size;
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack, bottom, size);
    usp_sched.current = to;
    usp_switch(&from->sp, to->sp);
    switched(from);
}

__attribute__((noinline)) void usp_switch_to(struct usp_fibre *to)
{
    switch_annotated(to, false);
}
#endif

void (*usp_born)(struct usp_fibre *fibre);
void (*usp_stillborn)(struct usp_unborn *process);
void (*usp_rests)(struct usp_fibre *fibre);
static struct usp_fibre *stillborn USP_YOUNG; /* linked by `next` */

/* The fibre of usp_sched_begin() has ended before there was need for another: it is the loop's fibre again. */
__attribute__((noreturn)) static void be_the_loop(struct usp_fibre *self)
{
    struct usp_unborn nobody = {0};
    usp_rests(self);
    unlink_fibre(self);
    usp_fibre_become(self, &nobody, NULL, 0);
    self->process = NULL;
    self->unwind = NULL; /* a callback of the loop is no process */
    self->habit.guards = (void *)self;
    usp_sched.loop_fibre = self;
    usp_loop_for_ever();
}

__attribute__((noinline)) struct usp_fibre *usp_fibre_rest(struct usp_fibre *self)
{
    if (!usp_sched.loop_fibre)
        be_the_loop(self);
    if (!usp_sched.idle && self->stack_class == USP_BIG_STACK) {
        usp_sched.idle = self; /* in the list of all it stays */
    } else {
        usp_rests(self);
        self->warm = true;
        unlink_fibre(self);
        usp_stack_give(self);
    }
    return usp_pick();
}

static void fibre_start(void)
{
#ifdef USP_ASAN
    switched(NULL);
#endif
    struct usp_fibre *fibre = usp_sched.current;
    if (fibre->entry) {
        fibre->entry(fibre->process);
        usp_fatal("the entry of a fibre has returned");
    }
    usp_born(fibre);
}

/* A fibre that will begin anew when it is switched to. NULL: no memory. */
static struct usp_fibre *give_stack(void)
{
    struct usp_fibre *fibre = usp_stack_take();
    if (!fibre || fibre->warm)
        return fibre;
    char *bottom = fibre->stack + fibre->guard_size;
#ifndef USP_ASAN
    if (__asan_unpoison_memory_region)
#endif
        __asan_unpoison_memory_region(bottom, (size_t)((char *)fibre - bottom)); /* who was ended in the middle has left frames there */
    usp_switch_release(fibre->sp); /* of the fibre that had this stack before, or NULL */
    fibre->sp = NULL;
    fibre->sp = usp_switch_prepare(fibre, bottom, fibre_start);
    if (!fibre->sp) {
        usp_stack_give(fibre);
        return NULL;
    }
    fibre->entry = NULL;
    fibre->task = NULL;
    fibre->unwind = NULL;
    fibre->habit.guards = (void *)fibre;
    fibre->fake_stack = NULL;
    return fibre;
}

struct usp_fibre *usp_fibre_new(void (*entry)(void *), void *arg)
{
    struct usp_fibre *fibre = give_stack();
    while (fibre && fibre->warm) {
        fibre->warm = false; /* where it waits is forgotten */
        usp_stack_give(fibre);
        fibre = give_stack();
    }
    if (!fibre)
        return NULL;
    struct usp_unborn nobody = {0};
    usp_fibre_become(fibre, &nobody, NULL, 0);
    fibre->entry = entry;
    fibre->process = arg;
    link_fibre(fibre);
    usp_sched.n_live++;
    return fibre;
}

static __attribute__((noinline)) struct usp_fibre *bear_elsewhere(struct usp_fibre *unborn)
{
    (void)usp_loop_fibre(); /* first: so where there is none, there is one fibre only, that of usp_sched_begin() */
    struct usp_fibre *fibre = give_stack();
    if (!fibre) {
        unborn->next = stillborn;
        stillborn = unborn;
        return usp_loop_fibre();
    }
    usp_fibre_become(fibre, &unborn->before, unborn->parent, unborn->kill);
    link_fibre(fibre);
    return fibre;
}

struct usp_fibre *usp_fibre_bear(struct usp_fibre *unborn)
{
    struct usp_fibre *fibre = usp_sched.idle;
    if (__builtin_expect(!fibre, 0))
        return bear_elsewhere(unborn);
    usp_sched.idle = NULL;
    usp_fibre_become(fibre, &unborn->before, unborn->parent, unborn->kill);
    return fibre;
}

/* On the loop's fibre: what was to run and got no stack. */
static void bury_stillborn(void)
{
    while (stillborn) {
        struct usp_fibre *fibre = stillborn;
        stillborn = fibre->next;
        usp_sched.n_live--;
        usp_stillborn((struct usp_unborn *)fibre);
    }
}

/* The stack is not used again before the switch, and `next` is all that is written into it (and `ahead`, later: foresight.h); but where the next
   fibre is born on this very stack that writes the words which lie on top of it, where a fibre began that
   will never return. Where more is written, or the stack is known to others, the next one is taken first. */
void usp_fibre_exit(void)
{
    struct usp_fibre *self = usp_sched.current;
    (void)usp_loop_fibre(); /* or it would be made on the stack that is given away here, and is in use until the switch */
    unlink_fibre(self);
    usp_sched.n_live--;
#ifdef USP_PARK_TAIL
    usp_stack_give(self);
    struct usp_fibre *to = usp_pick();
    usp_switch_to(to);
#else
    struct usp_fibre *to = usp_pick();
    usp_stack_give(self);
#ifdef USP_ASAN
    switch_annotated(to, true);
#else
    usp_switch_to(to);
#endif
#endif
    __builtin_unreachable();
}

void usp_yield(void)
{
    usp_ready(usp_sched.current);
    usp_park();
}

/* ---- the loop's fibre ---- */

void usp_on_loop_stack(void (*fn)(void *), void *arg)
{
    if (usp_sched.current == usp_sched.loop_fibre) {
        fn(arg);
        return;
    }
    errand.fn = fn;
    errand.arg = arg;
    errand.caller = usp_sched.current;
    usp_switch_to(usp_loop_fibre());
}

void usp_poll(void)
{
    usp_sched.polled = usp_ticks();
    usp_writing++;
    uv_run(usp_loop(), UV_RUN_NOWAIT);
    usp_writing--;
}

void usp_sleep_in_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_ONCE);
    usp_sched.polled = usp_ticks();
}

static void run_errand(void)
{
    struct usp_fibre *caller = errand.caller;
    errand.fn(errand.arg);
    errand.caller = NULL;
    usp_switch_to(caller);
}

void usp_loop_for_ever(void)
{
    bool outside = false; /* something from there has woken somebody */
    for (;;) {
        if (errand.caller) {
            run_errand();
            continue;
        }
        usp_grant_turns();
        if (stillborn)
            bury_stillborn();
        const struct usp_fibre *last = usp_sched.head ? usp_sched.tail : NULL;
        if (usp_sched_hooks.drain)
            usp_sched_hooks.drain();
        if (usp_sched.head) {
            if ((int64_t)(usp_ticks() - usp_sched.polled) > USP_POLL_TICKS)
                usp_poll();
        } else {
            outside = true;
            if (usp_sched_hooks.finished)
                usp_sched_hooks.finished();
            if (!usp_sched.loop && usp_sched_hooks.doze && usp_sched_hooks.doze()) {
                usp_sched.polled = usp_ticks() + GRACE_TICKS;
                continue;
            }
            if (usp_sched_hooks.linger && usp_sched_hooks.linger())
                continue;
            if (usp_sched_hooks.sleep)
                usp_sched_hooks.sleep();
            else
                usp_sleep_in_loop(usp_loop());
        }
        if (usp_sched.head) {
            usp_grant_favours(!outside && usp_sched.tail == last);
            outside = false;
            usp_sched_count_run();
            struct usp_fibre *to = usp_pick();
            if (to != usp_sched.loop_fibre) {
                usp_foresight_look();
                if (usp_foresees())
                    usp_foresee(to, NULL, NULL);
                usp_switch_to(to);
            }
        }
    }
}

static void loop_main(void *arg)
{
    (void)arg;
    usp_loop_for_ever();
}

/* Not in the list of all, and not counted. NULL: no memory. */
static struct usp_fibre *new_loop_fibre(void)
{
    struct usp_fibre *fibre = usp_fibre_new(loop_main, NULL);
    if (fibre) {
        unlink_fibre(fibre);
        usp_sched.n_live--;
    }
    return fibre;
}

struct usp_fibre *usp_loop_fibre_needed(void)
{
    usp_sched.loop_fibre = new_loop_fibre();
    if (!usp_sched.loop_fibre)
        usp_fatal("no memory for the stack of a worker's loop");
    return usp_sched.loop_fibre;
}

/* ---- a worker's first process ---- */

/* Runs where the worker is born: on the stack that is the loop's, and is in use anyway. One page and two page tables
   less, and no guard to be made, for a worker that ends with its first process. When that has to wait the loop gets a stack
   of its own; when it has ended before that, its fibre is the loop's again. */
void usp_sched_begin(void)
{
    usp_grant_turns();
    if (usp_sched_hooks.drain)
        usp_sched_hooks.drain();
    struct usp_fibre *self = usp_sched.loop_fibre, *first = usp_sched.head;
    if (!first || first->sp || first != usp_sched.tail)
        usp_loop_for_ever();
    usp_grant_favours(true);
    usp_sched_count_run();
    usp_sched.head = NULL;
    usp_sched.loop_fibre = NULL;
    usp_fibre_become(self, &first->before, first->parent, first->kill);
    self->entry = NULL;
    link_fibre(self);
    usp_born(self);
    usp_fatal("a fibre has come to its end");
}

int usp_sched_init(void)
{
    int rc = usp_loop_reserve();
    if (rc < 0)
        return rc;
    usp_set_worker(0);
    usp_sched.polled = usp_ticks() + GRACE_TICKS;
    usp_sched.current = &main_fibre;
    usp_seed_from_environment();
    usp_seed();
    usp_grant_turns();
    memset(&main_fibre, 0, sizeof main_fibre);
    main_fibre.failed = -1;
    main_fibre.habit.guards = (void *)&main_fibre;
    main_fibre.sp = usp_switch_outer();
    if (!main_fibre.sp)
        main_fibre.sp = &main_fibre; /* it is born already */
    usp_sched.loop_fibre = new_loop_fibre();
    if (!usp_sched.loop_fibre) {
        usp_sched_deinit();
        return -ENOMEM;
    }
    link_fibre(&main_fibre);
    usp_overflow_install();
    usp_here_set(true);
    return 0;
}

void usp_sched_adopt(unsigned worker)
{
    struct usp_fibre *loop_fibre = usp_sched.loop_fibre;
    usp_stack_forget();
    memset(&usp_sched, 0, sizeof usp_sched);
    usp_set_worker(worker);
    usp_sched.loop_fibre = loop_fibre;
    usp_sched.current = loop_fibre;
    loop_fibre->sources = NULL;
    errand.caller = NULL;
    stillborn = NULL;
    usp_seed();
    usp_sched.polled = usp_ticks() + GRACE_TICKS;
    usp_grant_turns();
}

int usp_sched_deinit(void)
{
    int rc = usp_loop_close();
    usp_overflow_remove();
    usp_stack_deinit();
    memset(&usp_sched, 0, sizeof usp_sched);
    usp_here_set(false);
    return rc;
}
