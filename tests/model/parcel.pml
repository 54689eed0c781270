/* The block of a message of variable length on its way through the lanes of a buffer, and deaths on that way.

   channels/lane.c: write_variable(), read_variable() with note() and pass(), seize() and finish(). A writer and a reader with a lane
   each; a first one that looks after the dead (seize, and then everything that was the dead one's is given back), and a second one that does
   so too, because it waits for a lock of the dead one's, but gives nothing back unless the first one has died as well. Who is in which
   lane at what time, and the lock, are lane.pml's matter.

   Proved: what is read is whole and in the buffer; no block is given back twice, or while it is in the buffer; none is left over;
   with a death of the writer, of the reader, or of both, and of the first one who repairs, at any step.

   @ small holds nobody_dies -DEACH=4
   @ small holds the_writer_dies -DWRITER_DIES
   @ small holds the_reader_dies -DREADER_DIES
   @ small holds both_die -DWRITER_DIES -DREADER_DIES
   @ small holds the_writer_and_a_repairer_die -DWRITER_DIES -DREPAIRER_DIES
   @ small holds the_reader_and_a_repairer_die -DREADER_DIES -DREPAIRER_DIES
   @ small fails:over a_lane_of_the_dead_is_only_freed -DWRITER_DIES -DMUTATION_NO_FINISH
   @ small fails:in_the_buffer a_readers_block_goes_with_it -DREADER_DIES -DMUTATION_NO_FINISH
   @ small fails:over a_block_is_nobodys_after_it_is_in -DWRITER_DIES -DMUTATION_NOBODYS_LATE
   @ small fails:owner the_count_is_noted_before_the_block -DWRITER_DIES -DMUTATION_AT_FIRST
   @ small fails:in_the_buffer another_repairer_is_not_waited_for -DREADER_DIES -DMUTATION_NO_WAIT
   @ small fails:owner what_is_given_back_is_not_made_ones_own -DWRITER_DIES -DMUTATION_NOT_OWN
   @ large holds all_die_of_four -DWRITER_DIES -DREADER_DIES -DREPAIRER_DIES -DEACH=4 -DCAPACITY=2
 */
#ifndef EACH
#define EACH 3
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif
#define BLOCKS (CAPACITY + 3)
#define NO_BLOCK 255
#define NO_COUNT 100

/* Owners, and workers. */
#define READER 0 /* and its side */
#define WRITER 1
#define FIRST 2
#define SECOND 3
#define NOBODY 100
#define FREE 200

#define REPAIRS(w) (10 + (w))

byte owner[BLOCKS] = FREE;
byte slot[CAPACITY] = NO_BLOCK;
byte holder[2], count[2];
byte at[2] = NO_COUNT;
byte block[2] = NO_BLOCK;
bit dead[4], ended[4], buried[4];

#define GONE(w) (dead[w] || ended[w])
#define FULL (count[WRITER] == count[READER] + CAPACITY)
#define EMPTY (count[WRITER] == count[READER])

/* A step at which it may die. */
#ifdef WRITER_DIES
#define MAY_DIE_1 1
#else
#define MAY_DIE_1 0
#endif
#ifdef READER_DIES
#define MAY_DIE_0 1
#else
#define MAY_DIE_0 0
#endif
#ifdef REPAIRER_DIES
#define MAY_DIE_2 1
#else
#define MAY_DIE_2 0
#endif
#define MAY_DIE ((me == READER && MAY_DIE_0) || (me == WRITER && MAY_DIE_1) || (me == FIRST && MAY_DIE_2))
#define STEP                                                                                       \
    if                                                                                             \
    :: true                                                                                        \
    :: MAY_DIE -> dead[me] = 1; goto end                                                           \
    fi

inline note(side, b, to)
{
#ifdef MUTATION_AT_FIRST
    at[side] = count[side]; STEP;
    block[side] = b; STEP;
#else
    block[side] = b; STEP;
    at[side] = count[side]; STEP;
#endif
#ifndef MUTATION_NOBODYS_LATE
    owner[b] = to; STEP
#else
    if
    :: side == READER -> owner[b] = to; STEP
    :: else
    fi
#endif
}

active proctype writer()
{
    byte b, n, me = WRITER;
    do
    :: n < EACH && !GONE(READER) ->
        n++;
        atomic {
            if
            :: owner[0] == FREE -> b = 0
            :: owner[0] != FREE && owner[1] == FREE -> b = 1
            :: owner[0] != FREE && owner[1] != FREE && owner[2] == FREE -> b = 2
            :: owner[0] != FREE && owner[1] != FREE && owner[2] != FREE -> b = 3; assert(owner[3] == FREE)
            fi;
            owner[b] = WRITER
        }
        STEP;
        atomic { !FULL || GONE(READER) -> assert(holder[WRITER] == 0); holder[WRITER] = WRITER + 1 }
        STEP;
        if
        :: FULL -> holder[WRITER] = 0; owner[b] = FREE; break
        :: else
        fi;
        slot[count[WRITER] % CAPACITY] = b; STEP;
        note(WRITER, b, NOBODY);
        count[WRITER]++; STEP;
        at[WRITER] = NO_COUNT; STEP;
#ifdef MUTATION_NOBODYS_LATE
        owner[b] = NOBODY; STEP;
#endif
        holder[WRITER] = 0; STEP
    :: else -> break
    od;
    ended[WRITER] = 1;
end:
    skip
}

