/* The lanes of a buffer that several workers use, and the lock of its channel.

   channels/lane.c, usp_lanes_clear() in lock.c, what step_buffered(), usp_refill() and wait_for_partner() do under the lock, and the
   lanes in recover.c; with the store buffers of x86 (TSO), as in lock.pml. A channel of one reader and one or two writers;
   whoever has to wait leaves word under the lock and sleeps until it is given something, or its message has been taken.
   One at a time waits on a side here; another one that would have to comes again when that is over.

   Proved: nobody is in a lane, past its look, while another is in it or has the lock; of each writer every message comes out
   once and in order; nobody waits who could go on; also when a writer dies at any step.

   @ small holds one_writer -DWRITERS=1 -DEACH=3
   @ small holds two_writers -DWRITERS=2 -DEACH=2 -DCAPACITY=1
   @ small fails:next nobody_waits_for_the_lanes -DWRITERS=2 -DEACH=2 -DCAPACITY=1 -DMUTATION_NO_CLEAR
   @ small fails:locked the_lock_is_not_looked_at -DWRITERS=1 -DEACH=3 -DCAPACITY=1 -DMUTATION_NO_LOOK
   @ small fails:working a_lane_is_taken_by_a_plain_store -DWRITERS=1 -DEACH=3 -DCAPACITY=1 -DMUTATION_PLAIN_HOLDER
   @ small fails:invalidendstate the_count_is_older_than_the_look -DWRITERS=2 -DEACH=2 -DCAPACITY=1 -DMUTATION_EARLY_COUNT
   @ small fails:invalidendstate nobody_looks_who_waits -DWRITERS=1 -DEACH=3 -DCAPACITY=1 -DMUTATION_NO_WAITS
   @ small fails:next it_goes_by_what_it_has_seen -DWRITERS=1 -DEACH=3 -DCAPACITY=1 -DMUTATION_SEEN_ONLY
   @ small fails:next what_was_seen_is_not_renewed -DWRITERS=2 -DEACH=3 -DCAPACITY=1 -DMUTATION_SEEN_KEPT
   @ small holds a_writer_dies -DWRITERS=2 -DEACH=1 -DCAPACITY=1 -DVICTIM=1
   @ small fails:invalidendstate a_lane_of_the_dead_is_kept -DWRITERS=2 -DEACH=1 -DCAPACITY=1 -DVICTIM=1 -DMUTATION_NO_SEIZE
   @ small fails:working who_seizes_the_lock_does_not_wait -DWRITERS=2 -DEACH=2 -DCAPACITY=1 -DVICTIM=1 -DMUTATION_SEIZE_AT_ONCE
   @ large holds two_writers_of_two_messages -DWRITERS=2 -DEACH=2 -DCAPACITY=2 mem=12000
   @ large holds a_writer_of_two_dies -DWRITERS=2 -DEACH=2 -DCAPACITY=1 -DVICTIM=1 mem=12000
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define READER 0 /* workers, and the reader's side; the writers' is 1 */
#ifdef VICTIM
#define NW 4 /* two writers, and an undertaker */
#elif WRITERS == 2
#define NW 3
#else
#define NW 2
#endif

/* ---- memory ---- */

#define LOCK 0
#define HOLDER(side) (1 + (side))
#define COUNT(side) (3 + (side))
#define SEEN(side) (5 + (side))
#define WAITS(side) (7 + (side)) /* who waits, plus 1 */
#define OFFERED 9                /* the message of a writer that waits */
#define SLOT(n) (10 + (n) % CAPACITY)
#if CAPACITY == 1
#define NV 11
#else
#define NV 12
#endif

byte memory[NV];
chan stores[NW] = [5] of { byte, byte };
byte last[NW * NV], pending[NW * NV];

bit dead[NW], ended[NW];
byte given[NW]; /* to who waits; 255: its message has been taken */
byte next[3];
bit working[2]; /* somebody is in that lane, and goes */
bit locked;     /* somebody has the lock, and nobody is in a lane */

#define AT(w, v) ((w) * NV + (v))
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
#if NW > 3
    :: atomic { nempty(stores[3]) -> commit_one(3) }
#endif
    od
}

#ifdef VICTIM
#define IS_DEAD(x) ((x) > 0 && (x) <= NW && dead[(x) - 1])
#else
#define IS_DEAD(x) false
#endif

