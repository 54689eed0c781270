/* What the processes of these tests use. They may run in workers of their own, where Check's
   assertions would report into a file that several write at once: a process that finds something
   wrong says so and aborts, and whoever waits for it sees that it has failed. */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uvcsp.h>

#include "tests/fixture.h"

/* The status of a checked operation, compared by name. */
#define MUST_BE(call, expected)                                                                    \
    do {                                                                                           \
        int status_ = (call);                                                                      \
        if (status_ != (expected)) {                                                               \
            fprintf(stderr, "%s:%d: %s is %s, not %s\n", __FILE__, __LINE__, #call,                \
                    uvcsp_status_name(status_), #expected);                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Memory that all workers started from here on share, zeroed. It goes with the case's process. */
static inline void *seen_by_all(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    return memory;
}

/* Before a case that ends workers by signals: Check's own handlers, which a worker inherits, would
   pass them on to the whole case. */
static inline int default_signals(void)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    return 0;
}

/* Set by a process that calls exit(): what its parent held on its stack looks like a leak to it. */
static bool no_leak_check;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return no_leak_check;
}

/* In which of the ways a set of processes can be placed it is this time. In light mode all are
   alike. */
enum placement { FORKED, LIGHT, PLACEMENTS };

static inline int run_placed(enum placement placement, const uvcsp_process *processes, size_t n)
{
    return placement == LIGHT ? uvcsp_co(processes, n) : uvcsp_par(processes, n);
}
#define RUN(placement, ...)                                                                        \
    run_placed((placement), (uvcsp_process[]){__VA_ARGS__},                                        \
               sizeof((uvcsp_process[]){__VA_ARGS__}) / sizeof(uvcsp_process))

/* Waits, without a clock, until a partner waits at the other side: only then does a trying form
   succeed on a channel without a buffer. */
#define WRITE_TO_A_WAITING_READER(out, p)                                                          \
    do {                                                                                           \
        int tried_;                                                                                \
        while ((tried_ = uvcsp_write_try((out), (p))) == UVCSP_WOULD_BLOCK)                        \
            uvcsp_yield();                                                                         \
        MUST_BE(tried_, UVCSP_OK);                                                                 \
    } while (0)
#define READ_FROM_A_WAITING_WRITER(in, p)                                                          \
    do {                                                                                           \
        int tried_;                                                                                \
        while ((tried_ = uvcsp_read_try((in), (p))) == UVCSP_WOULD_BLOCK)                          \
            uvcsp_yield();                                                                         \
        MUST_BE(tried_, UVCSP_OK);                                                                 \
    } while (0)

#endif
