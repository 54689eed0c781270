/* An OUT cannot be read. */
// error: READ needs a reading end
#include <uvcsp.h>

PROCESS(copy, IN(int, in), OUT(int, out))
{
#ifdef WRONG
    WRITE(out, READ(out));
#else
    WRITE(out, READ(in));
#endif
}
