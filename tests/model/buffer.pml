/* A buffered channel: put, get, refill, and the death of a process at any step of them.

   channels/io.c (step_buffered, usp_refill, wait_for_partner, usp_after_wait), fast.c (take_buffered, give_buffered:
   the same steps), message.c (one store puts a message in or takes it out), channel.h (usp_take, usp_claim), and of
   recover.c finish_refill, rebuild_queues, repair, seize, withdraw_offers; of supervise.c the burial as far as it
   orders these, and look_after_own_tasks.

   Each process is in a worker of its own, or those that are not meet by the same steps. The lock is a word here
   (lock.pml has the rest of it), a wake-up is a flag (sleep.pml has the rest).

   Proved: a message that its writer knows to be sent is in the buffer, or was taken out once, and by a survivor
   at most once; one that was refused is nowhere; messages of one writer stay in order; nobody waits for what is there. With
   COUNTS: what is counted as gone past the buffer are the messages that readers got so, also where a writer died between the two.

   @ small holds two_writers_a_reader -DWRITERS=3 -DNP=3 -DK=2
   @ small holds with_timeouts -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DTIMEOUTS
   @ small fails:parked_at_room no_refill -DWRITERS=3 -DNP=3 -DK=2 -DMUTATION_NO_REFILL
   @ small fails:parked_at_a_message past_the_waiting_reader -DWRITERS=1 -DNP=2 -DK=2 -DMUTATION_NOT_TO_A_READER
   @ small fails:n_claims claimed_by_a_store -DWRITERS=1 -DNP=3 -DK=2 -DTIMEOUTS -DMUTATION_CLAIM_BY_STORE
   @ small holds a_reader_dies -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT
   @ small holds a_reader_dies_of_single_offers -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DSINGLE
   @ small holds a_writer_dies_of_single_offers -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DSINGLE
   @ small holds a_reader_dies_and_poisons -DWRITERS=1 -DNP=2 -DK=3 -DVICTIM=1
   @ small holds a_writer_dies -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT
   @ small fails:torn queues_are_not_rebuilt -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_NO_REBUILD
   @ small fails:n_in the_refill_is_not_finished -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_NO_FINISH_REFILL
   @ small fails:n_in what_is_done_is_not_said -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_NOT_DONE
   @ small fails:told_sent done_is_said_too_early -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_DONE_EARLY
   @ small fails:parked_at_room room_is_not_seen_in_repair -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_NO_WAKE_IN_REPAIR
   @ small fails:n_in buried_while_another_repairs -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_DO_NOT_WAIT_FOR_REPAIR
   @ small fails:lock==0 the_dead_keep_their_locks -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=1 -DLENIENT -DMUTATION_NO_SEIZE
   @ small holds what_goes_past_is_counted -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DCOUNTS
   @ small holds what_goes_past_two_readers_is_counted -DWRITERS=1 -DNP=3 -DK=2 -DREADS=1 -DVICTIM=0 -DLENIENT -DCOUNTS
   @ small fails:passed counted_without_the_lock -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DCOUNTS -DMUTATION_COUNT_LATE
   @ small fails:passed counted_and_not_noted -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DCOUNTS -DMUTATION_NO_FINISH_PASSING
   @ small fails:passed not_struck_out -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DCOUNTS -DMUTATION_NOT_STRUCK_OUT
   @ small fails:passed struck_out_while_another_repairs -DWRITERS=3 -DNP=3 -DK=1 -DREADS=2 -DVICTIM=0 -DLENIENT -DCOUNTS -DMUTATION_DO_NOT_WAIT_FOR_REPAIR
   @ large holds a_reader_of_two_dies -DWRITERS=1 -DNP=3 -DK=2 -DVICTIM=1 -DLENIENT mem=12000
   @ large holds two_and_two_a_reader_dies -DWRITERS=3 -DNP=4 -DK=2 -DREADS=1 -DVICTIM=2 -DLENIENT mem=14000
   @ large holds two_and_two_a_writer_dies -DWRITERS=3 -DNP=4 -DK=1 -DVICTIM=0 -DLENIENT mem=14000
   @ large holds capacity_two -DWRITERS=1 -DNP=3 -DK=3 -DREADS=2 -DCAPACITY=2 -DVICTIM=2 -DLENIENT mem=14000
 */
