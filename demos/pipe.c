/* pipe: a child sends a value over a pipe, its parent receives it.

   The child holds its side from before it runs until it ends. So the parent sees the end of the
   pipe without having to close anything. */
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] = "usage: pipe\n"
                           "\n"
                           "A child in a worker of its own sends [42, null, \"hello\"] over a "
                           "pipe; its parent prints it.\n";

PROCESS(child, VAL(uvcsp_conn *, conn))
{
    int rc = uvcsp_conn_send_new(conn, json_pack("[i, n, s]", 42, "hello"));
    demo_expect(rc == UVCSP_OK, "the pipe did not take the value");
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 0, help);

    uvcsp_conn *parents, *childs;
    demo_expect(uvcsp_pipe(&parents, &childs, true) == 0, "no pipe could be made");
    uvcsp_handle *started = SPAWN(child(childs));

    json_t *value;
    while (uvcsp_conn_recv(parents, &value) == UVCSP_OK) {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        printf("%s\n", text);
        free(text);
        json_decref(value);
    }

    uvcsp_join(started, -1);
    return 0;
}
