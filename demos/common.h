/* What all demos do alike: read their arguments, and give up with a message.

   Sizes are positional arguments, each with a default; a bare word such as `parallel` is a switch
   and may stand anywhere. Wrong arguments end the demo with status 2, a wrong result with status
   1. */
#ifndef DEMOS_COMMON_H
#define DEMOS_COMMON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is `word` among the arguments? It is taken out. Call this before demo_args(). */
static inline bool demo_word(int *argcp, char **argv, const char *word)
{
    for (int i = 1; i < *argcp; i++) {
        if (strcmp(argv[i], word) != 0)
            continue;
        for (; i < *argcp; i++)
            argv[i] = argv[i + 1];
        (*argcp)--;
        return true;
    }
    return false;
}

/* Answers --help with `text`, and refuses other options and more than `most` arguments. */
static inline void demo_args(int argc, char **argv, int most, const char *text)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(text, stdout);
            exit(0);
        }
    }
    for (int i = 1; i < argc; i++) {
        if (i > most || strncmp(argv[i], "--", 2) == 0) {
            fprintf(stderr, "%s: what is '%s'? Try --help.\n", argv[0], argv[i]);
            exit(2);
        }
    }
}

/* The argument at `position` (1 is the first) as a number from `low` to `high`. */
static inline int demo_size(int argc, char **argv, int position, int otherwise, int low, int high)
{
    if (position >= argc)
        return otherwise;
    char *end;
    long value = strtol(argv[position], &end, 10);
    if (end == argv[position] || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "%s: '%s' should be a number from %d to %d. Try --help.\n", argv[0],
                argv[position], low, high);
        exit(2);
    }
    return (int)value;
}

/* Demos check what they compute. */
static inline void demo_expect(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "wrong result: %s\n", what);
    exit(1);
}

#endif
