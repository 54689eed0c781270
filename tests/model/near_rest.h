/* What near.pml has in common with match.pml, in other words: locks, queues, a communication, the general way, death.
   Included by it; `bias` and `inside` of lock.pml are here without store buffers. */

/* ---- the lock ---- */

#ifdef VICTIM
#define CUT (VICTIM == 0 -> MINE : REPAIRING + VICTIM) /* `inside` of one that has died there */
#endif


inline enter(c)
{
    atomic { assert(in_section[c] == NOBODY || IS_DEAD(in_section[c])); in_section[c] = me }
}
/* usp_lock_biased: `ok` */
inline lock_biased(c)
{
    ok = 0;
    if
    :: bias[c] == MINE ->
        inside[c] = 1;
#ifdef MUTATION_OWNER_LOOKS_ONCE
        ok = 1
#else
        if
        :: bias[c] == MINE -> ok = 1
        :: else -> inside[c] = 0
        fi
#endif
    :: else
    fi
}
inline unlock_biased(c)
{
    atomic {
        if
        :: in_section[c] == me -> in_section[c] = NOBODY
        :: else /* it stands among the guards twice */
        fi;
        inside[c] = 0
    }
}
/* The function of that name */
inline bias_wait(c)
{
#ifndef MUTATION_NO_WAIT
    do
    :: inside[c] == 0 -> break
#ifdef VICTIM
    :: dead && inside[c] == CUT -> seize_inside(c)
#endif
    od;
#endif
    bias[c] = 0
}
/* usp_lock */
inline lock_channel(c)
{
    ok = 0;
    if
    :: W(me) == 0 -> lock_biased(c)
    :: else
    fi;
    do
    :: ok -> ok = 0; break
    :: atomic { !ok && bias[c] == 0 && lock[c] == 0 -> lock[c] = W(me) + 1 }; break
    :: atomic { !ok && bias[c] == MINE -> bias[c] = REVOKING + W(me) } /* take_bias */
        bias_wait(c)
#ifdef VICTIM
    :: dead && !ok && (lock[c] == VICTIM + 1 || bias[c] == REVOKING + VICTIM) -> seize(c) /* usp_supervise_stuck */
#endif
    od;
    enter(c)
}
/* usp_unlock */
inline unlock(c)
{
    in_section[c] = NOBODY;
    if
    :: lock[c] == W(me) + 1 -> lock[c] = 0
    :: else -> inside[c] = 0
    fi
}

/* ---- queues; the lock is held ---- */

