/* A channel is no end: who writes to it must hold one. */
// error: WRITE needs a writing end
#include <uvcsp.h>

int main(void)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
#ifdef WRONG
    WRITE(c, 1);
#else
    WRITE(OUT_OF(c), 1);
#endif
    return 0;
}
