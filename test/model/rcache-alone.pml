/* SPDX-License-Identifier: BSD-3-Clause */
/* Unpinning inside a hook without a membarrier: allowed where no other thread has a block of counters in use. Thread 0
 * has one. It hits, and is interrupted anywhere by a hook of its own (a signal handler, or an allocation within a
 * call): once. Thread 1 takes its block, hits, and gives the reference back, or ends and leaves it to thread 0.
 * Source: grdma_is_alone_locked(), own(), let_go_of_blocks(), grdma_settle() in rcache/grdma/grdma_thread.c,
 * grdma_invalidate_range(), grdma_retire_locked() and grdma_batch_attend_locked() in grdma_release.c, grdma_reap.c.
 *
 * Memory: as in rcache-references.pml. Thread 0 sees its own counters as it has written them; what its buffer would
 * hide from thread 1, the membarrier of thread 1 shows (rcache-references.pml), and is shown at once here.
 *
 * What the model asserts: nobody holds a region that is unpinned; it is unpinned once; at the end nothing is left.
 *
 * Switches; each must fail:
 *   TAKE_UNLOCKED      a block is taken by a plain store, without the lock
 *   ALONE_BEFORE_LOCK  the hook asks whether it is alone before it has the lock
 *   MARK_AFTER_UNLOCK  the hook lets the lock go before it marks
 *   SKIP_FREE_BLOCKS   the sum leaves out blocks that no thread uses
 *   NEVER_OTHERS       the hook never asks
 *   WEAK_LEAVE         a block is given back by a plain store (aarch64)
 *   REAP_ALWAYS_ALONE  who reaps sums under the lock without asking whether it is alone
 *   NEVER_WORK         the hook does not raise attention where it is not alone, either
 */
mtype = { TAKE, GET, PUT, LEAVE, GIVE };
chan buffer = [4] of { mtype }; /* Of thread 1. */
byte gets[2], puts[2];          /* [0] as thread 0 sees them, [1] as all but thread 1 do. */
bool in_use;                    /* Thread 1's block. */
bool invalid, in_limbo, attention;
bool locked;
byte held, mail;
bool pinned = true, told;
byte done;

active proctype memory_system()
{
end:
    do
    :: atomic { buffer ? TAKE -> in_use = true }
    :: atomic { buffer ? GET -> gets[1]++ }
    :: atomic { buffer ? PUT -> puts[1]++ }
    :: atomic { buffer ? LEAVE -> in_use = false }
    :: atomic { buffer ? GIVE -> mail++ }
#ifdef WEAK_LEAVE
    :: atomic { buffer ?? GET -> gets[1]++ }
    :: atomic { buffer ?? LEAVE -> in_use = false }
#endif
    od
}

inline sum(idle, with_free)
{
    total_puts = puts[0];
    if
    :: with_free || in_use -> total_puts = total_puts + puts[1]
    :: else
    fi;
    total_gets = gets[0];
    if
    :: with_free || in_use -> total_gets = total_gets + gets[1]
    :: else
    fi;
    idle = (total_puts == total_gets);
    d_step { total_puts = 0; total_gets = 0 }
}

#ifdef SKIP_FREE_BLOCKS
#define ALL_BLOCKS false
#else
#define ALL_BLOCKS true
#endif

inline end_region()
{
    d_step { assert(held == 0 && pinned); pinned = false }
}

/* grdma_invalidate_range() on thread 0; when the lock is not free it posts, and this model gives up. */
inline hook()
{
#ifdef ALONE_BEFORE_LOCK
    alone = !in_use;
#endif
    if
    :: atomic { !locked -> locked = true };
        told = true;
#ifndef MARK_AFTER_UNLOCK
        invalid = true;
#endif
#ifdef NEVER_OTHERS
        alone = true;
#elif !defined(ALONE_BEFORE_LOCK)
        alone = !in_use;
#endif
        idle = false;
        if
        :: alone -> sum(idle, ALL_BLOCKS)
        :: else
        fi;
#ifdef NEVER_WORK
        d_step { in_limbo = !idle; alone = false; locked = false };
#else
        d_step { in_limbo = !idle; attention = attention || !alone; alone = false; locked = false };
#endif
#ifdef MARK_AFTER_UNLOCK
        invalid = true;
#endif
        if
        :: idle -> idle = false; end_region()
        :: else
        fi
    :: atomic { locked -> skip }
    fi
}

