/* An array of CHAN(long) is no INS(int, x, n). */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(merge, INS(int, ins, n), OUT(int, out))
{
    for (size_t i = 0; i < n; i++)
        WRITE(out, READ(ins[i]));
}

int main(void)
{
#ifdef WRONG
    CHAN(long) cs[2];
    CHANNELS(long, cs, 2);
#else
    CHAN(int) cs[2];
    CHANNELS(int, cs, 2);
#endif
    CHAN(int) c = CHANNEL(int);
    return PAR(merge(cs, 2, c));
}
