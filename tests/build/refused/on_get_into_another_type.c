/* A guard checks the type of a queue. */
// error: the queue carries another type
#include <uvcsp/ipc.h>

PROCESS(sink, VAL(QUEUE(int), q))
{
#ifdef WRONG
    long x;
#else
    int x;
#endif
    ALT(ON_GET(q, &x), ON_SKIP);
}
