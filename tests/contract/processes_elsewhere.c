/* A process that is defined in another file than it is used in. */
#include <stdatomic.h>
#include <uvcsp.h>

PROCESS_DECLARE(in_another_file, VAL(atomic_int *, p), OUT(int, out));

PROCESS(in_another_file, VAL(atomic_int *, p), OUT(int, out))
{
    (void)p;
    WRITE(out, 100);
}
