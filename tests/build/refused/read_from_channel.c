/* A channel is no end: who reads it must hold one. */
// error: READ needs a reading end
#include <uvcsp.h>

int main(void)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
#ifdef WRONG
    return READ(c);
#else
    return READ(IN_OF(c));
#endif
}
