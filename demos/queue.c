/* queue: a child puts a value into a queue, its parent takes it out.

   The queue belongs to nobody: it lies in memory that all workers share, and both processes have
   its pointer. The child may end as soon as put has returned; the value is in the queue. */
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] = "usage: queue\n"
                           "\n"
                           "A child in a worker of its own puts [42, null, \"hello\"] into a "
                           "queue; its parent prints it.\n";

PROCESS(child, VAL(uvcsp_queue *, q))
{
    int rc = uvcsp_queue_put_new(q, json_pack("[i, n, s]", 42, "hello"), -1);
    demo_expect(rc == UVCSP_OK, "the queue did not take the value");
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 0, help);

    uvcsp_queue *q = uvcsp_queue_new(0);
    uvcsp_handle *started = SPAWN(child(q));

    json_t *value;
    int rc = uvcsp_queue_get(q, &value, -1);
    demo_expect(rc == UVCSP_OK, "nothing came out of the queue");
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    printf("%s\n", text);
    free(text);
    json_decref(value);

    uvcsp_join(started, -1);
    uvcsp_queue_free(q);
    return 0;
}
