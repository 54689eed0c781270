/* Processes that do all that can be done to a channel, of which one, the victim, dies at a mark; and the ledger in
   which they write what they have sent and got. */
#ifndef TESTS_CRASH_VICTIMS_H
#define TESTS_CRASH_VICTIMS_H

#include "channels/channel.h"
#include "tests/crash/crash.h"
#include "tests/failpoint.h"

enum { SENDERS = 8, EACH = 64 };

static struct {
    unsigned char tried[SENDERS * EACH], refused[SENDERS * EACH];
    _Atomic unsigned char got[SENDERS * EACH];
} *ledger;

static long nth; /* mark at which the victim dies; 0: none */

static void become_the_victim(void)
{
    failpoint_arm(nth, NULL);
}

/* Poisoned or retired: the process is to end. */
static bool ended(int status)
{
    MUST(status == UVCSP_OK || status == UVCSP_POISONED || status == UVCSP_RETIRED);
    return status != UVCSP_OK;
}

static void enter_got(int id)
{
    MUST(id >= 0 && id < SENDERS * EACH);
    ledger->got[id]++;
}

static int enter_sent(int id, int status)
{
    ledger->refused[id] = status != UVCSP_OK;
    return status;
}

static int write_one(OUT_END(int) out, int id)
{
    ledger->tried[id] = 1;
    return enter_sent(id, uvcsp_write(out, &id));
}

static int read_one(IN_END(int) in)
{
    int id, status = uvcsp_read(in, &id);
    if (status == UVCSP_OK)
        enter_got(id);
    return status;
}

enum role { SURVIVES, DIES };

PROCESS(writer, OUT(int, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n && !ended(write_one(out, who * EACH + i)); i++)
        ;
}

PROCESS(reader, IN(int, in), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n && !ended(read_one(in)); i++)
        ;
}

