/* A writing end cannot be handed to an IN. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS(sink, IN(int, in))
{
    READ(in);
}

int main(void)
{
    CHAN(int) c = CHANNEL(int);
#ifdef WRONG
    return PAR(sink(OUT_OF(c)));
#else
    return PAR(sink(IN_OF(c)));
#endif
}
