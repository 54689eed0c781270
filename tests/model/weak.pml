/* Memory that is weaker than x86's: the orders that the code asks of its atomic operations, and no more than these.

   Memory here is that of C11 without what is called out of thin air: each place has the list of all that was stored
   there, and each thread, for each place, the oldest entry that it may still read. A relaxed load may give any entry
   from there on, whatever others have seen. A release store takes along what its thread has seen, and who reads it by
   an acquire load has then seen that too. A seq_cst load gives nothing that is older than the last seq_cst store to
   the same place. membarrier() lets all threads see what any of them has seen. What is not atomic is to be read when
   it can be only one thing: the assertion on `stale` fails where an older value could have been read, which is a race.
   So stores of one thread may be seen out of order and loads of old values are made at will, as aarch64 does; what is
   left out: a load that comes after a store in the program and sees what follows from it, and a store that is put
   before another thread's earlier one to the same place.

   A call of the system (a frame on a link, a futex) counts as seq_cst.

   SCENE_WAKE: a process makes its offer under the lock and parks; one of another worker claims it, moves the message and
   wakes it (lock.h: usp_lock, usp_unlock; channel.h: usp_claim; task.h: usp_task_open; worker.c: usp_wake_far, empty_mailbox;
   sleep.c: usp_worker_rouse, usp_worker_sleep, in both ways; io.c: usp_after_wait). SCENE_KNOCK: frames for a worker that
   sleeps in either way (sleep.c: usp_worker_knock, look_at_links). SCENE_BIAS: the biased lock (lock.h: usp_lock_biased; lock.c:
   take_bias, bias_wait, usp_unbias), and who finds the bias gone (usp_try_lock).

   @ small holds offered_claimed_and_woken -DSCENE_WAKE
   @ small holds a_single_offer_is_claimed_by_a_relaxed_store -DSCENE_WAKE -DSINGLE
   @ small fails:invalidendstate sleeping_is_only_released -DSCENE_WAKE -DSLEEPING_ORDER=REL
   @ small fails:invalidendstate the_last_look_only_acquires -DSCENE_WAKE -DLOOK_ORDER=ACQ
   @ small fails:invalidendstate the_push_only_releases -DSCENE_WAKE -DPUSH_ORDER=3
   @ small fails:invalidendstate the_waker_only_acquires -DSCENE_WAKE -DWAKER_ORDER=ACQ
   @ small fails:!=top the_mailbox_is_emptied_relaxed -DSCENE_WAKE -DEMPTY_ORDER=RLX
   @ small fails:!=top unlocked_relaxed -DSCENE_WAKE -DUNLOCK_ORDER=RLX
   @ small fails:!=top locked_relaxed -DSCENE_WAKE -DLOCK_ORDER=RLX
   @ small holds frames -DSCENE_KNOCK
   @ small fails:invalidendstate no_fence_before_the_links_are_read -DSCENE_KNOCK -DMUTATION_NO_FENCE
   @ small fails:invalidendstate the_knock_only_releases -DSCENE_KNOCK -DKNOCK_ORDER=REL
   @ small fails:invalidendstate the_last_look_for_knocks_only_acquires -DSCENE_KNOCK -DHEAR_ORDER=ACQ
   @ small fails:invalidendstate sleeping_is_only_released_to_who_knocks -DSCENE_KNOCK -DSLEEPING_ORDER=REL
   @ small holds the_bias_is_taken_away -DSCENE_BIAS
   @ small fails:in_section no_membarrier -DSCENE_BIAS -DMUTATION_NO_MEMBARRIER -DNO_DATA
   @ small fails:!=top the_owner_leaves_relaxed -DSCENE_BIAS -DLEAVE_ORDER=RLX
   @ small fails:!=top the_revoker_looks_relaxed -DSCENE_BIAS -DWAIT_ORDER=RLX
   @ small fails:!=top the_bias_is_cleared_relaxed -DSCENE_BIAS -DCLEAR_ORDER=RLX
   @ small fails:!=top who_finds_the_bias_gone_looks_relaxed -DSCENE_BIAS -DTRY_ORDER=RLX
   @ large holds woken_three_times -DSCENE_WAKE -DROUNDS=3 mem=8000
   @ large holds three_frames -DSCENE_KNOCK -DROUNDS=3 mem=14000
   @ large holds three_rounds_of_the_owner -DSCENE_BIAS -DROUNDS=3 mem=8000
 */
#define RLX 0
#define ACQ 1
#define REL 2
#define ACQ_REL 3
#define SC 7

