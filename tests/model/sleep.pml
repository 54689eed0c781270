/* Sleep and wake-up: mailboxes, `sleeping`, bells, knocks, and the count of deaths.

   runtime/worker.c (usp_wake_far, empty_mailbox, drain), sleep.c (all of it), scheduler.c (usp_loop_for_ever), the
   polls of linger.c, and of burial.c what wakes: usp_put_right, ring_everybody, usp_burial_pending, answer,
   clear_graves. With the store buffers of x86 (see lock.pml); a seq_cst store is a locked instruction there.

   A worker has one task. In each round it wakes the task of its neighbour and then waits for its own to be woken. The
   claim, by which only one wakes a task, is not looked at here (match.pml): `claimed` says that somebody will. How a
   worker sleeps, in its loop or on its word, is left open each time. There are no limits to a sleep: they would
   hide what is lost.

   Proved: a task that has been woken runs, whoever sleeps meanwhile, and however; a mailbox loses nothing; what is
   written to a link is read. With a death: what the dead one had claimed and not woken, or woken and not rung for,
   is found by the survivors, and the supervisor learns that all have looked.

   @ small holds two_wake_one -DSCENE_FAN
   @ small fails:invalidendstate sleeping_is_a_plain_store -DSCENE_FAN -DMUTATION_PLAIN_SLEEPING
   @ small fails:invalidendstate looks_before_it_says_that_it_sleeps -DSCENE_FAN -DMUTATION_LOOK_FIRST
   @ small fails:invalidendstate the_waker_looks_before_it_pushes -DSCENE_FAN -DMUTATION_WAKER_LOOKS_FIRST
   @ small fails:invalidendstate a_push_by_two_stores -DSCENE_FAN -DMUTATION_PUSH_BY_STORES
   @ small fails:invalidendstate who_sleeps_on_its_word_is_rung_by_a_bell -DSCENE_FAN -DMUTATION_BELL_FOR_ALL
   @ small fails:invalidendstate the_word_is_not_compared -DSCENE_FAN -DMUTATION_WAIT_IN_ANY_CASE
   @ small holds a_ring_of_two -DSCENE_RING -DNW=2 -DROUNDS=2
   @ small holds frames -DSCENE_LINK -DNW=2 -DROUNDS=3
   @ small fails:invalidendstate knocks_before_it_writes -DSCENE_LINK -DNW=2 -DMUTATION_KNOCK_FIRST
   @ small fails:invalidendstate knocks_plainly -DSCENE_LINK -DNW=2 -DMUTATION_PLAIN_KNOCK
   @ small fails:invalidendstate knocks_are_not_looked_at_before_sleep -DSCENE_LINK -DNW=2 -DMUTATION_DEAF
   @ small fails:invalidendstate links_are_not_looked_at_after_the_loop -DSCENE_LINK -DNW=2 -DROUNDS=2 -DMUTATION_NO_LOOK_AFTER_LOOP
   @ small holds a_waker_dies -DSCENE_DEATH
   @ small fails:invalidendstate not_rung_in_any_case -DSCENE_DEATH -DMUTATION_POLITE_RING
   @ small fails:invalidendstate nobody_looks_for_lost_claims -DSCENE_DEATH -DMUTATION_NO_LOOK
   @ small fails:invalidendstate deaths_are_not_looked_at_before_sleep -DSCENE_DEATH -DMUTATION_DEATHS_NOT_PENDING
   @ small fails:invalidendstate an_answer_does_not_wake -DSCENE_DEATH -DMUTATION_SILENT_ANSWER
   @ small fails:invalidendstate a_parent_sleeps_on_its_word -DSCENE_DEATH -DMUTATION_PARENT_ON_ITS_WORD
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
   SCENE_LINK: 1 writes frames to 0. SCENE_DEATH: 1 wakes task 0 of worker 0 and may die of it; 2 supervises 1. */

#define AWAKE 0
#define IN_THE_LOOP 1
#define ON_ITS_WORD 2

/* ---- memory: `sleeping` of each worker is the one word that is stored to plainly ---- */

byte sleeping[NW];
chan stores[NW] = [2] of { byte }; /* on their way to sleeping[me] */
bit knocked[NW];
bit knock_on_its_way;   /* MUTATION_PLAIN_KNOCK: of 1 to 0 */

/* ---- what lies in the arena ---- */

byte mailbox[NW];       /* the head of the stack: a task */
byte next[NW];          /* mail_next */
byte deaths;
byte seen[NW];          /* deaths_seen */
bit buried;             /* state of worker 1 */
bit claimed[NW];        /* by worker 1, which will wake it */

/* ---- links ---- */

byte bells[NW];         /* on their way */
byte frames[NW];        /* the same, of all other kinds */
byte arrived[NW];

bit in_kernel[NW];      /* it waits in FUTEX_WAIT */

bit dead, woken[NW], pidfd;
byte ran[NW];           /* times that a task has run after being woken */
bit finished[NW], grave, cleared;

active proctype buffers()
{
    byte x;
end:
    do
#ifdef MUTATION_PLAIN_KNOCK
    :: atomic { knock_on_its_way -> knocked[0] = 1; knock_on_its_way = 0 }
#endif
    :: atomic { nempty(stores[0]) -> stores[0]?x; sleeping[0] = x; x = 0 }
    :: atomic { nempty(stores[1]) -> stores[1]?x; sleeping[1] = x; x = 0 }
#if NW > 2
    :: atomic { nempty(stores[2]) -> stores[2]?x; sleeping[2] = x; x = 0 }
#endif
    od
}

