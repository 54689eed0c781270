/* What the fuzz targets have in common. A target is a file with the function that libFuzzer calls
   for each input; it aborts where something is wrong. In a build made for it (meson_options.txt,
   `fuzz`) it is linked with libFuzzer; in any other with replay.c, which runs the corpus and what a
   few random changes make of it, so that an ordinary `meson test` runs every target too. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* An input that is eaten from the front; behind its end are zeroes. */
struct input {
    const uint8_t *at, *end;
};

static inline uint8_t eat_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline unsigned eat_below(struct input *in, unsigned n)
{
    return eat_byte(in) % n;
}

/* Up to `most` bytes; gives how many. */
static inline size_t eat(struct input *in, void *to, size_t most)
{
    size_t n = (size_t)(in->end - in->at) < most ? (size_t)(in->end - in->at) : most;
    if (n > 0)
        memcpy(to, in->at, n);
    in->at += n;
    return n;
}

/* What a read of some random size would give: chunk sizes from a seed. */
static inline size_t next_chunk(uint32_t *seed)
{
    static const size_t sizes[] = {1, 2, 3, 7, 8, 39, 40, 41, 100, 1000, 8192, 70000};
    *seed = *seed * 1664525u + 1013904223u;
    return sizes[(*seed >> 16) % (sizeof sizes / sizeof sizes[0])];
}

#endif
