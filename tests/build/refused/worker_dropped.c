/* A worker that is dropped runs nothing. */
// warning: unused.result
#include <uvcsp.h>

PROCESS(idle)
{
}

int main(void)
{
#ifdef WRONG
    WORKER(idle());
#endif
    return PAR(WORKER(idle(), idle()));
}
