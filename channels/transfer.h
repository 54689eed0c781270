/* The carriers: how the bytes of an agreed communication get from one process to the other.

   One side runs and has claimed the other, which waits. In one worker the bytes are copied from the one's
   memory to the other's. Between workers:

       reader waits, pipe     one DATA frame: wake-up and bytes in one system call. (A short message, but
                              for a worker that sleeps in its loop: as with shared.)
       reader waits, shared   into the reader's offer, a block of the arena, or straight into its
                              destination where that lies in the arena; then its mailbox
       writer waits           it has left the bytes in its offer or a block of the arena if they are short
                              or the carrier is shared; else a PULL frame asks its worker to stream them */
#ifndef USP_CHANNELS_TRANSFER_H
#define USP_CHANNELS_TRANSFER_H

#include "channels/channel.h"
#include "channels/message.h"

#define USP_STASH_LIMIT 4096 /* up to here a waiting writer leaves the bytes for a reader of another worker */
#define USP_STASH_TAKEN 16384 /* from here on the reader takes it as it is, and copies it later */

/* Gives the bytes to a claimed reader and wakes it. 0; USP_RETRY: its worker died in the middle. */
int usp_deliver(struct usp_channel *channel, struct usp_offer *reader, const struct usp_bytes *bytes);

/* Takes the bytes of a claimed writer into `value` and wakes it. 0; USP_RETRY; -ENOMEM, and then the writer
   has been sent back to look again. */
int usp_receive(struct usp_channel *channel, struct usp_offer *writer, void *value);

/* Before a writer waits: leaves the bytes where readers of other workers find them. The lock is held. */
void usp_stash(struct usp_offer *offer);

/* After a wait: takes in what a writer has left in the reader's offer (if `outcome` is 0), and gives back the stash. The outcome, or
   -ENOMEM. */
int usp_collect(struct usp_offer *offer, int outcome);

/* The bytes of a waiting writer, where they can be read from this worker; NULL: they must be pulled. */
const void *usp_reachable(const struct usp_offer *writer);

void usp_transfer_init(void);

#endif