inline enqueue(g)
{
    assert(!torn[(g) / 2]);
    torn[(g) / 2] = 1;
    atomic { waiting[g]!me; queued[AT(me, g)] = 1; offers[AT(me, g)] = 1; torn[(g) / 2] = 0 }
}
/* usp_unlink */
inline unlink(p, g)
{
    assert(!torn[(g) / 2]);
    torn[(g) / 2] = 1;
    atomic { assert(waiting[g]??[eval(p)]); waiting[g]??eval(p); queued[AT(p, g)] = 0; torn[(g) / 2] = 0 }
}
inline withdraw_one(p, g)
{
    if
    :: queued[AT(p, g)] -> unlink(p, g)
    :: else
    fi
}
/* usp_take, usp_claim; and with usp_claim_near, which looks before it exchanges: `partner` */
inline take(g)
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
        atomic {
            if
            :: hands && stands[partner] == STANDS -> stands[partner] = STOOD; hands = 0; break
#ifdef MUTATION_CLAIM_BY_STORE
            :: true ->
#else
            :: !(hands && stands[partner] == STANDS) && (single[partner] || commit[partner] == OPEN) ->
#endif
                commit[partner] = CLAIMED(me, g);
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

/* ---- waking, and the run queue of worker 0 ---- */

inline wake(p)
{
    atomic {
        assert(!woken[p]);
        woken[p] = 1;
        if
        :: p < NL && W(me) == 0 -> ready!p
        :: p < NL && W(me) != 0 -> mail[p] = 1
        :: else
        fi
    }
}
#define ALL_READ (!mail[0] && !mail[NL > 1] && !mail[2 * (NL > 2)])

/* The loop's fibre: between any two others it may look at the mailbox. */
proctype loop() provided (running == LOOP && !WORKER_0_IS_DEAD)
{
    byte p;
end:
    do
    :: atomic { mail[0] -> mail[0] = 0; ready!0 }
#if NL > 1
    :: atomic { mail[1] -> mail[1] = 0; ready!1 }
#endif
#if NL > 2
    :: atomic { mail[2] -> mail[2] = 0; ready!2 }
#endif
    :: atomic { nempty(ready) -> ready?running }
#ifdef VICTIM
    :: atomic { buried && !looked[0] && ALL_READ -> /* look_after_own_tasks */
        looked[0] = 1;
        do
        :: p < NL ->
#ifndef MUTATION_NO_RETRY
            if
            :: waits[p] && !woken[p] && IS_CLAIMED(commit[p]) && IS_DEAD(CLAIMER(commit[p])) ->
                outcome[p] = RETRY; woken[p] = 1; ready!p
            :: else
            fi;
#endif
            p++
        :: else -> p = 0; break
        od
    }
#endif
    od
}

/* ---- a communication ---- */

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
/* `partner` is claimed, no lock is held */
inline finish(g)
{
    if
    :: (g) & 1 -> data[partner] = me; wake(partner); atomic { saw_sent(partner, g) }
    :: else -> got = data[partner]; wake(partner); atomic { saw_message(got, g); got = 0 }
    fi;
    partner = NOBODY
}
/* The same where the partner stands there, and runs anyway */
inline hand_over(g)
{
    took[partner] = me;
    if
    :: (g) & 1 -> data[partner] = me; atomic { saw_sent(partner, g) }
    :: else -> got = data[partner]; atomic { saw_message(got, g); got = 0 }
    fi;
    partner = NOBODY
}
#define ARMED commit[me] = NONE; outcome[me] = FINE; woken[me] = 0; n_claims[me] = 0; data[me] = me

/* ---- everybody: usp_transact(), choose() with usp_choice_wait() ---- */

inline step(g)
{
    if
    :: ended[(g) / 2] -> result = ENDED
    :: else ->
        take((g) ^ 1);
        result = (partner != NOBODY -> FINE : RETRY)
    fi
}
inline lock_all()
{
    if
    :: GUARDS(me) & 3 -> lock_channel(0)
    :: else
    fi;
    if
    :: GUARDS(me) & 12 -> lock_channel(1)
    :: else
    fi
}
inline unlock_all()
{
    if
    :: GUARDS(me) & 12 -> unlock(1)
    :: else
    fi;
    if
    :: GUARDS(me) & 3 -> unlock(0)
    :: else
    fi
}
inline withdraw_all()
{
    if
    :: IS_ALT(me) ->
        g = 0;
        do
        :: g < 4 && HAS(me, g) -> lock_channel(g / 2); withdraw_one(me, g); unlock(g / 2); g++
        :: g < 4 && !HAS(me, g) -> g++
        :: g == 4 -> break
        od
    :: else /* who claimed it has unlinked it */
    fi
}
inline park_far()
{
    waits[me] = 1;
end_parked:
    do
    :: woken[me] -> break
#ifdef VICTIM
    :: atomic { buried && !looked[me] -> /* look_after_own_tasks */
        looked[me] = 1;
        if
        :: !woken[me] && IS_CLAIMED(commit[me]) && IS_DEAD(CLAIMER(commit[me])) -> outcome[me] = RETRY; woken[me] = 1
        :: else
        fi
    }
#endif
    od;
    atomic { waits[me] = 0; result = outcome[me]; word = commit[me] }
}
inline generally()
{
    result = RETRY;
again:
    assert(result == RETRY && !waited);
    lock_all();
    g = 0; result = RETRY;
    do
    :: g < 4 && HAS(me, g) ->
        step(g);
        if
        :: result == RETRY -> g++
        :: else -> break
        fi
    :: g < 4 && !HAS(me, g) -> g++
    :: g == 4 -> break
    od;
    if
    :: result != RETRY -> unlock_all()
    :: else ->
        atomic { ARMED; single[me] = 0 };
        commit[me] = OPEN;
        g = 0;
        do
        :: g < 4 && HAS(me, g) -> enqueue(g); g++
        :: g < 4 && !HAS(me, g) -> g++
        :: g == 4 -> break
        od;
        unlock_all();
        if
        :: W(me) == 0 -> PARK_LIGHT(end_of_general)
        :: else -> park_far()
        fi;
        withdraw_all();
        commit[me] = NONE;
        if
        :: result == RETRY -> word = 0; goto again
        :: result == FINE -> waited = 1; g = GUARD(word)
        :: result == ENDED
        fi
    fi
}

/* ---- death: recover.c ---- */

#ifdef VICTIM

inline wake_side(g, what)
{
    take(g);
    do
    :: partner != NOBODY -> outcome[partner] = what; wake(partner); take(g)
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
            :: !IS_DEAD(i / 2) && commit[i / 2] == OPEN && offers[AT(i / 2, side)] ->
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
/* repair_and_unlock */
inline repair(c)
{
    enter(c);
#ifndef MUTATION_NO_REBUILD
    rebuild_queues(c);
#endif
    if
    :: ended[c] -> wake_side(2 * (c), RETRY); wake_side(2 * (c) + 1, RETRY)
    :: else
    fi;
    unlock(c)
}
/* The first half of seize_bias() */
inline seize_inside(c)
{
    atomic {
        if
        :: inside[c] == CUT -> inside[c] = REPAIRING + W(me); ok = 1
        :: else -> ok = 0
        fi
    };
    if
    :: ok ->
#ifdef MUTATION_NO_REPAIR_LOCK
        inside[c] = 0; ok = 0; repair(c)
#else
        atomic {
            if
            :: lock[c] == 0 -> lock[c] = W(me) + 1
            :: else -> ok = 0
            fi
        };
        inside[c] = 0;
        if
        :: ok -> ok = 0; repair(c)
        :: else
        fi
#endif
    :: else
    fi
}
inline seize_lock(c)
{
    atomic {
        if
        :: lock[c] == VICTIM + 1 -> lock[c] = W(me) + 1; ok = 1
        :: else -> ok = 0
        fi
    };
    if
    :: ok -> ok = 0; repair(c)
    :: else
    fi
}
/* seize(): close_commit, seize_bias, seize_lock */
inline seize(c)
{
    i = 0;
    do
    :: i < NP ->
        atomic {
            if
            :: IS_DEAD(i) && commit[i] == OPEN -> commit[i] = DEAD
            :: else
            fi;
            i++
        }
    :: else -> i = 0; break
    od;
    seize_inside(c);
    if
    :: bias[c] == REVOKING + VICTIM -> bias[c] = MINE
    :: else
    fi;
    seize_lock(c)
}
/* died(), up to BURIED */
proctype undertaker(byte me)
{
    byte partner = NOBODY, i, side, x;
    bit ok, hands;
end:
    dead;
    seize(0);
    seize(1);
    do
    :: x < 4 * NP ->
        if
        :: IS_DEAD(x / 4) && queued[x] -> /* withdraw_offers */
            lock_channel((x % 4) / 2);
            withdraw_one(x / 4, x % 4);
            unlock((x % 4) / 2)
        :: else
        fi;
        x++
    :: else -> x = 0; break
    od;
    do
    :: x < 2 -> /* drop_end, usp_channel_poison */
        if
        :: LOST(x) ->
            lock_channel(x);
            ended[x] = 1;
            wake_side(2 * x, ENDED);
            wake_side(2 * x + 1, ENDED);
            unlock(x)
        :: else
        fi;
        x++
    :: else -> break
    od;
    buried = 1
}
active proctype killer()
{
    if
    :: atomic { ANY_ALIVE -> dead = 1 }
    :: true
    fi
}
#endif
