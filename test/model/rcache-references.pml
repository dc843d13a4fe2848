/* SPDX-License-Identifier: BSD-3-Clause */
/* References of the registration cache against invalidation, eviction, reaping and a second life of the same id
 * (docs/rcache-protocol.md, sections "hit" to "evict"). Two users hit, use and put; the first may hand its reference to
 * the second; a manager invalidates or evicts, reaps, and registers other pages under the same id. The hint that the
 * users follow is never corrected: they always come to this id.
 *
 * Memory: each user has a buffer of stores, drained at any time; on x86 in order, with WEAK (aarch64) a plain store
 * may overtake older ones and a release does not. A user's counters are increments in its buffer. Whoever takes the
 * lock drains its own buffer. membarrier() drains one user after the other.
 *
 * What the model asserts: a region is unpinned once in each life and never while somebody holds it; a hit covers
 * what was asked for; uses of the memory come before the unpin; at the end no idle region is left in limbo, unless
 * attention tells the next call of it.
 *
 * Switches; each must fail:
 *   NO_REAP_MEMBARRIER, NO_EVICT_MEMBARRIER, NO_PUT_MEMBARRIER   sums without a membarrier since the mark
 *   COUNT_AFTER_FLAGS    the compiler moves gets++ behind the look at the flags
 *   BOUNDS_BEFORE_COUNT  bounds are checked before the reference is counted
 *   GETS_BEFORE_PUTS     the sum reads gets first (also: puts read without acquire)
 *   NO_PUT_CHECK         put does not look at the flags
 *   NO_FAILED_HIT_CHECK  a hit that fails looks at them only before its puts++
 *   CHECK_BEFORE_PUT     the compiler moves put's look at the flags before its puts++
 *   READY_WHILE_FREE     INVALID goes when the region is ended
 *   WEAK_PUT             WEAK, and puts++ is not a release
 *   WEAK_FLAGS           WEAK, and the hit's load of the flags is not an acquire
 *   WEAK_READY           WEAK, and READY is not a release
 *   UNSETTLED            a reaper lowers attention without a membarrier (and ends nothing)
 */
#if defined(WEAK_PUT) || defined(WEAK_FLAGS) || defined(WEAK_READY)
#define WEAK
#endif
#define USERS 2
#define LIVES 2
mtype = { READY, PINNING, INVALID };
mtype = { GET, PUT, USE, GIVE };

chan buffer[USERS] = [3] of { mtype };
byte gets[USERS], puts[USERS]; /* As everybody sees them. */
byte mail[USERS];              /* References on their way to a user. */

mtype flags = READY;
byte bounds = 0; /* What the region covers: the range of its life. */
bool locked, in_limbo, settled, attention; /* settled: a membarrier has run since the mark. All but attention under the lock. */
byte held;       /* Ghost: references that users believe in. */
bool pinned = true;
byte life;
byte users_done;

inline membarrier() { (empty(buffer[0])); (empty(buffer[1])) }

active proctype memory_system()
{
end:
    do
    :: atomic { buffer[0] ? GET -> gets[0]++ }
    :: atomic { buffer[1] ? GET -> gets[1]++ }
    :: atomic { buffer[0] ? PUT -> puts[0]++ }
    :: atomic { buffer[1] ? PUT -> puts[1]++ }
    :: atomic { buffer[0] ? USE -> assert(pinned) }
    :: atomic { buffer[1] ? USE -> assert(pinned) }
    :: atomic { buffer[0] ? GIVE -> mail[1]++ }
#ifdef WEAK
    :: atomic { buffer[0] ?? GET -> gets[0]++ }
    :: atomic { buffer[1] ?? GET -> gets[1]++ }
    :: atomic { buffer[0] ?? USE -> assert(pinned) }
    :: atomic { buffer[1] ?? USE -> assert(pinned) }
#endif
#ifdef WEAK_PUT
    :: atomic { buffer[0] ?? PUT -> puts[0]++ }
    :: atomic { buffer[1] ?? PUT -> puts[1]++ }
#endif
    od
}

/* grdma_sum_locked(): each counter is one load. */
inline sum(idle)
{
    d_step { total_puts = 0; total_gets = 0 };
#ifdef GETS_BEFORE_PUTS
    total_gets = total_gets + gets[0];
    total_gets = total_gets + gets[1];
    total_puts = total_puts + puts[0];
    total_puts = total_puts + puts[1];
#else
    total_puts = total_puts + puts[0];
    total_puts = total_puts + puts[1];
    total_gets = total_gets + gets[0];
    total_gets = total_gets + gets[1];
#endif
    idle = (total_puts == total_gets);
    d_step { total_puts = 0; total_gets = 0 }
}

/* grdma_end(): outside the lock; the region left limbo under it. */
inline end_region()
{
    d_step {
        assert(held == 0);
        assert(pinned);
        pinned = false;
#ifdef READY_WHILE_FREE
        flags = READY
#endif
    }
}

