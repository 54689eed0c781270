/* What ends what: the table of the contract, seen by readers, writers and choices in the same worker and in
   others, with the causes. */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

PROCESS(culprit, VAL(enum ending, ending), IN(int, in), OUT(int, out), OUT(int, out_too), IN(int, ended_in),
        OUT(int, ended_out), IN(int, stay))
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

PROCESS(sees_by_choice, IN(int, quiet), IN(int, in), VAL(struct seen *, seen), OUT(int, never), OUT(int, stay))
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

/* ---- buffers ---- */

PROCESS(writes_and_returns, OUT(int, out), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        WRITE(out, i);
}

PROCESS(reads_until_the_end, IN(int, in), VAL(int, n), VAL(int, status))
{
    int x, got, i = 0;
    while ((got = uvcsp_read(in, &x)) == UVCSP_OK)
        MUST(x == i++);
    MUST(i == n);
    MUST_BE(got, status);
}

TEST(readers_get_what_is_buffered_before_they_are_told_of_the_last_writers_end, .times = PLACEMENTS)
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    ck_assert_int_eq(RUN(_i, writes_and_returns(c, 4)), 0);
    ck_assert_int_eq(uvcsp_channel_size(c), 4);
    IN_END(int) in = IN_OF(c);
    int x;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(READ(in), i);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
    ck_assert_int_eq(uvcsp_read(in, &x), UVCSP_RETIRED);
}

PROCESS(fills_and_poisons, OUT(int, out))
{
    for (int i = 0; i < 4; i++)
        WRITE(out, i);
    POISON(out);
}

/* PyCSP answers a reader in the same process otherwise than one in another. */
TEST(poison_drops_what_is_buffered_for_readers_anywhere, .times = 4)
{
    CHAN(int) c = CHANNEL(int, .capacity = 4);
    ck_assert_int_eq(RUN(_i % 2, fills_and_poisons(c)), 0);
    ck_assert_int_eq(uvcsp_channel_size(c), 0);
    ck_assert_int_eq(RUN(_i / 2, reads_until_the_end(c, 0, UVCSP_POISONED)), 0);
}

PROCESS(writes_until_the_end, OUT(int, out), VAL(int, n), VAL(int, status))
{
    int i = 0, got;
    while ((got = uvcsp_write(out, &i)) == UVCSP_OK)
        i++;
    MUST(i == n);
    MUST_BE(got, status);
}

PROCESS(reads_some, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        MUST(READ(in) == i);
}

TEST(writers_are_told_of_the_last_readers_end_at_once_also_by_a_buffer_with_room, .times = PLACEMENTS * 2)
{
    CHAN(int) c = CHANNEL(int, .capacity = _i / PLACEMENTS * 4);
    RETIRE(IN_OF(c));
    ck_assert_int_eq(RUN(_i % PLACEMENTS, writes_until_the_end(c, 0, UVCSP_RETIRED)), 0);
    CHAN(int) d = CHANNEL(int);
    ck_assert_int_eq(RUN(_i % PLACEMENTS, writes_until_the_end(d, 5, UVCSP_RETIRED), reads_some(d, 5)), 0);
}

TEST(a_side_retires_with_its_last_end_and_not_before)
{
    CHAN(int) c = CHANNEL(int, .capacity = 1);
    OUT_END(int) first = OUT_OF(c), second = OUT_OF(c);
    IN_END(int) in = IN_OF(c), another = IN_OF(c);
    int x = 3;
    RETIRE(first);
    RETIRE(first); /* once more counts for nothing */
    ck_assert_int_eq(uvcsp_read_try(in, &x), UVCSP_WOULD_BLOCK);
    WRITE(second, 4);
    RETIRE(in);
    ck_assert_int_eq(uvcsp_read(another, &x), UVCSP_OK);
    ck_assert_int_eq(x, 4);
    RETIRE(second);
    ck_assert_int_eq(uvcsp_read(another, &x), UVCSP_RETIRED);
}

/* ---- what has been agreed completes ---- */

struct big {
    char at[3000000];
};

PROCESS(writes_one_and, OUT(struct big, out), VAL(enum ending, ending))
{
    static struct big b;
    memset(b.at, 'b', sizeof b.at);
    WRITE(out, b);
    if (ending == POISONS_ITS_ENDS)
        POISON(out);
}

PROCESS(reads_one_then, IN(struct big, in), VAL(int, status))
{
    static struct big b;
    MUST_BE(uvcsp_read(in, &b), UVCSP_OK);
    MUST(b.at[0] == 'b' && b.at[sizeof b.at - 1] == 'b');
    MUST_BE(uvcsp_read(in, &b), status);
}

PROCESS(reads_one_and, IN(struct big, in), VAL(enum ending, ending))
{
    static struct big b;
    b = READ(in);
    MUST(b.at[sizeof b.at - 1] == 'b');
    if (ending == POISONS_ITS_ENDS)
        POISON(in);
}

PROCESS(writes_one_then, OUT(struct big, out), VAL(int, status))
{
    static struct big b;
    memset(b.at, 'b', sizeof b.at);
    MUST_BE(uvcsp_write(out, &b), UVCSP_OK);
    MUST_BE(uvcsp_write(out, &b), status);
}