active proctype reader()
{
    byte b, me = READER;
    do
    :: !EMPTY ->
        holder[READER] = READER + 1; STEP;
        b = slot[count[READER] % CAPACITY];
        assert(owner[b] == NOBODY || (owner[b] == WRITER && !dead[WRITER])); /* so the bytes are there */
        STEP;
        note(READER, b, READER);
        count[READER]++; STEP;
        at[READER] = NO_COUNT; STEP;
        holder[READER] = 0; STEP;
        assert(owner[b] == READER);
        owner[b] = FREE; STEP
    :: EMPTY && GONE(WRITER) -> break
    od;
    ended[READER] = 1;
end:
    skip
}

/* usp_lanes_seize() for one side. `from`: the dead one, or a repairer that is found dead meanwhile. */
inline seize(side, d)
{
    do
    :: atomic { holder[side] == d + 1 || holder[side] == REPAIRS(d) -> holder[side] = REPAIRS(me) }
        STEP;
        c = NO_BLOCK;
#ifndef MUTATION_NO_FINISH
        if
        :: at[side] == count[side] && block[side] != NO_BLOCK ->
            c = block[side];
            assert(owner[c] != FREE);
            if
            :: side == READER -> owner[c] = NOBODY
#ifndef MUTATION_NOT_OWN
            :: side == WRITER -> owner[c] = me
#else
            :: side == WRITER
#endif
            fi;
            STEP
        :: else
        fi;
        at[side] = NO_COUNT; STEP;
#endif
        holder[side] = 0; STEP;
        if
        :: side == WRITER && c != NO_BLOCK -> assert(owner[c] == me); owner[c] = FREE; STEP
        :: else
        fi;
        break
#ifndef MUTATION_NO_WAIT
    :: atomic { holder[side] >= REPAIRS(0) && holder[side] != REPAIRS(d) && dead[holder[side] - REPAIRS(0)] ->
                holder[side] = REPAIRS(d) } /* usp_lane_relax() seizes for that one, too */
    :: holder[side] == 0 || (holder[side] < REPAIRS(0) && holder[side] != d + 1) -> break
#else
    :: holder[side] != d + 1 && holder[side] != REPAIRS(d) -> break
#endif
    od
}

/* What was the dead one's. */
inline reclaim(d)
{
    i = 0;
    do
    :: i < BLOCKS ->
        d_step {
            if
            :: owner[i] == d ->
                in_the_buffer = 0;
                j = count[READER];
                do
                :: j != count[WRITER] -> in_the_buffer = in_the_buffer || slot[j % CAPACITY] == i; j++
                :: else -> break
                od;
                assert(!in_the_buffer);
                owner[i] = FREE
            :: else
            fi
        }
        STEP;
        i++
    :: else -> break
    od;
    buried[d] = 1
}

inline bury(d)
{
    seize(READER, d);
    seize(WRITER, d);
    reclaim(d);
    STEP
}

#define NOT_BURIED(d) (dead[d] && !buried[d])
#define ALL_QUIET(d) (ended[d] || buried[d])

active proctype first()
{
    byte c, i, j, me = FIRST;
    bit in_the_buffer;
    do
    :: NOT_BURIED(WRITER) -> bury(WRITER)
    :: NOT_BURIED(READER) -> bury(READER)
    :: ALL_QUIET(WRITER) && ALL_QUIET(READER) -> break
    od;
    ended[FIRST] = 1;
end:
    skip
}

active proctype second()
{
    byte c, i, j, in_use, me = SECOND;
    bit in_the_buffer, over;
    do
    :: NOT_BURIED(WRITER) && !dead[FIRST] -> seize(READER, WRITER); seize(WRITER, WRITER)
    :: NOT_BURIED(READER) && !dead[FIRST] -> seize(READER, READER); seize(WRITER, READER)
    :: dead[FIRST] && NOT_BURIED(WRITER) -> bury(WRITER)
    :: dead[FIRST] && NOT_BURIED(READER) -> bury(READER)
    :: NOT_BURIED(FIRST) -> bury(FIRST)
    :: ALL_QUIET(WRITER) && ALL_QUIET(READER) && ALL_QUIET(FIRST) -> break
    od;
end:
    atomic {
        i = 0;
        over = 1;
        do
        :: i < BLOCKS -> in_use = in_use + (owner[i] != FREE); over = over && (owner[i] == FREE || owner[i] == NOBODY); i++
        :: else -> break
        od;
        over = over && in_use == count[WRITER] - count[READER];
        assert(over)
    }
}