#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef READS
#define READS K
#endif
#define UNDERTAKER NP
#define NOBODY 255

/* commit words */
#define NONE 0
#define OPEN 1
#define DEAD 2
#define CLAIMED_BY(w) (4 + 2 * (w)) /* and 1 more: DONE */
#define IS_CLAIMED(c) ((c) >= 4)
#define CLAIMER(c) (((c) - 4) / 2)
#define IS_DONE(c) ((c) >= 4 && ((c) & 1))

/* outcomes */
#define FINE 0
#define RETRY 1
#define ENDED 2
#define TIMEOUT 3

/* the channel */
byte lock;                        /* who holds it, plus 1 */
byte written, read;
byte slots[CAPACITY];
chan waiting[2] = [NP] of { byte }; /* 0: readers, 1: writers */
bit torn;                         /* somebody is in the middle of changing a queue */
byte refill = NOBODY, refill_written;
bit ended;
byte tickets;
#ifdef COUNTS
byte passed, passed_before, passes_to = NOBODY;
bit counted[NP];                  /* `passed` of the offer */
byte n_past;                      /* what readers really got past the buffer */
#endif

/* the tasks, and their offers */
byte commit[NP], outcome[NP], data[NP], ticket[NP];
bit queued[NP], woken[NP], waits[NP];

/* what really happened */
#define IS_WRITER(p) ((WRITERS >> (p)) & 1)
#define N_MESSAGES (NP * K)
#if NP == 2 || (NP == 3 && WRITERS == 3)
#define ONE_READER
#endif
byte n_in[N_MESSAGES];            /* times that it was put in, or handed over */
byte n_got[N_MESSAGES];
bit told_sent[N_MESSAGES], told_refused[N_MESSAGES];
byte with[N_MESSAGES] = NOBODY;   /* the process that it is lost with, until its code has seen it */
byte order[NP];                   /* the last message of a writer's that came out, plus 1 */
byte n_claims[NP];                /* of the present wait */
bit dead[NP + 1], finished[NP], buried, looked[NP];
bit parked_at_room, parked_at_a_message;

#define BUFFERED (written - read)
#ifdef VICTIM
#define IS_DEAD(w) ((w) == VICTIM && dead[VICTIM])
#else
#define IS_DEAD(w) false
#endif

/* ---- lock and queues ---- */

inline lock_channel()
{
    do
    :: atomic { lock == 0 -> lock = me + 1; break }
#if defined(VICTIM) && !defined(MUTATION_NO_SEIZE)
    :: IS_DEAD(VICTIM) && lock == VICTIM + 1 -> seize() /* usp_supervise_stuck */
#endif
    od
}
inline unlock_channel()
{
    lock = 0
}
inline enqueue(p, side)
{
    assert(!torn);
    torn = 1;
    atomic { ticket[p] = tickets; tickets++; waiting[side]!p; queued[p] = 1; torn = 0 }
}
inline unlink(p, side)
{
    assert(!torn);
    torn = 1;
    atomic { assert(waiting[side]??[eval(p)]); waiting[side]??eval(p); queued[p] = 0; torn = 0 }
}
/* usp_task_claim, usp_claim: `ok`. A wait without a time limit (`single`) is claimed by a store: SINGLE. */
#if defined(SINGLE) || defined(MUTATION_CLAIM_BY_STORE)
#define CLAIM_BY_STORE
#endif
inline claim(p, w)
{
    atomic {
        if
#ifdef CLAIM_BY_STORE
        :: true ->
#else
        :: commit[p] == OPEN ->
#endif
            commit[p] = CLAIMED_BY(w);
            n_claims[p]++;
            assert(n_claims[p] <= 1);
            ok = 1
#ifndef CLAIM_BY_STORE
        :: else -> ok = 0
#endif
        fi
    }
}
/* usp_take: `partner`, or NOBODY. The lock is held. */
inline take(side)
{
    partner = NOBODY;
    assert(!torn);
    do
    :: nempty(waiting[side]) ->
        torn = 1;
        atomic { waiting[side]?partner; queued[partner] = 0; torn = 0 };
        claim(partner, me);
        if
        :: ok -> break
        :: else -> partner = NOBODY
        fi
    :: empty(waiting[side]) -> break
    od;
    ok = 0
}
/* take_reader: the same, and counted */
inline take_reader()
{
#if defined(COUNTS) && !defined(MUTATION_COUNT_LATE)
    partner = NOBODY;
    assert(!torn);
    do
    :: nempty(waiting[0]) ->
        passed_before = passed;
        atomic { waiting[0]?<passes_to>; torn = 1 };
        atomic { waiting[0]?partner; queued[partner] = 0; torn = 0 };
        claim(partner, me);
        if
        :: ok -> passed++; counted[partner] = 1; passes_to = NOBODY; break
        :: else -> passes_to = NOBODY; partner = NOBODY
        fi
    :: empty(waiting[0]) -> break
    od;
    ok = 0
#else
    take(0)
#endif
}
inline wake(p)
{
    atomic {
        assert(!(IS_CLAIMED(commit[p]) && woken[p])); /* or it would run twice */
        woken[p] = 1
    }
}