TEST(a_message_that_was_agreed_on_is_not_lost_by_what_comes_after, .times = 2 * 2 * 2 * PLACEMENTS)
{
    enum ending ending = _i % 2 ? POISONS_ITS_ENDS : RETURNS;
    CHAN(struct big) c = CHANNEL(struct big, .carrier = _i / 2 % 2 ? UVCSP_PIPE : UVCSP_SHARED);
    int status = table[ending].status;
    for (int i = 0; i < 3; i++) {
        CHAN(struct big) d = i ? CHANNEL(struct big, .carrier = _i / 2 % 2 ? UVCSP_PIPE : UVCSP_SHARED) : c;
        int failed = _i / 4 % 2 ? RUN(_i / 8, writes_one_and(d, ending), reads_one_then(d, status))
                                : RUN(_i / 8, writes_one_then(d, status), reads_one_and(d, ending));
        ck_assert_int_eq(failed, 0);
    }
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
    ck_assert_int_eq(RUN(_i / 2, ends_chain(c[0], by_poison), passes_on(c[0], c[1]), passes_on(c[1], c[2]),
                         passes_on(c[2], c[3]), is_last(c[3], seen)),
                     0);
    ck_assert_int_eq(seen->status, by_poison ? UVCSP_POISONED : UVCSP_RETIRED);
    ck_assert_contains(seen->cause, by_poison ? "'ends_chain'" : "");
}

/* ---- crashes ---- */

PROCESS(crashes_after, IN(int, in), VAL(int, n))
{
    for (int i = 0; i < n; i++)
        (void)READ(in);
    raise(SIGKILL);
}

TEST(par_counts_those_that_failed_and_the_others_end_by_poison)
{
    if (house_light())
        return;
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int), e = CHANNEL(int);
    house_capture(2);
    int failed = PAR(writes_until_the_end(c, 3, UVCSP_POISONED), crashes_after(c, 3),
                     writes_until_the_end(d, 0, UVCSP_POISONED), crashes_after(d, 0), writes_and_returns(e, 2),
                     reads_some(e, 2));
    char *said = house_captured();
    ck_assert_int_eq(failed, 2);
    ck_assert_contains(uvcsp_cause(c), "crashes_after");
    ck_assert_contains(uvcsp_cause(c), "signal 9");
    ck_assert_ptr_null(uvcsp_cause(e));
    free(said);
}

/* ---- main ---- */

PROCESS(poisons_later, OUT(int, out))
{
    WRITE(out, 1);
    POISON(out);
}

/* What a program says on stderr, and its status. */
static char *as_a_program(void (*body)(void), int *status)
{
    house_capture(2);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        exit(0);
    }
    ck_assert_int_eq(waitpid(pid, status, 0), pid);
    return house_captured();
}

static void main_that_meets_poison(void)
{
    CHAN(int) c = CHANNEL(int);
    IN_END(int) in = IN_OF(c);
    SPAWN(poisons_later(c));
    for (;;)
        (void)READ(in);
}

static void main_that_meets_retirement(void)
{
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int);
    IN_END(int) in = IN_OF(c), quiet = IN_OF(d);
    OUT_END(int) held = OUT_OF(d);
    SPAWN(writes_and_returns(c, 3));
    int x;
    for (;;)
        (void)ALT(ON_READ(in, &x), ON_READ(quiet, &x));
    (void)held;
}

TEST(where_poison_or_retirement_would_end_main_the_program_ends_with_a_line_and_status_1, .times = 2)
{
    int status;
    char *said = as_a_program(_i ? main_that_meets_retirement : main_that_meets_poison, &status);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_contains(said, "main");
    ck_assert_contains(said, _i ? "retire" : "poisons_later");
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
    free(said);
}

/* ---- the death of the parent ---- */

static struct {
    atomic_int pid[3];
} *family;

PROCESS(stays, VAL(int, me), IN(int, never), OUT(int, ready), VAL(bool, stubborn))
{
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    family->pid[me] = getpid();
    WRITE(ready, me);
    (void)READ(never);
}

PROCESS(has_children, IN(int, never), OUT(int, never_out), OUT(int, ready), VAL(bool, stubborn))
{
    (void)never_out;
    PAR(stays(0, never, ready, stubborn), stays(1, never, ready, false));
}

PROCESS(tells, IN(int, ready), VAL(int, fd))
{
    for (int i = 0; i < 3; i++)
        (void)READ(ready);
    MUST(write(fd, "x", 1) == 1);
    (void)READ(ready);
}

TEST(no_worker_outlives_a_program_that_was_killed, .times = 2)
{
    if (house_light())
        return;
    int fds[2];
    char byte;
    family = seen_by_all(sizeof *family);
    ck_assert_int_eq(pipe(fds), 0);
    pid_t program = fork();
    if (program == 0) {
        CHAN(int) never = CHANNEL(int), ready = CHANNEL(int);
        PAR(has_children(never, never, ready, _i), stays(2, never, ready, false), tells(ready, fds[1]));
        _exit(0);
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    struct pollfd watched[3];
    for (int i = 0; i < 3; i++)
        watched[i] = (struct pollfd){(int)syscall(SYS_pidfd_open, family->pid[i], 0), POLLIN, 0};
    kill(program, SIGKILL);
    ck_assert_int_eq(waitpid(program, NULL, 0), program);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ge(watched[i].fd, 0);
        ck_assert_int_eq(poll(&watched[i], 1, 8000), 1);
        close(watched[i].fd);
    }
    close(fds[0]);
}

SUITE("endings", .before = default_signals, .after = uvcsp_shutdown)
