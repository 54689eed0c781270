/* A value that is dropped runs nothing; one that is handed on is no reason to warn. */
// warning: unused.result
#include <uvcsp.h>

PROCESS_DECLARE(far_away, IN(int, in), VAL(float, f));

PROCESS(reader, IN(int, in))
{
    (void)in;
}

PROCESS(idle)
{
}

static uvcsp_process either(int n)
{
    return n ? idle() : idle();
}

int main(void)
{
    CHAN(int) c = CHANNEL(int);
    uvcsp_process p = reader(c), ps[] = {idle(), reader(c)};
#ifdef WRONG
    reader(c);
#endif
    uvcsp_process_free(idle());
    uvcsp_handle *h = SPAWN(reader(c)), *g = GO(idle());
    PAR(reader(c), WORKER(reader(c), idle()), either(1), far_away(c, 1.0f));
    CO(p, reader(c));
    SEQ(idle());
    PAR_FOR(i, 2, reader(c));
    CO_FOR(i, 2, i ? idle() : reader(c));
    SEQ_FOR(i, 2, either(i));
    return uvcsp_par(ps, 2) + uvcsp_join(h, -1) + uvcsp_join(g, -1);
}
