/* A QUEUE(int) takes no structure. */
// error: incompatible types|initializing
#include <uvcsp/ipc.h>

struct point { int x, y; };

PROCESS(source, VAL(QUEUE(int), q))
{
    struct point p = {1, 2};
#ifdef WRONG
    QPUT(q, p);
#else
    QPUT(q, p.x);
#endif
}