/* put_slow(): the flags said INVALID. */
inline put_slow(u)
{
    atomic { !locked && empty(buffer[u]) -> locked = true };
    idle = false;
    if
    :: in_limbo ->
        if
        :: !settled ->
#ifndef NO_PUT_MEMBARRIER
            membarrier();
#endif
            settled = true
        :: else
        fi;
        sum(idle);
        if
        :: idle -> d_step { in_limbo = false; attention = false }
        :: else
        fi
    :: else
    fi;
    atomic { locked = false };
    if
    :: idle -> idle = false; end_region()
    :: else
    fi
}

/* put(), and a hit that failed */
inline give_back(u)
{
#ifdef CHECK_BEFORE_PUT
    seen = flags;
    buffer[u] ! PUT;
#else
    buffer[u] ! PUT;
    seen = flags;
#endif
#ifndef NO_PUT_CHECK
    if
    :: seen == INVALID -> put_slow(u)
    :: else
    fi
#endif
}

inline put(u)
{
    d_step { held-- };
    give_back(u)
}

/* hit(), and what its user does with the reference */
inline hit(u)
{
    if
    :: wanted = 0
    :: wanted = 1
    fi;
#if defined(BOUNDS_BEFORE_COUNT) || defined(WEAK_FLAGS)
    covers = bounds;
#endif
#ifdef COUNT_AFTER_FLAGS
    seen = flags;
    buffer[u] ! GET;
#else
    buffer[u] ! GET;
    seen = flags;
#endif
#if !defined(BOUNDS_BEFORE_COUNT) && !defined(WEAK_FLAGS)
    covers = bounds;
#endif
    d_step {
        good = (seen == READY && covers == wanted);
        if
        :: good -> held++; assert(pinned && bounds == wanted)
        :: else
        fi;
        covers = 0; wanted = 0
    };
    if
    :: good ->
        good = false;
        buffer[u] ! USE;
        if
        :: put(u)
        :: u == 0 -> buffer[u] ! GIVE
        fi
    :: else ->
#ifdef NO_FAILED_HIT_CHECK
        buffer[u] ! PUT;
        if
        :: seen == INVALID -> put_slow(u)
        :: else
        fi
#else
        give_back(u)
#endif
    fi
}

proctype user(byte u)
{
    byte round, wanted, covers, total_puts, total_gets;
    mtype seen;
    bool idle, good;
    do
    :: round < 2 - u -> round++; hit(u)
    :: mail[u] > 0 -> mail[u]--; put(u)
    :: round == 2 - u && (u == 0 || (users_done == 1 && empty(buffer[0]) && mail[1] == 0)) -> break
    od;
    users_done++
}

/* grdma_invalidate_range() that is not alone: marks, and leaves the rest to the next call. */
inline invalidate()
{
    atomic { !locked -> locked = true };
    atomic { flags = INVALID };
    d_step { settled = false; in_limbo = true; attention = true; locked = false }
}

/* grdma_reap(), of any thread that sees attention */
inline reap()
{
    atomic { !locked -> locked = true };
    attention = false;
    idle = false;
    if
    :: in_limbo ->
#ifndef UNSETTLED
#ifndef NO_REAP_MEMBARRIER
        membarrier();
#endif
        settled = true;
        sum(idle)
#endif
    :: else
    fi;
    d_step { in_limbo = in_limbo && !idle; locked = false };
    if
    :: idle -> idle = false; end_region()
    :: else
    fi
}

/* grdma_evict_one() */
inline evict()
{
    atomic { !locked -> locked = true };
    atomic { flags = INVALID };
#ifndef NO_EVICT_MEMBARRIER
    membarrier();
#endif
    settled = true;
    sum(idle);
    d_step { in_limbo = !idle; locked = false };
    if
    :: idle -> idle = false; end_region()
    :: else
    fi
}

/* grdma_pin(): the same id, other pages. */
inline pin()
{
    d_step { life++; pinned = true; flags = PINNING };
#ifdef WEAK_READY
    flags = READY;
    bounds = life
#else
    bounds = life;
    flags = READY
#endif
}

proctype manager()
{
    byte total_puts, total_gets;
    bool idle, dropped;
    do
    :: !dropped -> dropped = true;
        if
        :: invalidate()
        :: evict()
        fi
    :: attention -> reap()
    :: !pinned && life + 1 < LIVES -> pin(); dropped = false
    :: users_done == USERS && empty(buffer[0]) && empty(buffer[1]) && dropped -> break
    od;
    assert(held == 0 && gets[0] + gets[1] == puts[0] + puts[1]);
    if
    :: attention -> reap()
    :: else
    fi;
    assert(!pinned && !in_limbo)
}

init { atomic { run user(0); run user(1); run manager() } }
