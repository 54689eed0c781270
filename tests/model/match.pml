/* Matching: READ, WRITE and ALT at two rendezvous channels, and the death of a process at any step of them.

   channels/fast.c (READ, WRITE), alt.c (look), offer.c (offer_all, park, withdraw), io.c (usp_step, usp_claim_to_kill),
   channel.h (usp_take, usp_claim); recover.c and supervise.c as in buffer.pml.

   Guard g is for channel g/2, to read from it (even) or to write to it (odd); G0, G1, ... are the guards of each
   process, as bits. A process with one guard does READ or WRITE: its offer is `single`, and is claimed by a plain store
   under the lock. With more it does ALT: its offers are claimed by compare-and-swap. Each is in a worker of its own.
   What a writer and a reader agree on is told apart by who takes part: message m is what process m writes.

   Proved: a wait is claimed at most once, so at most one guard is taken; both sides agree on partner and channel; each
   agreed message comes once; nobody waits for a lock for ever, and no two wait that match. With a death: the
   same for survivors, queues are whole after it, and nobody waits at a channel whose partner has died.

   @ small holds two_choices_and_a_write -DNP=3 -DG0=9 -DG1=6 -DG2=2
   @ small holds choices_in_a_circle -DNP=3 -DG0=6 -DG1=9 -DG2=15
   @ small holds killed_or_timed_out -DNP=3 -DG0=1 -DG1=2 -DG2=10 -DGIVES_UP=0
   @ small fails:n_claims claimed_by_a_store -DNP=3 -DG0=5 -DG1=2 -DG2=8 -DMUTATION_CLAIM_BY_STORE
   @ small fails:a_pair_waits no_second_look -DNP=2 -DG0=6 -DG1=9 -DMUTATION_NO_SECOND_LOOK
   @ small fails:lock[0]==0 locks_in_any_order -DNP=2 -DG0=6 -DG1=9 -DMUTATION_LOCKS_IN_ANY_ORDER
   @ small fails:queued offers_are_not_withdrawn -DNP=3 -DG0=5 -DG1=2 -DG2=10 -DMUTATION_NO_WITHDRAW
   @ small fails:n_claims killed_without_the_lock -DNP=2 -DG0=1 -DG1=2 -DGIVES_UP=0 -DMUTATION_KILL_WITHOUT_LOCK
   @ small holds one_of_two_choices_dies -DNP=2 -DG0=6 -DG1=9 -DVICTIM=0 -DNO_LOOK
   @ small holds a_reader_dies_another_goes_on -DNP=3 -DG0=1 -DG1=2 -DG2=1 -DSHARED_ENDS -DVICTIM=0 -DNO_LOOK
   @ small holds a_reader_dies_and_poisons -DNP=3 -DG0=1 -DG1=2 -DG2=1 -DVICTIM=0 -DNO_LOOK
   @ small fails:torn queues_are_not_rebuilt -DNP=3 -DG0=6 -DG1=9 -DG2=4 -DVICTIM=0 -DNO_LOOK -DMUTATION_NO_REBUILD
   @ small fails:commit[p]==1 lost_claims_are_not_looked_for -DNP=3 -DG0=1 -DG1=2 -DG2=5 -DVICTIM=0 -DNO_LOOK -DMUTATION_NO_RETRY
   @ small fails:n_got code_runs_before_the_partner_is_woken -DNP=3 -DG0=1 -DG1=2 -DG2=1 -DSHARED_ENDS -DVICTIM=0 -DNO_LOOK -DMUTATION_WAKE_LATE
   @ small fails:!(ended nobody_is_told_of_the_end -DNP=3 -DG0=1 -DG1=2 -DG2=6 -DVICTIM=0 -DNO_LOOK -DMUTATION_SILENT_POISON
   @ small fails:queued the_dead_keep_their_locks -DNP=3 -DG0=6 -DG1=9 -DG2=4 -DVICTIM=0 -DNO_LOOK -DMUTATION_NO_SEIZE
   @ large holds a_reader_dies_beside_a_choice -DNP=3 -DG0=1 -DG1=2 -DG2=5 -DVICTIM=0 -DNO_LOOK mem=14000
   @ large holds a_choice_dies_between_two -DNP=3 -DG0=6 -DG1=9 -DG2=4 -DVICTIM=0 -DNO_LOOK mem=14000
   @ large holds choices_that_look -DNP=3 -DG0=6 -DG1=9 -DG2=15 -DVICTIM=0 mem=14000
   @ large holds all_guards_of_three -DNP=3 -DG0=15 -DG1=15 -DG2=15 -DNO_LOOK mem=14000
   @ large holds all_guards_of_three_one_dies -DNP=3 -DG0=15 -DG1=15 -DG2=15 -DVICTIM=1 -DNO_LOOK mem=14000
   @ large holds four_in_a_circle -DNP=4 -DG0=6 -DG1=9 -DG2=6 -DG3=9 -DNO_LOOK mem=14000
   @ large holds four_one_dies -DNP=4 -DG0=6 -DG1=9 -DG2=6 -DG3=9 -DVICTIM=1 -DNO_LOOK bits=33 depth=5000000
 */
