/* Runs: how spans are taken, listed, split, and told apart. Private to the arena. Everything here
   but the lock itself is called with the lock held. */
#ifndef USP_RUNTIME_RUNS_H
#define USP_RUNTIME_RUNS_H

#include "runtime/spans.h"

/* A death can come between any two stores, and then they must have happened in the order of the
   text. The processor sees to that by itself; this tells the compiler. */
#define USP_STEP() atomic_signal_fence(memory_order_seq_cst)

void usp_spans_lock(void);
void usp_spans_unlock(void);
/* Takes the lock, or takes it over from `dead`; true if it was taken over. */
bool usp_spans_lock_or_take_over(int64_t dead);

static inline unsigned usp_shape(uint32_t span)
{
    return atomic_load_explicit(&usp_region.shapes[span], memory_order_acquire);
}

static inline void usp_shape_set(uint32_t span, unsigned shape)
{
    USP_STEP();
    atomic_store_explicit(&usp_region.shapes[span], (uint8_t)shape, memory_order_release);
    USP_STEP();
}

static inline _Atomic uint32_t *usp_run_word(uint32_t span)
{
    return usp_region.words + (size_t)span * USP_WORDS_ASIDE;
}

static inline uint32_t usp_bump(void)
{
    return atomic_load_explicit(&usp_region.spans->bump, memory_order_relaxed);
}

static inline void usp_bump_set(uint32_t to)
{
    USP_STEP();
    atomic_store_explicit(&usp_region.spans->bump, to, memory_order_release);
    USP_STEP();
}

/* The class of the run that begins at `span`; there must be one. */
const struct usp_class *usp_run_class(uint32_t span);
bool usp_run_is_large(const struct usp_class *class);

/* The largest class that fits in n spans. */
unsigned usp_class_within(uint32_t n);

/* Puts a run of a large class into its list, its word FREE and clean or not (USP_WORD_CLEAN, 0). */
void usp_run_list(uint32_t span, unsigned class, uint32_t clean);

/* A free run in nobody's list, its word FREE; 0 if there is none. */
uint32_t usp_run_take(unsigned class);

#endif
