/* A producer dies at any step of putting items in, while a consumer waits for them: what has been counted
   and does not arrive is struck out again, so uvcsp_queue_join() returns when all is done that was got. */
#include <uvcsp/ipc.h>

#include "tests/contract/contract.h"
#include "tests/failpoint.h"

enum { ITEMS = 4, STOP = 64 };

/* An item is known by its length: short ones lie in the offer of who waits, the shortest in the buffer as well, long ones in a
   block of the arena. */
typedef QUEUE(uvcsp_bytes) items;

static void put(items *q, size_t length)
{
    static char text[256];
    MUST_BE(uvcsp_qput(*q, (&(uvcsp_bytes){text, length}), -1), UVCSP_OK);
}

static size_t get(items *q, bool by_choice)
{
    uvcsp_bytes bytes;
    if (by_choice)
        MUST(ALT(ON_GET(*q, &bytes), ON_TIMEOUT(30)) == 0);
    else
        MUST_BE(uvcsp_qget(*q, &bytes, 30), UVCSP_OK);
    free(bytes.data);
    return bytes.size;
}

PROCESS(victim, VAL(items *, q), VAL(long, nth), VAL(size_t, length))
{
    failpoint_arm(nth, NULL);
    for (int i = 0; i < ITEMS; i++) {
        put(q, length);
        uvcsp_sleep(0.0002); /* so that the consumer waits for the next one */
    }
    failpoint_arm(0, NULL);
}

PROCESS(consumer, VAL(items *, q), VAL(atomic_int *, got))
{
    for (int i = 0; get(q, i % 2) != STOP; i++) {
        (*got)++;
        MUST_BE(uvcsp_queue_task_done(*q), 0);
    }
    MUST_BE(uvcsp_queue_task_done(*q), 0);
}

/* False: it came to its end without having met so many steps. */
static bool die_at(long nth, size_t length)
{
    items *q = SHARED_RAW_VALUE(items);
    atomic_int *got = SHARED_RAW_VALUE(atomic_int);
    *q = QUEUE_NEW(uvcsp_bytes, 2);
    failpoint_forget();
    uvcsp_handle *one = SPAWN(consumer(q, got)), *other = SPAWN(victim(q, nth, length));
    ck_assert_int_eq(uvcsp_join(other, 60), 0);
    bool died = failpoint_died_at() != NULL;
    const char *at = died ? failpoint_died_at() : "nowhere";
    ck_assert_int_eq(uvcsp_exit_code(other), died ? -SIGKILL : 0);
    put(q, STOP);
    ck_assert_int_eq(uvcsp_join(one, 60), 0);
    ck_assert_int_eq(uvcsp_exit_code(one), 0);
    ck_assert(*got == ITEMS || died);
    ck_assert_msg(uvcsp_queue_join(*q, 5) == UVCSP_OK, "dead at %s, an item that nobody got is waited for", at);
    ck_assert_msg(uvcsp_queue_task_done(*q) == -ERANGE, "dead at %s, an item is counted that nobody got", at);
    uvcsp_queue_free(*q);
    return died;
}

static const struct {
    size_t length;
    long steps; /* that it has at least */
} cases[] = {{8, 20}, {24, 30}, {100, 30}};

TEST(whatever_step_a_producer_dies_at_a_join_ends, .times = sizeof cases / sizeof *cases, .seconds = 170)
{
    if (house_light())
        return;
    failpoints_share();
    house_capture(2);
    long nth = 1;
    while (die_at(nth, cases[_i].length))
        nth++;
    ck_assert_int_gt(nth, cases[_i].steps);
}

static int before(void)
{
    setenv("UVCSP_DEADLOCK", "off", 1);
    return default_signals();
}

SUITE("queue_steps", .before = before, .after = uvcsp_shutdown, .seconds = 30)
