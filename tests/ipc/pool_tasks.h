/* Tasks that the tests of pools give. */
#ifndef TESTS_IPC_POOL_TASKS_H
#define TESTS_IPC_POOL_TASKS_H

#include <signal.h>

#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static __attribute__((unused)) int square(const int *x, long *result, void *context)
{
    (void)context;
    *result = (long)*x * *x;
    return 0;
}

static __attribute__((unused)) int *numbers(int n)
{
    int *a = malloc((size_t)(n + 1) * sizeof *a);
    MUST(a);
    for (int i = 0; i < n; i++)
        a[i] = i;
    return a;
}

static int gate[2];

static __attribute__((unused)) int waits_at_gate(const int *x, int *result, void *context)
{
    (void)context;
    if (*x < 0)
        MUST(uvcsp_wait_fd(gate[0], UV_READABLE, -1) == UVCSP_OK);
    *result = *x;
    return 0;
}

static __attribute__((unused)) void open_gate(void)
{
    MUST(write(gate[1], "x", 1) == 1); /* nobody reads it: it stays open */
}

static __attribute__((unused)) void close_pipe(void)
{
    close(gate[0]);
    close(gate[1]);
}

#endif
