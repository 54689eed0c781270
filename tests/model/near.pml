/* The shorter ways within one worker: READ and WRITE at a channel that is biased to it, and a choice among such
   channels; while processes of other workers come to the same channels and take the bias away, and while one of
   these workers dies.

   channels/fast.c (fast, with_lock), near.c (look, stand), at_once.c (meet), near_wait.c (offer_all, take_back, withdraw), channel.h (usp_claim,
   usp_claim_near), lock.h and lock.c (usp_lock_biased, take_bias, bias_wait), and what takes over from them where the bias is gone:
   alt.c, offer.c, io.c, as in match.pml.

   Processes 0 to NL-1 are light ones of worker 0, to which both channels are biased: one of them runs at a time,
   until it parks or yields. The others are far: each the only process of its worker. Guards are those of match.pml: G0,
   G1, ... are bits, guard g is for channel g/2, to read (even) or to write (odd); with one it does READ or WRITE, with
   more ALT. Memory is what was stored last: that two workers are never inside together on x86 is lock.pml's, and
   what is read here outside the lock (the bias, the head of a queue) decides only whether the lock is tried.

   Proved: nobody is between lock and unlock beside another; a wait is claimed once, though by a plain store where it
   is single; each agreed message comes once, and both sides agree; no two wait that match; no offer is left behind;
   with a death the same for survivors, and nobody waits for the dead.

   @ small holds three_of_one_worker -DNL=3 -DNF=0 -DG0=6 -DG1=9 -DG2=15
   @ small holds two_choices_and_one_from_afar -DNL=2 -DNF=1 -DG0=6 -DG1=9 -DG2=15
   @ small holds a_choice_a_read_and_a_write_from_afar -DNL=2 -DNF=1 -DG0=5 -DG1=8 -DG2=2
   @ small holds a_choice_and_two_that_come_to_it -DNL=3 -DNF=0 -DG0=9 -DG1=2 -DG2=4
   @ small holds a_choice_and_one_that_comes_to_it_from_afar -DNL=2 -DNF=1 -DG0=9 -DG1=2 -DG2=2
   @ small holds a_channel_that_stands_twice -DNL=2 -DNF=1 -DG0=7 -DG1=9 -DG2=3
   @ small holds two_from_afar -DNL=1 -DNF=2 -DG0=6 -DG1=1 -DG2=8
   @ small fails:in_section the_owner_looks_once -DNL=1 -DNF=1 -DG0=1 -DG1=2 -DMUTATION_OWNER_LOOKS_ONCE
   @ small fails:in_section the_revoker_does_not_wait -DNL=1 -DNF=1 -DG0=1 -DG1=2 -DMUTATION_NO_WAIT
   @ small fails:a_pair_waits offers_where_the_bias_is_gone -DNL=1 -DNF=1 -DG0=5 -DG1=2 -DMUTATION_OFFERS_WITHOUT_BIAS
   @ small fails:a_pair_waits no_look_after_others_ran -DNL=2 -DNF=0 -DG0=5 -DG1=2 -DMUTATION_NO_LOOK_AFTER_YIELD
   @ small fails:n_got what_was_handed_over_is_not_seen -DNL=2 -DNF=1 -DG0=5 -DG1=2 -DG2=2 -DMUTATION_NOT_SEEN
   @ small fails:queued who_stands_does_not_sit_down -DNL=2 -DNF=0 -DG0=5 -DG1=2 -DMUTATION_STANDS_FOR_EVER
   @ small fails:n_claims a_choice_is_claimed_by_a_store -DNL=2 -DNF=1 -DG0=5 -DG1=8 -DG2=2 -DMUTATION_CLAIM_BY_STORE
   @ small fails:in_section locked_again_and_let_go -DNL=1 -DNF=1 -DG0=3 -DG1=3 -DMUTATION_LOCKED_AGAIN
   @ small fails:queued offers_are_not_taken_back -DNL=1 -DNF=1 -DG0=5 -DG1=8 -DMUTATION_NO_TAKE_BACK
   @ small fails:Q_has withdrawn_without_the_lock -DNL=2 -DNF=1 -DG0=5 -DG1=8 -DG2=2 -DMUTATION_WITHDRAW_UNLOCKED
   @ small fails:queued a_withdrawal_stops_at_a_lost_bias -DNL=2 -DNF=1 -DG0=5 -DG1=8 -DG2=1 -DMUTATION_WITHDRAW_ONLY_NEAR
   @ small holds the_worker_of_all_dies -DNL=1 -DNF=1 -DG0=5 -DG1=2 -DVICTIM=0
   @ large holds the_worker_of_two_dies -DNL=2 -DNF=1 -DG0=2 -DG1=5 -DG2=6 -DVICTIM=0
   @ small holds the_one_from_afar_dies -DNL=1 -DNF=1 -DG0=5 -DG1=2 -DVICTIM=1
   @ small fails:in_section nobody_repairs_behind_the_bias -DNL=1 -DNF=1 -DG0=6 -DG1=9 -DVICTIM=0 -DMUTATION_NO_REPAIR_LOCK
   @ small fails:torn what_was_inside_is_not_repaired -DNL=1 -DNF=1 -DG0=6 -DG1=9 -DVICTIM=0 -DMUTATION_NO_REBUILD
   @ small fails:commit[p]==1 lost_claims_are_not_looked_for -DNL=1 -DNF=1 -DG0=5 -DG1=2 -DVICTIM=1 -DMUTATION_NO_RETRY
   @ large holds three_and_one_from_afar -DNL=3 -DNF=1 -DG0=6 -DG1=9 -DG2=15 -DG3=15 mem=12000
   @ large holds two_and_two_from_afar -DNL=2 -DNF=2 -DG0=6 -DG1=9 -DG2=5 -DG3=10 mem=12000
   @ large holds the_worker_of_two_choices_dies -DNL=2 -DNF=1 -DG0=6 -DG1=9 -DG2=15 -DVICTIM=0 mem=12000
   @ large holds the_worker_of_a_choice_dies -DNL=1 -DNF=1 -DG0=6 -DG1=9 -DVICTIM=0 mem=12000
   @ large holds the_choice_from_afar_dies -DNL=1 -DNF=1 -DG0=6 -DG1=9 -DVICTIM=1 mem=12000
   @ large holds two_and_one_from_afar_that_dies -DNL=2 -DNF=1 -DG0=6 -DG1=1 -DG2=9 -DVICTIM=1 mem=12000
 */
