/* Fibres: stacks that switch by a few instructions.

   A fibre's record lies at the top of its own stack, so a parked fibre costs the one page that it
   has touched anyway. It gets the stack when it first runs: those that were started and have not run cost their
   names, and those that run one after the other run on one stack, which the cache has. A fibre whose process returns
   takes the next of those itself, without a switch, or waits for one; one of those that wait is the idle one, on which a
   process that is alone can run at once.

   The scheduler owns all of them; a fibre is in exactly one place: running, in the run queue, or parked, and then
   something that will make it ready knows it (a channel, a source, a mailbox). */
#ifndef USP_RUNTIME_FIBRE_H
#define USP_RUNTIME_FIBRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usp_task;
struct usp_source;
struct uvcsp_guard;

/* Of the channel floor: the choice with which a fibre is parked. */
struct usp_chosen {
    struct uvcsp_guard *guards;
    const struct uvcsp_guard *from;
    uint64_t choice;
    const char *site;
};

/* The choice that its process does over and over, and where it goes on. None: `guards` is the fibre itself. */
struct usp_habit {
    struct uvcsp_guard *guards;
    const struct uvcsp_guard *end, *from;
    size_t n;
    const void *first, *last;    /* subjects of those guards: it is another one where they are others */
    const char *site;
    uint32_t key;                /* of its mark, which is in its first end */
    uint32_t missed;             /* choices that were others */
};

/* Of foresight.h: a fibre, and addresses of what it needs when it goes on. */
struct usp_ahead {
    const void *fibre, *task, *sp, *others[2]; /* these the floor above knows */
};

/* What a fibre is from when it is made. One that has not run yet is this and no more, at the head of a record of the
   process floor; it is in the run queue, and gets a stack when its turn comes. */
struct usp_unborn {
    void *sp;                    /* saved stack pointer while it does not run; NULL: it is not born yet */
    struct usp_fibre *next;      /* in the run queue or in the free list */
    struct usp_task *task;       /* NULL for the loop's fibre, and for one that gets it when it is born */
    struct usp_fibre *parent;    /* who waits for it in CO or SEQ, or started it */
    int kill;                    /* signal by which it is to end when it next waits, 0 for none */
    bool above[2];               /* of the process floor */
    bool first;                  /* it is the head of the run queue, and has come there out of its turn */
} __attribute__((may_alias));

/* Unborn ones are handled as if they were this, too. */
struct __attribute__((may_alias)) usp_fibre {
    union {
        struct usp_unborn before;
        struct { /* the same */
            void *sp;
            struct usp_fibre *next;
            struct usp_task *task;
            struct usp_fibre *parent;
            int kill;
            uint8_t hasty;       /* so many choices that have to wait do so at once ... */
            uint8_t hasty_after; /* ... the last time that they were to */
            bool first;
            bool warm;           /* in the list of free stacks: it waits where it runs the next process */
        };
    };
    struct usp_ahead ahead;      /* who was resumed some turns later, the last time */
    void *process;               /* of the process floor: what it was before it was born */
    struct usp_source *sources;  /* armed by usp_sources.h */
    const char *called;          /* a function that may wait: its name; this one and the last begin anew by one store */
    int failed;                  /* index for uvcsp_alt_failed(); the same for this one and the next three */
    uint32_t n_started;          /* others that it has started by GO, and that have not ended */
    uint32_t n_done;             /* of the channel floor: ends that are done, */
    uint32_t most_done;          /* and how many may be kept of them */
    const char *called_at;       /* where `called` was */
    const char *alt_site;        /* of its last uvcsp_alt() */
    struct usp_habit habit;
    struct usp_chosen chosen;
    void (*unwind)(void *process, int how, const char *cause); /* ends the process that runs here; does not return */
    struct usp_fibre *all_next, *all_prev; /* every fibre of the worker that is born */
    void (*entry)(void *);       /* NULL: it runs processes */
    char *stack;                 /* lowest address, the guard included; NULL for main */
    size_t stack_size;
    size_t guard_size;
    uint32_t stack_class;
    uint32_t valgrind_id;
    void *fake_stack;            /* of AddressSanitizer */
};

#endif
