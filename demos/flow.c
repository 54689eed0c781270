/* flow: the basic flow net, two processes and two channels.

     Process 1 --Channel 1--> Process 2
               <--Channel 2--

   Process 1 sends a number over Channel 1 and waits for the answer; Process 2 waits for a number,
   and sends it back over Channel 2, doubled. Each is a worker of its own, and a message is also a
   meeting: whoever comes first waits. So the lines come in this order whatever the machine does.
   Process 1 returns when it has had enough. That retires Channel 1, and ends Process 2. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: flow [rounds]\n"
    "\n"
    "Process 1 and Process 2 talk over Channel 1 and Channel 2 for so many rounds (3).\n";

PROCESS(process_1, VAL(int, rounds), OUT(int, channel_1), IN(int, channel_2))
{
    for (int i = 1; i <= rounds; i++) {
        printf("Process 1 sends %d over Channel 1\n", i);
        WRITE(channel_1, i);
        int answer = READ(channel_2);
        printf("Process 1 has %d from Channel 2\n", answer);
        demo_expect(answer == 2 * i, "the answer is the double");
    }
}

PROCESS(process_2, IN(int, channel_1), OUT(int, channel_2))
{
    for (;;) {
        int x = READ(channel_1);
        printf("Process 2 has %d from Channel 1, and sends %d over Channel 2\n", x, 2 * x);
        WRITE(channel_2, 2 * x);
    }
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int rounds = demo_size(argc, argv, 1, 3, 0, 1000000);

    CHAN(int) channel_1 = CHANNEL(int, .name = "Channel 1");
    CHAN(int) channel_2 = CHANNEL(int, .name = "Channel 2");
    return PAR(process_1(rounds, channel_1, channel_2), process_2(channel_1, channel_2));
}