/* ---- the steps of io.c ---- */

inline put(m)
{
    slots[written % CAPACITY] = m;
    atomic { written++; n_in[m]++; assert(n_in[m] <= 1) }
}
/* usp_refill */
inline refill_slot()
{
#ifndef MUTATION_NO_REFILL
    take(1);
    if
    :: partner != NOBODY ->
        refill_written = written;
        refill = partner;
#ifdef MUTATION_DONE_EARLY
        commit[partner] = commit[partner] | 1;
#endif
        put(data[partner]);
#ifndef MUTATION_NOT_DONE
        commit[partner] = commit[partner] | 1;
#endif
        refill = NOBODY;
        wake(partner);
        partner = NOBODY
    :: else
    fi
#else
    skip
#endif
}
/* A writer's step: `result` FINE or RETRY (it has to wait; the lock is still held) */
inline step_write(m)
{
    partner = NOBODY;
#ifndef MUTATION_NOT_TO_A_READER
    if
    :: nempty(waiting[0]) && BUFFERED == 0 -> take_reader()
    :: empty(waiting[0]) || BUFFERED > 0
    fi;
#endif
    if
    :: partner != NOBODY ->
        unlock_channel();
#ifdef MUTATION_COUNT_LATE
        passed++;
#endif
        atomic { data[partner] = m; n_in[m]++; assert(n_in[m] <= 1); with[m] = partner };
        wake(partner);
        partner = NOBODY;
        result = FINE
    :: partner == NOBODY && BUFFERED >= CAPACITY -> result = RETRY
    :: partner == NOBODY && BUFFERED < CAPACITY -> put(m); unlock_channel(); result = FINE
    fi
}
/* A reader's: `got` */
inline step_read()
{
    if
    :: BUFFERED == 0 -> result = RETRY
    :: BUFFERED > 0 ->
        got = slots[read % CAPACITY];
        atomic { read++; with[got] = me };
        if
        :: nempty(waiting[1]) -> refill_slot()
        :: empty(waiting[1])
        fi;
        unlock_channel();
        result = FINE
    fi
}
/* wait_for_partner, usp_after_wait; the lock is held */
inline wait_for_partner(side)
{
    outcome[me] = FINE;
    atomic { commit[me] = OPEN; woken[me] = 0; n_claims[me] = 0 };
    enqueue(me, side);
    atomic { waits[me] = 1; unlock_channel() };
end_parked:
    do
    :: woken[me] -> break
#ifdef TIMEOUTS
    :: true -> /* the timer */
        claim(me, me);
        if
        :: ok -> ok = 0; outcome[me] = TIMEOUT; break
        :: else -> woken[me]; break
        fi
#endif
#ifdef VICTIM
    :: buried && !looked[me] -> /* look_after_own_tasks */
        looked[me] = 1;
        if
        :: woken[me]
        :: !woken[me] && IS_CLAIMED(commit[me]) && CLAIMER(commit[me]) == VICTIM && IS_DONE(commit[me]) -> wake(me)
        :: !woken[me] && IS_CLAIMED(commit[me]) && CLAIMER(commit[me]) == VICTIM && !IS_DONE(commit[me]) ->
#if defined(COUNTS) && !defined(MUTATION_NOT_STRUCK_OUT)
            if
            :: counted[me] -> lock_channel(); passed--; counted[me] = 0; unlock_channel() /* usp_not_passed */
            :: else
            fi;
#endif
            outcome[me] = RETRY;
            wake(me)
        :: else
        fi
#endif
    od;
    atomic { waits[me] = 0; commit[me] = NONE };
    result = outcome[me];
    if
    :: result == TIMEOUT ->
        lock_channel();
        if
        :: queued[me] -> unlink(me, side)
        :: else
        fi;
        unlock_channel()
    :: else
    fi;
    if
    :: result == FINE && side == 0 ->
#ifdef COUNTS
        n_past++;
        counted[me] = 0;
#endif
        got = data[me]
    :: else
    fi
}

