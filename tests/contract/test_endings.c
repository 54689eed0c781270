/* What ends what: the table of the contract, seen by readers, writers and choices in the same
   worker and in others, with the causes. */
#include "tests/contract/contract.h"

/* ---- the ways in which a process can end, or end its channels ---- */

enum ending {
    RETURNS,
    EXITS_PROCESS,
    RETIRES_ITS_ENDS,
    MEETS_RETIREMENT_IN_READ,
    MEETS_RETIREMENT_IN_WRITE,
    MEETS_RETIREMENT_IN_ALT,
    POISONS_ITS_ENDS,
    MEETS_POISON_IN_READ,
    MEETS_POISON_IN_WRITE,
    MEETS_POISON_IN_ALT,
    CRASHES, /* from here on in a worker of its own */
    ABORTS,
    KILLS_ITSELF,
    EXITS_WITH_3,
    ENDINGS,
};

static const struct {
    int status;
    const char *cause;
    int failed; /* what PAR says */
} table[ENDINGS] = {
    [RETURNS] = {UVCSP_RETIRED, NULL, 0},
    [EXITS_PROCESS] = {UVCSP_RETIRED, NULL, 0},
    [RETIRES_ITS_ENDS] = {UVCSP_RETIRED, NULL, 0},
    [MEETS_RETIREMENT_IN_READ] = {UVCSP_RETIRED, NULL, 0},
    [MEETS_RETIREMENT_IN_WRITE] = {UVCSP_RETIRED, NULL, 0},
    [MEETS_RETIREMENT_IN_ALT] = {UVCSP_RETIRED, NULL, 0},
    [POISONS_ITS_ENDS] = {UVCSP_POISONED, "'culprit'", 0},
    [MEETS_POISON_IN_READ] = {UVCSP_POISONED, "'main'", 0}, /* the first cause goes on */
    [MEETS_POISON_IN_WRITE] = {UVCSP_POISONED, "'main'", 0},
    [MEETS_POISON_IN_ALT] = {UVCSP_POISONED, "'main'", 0},
    [CRASHES] = {UVCSP_POISONED, "signal 11", 1},
    [ABORTS] = {UVCSP_POISONED, "signal 6", 1},
    [KILLS_ITSELF] = {UVCSP_POISONED, "signal 9", 1},
    [EXITS_WITH_3] = {UVCSP_POISONED, "code 3", 1},
};

PROCESS(culprit, VAL(enum ending, ending), IN(int, in), OUT(int, out), OUT(int, out_too),
        IN(int, ended_in), OUT(int, ended_out), IN(int, stay))
{
    int x;
    switch (ending) {
    case EXITS_PROCESS:
        uvcsp_exit_process();
    case RETIRES_ITS_ENDS:
        RETIRE(in);
        RETIRE(out);
        RETIRE(out);
        RETIRE(out_too);
        (void)READ(stay); /* it lives on until the others have seen it */
        break;
    case POISONS_ITS_ENDS:
        POISON(in);
        POISON(out);
        POISON(out_too);
        (void)READ(stay);
        break;
    case MEETS_RETIREMENT_IN_READ:
    case MEETS_POISON_IN_READ:
        (void)READ(ended_in);
        break;
    case MEETS_RETIREMENT_IN_WRITE:
    case MEETS_POISON_IN_WRITE:
        WRITE(ended_out, 1);
        break;
    case MEETS_RETIREMENT_IN_ALT:
    case MEETS_POISON_IN_ALT:
        (void)ALT(ON_READ(stay, &x), ON_READ(ended_in, &x), ON_TIMEOUT(60));
        break;
    case CRASHES:
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
        raise(SIGSEGV);
        break;
    case ABORTS:
        abort();
    case KILLS_ITSELF:
        raise(SIGKILL);
        break;
    case EXITS_WITH_3:
        no_leak_check = true;
        exit(3);
    default:
        return;
    }
    MUST(ending == RETIRES_ITS_ENDS || ending == POISONS_ITS_ENDS);
}

/* ---- those who see it ---- */

struct seen {
    int status, again;
    char cause[300];
};

static void note(struct seen *seen, int status, int again, void *end)
{
    const char *cause = uvcsp_cause(end);
    seen->status = status;
    seen->again = again;
    snprintf(seen->cause, sizeof seen->cause, "%s", cause ? cause : "");
}

PROCESS(sees_by_reading, IN(int, in), VAL(struct seen *, seen), OUT(int, never), OUT(int, stay))
{
    int x = 55, status = uvcsp_read(in, &x);
    note(seen, status, uvcsp_read(in, &x), in);
    MUST(x == 55);
    (void)never;
    (void)stay;
}

PROCESS(sees_by_writing, OUT(int, out), VAL(struct seen *, seen), OUT(int, never), OUT(int, stay))
{
    int x = 55, status = uvcsp_write(out, &x);
    note(seen, status, uvcsp_write_try(out, &x), out);
    (void)never;
    (void)stay;
}

