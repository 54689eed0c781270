/* What comes out of a QUEUE(int) has no place in a double. */
// error: the queue carries another type
#include <uvcsp/ipc.h>

PROCESS(sink, VAL(QUEUE(int), q))
{
#ifdef WRONG
    double x;
#else
    int x;
#endif
    (void)uvcsp_qget(q, &x, 0);
}
