/* A value that is dropped runs nothing, also where its process is only declared, or is defined below. */
// warning: unused.result
#include <uvcsp.h>

PROCESS_DECLARE(below, IN(int, in));

int main(void)
{
    CHAN(int) c = CHANNEL(int);
#ifdef WRONG
    below(c);
#endif
    return PAR(below(c));
}

PROCESS(below, IN(int, in))
{
    (void)in;
}