/* ---- death ---- */

#ifdef VICTIM
inline finish_refill()
{
#ifndef MUTATION_NO_FINISH_REFILL
    if
    :: refill != NOBODY && written != refill_written ->
        word = commit[refill];
        atomic { /* compare-and-swap */
            if
            :: IS_CLAIMED(word) && commit[refill] == word -> commit[refill] = word | 1
            :: else
            fi;
            word = 0
        }
    :: else
    fi;
#endif
    refill = NOBODY
}
/* collect_offers, in the order of tickets; task by task, while they may be claimed elsewhere */
inline rebuild_queues()
{
    atomic {
        do
        :: nempty(waiting[0]) -> waiting[0]?_
        :: nempty(waiting[1]) -> waiting[1]?_
        :: empty(waiting[0]) && empty(waiting[1]) -> break
        od;
        torn = 1
    };
    i = 0;
    do
    :: i < NP ->
        atomic {
            found[i] = (i != VICTIM && commit[i] == OPEN);
            if
            :: !found[i] -> queued[i] = 0
            :: else
            fi;
            i++
        }
    :: else -> i = 0; break
    od;
    atomic {
        do
        :: i < NP ->
            j = 0; partner = NOBODY;
            do
            :: j < NP ->
                if
                :: found[j] && (partner == NOBODY || ticket[j] < ticket[partner]) -> partner = j
                :: else
                fi;
                j++
            :: else -> j = 0; break
            od;
            if
            :: partner != NOBODY ->
                waiting[(WRITERS >> partner) & 1]!partner;
                queued[partner] = 1;
                found[partner] = 0
            :: else
            fi;
            i++
        :: else -> i = 0; partner = NOBODY; break
        od;
        torn = 0
    }
}
inline wake_side(side, what)
{
    take(side);
    do
    :: partner != NOBODY -> outcome[partner] = what; wake(partner); take(side)
    :: else -> break
    od
}
inline finish_passing()
{
#ifdef COUNTS
    if
    :: passes_to != NOBODY ->
#ifndef MUTATION_NO_FINISH_PASSING
        if
        :: IS_CLAIMED(commit[passes_to]) && CLAIMER(commit[passes_to]) == VICTIM -> counted[passes_to] = 0
        :: else
        fi;
        passed = passed_before;
#endif
        passes_to = NOBODY
    :: else
    fi
#else
    skip
#endif
}
inline repair()
{
    finish_refill();
    finish_passing();
#ifndef MUTATION_NO_REBUILD
    rebuild_queues();
#endif
    if
    :: ended -> wake_side(0, RETRY); wake_side(1, RETRY)
#ifndef MUTATION_NO_WAKE_IN_REPAIR
    :: !ended && BUFFERED < CAPACITY -> wake_side(1, RETRY)
#endif
    :: else
    fi
}
/* seize(): close_commit, seize_lock, repair_and_unlock */
inline seize()
{
    atomic {
        if
        :: commit[VICTIM] == OPEN -> commit[VICTIM] = DEAD
        :: else
        fi
    };
    atomic {
        if
        :: lock == VICTIM + 1 -> lock = me + 1; ok = 1
        :: else -> ok = 0
        fi
    };
    if
    :: ok -> ok = 0; repair(); unlock_channel()
    :: else
    fi
}
/* died(), up to BURIED */
proctype undertaker(byte me)
{
    byte partner = NOBODY, i, j, word;
    bit found[NP], ok;
end:
    IS_DEAD(VICTIM);
#ifndef MUTATION_NO_SEIZE
    seize();
#endif
#ifndef MUTATION_DO_NOT_WAIT_FOR_REPAIR
    /* await_repair: another may have seized the lock, and not be done yet */
    refill == NOBODY || !IS_CLAIMED(commit[refill]) || CLAIMER(commit[refill]) != VICTIM || IS_DONE(commit[refill]);
#ifdef COUNTS
    passes_to == NOBODY || !IS_CLAIMED(commit[passes_to]) || CLAIMER(commit[passes_to]) != VICTIM;
#endif
#endif
    if /* withdraw_offers */
    :: queued[VICTIM] ->
        lock_channel();
        if
        :: queued[VICTIM] -> unlink(VICTIM, IS_WRITER(VICTIM))
        :: else
        fi;
        unlock_channel()
    :: else
    fi;
#ifndef LENIENT
    lock_channel(); /* drop_end, usp_channel_poison */
    ended = 1;
    wake_side(0, ENDED);
    wake_side(1, ENDED);
    unlock_channel();
#endif
    buried = 1
}
active proctype killer()
{
    if
    :: atomic { !finished[VICTIM] -> dead[VICTIM] = 1 }
    :: true
    fi
}
#endif

