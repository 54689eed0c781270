/* A connection within the program: a channel of cells each way, and one each way for what is too long for a cell. Cells lie
   in the arena, so one is copied once, straight to where the other side waits for it, and nothing is allocated for it.

   An answer is put in a buffer of one cell. A client that has asked looks there for as long as an answer takes, before it waits as
   others do: so nobody has to be woken. Where the server runs on the same processor it gives that up meanwhile. Each time in
   vain makes the next ones rarer; and now and then it waits all the same, so that the loop of its worker has a turn. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/manager.h"
#include "runtime/arena.h"
#include "runtime/scheduler.h"
#include "runtime/worker.h"

#define LONG_ENOUGH 12000u /* ticks of the cycle counter: 4 to 6 microseconds */
#define MOST_SKIPPED 1023u
#define LOOKS 16           /* between two looks at the clock */
#define TURN_DUE (10 * USP_POLL_TICKS) /* since the loop has had a turn: some 0.3 milliseconds */

int usp_line_init(struct usp_line *line)
{
    if (!line->cell)
        line->cell = usp_arena_alloc(sizeof *line->cell, USP_BLOCK_MESSAGE); /* it goes with a worker that is killed */
    if (!line->cell)
        return -ENOMEM;
    line->packet.fixed = line->cell->bytes;
    line->packet.fixed_room = sizeof line->cell->bytes;
    const char *spin = getenv("UVCSP_SPIN");
    line->never_looks = spin && strcmp(spin, "0") == 0;
    return 0;
}

void usp_line_deinit(struct usp_line *line)
{
    usp_packet_free(&line->packet);
    usp_arena_free(line->cell);
    line->cell = NULL;
}

int usp_line_send(struct usp_line *line, bool is_handed_over)
{
    const struct usp_packet *packet = &line->packet;
    bool is_long = is_handed_over || packet->data != packet->fixed;
    line->cell->size = is_long ? USP_LONG : (uint32_t)packet->size;
    int rc = uvcsp_end_write(line->out, line->cell, -1, "manager");
    if (rc || !is_long)
        return rc;
    uvcsp_bytes bytes = {packet->data, packet->size};
    return uvcsp_end_write(line->long_out, &bytes, -1, "manager");
}

/* Something to read, or the end of it; or something else for this worker to do. */
static bool over(const struct usp_channel *channel)
{
    for (int i = 0; i < LOOKS; i++) {
        if (__atomic_load_n(&channel->written, __ATOMIC_RELAXED) != __atomic_load_n(&channel->read, __ATOMIC_RELAXED) ||
            __atomic_load_n(&channel->ended, __ATOMIC_RELAXED))
            return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    return atomic_load_explicit(&usp_worker_of(usp_worker_index())->mailbox, memory_order_relaxed) != NULL;
}

void usp_line_look(struct usp_line *line, int processor)
{
    if (line->never_looks || usp_sched.head)
        return;
    if (line->skip > 0) {
        line->skip--;
        return;
    }
    uint64_t start = usp_ticks(), theirs = 0;
    if ((int64_t)(start - usp_sched.polled) > TURN_DUE)
        return;
    const struct usp_channel *channel = ((const struct usp_end *)line->in)->channel;
    bool shared = processor == sched_getcpu();
    do {
        theirs += shared ? usp_processor_yield() : 0;
        if (over(channel)) {
            line->penalty -= (line->penalty + 7) / 8;
            return;
        }
    } while (usp_ticks() - start - theirs < LONG_ENOUGH);
    line->penalty = 2 * line->penalty + 1 < MOST_SKIPPED ? 2 * line->penalty + 1 : MOST_SKIPPED;
    line->skip = line->penalty;
}

int usp_line_receive(struct usp_line *line, uvcsp_bytes *bytes)
{
    int rc = uvcsp_end_read(line->in, line->cell, -1, "manager");
    if (rc)
        return rc;
    if (line->cell->size == USP_LONG)
        return uvcsp_end_read(line->long_in, bytes, -1, "manager");
    *bytes = (uvcsp_bytes){line->cell->bytes, line->cell->size};
    return 0;
}

void usp_line_taken(struct usp_line *line, uvcsp_bytes *bytes)
{
    if (!line->cell || bytes->data != line->cell->bytes)
        free(bytes->data);
}
