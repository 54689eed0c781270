/* A channel is no queue. */
// error: this is no queue
#include <uvcsp/ipc.h>

PROCESS(sink, VAL(QUEUE(int), q), VAL(CHAN(int), c))
{
    (void)c;
#ifdef WRONG
    (void)QGET(c);
#else
    (void)QGET(q);
#endif
}