/* ---- recover.c ---- */

/* Who had the lane, and has died, works there no more. */
inline seize_lane(side, held)
{
    atomic {
        compare_exchange(HOLDER(side), held, 0);
        if
        :: ok -> working[side] = 0
        :: else
        fi
    };
    ok = 0
}

/* usp_lanes_clear */
inline clear(side)
{
    do
    :: LOAD(HOLDER(side)) == 0 -> break
#ifndef MUTATION_NO_SEIZE
    :: atomic { IS_DEAD(memory[HOLDER(side)]) -> cut = memory[HOLDER(side)] }; seize_lane(side, cut); cut = 0
#endif
    od
}
/* The word is this worker's. */
inline enter()
{
#ifndef MUTATION_NO_CLEAR
    clear(0);
    clear(1);
#endif
    atomic { assert(!working[0] && !working[1]); assert(!locked); locked = 1 }
}
inline unlock()
{
    locked = 0;
    store(LOCK, 0)
}
/* seize(), for this channel; of what the lock guards nothing is half ended here */
inline seize(held)
{
#ifndef MUTATION_NO_SEIZE
    seize_lane(0, held);
    seize_lane(1, held);
#endif
    compare_exchange(LOCK, held, me + 1);
    if
    :: ok ->
#ifdef MUTATION_SEIZE_AT_ONCE
        atomic { assert(!working[0] && !working[1]); locked = 1 }
#else
        locked = 0;
        enter();
#endif
        unlock()
    :: else
    fi;
    ok = 0
}
inline lock()
{
    ok = 0;
    do
    :: ok -> break
    :: !ok && memory[LOCK] == 0 -> compare_exchange(LOCK, 0, me + 1)
    :: atomic { !ok && IS_DEAD(memory[LOCK]) -> held = memory[LOCK] }; seize(held); held = 0
    od;
    ok = 0;
    enter()
}

/* ---- lane.c ---- */

#define LIMIT(side) ((side) * CAPACITY)

/* usp_lane_use: `ok`. A reader's message comes in `x`, a writer's is in it. */
inline use_lane(side)
{
    ok = 0;
    if
    :: LOAD(LOCK) == 0 ->
#ifdef MUTATION_PLAIN_HOLDER
        if
        :: LOAD(HOLDER(side)) == 0 -> store(HOLDER(side), me + 1); ok = 1
        :: else
        fi;
#else
        compare_exchange(HOLDER(side), 0, me + 1);
#endif
        if
        :: ok ->
#ifdef MUTATION_EARLY_COUNT
            count = LOAD(COUNT(side));
#endif
#ifndef MUTATION_NO_LOOK
            ok = LOAD(LOCK) == 0;
#endif
            if
            :: ok ->
                atomic { assert(!working[side]); assert(!locked); working[side] = 1 };
#ifndef MUTATION_EARLY_COUNT
                count = LOAD(COUNT(side));
#endif
#ifndef MUTATION_NO_WAITS
                ok = LOAD(WAITS(1 - side)) == 0;
#endif
                if
                :: ok && LOAD(SEEN(side)) + LIMIT(side) == count ->
                    other = LOAD(COUNT(1 - side));
                    store(SEEN(side), other);
                    other = 0;
#ifndef MUTATION_SEEN_ONLY
                    ok = LOAD(SEEN(side)) + LIMIT(side) != count
#endif
                :: else
                fi;
                if
                :: ok && side == READER -> x = LOAD(SLOT(count)); store(COUNT(side), count + 1)
                :: ok && side != READER -> store(SLOT(count), x); store(COUNT(side), count + 1)
                :: else
                fi;
                atomic { working[side] = 0; count = 0 }
            :: else
            fi;
            store(HOLDER(side), 0)
        :: else
        fi
    :: else
    fi
}

/* ---- under the lock ---- */

/* usp_buffer_put, usp_buffer_get with step() */
inline put(message)
{
    count = LOAD(COUNT(1));
    store(SLOT(count), message);
#ifndef MUTATION_SEEN_KEPT
    other = LOAD(COUNT(READER));
    store(SEEN(1), other);
#endif
    store(COUNT(1), count + 1);
    count = 0; other = 0
}
inline get()
{
    count = LOAD(COUNT(READER));
    x = LOAD(SLOT(count));
#ifndef MUTATION_SEEN_KEPT
    other = LOAD(COUNT(1));
    store(SEEN(READER), other);
#endif
    store(COUNT(READER), count + 1);
    count = 0; other = 0
}
#define EMPTY (LOAD(COUNT(1)) == LOAD(COUNT(READER)))
#define FULL (LOAD(COUNT(1)) == LOAD(COUNT(READER)) + CAPACITY)