#define NOBODY 255
#define UNDERTAKER NP
#ifndef G2
#define G2 0
#endif
#ifndef G3
#define G3 0
#endif
#define GUARDS(p) ((p) == 0 -> G0 : ((p) == 1 -> G1 : ((p) == 2 -> G2 : G3)))
#define HAS(p, g) ((GUARDS(p) >> (g)) & 1)
#define IS_SINGLE(p) (GUARDS(p) == 1 || GUARDS(p) == 2 || GUARDS(p) == 4 || GUARDS(p) == 8)
#define AT(p, g) ((p) * 4 + (g))
#define ONLY_GUARD(p) (HAS(p, 0) -> 0 : (HAS(p, 1) -> 1 : (HAS(p, 2) -> 2 : 3)))
#define ONLY(p) (ONLY_GUARD(p) / 2)

/* commit words */
#define NONE 0
#define OPEN 1
#define DEAD 2
#define CLAIMED(w, g) (4 + (w) * 4 + (g))
#define IS_CLAIMED(c) ((c) >= 4)
#define CLAIMER(c) (((c) - 4) / 4)
#define GUARD(c) (((c) - 4) % 4)

/* outcomes */
#define FINE 0
#define RETRY 1
#define ENDED 2
#define GAVE_UP 3

byte lock[2];                          /* who holds it, plus 1 */
chan waiting[4] = [NP] of { byte };    /* offers for guard g */
bit torn[2];                           /* somebody is in the middle of changing a queue */
bit ended[2];
byte commit[NP], outcome[NP], data[NP];
bit queued[NP * 4], offers[NP * 4];    /* the table: what is in it is on offer while the word is OPEN */
bit woken[NP], waits[NP];

/* what really happened */
byte n_claims[NP], n_got[NP], reader_of[NP] = NOBODY, writer_at[NP] = NOBODY, reader_at[NP] = NOBODY;
bit told_sent[NP], finished[NP], buried, looked[NP], dead;
bit a_pair_waits;

#ifdef VICTIM
#define IS_DEAD(p) ((p) == VICTIM && dead)
#else
#define IS_DEAD(p) false
#endif

/* ---- lock and queues ---- */

inline lock_channel(c)
{
    do
    :: atomic { lock[c] == 0 -> lock[c] = me + 1; break }
#if defined(VICTIM) && !defined(MUTATION_NO_SEIZE)
    :: dead && lock[c] == VICTIM + 1 -> seize(c) /* usp_supervise_stuck */
#endif
    od
}
#define UNLOCK(c) lock[c] = 0

/* usp_unlink, if it is queued */
inline withdraw_one(p, g)
{
    if
    :: queued[AT(p, g)] ->
        assert(!torn[(g) / 2]);
        torn[(g) / 2] = 1;
        atomic { assert(waiting[g]??[eval(p)]); waiting[g]??eval(p); queued[AT(p, g)] = 0; torn[(g) / 2] = 0 }
    :: else
    fi
}
/* usp_take: `partner` that waits for guard g, or NOBODY. The lock is held. */
inline take(g, w)
{
    partner = NOBODY;
    do
    :: assert(!torn[(g) / 2]);
        if
        :: nempty(waiting[g]) ->
            torn[(g) / 2] = 1;
            atomic { waiting[g]?partner; queued[AT(partner, g)] = 0; torn[(g) / 2] = 0 }
        :: empty(waiting[g]) -> break
        fi;
        atomic { /* usp_claim */
            if
#ifdef MUTATION_CLAIM_BY_STORE
            :: true ->
#else
            :: IS_SINGLE(partner) || commit[partner] == OPEN ->
#endif
                commit[partner] = CLAIMED(w, g);
                n_claims[partner]++;
                assert(n_claims[partner] <= 1);
                break
#ifndef MUTATION_CLAIM_BY_STORE
            :: else -> partner = NOBODY
#endif
            fi
        }
    od
}
inline wake(p)
{
    atomic { assert(!woken[p]); woken[p] = 1 }
}

