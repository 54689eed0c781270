/* The checked forms check the type as well. */
// error: the end carries another type
#include <uvcsp.h>

PROCESS(sink, IN(int, in))
{
#ifdef WRONG
    long x;
#else
    int x;
#endif
    while (uvcsp_read(in, &x) == UVCSP_OK)
        ;
}