#define NP (NL + NF)
#define NW (NF + 2) /* and an undertaker */
#define NOBODY 255
#define LOOP 254    /* the fibre of worker 0's loop */
#ifndef G1
#define G1 0
#endif
#ifndef G2
#define G2 0
#endif
#ifndef G3
#define G3 0
#endif
#define GUARDS(p) ((p) == 0 -> G0 : ((p) == 1 -> G1 : ((p) == 2 -> G2 : G3)))
#define HAS(p, g) ((GUARDS(p) >> (g)) & 1)
#define IS_ALT(p) !(GUARDS(p) == 1 || GUARDS(p) == 2 || GUARDS(p) == 4 || GUARDS(p) == 8)
#define ONLY_GUARD(p) (HAS(p, 0) -> 0 : (HAS(p, 1) -> 1 : (HAS(p, 2) -> 2 : 3)))
#define AT(p, g) ((p) * 4 + (g))
#define W(p) ((p) < NL -> 0 : (p) - NL + 1) /* the undertaker is NP */

/* commit words */
#define NONE 0
#define OPEN 1
#define DEAD 2
#define CLAIMED(p, g) (4 + (p) * 4 + (g))
#define IS_CLAIMED(c) ((c) >= 4)
#define CLAIMER(c) (((c) - 4) / 4)
#define GUARD(c) (((c) - 4) % 4)

/* outcomes, and results of a look */
#define FINE 0
#define RETRY 1
#define ENDED 2

/* ---- channels ---- */

#define REVOKING 16 /* in bias, with the revoker's index */
#define REPAIRING 2 /* in inside, with the repairer's index */
#define MINE 1      /* worker 0's */

byte bias[2] = MINE, inside[2], lock[2];
byte in_section[2] = NOBODY;        /* what really happens: who is between lock and unlock */
chan waiting[4] = [NP] of { byte }; /* offers for guard g */
bit torn[2], ended[2];

/* ---- processes ---- */

byte commit[NP], outcome[NP], data[NP];
bit single[NP], queued[NP * 4], offers[NP * 4], waits[NP];
bit woken[NP];
#define STANDS 1 /* in `stands`: an offer of who is ready to run */
#define STOOD 2  /* and it was taken */
byte stands[NP], took[NP];
byte running = LOOP, who[8] = NOBODY; /* of worker 0; `who`: by process number of Spin */
chan ready = [NL] of { byte };
bit mail[NL];

byte n_claims[NP], n_got[NP], reader_of[NP] = NOBODY, writer_at[NP] = NOBODY, reader_at[NP] = NOBODY;
bit told_sent[NP], finished[NP];
bit dead, buried, looked[NP], a_pair_waits;

