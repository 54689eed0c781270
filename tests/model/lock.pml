/* The lock of a channel: biased to its owner, taken away from it, taken over from the dead.

   channels/lock.h, lock.c, end.c (settle) and the locks of recover.c, with the store buffers of x86 (TSO):
   a plain store goes into a queue of its worker's and reaches memory some time later, in order; a locked
   instruction waits until that queue is empty; membarrier() empties the queues of everybody. A worker that has been
   killed has stored what it had stored: its queue is emptied before its death is seen.

   Who waits for a lock does not turn in circles here, but sleeps until there is something to see; so a search for
   invalid end states finds a wait that never ends.

   Proved: at most one worker is between lock and unlock; whoever wants the lock gets it, also when any worker dies
   at any step, and repairs first what it may have left.

   @ small holds owner_and_revoker -DSCENE_TWO
   @ small fails:in_section no_membarrier -DSCENE_TWO -DMUTATION_NO_MEMBARRIER
   @ small fails:in_section the_owner_looks_once -DSCENE_TWO -DMUTATION_OWNER_LOOKS_ONCE
   @ small fails:in_section the_revoker_does_not_wait -DSCENE_TWO -DMUTATION_NO_WAIT
   @ small fails:in_section unbias_leaves_first -DSCENE_TWO -DMUTATION_UNBIAS_LEAVES_FIRST
   @ small holds the_owner_leaves_twice -DSCENE_TWO -DTWICE
   @ small holds the_owner_dies -DSCENE_THREE -DVICTIM=0
   @ small holds a_revoker_dies -DSCENE_THREE -DVICTIM=1
   @ small fails:invalidendstate nobody_seizes -DSCENE_THREE -DVICTIM=0 -DMUTATION_NO_SEIZE
   @ small fails:16+holder a_dead_revoker_is_not_looked_after -DSCENE_THREE -DVICTIM=1 -DMUTATION_NO_BIAS_SEIZE
   @ small fails:in_section seized_by_a_store -DSCENE_THREE -DVICTIM=0 -DMUTATION_SEIZE_BY_STORE -DMUTATION_SEIZE_INSIDE_ALONE
   @ small fails:in_section the_dead_one_was_about_to_retreat -DSCENE_THREE -DVICTIM=0 -DMUTATION_SEIZE_INSIDE_ALONE
   @ small holds the_bias_moves_to_a_child -DSCENE_BIRTH -DVICTIM=0
   @ small fails:invalidendstate the_bias_moves_while_its_old_owner_is_inside -DSCENE_BIRTH -DVICTIM=0 -DMUTATION_MOVE_INSIDE
   @ large holds two_revokers_twice -DSCENE_TWO -DNW=3 -DROUNDS=2 mem=12000
   @ large holds the_owner_dies_of_two_rounds -DSCENE_THREE -DVICTIM=0 -DROUNDS=2 mem=12000
   @ large holds the_owner_leaves_twice_and_dies -DSCENE_THREE -DVICTIM=0 -DTWICE mem=8000
   @ large holds two_deaths -DSCENE_THREE -DVICTIM=0 -DVICTIM2=1 mem=12000
 */
#ifdef SCENE_THREE
#define NW 3 /* owner, revoker, undertaker */
#endif
#ifdef SCENE_BIRTH
#define NW 3 /* a parent, its child, the parent's parent */
#endif
#ifndef NW
#define NW 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NOBODY 255

/* ---- memory ---- */

#define BIAS 0
#define INSIDE 1
#define LOCK 2
#define REVOKING 16  /* in bias, with the revoker's index plus 1 */
#define REPAIRING 2  /* in inside, with the repairer's index added */

byte memory[3];
chan stores[NW] = [4] of { byte, byte };
byte last[NW * 3], pending[NW * 3]; /* what a worker reads of its own stores that are on their way */

bit dead[NW], born[NW], done[NW];
byte home;
byte in_section = NOBODY; /* who is between lock and unlock */

#define AT(w, v) ((w) * 3 + (v))
#define LOAD(v) (pending[AT(me, v)] -> last[AT(me, v)] : memory[v])

inline commit_one(w)
{
    stores[w]?where,what;
    memory[where] = what;
    pending[AT(w, where)]--;
    if
    :: pending[AT(w, where)] == 0 -> last[AT(w, where)] = 0
    :: else
    fi
    where = 0; what = 0
}
inline commit_all(w)
{
    do
    :: nempty(stores[w]) -> commit_one(w)
    :: empty(stores[w]) -> break
    od
}
inline store(v, x)
{
    atomic {
        nfull(stores[me]) -> stores[me]!v,x;
        last[AT(me, v)] = x;
        pending[AT(me, v)]++
    }
}
/* `ok`: has it been exchanged? */
inline compare_exchange(v, old, new)
{
    atomic {
        empty(stores[me]) ->
        if
        :: memory[v] == old -> memory[v] = new; ok = 1
        :: else -> ok = 0
        fi
    }
}
active proctype buffers()
{
    byte where, what, w;
end:
    do
    :: atomic { nempty(stores[0]) -> commit_one(0) }
    :: atomic { nempty(stores[1]) -> commit_one(1) }
#if NW > 2
    :: atomic { nempty(stores[2]) -> commit_one(2) }
#endif
    od
}

