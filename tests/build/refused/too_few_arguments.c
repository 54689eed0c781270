/* A process gets all of its arguments. */
// error: too few arguments
#include <uvcsp.h>

PROCESS(source, OUT(int, out), VAL(int, n))
{
    WRITE(out, n);
}

int main(void)
{
    CHAN(int) c = CHANNEL(int);
#ifdef WRONG
    return PAR(source(c));
#else
    return PAR(source(c, 1));
#endif
}
