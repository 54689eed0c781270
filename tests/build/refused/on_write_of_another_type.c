/* A guard cannot write a structure to an OUT(int, x). */
// error: incompatible types? 
#include <uvcsp.h>

struct point { int x, y; };

PROCESS(source, OUT(int, out))
{
    struct point p = {1, 2};
#ifdef WRONG
    ALT(ON_WRITE(out, p), ON_SKIP);
#else
    ALT(ON_WRITE(out, p.x), ON_SKIP);
#endif
}
