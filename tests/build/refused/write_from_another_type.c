/* The checked forms check the type as well. */
// error: the end carries another type
#include <uvcsp.h>

PROCESS(source, OUT(int, out))
{
#ifdef WRONG
    short x = 1;
#else
    int x = 1;
#endif
    while (uvcsp_write_timeout(out, &x, 0.1) == UVCSP_OK)
        ;
}
