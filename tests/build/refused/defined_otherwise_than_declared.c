/* A process is what its declaration says. */
// error: conflicting types
#include <uvcsp.h>

PROCESS_DECLARE(declared, IN(int, x));

#ifdef WRONG
PROCESS(declared, IN(double, x))
#else
PROCESS(declared, IN(int, x))
#endif
{
    (void)x;
}

int main(void)
{
    return 0;
}
