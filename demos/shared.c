/* shared: a value and an array in shared memory, changed by another process.

   Both are plain pointers, which mean the same in every worker. LOCKED takes the lock that comes
   with the block, so that nobody sees it half changed. */
#include <uvcsp/ipc.h>

#include "common.h"

static const char help[] =
    "usage: shared [n]\n"
    "\n"
    "A process sets a shared value to 3.1415927 and negates a shared array of the\n"
    "numbers from 0 to n - 1 (n is 10); then its parent prints both.\n";

PROCESS(change, VAL(double *, num), VAL(int *, array))
{
    LOCKED (num) {
        *num = 3.1415927;
    }
    LOCKED (array) {
        for (size_t i = 0; i < COUNT_OF_SHARED(array); i++)
            array[i] = -array[i];
    }
}

int main(int argc, char **argv)
{
    demo_args(argc, argv, 1, help);
    int n = demo_size(argc, argv, 1, 10, 0, 1000000);

    double *num = SHARED_VALUE(double, 0.0);
    int *array = SHARED_ARRAY(int, n);
    demo_expect(num && array, "there is no shared memory");
    for (int i = 0; i < n; i++)
        array[i] = i;

    int failed = PAR(change(num, array));

    printf("%.8g\n[", *num);
    for (int i = 0; i < n; i++)
        printf(i ? ", %d" : "%d", array[i]);
    printf("]\n");
    return failed;
}
