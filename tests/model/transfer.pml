/* Long messages between workers: DATA and PULL frames, streams, and a partner that dies.

   channels/transfer.c (depend_on, send_data, wait_for_stream, pull, offer_of, place, arrived, lost, on_pull, sent),
   runtime/link.c (a frame and its payload, the end of file in the middle of it, usp_link_drain), supervise.c
   (look_after_own_tasks).

   Task 0 of worker 0 waits, task 1 of worker 1 runs and has claimed it. SCENE_DATA: the one that waits reads, the
   other sends it a message in a frame. SCENE_PULL: the one that waits has a message too long to be left in the arena,
   and the other asks for it. A message is a header and PIECES; a socket takes ROOM of them at a time, and what it
   does not take at once is streamed by the loop while its task waits. What a worker has written can be read after its
   death, and then the end of file.

   Proved: whoever waits is woken, once; a reader gets the message whole or is sent to look again, and then it finds
   the poison; a writer that knows its message to be sent is right, unless the reader's worker has died; and the other
   way round; no link touches the memory of a process that has moved on.

   @ small holds data -DSCENE_DATA
   @ small holds data_and_the_writer_dies -DSCENE_DATA -DVICTIM=1
   @ small holds data_and_the_reader_dies -DSCENE_DATA -DVICTIM=0
   @ small holds pull -DSCENE_PULL
   @ small holds pull_and_the_writer_dies -DSCENE_PULL -DVICTIM=0
   @ small holds pull_and_the_reader_dies -DSCENE_PULL -DVICTIM=1
   @ small fails:told_sent what_the_dead_had_sent_is_not_read -DSCENE_DATA -DPIECES=1 -DVICTIM=1 -DMUTATION_NO_DRAIN
   @ small fails:!(woken a_stream_is_not_marked -DSCENE_DATA -DVICTIM=0 -DMUTATION_NO_STREAMING_FLAG
   @ small fails:finished half_a_message_is_not_told -DSCENE_DATA -DVICTIM=1 -DMUTATION_NO_LOST
   @ small fails:finished the_asker_depends_on_nobody -DSCENE_PULL -DVICTIM=0 -DMUTATION_NO_DEPEND
   @ small fails:n_pieces half_a_message_counts -DSCENE_DATA -DVICTIM=1 -DMUTATION_LOST_IS_ARRIVED
   @ large holds data_of_six_and_the_writer_dies -DSCENE_DATA -DVICTIM=1 -DPIECES=6 -DROOM=3
   @ large holds pull_of_six_and_the_writer_dies -DSCENE_PULL -DVICTIM=0 -DPIECES=6 -DROOM=3
   @ large holds pull_of_six_and_the_reader_dies -DSCENE_PULL -DVICTIM=1 -DPIECES=6 -DROOM=3
 */
#ifndef PIECES
#define PIECES 2
#endif
#ifndef ROOM
#define ROOM 2
#endif
#define NOBODY 255

#define DATA 1
#define PIECE 2
#define PULL 3

#define FINE 0
#define RETRY 1

#ifdef SCENE_DATA
#define WRITER 1
#else
#define WRITER 0
#endif
#define READER (1 - WRITER)

chan link[2] = [ROOM] of { byte };      /* what worker w has written and the other not yet read */
byte commit[2] = NOBODY;                /* the worker by which a task is claimed, or on which it depends */
bit woken[2], streaming[2], parked[2];
byte outcome[2];
byte to_send[2];                        /* by the loop: pieces, and 1 for the header; in the task's memory */
byte left[2];                           /* pieces that the loop has still to read */
bit placing[2];                         /* into the task's memory */
byte n_pieces[2];                       /* that have come there */
bit closed[2];                          /* worker w has closed the link */

bit told_sent, got, finished[2], dead[2], buried, looked[2];

#ifdef VICTIM
#define IS_DEAD(w) ((w) == VICTIM && dead[VICTIM])
#else
#define IS_DEAD(w) false
#endif
#define HERE_PARKED (parked[me] || finished[me])

