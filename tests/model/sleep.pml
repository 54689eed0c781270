/* Sleep and wake-up: mailboxes, `sleeping`, bells, and the count of deaths.

   runtime/worker.c (usp_wake_far, empty_mailbox, drain, fall_asleep, wake_up), scheduler.c (usp_loop_for_ever), the
   polls of linger.c, and of supervise.c what wakes: put_right, ring_everybody, usp_supervise_pending, answer,
   clear_graves. With the store buffers of x86 (see lock.pml); a seq_cst store is a locked instruction there.

   A worker has one task. In each round it wakes the task of its neighbour and then waits for its own to be woken. The
   claim, by which only one wakes a task, is not looked at here (match.pml): `claimed` says that somebody will.

   Proved: a task that has been woken runs, whoever sleeps meanwhile; a mailbox loses nothing. With a death: what the
   dead one had claimed and not woken, or woken and not rung for, is found by the survivors, and the supervisor
   learns that all have looked.

   @ small holds two_wake_one -DSCENE_FAN
   @ small fails:invalidendstate sleeping_is_a_plain_store -DSCENE_FAN -DMUTATION_PLAIN_SLEEPING
   @ small fails:invalidendstate looks_before_it_says_that_it_sleeps -DSCENE_FAN -DMUTATION_LOOK_FIRST
   @ small fails:invalidendstate the_waker_looks_before_it_pushes -DSCENE_FAN -DMUTATION_WAKER_LOOKS_FIRST
   @ small fails:invalidendstate a_push_by_two_stores -DSCENE_FAN -DMUTATION_PUSH_BY_STORES
   @ small holds a_ring_of_two -DSCENE_RING -DNW=2 -DROUNDS=2
   @ small holds a_waker_dies -DSCENE_DEATH
   @ small fails:invalidendstate not_rung_in_any_case -DSCENE_DEATH -DMUTATION_POLITE_RING
   @ small fails:invalidendstate nobody_looks_for_lost_claims -DSCENE_DEATH -DMUTATION_NO_LOOK
   @ small fails:invalidendstate deaths_are_not_looked_at_before_sleep -DSCENE_DEATH -DMUTATION_DEATHS_NOT_PENDING
   @ small fails:invalidendstate an_answer_does_not_wake -DSCENE_DEATH -DMUTATION_SILENT_ANSWER
   @ large holds a_ring_of_three -DSCENE_RING -DNW=3 -DROUNDS=2 mem=12000
   @ large holds two_wake_one_twice -DSCENE_FAN -DROUNDS=3 mem=12000
 */
#ifndef NW
#define NW 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NO_TASK 255
/* SCENE_FAN: 1 and 2 wake tasks 1 and 2 of worker 0, which has two. SCENE_RING: each wakes the next one's task.
   SCENE_DEATH: 1 wakes task 0 of worker 0 and may die of it; 2 supervises 1. */

/* ---- memory: `sleeping` of each worker is the one word that is stored to plainly ---- */

bit sleeping[NW];
chan stores[NW] = [2] of { bit }; /* on their way to sleeping[me] */
byte n_stores[NW];

/* ---- what lies in the arena ---- */

byte mailbox[NW];       /* the head of the stack: a task */
byte next[NW];          /* mail_next */
byte deaths;
byte seen[NW];          /* deaths_seen */
bit buried;             /* state of worker 1 */
bit claimed[NW];        /* by worker 1, which will wake it */

/* ---- links ---- */

byte bells[NW];         /* frames on their way */

bit dead, woken[NW], pidfd;
byte ran[NW];           /* times that a task has run after being woken */
bit finished[NW], grave, cleared;

active proctype buffers()
{
    bit x;
end:
    do
    :: atomic { nempty(stores[0]) -> stores[0]?x; sleeping[0] = x; x = 0 }
    :: atomic { nempty(stores[1]) -> stores[1]?x; sleeping[1] = x; x = 0 }
#if NW > 2
    :: atomic { nempty(stores[2]) -> stores[2]?x; sleeping[2] = x; x = 0 }
#endif
    od
}

/* ---- waking ---- */

/* usp_link_bell */
inline ring(w)
{
    atomic { bells[w] < 8; bells[w]++ }
}
inline ring_if_asleep(w)
{
    if
    :: sleeping[w] ->
        atomic { empty(stores[me]) -> was = sleeping[w]; sleeping[w] = 0 }; /* exchange */
        if
        :: was -> was = 0; ring(w)
        :: else
        fi
    :: else
    fi
}
/* usp_wake_far: task `t` of worker `w` */
inline wake_far(t, w)
{
#ifdef MUTATION_WAKER_LOOKS_FIRST
    ring_if_asleep(w);
#endif
    head = mailbox[w];
    do
    :: next[t] = head;
#ifdef MUTATION_PUSH_BY_STORES
        mailbox[w] = t; head = NO_TASK; break
#else
        atomic {
            empty(stores[me]) ->
            if
            :: mailbox[w] == head -> mailbox[w] = t; head = NO_TASK; break
            :: else -> head = mailbox[w]
            fi
        }
#endif
    od;
#ifndef MUTATION_WAKER_LOOKS_FIRST
    ring_if_asleep(w)
#endif
}

/* ---- the loop's fibre ---- */

/* empty_mailbox: usp_wake() for each, and here they run at once */
inline empty_mailbox()
{
    if
    :: mailbox[me] != NO_TASK ->
        atomic { empty(stores[me]) -> mail = mailbox[me]; mailbox[me] = NO_TASK };
        do
        :: mail != NO_TASK ->
            atomic { t = mail; mail = next[t]; assert(!woken[t]); woken[t] = 1; claimed[t] = 0; t = 0 }
        :: else -> mail = NO_TASK; break
        od
    :: else
    fi
}

