/* SPDX-License-Identifier: BSD-3-Clause */
/* A registration against two hooks that release its page, and a hit. The hooks look at the page filter without the
 * lock; READY is swapped in without the lock. windows.pml has the table of releases in detail; here a window is open
 * or not. Source: grdma_announce_locked(), pin_once(), make_ready() in rcache/grdma/grdma_pin.c; grdma_invalidate_range(),
 * release_ids(), mark_pinning(), grdma_retire_locked() in grdma_release.c; page_filter.h.
 *
 * Memory: the maker's stores under the lock may stay in its buffer until a barrier (in_filter_buffered); the claim of
 * a window is a locked instruction. The mark is one, too, under the lock or, where the lock was taken, by its holder,
 * the maker (pending).
 *
 * What the model asserts: a hit that begins after a release has finished gets the page of now; nobody's reference is
 * to an unpinned region; at rest, a region is pinned only if it can be hit, or is in limbo; never twice unpinned.
 *
 * Switches; each must fail:
 *   NO_CLAIM_BARRIER     a window is opened by a plain store
 *   NO_ANNOUNCE_BARRIER  no full barrier between the filter and the look at the windows
 *   NO_WINDOW            the registration does not look at windows
 *   FILTER_LAST          the page filter is raised only when the region is READY
 *   UNFILTER_FIRST       a region leaves the filter before it is marked (also: the filter is lowered without release)
 *   READY_STORE          READY is stored, not swapped in
 *   MARK_STORE           INVALID is stored, not or'ed in by a locked instruction
 *   COUNT_AFTER_READY    the maker counts its reference after READY
 *   MAKERS_IN_LIMBO      a hook puts a region into limbo whether or not it was still PINNING
 */
#define HOOKS 2
#define PINNING 1
#define INVALID 2
#define FREE INVALID

byte flags = FREE;
bool in_tree, in_filter, in_filter_buffered;
bool window[HOOKS], window_buffered[HOOKS];
bool locked, pending, in_limbo;
byte refs;               /* gets - puts; references are rcache-references.pml's subject. */
bool pinned;
byte page, pinned_page;  /* Versions: the page that is there, and the one that is pinned. */
byte released;           /* Ghost: version that the releases finished so far have left. */
byte done;
bool maker_holds, hitter_holds;

active proctype memory_system()
{
end:
    do
    :: atomic { in_filter_buffered -> in_filter = true; in_filter_buffered = false }
    :: atomic { window_buffered[0] -> window[0] = true; window_buffered[0] = false }
    :: atomic { window_buffered[1] -> window[1] = true; window_buffered[1] = false }
    od
}

inline unpin()
{
    d_step { assert(pinned && !maker_holds && !hitter_holds); pinned = false }
}

/* grdma_retire_locked(): idle regions leave limbo to be ended by the caller. */
inline drop_locked(ends)
{
    if
    :: in_tree ->
#ifdef UNFILTER_FIRST
        d_step { in_filter = false; in_filter_buffered = false };
#endif
#ifdef MARK_STORE
        old = flags;
        flags = old | INVALID;
#else
        d_step { old = flags; flags = flags | INVALID };
#endif
        d_step { in_tree = false; in_filter = false; in_filter_buffered = false };
        if
#ifndef MAKERS_IN_LIMBO
        :: (old & PINNING) != 0 -> skip /* Its maker will see the mark. */
#endif
        :: else ->
            ends = (refs == 0);
            in_limbo = !ends
        fi
    :: else
    fi;
    old = 0
}

/* grdma_unlock(): handles what was posted meanwhile. */
inline unlock(ends)
{
    atomic { locked = false };
    do
    :: atomic { pending && !locked -> locked = true };
        drop_locked(ends);
        pending = false;
        atomic { locked = false };
        if
        :: ends -> ends = false; unpin()
        :: else
        fi
    :: else -> break
    od
}