inline wake(t)
{
    atomic { assert(!(woken[t])); assert(!finished[t]); woken[t] = 1 }
}

/* ---- the loop's callbacks; me is worker and task ---- */

/* hooks.sent */
inline sent(status)
{
    streaming[me] = 0;
    outcome[me] = status;
    wake(me)
}
/* As much as the socket takes: uv_try_write, or libuv later. `ok`: the other end is open. */
inline write_some()
{
    ok = 1;
    do
    :: to_send[me] > 0 && !IS_DEAD(1 - me) && !closed[me] && len(link[me]) < ROOM ->
        link[me]!(to_send[me] > PIECES -> DATA : PIECE);
        to_send[me]--
    :: to_send[me] > 0 && (IS_DEAD(1 - me) || closed[me]) -> ok = 0; break
    :: to_send[me] == 0 || len(link[me]) == ROOM -> break
    od
}
/* offer_of: is the task still where a frame of the other's believes it to be? */
#define OFFER_STANDS (!woken[me] && commit[me] == 1 - me)

inline take_frame(what)
{
    if
    :: what == DATA ->
        placing[me] = OFFER_STANDS; /* place */
        left[me] = PIECES;
        if
        :: placing[me] -> streaming[me] = 1
        :: else
        fi
    :: what == PIECE ->
        if
        :: placing[me] -> assert(!woken[me] && !finished[me]); n_pieces[me]++
        :: else
        fi;
        left[me]--;
        if
        :: left[me] == 0 && placing[me] -> /* arrived */
            placing[me] = 0;
            streaming[me] = 0;
            outcome[me] = FINE;
            wake(me)
        :: else
        fi
    :: what == PULL -> /* on_pull */
        if
        :: OFFER_STANDS ->
            to_send[me] = PIECES + 1;
            write_some();
            if
            :: !ok -> to_send[me] = 0; outcome[me] = RETRY; wake(me)
            :: ok && to_send[me] == 0 -> outcome[me] = FINE; wake(me)
            :: ok && to_send[me] > 0 ->
#ifndef MUTATION_NO_STREAMING_FLAG
                streaming[me] = 1
#else
                skip
#endif
            fi
        :: else
        fi
    fi
}
/* close_link; a write that is under way is told so later */
inline close_link()
{
    closed[me] = 1;
    if
    :: left[me] > 0 && placing[me] -> /* lost */
#ifndef MUTATION_NO_LOST
        streaming[me] = 0;
        placing[me] = 0;
#ifdef MUTATION_LOST_IS_ARRIVED
        outcome[me] = FINE;
#else
        outcome[me] = RETRY;
#endif
        wake(me)
#else
        skip
#endif
    :: else
    fi
}
inline read_one()
{
    link[1 - me]?frame;
    take_frame(frame);
    frame = 0
}

/* A worker has one thread: its loop has a turn when its task is parked. */
inline turn()
{
    ok = 0;
end_turn:
    do
    :: atomic { HERE_PARKED && nempty(link[1 - me]) && !closed[me] -> read_one() }
    :: atomic { HERE_PARKED && IS_DEAD(1 - me) && empty(link[1 - me]) && !closed[me] -> close_link() } /* end of file */
    :: atomic { HERE_PARKED && to_send[me] > 0 && (len(link[me]) < ROOM || IS_DEAD(1 - me) || closed[me]) ->
            write_some();
            if
            :: !ok -> to_send[me] = 0; sent(RETRY)
            :: ok && to_send[me] == 0 -> sent(FINE)
            :: ok && to_send[me] > 0
            fi
        }
    :: atomic { HERE_PARKED && buried && !looked[me] -> /* look_after_own_tasks */
            looked[me] = 1;
#ifndef MUTATION_NO_DRAIN
            do /* usp_link_drain */
            :: nempty(link[1 - me]) && !closed[me] -> read_one()
            :: empty(link[1 - me]) || closed[me] -> break
            od;
            if
            :: !closed[me] -> close_link()
            :: else
            fi;
#endif
            if
            :: !finished[me] && commit[me] == 1 - me && !woken[me] && !streaming[me] -> outcome[me] = RETRY; wake(me)
            :: else
            fi
        }
    od
}
proctype loop(byte me)
{
    byte frame;
    bit ok;
    turn()
}
proctype mortal_loop(byte me)
{
    byte frame;
    bit ok;
    { turn() } unless { dead[me] }
}

