/* Ends: how they are counted, how a side retires, who frees the channel; and a death at any step of that.

   channels/end.c (usp_end_new_in, count_in, count_out, usp_end_release), channel.c (usp_channel_poison, usp_channel_unref,
   usp_wake_side), recover.c (count_end, repair, repair_and_unlock, drop_end, drop_channel by its lack of a holder).

   One channel, which nobody holds but by its ends. Process 0 has a reading end and waits for messages that never
   come; 1 and 2 have a writing end each, and let go of it. Process 2 makes another before, and lets go of both.

   Proved: the reader is told of the end exactly when the last writing end has gone (or of the poison); counts are
   what the ends are; the channel is freed once, with its last end, and is not touched after it.

   @ small holds all_retire
   @ small holds one_poisons -DPOISONS=1
   @ small holds a_writer_dies -DVICTIM=2
   @ small holds a_writer_dies_gently -DVICTIM=2 -DGENTLE
   @ small holds the_reader_dies -DVICTIM=0
   @ small fails:finished the_last_wakes_nobody -DMUTATION_SILENT_END
   @ small fails:freed counts_are_not_made_anew -DVICTIM=2 -DGENTLE -DMUTATION_NO_RECOUNT
   @ small fails:finished waiters_are_not_sent_to_look_again -DVICTIM=2 -DGENTLE -DMUTATION_NO_WAKE_IN_REPAIR
   @ small fails:freed freed_with_the_last_but_one -DMUTATION_FREED_EARLY
   @ small fails:freed nobody_frees_for_the_dead -DVICTIM=0 -DGENTLE -DMUTATION_NO_FREE_IN_REPAIR
   @ small fails:finished the_end_is_stored_after_the_count -DVICTIM=2 -DGENTLE -DMUTATION_ENDED_LATE
 */
#define NOBODY 255
#define UNDERTAKER 3
#define NE 4
#define SIDE(e) ((e) == 0 -> 0 : 1)      /* 0: reads */
#define OWNER(e) ((e) == 3 -> 2 : (e))

#define POISONED 1
#define NO_READERS 2
#define NO_WRITERS 4
#define OVER(side) ((side) == 0 -> NO_READERS : NO_WRITERS)

byte lock;
byte ended;
byte n_readers = 1, n_writers = 2, n_refs = 3;
bit is_end[NE], retired[NE];             /* its magic says so */
bit waits, woken;                        /* the reader, under the lock */
bit freed;
bit finished[3], dead, reclaimed;

#ifdef VICTIM
#define IS_DEAD(p) ((p) == VICTIM && dead)
#else
#define IS_DEAD(p) false
#endif
#define UNLOCK lock = 0
#define TOUCH assert(!freed)

inline lock_channel()
{
    TOUCH;
    do
    :: atomic { lock == 0 -> lock = me + 1; break }
#ifdef VICTIM
    :: dead && lock == VICTIM + 1 -> seize(); if :: freed -> break :: else fi
#endif
    od
}
/* usp_wake_side: the reader is the only one that waits */
inline wake_all()
{
    atomic {
        if
        :: waits -> waits = 0; woken = 1
        :: else
        fi
    }
}
inline count(side, by)
{
    if
    :: (side) == 0 -> n_readers = n_readers + by
    :: else -> n_writers = n_writers + by
    fi
}
/* The lock is held, and is released here. */
inline unref()
{
    TOUCH;
    n_refs--;
    if
#ifdef MUTATION_FREED_EARLY
    :: n_refs > 1 -> UNLOCK
#else
    :: n_refs > 0 -> UNLOCK
#endif
    :: else -> atomic { assert(!freed); freed = 1; UNLOCK } /* it is this worker's: reclaimed with it if it dies here */
    fi
}
inline count_out(e)
{
    if
    :: retired[e]
    :: else ->
        last = ((SIDE(e) == 0 -> n_readers : n_writers) == 1);
#ifdef MUTATION_ENDED_LATE
        retired[e] = 1;
        count(SIDE(e), -1);
#endif
        if
        :: last -> ended = ended | OVER(SIDE(e))
        :: else
        fi;
#ifndef MUTATION_ENDED_LATE
        retired[e] = 1;
        count(SIDE(e), -1);
#endif
        if
#ifndef MUTATION_SILENT_END
        :: last -> wake_all()
#endif
        :: else
        fi;
        last = 0
    fi
}
/* usp_end_release; `poisons`: USP_LEAVE_POISON */
inline release(e, poisons)
{
    if
    :: poisons ->
        lock_channel();
        ended = ended | POISONED;
        wake_all();
        UNLOCK
    :: else
    fi;
    lock_channel();
    count_out(e);
    is_end[e] = 0;
    unref()
}
/* usp_end_new_in */
inline new_end(e)
{
    lock_channel();
    n_refs++;
    retired[e] = (ended & OVER(SIDE(e)) -> 1 : 0);
    if
    :: !retired[e] -> count(SIDE(e), 1)
    :: else
    fi;
    is_end[e] = 1;
    UNLOCK
}

