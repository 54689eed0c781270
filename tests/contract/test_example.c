/* The first program of the README, as a test. */
#include <stdio.h>
#include <uvcsp.h>

#include "tests/fixture.h"

PROCESS(producer, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(printer, IN(int, in))
{
    for (;;)
        printf("%d\n", READ(in));
}

TEST(the_first_program_prints_its_ten_numbers_and_ends_with_0)
{
    house_capture(1);
    CHAN(int) c = CHANNEL(int);
    int failed = PAR(producer(c, 10), printer(c));
    char *printed = house_captured();
    ck_assert_int_eq(failed, 0);
    ck_assert_str_eq(printed, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    free(printed);
}

SUITE("example", .after = uvcsp_shutdown)