/* ---- a communication: usp_step_finish, and the end of fast() ---- */

/* `partner` waited for guard g^1 and is claimed, no lock is held. */
inline finish(g)
{
    if
    :: (g) & 1 -> data[partner] = me; wake(partner); atomic { saw_sent(partner, g) }
    :: else ->
        got = data[partner];
#ifdef MUTATION_WAKE_LATE
        atomic { saw_message(got, g) };
        wake(partner);
#else
        wake(partner);
        atomic { saw_message(got, g) };
#endif
        got = 0
    fi;
    partner = NOBODY
}
inline saw_sent(to, g)
{
    assert(!told_sent[me]);
    told_sent[me] = 1;
    assert(reader_of[me] == NOBODY || reader_of[me] == to);
    reader_of[me] = to;
    writer_at[me] = (g) / 2;
    assert(reader_at[me] == NOBODY || reader_at[me] == writer_at[me])
}
inline saw_message(m, g)
{
    n_got[m]++;
    assert(n_got[m] <= 1);
    assert(reader_of[m] == NOBODY || reader_of[m] == me);
    reader_of[m] = me;
    reader_at[m] = (g) / 2;
    assert(writer_at[m] == NOBODY || reader_at[m] == writer_at[m])
}

/* ---- waiting ---- */

/* offer_all, or the end of fast(), behind the look; all locks are held */
inline offer()
{
    atomic { outcome[me] = FINE; woken[me] = 0; n_claims[me] = 0; data[me] = me };
    atomic {
        g = 0;
        do
        :: g < 4 -> offers[AT(me, g)] = HAS(me, g); g++
        :: else -> g = 0; break
        od
    };
    commit[me] = OPEN;
    do
    :: g < 4 && HAS(me, g) -> /* usp_enqueue */
        assert(!torn[g / 2]);
        torn[g / 2] = 1;
        atomic { waiting[g]!me; queued[AT(me, g)] = 1; torn[g / 2] = 0; g++ }
    :: g < 4 && !HAS(me, g) -> g++
    :: else -> break
    od;
    if
    :: GUARDS(me) & 12 -> UNLOCK(1)
    :: else
    fi;
    atomic {
        if
        :: GUARDS(me) & 3 -> UNLOCK(0)
        :: else
        fi;
        waits[me] = 1; g = 0
    }
}
/* park, usp_after_wait: `result`, and of a communication the guard `g` */
inline park()
{
    g = 0;
end_parked:
    do
    :: woken[me] -> break
#ifdef GIVES_UP
    :: me == GIVES_UP -> /* usp_claim_to_kill; or a timer, which is never armed for a single offer */
#ifndef MUTATION_KILL_WITHOUT_LOCK
        if
        :: IS_SINGLE(me) -> lock_channel(ONLY(me))
        :: else
        fi;
#endif
        atomic {
            if
            :: commit[me] == OPEN -> commit[me] = CLAIMED(me, 0); n_claims[me]++; outcome[me] = GAVE_UP; woken[me] = 1
            :: else
            fi
        };
#ifndef MUTATION_KILL_WITHOUT_LOCK
        if
        :: IS_SINGLE(me) ->
            if
            :: outcome[me] == GAVE_UP -> withdraw_one(me, ONLY_GUARD(me))
            :: else
            fi;
            UNLOCK(ONLY(me))
        :: else
        fi;
#endif
        woken[me];
        break
#endif
#ifdef VICTIM
    :: buried && !looked[me] -> /* look_after_own_tasks */
        atomic {
            looked[me] = 1;
#ifndef MUTATION_NO_RETRY
            if
            :: !woken[me] && IS_CLAIMED(commit[me]) && CLAIMER(commit[me]) == VICTIM -> outcome[me] = RETRY; woken[me] = 1
            :: else
            fi
#endif
        }
#endif
    od;
    waits[me] = 0;
    atomic { word = commit[me]; result = outcome[me] };
#ifndef MUTATION_NO_WITHDRAW
    if
    :: IS_SINGLE(me) /* who claimed it has unlinked it */
    :: else ->
        g = 0;
        do
        :: g < 4 && HAS(me, g) ->
            lock_channel(g / 2);
            withdraw_one(me, g);
            UNLOCK(g / 2);
            g++
        :: g < 4 && !HAS(me, g) -> g++
        :: else -> break
        od
    fi;
#endif
    commit[me] = NONE;
    g = GUARD(word)
}

