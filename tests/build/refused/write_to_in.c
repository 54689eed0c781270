/* An IN cannot be written to. */
// error: WRITE needs a writing end
#include <uvcsp.h>

PROCESS(copy, IN(int, in), OUT(int, out))
{
    for (;;) {
        int x = READ(in);
#ifdef WRONG
        WRITE(in, x);
#endif
        WRITE(out, x);
    }
}
