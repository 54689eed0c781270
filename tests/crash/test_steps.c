/* A worker dies at each marked step of the library in turn: for n = 1, 2, ... it is killed at the
   n-th mark that it passes, until it gets through its work alive. Each time the survivors have to
   end within a second, PAR counts the dead, nothing is left behind, and the ledger balances: what
   was refused reached nobody, what was sent reached somebody at most once. */
#include <sched.h>
#include <sys/prctl.h>

#include "tests/crash/victims.h"

/* ---- networks, each with a victim ---- */

#define NEW(T, ...) CHANNEL(T, .carrier = carrier, ##__VA_ARGS__)

static void *made[3];
static size_t n_made;

/* Given up when the network has ended. */
static void *keep(void *channel)
{
    made[n_made++] = channel;
    return channel;
}

#define INTS(...) (CHAN(int)) keep(NEW(int, ##__VA_ARGS__))
#define LARGES(...) (CHAN(large)) keep(NEW(large, ##__VA_ARGS__))
#define BYTES(...) (CHAN(uvcsp_bytes)) keep(NEW(uvcsp_bytes, ##__VA_ARGS__))
#define ENDS(...) (CHAN(uvcsp_end)) keep(NEW(uvcsp_end, ##__VA_ARGS__))

static int a_writer(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(writer(c, 0, 6, DIES), reader(c, 99, SURVIVES));
}

static int a_reader(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(reader(c, 6, DIES), writer(c, 0, 30, SURVIVES));
}

static int a_choice_among_choices(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(), d = INTS();
    return PAR(chooser(c, d, 0, 6, DIES), chooser(d, c, 1, 12, SURVIVES),
               chooser(c, d, 2, 12, SURVIVES), chooser(d, c, 3, 12, SURVIVES));
}

static int a_choice_at_a_buffer(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 1), d = INTS(.capacity = 2);
    return PAR(chooser(c, d, 0, 6, DIES), chooser(d, c, 1, 12, SURVIVES), writer(d, 2, 5, SURVIVES),
               chooser(d, c, 3, 12, SURVIVES));
}

static int a_reader_of_a_buffer(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 2);
    return PAR(reader(c, 6, DIES), writer(c, 0, 20, SURVIVES), writer(c, 1, 20, SURVIVES));
}

static int a_writer_to_a_buffer(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 2);
    return PAR(writer(c, 0, 8, DIES), reader(c, 99, SURVIVES), writer(c, 1, 20, SURVIVES));
}

static int a_reader_of_buffered_bytes(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_bytes) c = BYTES(.capacity = 2);
    return PAR(bytes_reader(c, 5, DIES), bytes_writer(c, 0, 10, SURVIVES),
               bytes_writer(c, 1, 10, SURVIVES));
}

static int a_writer_of_buffered_bytes(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_bytes) c = BYTES(.capacity = 2);
    return PAR(bytes_writer(c, 0, 5, DIES), bytes_reader(c, 99, SURVIVES),
               bytes_writer(c, 1, 10, SURVIVES));
}

static int a_writer_of_bytes(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_bytes) c = BYTES();
    return PAR(bytes_writer(c, 0, 4, DIES), bytes_reader(c, 99, SURVIVES),
               bytes_writer(c, 1, 8, SURVIVES));
}

static int a_writer_of_large_messages(enum uvcsp_carrier carrier)
{
    CHAN(large) c = LARGES();
    return PAR(large_writer(c, 0, 2, DIES), large_reader(c, 9, SURVIVES),
               large_writer(c, 1, 2, SURVIVES));
}

static int a_reader_of_large_messages(enum uvcsp_carrier carrier)
{
    CHAN(large) c = LARGES();
    return PAR(large_reader(c, 2, DIES), large_writer(c, 0, 3, SURVIVES),
               large_reader(c, 9, SURVIVES));
}

static int a_sender_of_ends(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_end) c = ENDS();
    return PAR(end_sender(c, 0, 3, DIES), end_receiver(c, 99, SURVIVES));
}

static int a_receiver_of_ends(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_end) c = ENDS();
    return PAR(end_receiver(c, 3, DIES), end_sender(c, 0, 6, SURVIVES),
               end_sender(c, 1, 6, SURVIVES));
}

static int a_sender_of_buffered_ends(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_end) c = ENDS(.capacity = 2);
    return PAR(end_sender(c, 0, 3, DIES), end_receiver(c, 99, SURVIVES));
}

static int a_receiver_of_buffered_ends(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_end) c = ENDS(.capacity = 2);
    return PAR(end_receiver(c, 3, DIES), end_sender(c, 0, 6, SURVIVES),
               end_sender(c, 1, 6, SURVIVES));
}

static int a_choice_that_offers_an_end(enum uvcsp_carrier carrier)
{
    CHAN(uvcsp_end) ends = ENDS();
    CHAN(int) c = INTS(), d = INTS();
    return PAR(end_chooser(ends, c, d, 0, DIES), end_receiver(ends, 9, SURVIVES),
               reader(c, 1, SURVIVES), end_chooser(ends, d, c, 1, SURVIVES));
}