/* ---- death ---- */

#ifdef VICTIM
inline wake_side(g, what)
{
    take(g, me);
    do
    :: partner != NOBODY -> outcome[partner] = what; wake(partner); take(g, me)
    :: else -> break
    od
}
/* collect_offers: task by task, while they may be claimed elsewhere */
inline rebuild_queues(c)
{
    atomic {
        do
        :: nempty(waiting[2 * (c)]) -> waiting[2 * (c)]?_
        :: nempty(waiting[2 * (c) + 1]) -> waiting[2 * (c) + 1]?_
        :: empty(waiting[2 * (c)]) && empty(waiting[2 * (c) + 1]) -> break
        od;
        torn[c] = 1
    };
    i = 0;
    do
    :: i < 2 * NP ->
        atomic {
            side = 2 * (c) + i % 2;
            if
            :: i / 2 != VICTIM && commit[i / 2] == OPEN && offers[AT(i / 2, side)] ->
                waiting[side]!(i / 2);
                queued[AT(i / 2, side)] = 1
            :: else -> queued[AT(i / 2, side)] = 0
            fi;
            side = 0;
            i++
        }
    :: else -> i = 0; break
    od;
    torn[c] = 0
}
/* seize(), for one channel: close_commit, seize_lock, repair_and_unlock */
inline seize(c)
{
    atomic {
        if
        :: commit[VICTIM] == OPEN -> commit[VICTIM] = DEAD
        :: else
        fi
    };
    atomic {
        if
        :: lock[c] == VICTIM + 1 -> lock[c] = me + 1; ok = 1
        :: else -> ok = 0
        fi
    };
    if
    :: ok ->
        ok = 0;
#ifndef MUTATION_NO_REBUILD
        rebuild_queues(c);
#endif
        if
        :: ended[c] -> wake_side(2 * (c), RETRY); wake_side(2 * (c) + 1, RETRY)
        :: else
        fi;
        UNLOCK(c)
    :: else
    fi
}
/* died(), up to BURIED */
proctype undertaker(byte me)
{
    byte partner = NOBODY, i, side, x;
    bit ok;
end:
    dead;
#ifndef MUTATION_NO_SEIZE
    seize(0);
    seize(1);
    do
    :: x < 4 && queued[AT(VICTIM, x)] -> /* withdraw_offers */
        lock_channel(x / 2);
        withdraw_one(VICTIM, x);
        UNLOCK(x / 2);
        x++
    :: x < 4 && !queued[AT(VICTIM, x)] -> x++
    :: else -> x = 0; break
    od;
    do
    :: x < 2 && (HAS(VICTIM, 2 * x) || HAS(VICTIM, 2 * x + 1)) -> /* drop_end, usp_channel_poison */
#ifndef SHARED_ENDS
        lock_channel(x);
        ended[x] = 1;
#ifndef MUTATION_SILENT_POISON
        wake_side(2 * x, ENDED);
        wake_side(2 * x + 1, ENDED);
#endif
        UNLOCK(x);
#endif
        x++
    :: x < 2 && !(HAS(VICTIM, 2 * x) || HAS(VICTIM, 2 * x + 1)) -> x++
    :: else -> break
    od;
#endif
    buried = 1
}
active proctype killer()
{
    if
    :: atomic { !finished[VICTIM] -> dead = 1 }
    :: true
    fi
}
#endif

