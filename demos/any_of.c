/* any_of: one choice between a queue, a pipe, an event, a file descriptor and a timeout.

     world --queue--+
           --pipe---+
           --event--+--> main
           --fd-----+

   main waits for whatever comes first, in one ALT, and takes exactly that. There is no thread
   behind it, and nobody polls. (In multiprocessing, connection.wait() takes pipes and descriptors,
   but not a queue's items, no event and no lock.)

   The world waits, each time, until it was heard; so the lines come in the same order on every
   machine. When it has returned, its side of the pipe is gone, and main has no patience any more.
 */
#include <unistd.h>
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] =
    "usage: any_of [rounds]\n"
    "\n"
    "A process uses a queue, a pipe, an event and a file descriptor in turn, for so\n"
    "many rounds (2), and ends; its parent waits for all of them at once.\n";

PROCESS(world, VAL(int, rounds), VAL(uvcsp_queue *, q), VAL(uvcsp_conn *, conn),
        VAL(uvcsp_event *, event), VAL(int, fd), IN(bool, heard))
{
    for (int i = 1; i <= rounds; i++) {
        uvcsp_queue_put_new(q, json_pack("{s:i}", "letter", i), -1);
        (void)READ(heard);
        uvcsp_conn_send_new(conn, json_pack("{s:i}", "call", i));
        (void)READ(heard);
        uvcsp_event_set(event);
        (void)READ(heard);
        demo_expect(dprintf(fd, "line %d\n", i) > 0, "the descriptor can be written to");
        (void)READ(heard);
    }
}

static void print(const char *from, json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    printf("%s %s\n", from, text);
    free(text);
    json_decref(value);
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int rounds = demo_size(argc, argv, 1, 2, 0, 1000000);

    uvcsp_queue *q = uvcsp_queue_new(0);
    uvcsp_event *event = uvcsp_event_new();
    uvcsp_conn *here = NULL, *there = NULL;
    int fds[2];
    demo_expect(q && event && uvcsp_pipe(&here, &there, true) == 0 && pipe(fds) == 0,
                "there is memory");
    CHAN(bool) heard = CHANNEL(bool);
    OUT_END(bool) tell = OUT_OF(heard);
    demo_expect(SPAWN(world(rounds, q, there, event, fds[1], heard)), "the world has started");

    json_t *value;
    char line[32];
    bool ended = false;
    for (;;) {
        double patience = ended ? 0.1 : 60;
        switch (ALT(ON_GET(q, &value), WHEN(!ended, ON_CONN(here)), ON_EVENT(event),
                    ON_FD(fds[0], UV_READABLE), ON_TIMEOUT(patience))) {
        case 0:
            print("the queue:      ", value);
            break;
        case 1: /* something can be received, if only the end */
            ended = uvcsp_conn_recv(here, &value) == UVCSP_RETIRED;
            if (ended) {
                printf("the pipe:        the other side has gone\n");
                continue;
            }
            print("the pipe:       ", value);
            break;
        case 2:
            printf("the event:       is set\n");
            uvcsp_event_clear(event);
            break;
        case 3:
            line[read(fds[0], line, sizeof line - 1)] = '\0';
            printf("the descriptor:  %s", line);
            break;
        default:
            printf("the timeout:     nothing more has come\n");
            demo_expect(ended, "the world is not that slow");
            close(fds[0]);
            close(fds[1]);
            uvcsp_queue_free(q);
            return 0;
        }
        WRITE(tell, true);
    }
}
