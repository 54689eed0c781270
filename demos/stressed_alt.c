/* stressed_alt: one fair choice under the fire of many writers.

   On each of the channels several writers send as fast as they can; one reader chooses fairly
   among all channels. Fair means: a channel that stays ready is served within as many rounds as
   there are channels, however fast the others are. The channels have buffers here, so that the
   reader can see which are ready: it counts how many rounds each has waited, and finds the
   promise kept. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: stressed_alt [channels] [writers] [messages]\n"
    "\n"
    "Reads `messages` (20000) messages by ALT from `channels` (8) channels, each with\n"
    "`writers` (8) writers that never stop. The writers of a channel are light processes\n"
    "of one forked worker. Tells how often each channel was served on stderr.\n";

enum { MOST = 64 };

struct message {
    int writer;
    long number;
};

PROCESS(writer, VAL(int, me), OUT(struct message, out))
{
    for (long i = 0;; i++)
        WRITE(out, ((struct message){me, i}));
}

PROCESS(reader, VAL(int, messages), INS(struct message, in, channels))
{
    static long next[MOST][MOST]; /* the number that is due from each writer */
    long served[MOST] = {0};
    size_t waited[MOST] = {0};
    struct message message;
    uvcsp_guard guards[MOST];
    for (size_t i = 0; i < channels; i++)
        guards[i] = ON_READ(in[i], &message);

    for (int n = 0; n < messages; n++) {
        for (size_t i = 0; i < channels; i++)
            waited[i] = uvcsp_channel_size(in[i]) > 0 ? waited[i] + 1 : 0;
        int taken = uvcsp_alt(guards, channels, UVCSP_FAIR);
        demo_expect(taken >= 0, "writers go on as long as they are read");
        demo_expect(waited[taken] <= channels, "a ready channel was passed over too often");
        demo_expect(message.number == next[taken][message.writer]++, "messages came out of order");
        waited[taken] = 0;
        served[taken]++;
    }
    for (size_t i = 0; i < channels; i++) {
        demo_expect(waited[i] <= channels, "a ready channel was passed over too often");
        fprintf(stderr, "channel %zu was served %ld times\n", i, served[i]);
    }
    printf("%d messages: no ready channel waited more than %zu rounds, no message was lost\n",
           messages, channels);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 3, help);
    int channels = demo_size(argc, argv, 1, 8, 1, MOST);
    int writers = demo_size(argc, argv, 2, 8, 1, MOST);
    int messages = demo_size(argc, argv, 3, 20000, 1, 100000000);

    CHAN(struct message) c[MOST];
    if (CHANNELS(struct message, c, channels, .capacity = 4) != 0)
        return 1;
    uvcsp_process workers[MOST + 1], group[MOST];
    for (int i = 0; i < channels; i++) {
        for (int w = 0; w < writers; w++)
            group[w] = writer(w, c[i]);
        workers[i] = uvcsp_worker(group, (size_t)writers);
    }
    workers[channels] = reader(messages, c, (size_t)channels);
    return uvcsp_par(workers, (size_t)channels + 1) != 0;
}