inline lock(ends)
{
    atomic { !locked -> locked = true };
    if
    :: pending ->
        drop_locked(ends);
        pending = false;
        if
        :: ends -> ends = false; unpin()
        :: else
        fi
    :: else
    fi
}

/* opal_mem_hooks_window_open(), grdma_invalidate_range(), the system call, opal_mem_hooks_window_close() */
proctype hook(byte h)
{
    bool ends;
    byte old;
#ifdef NO_CLAIM_BARRIER
    window_buffered[h] = true;
#else
    atomic { window[h] = true };
#endif
    if
    :: in_filter ->
        if
        :: atomic { !locked -> locked = true };
            drop_locked(ends);
            unlock(ends);
            if
            :: ends -> ends = false; unpin()
            :: else
            fi
        :: atomic { locked -> pending = true }
        fi
    :: else
    fi;
    atomic { !window_buffered[h] -> page++ };
    atomic { window[h] = false; released = page };
    done++
}

/* put() of a reference: the last one ends what is in limbo. */
inline put(ends)
{
    refs--;
    if
    :: (flags & INVALID) != 0 ->
        lock(ends);
        ends = in_limbo && refs == 0;
        in_limbo = in_limbo && !ends;
        unlock(more);
        if
        :: ends -> ends = false; unpin()
        :: else
        fi
    :: else
    fi
}

/* grdma_pin() */
proctype maker()
{
    bool ends, more, good;
    byte old, attempt;
    do
    :: !good && attempt < 2 ->
        attempt++;
        /* announce() */
        lock(ends);
        atomic { flags = PINNING };
        in_tree = true;
#ifndef FILTER_LAST
        in_filter_buffered = true;
#endif
        unlock(ends);
        /* opal_mem_hooks_window_overlaps() begins with the barrier. */
#ifndef NO_ANNOUNCE_BARRIER
        !in_filter_buffered;
#endif
#ifndef NO_WINDOW
        !window[0];
        !window[1];
#endif
        d_step { assert(!pinned); pinned = true; pinned_page = page };
        /* make_ready() */
#ifndef COUNT_AFTER_READY
        refs++;
#endif
#ifdef READY_STORE
        good = (flags == PINNING);
        if
        :: good -> flags = flags & ~PINNING
        :: else
        fi;
#else
        d_step {
            good = (flags == PINNING);
            if
            :: good -> flags = 0
            :: else
            fi
        };
#endif
#ifdef FILTER_LAST
        in_filter = good;
#endif
        if
        :: good
        :: else ->
#ifndef COUNT_AFTER_READY
            refs--;
#endif
            d_step { assert(pinned); pinned = false }
        fi
    :: else -> break
    od;
    if
    :: good ->
#ifdef COUNT_AFTER_READY
        refs++;
#endif
        d_step { assert(pinned); maker_holds = true };
        maker_holds = false;
        put(ends)
    :: else -> /* withdraw() */
        lock(ends);
        d_step { in_tree = false; flags = FREE; in_filter = false; in_filter_buffered = false };
        unlock(ends)
    fi;
    done++
}

/* mca_rcache_look(), or grdma_unknown() with a hint. What was posted sends it to the lock (rcache-pending.pml). */
proctype hitter()
{
    byte before, old;
    bool ends, more, good;
    before = released;
    if
    :: !pending ->
        refs++;
        d_step {
            good = (flags == 0);
            if
            :: good -> hitter_holds = true; assert(pinned && pinned_page >= before)
            :: else
            fi
        };
        hitter_holds = false;
        put(ends)
    :: else
    fi;
    done++
}

proctype end_state()
{
    bool ends;
    byte old;
    (done == HOOKS + 2);
    assert(refs == 0 && !in_limbo);
    lock(ends); /* The next call handles what a hook has posted last. */
    assert(pinned == (flags == 0 && in_tree));
    assert(!pinned || pinned_page == page)
}

init { atomic { run hook(0); run hook(1); run maker(); run hitter(); run end_state() } }
