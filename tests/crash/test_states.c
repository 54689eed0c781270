/* A worker dies, in each of several ways, in each state that it can be in. Those who are left see
   poison with its cause, soon; PAR counts one; nothing is left behind. */
#include "channels/lock.h"
#include "tests/crash/crash.h"
#include "tests/failpoint.h"

typedef struct {
    char bytes[1 << 20];
} mebibyte;

/* The victim has ends of all three channels, and its partners the others. What it waits for never
   comes. */
struct scene {
    CHAN(int) to;
    CHAN(int) from;
    CHAN(int) third;
    CHAN(mebibyte) big;
};

static struct {
    _Atomic int pid;
    _Atomic double died;
} *victim;

static enum way way_of_case;

static void die_now(void)
{
    victim->pid = getpid();
    victim->died = uvcsp_now();
    die(way_of_case);
}

static void make_scene(struct scene *scene, int i)
{
    if (!victim)
        victim = seen_by_all(sizeof *victim);
    way_of_case = (enum way)(i % WAYS);
    enum uvcsp_carrier carrier = i / WAYS ? UVCSP_SHARED : UVCSP_PIPE;
    failpoints_share();
    failpoint_die_by(die_now);
    scene->to = CHANNEL(int, .carrier = carrier);
    scene->from = CHANNEL(int, .carrier = carrier);
    scene->third = CHANNEL(int, .carrier = carrier);
    scene->big = CHANNEL(mebibyte, .carrier = carrier);
}

/* ---- those who are left ---- */

/* Who exits with 0 is not to blame, whatever it was about: its ends retire. */
static int its_end(void)
{
    return way_of_case == BY_EXIT_0_AT_ONCE ? UVCSP_RETIRED : UVCSP_POISONED;
}

static void must_tell_of_the_victim(void *end)
{
    const char *cause = uvcsp_cause(end);
    if (way_of_case == BY_EXIT_0_AT_ONCE) {
        MUST(!cause);
        return;
    }
    char pid[32];
    snprintf(pid, sizeof pid, "(pid %d)", victim->pid);
    MUST(cause);
    if (!strstr(cause, "worker of 'victim") || !strstr(cause, pid) ||
        !strstr(cause, way_says[way_of_case])) {
        fprintf(stderr, "cause: %s\n", cause);
        MUST(!"the cause names process, pid and signal or code");
    }
}

static void must_be_soon(void)
{
    MUST(uvcsp_now() - victim->died < 1);
}

PROCESS(reader_of_the_third, OUT(int, to), IN(int, from), IN(int, third))
{
    int x, status;
    while ((status = uvcsp_read(third, &x)) == UVCSP_OK)
        ;
    must_be_soon();
    MUST_BE(status, its_end());
    must_tell_of_the_victim(third);
    MUST_BE(uvcsp_write(to, &(int){1}), its_end());
    must_tell_of_the_victim(to);
    MUST_BE(uvcsp_read(from, &x), its_end());
    must_tell_of_the_victim(from);
}

PROCESS(chooser_of_the_third, OUT(int, to), IN(int, from), IN(int, third))
{
    int x;
    (void)to;
    (void)from;
    uvcsp_guard guards[] = {ON_TIMEOUT(10), ON_READ(third, &x)};
    int taken;
    while ((taken = uvcsp_alt(guards, 2, UVCSP_FAIR)) == 1)
        ;
    must_be_soon();
    MUST_BE(-taken, its_end());
    MUST(uvcsp_alt_failed() == 1);
    must_tell_of_the_victim(third);
}

static void play(const struct scene *scene, uvcsp_process dies)
{
    house_capture(2);
    int failed = PAR(dies, reader_of_the_third(scene->to, scene->from, scene->third),
                     chooser_of_the_third(scene->to, scene->from, scene->third));
    char *said = house_captured();
    bool blamed = its_end() == UVCSP_POISONED;
    if (failed != blamed)
        fputs(said, stderr);
    ck_assert_int_eq(failed, blamed);
    if (blamed) {
        ck_assert_contains(said, "uvcsp: worker of 'victim");
        ck_assert_contains(said, way_says[way_of_case]);
    } else {
        ck_assert_str_eq(said, "");
    }
    free(said);
}

static void clear(const struct scene *scene)
{
    uvcsp_channel_free(scene->to);
    uvcsp_channel_free(scene->from);
    uvcsp_channel_free(scene->third);
    uvcsp_channel_free(scene->big);
    ck_assert(all_is_given_back());
}

/* ---- states ---- */

/* Runs when its neighbours wait. */
PROCESS(killer)
{
    for (int i = 0; i < 3; i++)
        uvcsp_yield();
    die_now();
}

PROCESS(victim_idle, IN(int, to), OUT(int, from), OUT(int, third))
{
    (void)to, (void)from, (void)third;
    uvcsp_sleep(60);
}

PROCESS(victim_reads, IN(int, to), OUT(int, from), OUT(int, third))
{
    (void)from, (void)third;
    READ(to);
}