/* ---- waking ---- */

/* usp_link_bell */
inline bell(w)
{
    atomic { bells[w] < 8; bells[w]++ }
}
/* usp_worker_rouse, ring */
inline rouse(w)
{
    if
    :: sleeping[w] ->
        atomic { empty(stores[me]) -> was = sleeping[w]; sleeping[w] = AWAKE }; /* exchange */
        if
#ifndef MUTATION_BELL_FOR_ALL
        :: was == ON_ITS_WORD -> was = 0; in_kernel[w] = 0
        :: was == IN_THE_LOOP -> was = 0; bell(w)
#else
        :: was -> was = 0; bell(w)
#endif
        :: else
        fi
    :: else
    fi
}
/* usp_worker_ring */
inline ring(w)
{
    atomic { empty(stores[me]) -> was = sleeping[w]; sleeping[w] = AWAKE };
    in_kernel[w] = 0;
    if
    :: was != ON_ITS_WORD -> was = 0; bell(w)
    :: else -> was = 0
    fi
}
/* usp_worker_knock */
inline knock(w)
{
    if
    :: sleeping[w] != IN_THE_LOOP ->
#ifdef MUTATION_PLAIN_KNOCK
        atomic { !knock_on_its_way; knock_on_its_way = 1 };
#else
        atomic { empty(stores[me]) -> knocked[w] = 1 };
#endif
        if
        :: sleeping[w] == ON_ITS_WORD -> rouse(w)
        :: else
        fi
    :: else
    fi
}
/* usp_wake_far: task `t` of worker `w` */
inline wake_far(t, w)
{
#ifdef MUTATION_WAKER_LOOKS_FIRST
    rouse(w);
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
    rouse(w)
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
        :: buried && me != 2 -> rouse(2)
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
    rouse(0)
#else
    ring(0)
#endif
}
#define EVENTS (bells[me] > 0 || frames[me] > 0 || (me == 2 && pidfd))
#else
#define EVENTS (bells[me] > 0 || frames[me] > 0)
#endif
/* What a turn of libuv's does with what has come; bells are read, and that is all. */
inline take_events()
{
    atomic { bells[me] = 0; arrived[me] = arrived[me] + frames[me]; frames[me] = 0 };
#ifdef SCENE_DEATH
    if
    :: me == 2 && pidfd -> child_ended()
    :: else
    fi
#endif
}

/* usp_poll */
inline poll()
{
    if
    :: EVENTS -> take_events()
    :: else
    fi
}

#ifdef MUTATION_DEAF
#define HEARS false
#else
#define HEARS (on_word && knocked[me])
#endif
inline fall_asleep()
{
#ifdef MUTATION_PLAIN_SLEEPING
    atomic { nfull(stores[me]) -> stores[me]!1 + on_word }
#else
    atomic { empty(stores[me]) -> sleeping[me] = 1 + on_word }
#endif
}
/* FUTEX_WAIT, or uv_run(ONCE) */
inline sleep_there()
{
    if
    :: on_word ->
        atomic {
            if
#ifndef MUTATION_WAIT_IN_ANY_CASE
            :: sleeping[me] == ON_ITS_WORD -> in_kernel[me] = 1
#else
            :: in_kernel[me] = 1
#endif
            :: else
            fi
        };
        !in_kernel[me]
    :: else -> EVENTS -> take_events()
    fi
}
/* usp_worker_sleep */
inline sleep()
{
    if
    :: on_word && (was_in_loop || knocked[me]) -> /* look_at_links */
        was_in_loop = 0;
        atomic { empty(stores[me]) -> knocked[me] = 0 };
        poll()
    :: else ->
#ifdef MUTATION_LOOK_FIRST
        if
        :: mailbox[me] == NO_TASK && !PENDING && !HEARS ->
            fall_asleep();
            sleep_there()
        :: else
        fi;
#else
        fall_asleep();
        if
        :: mailbox[me] == NO_TASK ->
            if
            :: !HEARS ->
                if
                :: !PENDING -> sleep_there()
                :: else
                fi
            :: else
            fi
        :: else
        fi;
#endif
#ifndef MUTATION_NO_LOOK_AFTER_LOOP
        was_in_loop = 1 - on_word;
#endif
        atomic { nfull(stores[me]) -> stores[me]!AWAKE } /* a plain store */
    fi
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
                if /* may_sleep_on_its_word */
                :: on_word = 0
#if defined(SCENE_DEATH) && !defined(MUTATION_PARENT_ON_ITS_WORD)
                :: me != 2 -> on_word = 1 /* who has children hears of their end in the loop */
#else
                :: on_word = 1
#endif
                fi;
                sleep()
            fi
        fi
    od
}

#define LOCALS byte head = NO_TASK, mail = NO_TASK, t, now, left, was; bit on_word, was_in_loop

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
#elif defined(SCENE_LINK)
        if
        :: me == 0 -> loop_until(arrived[0] == ROUNDS); left = 1
        :: else ->
#ifdef MUTATION_KNOCK_FIRST
            knock(0);
            frames[0]++
#else
            frames[0]++; /* usp_link_send */
            knock(0)
#endif
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
            frames[0]++; /* the end of this scene */
            knock(0)
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