static int a_parent(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(parent(c, 0, DIES, SURVIVES), reader(c, 99, SURVIVES));
}

static int a_parent_with_a_channel(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(head_of_a_family(c, 0), reader(c, 99, SURVIVES));
}

/* As of a queue: the others go on with it. */
static int a_reader_of_a_lenient_buffer(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 1);
    struct usp_channel *channel = (struct usp_channel *)c;
    channel->lenient = USP_LENIENT;
    int failed = PAR(reader(c, 6, DIES), reader(c, 99, SURVIVES), writer(c, 0, 20, SURVIVES));
    channel->lenient = 0; /* such a channel is given up otherwise */
    return failed;
}

static void not_discarded(struct usp_common *common)
{
    (void)common;
    abort();
}

/* As at a lock, or a queue: who waits is counted in, and his burial counts him out. */
static int one_that_is_counted_in(enum uvcsp_carrier carrier)
{
    static struct usp_common *common;
    if (!common)
        common = seen_by_all(sizeof *common);
    usp_common_init(common, not_discarded);
    CHAN(int) c = INTS(.capacity = 1), d = INTS(.capacity = 2);
    struct usp_channel *both[] = {(struct usp_channel *)c, (struct usp_channel *)d};
    both[0]->common = both[1]->common = common;
    int failed = PAR(chooser(c, d, 0, 6, DIES), chooser(d, c, 1, 12, SURVIVES),
                     writer(d, 2, 5, SURVIVES), reader(c, 4, SURVIVES));
    both[0]->common = both[1]->common = NULL;
    const char *died_at = failpoint_died_at();
    if (usp_common_count(common) != 1)
        ck_abort_msg("died at mark %ld, %s: %u are counted in", nth, died_at ? died_at : "none",
                     usp_common_count(common) - 1);
    return failed;
}

static int a_supervisor(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(undertaker(c, 0), reader(c, 99, SURVIVES));
}

static int a_supervisor_that_repairs(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 3);
    return PAR(repairer(c, 0), reader(c, 99, SURVIVES));
}

static int one_that_makes_and_frees_channels(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(), d = INTS();
    return PAR(lives_its_life(c, d, 0), writer(c, 4, 1, SURVIVES), reader(d, 1, SURVIVES));
}

static int one_that_starts_light_processes(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(starter(c, 0), reader(c, 99, SURVIVES));
}

static int one_with_neighbours(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(WORKER(writer(c, 0, 6, DIES), writer(c, 1, 6, SURVIVES)),
               WORKER(reader(c, 6, SURVIVES), reader(c, 6, SURVIVES)), reader(c, 6, SURVIVES));
}

static int a_writer_by_plain_calls(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 1);
    return PAR(plain_writer(c, 0, 8, DIES), plain_reader(c), plain_writer(c, 1, 8, SURVIVES));
}

static int a_writer_by_plain_calls_to_lanes(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS(.capacity = 3);
    return PAR(plain_writer(c, 0, 8, DIES), plain_reader(c), plain_writer(c, 1, 8, SURVIVES));
}

/* That its last plain READ is over nothing says any more but its commit word. */
static int a_writer_that_has_read_before(enum uvcsp_carrier carrier)
{
    CHAN(large) c = LARGES();
    return PAR(has_read_before(c), large_reader(c, 9, SURVIVES), large_writer(c, 1, 2, SURVIVES));
}

/* The victim is a child of the parent's, so that PAR counts nobody. */
static int a_child_at_its_birth(enum uvcsp_carrier carrier)
{
    CHAN(int) c = INTS();
    return PAR(parent(c, 0, SURVIVES, DIES), reader(c, 99, SURVIVES)) +
           (failpoint_died_at() != NULL);
}

/* ---- the walk ---- */

static void prepare(void)
{
    failpoints_share();
    failpoint_forget();
    if (!ledger)
        ledger = seen_by_all(sizeof *ledger);
    memset(ledger, 0, sizeof *ledger);
}

static void balance(const char *died_at)
{
    for (int id = 0; id < SENDERS * EACH; id++)
        if (ledger->got[id] > 1 || ledger->got[id] > ledger->tried[id] ||
            (ledger->got[id] && ledger->refused[id]))
            ck_abort_msg("died at mark %ld, %s: message %d was %s and got %d times", nth, died_at,
                         id,
                         ledger->refused[id] ? "refused"
                         : ledger->tried[id] ? "sent"
                                             : "never sent",
                         ledger->got[id]);
}

static bool run_and_die(int (*network)(enum uvcsp_carrier), enum uvcsp_carrier carrier)
{
    prepare();
    double start = uvcsp_now();
    int failed = network(carrier);
    double took = uvcsp_now() - start;
    while (n_made > 0)
        uvcsp_channel_free(made[--n_made]);
    const char *died_at = failpoint_died_at();
    if (failed != (died_at != NULL))
        ck_abort_msg("died at mark %ld, %s: PAR says %d", nth, died_at ? died_at : "none", failed);
    if (took > 1.5)
        ck_abort_msg("died at mark %ld, %s: it took %.1f seconds", nth, died_at ? died_at : "none",
                     took);
    if (!all_is_given_back())
        ck_abort_msg("died at mark %ld, %s: not all is given back", nth,
                     died_at ? died_at : "none");
    balance(died_at ? died_at : "none");
    return died_at != NULL;
}

