/* A process cannot hand its reading end on as a writing end. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(source, OUT(int, out))
{
    WRITE(out, 1);
}

PROCESS(parent, IN(int, in), OUT(int, out))
{
    READ(in);
#ifdef WRONG
    CO(source(in));
#else
    CO(source(out));
#endif
}