#ifdef VICTIM
inline seize()
{
    atomic {
        if
        :: lock == VICTIM + 1 -> lock = me + 1; ok = 1
        :: else -> ok = 0
        fi
    };
    if
    :: ok ->
        ok = 0;
        TOUCH;
#ifndef MUTATION_NO_RECOUNT
        atomic { /* repair */
            n_refs = 0; n_readers = 0; n_writers = 0;
            i = 0;
            do
            :: i < NE ->
                if
                :: is_end[i] ->
                    n_refs++;
                    n_readers = n_readers + (SIDE(i) == 0 && !retired[i]);
                    n_writers = n_writers + (SIDE(i) == 1 && !retired[i])
                :: else
                fi;
                i++
            :: else -> i = 0; break
            od
        };
#endif
#ifndef MUTATION_NO_WAKE_IN_REPAIR
        if
        :: ended -> wake_all()
        :: else
        fi;
#endif
        if /* repair_and_unlock */
        :: n_refs > 0 -> UNLOCK
        :: else ->
#ifdef MUTATION_NO_FREE_IN_REPAIR
            UNLOCK
#else
            n_refs = 1;
            unref()
#endif
        fi
    :: else
    fi
}
proctype undertaker(byte me)
{
    byte e, i;
    bit last, ok;
end:
    dead;
    if
    :: !freed -> seize()
    :: else
    fi;
    do /* drop_end */
    :: e < NE && OWNER(e) == VICTIM && is_end[e] ->
#ifdef GENTLE
        release(e, 0);
#else
        release(e, !retired[e]);
#endif
        e++
    :: e < NE && !(OWNER(e) == VICTIM && is_end[e]) -> e++
    :: else -> break
    od;
    reclaimed = 1
}
active proctype killer()
{
    if
    :: atomic { !finished[VICTIM] -> dead = 1 }
    :: true
    fi
}
#endif

#ifdef POISONS
#define DOES_POISON(p) ((p) == POISONS)
#else
#define DOES_POISON(p) 0
#endif
#define LOCALS byte i; bit last, ok

#define WRITES(e) (is_end[e] && !retired[e] && !IS_DEAD(OWNER(e)))

inline live()
{
    if
    :: me == 0 -> /* READ, until it ends */
        do
        :: lock_channel();
            if
            :: ended -> UNLOCK; break
            :: else -> atomic { waits = 1; woken = 0; UNLOCK }; woken
            fi
        od;
        assert((ended & (POISONED | NO_READERS)) || !(WRITES(1) || WRITES(2) || WRITES(3)));
        release(0, 0)
    :: me == 1 -> release(1, DOES_POISON(1))
    :: me == 2 -> new_end(3); release(2, DOES_POISON(2)); release(3, 0)
    fi;
    finished[me] = 1
}
proctype process(byte me)
{
    LOCALS;
    live()
}
#ifdef VICTIM
proctype victim(byte me)
{
    LOCALS;
    { live() } unless { dead }
}
#endif

active proctype monitor()
{
    byte p;
    timeout ->
    atomic {
        for (p : 0 .. 2) {
            assert(finished[p] || IS_DEAD(p))
        };
        assert(lock == 0);
        assert(n_readers == 0 && n_writers == 0);
        assert(!is_end[0] && !is_end[1] && !is_end[2] && !is_end[3]);
        assert(freed)
    }
}

init
{
    byte p;
    atomic {
        is_end[0] = 1; is_end[1] = 1; is_end[2] = 1;
        for (p : 0 .. 2) {
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
