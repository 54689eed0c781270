/* What always blocks and what never does, as a table: a situation of a channel, and what a read and
   what a write do in it. The other forms follow from that one: where a read waits, a trying one
   says UVCSP_WOULD_BLOCK, a timed one UVCSP_TIMEOUT, and a choice takes its next guard. */
#include "tests/contract/contract.h"

enum { BLOCKS = 100 };
enum partner { NOBODY, READER, WRITER };
enum state {
    LIVE,
    READERS_GONE, /* the last reader has retired; ends made later are late */
    WRITERS_GONE,
    OWN_RETIRED, /* the end that is used has retired, others have not */
    POISONED,
};

static const struct situation {
    int capacity, filled;
    enum partner partner;
    enum state state;
    int read, write; /* BLOCKS or a status */
} situations[] = {
    /* rendezvous */
    {0, 0, NOBODY, LIVE, BLOCKS, BLOCKS},
    {0, 0, READER, LIVE, BLOCKS, UVCSP_OK},
    {0, 0, WRITER, LIVE, UVCSP_OK, BLOCKS},
    {0, 0, NOBODY, READERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {0, 0, NOBODY, WRITERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {0, 0, NOBODY, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {0, 0, READER, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {0, 0, WRITER, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {0, 0, NOBODY, POISONED, UVCSP_POISONED, UVCSP_POISONED},
    /* an empty buffer */
    {4, 0, NOBODY, LIVE, BLOCKS, UVCSP_OK},
    {4, 0, READER, LIVE, BLOCKS, UVCSP_OK},
    {4, 0, NOBODY, READERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 0, NOBODY, WRITERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 0, NOBODY, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 0, NOBODY, POISONED, UVCSP_POISONED, UVCSP_POISONED},
    /* half full */
    {4, 2, NOBODY, LIVE, UVCSP_OK, UVCSP_OK},
    {4, 2, NOBODY, READERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 2, NOBODY, WRITERS_GONE, UVCSP_OK, UVCSP_RETIRED},
    {4, 2, NOBODY, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 2, NOBODY, POISONED, UVCSP_POISONED, UVCSP_POISONED},
    /* full */
    {4, 4, NOBODY, LIVE, UVCSP_OK, BLOCKS},
    {4, 4, WRITER, LIVE, UVCSP_OK, BLOCKS},
    {4, 4, NOBODY, READERS_GONE, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 4, NOBODY, WRITERS_GONE, UVCSP_OK, UVCSP_RETIRED},
    {4, 4, NOBODY, OWN_RETIRED, UVCSP_RETIRED, UVCSP_RETIRED},
    {4, 4, NOBODY, POISONED, UVCSP_POISONED, UVCSP_POISONED},
    {1, 1, WRITER, LIVE, UVCSP_OK, BLOCKS},
    {1, 0, READER, LIVE, BLOCKS, UVCSP_OK},
};
enum { SITUATIONS = sizeof situations / sizeof *situations };

enum form {
    PLAIN,
    TRY,
    TIMED,
    TIMED_0,
    CHOICE,
    PRI_CHOICE,
    CHOICE_OR_SKIP,
    CHOICE_OR_TIMEOUT,
    FORMS
};
static const char *const form_names[] = {"plain",
                                         "trying",
                                         "timed",
                                         "timed with 0",
                                         "a choice",
                                         "a PRI choice",
                                         "a choice or skip",
                                         "a choice or timeout"};

/* What the form gives where the plain one gives `plain`. A choice gives -status, or the index. */
static int expected_of(enum form form, int plain)
{
    bool choice = form >= CHOICE;
    if (plain != BLOCKS)
        return choice ? -plain : plain;
    switch (form) {
    case TRY:
        return UVCSP_WOULD_BLOCK;
    case TIMED:
    case TIMED_0:
        return UVCSP_TIMEOUT;
    case CHOICE_OR_SKIP:
    case CHOICE_OR_TIMEOUT:
        return 1;
    default:
        return BLOCKS;
    }
}

static int choose(enum form form, uvcsp_guard guard)
{
    uvcsp_guard guards[] = {guard, form == CHOICE_OR_SKIP ? ON_SKIP : ON_TIMEOUT(0.002)};
    bool two = form == CHOICE_OR_SKIP || form == CHOICE_OR_TIMEOUT;
    return uvcsp_alt(guards, two ? 2 : 1,
                     form == PRI_CHOICE || form == CHOICE_OR_SKIP ? UVCSP_PRI : UVCSP_FAIR);
}

static int read_by(enum form form, IN_END(int) in)
{
    int x = 0;
    switch (form) {
    case PLAIN:
        return uvcsp_read(in, &x);
    case TRY:
        return uvcsp_read_try(in, &x);
    case TIMED:
        return uvcsp_read_timeout(in, &x, 0.002);
    case TIMED_0:
        return uvcsp_read_timeout(in, &x, 0.0);
    default:
        return choose(form, ON_READ(in, &x));
    }
}

static int write_by(enum form form, OUT_END(int) out)
{
    int x = 1;
    switch (form) {
    case PLAIN:
        return uvcsp_write(out, &x);
    case TRY:
        return uvcsp_write_try(out, &x);
    case TIMED:
        return uvcsp_write_timeout(out, &x, 0.002);
    case TIMED_0:
        return uvcsp_write_timeout(out, &x, 0.0);
    default:
        return choose(form, ON_WRITE(out, x));
    }
}

PROCESS(attempts, VAL(enum partner, side), VAL(enum form, form), VAL(void *, end),
        VAL(int *, result))
{
    *result = side == READER ? read_by(form, end) : write_by(form, end);
}

/* ---- the partner ---- */

enum manner { BY_READ_OR_WRITE, BY_CHOICE, BY_CHOICE_OF_MANY, MANNERS };

PROCESS(waits, VAL(enum partner, side), VAL(enum manner, manner), VAL(void *, end))
{
    int x = 1, y;
    CHAN(int) other = CHANNEL(int);
    IN_END(int) in = IN_OF(other);
    OUT_END(int) out = OUT_OF(other);
    uvcsp_guard guards[] = {ON_READ(in, &y),
                            side == READER ? ON_READ((IN_END(int))end, &x)
                                           : ON_WRITE((OUT_END(int))end, x),
                            ON_WRITE(out, 2), ON_TIMEOUT(600)};
    if (manner == BY_READ_OR_WRITE)
        (void)(side == READER ? read_by(PLAIN, end) : write_by(PLAIN, end));
    else if (manner == BY_CHOICE)
        (void)uvcsp_alt(guards + 1, 1, UVCSP_FAIR);
    else
        (void)uvcsp_alt(guards, 4, UVCSP_FAIR);
}

/* Until every light process of this worker waits; with a seed, very likely. */
static void settle(void)
{
    for (int i = 0; i < (getenv("UVCSP_SEED") ? 300 : 10); i++)
        uvcsp_yield();
}

/* ---- the table ---- */

static void check(const struct situation *s, enum partner side, enum form form, enum manner manner)
{
    CHAN(int) c = CHANNEL(int, .capacity = s->capacity);
    IN_END(int) in = IN_OF(c);
    OUT_END(int) out = OUT_OF(c);
    for (int i = 0; i < s->filled; i++)
        WRITE(out, i);
    uvcsp_handle *partner = NULL;
    if (s->partner)
        partner = GO(waits(s->partner, manner, s->partner == READER ? (void *)in : (void *)out));
    settle();

    void *used = side == READER ? (void *)in : (void *)out;
    if (s->state == READERS_GONE)
        RETIRE(in);
    if (s->state == WRITERS_GONE)
        RETIRE(out);
    if ((s->state == READERS_GONE && side == READER) ||
        (s->state == WRITERS_GONE && side == WRITER) || s->state == OWN_RETIRED)
        used = side == READER ? (void *)IN_OF(c) : (void *)OUT_OF(c); /* one more, or a late one */
    if (s->state == OWN_RETIRED)
        RETIRE(used);
    if (s->state == POISONED)
        POISON(c);

    int result = BLOCKS, expected = expected_of(form, side == READER ? s->read : s->write);
    uvcsp_handle *attempt = GO(attempts(side, form, used, &result));
    settle();
    if (expected != BLOCKS)
        ck_assert_int_eq(uvcsp_join(attempt, 10), UVCSP_OK);
    if (result != expected)
        ck_abort_msg("capacity %d, %d in it, partner %d, state %d: %s %s gives %d, not %d",
                     s->capacity, s->filled, s->partner, s->state, form_names[form],
                     side == READER ? "read" : "write", result, expected);
    POISON(c);
    ck_assert_int_eq(uvcsp_join(attempt, 10), UVCSP_OK);
    if (partner)
        ck_assert_int_eq(uvcsp_join(partner, 10), UVCSP_OK);
    uvcsp_handle_free(attempt);
    uvcsp_handle_free(partner);
    uvcsp_channel_free(c);
}

TEST(reads_and_writes_block_or_answer_as_the_table_says, .times = SITUATIONS)
{
    const struct situation *s = &situations[_i];
    for (enum form form = 0; form < FORMS; form++)
        for (enum manner manner = 0; manner < (s->partner ? MANNERS : 1); manner++) {
            check(s, READER, form, manner);
            check(s, WRITER, form, manner);
        }
}

/* ---- a partner in another worker ---- */

PROCESS(meets, IN(int, in), OUT(int, out), VAL(enum form, form))
{
    int result;
    MUST(READ(in) == 1); /* the go-ahead; from now on it waits for the other */
    if (form == TRY)
        READ_FROM_A_WAITING_WRITER(in, &result);
    else
        MUST_BE(read_by(form, in), UVCSP_OK);
    if (form == TRY)
        WRITE_TO_A_WAITING_READER(out, &result);
    else
        MUST_BE(write_by(form, out), UVCSP_OK);
}

TEST(forms_that_wait_meet_those_of_another_worker, .times = 4 * 4)
{
    static const enum form waiting[] = {PLAIN, TRY, CHOICE, PRI_CHOICE};
    enum form mine = waiting[_i / 4], its = waiting[_i % 4];
    if (mine == TRY && its == TRY)
        return; /* two that never wait never meet */
    CHAN(int) there = CHANNEL(int), back = CHANNEL(int);
    OUT_END(int) out = OUT_OF(there);
    IN_END(int) in = IN_OF(back);
    uvcsp_handle *handle = SPAWN(meets(there, back, its));
    int x = 1;
    WRITE(out, 1);
    if (mine == TRY)
        WRITE_TO_A_WAITING_READER(out, &x);
    else
        ck_assert_int_eq(write_by(mine, out), UVCSP_OK);
    if (mine == TRY)
        READ_FROM_A_WAITING_WRITER(in, &x);
    else
        ck_assert_int_eq(read_by(mine, in), UVCSP_OK);
    ck_assert_int_eq(uvcsp_join(handle, 10), UVCSP_OK);
    ck_assert_int_eq(uvcsp_exit_code(handle), 0);
}

SUITE("blocks", .after = uvcsp_shutdown)