PROCESS(victim_writes, IN(int, to), OUT(int, from), OUT(int, third))
{
    (void)to, (void)third;
    WRITE(from, 1);
}

PROCESS(victim_chooses, IN(int, to), OUT(int, from), OUT(int, third))
{
    (void)third;
    int x;
    ALT(ON_READ(to, &x), ON_WRITE(from, 2), ON_TIMEOUT(60));
}

PROCESS(victim_computes, IN(int, to), OUT(int, from), OUT(int, third))
{
    (void)to, (void)from, (void)third;
    for (volatile int i = 0; i < 1000000; i++)
        ;
    die_now();
}

/* Dies at a mark of the library, in the middle of what `third` needs it for. */
PROCESS(victim_at_mark, IN(int, to), OUT(int, from), OUT(int, third), VAL(const char *, mark),
        VAL(int, nth))
{
    (void)to, (void)from;
    failpoint_arm(nth, mark);
    for (int i = 0;; i++)
        WRITE(third, i);
}

PROCESS(victim_chooses_at_mark, IN(int, to), OUT(int, from), OUT(int, third),
        VAL(const char *, mark))
{
    int x;
    for (int i = 0;; i++) { /* until the choice has to wait */
        WRITE(third, i);
        failpoint_arm(1, mark);
        ALT(ON_READ(to, &x), ON_WRITE(from, i), ON_WRITE(third, i));
    }
}

PROCESS(victim_allocates, IN(int, to), OUT(int, from), OUT(int, third), VAL(const char *, mark))
{
    (void)to, (void)from, (void)third;
    failpoint_arm(1, mark);
    for (;;)
        MUST(CHANNEL(int, .capacity = 1000));
}

#define EACH_WAY .times = 2 * WAYS

#define STATE(name, ...)                                                                           \
    TEST(name, EACH_WAY)                                                                           \
    {                                                                                              \
        struct scene scene;                                                                        \
        if (house_light())                                                                         \
            return;                                                                                \
        make_scene(&scene, _i);                                                                    \
        play(&scene, __VA_ARGS__);                                                                 \
        clear(&scene);                                                                             \
    }

#define ITS_ENDS scene.to, scene.from, scene.third

STATE(idle, WORKER(victim_idle(ITS_ENDS), killer()))
STATE(parked_in_read, WORKER(victim_reads(ITS_ENDS), killer()))
STATE(parked_in_write, WORKER(victim_writes(ITS_ENDS), killer()))
STATE(parked_in_a_choice, WORKER(victim_chooses(ITS_ENDS), killer()))
STATE(several_parked, WORKER(victim_reads(ITS_ENDS), victim_writes(ITS_ENDS),
                             victim_chooses(ITS_ENDS), victim_idle(ITS_ENDS), killer()))
STATE(computing, victim_computes(ITS_ENDS))
STATE(holding_the_lock_of_a_channel, victim_at_mark(ITS_ENDS, "channel-locked", 3))
STATE(with_a_queue_half_linked, victim_at_mark(ITS_ENDS, "half-enqueued", 1))
STATE(with_a_partner_claimed, WORKER(victim_at_mark(ITS_ENDS, "claimed", 2), victim_idle(ITS_ENDS)))
STATE(holding_the_locks_of_a_choice, victim_chooses_at_mark(ITS_ENDS, "all-locked"))
STATE(holding_the_lock_of_the_arena, victim_allocates(ITS_ENDS, "arena-locked"))

/* ---- with a message under way ---- */

static void fill(mebibyte *big, int c)
{
    memset(big->bytes, c, sizeof big->bytes);
}

PROCESS(victim_streams_out, OUT(mebibyte, out))
{
    mebibyte *big = malloc(sizeof *big);
    for (int i = 0;; i++) {
        fill(big, i);
        uvcsp_give(out, big, UVCSP_HERE);
    }
}

PROCESS(victim_takes_in, IN(mebibyte, in))
{
    mebibyte *big = malloc(sizeof *big);
    for (;;)
        uvcsp_take(in, big, UVCSP_HERE);
}

/* Keeps its worker from looking after a stream, until the other side is dead. */
PROCESS(hog)
{
    while (victim->pid == 0)
        ;
}

PROCESS(reads_whole_messages, IN(mebibyte, in))
{
    mebibyte *big = malloc(sizeof *big);
    int status;
    for (int i = 0; (status = uvcsp_read(in, big)) == UVCSP_OK; i++)
        for (size_t k = 0; k < sizeof big->bytes; k++)
            MUST(big->bytes[k] == (char)i);
    must_be_soon();
    MUST_BE(status, its_end());
    must_tell_of_the_victim(in);
    free(big);
}

PROCESS(writes_whole_messages, OUT(mebibyte, out))
{
    mebibyte *big = calloc(1, sizeof *big);
    int status;
    while ((status = uvcsp_write(out, big)) == UVCSP_OK)
        ;
    must_be_soon();
    MUST_BE(status, its_end());
    must_tell_of_the_victim(out);
    free(big);
}