PROCESS(sees_by_choice, IN(int, quiet), IN(int, in), VAL(struct seen *, seen), OUT(int, never),
        OUT(int, stay))
{
    int x = 55;
    uvcsp_guard guards[] = {ON_READ(quiet, &x), ON_READ(in, &x), ON_TIMEOUT(60)};
    int status = -uvcsp_alt(guards, 3, UVCSP_FAIR);
    MUST(uvcsp_alt_failed() == 1);
    note(seen, status, uvcsp_read_timeout(in, &x, 10), in);
    (void)never;
    (void)stay;
}

/* Is there for the time of the network: it holds what must not retire. */
PROCESS(holds, OUT(int, quiet), IN(int, until))
{
    (void)quiet;
    (void)READ(until);
}

static void check_seen(const struct seen *seen, enum ending ending, const char *who)
{
    if (seen->status != table[ending].status || seen->again != table[ending].status)
        ck_abort_msg("ending %d: %s sees %s, then %s", ending, who, uvcsp_status_name(seen->status),
                     uvcsp_status_name(seen->again));
    ck_assert_contains(seen->cause, table[ending].cause ? table[ending].cause : "");
    if (!table[ending].cause)
        ck_assert_str_eq(seen->cause, "");
}

TEST(the_others_see_what_the_table_says_and_why, .times = ENDINGS * PLACEMENTS)
{
    enum ending ending = (enum ending)(_i % ENDINGS);
    enum placement placement = (enum placement)(_i / ENDINGS);
    if (ending >= CRASHES && (house_light() || placement == LIGHT))
        return;
    CHAN(int) to = CHANNEL(int), from = CHANNEL(int), from_too = CHANNEL(int), quiet = CHANNEL(int);
    CHAN(int) never = CHANNEL(int), stay = CHANNEL(int), ended = CHANNEL(int);
    struct seen *seen = seen_by_all(3 * sizeof *seen);
    if (table[ending].status == UVCSP_POISONED)
        POISON(ended);
    else {
        RETIRE(IN_OF(ended));
        RETIRE(OUT_OF(ended));
    }
    house_capture(2);
    int failed = RUN(placement, sees_by_reading(from, &seen[0], never, stay),
                     sees_by_writing(to, &seen[1], never, stay),
                     sees_by_choice(quiet, from_too, &seen[2], never, stay), holds(quiet, never),
                     WORKER(culprit(ending, to, from, from_too, ended, ended, stay)));
    char *said = house_captured();
    ck_assert_int_eq(failed, table[ending].failed);
    check_seen(&seen[0], ending, "a reader");
    check_seen(&seen[1], ending, "a writer");
    check_seen(&seen[2], ending, "a choice");
    if (ending >= CRASHES) {
        ck_assert_contains(said, "culprit");
        ck_assert_contains(said, table[ending].cause);
        ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
    } else {
        ck_assert_str_eq(said, "");
    }
    free(said);
}

/* ---- poison ---- */

TEST(poison_may_be_given_to_a_channel_or_an_end_any_number_of_times_and_the_first_cause_stays)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    ck_assert_ptr_null(uvcsp_cause(c));
    int line = __LINE__ + 1;
    POISON(in);
    POISON(c);
    POISON(in);
    char place[40];
    snprintf(place, sizeof place, "test_endings.c:%d", line);
    ck_assert_contains(uvcsp_cause(c), place);
    ck_assert_contains(uvcsp_cause(in), "'main'");
    snprintf(place, sizeof place, "pid %d", (int)getpid());
    ck_assert_contains(uvcsp_cause(in), place);
}

PROCESS(passes_on, IN(int, in), OUT(int, out))
{
    for (;;)
        WRITE(out, READ(in));
}

PROCESS(ends_chain, OUT(int, out), VAL(bool, by_poison))
{
    WRITE(out, 1);
    if (by_poison)
        POISON(out);
}

PROCESS(is_last, IN(int, in), VAL(struct seen *, seen))
{
    MUST(READ(in) == 1);
    int x;
    note(seen, uvcsp_read(in, &x), 0, in);
}

TEST(a_chain_of_processes_ends_from_one_end_to_the_other, .times = 2 * PLACEMENTS)
{
    bool by_poison = _i % 2;
    struct seen *seen = seen_by_all(sizeof *seen);
    CHAN(int) c[4];
    ck_assert_int_eq(CHANNELS(int, c, 4), 0);
    ck_assert_int_eq(RUN(_i / 2, ends_chain(c[0], by_poison), passes_on(c[0], c[1]),
                         passes_on(c[1], c[2]), passes_on(c[2], c[3]), is_last(c[3], seen)),
                     0);
    ck_assert_int_eq(seen->status, by_poison ? UVCSP_POISONED : UVCSP_RETIRED);
    ck_assert_contains(seen->cause, by_poison ? "'ends_chain'" : "");
}

SUITE("endings", .before = default_signals, .after = uvcsp_shutdown)