/* Wakes who waits on that side: what it finds is that its offer has been taken. */
inline take(side, what_for)
{
    who = LOAD(WAITS(side)) - 1;
    store(WAITS(side), 0);
    given[who] = what_for;
    who = 0
}

inline write_one()
{
    do
    :: use_lane(1);
        if
        :: ok -> ok = 0; break
        :: else ->
            lock();
            if
            :: LOAD(WAITS(READER)) != 0 -> take(READER, x); unlock(); break
            :: LOAD(WAITS(READER)) == 0 && !FULL -> put(x); unlock(); break
            :: LOAD(WAITS(READER)) == 0 && FULL ->
#ifdef VICTIM
                unlock();
                memory[COUNT(1)] != memory[COUNT(READER)] + CAPACITY
#else
                if
                :: LOAD(WAITS(1)) != 0 -> unlock(); memory[WAITS(1)] == 0
                :: else ->
                    store(OFFERED, x);
                    store(WAITS(1), me + 1);
                    unlock();
                    given[me] != 0;
                    given[me] = 0;
                    break
                fi
#endif
            fi
        fi
    od
}

/* usp_refill */
inline refill()
{
    if
    :: LOAD(WAITS(1)) != 0 -> offered = LOAD(OFFERED); put(offered); take(1, 255); offered = 0
    :: else
    fi
}
/* `x` stays 0: nothing comes any more. */
inline read_one()
{
    x = 0;
    do
    :: use_lane(READER);
        if
        :: ok -> ok = 0; break
        :: else ->
            lock();
            if
            :: !EMPTY -> get(); refill(); unlock(); break
            :: EMPTY ->
#ifdef VICTIM
                unlock();
                if
                :: memory[COUNT(1)] != memory[COUNT(READER)]
                :: (ended[1] || dead[1]) && ended[2] && empty(stores[1]) && empty(stores[2]) &&
                   memory[COUNT(1)] == memory[COUNT(READER)] -> break
                fi
#else
                store(WAITS(READER), me + 1);
                unlock();
                given[me] != 0;
                x = given[me];
                given[me] = 0;
                break
#endif
            fi
        fi
    od
}

/* ---- workers ---- */

#define MESSAGE(w, n) ((w) * 16 + (n))
#define LOCALS byte where, what, cut, held, count, other, offered, who, n, x; bit ok

inline write_all()
{
    n = 1;
    do
    :: n <= EACH -> x = MESSAGE(me, n); write_one(); n++
    :: else -> break
    od;
    ended[me] = 1
}
proctype writer(byte me)
{
    LOCALS;
    write_all()
}
#ifdef VICTIM
proctype victim(byte me)
{
    LOCALS;
    { write_all() } unless { dead[me] }
}
active proctype killer()
{
    byte where, what;
    if
    :: atomic { !ended[VICTIM] -> commit_all(VICTIM); dead[VICTIM] = 1 }
    :: true
    fi
}
proctype undertaker(byte me)
{
    LOCALS;
end:
    dead[VICTIM] -> seize(VICTIM + 1);
    lock(); /* to withdraw what the dead one had there */
    unlock()
}
#endif
proctype reader(byte me)
{
    LOCALS;
    do
#ifndef VICTIM
    :: n == WRITERS * EACH -> break
    :: n < WRITERS * EACH ->
#else
    :: true ->
#endif
        read_one();
        if
        :: x == 0 -> break
        :: else
        fi;
        who = x / 16;
        assert(who >= 1 && who <= WRITERS && x % 16 == next[who] + 1);
        next[who] = next[who] + 1;
        who = 0;
        n++
    od;
    assert(next[WRITERS] == EACH); /* it lives */
    ended[me] = 1
}

init
{
    atomic {
        run reader(0);
#ifdef VICTIM
        run victim(1);
        run writer(2);
        run undertaker(3)
#else
        run writer(1);
#if WRITERS > 1
        run writer(2)
#endif
#endif
    }
}
