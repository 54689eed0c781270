/* INS takes an array, not one channel. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(merge, INS(int, ins, n))
{
    READ(ins[n - 1]);
}

int main(void)
{
    CHAN(int) c = CHANNEL(int);
#ifdef WRONG
    return PAR(merge(c, 1));
#else
    return PAR(merge(&c, 1));
#endif
}
