/* SPAWN takes a process value, not the process. */
// error: incompatible type
#include <uvcsp.h>

PROCESS(idle)
{
}

int main(void)
{
#ifdef WRONG
    return uvcsp_join(SPAWN(idle), -1);
#else
    return uvcsp_join(SPAWN(idle()), -1);
#endif
}