#ifdef VICTIM
#define IS_DEAD(p) (dead && W(p) == VICTIM)
#define WORKER_0_IS_DEAD (dead && VICTIM == 0)
#define HAD_END(p, c) (IS_DEAD(p) && ((GUARDS(p) >> (2 * (c))) & 3) != 0)
#define LOST(c) (HAD_END(0, c) || (NP > 1 && HAD_END(1, c)) || (NP > 2 && HAD_END(2, c)) || (NP > 3 && HAD_END(3, c)))
#define LIVES(p) (W(p) == VICTIM && !finished[((p) < NP -> (p) : 0)])
#define ANY_ALIVE (LIVES(0) || LIVES(1) || LIVES(2))
#else
#define IS_DEAD(p) false
#define WORKER_0_IS_DEAD false
#endif

/* `until`: a label that begins with `end` */
#define PARK_LIGHT(until) \
    atomic { waits[me] = 1; running = LOOP }; \
until: \
    atomic { assert(woken[me]); waits[me] = 0; result = outcome[me]; word = commit[me] }

#include "near_rest.h"

/* ---- within worker 0: fast() and usp_choice_near(); `result` RETRY with `near` down: go the general way ---- */

/* look(), with meet() */
inline look_near()
{
    g = 0;
    do
    :: g < 4 && HAS(me, g) ->
        if
        :: bias[g / 2] != MINE -> near = 0; break
        :: else ->
            if
            :: nempty(waiting[g ^ 1]) ->
                lock_biased(g / 2);
                if
                :: !ok -> near = 0; break
                :: ok -> ok = 0; enter(g / 2); take(g ^ 1); unlock_biased(g / 2)
                fi;
                if
                :: partner != NOBODY -> break
                :: else -> g++
                fi
            :: empty(waiting[g ^ 1]) -> g++
            fi
        fi
    :: g < 4 && !HAS(me, g) -> g++
    :: g == 4 -> break
    od
}
/* offer_all(), with take_back(): `near` goes down if it cannot be done */
inline offer_near()
{
    atomic { ARMED; single[me] = 0; g = 0 };
    do
    :: g < 4 && HAS(me, g) ->
#ifndef MUTATION_LOCKED_AGAIN
        if
        :: inside[g / 2] == 1 -> ok = 1 /* by this choice: it stands among the guards twice */
        :: else ->
#endif
            lock_biased(g / 2);
#ifdef MUTATION_OFFERS_WITHOUT_BIAS
            if
            :: !ok -> lock_channel(g / 2)
            :: ok -> enter(g / 2)
            fi;
            ok = 1
#else
            if
            :: ok && in_section[g / 2] != me -> enter(g / 2)
            :: else
            fi
#endif
#ifndef MUTATION_LOCKED_AGAIN
        fi;
#else
        ;
#endif
        if
        :: ok -> ok = 0; enqueue(g); g++
        :: else -> near = 0; break
        fi
    :: g < 4 && !HAS(me, g) -> g++
    :: g == 4 -> break
    od;
    last = g; g = 0;
    if
    :: near -> commit[me] = OPEN
    :: else ->
#ifndef MUTATION_NO_TAKE_BACK
        do
        :: g < last && HAS(me, g) -> withdraw_one(me, g); g++
        :: g < last && !HAS(me, g) -> g++
        :: g == last -> break
        od
#endif
    fi;
    g = last;
    do
    :: g > 0 && HAS(me, g - 1) ->
#ifdef MUTATION_OFFERS_WITHOUT_BIAS
        if
        :: in_section[(g - 1) / 2] == me -> unlock((g - 1) / 2)
        :: else
        fi;
#else
        unlock_biased((g - 1) / 2);
#endif
        g--
    :: g > 0 && !HAS(me, g - 1) -> g--
    :: g == 0 -> break
    od;
    last = 0
}
inline withdraw_near()
{
    g = 0;
    do
    :: g < 4 && HAS(me, g) ->
#ifdef MUTATION_WITHDRAW_UNLOCKED
        withdraw_one(me, g);
#else
        lock_biased(g / 2);
        if
        :: ok -> ok = 0; enter(g / 2); withdraw_one(me, g); unlock_biased(g / 2)
        :: else ->
#ifndef MUTATION_WITHDRAW_ONLY_NEAR
            lock_channel(g / 2); withdraw_one(me, g); unlock(g / 2)
#endif
        fi;
#endif
        g++
    :: g < 4 && !HAS(me, g) -> g++
    :: g == 4 -> break
    od
}
/* stand(): at the guard that is looked at first, which may be any; or not */
inline stand_near()
{
    if
    :: HAS(me, 0) -> g = 0
    :: HAS(me, 1) -> g = 1
    :: HAS(me, 2) -> g = 2
    :: HAS(me, 3) -> g = 3
    :: g = 4
    fi;
    if
    :: g < 4 ->
        if
        :: empty(waiting[g]) ->
            lock_biased(g / 2);
            if
            :: ok ->
                ok = 0;
                enter(g / 2);
                atomic { ARMED; single[me] = 0; stands[me] = STANDS };
                enqueue(g);
                unlock_biased(g / 2)
            :: else
            fi
        :: nempty(waiting[g])
        fi
    :: else
    fi;
    last = g
}
/* look_as_usual(), before it looks */
inline sit_down()
{
    if
    :: stands[me] == STANDS ->
#ifndef MUTATION_STANDS_FOR_EVER
        lock_channel(last / 2); withdraw_one(me, last); unlock(last / 2);
#endif
        stands[me] = 0
    :: else
    fi
}
inline alt_near()
{
    look_near();
    if
    :: near && partner == NOBODY ->
        if
        :: true -> /* lets_others_run, and looks again */
            stand_near();
            atomic { ready!me; running = LOOP };
            if
            :: stands[me] == STOOD ->
                stands[me] = 0;
#ifndef MUTATION_NOT_SEEN
                waited = 1
#else
                look_near()
#endif
            :: else ->
                sit_down();
#ifndef MUTATION_NO_LOOK_AFTER_YIELD
                look_near()
#endif
            fi
        :: nempty(ready) /* it was in vain lately */
        :: empty(ready)
        fi
    :: else
    fi;
    if
    :: waited -> result = FINE; g = last; last = 0; word = CLAIMED(took[me], g)
    :: partner != NOBODY -> result = FINE
    :: near && partner == NOBODY && !waited ->
        offer_near();
        if
        :: near ->
            PARK_LIGHT(end_of_alt);
            if
            :: result == FINE -> withdraw_near(); commit[me] = NONE; waited = 1; g = GUARD(word)
            :: else -> withdraw_all(); commit[me] = NONE; near = 0 /* woken() */
            fi
        :: else -> result = RETRY
        fi
    :: else -> result = RETRY
    fi
}
/* fast(): READ or WRITE */
inline fast()
{
    g = ONLY_GUARD(me);
    lock_biased(g / 2);
    if
    :: ok ->
        ok = 0;
        enter(g / 2);
        hands = 1;
        take(g ^ 1);
        if
        :: partner != NOBODY && !hands -> hand_over(g); unlock_biased(g / 2); result = FINE; handed = 1
        :: partner != NOBODY && hands -> hands = 0; unlock_biased(g / 2); result = FINE
        :: else ->
            hands = 0;
            atomic { ARMED; single[me] = 1 };
            commit[me] = OPEN;
            enqueue(g);
            unlock_biased(g / 2);
            PARK_LIGHT(end_of_fast);
            commit[me] = NONE;
            waited = (result == FINE);
            near = (result == FINE)
        fi
    :: else -> near = 0; result = RETRY
    fi
}

