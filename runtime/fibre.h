/* Fibres: stacks that switch by a few instructions.

   A fibre's record lies at the top of its own stack, so a parked fibre costs the one page that it
   has touched anyway. The scheduler owns all of them; a fibre is in exactly one place: running, in the run queue, or
   parked, and then something that will make it ready knows it (a channel, a source, a mailbox). */
#ifndef USP_RUNTIME_FIBRE_H
#define USP_RUNTIME_FIBRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usp_task;
struct usp_source;

struct usp_fibre {
    void *sp;                    /* saved stack pointer while it does not run */
    struct usp_fibre *next;      /* in the run queue or in the free list */
    struct usp_task *task;       /* NULL for the loop's fibre */
    struct usp_source *sources;  /* armed by usp_sources.h */
    void (*entry)(void *);
    void *arg;
    void (*unwind)(void *process, int how, const char *cause); /* ends the process that runs here; does not return */
    void *process;               /* of the process floor */
    int kill;                    /* signal by which it is to end when it next waits, 0 for none */
    int fair;                    /* where a choice without channels starts next */
    int failed;                  /* index for uvcsp_alt_failed() */
    char *stack;                 /* lowest address, the guard included; NULL for main */
    size_t stack_size;
    size_t guard_size;
    uint32_t stack_class;
    uint32_t valgrind_id;
    void *fake_stack;            /* of AddressSanitizer */
    struct usp_fibre *all_next, *all_prev; /* every live fibre of the worker */
    bool started_others;         /* some fibre has it as its parent and may outlive it */
    struct usp_fibre *parent;    /* who waits for it in CO or SEQ, or started it */
};

#endif