/* A signal may come here: once. */
inline interruptible()
{
    if
    :: !told -> hook()
    :: true
    fi
}

/* reap_limbo() in grdma_reap.c: take_work() asks under the lock whether it is alone, grdma_settle() asks without it whether anybody
 * has to be waited for. */
#define DRAINED(t) (t == 0 || empty(buffer))
#define OTHERS(t) (t == 1 || in_use)

inline reap_limbo(t)
{
    if
    :: attention -> atomic { DRAINED(t) -> attention = false }
    :: else
    fi;
    atomic { !locked && DRAINED(t) -> locked = true };
#ifdef REAP_ALWAYS_ALONE
    only = true;
#else
    only = !OTHERS(t);
#endif
    if
    :: only && in_limbo -> sum(idle, ALL_BLOCKS); in_limbo = !idle
    :: else -> d_step { mine = in_limbo; in_limbo = false }
    fi;
    d_step { only = false; locked = false };
    if
    :: mine ->
        if
        :: OTHERS(t) -> (empty(buffer))
        :: else
        fi;
        sum(idle, ALL_BLOCKS);
        if
        :: !idle ->
            atomic { !locked && DRAINED(t) -> locked = true };
            sum(idle, ALL_BLOCKS);
            d_step { in_limbo = !idle; locked = false }
        :: else
        fi;
        mine = false
    :: else
    fi;
    if
    :: idle -> idle = false; end_region()
    :: else
    fi
}

inline give_back0()
{
    puts[0]++;
    interruptible();
    seen = invalid;
    if
    :: seen -> reap_limbo(0)
    :: else
    fi
}

proctype thread0()
{
    byte total_puts, total_gets;
    bool idle, mine, only, alone, seen;
    /* hit() */
    interruptible();
    gets[0]++;
    interruptible();
    seen = invalid;
    if
    :: !seen -> d_step { held++; assert(pinned) }; interruptible(); held--
    :: else
    fi;
    interruptible();
    give_back0();
    do
    :: mail > 0 -> mail--; held--; give_back0()
    :: attention -> reap_limbo(0)
    :: !told -> hook()
    :: done == 1 && mail == 0 && empty(buffer) && told && !attention -> break
    od;
    assert(!pinned && !in_limbo && gets[0] + gets[1] == puts[0] + puts[1])
}

inline give_back1()
{
    buffer ! PUT;
    seen = invalid;
    if
    :: seen -> reap_limbo(1)
    :: else
    fi
}

proctype thread1()
{
    byte total_puts, total_gets;
    bool idle, mine, only, seen, handed;
    /* own() */
#ifdef TAKE_UNLOCKED
    buffer ! TAKE;
#else
    atomic { !locked -> locked = true };
    in_use = true;
    atomic { locked = false };
#endif
    /* hit() */
    buffer ! GET;
    seen = invalid;
    if
    :: !seen ->
        d_step { held++; assert(pinned) };
        if
        :: held--; give_back1()
        :: handed = true
        fi
    :: else -> give_back1()
    fi;
    /* let_go_of_blocks(), at the thread's end: a locked instruction */
#ifdef WEAK_LEAVE
    buffer ! LEAVE;
#else
    atomic { empty(buffer) -> in_use = false };
#endif
    if
    :: handed -> buffer ! GIVE
    :: else
    fi;
    (empty(buffer));
    done++
}

init { atomic { run thread0(); run thread1() } }
