/* Fairness of ALT, and progress.

   channels/guard.c (usp_choice_start, usp_choice_taken) and alt.c (look), with the matching of match.pml made coarse: what
   happens under one lock is one step, for what it consists of is proved there.

   A process chooses for ever among three channels to read from. Writers 0 and 1 write for ever; writer 2 writes
   when it likes, or never. The scheduler is weakly fair: who could always go on does go on some time.

   Proved: a guard at which a partner waits is taken (within as many rounds as there are guards), and so each of
   the two writers gets on again and again. A choice that starts at its first guard each time, which is
   PRI_ALT, lets the second starve. And whatever the chooser waits for, it goes on again and again.

   @ small holds a_writer_that_waits_is_served ltl=served
   @ small holds within_as_many_rounds_as_guards -DCOUNT_ROUNDS
   @ small holds the_choice_goes_on ltl=goes_on
   @ small fails:acceptancecycle from_the_first_guard_each_time ltl=served -DMUTATION_PRI
   @ small fails:acceptancecycle from_the_guard_that_was_taken ltl=served -DMUTATION_STAY
   @ small fails:rounds from_the_first_guard_in_rounds -DCOUNT_ROUNDS -DMUTATION_PRI
   @ small fails:acceptancecycle without_a_wake_up ltl=goes_on -DMUTATION_NO_WAKE
 */
#define N 3

bit waiting[N];             /* a writer's offer */
bit parked, woken;          /* the chooser, with offers on all */
byte claimer;
byte rounds[N];             /* that were given to others while this one waited */
bit round;

#ifndef COUNT_ROUNDS
ltl served { [] (waiting[1] -> <> !waiting[1]) && [] (waiting[0] -> <> !waiting[0]) }
ltl goes_on { [] <> round && [] <> !round }
#endif

proctype writer(byte me)
{
    do
    :: atomic { /* WRITE: the chooser's offer is claimed, */
            parked -> parked = 0; claimer = me;
#ifndef MUTATION_NO_WAKE
            woken = 1
#endif
        }
    :: atomic { !parked -> waiting[me] = 1; rounds[me] = 0 }; /* or one of its own left */
        !waiting[me]
    :: me == 2 -> break
    od
}

proctype chooser()
{
    byte start, i, k;
    bit found;
    do
    :: k = 0; found = 0;
        i = start;
        do
        :: k < N && !found -> /* look(): guard by guard */
            atomic {
                if
                :: waiting[i] -> waiting[i] = 0; found = 1
                :: else -> i = (i + 1) % N; k++
                fi
            }
        :: else -> break
        od;
        if
        :: found
        :: else -> /* offer_all: one more look with all locks held, from the first guard */
            atomic {
                i = 0;
                do
                :: i < N && !waiting[i] -> i++
                :: else -> break
                od;
                if
                :: i < N -> waiting[i] = 0; found = 1
                :: else -> i = 0; parked = 1
                fi
            };
            if
            :: found
            :: else ->
                atomic { woken -> woken = 0 };
                i = claimer
            fi
        fi;
        atomic {
            if
            :: waiting[0] && i != 0 -> rounds[0]++
            :: else
            fi;
            if
            :: waiting[1] && i != 1 -> rounds[1]++
            :: else
            fi;
#ifdef COUNT_ROUNDS
            assert(rounds[0] <= N && rounds[1] <= N);
#else
            rounds[0] = 0; rounds[1] = 0;
#endif
            round = 1 - round
        };
        /* usp_choice_taken */
#ifdef MUTATION_PRI
        start = 0
#elif defined(MUTATION_STAY)
        start = i
#else
        start = (i + 1) % N
#endif
    od
}

init
{
    atomic {
        run chooser();
        run writer(0);
        run writer(1);
        run writer(2)
    }
}
