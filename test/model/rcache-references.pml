/* SPDX-License-Identifier: BSD-3-Clause */
/* References of the registration cache against its reaper, and a second life of the same id (docs/rcache-protocol.md).
 * Two users hit, use and put; the first may hand its reference to the second. A manager invalidates or evicts, reaps,
 * and with REUSE registers other pages under the same id. The hint that the users follow is never corrected: they
 * always come to this id. Source: mca_rcache_look(), mca_rcache_return() in include/opal/mca/rcache/rcache_hit.h, try(), care_for() in rcache/grdma/grdma_register.c,
 * grdma_self.h, grdma_reap.c,
 * grdma_retire_locked() in grdma_release.c, grdma_fill_in() and make_ready() in grdma_pin.c.
 *
 * Memory: each user has a buffer of stores, drained at any time; on x86 in order, with WEAK (aarch64) a plain store
 * may overtake older ones and a release does not. A user's counters are increments in its buffer. Whoever takes the
 * lock, or changes attention, drains its own buffer. membarrier() drains one user after the other.
 *
 * What the model asserts: a region is unpinned once in each life, and never while somebody holds it; a hit covers
 * what was asked for; uses of the memory come before the unpin; at the end no idle region is left in limbo, unless
 * attention tells the next call of it. Another region is in limbo, too, in use until the manager gives it back at any
 * time: so looking at all that were in use may not be due.
 *
 * Switches; each must fail:
 *   NO_MEMBARRIER        grdma_reap() sums without one
 *   BUSY_UNSETTLED       it spares itself the membarrier where the sum says "in use" without it
 *   NO_SECOND_LOOK       it puts a region back into limbo without a sum under the lock
 *   COUNT_AFTER_FLAGS    the compiler moves gets++ behind the look at the flags
 *   GETS_BEFORE_PUTS     the sum reads gets first (also: puts read without acquire)
 *   NO_PUT_CHECK         put does not look at the flags
 *   CHECK_BEFORE_PUT     the compiler moves put's look at the flags before its puts++
 *   NO_FAILED_HIT_CHECK  a hit that fails looks at the flags only before its puts++
 *   NO_COUNT             who gives back does not count it in limbo_returned
 *   COUNT_BEFORE_PUT     he does so before his puts++ is seen
 *   RESET_AFTER_SUM      limbo_returned is set to 0 after the sums
 *   DUE_LATE             a look is due when more has been returned than there are regions
 *   WEAK_PUT             WEAK, and puts++ is not a release
 * With REUSE:
 *   BOUNDS_BEFORE_COUNT  bounds are checked before the reference is counted
 *   READY_WHILE_FREE     INVALID goes when the region is ended
 *   WEAK_FLAGS           WEAK, and the hit's load of the flags is not an acquire
 *   WEAK_READY           WEAK, and READY is not a release
 *
 * PRECHECK: what is not done: care_for() could sum behind a full barrier, and reap only if that says "idle". Holds; without the barrier
 * (NO_PRECHECK_BARRIER) it must fail.
 */
#if defined(WEAK_PUT) || defined(WEAK_FLAGS) || defined(WEAK_READY)
#define WEAK
#endif
#ifdef REUSE
#define LIVES 2
#define ROUNDS(u) (2 * (1 - u)) /* The second user only gets what the first one hands over. */
#else
#define LIVES 1
#define ROUNDS(u) (2 - u)
#endif
#define USERS 2
mtype = { PINNING, READY, LIMBO, FREE }; /* LIMBO and FREE are INVALID. */
mtype = { GET, PUT, USE, GIVE };

chan buffer[USERS] = [3] of { mtype };
byte gets[USERS], puts[USERS]; /* As everybody sees them. */
byte mail;                     /* References on their way to the second user. */

mtype flags = READY;
byte bounds = 0; /* What the region covers: the range of its life. */
bool locked, attention;
bool unsure, in_limbo; /* The region is in one of the lists: of those that wait for settling, of those that were in use. */
bool other_in_limbo = true, other_used = true; /* The other one. */
byte returned;                                 /* limbo_returned, up to 2 */
byte held;       /* Ghost: references that users believe in. */
bool pinned = true;
byte life, users_done;

inline membarrier() { (empty(buffer[0])); (empty(buffer[1])) }
#define NOTHING_BUFFERED(u) (u == USERS || empty(buffer[u]))

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
    :: atomic { buffer[0] ? GIVE -> mail++ }
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

/* grdma_is_idle(): each counter is one load. What is in the own buffer is not seen here; who sums has drained it. */
inline sum()
{
#ifdef GETS_BEFORE_PUTS
    gets_sum = gets[0];
    gets_sum = gets_sum + gets[1];
#endif
    puts_sum = puts[0];
    puts_sum = puts_sum + puts[1];
#ifndef GETS_BEFORE_PUTS
    gets_sum = gets[0];
    gets_sum = gets_sum + gets[1];
#endif
    d_step { idle = (puts_sum == gets_sum); puts_sum = 0; gets_sum = 0 }
}

inline take_lock(u) { atomic { !locked && NOTHING_BUFFERED(u) -> locked = true } }

/* is_limbo_due(): by time it may be, and when as many have been returned as there are. */
#ifdef DUE_LATE
#define MUST_LOOK (returned > in_limbo + other_in_limbo)
#else
#define MUST_LOOK (returned > 0 && returned >= in_limbo + other_in_limbo)
#endif
#define MAY_LOOK (returned > 0)
#define RETURN returned = (returned < 2 -> returned + 1 : 2)

