/* A connection within the program: a channel of cells each way, and one each way for what is too long for a cell. Cells lie
   in the arena, so one is copied once, straight to where the other side waits for it, and nothing is allocated for it. */
#include <errno.h>
#include <stdlib.h>

#include "ipc/manager.h"
#include "runtime/arena.h"

int usp_line_init(struct usp_line *line)
{
    if (!line->cell)
        line->cell = usp_arena_alloc(sizeof *line->cell, USP_BLOCK_MESSAGE); /* it goes with a worker that is killed */
    if (!line->cell)
        return -ENOMEM;
    line->packet.fixed = line->cell->bytes;
    line->packet.fixed_room = sizeof line->cell->bytes;
    return 0;
}

void usp_line_deinit(struct usp_line *line)
{
    usp_packet_free(&line->packet);
    usp_arena_free(line->cell);
    line->cell = NULL;
}

int usp_line_send(struct usp_line *line)
{
    const struct usp_packet *packet = &line->packet;
    bool is_long = packet->data != packet->fixed;
    line->cell->size = is_long ? USP_LONG : (uint32_t)packet->size;
    int rc = uvcsp_end_write(line->out, line->cell, -1, "manager");
    if (rc || !is_long)
        return rc;
    uvcsp_bytes bytes = {packet->data, packet->size};
    return uvcsp_end_write(line->long_out, &bytes, -1, "manager");
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