/* ---- lock.c ---- */

inline membarrier()
{
#ifdef MUTATION_NO_MEMBARRIER
    skip
#else
    w = 0;
    do
    :: w < NW -> atomic { commit_all(w); w++ }
    :: else -> w = 0; break
    od
#endif
}

/* The section itself. A repairer finds it empty, or as the dead one has left it. */
inline enter()
{
    atomic { assert(in_section == NOBODY); in_section = me }
}
inline enter_after(d)
{
    atomic { assert(in_section == NOBODY || dead[in_section]); in_section = me } /* d, or who died while it repaired */
}
inline leave()
{
    in_section = NOBODY
}

/* usp_lock_biased: `ok` */
inline lock_biased()
{
    ok = 0;
    if
    :: LOAD(BIAS) == me + 1 ->
        store(INSIDE, 1);
#ifndef MUTATION_OWNER_LOOKS_ONCE
        if
        :: LOAD(BIAS) == me + 1 -> ok = 1
        :: else -> store(INSIDE, 0)
        fi
#else
        ok = 1
#endif
    :: else
    fi
}
/* usp_try_lock: `ok` */
inline try_lock()
{
    ok = 0;
    if
    :: LOAD(BIAS) == 0 -> compare_exchange(LOCK, 0, me + 1)
    :: else
    fi
}
/* usp_unlock */
inline unlock()
{
    leave();
    if
    :: LOAD(LOCK) == me + 1 -> store(LOCK, 0)
    :: else ->
        store(INSIDE, 0);
#ifdef TWICE /* near.c: a channel that stands among the guards twice */
        if
        :: me == 0 -> store(INSIDE, 0)
        :: else
        fi
#endif
    fi
}

#ifdef MUTATION_NO_SEIZE
#define IS_DEAD(x) false
#else
#define IS_DEAD(x) ((x) < NW && dead[x])
#endif
#define HOLDER (memory[LOCK] != 0 -> memory[LOCK] - 1 : \
                (memory[BIAS] >= REVOKING -> memory[BIAS] - 1 - REVOKING : NOBODY))
#define INSIDER (memory[INSIDE] >= REPAIRING -> memory[INSIDE] - REPAIRING : home)

/* The first part of seize_bias(): who was inside. It may have been about to retreat, after its bias had been
   taken; so the repairer needs the lock's word as well, and if somebody has that, nothing is to be repaired. */
inline seize_inside(d)
{
    cut = (home == d -> 1 : d + REPAIRING);
    if
    :: LOAD(INSIDE) == cut ->
#ifdef MUTATION_SEIZE_BY_STORE
        store(INSIDE, me + REPAIRING);
        ok = 1;
#else
        compare_exchange(INSIDE, cut, me + REPAIRING);
#endif
        if
#ifdef MUTATION_SEIZE_INSIDE_ALONE
        :: ok -> enter_after(d); unlock() /* repair_and_unlock */
#else
        :: ok ->
            compare_exchange(LOCK, 0, me + 1);
            store(INSIDE, 0);
            if
            :: ok -> enter_after(d); unlock() /* repair_and_unlock */
            :: else
            fi
#endif
        :: else
        fi
    :: else
    fi;
    ok = 0; cut = 0
}
inline seize_lock(d)
{
    if
    :: LOAD(LOCK) == d + 1 ->
        compare_exchange(LOCK, d + 1, me + 1);
        if
        :: ok -> enter_after(d); unlock()
        :: else
        fi
    :: else
    fi
    ok = 0
}
/* bias_wait, with what relax() has usp_supervise_stuck() do when the one inside has died */
inline bias_wait(mark)
{
    membarrier();
#ifndef MUTATION_NO_WAIT
    do
    :: LOAD(INSIDE) == 0 -> break
    :: atomic { LOAD(INSIDE) != 0 && IS_DEAD(INSIDER) -> insider = INSIDER }; seize_inside(insider); seize_lock(insider); insider = 0
    od;
#endif
    compare_exchange(BIAS, mark, 0)
}
/* seize(), for this channel */
inline seize(d)
{
    if
    :: LOAD(BIAS) != 0 || LOAD(INSIDE) != 0 ->
        seize_inside(d);
        if
#ifndef MUTATION_NO_BIAS_SEIZE
        :: LOAD(BIAS) == REVOKING + d + 1 -> compare_exchange(BIAS, REVOKING + d + 1, home + 1); ok = 0
#endif
        :: else
        fi
    :: else
    fi
    seize_lock(d);
    assert(LOAD(LOCK) != d + 1 && LOAD(BIAS) != REVOKING + d + 1) /* else who waits would turn in circles */
}
/* usp_lock, usp_lock_slowly */
inline lock()
{
    lock_biased();
    if
    :: ok
    :: else ->
        try_lock();
        do
        :: ok -> break
        :: !ok && memory[BIAS] != 0 && memory[BIAS] < REVOKING -> /* take_bias */
            owner = LOAD(BIAS);
            if
            :: owner != 0 && owner < REVOKING ->
                compare_exchange(BIAS, owner, REVOKING + me + 1);
                if
                :: ok -> bias_wait(REVOKING + me + 1)
                :: else
                fi
            :: else
            fi
            owner = 0;
            try_lock()
        :: !ok && memory[BIAS] == 0 && memory[LOCK] == 0 -> try_lock()
        :: atomic { !ok && IS_DEAD(HOLDER) -> holder = HOLDER }; seize(holder); holder = 0; try_lock()
        od
    fi
    ok = 0;
    enter()
}
/* usp_unbias */
inline unbias()
{
    if
    :: LOAD(LOCK) == me + 1
    :: else ->
#ifdef MUTATION_UNBIAS_LEAVES_FIRST
        store(INSIDE, 0);
        store(LOCK, me + 1);
        store(BIAS, 0)
#else
        store(LOCK, me + 1);
        store(BIAS, 0);
        store(INSIDE, 0)
#endif
    fi
}
/* settle(), for the first end of all, which is a child's */
inline settle(child)
{
#ifdef MUTATION_MOVE_INSIDE
    home = child;
    compare_exchange(BIAS, me + 1, child + 1);
    ok = 0
#else
    unbias();
    home = child;
    store(BIAS, child + 1)
#endif
}

