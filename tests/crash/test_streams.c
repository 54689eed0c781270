/* A message behind a stream that does not go on, since the worker that is to read both is held up. */
#include <sched.h>

#include "tests/crash/crash.h"

typedef struct {
    char bytes[1 << 20]; /* more than a socket takes at once */
} mebibyte;

typedef struct {
    char bytes[6000]; /* too long for a waiting reader's offer, and no stream by itself */
} sheet;

static struct {
    _Atomic int reads, held, dies, told, arrived;
} *seen;

PROCESS(takes_a_big_one, IN(mebibyte, in))
{
    mebibyte *big = malloc(sizeof *big);
    (void)uvcsp_read(in, big);
    free(big);
}

PROCESS(takes_sheets, IN(sheet, in))
{
    static sheet one;
    MUST_BE(uvcsp_read(in, &one), UVCSP_OK); /* now there is a link */
    seen->reads = 1;
    seen->arrived = uvcsp_read(in, &one) == UVCSP_OK;
}

/* Runs when its neighbours wait, and keeps its worker from reading. */
PROCESS(holds_up)
{
    while (!seen->reads)
        uvcsp_yield();
    uvcsp_yield();
    seen->held = 1;
    while (!seen->dies)
        sched_yield();
}

PROCESS(gives_a_big_one, OUT(mebibyte, out))
{
    mebibyte *big = calloc(1, sizeof *big);
    while (!seen->held)
        uvcsp_yield();
    uvcsp_give(out, big, UVCSP_HERE);
}

PROCESS(gives_sheets, OUT(sheet, out))
{
    static sheet one;
    uvcsp_give(out, &one, UVCSP_HERE);
    while (!seen->held)
        uvcsp_yield();
    uvcsp_yield();
    uvcsp_yield();
    uvcsp_give(out, &one, UVCSP_HERE);
    seen->told = 1;
}

PROCESS(kills_the_givers, VAL(enum way, way))
{
    while (!seen->held)
        uvcsp_yield();
    for (int i = 0; i < 9; i++)
        uvcsp_yield();
    seen->dies = 1;
    die(way);
}

TEST(who_is_told_that_its_message_has_gone_and_dies_has_not_kept_it_behind_a_stream, .times = 2 * WAYS)
{
    if (house_light())
        return;
    enum way way = (enum way)(_i % WAYS);
    enum uvcsp_carrier carrier = _i / WAYS ? UVCSP_SHARED : UVCSP_PIPE;
    seen = seen_by_all(sizeof *seen);
    CHAN(mebibyte) big = CHANNEL(mebibyte, .carrier = carrier);
    CHAN(sheet) sheets = CHANNEL(sheet, .carrier = carrier);
    house_capture(2);
    int failed = PAR(WORKER(takes_a_big_one(big), takes_sheets(sheets), holds_up()),
                     WORKER(gives_a_big_one(big), gives_sheets(sheets), kills_the_givers(way)));
    char *said = house_captured();
    if (failed > 1)
        fputs(said, stderr);
    free(said);
    ck_assert_int_eq(failed, way != BY_EXIT_0_AT_ONCE);
    ck_assert(!seen->told || seen->arrived);
    uvcsp_channel_free(big);
    uvcsp_channel_free(sheets);
    ck_assert(all_is_given_back());
}

SUITE("streams", .before = default_signals, .after = uvcsp_shutdown)
