/* crash: a worker is killed, and the rest of the network ends cleanly.

     source --a--> relay --b--> sink --enough--> main
                                     --report-->

   Each process is a worker of its own, started with SPAWN. When some numbers have passed, main
   kills the relay with SIGKILL: it has no chance to say anything. Its ends are poisoned all the
   same, by those who watch over it. The source, which has no thought of failure, ends in its
   WRITE; the sink uses the checked form of READ, and reports what it was told. Nobody waits for
   the dead. */
#include <uvcsp.h>

#include "common.h"

static const char help[] =
    "usage: crash [numbers]\n"
    "\n"
    "Kills a process in the middle of a network when `numbers` (1000) numbers have\n"
    "passed, and tells what the others see. The cause is on stderr.\n";

PROCESS(source, OUT(int, out))
{
    for (int i = 0;; i++)
        WRITE(out, i);
}

PROCESS(relay, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(sink, VAL(int, n), IN(int, in), OUT(bool, enough), OUT(int, report))
{
    int x, status;
    for (int i = 0; (status = uvcsp_read(in, &x)) == UVCSP_OK; i++) {
        demo_expect(x == i, "numbers come in order until the end");
        if (i + 1 == n)
            WRITE(enough, true);
    }
    const char *cause = uvcsp_cause(in);
    fprintf(stderr, "cause: %s\n", cause ? cause : "none");
    demo_expect(cause && strstr(cause, "relay"), "the cause names the process that died");
    WRITE(report, status);
}

static const char *how(uvcsp_handle *handle)
{
    int code = uvcsp_exit_code(handle);
    return code == 0 ? "ended by itself" : code == -9 ? "was killed" : "failed";
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 1000, 1, 1000000000);

    CHAN(int) a = CHANNEL(int), b = CHANNEL(int), report = CHANNEL(int);
    CHAN(bool) enough = CHANNEL(bool);
    IN_END(bool) sink_has_enough = IN_OF(enough);
    IN_END(int) sink_says = IN_OF(report);

    uvcsp_handle *to_die = SPAWN(relay(a, b));
    uvcsp_handle *before = SPAWN(source(a));
    uvcsp_handle *after = SPAWN(sink(n, b, enough, report));

    (void)READ(sink_has_enough);
    printf("%d numbers have passed, now the relay is killed\n", n);
    uvcsp_kill(to_die);

    printf("the sink was told %s\n", uvcsp_status_name(READ(sink_says)));
    uvcsp_join(to_die, -1);
    uvcsp_join(before, -1);
    uvcsp_join(after, -1);
    printf("the relay %s\nthe source %s\nthe sink %s\n", how(to_die), how(before), how(after));
    demo_expect(uvcsp_exit_code(to_die) == -9, "the relay was killed by signal 9");
    demo_expect(uvcsp_exit_code(before) == 0 && uvcsp_exit_code(after) == 0, "the others survive");
    return 0;
}
