/* A guard cannot read an int into a double. */
// error: the end carries another type
#include <uvcsp.h>

PROCESS(either, IN(int, left), IN(int, right))
{
#ifdef WRONG
    double x;
#else
    int x;
#endif
    ALT(ON_READ(left, &x), ON_READ(right, &x));
}
