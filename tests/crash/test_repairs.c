/* Who repairs what a dead worker has left half done dies of it himself, or is held up in it. The root, and whoever else might
   repair it too, has no time meanwhile. */
#include <sched.h>

#include "channels/lock.h"
#include "runtime/worker.h"
#include "tests/crash/crash.h"
#include "tests/failpoint.h"

static struct {
    struct usp_channel *channel;
    _Atomic int waits, begins, repairs, over;
} *seen;

static void begin(void)
{
    failpoints_share();
    failpoint_forget();
    seen = seen_by_all(sizeof *seen);
}

/* Neither runs a process nor looks for deaths until then. */
static void spin_until(const _Atomic int *flag)
{
    while (!*flag)
        sched_yield();
}

static void spin_until_one_has_died_at(const char *mark)
{
    while (!failpoint_died_at() || strcmp(failpoint_died_at(), mark) != 0)
        sched_yield();
}

/* Dies when it has the lock, or repairs what another has left of it: at that mark. */
PROCESS(locks, VAL(const _Atomic int *, when), VAL(const char *, mark))
{
    spin_until(when);
    failpoint_arm(1, mark);
    usp_lock(seen->channel);
    usp_unlock(seen->channel);
}

static void end(uvcsp_handle **handles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uvcsp_join(handles[i], -1);
        uvcsp_handle_free(handles[i]);
    }
}

/* ---- a message that goes past a buffer ---- */

PROCESS(takes_one, IN(int, in))
{
    int x;
    (void)uvcsp_read(in, &x);
}

/* Runs when its neighbour waits. */
PROCESS(has_no_time)
{
    seen->waits = 1;
    spin_until(&seen->over);
}

PROCESS(takes_one_beside_it, IN(int, in))
{
    CO(takes_one(in), has_no_time());
}

PROCESS(gives_one, OUT(int, out), VAL(const char *, mark))
{
    spin_until(&seen->begins);
    failpoint_arm(1, mark);
    (void)uvcsp_write(out, &(int){1});
}

TEST(a_message_that_was_half_counted_is_not_when_who_repairs_that_has_died_too, .times = 4)
{
    static const char *const marks[] = {"passing-noted", "claimed", "passing-counted", "passing-marked"};
    if (house_light())
        return;
    begin();
    CHAN(int) c = CHANNEL(int, .capacity = 1, .carrier = UVCSP_SHARED);
    seen->channel = (struct usp_channel *)c;
    seen->channel->lenient = USP_LENIENT;
    uvcsp_handle *handles[] = {SPAWN(takes_one_beside_it(c)), SPAWN(gives_one(c, marks[_i])),
                               SPAWN(locks(&seen->repairs, "repair-begun"))};
    house_capture(2);
    spin_until(&seen->waits);
    seen->begins = 1;
    spin_until_one_has_died_at(marks[_i]);
    seen->repairs = 1;
    spin_until_one_has_died_at("repair-begun");
    seen->over = 1;
    end(handles, 3);
    free(house_captured());
    ck_assert_uint_eq(seen->channel->passed, 0);
    seen->channel->lenient = 0; /* such a channel is given up otherwise */
    uvcsp_channel_free(c);
    ck_assert(all_is_given_back());
}

SUITE("repairs", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