/* ---- workers ---- */

#define LOCALS byte w, where, what, cut, owner, holder, insider; bit ok

inline live()
{
    do
    :: rounds > 0 ->
        lock();
#ifdef SCENE_TWO
        if
        :: me == 0 && rounds == 1 -> unbias() /* it makes an end for another */
        :: true
        fi;
#endif
        unlock();
        rounds--
    :: else -> break
    od;
    done[me] = 1
}
proctype worker(byte me; byte rounds)
{
    LOCALS;
    live()
}
#ifdef SCENE_THREE
proctype victim(byte me; byte rounds)
{
    LOCALS;
    { live() } unless { dead[me] }
}
#endif

#ifdef SCENE_BIRTH
/* Makes the channel, gives its first end to the child, and forks it; then uses it like any other. */
proctype parent(byte me)
{
    LOCALS;
    {
        lock();
        settle(1);
        unlock();
        atomic { empty(stores[me]); born[1] = 1; run worker(1, 1) } /* fork() */
        lock();
        unlock();
        done[me] = 1
    } unless { dead[me] }
}
#endif

/* Buries whoever has died: seize(), then what needs the lock (drop_end, drop_channel). */
proctype undertaker(byte me)
{
    LOCALS;
#ifdef SCENE_THREE
    lock();
    unlock();
#endif
end:
    do
    :: atomic { dead[0] && !done[0] -> done[0] = 1 }
#ifndef MUTATION_NO_SEIZE
        seize(0);
        lock();
        unlock();
#ifdef SCENE_BIRTH
        if
        :: born[1]
        :: else -> seize(1); lock(); unlock() /* take_over(): it was never born */
        fi
#endif
#endif
    :: atomic { dead[1] && !done[1] -> done[1] = 1 }
#ifndef MUTATION_NO_SEIZE
        seize(1);
        lock();
        unlock()
#endif
    od
}

#define KILL(v) atomic { !done[v] -> commit_all(v); dead[v] = 1 }

active proctype killer()
{
    byte where, what;
#ifdef VICTIM
    if
    :: KILL(VICTIM)
    :: true
    fi
#endif
#ifdef VICTIM2
    if
    :: KILL(VICTIM2)
    :: true
    fi
#endif
}

init
{
    atomic {
        memory[BIAS] = 1; /* biased to worker 0, whose channel it is */
        home = 0;
        born[0] = 1;
#ifdef SCENE_BIRTH
        run parent(0);
        run undertaker(2)
#else
#if (defined(VICTIM) && VICTIM == 0) || defined(VICTIM2)
        run victim(0, 2 * ROUNDS);
#else
        run worker(0, 2 * ROUNDS);
#endif
#if (defined(VICTIM) && VICTIM == 1) || defined(VICTIM2)
        run victim(1, ROUNDS);
#else
        run worker(1, ROUNDS);
#endif
#ifdef SCENE_THREE
        run undertaker(2)
#elif NW > 2
        run worker(2, ROUNDS)
#endif
#endif
    }
}
