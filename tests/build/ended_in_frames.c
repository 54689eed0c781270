/* A process that is ended in the middle, with arrays in its frames, and one that gets its stack. */
#include <stdio.h>
#include <string.h>
#include <uvcsp.h>

PROCESS(ended, IN(int, in))
{
    char a[64], b[64], c[64], d[64], e[64];
    memset(a, 1, sizeof a);
    memset(b, 1, sizeof b);
    memset(c, 1, sizeof c);
    memset(d, 1, sizeof d);
    memset(e, 1, sizeof e);
    (void)READ(in);
    printf("%d%d%d%d%d\n", a[1], b[1], c[1], d[1], e[1]);
}

PROCESS(next, VAL(int, n))
{
    for (int i = 0; i < n; i++) {
        uvcsp_sleep(0.0001);
        (void)uvcsp_now();
    }
}

int main(void)
{
    for (int i = 0; i < 10; i++) {
        CHAN(int) c = CHANNEL(int);
        OUT_END(int) out = OUT_OF(c);
        uvcsp_handle *handle = GO(ended(c));
        uvcsp_yield();
        RETIRE(out);
        uvcsp_join(handle, -1);
        uvcsp_handle_free(handle);
        uvcsp_channel_free(c);
        CO(next(2));
    }
    puts("well");
}
