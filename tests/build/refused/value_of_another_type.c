/* A VAL has a type, too. */
// error: incompatible type
#include <uvcsp.h>

struct point { int x, y; };

PROCESS(mark, VAL(struct point, p))
{
    (void)p;
}

int main(void)
{
#ifdef WRONG
    return PAR(mark(7));
#else
    return PAR(mark((struct point){7, 7}));
#endif
}
