/* The fixture of every test here, on Check. A test file is its cases and one line:

       #include "tests/fixture.h"

       TEST(a_block_that_was_freed_can_be_had_again)
       {
           ck_assert_ptr_nonnull(arena_alloc(64));
       }

       TEST(a_null_arena_is_told_and_aborts, .raises = SIGABRT)
       {
           arena_alloc_from(NULL, 64);
       }

       SUITE("arena", .after = arena_stop)

   Each case runs in a process that Check forks for it, within a time limit. When its body has returned
   and `after` has given back what the floor keeps for the whole program, the case fails if the
   process still has a descriptor that was not open at the start, or a child, living or dead. An open
   libuv loop holds descriptors and so is found as well. Nothing is looked for after a case that is
   to end by a signal or by exit().

   Standard output of a case goes to standard error: the real one carries Check's report.
   `test_arena freed` runs only the cases whose names contain the word. */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct house_case {
    int raises;     /* the signal by which the case is to end */
    int exits;      /* the status with which the case is to exit */
    int times;      /* how often to run it, with _i = 0, 1, ...; 0 is once */
    double seconds; /* its limit, if it is not that of the suite */
};

struct house_suite {
    int (*before)(void); /* in the process of the case, before its body; not 0 fails the case */
    int (*after)(void);  /* after its body; not 0 fails the case */
    double seconds;      /* limit of each case; 0 is 20 */
};

/* A case; `_i` counts its runs. The arguments after the name are members of `struct house_case`. */
#define TEST(name, ...)                                                                            \
    static void name(int _i);                                                                      \
    __attribute__((constructor)) static void house_add_##name(void)                                \
    {                                                                                              \
        static const TTest test = {#name, name, __FILE__, __LINE__};                               \
        house_add(&test, (struct house_case){__VA_ARGS__});                                        \
    }                                                                                              \
    static void name(int _i __attribute__((unused)))

/* The program. The arguments after the name are members of `struct house_suite`. */
#define SUITE(name, ...)                                                                           \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return house_main(name, (struct house_suite){__VA_ARGS__}, argc, argv);                    \
    }

void house_add(const TTest *test, struct house_case options);

/* 0 if every case passed and there was one at all. */
int house_main(const char *name, struct house_suite options, int argc, char **argv);

/* What must hold in a process that Check does not watch: a worker, a program of its own. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: this must hold: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Is this built with the address sanitizer? */
#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

/* True where every PAR runs as CO, and true under valgrind, where sizes should be small. */
bool house_light(void);
bool house_valgrind(void);

/* What this process and its children write to `fd` from now on, up to house_captured(), which puts the
   descriptor back and gives the text, to be freed. One capture at a time. */
void house_capture(int fd);
char *house_captured(void);

/* Open descriptors, and children alive or not yet reaped, of this process. */
int house_count_descriptors(void);
bool house_has_child(void);

/* Fails the case unless `text` contains `part`. */
#define ck_assert_contains(text, part)                                                             \
    do {                                                                                           \
        const char *text_ = (text), *part_ = (part);                                               \
        if (!strstr(text_, part_))                                                                 \
            ck_abort_msg("\"%s\" does not contain \"%s\"", text_, part_);                          \
    } while (0)

#endif
