/* UVCSP_LONG_NAMES leaves the short names to the program. */
// error: expected expression
#define UVCSP_LONG_NAMES
#include <uvcsp.h>

int main(void)
{
#ifdef WRONG
    CHAN(int) c = CHANNEL(int);
#else
    UVCSP_CHAN(int) c = UVCSP_CHANNEL(int);
#endif
    return c == NULL;
}
