/* More workers than are kept without memory of their own, of which some end while others are started. */
#include <stdio.h>
#include <stdlib.h>
#include <uvcsp.h>

PROCESS(code, VAL(int, n))
{
    exit(n);
}

int main(void)
{
    printf("%d failed\n", PAR_FOR(i, 12, code(i % 2)));
}