/* ---- the processes ---- */

inline life()
{
    do
    :: n < (IS_WRITER(me) -> K : READS) ->
        if
        :: IS_WRITER(me) -> data[me] = me * K + n
        :: else
        fi;
        do
        :: lock_channel();
            if
            :: ended -> unlock_channel(); result = ENDED; break
            :: else
            fi;
            if
            :: IS_WRITER(me) -> step_write(me * K + n)
            :: else -> step_read()
            fi;
            if
            :: result == RETRY -> wait_for_partner(IS_WRITER(me))
            :: else
            fi;
            if
            :: result != RETRY -> break
            :: else
            fi
        od;
        atomic {
            if
            :: IS_WRITER(me) && result == FINE -> told_sent[me * K + n] = 1
            :: IS_WRITER(me) && result != FINE -> told_refused[me * K + n] = 1
            :: !IS_WRITER(me) && result == FINE ->
                n_got[got]++;
                with[got] = NOBODY;
                assert(n_got[got] == 1);
#ifdef ONE_READER
                assert(order[got / K] <= got % K);
                order[got / K] = got % K + 1
#endif
            :: else
            fi;
            n++; got = 0; result = 0; data[me] = 0
        }
    :: else -> break
    od;
    finished[me] = 1
}
#define LOCALS byte partner = NOBODY, i, j, word, n, got, result; bit found[NP], ok

proctype process(byte me)
{
    LOCALS;
    life()
}
#ifdef VICTIM
proctype victim(byte me)
{
    LOCALS;
    { life() } unless { dead[VICTIM] }
}
#endif

/* When nothing moves any more. */
active proctype monitor()
{
    byte p, m;
    bit there;
    timeout ->
    atomic {
        assert(lock == 0 && !torn && refill == NOBODY);
        for (p : 0 .. NP - 1) {
            if
            :: !finished[p] && !IS_DEAD(p) ->
                assert(waits[p] && commit[p] == OPEN && !woken[p] && queued[p]);
                assert(!ended);
                if
                :: IS_WRITER(p) && BUFFERED < CAPACITY -> parked_at_room = 1
                :: !IS_WRITER(p) && BUFFERED > 0 -> parked_at_a_message = 1
                :: else
                fi
            :: else -> assert(!queued[p])
            fi
        };
        assert(!parked_at_room && !parked_at_a_message);
#ifdef COUNTS
        assert(passed == n_past);
#endif
        for (m : 0 .. N_MESSAGES - 1) {
            there = (BUFFERED > 0 && slots[read % CAPACITY] == m) || (BUFFERED > 1 && slots[(read + 1) % CAPACITY] == m);
            assert(!told_refused[m] || n_in[m] == 0);
            assert(!told_sent[m] || n_in[m] == 1);
            assert(!told_sent[m] || n_got[m] + there + IS_DEAD(with[m]) == 1)
        }
    }
}

init
{
    byte p;
    atomic {
        for (p : 0 .. NP - 1) {
#ifdef VICTIM
            if
            :: p == VICTIM -> run victim(p)
            :: else -> run process(p)
            fi
        };
        run undertaker(UNDERTAKER)
#else
            run process(p)
        }
#endif
    }
}