/* ---- the tasks ---- */

/* What a task finds when it has been woken. */
inline end_of_wait()
{
    do
    :: woken[me] -> break
    :: atomic { me == 0 && buried && commit[0] == NOBODY -> outcome[0] = RETRY; woken[0] = 1 } /* poisoned */
    od;
    parked[me] = 0;
    commit[me] = NOBODY;
    atomic {
        if
        :: outcome[me] == FINE && me == READER -> assert(n_pieces[me] == PIECES); got = 1
        :: outcome[me] == FINE && me == WRITER -> told_sent = 1
        :: outcome[me] == RETRY
        fi
    };
    if
    :: outcome[me] == RETRY -> buried /* it looks again, waits, and is poisoned */
    :: else
    fi;
    finished[me] = 1
}
/* wait_for_partner, and what comes after it */
inline wait_here()
{
    end_of_wait()
}
/* send_data or pull, of a partner that has been claimed */
inline send_or_ask()
{
    commit[0] = 1;
#ifdef SCENE_DATA
    to_send[me] = PIECES + 1;
    atomic { woken[me] = 0; outcome[me] = FINE; commit[me] = 0 }; /* depend_on */
#ifndef MUTATION_NO_STREAMING_FLAG
    streaming[me] = 1;
#endif
    atomic { write_some() };
    if
    :: !ok && to_send[me] == PIECES + 1 -> /* no link: it is left in the arena, for a reader that is dead */
        atomic { to_send[me] = 0; streaming[me] = 0; commit[me] = NOBODY; told_sent = 1; finished[me] = 1 }
    :: !ok && to_send[me] <= PIECES -> /* -ECONNRESET */
        atomic { to_send[me] = 0; streaming[me] = 0; commit[me] = NOBODY; finished[me] = 1 }
    :: ok && to_send[me] == 0 ->
        atomic { streaming[me] = 0; commit[me] = NOBODY; told_sent = 1; finished[me] = 1 }
    :: ok && to_send[me] > 0 -> parked[me] = 1; end_of_wait()
    fi
#else
    atomic { woken[me] = 0; outcome[me] = FINE };
#ifndef MUTATION_NO_DEPEND
    commit[me] = 0;
#endif
    if
    :: IS_DEAD(0) -> commit[me] = NOBODY; buried; finished[me] = 1 /* no link: both look again */
    :: atomic { !IS_DEAD(0) -> link[me]!PULL }; parked[me] = 1; end_of_wait()
    fi
#endif
}
proctype waiting_task(byte me)
{
    wait_here()
}
proctype running_task(byte me)
{
    bit ok;
    send_or_ask()
}
#ifdef VICTIM
proctype mortal_task(byte me)
{
    bit ok;
    {
        if
        :: me == 0 -> wait_here()
        :: else -> send_or_ask()
        fi
    } unless { dead[me] }
}
active proctype killer()
{
    if
    :: dead[VICTIM] = 1; buried = 1 /* deaths_seen and all that: sleep.pml */
    :: true
    fi
}
#endif

active proctype monitor()
{
    timeout ->
    atomic {
        assert(finished[0] || IS_DEAD(0));
        assert(finished[1] || IS_DEAD(1));
        assert(!told_sent || got || IS_DEAD(READER));
        assert(!got || told_sent || IS_DEAD(WRITER))
    }
}

init
{
    atomic {
        parked[0] = 1;
#ifdef VICTIM
        run mortal_loop(VICTIM);
        run mortal_task(VICTIM);
        run loop(1 - VICTIM);
#if VICTIM == 1
        run waiting_task(0)
#else
        run running_task(1)
#endif
#else
        run loop(0);
        run loop(1);
        run waiting_task(0);
        run running_task(1)
#endif
    }
}