/* The orders of the code; a run may weaken one. */
#ifndef LOCK_ORDER
#define LOCK_ORDER ACQ /* of the exchange in usp_try_lock */
#endif
#ifndef UNLOCK_ORDER
#define UNLOCK_ORDER REL
#endif
#ifndef TRY_ORDER
#define TRY_ORDER ACQ /* of the look at `bias` in usp_try_lock */
#endif
#ifndef LEAVE_ORDER
#define LEAVE_ORDER REL /* inside = 0 */
#endif
#ifndef WAIT_ORDER
#define WAIT_ORDER ACQ /* bias_wait looks at `inside` */
#endif
#ifndef CLEAR_ORDER
#define CLEAR_ORDER REL /* bias = 0 */
#endif
#ifndef PUSH_ORDER
#define PUSH_ORDER SC
#endif
#ifndef WAKER_ORDER
#define WAKER_ORDER SC /* the waker looks at `sleeping` */
#endif
#ifndef EMPTY_ORDER
#define EMPTY_ORDER ACQ
#endif
#ifndef SLEEPING_ORDER
#define SLEEPING_ORDER SC
#endif
#ifndef LOOK_ORDER
#define LOOK_ORDER SC /* at the mailbox, before it sleeps */
#endif

#ifndef KNOCK_ORDER
#define KNOCK_ORDER SC
#endif
#ifndef HEAR_ORDER
#define HEAR_ORDER SC /* at `knocked`, before it sleeps on its word */
#endif

#if defined(SCENE_WAKE)
#define LOCK 0
#define QUEUE 1
#define DATA 2
#define COMMIT 3
#define OUTCOME 4
#define MAILBOX 5
#define SLEEPING 6
#define NLOC 7
#define NT 2
#define MOST 20
#elif defined(SCENE_KNOCK)
#define SLEEPING 0
#define KNOCKED 1
#define FRAMES 2 /* on the link, ever */
#define DATA 3
#define NLOC 4
#define NT 2
#define MOST 32
#else
#define BIAS 0
#define INSIDE 1
#define LOCK 2
#define DATA 3
#define NLOC 4
#define NT 3
#define MOST 16
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

/* ---- memory ---- */

byte value[NLOC * MOST], top[NLOC];  /* all that was stored */
byte carried[NLOC * MOST * NLOC];    /* what was seen by whom stored it, where it was released */
byte seen[NT * NLOC], sc[NLOC];

#define VALUE(l, t) value[(l) * MOST + (t)]
#define CARRIED(l, t, x) carried[((l) * MOST + (t)) * NLOC + (x)]
#define SEEN(w, l) seen[(w) * NLOC + (l)]
#define LAST(l) VALUE(l, top[l])

inline acquire(l)
{
    x = 0;
    do
    :: x < NLOC ->
        SEEN(me, x) = (CARRIED(l, SEEN(me, l), x) > SEEN(me, x) -> CARRIED(l, SEEN(me, l), x) : SEEN(me, x));
        x++
    :: else -> x = 0; break
    od
}
inline append(l, v, order)
{
    assert(top[l] < MOST - 1);
    top[l]++;
    SEEN(me, l) = top[l];
    VALUE(l, top[l]) = v;
    do
    :: x < NLOC -> CARRIED(l, top[l], x) = ((order) & REL -> SEEN(me, x) : 0); x++
    :: else -> x = 0; break
    od;
    CARRIED(l, top[l], l) = top[l];
    sc[l] = ((order) & 4 -> top[l] : sc[l])
}
/* an atomic load: `got` */
inline load(l, order)
{
    atomic {
        if
        :: ((order) & 4) && SEEN(me, l) < sc[l] -> SEEN(me, l) = sc[l]
        :: else
        fi;
        do
        :: SEEN(me, l) < top[l] -> SEEN(me, l)++
        :: break
        od;
        got = VALUE(l, SEEN(me, l));
        if
        :: (order) & ACQ -> acquire(l)
        :: else
        fi
    }
}
inline store(l, v, order)
{
    d_step { append(l, v, order) }
}
/* An exchange: of whatever is there if `old` is ANY. It takes on what the store before it carried. */
#define ANY 255
inline compare_exchange(l, old, new, order)
{
    atomic {
        SEEN(me, l) = top[l];
        got = LAST(l);
        if
        :: (order) & ACQ -> acquire(l)
        :: else
        fi;
        if
        :: got == (old) || (old) == ANY ->
            append(l, new, order);
            do
            :: x < NLOC ->
                if
                :: CARRIED(l, top[l] - 1, x) > CARRIED(l, top[l], x) -> CARRIED(l, top[l], x) = CARRIED(l, top[l] - 1, x)
                :: else
                fi;
                x++
            :: else -> x = 0; break
            od;
            ok = 1
        :: else -> ok = 0
        fi
    }
}
#define stale(l) (SEEN(me, l) != top[l])
/* what is not atomic */
inline get(l)
{
    d_step { assert(!stale(l)); got = LAST(l) }
}
inline put(l, v)
{
    d_step { assert(!stale(l)); append(l, v, RLX) }
}
/* atomic_thread_fence(memory_order_seq_cst) */
inline fence()
{
    d_step {
        do
        :: x < NLOC ->
            SEEN(me, x) = (sc[x] > SEEN(me, x) -> sc[x] : SEEN(me, x));
            sc[x] = SEEN(me, x);
            x++
        :: else -> x = 0; break
        od
    }
}
inline membarrier()
{
#ifndef MUTATION_NO_MEMBARRIER
    d_step {
        do
        :: x < NLOC ->
            w = 0; got = 0;
            do
            :: w < NT -> got = (SEEN(w, x) > got -> SEEN(w, x) : got); w++
            :: else -> w = 0; break
            od;
            do
            :: w < NT -> SEEN(w, x) = got; w++
            :: else -> w = 0; break
            od;
            x++
        :: else -> x = 0; got = 0; break
        od
    }
#else
    skip
#endif
}
#define LOCALS byte x, w, got, n, how; bit ok

