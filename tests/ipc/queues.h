/* Numbers in a queue of values. */
#ifndef TESTS_IPC_QUEUES_H
#define TESTS_IPC_QUEUES_H

#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"

static inline void put_int(uvcsp_queue *q, int n)
{
    MUST_BE(uvcsp_queue_put_new(q, json_integer(n), -1), UVCSP_OK);
}

static inline int get_int(uvcsp_queue *q)
{
    json_t *value = NULL;
    MUST_BE(uvcsp_queue_get(q, &value, -1), UVCSP_OK);
    int n = (int)json_integer_value(value);
    json_decref(value);
    return n;
}

#endif
