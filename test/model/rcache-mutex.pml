/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of a cache (rcache/grdma/grdma_mutex.h, grdma_mutex.c): three threads lock and unlock, and a hook tries. One holder
 * at a time; nobody sleeps for ever (that would be an invalid end state). All accesses of the word are locked instructions,
 * so no store buffers are needed. The kernel compares and goes to sleep in one step, and wakes one sleeper.
 *
 * Switches take one ingredient away; each must fail:
 *   PLAIN_TRY       a test and a store instead of a compare-and-swap
 *   NO_MARK         a waiter does not make the word 2 before it sleeps
 *   GOT_AS_HELD     a waiter that gets it has it as 1, though there may be other waiters
 *   WAIT_UNCHECKED  the kernel does not compare
 *   WAKE_NONE       who lets go of a 2 wakes nobody
 */
#define THREADS 3
#define ROUNDS 2
#ifdef NO_MARK
#define HELD 1
#else
#define HELD 2
#endif

byte state = 0, inside = 0;
bool asleep[THREADS];

/* grdma_mutex_try() */
inline try(got)
{
#ifdef PLAIN_TRY
    if
    :: state == 0 -> state = 1; got = true
    :: else -> got = false
    fi
#else
    atomic {
        if
        :: state == 0 -> state = 1; got = true
        :: else -> got = false
        fi
    }
#endif
}

/* grdma_mutex_wait(): exchange, then FUTEX_WAIT */
inline wait(me, old)
{
    do
    :: atomic {
           old = state;
#ifdef NO_MARK
           state = (old == 0 -> 1 : old)
#else
#ifdef GOT_AS_HELD
           state = (old == 0 -> 1 : 2)
#else
           state = 2
#endif
#endif
       };
       if
       :: old == 0 -> break
       :: else ->
#ifdef WAIT_UNCHECKED
           asleep[me] = true;
#else
           atomic { asleep[me] = (state == HELD) };
#endif
           !asleep[me]
       fi
    od
}

/* grdma_mutex_unlock(), grdma_mutex_wake() */
inline unlock(old)
{
    atomic { old = state; state = 0 };
    if
    :: old != 1 ->
#ifdef WAKE_NONE
        skip
#else
        atomic {
            if
            :: asleep[0] -> asleep[0] = false
            :: asleep[1] -> asleep[1] = false
            :: asleep[2] -> asleep[2] = false
            :: !asleep[0] && !asleep[1] && !asleep[2] -> skip
            fi
        }
#endif
    :: else -> skip
    fi
}

inline use()
{
    inside++;
    assert(inside == 1);
    inside--
}

proctype thread(byte me)
{
    byte round = 0, old = 0;
    bool got = false;

    do
    :: round < ROUNDS ->
        try(got);
        if
        :: got -> skip
        :: else -> wait(me, old)
        fi;
        use();
        unlock(old);
        round++
    :: else -> break
    od
}

/* It never waits. */
active proctype hook()
{
    byte old = 0;
    bool got = false;

    try(got);
    if
    :: got -> use(); unlock(old)
    :: else -> skip
    fi
}

init
{
    atomic { run thread(0); run thread(1); run thread(2) }
}
