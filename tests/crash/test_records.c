/* The record of a dead worker is used again as soon as every survivor has seen that death; and one of them may just be
   looking through its tasks once more, because of another. */
#include <sched.h>

#include "runtime/worker.h"
#include "tests/crash/crash.h"
#include "tests/failpoint.h"

typedef struct {
    int number;
    char bytes[996]; /* too long for the reader's offer: it goes by a block of the arena */
} page;

enum who { FIRST, HELD_UP, READER, SECOND, THIRD, HEIR, EVERYBODY };

static struct {
    _Atomic int up[EVERYBODY], goes_on[EVERYBODY], holds[EVERYBODY];
    unsigned index[EVERYBODY];
    _Atomic int all_over, got[2];
} *seen;

static void here(enum who who)
{
    seen->index[who] = usp_worker_index();
    seen->up[who] = 1;
}

static void hold(enum who who)
{
    seen->holds[who] = 1;
    while (!seen->goes_on[who])
        sched_yield();
}

PROCESS(idles, VAL(enum who, who))
{
    here(who);
    while (!seen->all_over)
        uvcsp_sleep(0.001);
}

/* And has an end of that side, so that the channel does not retire before the heir has one. */
PROCESS(is_held_up, OUT(page, out))
{
    (void)out;
    here(HELD_UP);
    hold(HELD_UP);
    while (!seen->all_over)
        uvcsp_sleep(0.001);
}

static void looks(void)
{
    static int n;
    if (++n == 2)
        hold(READER);
}

PROCESS(reads, IN(page, in))
{
    page p;
    failpoint_call("lost-are-known", looks);
    here(READER);
    for (int i = 0; i < 2; i++)
        seen->got[i] = uvcsp_read(in, &p) == UVCSP_OK ? p.number : -1;
    while (!seen->all_over)
        uvcsp_sleep(0.001);
}

static void leaves(void)
{
    failpoint_call(NULL, NULL);
    hold(HEIR);
}

PROCESS(inherits_the_record, OUT(page, out), VAL(const char *, mark))
{
    here(HEIR);
    failpoint_call(mark, leaves);
    for (int i = 0; i < 2; i++) {
        page p = {.number = 77 + i};
        WRITE(out, p);
    }
}

static void until(const _Atomic int *flag)
{
    while (!*flag)
        uvcsp_sleep(0.001);
}

static uint32_t deaths_seen_by(enum who who)
{
    return atomic_load(&usp_worker_of(seen->index[who])->deaths_seen);
}

static void until_it_has_seen(enum who who, uint32_t deaths)
{
    while (deaths_seen_by(who) != deaths)
        uvcsp_sleep(0.001);
}

TEST(a_record_that_is_used_again_while_a_survivor_looks_is_not_taken_for_the_dead_ones, .times = 2)
{
    static const char *const marks[] = {"stash-left", "message-left"};
    if (house_light())
        return;
    failpoints_share();
    seen = seen_by_all(sizeof *seen);
    CHAN(page) c = CHANNEL(page, .carrier = UVCSP_SHARED);
    uvcsp_handle *handles[EVERYBODY] = {
        SPAWN(idles(FIRST)), SPAWN(is_held_up(c)), SPAWN(reads(c)), SPAWN(idles(SECOND)), SPAWN(idles(THIRD)),
    };
    for (enum who who = FIRST; who <= THIRD; who++)
        until(&seen->up[who]);
    uint32_t deaths = deaths_seen_by(READER);

    uvcsp_kill(handles[FIRST]); /* which the reader sees, and the one that is held up does not */
    until_it_has_seen(READER, deaths + 1);
    uvcsp_kill(handles[SECOND]); /* so it looks again, and finds the first still among the dead */
    until(&seen->holds[READER]);
    seen->goes_on[HELD_UP] = 1;
    until_it_has_seen(HELD_UP, deaths + 2);
    uvcsp_kill(handles[THIRD]); /* this worker looks which records are free */
    unsigned index = seen->index[FIRST];
    while (atomic_load(&usp_worker_of(index)->state) != USP_WORKER_FREE)
        uvcsp_sleep(0.001);
    handles[HEIR] = SPAWN(inherits_the_record(c, marks[_i]));
    until(&seen->holds[HEIR]); /* it has claimed the reader, and not woken it yet */
    ck_assert_uint_eq(seen->index[HEIR], index);
    seen->goes_on[READER] = 1;
    until_it_has_seen(READER, deaths + 3);
    seen->goes_on[HEIR] = 1;
    uvcsp_join(handles[HEIR], -1);
    seen->all_over = 1;
    for (enum who who = FIRST; who < EVERYBODY; who++) {
        uvcsp_join(handles[who], -1);
        uvcsp_handle_free(handles[who]);
    }
    ck_assert_int_eq(seen->got[0], 77);
    ck_assert_int_eq(seen->got[1], 78);
    uvcsp_channel_free(c);
    ck_assert(all_is_given_back());
}

SUITE("records", .before = default_signals, .after = uvcsp_shutdown, .seconds = 30)
