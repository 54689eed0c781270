/* CHANNELS fills an array of its own type. */
// error: CHANNELS needs an array of CHAN
#include <uvcsp.h>

int main(void)
{
#ifdef WRONG
    CHAN(unsigned) cs[2];
#else
    CHAN(int) cs[2];
#endif
    return CHANNELS(int, cs, 2) || cs[0] == cs[1];
}
