/* A writing guard needs a writing end. */
// error: ON_WRITE needs a writing end
#include <uvcsp.h>

PROCESS(either, IN(int, in), OUT(int, out))
{
    int x;
#ifdef WRONG
    ALT(ON_WRITE(in, 1), ON_READ(in, &x));
#else
    ALT(ON_WRITE(out, 1), ON_READ(in, &x));
#endif
}
