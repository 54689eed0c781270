/* The other file: a process that consumer.c uses, and one that has the name of another there. */
#include "consumer.h"

PROCESS(source, IN(int, in), OUT(int, out))
{
    int x;
    while (uvcsp_read(in, &x) == UVCSP_OK)
        WRITE(out, x);
}

PROCESS(adder, IN(int, in), OUT(int, total), VAL(float, factor), VAL(char, tag))
{
    int x, sum = 0;
    CHAN(int) c = CHANNEL(int);
    IN_END(int) mine = IN_OF(c);
    GO(source(in, c));
    while (uvcsp_read(mine, &x) == UVCSP_OK)
        sum += (int)(x * factor);
    if (tag == 't')
        WRITE(total, sum);
}

PROCESS(quiet)
{
}
