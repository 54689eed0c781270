/* What is seen in a mirror: the workers, processes and channels of a program at about one moment.
 */
#ifndef USP_TOOLS_PICTURE_H
#define USP_TOOLS_PICTURE_H

#include <stdint.h>

#include "channels/channel.h"
#include "tools/mirror.h"

enum picture_state { PICTURE_RUNS, PICTURE_WAITS, PICTURE_UNBORN };

struct picture_process {
    const struct usp_task *task;
    const struct usp_offer *offers;
    uint32_t n_offers;
    enum picture_state state;
};

struct picture_channel {
    const struct usp_channel *channel;
    uint32_t waiting[2]; /* processes that would read, write */
};

struct picture {
    struct picture_process *processes;
    struct picture_channel *channels; /* by address */
    size_t n_processes, n_channels;
    unsigned n_records; /* of workers, living or not: usp_worker_of() */
};

/* From the mirror. False: no memory. */
bool picture_take(struct picture *picture);
void picture_free(struct picture *picture);

struct picture_channel *picture_find(const struct picture *picture,
                                     const struct usp_channel *channel);

/* What it waits for, in words: "to read from channel 'c', or a timer". */
const char *picture_wants(const struct picture_process *process, char *text, size_t size);
const char *picture_state_name(enum picture_state state);
/* "poisoned", "retired" (a side has no end any more), or "". */
const char *picture_ended(const struct usp_channel *channel);

#endif