/* A link is closed when its end of file is read, which may be a turn of the loop later. */
static bool closes_all_but(int descriptors)
{
    for (double end = uvcsp_now() + 2; uvcsp_now() < end; uvcsp_sleep(0.001))
        if (house_count_descriptors() == descriptors)
            return true;
    return false;
}

static void walk(int (*network)(enum uvcsp_carrier), int i)
{
    if (house_light())
        return;
    house_capture(2);
    ck_assert_int_eq(PAR(does_nothing()), 0); /* opens what stays open */
    uvcsp_sleep(0.001);                       /* and makes the loop */
    int descriptors = house_count_descriptors();
    /* the sanitizers make it slow, and look at every second step */
    for (nth = 1; run_and_die(network, i ? UVCSP_SHARED : UVCSP_PIPE); nth += 1 + SANITIZED)
        if (!closes_all_but(descriptors))
            ck_abort_msg("died at mark %ld: %d descriptors are open, %d were", nth,
                         house_count_descriptors(), descriptors);
    char *said = house_captured();
    if (strstr(said, "exited with code 127")) /* an end that nobody has explained */
        ck_abort_msg("%s", said);
    free(said);
    ck_assert_int_gt(nth, 10);
}

#define WALK(network)                                                                              \
    TEST(any_step_of_##network, .times = 2, .seconds = 60)                                         \
    {                                                                                              \
        walk(network, _i);                                                                         \
    }

WALK(a_writer)
WALK(a_reader)
WALK(a_choice_among_choices)
WALK(a_choice_at_a_buffer)
WALK(a_reader_of_a_buffer)
WALK(a_writer_to_a_buffer)
WALK(a_reader_of_buffered_bytes)
WALK(a_writer_of_buffered_bytes)
WALK(a_writer_of_bytes)
WALK(a_writer_of_large_messages)
WALK(a_reader_of_large_messages)
WALK(a_sender_of_ends)
WALK(a_receiver_of_ends)
WALK(a_sender_of_buffered_ends)
WALK(a_receiver_of_buffered_ends)
WALK(a_choice_that_offers_an_end)
WALK(a_parent)
WALK(a_parent_with_a_channel)
WALK(a_reader_of_a_lenient_buffer)
WALK(one_that_is_counted_in)
WALK(a_supervisor)
WALK(a_supervisor_that_repairs)
WALK(one_that_makes_and_frees_channels)
WALK(one_that_starts_light_processes)
WALK(one_with_neighbours)
WALK(a_writer_by_plain_calls)
WALK(a_writer_by_plain_calls_to_lanes)
WALK(a_writer_that_has_read_before)
WALK(a_child_at_its_birth)

/* ---- is every mark passed at all? ---- */

static int n_missed;

/* Where system calls are filtered, or there is but one processor, no parent is held. */
static bool is_optional(const char *name)
{
    cpu_set_t allowed;
    return strcmp(name, "held-to-fork") == 0 &&
           (sched_getaffinity(0, sizeof allowed, &allowed) < 0 || CPU_COUNT(&allowed) == 1 || prctl(PR_GET_SECCOMP) != 0);
}

static void miss(const char *name, bool passed)
{
    if (passed || is_optional(name))
        return;
    fprintf(stderr, "no network here passes the mark '%s'\n", name);
    n_missed++;
}

TEST(no_marked_step_is_left_out, .seconds = 60)
{
    /* clang-format off */
    static int (*const networks[])(enum uvcsp_carrier) = {
        a_writer, a_reader, a_choice_among_choices, a_choice_at_a_buffer, a_reader_of_a_buffer,
        a_writer_to_a_buffer, a_reader_of_buffered_bytes, a_writer_of_buffered_bytes,
        a_writer_of_bytes, a_writer_of_large_messages, a_reader_of_large_messages, a_sender_of_ends,
        a_receiver_of_ends, a_sender_of_buffered_ends, a_receiver_of_buffered_ends,
        a_choice_that_offers_an_end, a_parent, a_parent_with_a_channel, a_reader_of_a_lenient_buffer,
        one_that_is_counted_in, a_supervisor, a_supervisor_that_repairs, one_that_makes_and_frees_channels,
        one_that_starts_light_processes, one_with_neighbours, a_writer_by_plain_calls,
    };
    /* clang-format on */
    if (house_light())
        return;
    nth = 0;
    for (size_t round = 0; round < 6; round++)
        for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
            prepare();
            (void)networks[i](round % 2 ? UVCSP_SHARED : UVCSP_PIPE);
            while (n_made > 0)
                uvcsp_channel_free(made[--n_made]);
            ck_assert(all_is_given_back());
        }
    failpoint_each(miss);
    ck_assert_int_eq(n_missed, 0);
}

SUITE("steps", .before = default_signals, .after = uvcsp_shutdown)