byte in_section = ANY;
inline enter()
{
    atomic { assert(in_section == ANY); in_section = me };
#ifndef NO_DATA
    get(DATA);
    put(DATA, got + 1)
#endif
}
#define LEAVE in_section = ANY

#ifndef SCENE_BIAS
#define IN_THE_LOOP 1
#define ON_ITS_WORD 2
byte bells;
bit in_kernel;

/* usp_worker_rouse, ring */
inline rouse()
{
    load(SLEEPING, WAKER_ORDER);
    if
    :: got ->
        compare_exchange(SLEEPING, ANY, 0, SC);
        if
        :: got == ON_ITS_WORD -> in_kernel = 0
        :: got == IN_THE_LOOP -> bells++
        :: else
        fi
    :: else
    fi
}
/* FUTEX_WAIT */
#define WAIT_ON_WORD \
    atomic { in_kernel = (LAST(SLEEPING) == ON_ITS_WORD) }; \
    !in_kernel
#endif

#if defined(SCENE_WAKE)

#define NONE 0
#define OPEN 1
#define CLAIMED 2

inline lock()
{
    do
    :: LAST(LOCK) == 0 ->
        compare_exchange(LOCK, 0, me + 1, LOCK_ORDER);
        if
        :: ok -> break
        :: else
        fi
    od
}

/* Offers, and waits. */
proctype waits(byte me)
{
    LOCALS;
    do
    :: n < ROUNDS ->
        n++;
        lock();
        put(DATA, n);
        store(COMMIT, OPEN, REL);
        put(QUEUE, 1);
        store(LOCK, 0, UNLOCK_ORDER);
        do /* the loop's fibre */
        :: load(MAILBOX, RLX);
            if
            :: got -> compare_exchange(MAILBOX, ANY, 0, EMPTY_ORDER); break
            :: else
            fi;
            if
            :: true -> how = IN_THE_LOOP
            :: true -> how = ON_ITS_WORD
            fi;
            store(SLEEPING, how, SLEEPING_ORDER); /* fall_asleep */
            load(MAILBOX, LOOK_ORDER);
            if
            :: got == 0 && how == IN_THE_LOOP -> bells > 0; bells = 0
            :: got == 0 && how == ON_ITS_WORD -> WAIT_ON_WORD
            :: else
            fi;
            store(SLEEPING, 0, RLX)
        od;
        load(COMMIT, ACQ);
        assert(got == CLAIMED);
        store(COMMIT, NONE, RLX);
        get(OUTCOME);
        assert(got == n)
    :: else -> break
    od
}
/* Finds the offer, moves the message, and wakes. */
proctype wakes(byte me)
{
    LOCALS;
    byte message;
    do
    :: n < ROUNDS ->
        LAST(QUEUE) == 1;
        lock();
        get(QUEUE);
        assert(got == 1);
        put(QUEUE, 0);
#ifdef SINGLE
        store(COMMIT, CLAIMED, RLX);
#else
        compare_exchange(COMMIT, OPEN, CLAIMED, ACQ_REL);
        assert(ok);
#endif
        store(LOCK, 0, UNLOCK_ORDER);
        get(DATA);
        message = got;
        put(OUTCOME, message);
        compare_exchange(MAILBOX, 0, 1, PUSH_ORDER); /* usp_wake_far */
        assert(ok);
        rouse();
        n++
    :: else -> break
    od
}
init
{
    atomic { run waits(0); run wakes(1) }
}

