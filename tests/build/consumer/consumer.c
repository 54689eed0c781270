/* A stranger's program, which knows only what was installed. */
#include <stdio.h>
#include <stdlib.h>
#include "consumer.h"
#include <uvcsp/json.h>

PROCESS(source, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(teller, IN(int, total), OUT(json_t *, out))
{
    printf("sum %d, ", READ(total));
    json_t *value = json_pack("{s:i}", "n", 1);
    WRITE(out, value);
    json_decref(value);
}

PROCESS(printer, IN(json_t *, in))
{
    json_t *value = READ(in);
    json_dumpf(value, stdout, 0);
    putchar('\n');
    json_decref(value);
}

int main(void)
{
    CHAN(int) numbers = CHANNEL(int);
    CHAN(int) total = CHANNEL(int, .capacity = 1);
    CHAN(json_t *) values = CHANNEL(json_t *);
    if (!uvcsp_loop())
        return 2;
    return PAR(source(numbers, 10), adder(numbers, total, 1.0f, 't'), quiet(),
               WORKER(teller(total, values), printer(values)));
}