/* ---- the processes ---- */

/* Guard g, its lock held: `result` FINE with a claimed partner, ENDED, or RETRY for nothing. */
inline step(g)
{
    if
    :: ended[(g) / 2] -> result = ENDED
    :: else ->
        take((g) ^ 1, me);
        result = (partner != NOBODY -> FINE : RETRY)
    fi
}
inline lock_all()
{
#ifdef MUTATION_LOCKS_IN_ANY_ORDER
    if
    :: me == 1 && (GUARDS(me) & 12) -> lock_channel(1)
    :: else
    fi;
#endif
    if
    :: GUARDS(me) & 3 -> lock_channel(0)
    :: else
    fi;
    if
#ifdef MUTATION_LOCKS_IN_ANY_ORDER
    :: me != 1 && (GUARDS(me) & 12) -> lock_channel(1)
#else
    :: GUARDS(me) & 12 -> lock_channel(1)
#endif
    :: else
    fi
}
inline life()
{
    result = RETRY;
again:
    assert(result == RETRY);
    g = 0;
#ifndef NO_LOOK
    g = 0;
    do
    :: g < 4 && HAS(me, g) && !IS_SINGLE(me) -> /* look(): each under its own lock */
        lock_channel(g / 2);
        step(g);
        UNLOCK(g / 2);
        if
        :: result == RETRY -> g++
        :: else -> goto taken
        fi
    :: g < 4 && !(HAS(me, g) && !IS_SINGLE(me)) -> g++
    :: else -> break
    od;
#endif
    lock_all();
    g = 0; result = RETRY;
    do
    :: g < 4 && HAS(me, g) ->
#ifdef MUTATION_NO_SECOND_LOOK
        g++
#else
        step(g);
        if
        :: result == RETRY -> g++
        :: else -> break
        fi
#endif
    :: g < 4 && !HAS(me, g) -> g++
    :: else -> break
    od;
    if
    :: result != RETRY ->
        if
        :: GUARDS(me) & 12 -> UNLOCK(1)
        :: else
        fi;
        if
        :: GUARDS(me) & 3 -> UNLOCK(0)
        :: else
        fi
    :: else ->
        g = 0;
        offer();
        park();
        if
        :: result == RETRY -> goto again
        :: result == FINE ->
            atomic {
                if
                :: g & 1 -> saw_sent(CLAIMER(word), g); word = 0
                :: else -> got = data[me]; saw_message(got, g); got = 0
                fi
            };
            result = GAVE_UP
        :: else
        fi
    fi;
taken:
    if
    :: result == FINE -> finish(g)
    :: else
    fi;
    atomic { g = 0; result = 0; word = 0; finished[me] = 1 }
}
#define LOCALS byte partner = NOBODY, i, side, g, got, word, result; bit ok

proctype process(byte me)
{
    LOCALS;
    life()
}
#ifdef VICTIM
proctype victim(byte me)
{
    LOCALS;
    { life() } unless { dead }
}
#endif

/* When nothing moves any more. */
active proctype monitor()
{
    byte p, q, g;
    timeout ->
    atomic {
        assert(lock[0] == 0 && lock[1] == 0 && !torn[0] && !torn[1]);
        for (p : 0 .. NP - 1) {
            if
            :: !finished[p] && !IS_DEAD(p) ->
                assert(waits[p]);
                assert(commit[p] == OPEN && !woken[p]);
                for (g : 0 .. 3) {
                    if
                    :: HAS(p, g) ->
                        assert(queued[AT(p, g)] && waiting[g]??[eval(p)]);
                        assert(!ended[g / 2]);
                        for (q : 0 .. NP - 1) {
                            a_pair_waits = a_pair_waits || (q != p && !finished[q] && !IS_DEAD(q) && HAS(q, g ^ 1))
                        }
                    :: else
                    fi
                };
                assert(!a_pair_waits)
            :: else ->
                for (g : 0 .. 3) {
                    assert(!queued[AT(p, g)] && !(waiting[g]??[eval(p)]))
                }
            fi;
            assert(!told_sent[p] || n_got[p] == 1 || IS_DEAD(reader_of[p]) );
            assert(n_got[p] == 0 || told_sent[p] || IS_DEAD(p))
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
