/* What the two files of the stranger's program know of each other. */
#include <uvcsp.h>

PROCESS_DECLARE(adder, IN(int, in), OUT(int, total), VAL(float, factor), VAL(char, tag));
PROCESS_DECLARE(quiet);