static void play_big(const struct scene *scene, uvcsp_process dies, uvcsp_process survives)
{
    house_capture(2);
    int failed = PAR(survives, dies);
    char *said = house_captured();
    if (failed != 1)
        fputs(said, stderr);
    ck_assert_int_eq(failed, its_end() == UVCSP_POISONED);
    free(said);
    clear(scene);
}

#define STREAM(name, dies, survives)                                                               \
    TEST(name, EACH_WAY)                                                                           \
    {                                                                                              \
        struct scene scene;                                                                        \
        if (house_light())                                                                         \
            return;                                                                                \
        make_scene(&scene, _i);                                                                    \
        play_big(&scene, dies, survives);                                                          \
    }

STREAM(streaming_out_to_one_who_does_not_look, WORKER(victim_streams_out(scene.big), killer()),
       WORKER(reads_whole_messages(scene.big), hog()))
STREAM(streaming_out, WORKER(victim_streams_out(scene.big), killer()),
       reads_whole_messages(scene.big))
STREAM(taking_a_stream_in_from_one_who_does_not_look, WORKER(victim_takes_in(scene.big), killer()),
       WORKER(writes_whole_messages(scene.big), hog()))
STREAM(taking_a_stream_in, WORKER(victim_takes_in(scene.big), killer()),
       writes_whole_messages(scene.big))

/* ---- in the middle of a refill ---- */

PROCESS(victim_refills, IN(int, in), VAL(const char *, mark))
{
    failpoint_arm(2, mark);
    for (;;)
        READ(in);
}

/* Its messages are got at most once, and those of which it is told that they were not sent,
   never. */
PROCESS(writes_into_the_buffer, OUT(int, out), VAL(int, base), VAL(_Atomic int *, n_sent))
{
    int status, n = 0;
    for (; (status = uvcsp_write(out, &(int){base + n})) == UVCSP_OK; n++)
        ;
    must_be_soon();
    MUST_BE(status, its_end());
    must_tell_of_the_victim(out);
    *n_sent = n;
}

static void die_in_a_refill(int i, const char *mark)
{
    if (house_light())
        return;
    struct scene scene;
    make_scene(&scene, i);
    CHAN(int) c = CHANNEL(int, .capacity = 2, .carrier = i / WAYS ? UVCSP_SHARED : UVCSP_PIPE);
    _Atomic int *n_sent = seen_by_all(2 * sizeof *n_sent);
    house_capture(2);
    int failed = PAR(victim_refills(c, mark), writes_into_the_buffer(c, 0, &n_sent[0]),
                     writes_into_the_buffer(c, 1000, &n_sent[1]));
    free(house_captured());
    ck_assert_int_eq(failed, its_end() == UVCSP_POISONED);
    ck_assert_str_eq(failpoint_died_at(), mark);
    uvcsp_channel_free(c);
    clear(&scene);
}

TEST(in_a_refill_before_the_message_is_in, EACH_WAY)
{
    die_in_a_refill(_i, "refill-noted");
}

TEST(in_a_refill_when_the_message_is_in, EACH_WAY)
{
    die_in_a_refill(_i, "refilled");
}

/* ---- a worker that is held up ---- */

static struct {
    _Atomic int held, adopted;
} *meeting;

static void wait_until_it_is_adopted(void)
{
    failpoint_call(NULL, NULL);
    meeting->held = 1;
    while (!meeting->adopted)
        sched_yield();
}

PROCESS(adopts_an_end, IN(uvcsp_end, from))
{
    while (!meeting->held)
        sched_yield();
    OUT_END(int) out = AS_OUT(int, READ(from));
    meeting->adopted = 1;
    RETIRE(out);
}

/* It has found that there are no lanes, and takes the lock when there are. */
PROCESS(writes_while_another_adopts, OUT(uvcsp_end, to))
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    struct usp_channel *channel = (struct usp_channel *)c;
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    WRITE(to, MOBILE(OUT_OF(c)));
    usp_lock(channel);
    usp_unbias(channel);
    usp_unlock(channel);
    failpoint_call("has-no-lanes", wait_until_it_is_adopted);
    WRITE(out, 7);
    MUST(meeting->adopted && channel->laned);
    int x = 0;
    MUST_BE(uvcsp_read_try(in, &x), UVCSP_OK);
    MUST_BE(x, 7);
    RETIRE(in);
    RETIRE(out);
    uvcsp_channel_free(c);
}

TEST(a_message_written_while_a_buffer_gets_lanes_is_in_it)
{
    if (house_light())
        return;
    meeting = seen_by_all(sizeof *meeting);
    failpoints_share();
    CHAN(uvcsp_end) to = CHANNEL(uvcsp_end, .capacity = 1);
    ck_assert_int_eq(PAR(writes_while_another_adopts(to), adopts_an_end(to)), 0);
    uvcsp_channel_free(to);
}

SUITE("states", .before = default_signals, .after = uvcsp_shutdown)
