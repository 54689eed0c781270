/* The checked forms check the direction as well. */
// error: this end has the wrong direction
#include <uvcsp.h>

PROCESS(poll_both, IN(int, in), OUT(int, out))
{
    int x = 0;
#ifdef WRONG
    while (uvcsp_read_try(out, &x) == UVCSP_OK)
#else
    while (uvcsp_read_try(in, &x) == UVCSP_OK)
#endif
        uvcsp_write_try(out, &x);
}
