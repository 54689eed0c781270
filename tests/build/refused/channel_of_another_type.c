/* A CHAN(double) is no IN(int, x). */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(sink, IN(int, in))
{
    for (;;)
        READ(in);
}

int main(void)
{
#ifdef WRONG
    CHAN(double) c = CHANNEL(double);
#else
    CHAN(int) c = CHANNEL(int);
#endif
    return PAR(sink(c));
}
