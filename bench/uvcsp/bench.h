/* The cases of uvcsp, by file. main.c goes through them. */
#ifndef BENCH_UVCSP_H
#define BENCH_UVCSP_H

#include <uvcsp.h>

#include "../common.h"

extern const struct bench_kind communication_kinds[];
extern const struct bench_kind choice_kinds[];
extern const struct bench_kind processes_kinds[];
extern const struct bench_kind memory_kinds[];
extern const struct bench_kind workers_kinds[];
extern const struct bench_kind meeting_kinds[];
extern const struct bench_kind forking_kinds[];
extern const struct bench_kind ipc_kinds[];
extern const struct bench_kind manager_kinds[];

/* A process that writes numbers for ever. */
PROCESS_DECLARE(bench_source, OUT(int, out));

/* A PAR or CO that must not fail. */
static inline void bench_must(int failed)
{
    if (failed != 0)
        exit(1);
}

/* `n` channels for int, to be freed with free(). */
CHAN(int) *bench_channels(long n, int capacity);

#endif