#ifdef SCENE_DEATH
#ifdef MUTATION_DEATHS_NOT_PENDING
#define DEATH_PENDING false
#else
#define DEATH_PENDING (deaths != seen[me])
#endif
#define ALL_HAVE_SEEN (seen[0] == deaths && seen[2] == deaths)
#define PENDING (DEATH_PENDING || (me == 2 && grave && ALL_HAVE_SEEN))
#else
#define PENDING false
#endif

/* usp_supervise_look */
inline look()
{
    now = deaths;
    if
    :: now != seen[me] ->
        empty_mailbox(); /* look_after_own_tasks: first what has arrived */
#ifndef MUTATION_NO_LOOK
        if
        :: buried && me == 0 && claimed[0] -> claimed[0] = 0; woken[0] = 1 /* retry() */
        :: else
        fi;
#endif
        /* answer() */
        atomic { empty(stores[me]) -> seen[me] = now };
#ifndef MUTATION_SILENT_ANSWER
        if
        :: buried && me != 2 -> ring_if_asleep(2)
        :: else
        fi
#endif
    :: else
    fi;
    now = 0;
    if /* clear_graves */
    :: me == 2 && grave && ALL_HAVE_SEEN -> grave = 0; cleared = 1
    :: else
    fi
}
inline drain()
{
    empty_mailbox();
#ifdef SCENE_DEATH
    if
    :: PENDING -> look()
    :: else
    fi
#endif
}

#ifdef SCENE_DEATH
/* child_ended, put_right */
inline child_ended()
{
    pidfd = 0;
    if
    :: finished[1] -> cleared = 1
    :: else -> bury()
    fi
}
inline bury()
{
    buried = 1;
    atomic { empty(stores[me]); deaths++ };
    grave = 1;
#ifdef MUTATION_POLITE_RING
    ring_if_asleep(0)
#else
    ring(0)
#endif
}
#define EVENTS (bells[me] > 0 || (me == 2 && pidfd))
#else
#define EVENTS (bells[me] > 0)
#endif
/* What a turn of libuv's does with what has come; bells are read, and that is all. */
inline take_events()
{
    bells[me] = 0;
#ifdef SCENE_DEATH
    if
    :: me == 2 && pidfd -> child_ended()
    :: else
    fi
#endif
}

/* usp_loop_for_ever, until `condition`: no fibre is ready till then. */
inline loop_until(condition)
{
    do
    :: drain();
        if
        :: condition -> break
        :: else ->
            if
            :: EVENTS -> take_events() /* usp_poll(), in linger or after POLL_TICKS; and round again */
            :: true ->
#ifdef MUTATION_LOOK_FIRST
                if
                :: mailbox[me] == NO_TASK && !PENDING ->
                    atomic { empty(stores[me]) -> sleeping[me] = 1 };
                    EVENTS -> take_events()
                :: else
                fi;
#else
#ifdef MUTATION_PLAIN_SLEEPING
                atomic { nfull(stores[me]) -> stores[me]!1 };
#else
                atomic { empty(stores[me]) -> sleeping[me] = 1 }; /* fall_asleep */
#endif
                if
                :: mailbox[me] == NO_TASK ->
                    if
                    :: !PENDING -> EVENTS -> take_events() /* uv_run(ONCE) */
                    :: else
                    fi
                :: else
                fi;
#endif
                atomic { nfull(stores[me]) -> stores[me]!0 } /* wake_up: a plain store */
            fi
        fi
    od
}

#define LOCALS byte head = NO_TASK, mail = NO_TASK, t, now, left; bit was

inline live()
{
    left = ROUNDS;
    do
    :: left > 0 ->
#if defined(SCENE_FAN)
        if
        :: me == 0 ->
            loop_until(woken[1] || woken[2]);
            atomic {
                if
                :: woken[1] -> woken[1] = 0; ran[1]++
                :: else
                fi;
                if
                :: woken[2] -> woken[2] = 0; ran[2]++
                :: else
                fi;
                left = (ran[1] == ROUNDS && ran[2] == ROUNDS -> 1 : 2)
            }
        :: else ->
            wake_far(me, 0);
            ran[me] >= ROUNDS - left + 1 /* it waits, and is claimed anew */
        fi;
#elif defined(SCENE_RING)
        if
        :: me == 0 ->
            wake_far(1, 1);
            loop_until(woken[0]);
            woken[0] = 0
        :: else ->
            loop_until(woken[me]);
            woken[me] = 0;
            wake_far((me + 1) % NW, (me + 1) % NW)
        fi;
#else
        if
        :: me == 0 ->
            loop_until(woken[0]);
            woken[0] = 0;
            loop_until(cleared)
        :: me == 1 ->
            wake_far(0, 0);
            atomic { finished[1] = 1; pidfd = 1 } /* its worker ends by itself */
        :: me == 2 ->
            loop_until(cleared);
            ring(0) /* the end of this scene */
        fi;
#endif
        left--
    :: else -> break
    od;
    finished[me] = 1
}
proctype worker(byte me)
{
    LOCALS;
    live()
}
#ifdef SCENE_DEATH
proctype victim(byte me)
{
    LOCALS;
    { live() } unless { dead }
}
#endif

#ifdef SCENE_DEATH
active proctype killer()
{
end:
    atomic { !finished[1] -> dead = 1; pidfd = 1 }
}
#endif

init
{
    byte i;
    atomic {
        for (i : 0 .. NW - 1) {
            mailbox[i] = NO_TASK;
            next[i] = NO_TASK
        }
        run worker(0);
#ifdef SCENE_DEATH
        run victim(1);
        claimed[0] = 1; /* by worker 1 */
#else
        run worker(1);
#endif
#if NW > 2
        run worker(2)
#endif
    }
}
