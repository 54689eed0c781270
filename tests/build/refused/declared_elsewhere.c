/* A declared process checks its arguments as a defined one does. */
// error: incompatible type|parameter of incompatible type
#include <uvcsp.h>

PROCESS_DECLARE(far_away, IN(int, in), VAL(float, f));

int main(void)
{
#ifdef WRONG
    CHAN(char) c = CHANNEL(char);
#else
    CHAN(int) c = CHANNEL(int);
#endif
    return PAR(far_away(c, 1));
}
