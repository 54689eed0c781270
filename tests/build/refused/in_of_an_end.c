/* A reading end is made of a channel, not of an end. */
// error: IN_OF needs a channel
#include <uvcsp.h>

int main(void)
{
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) out = OUT_OF(c);
#ifdef WRONG
    return IN_OF(out) == NULL;
#else
    return IN_OF(c) == NULL || out == NULL;
#endif
}