#elif defined(SCENE_KNOCK)

/* Reads what is on its link. */
proctype reads(byte me)
{
    LOCALS;
    byte arrived;
    bit was_in_loop;
    do
    :: arrived < ROUNDS ->
        if
        :: true -> how = IN_THE_LOOP; got = 0
        :: true -> how = ON_ITS_WORD; load(KNOCKED, RLX)
        fi;
        if
        :: how == ON_ITS_WORD && (was_in_loop || got) -> /* look_at_links */
            was_in_loop = 0;
            compare_exchange(KNOCKED, ANY, 0, SC);
#ifndef MUTATION_NO_FENCE
            fence();
#endif
            load(FRAMES, SC);
            arrived = got
        :: else -> /* usp_worker_sleep */
            store(SLEEPING, how, SLEEPING_ORDER);
            got = 0;
            if
            :: how == ON_ITS_WORD -> load(KNOCKED, HEAR_ORDER)
            :: how == IN_THE_LOOP
            fi;
            if
            :: how == IN_THE_LOOP -> LAST(FRAMES) > arrived; load(FRAMES, SC); arrived = got
            :: how == ON_ITS_WORD && !got -> WAIT_ON_WORD
            :: how == ON_ITS_WORD && got
            fi;
            was_in_loop = (how == IN_THE_LOOP);
            store(SLEEPING, 0, RLX)
        fi
    :: else -> break
    od
}
proctype writes(byte me)
{
    LOCALS;
    do
    :: n < ROUNDS ->
        n++;
        compare_exchange(FRAMES, n - 1, n, SC); /* usp_link_send */
        load(SLEEPING, SC); /* usp_worker_knock */
        if
        :: got == IN_THE_LOOP
        :: else ->
            store(KNOCKED, 1, KNOCK_ORDER);
            load(SLEEPING, SC);
            if
            :: got == ON_ITS_WORD -> rouse()
            :: else
            fi
        fi
    :: else -> break
    od
}
init
{
    atomic { run reads(0); run writes(1) }
}

#else /* SCENE_BIAS */

#define REVOKING 16

/* usp_try_lock: `ok` */
inline try_lock()
{
    ok = 0;
    load(BIAS, TRY_ORDER);
    if
    :: got == 0 -> compare_exchange(LOCK, 0, me + 1, LOCK_ORDER)
    :: else
    fi
}
inline lock_slowly()
{
    do
    :: LAST(BIAS) == 0 && LAST(LOCK) == 0 ->
        try_lock();
        if
        :: ok -> break
        :: else
        fi
    :: LAST(BIAS) == 1 && me != 0 -> /* take_bias */
        compare_exchange(BIAS, 1, REVOKING + me + 1, SC);
        if
        :: ok ->
            membarrier(); /* bias_wait */
            do
            :: LAST(INSIDE) == 0 ->
                load(INSIDE, WAIT_ORDER);
                if
                :: got == 0 -> break
                :: else
                fi
            od;
            store(BIAS, 0, CLEAR_ORDER)
        :: else
        fi
    od
}
/* The channel is biased to this one. */
proctype owner(byte me)
{
    LOCALS;
    bit biased;
    do
    :: n < ROUNDS ->
        biased = 0;
        load(BIAS, RLX); /* usp_lock_biased */
        if
        :: got == me + 1 ->
            store(INSIDE, 1, RLX);
            load(BIAS, RLX);
            if
            :: got == me + 1 -> biased = 1
            :: else -> store(INSIDE, 0, LEAVE_ORDER)
            fi
        :: else
        fi;
        if
        :: biased
        :: else -> lock_slowly()
        fi;
        enter();
        if
        :: biased && n > 0 -> /* usp_unbias: it makes an end for another */
            store(LOCK, me + 1, RLX);
            store(BIAS, 0, CLEAR_ORDER);
            store(INSIDE, 0, LEAVE_ORDER);
            biased = 0
        :: true
        fi;
        LEAVE;
        if
        :: biased -> store(INSIDE, 0, LEAVE_ORDER)
        :: else -> store(LOCK, 0, UNLOCK_ORDER)
        fi;
        n++
    :: else -> break
    od
}
proctype other(byte me)
{
    LOCALS;
    lock_slowly();
    enter();
    LEAVE;
    store(LOCK, 0, UNLOCK_ORDER)
}
init
{
    atomic {
        value[BIAS * MOST] = 1;
        run owner(0);
        run other(1);
        run other(2)
    }
}
#endif
