/* A process gets no more arguments than it has. */
// error: too many arguments
#include <uvcsp.h>

PROCESS(idle)
{
}

int main(void)
{
#ifdef WRONG
    return PAR(idle(1));
#else
    return PAR(idle());
#endif
}
