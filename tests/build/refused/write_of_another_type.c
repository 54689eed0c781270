/* WRITE takes a value of the type of the end. */
// error: invalid initializer|incompatible type
#include <uvcsp.h>

struct point { int x, y; };

PROCESS(source, OUT(struct point, out))
{
#ifdef WRONG
    WRITE(out, 1);
#else
    WRITE(out, (struct point){1, 2});
#endif
}