/* The same by WRITE and READ. */
PROCESS(plain_writer, OUT(int, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    for (int id = who * EACH; id < who * EACH + n; id++) {
        ledger->tried[id] = 1;
        WRITE(out, id);
    }
}

PROCESS(plain_reader, IN(int, in))
{
    for (;;)
        enter_got(READ(in));
}

PROCESS(chooser, IN(int, in), OUT(int, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    int id = who * EACH;
    for (int i = 0; i < n; i++) {
        int x;
        ledger->tried[id] = 1;
        uvcsp_guard guards[] = {ON_READ(in, &x), ON_WRITE(out, id), ON_TIMEOUT(0.1)};
        int taken = uvcsp_alt(guards, 3, UVCSP_FAIR);
        if (taken == 0)
            enter_got(x);
        else if (taken == 1)
            id++;
        else if (taken == 2 || ended(-taken))
            break;
    }
    ledger->refused[id] = 1;
}

typedef struct {
    int id;
    char bytes[300000]; /* more than a socket takes at once */
} large;

static void write_large_ones(OUT_END(large) out, int who, int n, enum role role)
{
    large *message = malloc(sizeof *message);
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n; i++) {
        message->id = who * EACH + i;
        memset(message->bytes, message->id, sizeof message->bytes);
        ledger->tried[message->id] = 1;
        if (ended(enter_sent(message->id, uvcsp_write(out, message))))
            break;
    }
    free(message);
}

PROCESS(large_writer, OUT(large, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    write_large_ones(out, who, n, role);
}

PROCESS(reads_then_writes, IN(int, in), OUT(large, out))
{
    (void)READ(in);
    write_large_ones(out, 0, 2, DIES);
}

PROCESS(writes_one, OUT(int, out))
{
    WRITE(out, 0);
}

PROCESS(has_read_before, OUT(large, out))
{
    CHAN(int) c = CHANNEL(int);
    CO(reads_then_writes(c, out), writes_one(c));
}

PROCESS(large_reader, IN(large, in), VAL(int, n), VAL(enum role, role))
{
    large *message = malloc(sizeof *message);
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n && !ended(uvcsp_read(in, message)); i++) {
        enter_got(message->id);
        for (size_t k = 0; k < sizeof message->bytes; k++)
            MUST(message->bytes[k] == (char)message->id);
    }
    free(message);
}

PROCESS(bytes_writer, OUT(uvcsp_bytes, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    int message[2500] = {0};
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n; i++) {
        message[0] = message[2499] = who * EACH + i;
        ledger->tried[message[0]] = 1;
        if (ended(
                enter_sent(message[0], uvcsp_write(out, &(uvcsp_bytes){message, sizeof message}))))
            break;
    }
}

PROCESS(bytes_reader, IN(uvcsp_bytes, in), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    uvcsp_bytes message;
    for (int i = 0; i < n && !ended(uvcsp_read(in, &message)); i++) {
        const int *ints = message.data;
        MUST(message.size == 2500 * sizeof *ints && ints[0] == ints[2499]);
        enter_got(ints[0]);
        free(message.data);
    }
}

/* Makes channels, sends their reading ends away, and writes to whoever got them. */
PROCESS(end_sender, OUT(uvcsp_end, out), VAL(int, who), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    for (int i = 0; i < n; i++) {
        CHAN(int) c = CHANNEL(int);
        OUT_END(int) mine = OUT_OF(c);
        uvcsp_end theirs = MOBILE(IN_OF(c));
        if (ended(uvcsp_write(out, &theirs)))
            break;
        uvcsp_channel_free(c);
        (void)ended(write_one(mine, who * EACH + i));
        RETIRE(mine);
    }
}

PROCESS(end_receiver, IN(uvcsp_end, in), VAL(int, n), VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    uvcsp_end end;
    for (int i = 0; i < n && !ended(uvcsp_read(in, &end)); i++) {
        IN_END(int) mine = AS_IN(int, end);
        (void)ended(read_one(mine));
        RETIRE(mine);
    }
}

/* Offers an end, a message and a place for one at the same time, all in one table. */
PROCESS(end_chooser, OUT(uvcsp_end, ends), OUT(int, out), IN(int, in), VAL(int, who),
        VAL(enum role, role))
{
    if (role == DIES)
        become_the_victim();
    CHAN(int) c = CHANNEL(int);
    OUT_END(int) mine = OUT_OF(c);
    uvcsp_end theirs = MOBILE(IN_OF(c));
    int x, id = who * EACH;
    uvcsp_guard guards[] = {ON_WRITE(ends, theirs), ON_WRITE(out, id), ON_READ(in, &x),
                            ON_TIMEOUT(0.1)};
    ledger->tried[id] = 1;
    int taken = uvcsp_alt(guards, 4, UVCSP_FAIR);
    enter_sent(id, taken == 1 ? UVCSP_OK : UVCSP_TIMEOUT);
    if (taken == 2)
        enter_got(x);
    if (taken == 0)
        (void)ended(write_one(mine, id + 1));
}

PROCESS(child, OUT(int, out), VAL(int, id))
{
    (void)ended(write_one(out, id));
}

PROCESS(parent, OUT(int, out), VAL(int, who), VAL(enum role, role), VAL(enum role, of_first_child))
{
    if (role == DIES)
        become_the_victim();
    if (of_first_child == DIES)
        failpoint_arm_children(nth, NULL);
    PAR(child(out, who * EACH), child(out, who * EACH + 1));
    uvcsp_handle *handle = SPAWN(child(out, who * EACH + 2));
    uvcsp_join(handle, -1);
    PAR(child(out, who * EACH + 3));
}

PROCESS(crasher, OUT(int, out), VAL(int, id))
{
    (void)ended(write_one(out, id));
    kill(getpid(), SIGKILL);
}

/* Has a child to bury when it dies itself. */
PROCESS(undertaker, OUT(int, out), VAL(int, who))
{
    become_the_victim();
    PAR(crasher(out, who * EACH), child(out, who * EACH + 1));
}

static void dies_here(void)
{
    die(BY_SIGKILL);
}

/* Leaves a channel of its own, and one that has to be repaired. */
PROCESS(crasher_in_a_lock, OUT(int, out), VAL(int, id))
{
    MUST(CHANNEL(int));
    failpoint_call("channel-locked", dies_here);
    (void)ended(write_one(out, id));
}

PROCESS(repairer, OUT(int, out), VAL(int, who))
{
    become_the_victim();
    PAR(crasher_in_a_lock(out, who * EACH), child(out, who * EACH + 1));
}

PROCESS(lives_its_life, IN(int, in), OUT(int, out), VAL(int, who))
{
    become_the_victim();
    CHAN(int) c = CHANNEL(int), d = CHANNEL(int, .capacity = 3), e = CHANNEL(int);
    CO(writer(c, who, 2, SURVIVES), reader(c, 2, SURVIVES), writer(d, who + 1, 2, SURVIVES));
    POISON(e);
    uvcsp_channel_free(c);
    RETIRE(OUT_OF(d));
    (void)ended(read_one(in));
    (void)ended(write_one(out, who * EACH + 10));
    int x;
    (void)uvcsp_alt((uvcsp_guard[]){ON_READ(in, &x), ON_TIMEOUT(0)}, 2, UVCSP_FAIR);
}

PROCESS(does_nothing)
{
}

/* One light process after the other, with ends and without. */
PROCESS(starter, OUT(int, out), VAL(int, who))
{
    become_the_victim();
    CO(child(out, who * EACH), does_nothing());
    CO(does_nothing(), child(out, who * EACH + 1));
    CO(child(out, who * EACH + 2));
}

/* Its children have a channel of its own between them, which is theirs before they are born. */
PROCESS(head_of_a_family, OUT(int, out), VAL(int, who))
{
    become_the_victim();
    CHAN(int) c = CHANNEL(int);
    PAR(writer(c, who, 3, SURVIVES), reader(c, 3, SURVIVES));
    (void)ended(write_one(out, who * EACH + 10));
}

#endif
