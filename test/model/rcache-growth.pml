/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache grows while threads come (rcache/grdma/grdma_region.c, grdma_thread.c): whoever has a block in the list has counts of all
 * ids that there are. Two threads let it grow, to 2 and to 3 pages of counts; two others come, each with a block that has one page at
 * most when it is made. All that the list and the capacities are is changed under the lock, a step each here; memory is had
 * outside it (mprotect), a step for each block.
 *
 * Switches take one ingredient away; each must fail:
 *   NOT_ASKED_AGAIN   a new block enters the list, whatever the cache's capacity is by then
 *   OPENED_LATER      it enters the list before it is opened
 *   NOT_ALL_ASKED     the capacity is raised though a block came into the list meanwhile
 *   RAISED_FIRST      the capacity is raised before the blocks are opened
 *   LOWERED           who grows less, and comes last, puts the capacity back
 */
#define COMERS 2
#define GROWERS 2

byte capacity = 1;            /* Of the cache, in pages. */
byte opened[COMERS];          /* Pages that a block's counts have. */
byte block_capacity[COMERS];  /* As the cache knows. */
bool listed[COMERS];

/* have_spare(), own() */
proctype comer(byte me)
{
    byte wanted = 0;

    do
    :: listed[me] -> break
    :: else ->
        wanted = capacity; /* Under the lock. */
#ifdef OPENED_LATER
        atomic { listed[me] = (wanted >= capacity); block_capacity[me] = wanted };
#endif
        opened[me] = wanted;
        atomic {
#ifdef NOT_ASKED_AGAIN
            listed[me] = true;
            block_capacity[me] = wanted
#else
            if
            :: wanted >= capacity -> listed[me] = true; block_capacity[me] = wanted
            :: else -> skip
            fi
#endif
        }
    od
}

#define MOST(a, b) (a > b -> a : b)

inline open_block(i)
{
    if
    :: seen[i] -> opened[i] = MOST(opened[i], wanted)
    :: else -> skip
    fi
}

inline note_block(i)
{
    if
    :: seen[i] -> block_capacity[i] = MOST(block_capacity[i], wanted)
    :: else -> skip
    fi;
#ifndef NOT_ALL_ASKED
    if
    :: listed[i] && block_capacity[i] < wanted -> is_everywhere = false
    :: else -> skip
    fi
#endif
}

/* open_to(), set_capacity() */
proctype grower(byte wanted)
{
    bool seen[COMERS];
    bool is_everywhere = false;

    do
    :: is_everywhere -> break
    :: else ->
        atomic { seen[0] = listed[0]; seen[1] = listed[1] }; /* The list, by one load. */
#ifdef RAISED_FIRST
        capacity = MOST(capacity, wanted);
#endif
        open_block(0);
        open_block(1);
        atomic {
            is_everywhere = true;
            note_block(0);
            note_block(1);
            if
#ifdef LOWERED
            :: is_everywhere -> capacity = wanted
#else
            :: is_everywhere -> capacity = MOST(capacity, wanted)
#endif
            :: else -> skip
            fi
        }
    od
}

/* A sum, a hit or a put may come at any time: of any id below the capacity, of any block in the list. An id that was handed
 * out stays. */
active proctype counter()
{
    byte known = 0;

    do
    :: atomic { capacity > known -> known = capacity }
    :: atomic { listed[0] -> assert(opened[0] >= known && opened[0] >= capacity) }
    :: atomic { listed[1] -> assert(opened[1] >= known && opened[1] >= capacity) }
    :: atomic { known > 0 -> assert(capacity >= known) }
    :: break
    od
}

init
{
    atomic { run grower(2); run grower(3); run comer(0); run comer(1) }
}
