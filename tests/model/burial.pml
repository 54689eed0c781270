/* Burial: who looks after a dead worker, when the parent, another who looks around and, at last, the root compete for
   it, and one of them dies of it; and when the record may be used again.

   runtime/supervise.c (has_crashed, become_undertaker, put_right, bury, clear_graves, look_around, look_after_own_tasks
   as `answer`, orphan_children_of, take_over), worker.c (usp_worker_reserve, usp_worker_release).

   Worker 3 is dead. Its parent 1 sees it by pidfd; 2 has nothing to do and looks around; 0 is the root, which sees the
   death of 1, if that comes, and takes over what 1 has left. All three are survivors that have to answer.

   Proved: only one at a time puts right what the dead one has left; it is put right to the end, whoever dies; no record
   is used again before all have looked, and each is at last; nobody buries who is not dead.

   @ small holds nobody_else_dies
   @ small holds the_parent_dies -DVICTIM=1
   @ small holds the_one_who_looks_around_dies -DVICTIM=2
   @ small fails:at_work two_undertakers -DMUTATION_NO_UNDERTAKER_WORD
   @ small fails:released the_dead_undertaker_is_waited_for -DVICTIM=2 -DMUTATION_WAIT_FOR_EVER
   @ small fails:used_again the_record_is_used_at_once -DMUTATION_NO_ANSWERS
   @ small fails:released orphans_are_not_taken_over -DVICTIM=1 -DMUTATION_NO_ORPHANS
   @ small fails:work buried_before_it_is_done -DVICTIM=2 -DMUTATION_BURIED_FIRST
 */
#define NOBODY 255
#define THE_DEAD 3
#define NSTEPS 2 /* of the work: locks and offers, ends */

mtype = { RUNNING, DEAD, BURIED, FREE };
mtype state = RUNNING;       /* of the record of worker 3 */
byte generation;
byte undertaker = NOBODY;
byte deaths, seen[3];
byte work, at_work = NOBODY;
bit orphan;
bit dead[3], used_again, released, root_knows;
byte grave_death[3];         /* of the one grave a worker can have here; 0: none */

#ifdef VICTIM
#define IS_DEAD(w) ((w) == VICTIM && dead[w])
#else
#define IS_DEAD(w) false
#endif

/* become_undertaker: `ok` */
inline become_undertaker()
{
    ok = 0;
#ifdef MUTATION_NO_UNDERTAKER_WORD
    ok = (state != BURIED);
#else
    do
    :: atomic { state == BURIED || state == FREE -> break }
    :: atomic { state != BURIED && undertaker == me -> ok = 1; break }
    :: atomic { state != BURIED && undertaker == NOBODY -> undertaker = me; ok = 1; break }
#ifndef MUTATION_WAIT_FOR_EVER
    :: atomic { state != BURIED && undertaker != NOBODY && undertaker != me && IS_DEAD(undertaker) ->
            undertaker = me; ok = 1; break } /* has_ended */
#endif
    od
#endif
}
inline put_right()
{
    assert(!used_again); /* or it would bury somebody who is alive */
    become_undertaker();
    if
    :: ok ->
        atomic { assert(at_work == NOBODY || IS_DEAD(at_work)); at_work = me };
        state = DEAD;
#ifdef MUTATION_BURIED_FIRST
        state = BURIED;
#endif
        step = 0;
        do /* died(): may be done twice */
        :: step < NSTEPS ->
            atomic {
                assert(at_work == me);
                step++;
                if
                :: work < step -> work = step
                :: else
                fi
            }
        :: else -> step = 0; break
        od;
        at_work = NOBODY;
        state = BURIED
    :: else
    fi;
    ok = 0;
    deaths++ /* and rings everybody */
}
inline bury()
{
    put_right();
    grave_death[me] = deaths
}
#define SEEN(w) (IS_DEAD(w) || seen[w] >= grave_death[me])

#ifdef MUTATION_NO_ANSWERS
#define GRAVE_IS_READY (grave_death[me] != 0)
#else
#define GRAVE_IS_READY (grave_death[me] != 0 && SEEN(0) && SEEN(1) && SEEN(2))
#endif

/* What the loop does besides. */
inline look()
{
    if
    :: deaths != seen[me] -> /* look_after_own_tasks, answer */
        atomic {
            if
            :: state == BURIED -> assert(work == NSTEPS)
            :: else
            fi;
            seen[me] = deaths
        }
    :: deaths == seen[me] && GRAVE_IS_READY -> /* clear_graves */
        atomic {
            assert(!released);
            assert(work == NSTEPS);
            released = 1;
            grave_death[me] = 0;
            state = FREE
        };
        /* another reserves and starts it */
        atomic { used_again = 1; generation++ }
    :: else
    fi
}

#define SOMETHING_TO_DO (deaths != seen[me] || GRAVE_IS_READY)

inline live()
{
    if
    :: me == 1 -> bury() /* child_ended */
    :: me == 2 -> /* look_around: asks the kernel, and then goes on without looking again */
        if
        :: state != BURIED && state != FREE -> put_right()
        :: true
        fi
    :: else
    fi;
    step = 0;
end_loop:
    do
    :: SOMETHING_TO_DO -> look()
#ifndef MUTATION_NO_ORPHANS
    :: me == 0 && IS_DEAD(1) && !root_knows && !released -> /* orphan_children_of(1), take_over */
        root_knows = 1;
        bury()
#endif
    od
}
proctype survivor(byte me)
{
    byte step;
    bit ok;
    live()
}
#ifdef VICTIM
proctype victim(byte me)
{
    byte step;
    bit ok;
    { live() } unless { dead[me] }
}
active proctype killer()
{
    if
    :: dead[VICTIM] = 1
    :: true
    fi
}
#endif

active proctype monitor()
{
    timeout -> assert(released && work == NSTEPS)
}

init
{
    atomic {
        run survivor(0);
#ifdef VICTIM
        run victim(VICTIM);
        run survivor(3 - VICTIM)
#else
        run survivor(1);
        run survivor(2)
#endif
    }
}
