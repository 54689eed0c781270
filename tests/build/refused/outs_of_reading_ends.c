/* An array of reading ends is no OUTS. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(spread, IN(int, in), OUTS(int, outs, n))
{
    for (size_t i = 0;; i = (i + 1) % n)
        WRITE(outs[i], READ(in));
}

PROCESS(parent, IN(int, in), INS(int, ins, n), OUTS(int, outs, m))
{
#ifdef WRONG
    CO(spread(in, ins, n));
#else
    CO(spread(in, outs, m));
#endif
    READ(ins[n - 1]);
}