/* take_limbo_locked(), or not */
inline take_limbo()
{
    if
    :: MAY_LOOK ->
        d_step {
#ifndef RESET_AFTER_SUM
            returned = 0;
#endif
            mine = (mine || in_limbo);
            others = other_in_limbo;
            in_limbo = false;
            other_in_limbo = false
        }
    :: !MUST_LOOK
    fi
}

/* reap_limbo(), take_work(), settle_and_sort(), put_back(), end_and_lock(), grdma_account_locked(); u is who does it,
 * USERS for the manager. Nobody is alone here. */
inline reap_limbo(u)
{
    if
    :: attention -> atomic { NOTHING_BUFFERED(u) -> attention = false }
    :: else
    fi;
    take_lock(u);
    d_step { mine = unsure; unsure = false };
    take_limbo();
    locked = false;
    if
    :: mine || others ->
        if
        :: mine ->
#if defined(BUSY_UNSETTLED)
            sum();
            if
            :: idle -> membarrier(); sum()
            :: else
            fi
#elif !defined(NO_MEMBARRIER)
            membarrier();
            sum()
#else
            sum()
#endif
        :: else
        fi;
        if
        :: (mine && !idle) || others ->
            take_lock(u);
#ifndef NO_SECOND_LOOK
            if
            :: mine && !idle -> sum()
            :: else
            fi;
#endif
            d_step {
                if :: mine && !idle -> in_limbo = true :: else fi;
                if :: others && other_used -> other_in_limbo = true :: else fi;
#ifdef RESET_AFTER_SUM
                returned = 0;
#endif
                locked = false
            }
        :: else
        fi;
        d_step {
            mine = false;
            others = false;
            if :: idle -> assert(held == 0 && pinned); pinned = false :: else fi
        };
        if
#ifdef READY_WHILE_FREE
        :: idle -> d_step { flags = READY; idle = false }
#else
        :: idle -> d_step { flags = FREE; idle = false }
#endif
        :: else
        fi
    :: else
    fi
}

/* The look after a reference has been counted as returned. */
inline look_if_due(u)
{
    if
    :: MAY_LOOK -> reap_limbo(u)
    :: !MUST_LOOK
    fi
}

/* grdma_limbo_returned() */
inline limbo_returned(u)
{
#if !defined(NO_COUNT) && !defined(COUNT_BEFORE_PUT)
    atomic { empty(buffer[u]) -> RETURN };
#endif
    look_if_due(u)
}

inline care_for(u)
{
#ifdef PRECHECK
#ifndef NO_PRECHECK_BARRIER
    (empty(buffer[u]));
#endif
    sum();
    if
    :: idle -> idle = false; limbo_returned(u)
    :: else
    fi
#else
    limbo_returned(u)
#endif
}

/* grdma_put(), and the look at the flags that belongs to it */
inline give_back(u)
{
#ifdef CHECK_BEFORE_PUT
    seen = flags;
    buffer[u] ! PUT;
#else
#ifdef COUNT_BEFORE_PUT
    RETURN;
#endif
    buffer[u] ! PUT;
    seen = flags;
#endif
#ifndef NO_PUT_CHECK
    if
    :: seen == LIMBO -> care_for(u)
    :: else
    fi
#endif
}

/* mca_rcache_return() */
inline put(u)
{
    d_step { held-- };
    give_back(u)
}

/* mca_rcache_look(), try(), and what its user does with the reference */
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
        :: seen == LIMBO -> care_for(u)
        :: else
        fi
#else
        give_back(u)
#endif
    fi
}

proctype user(byte u)
{
    byte round, wanted, covers, puts_sum, gets_sum;
    mtype seen;
    bool idle, good, mine, others;
    do
    :: round < ROUNDS(u) -> round++; hit(u)
    :: u == 1 && mail > 0 -> mail--; put(u)
    :: round == ROUNDS(u) && (u == 0 || (users_done == 1 && empty(buffer[0]) && mail == 0)) -> break
    od;
    users_done++
}

/* grdma_invalidate_range() that is not alone, or the first half of grdma_evict() */
inline retire()
{
    take_lock(USERS);
    flags = LIMBO;
    d_step { unsure = true; attention = true; locked = false }
}

/* grdma_find_or_pin(): the same id, other pages. */
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

#ifdef READY_WHILE_FREE
#define MAY_BE_TAKEN (!pinned && flags == READY)
#else
#define MAY_BE_TAKEN (flags == FREE)
#endif

proctype manager()
{
    byte puts_sum, gets_sum;
    bool idle, mine, others, retired;
    do
    :: !retired -> retired = true; retire()
    :: attention -> reap_limbo(USERS)
    :: other_used -> d_step { other_used = false; RETURN }; look_if_due(USERS)
    :: MAY_BE_TAKEN && life + 1 < LIVES -> pin(); retired = false
    :: users_done == USERS && empty(buffer[0]) && empty(buffer[1]) && retired && !other_used -> break
    od;
    assert(held == 0 && gets[0] + gets[1] == puts[0] + puts[1]);
    do /* grdma_reap_due(): only if attention says so. */
    :: attention -> reap_limbo(USERS)
    :: else -> break
    od;
    assert(!pinned && !in_limbo && !unsure && !other_in_limbo)
}

init { atomic { run user(0); run user(1); run manager() } }
