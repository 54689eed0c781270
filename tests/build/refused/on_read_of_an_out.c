/* A reading guard needs a reading end. */
// error: ON_READ needs a reading end
#include <uvcsp.h>

PROCESS(either, IN(int, in), OUT(int, out))
{
    int x = 0;
#ifdef WRONG
    ALT(ON_READ(out, &x), ON_READ(in, &x));
#else
    ALT(ON_WRITE(out, x), ON_READ(in, &x));
#endif
}