inline life()
{
    if
    :: W(me) == 0 ->
        near = 1;
        if
        :: IS_ALT(me) -> alt_near()
        :: else -> fast()
        fi
    :: else
    fi;
    if
    :: !near -> word = 0; generally()
    :: else
    fi;
    if
    :: result == FINE && waited ->
        atomic {
            if
            :: g & 1 -> saw_sent(CLAIMER(word), g)
            :: else -> got = data[me]; saw_message(got, g); got = 0
            fi
        }
    :: result == FINE && !waited && !handed -> finish(g)
    :: else
    fi;
    d_step {
        g = 0; word = 0; result = 0; near = 0; waited = 0; handed = 0; last = 0; finished[me] = 1;
        running = (W(me) == 0 -> LOOP : running)
    }
}
#define LOCALS byte partner = NOBODY, i, side, g, got, word, result, last; bit ok, near, waited, hands, handed

proctype light(byte me) provided (running == who[_pid] || WORKER_0_IS_DEAD)
{
    LOCALS;
    { life() } unless { IS_DEAD(me) }
}
proctype far(byte me)
{
    LOCALS;
    { life() } unless { IS_DEAD(me) }
}

/* When nothing moves any more. */
active proctype monitor()
{
    byte p, q, g;
    timeout ->
    atomic {
        assert(in_section[0] == NOBODY && in_section[1] == NOBODY && !torn[0] && !torn[1]);
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
            assert(!told_sent[p] || n_got[p] == 1 || IS_DEAD(reader_of[p]));
            assert(n_got[p] == 0 || told_sent[p] || IS_DEAD(p))
        }
    }
}

init
{
    byte p, number;
    atomic {
        for (p : 0 .. NP - 1) {
            if
            :: p < NL -> ready!p; number = run light(p); who[number] = p
            :: else -> run far(p)
            fi
        };
        run loop();
#ifdef VICTIM
        run undertaker(NP)
#endif
    }
}
