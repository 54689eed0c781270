/* A process is what its declaration says. */
// error: conflicting types
#include <uvcsp.h>

PROCESS_DECLARE(declared, IN(int, x), VAL(int, n));

#ifdef WRONG
PROCESS(declared, OUT(int, x), VAL(int, n))
#else
PROCESS(declared, IN(int, x), VAL(int, n))
#endif
{
    (void)x;
#ifndef WRONG
    (void)n;
#endif
}

int main(void)
{
    return 0;
}
