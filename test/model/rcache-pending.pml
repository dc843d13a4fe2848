/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges that hooks post while the cache's lock is held, against a hit that takes no lock. Source: mca_rcache_look() in
 * include/opal/mca/rcache/rcache_hit.h, invalidate_in_hook() and end_now() in grdma_release.c, grdma_pending.c, grdma_lock.c,
 * grdma_lock() and grdma_unlock() in grdma.h.
 *
 * Two hooks release a page each, which a READY region covers; one caller outside hooks holds the lock for a while; one
 * hitter looks both pages up. There is one pending cell, so that the second post overflows.
 *
 * What a post writes are locked instructions. The unlock is a store that may become visible late (NO_UNLOCK_BARRIER
 * shows why what follows it is ordered).
 *
 * What the model asserts: a hit that begins after a release has finished does not return its region; at the end,
 * everything posted has been handled without any further call, and attention is low.
 *
 * Switches; each must fail:
 *   NO_ATTENTION          the hit does not look at attention
 *   ATTENTION_LAST        it looks at the flags first (also: attention is not loaded with acquire)
 *   LOWER_FIRST           the holder lowers attention before it marks (also: it is not lowered with release)
 *   ATTENTION_BOOL        attention is a flag that the holder clears, not a count of posts
 *   RAISE_LAST            a hook raises attention after the holder may see its post, and take it away again: then another
 *                         hook's is taken for it
 *   NO_HOLDER_RECHECK     the holder does not look again after it has unlocked
 *   NO_HOOK_RECHECK       the hook does not try the lock again after it has posted
 *   NO_UNLOCK_BARRIER     the holder's second look may come before its unlock is seen
 *   POSTED_FIRST          the post is counted before the cell is filled
 *   NO_OVERFLOW           a hook that finds no cell forgets the range
 *   RETURNS_UNSEEN        the second look leaves out what hooks have returned
 */
#define PAGES 2

bool invalid[PAGES];                   /* Flags of the two regions. */
bool finished[PAGES];                  /* Ghost: the release of the page has finished. */
bool locked, unlock_buffered;          /* The lock, and an unlock that only its thread knows of. */
mtype = { EMPTY, WRITING, FULL };
mtype cell = EMPTY;
byte cell_page, posted, handled;       /* handled is behind posted while somebody has to handle. */
byte attention;                        /* Of hits: posts not handled yet. */
bool overflow;
byte returned;                         /* Regions that hooks have ended, and nobody has accounted for. */
byte done;

#ifdef RETURNS_UNSEEN
#define HAS_MAIL (posted != handled)
#else
#define HAS_MAIL (posted != handled || returned != 0)
#endif

#ifdef ATTENTION_BOOL
#define RAISE attention = 1
#define LOWER attention = 0
#else
#define RAISE attention++
#define LOWER attention = attention - (count - handled)
#endif

active proctype memory_system()
{
end:
    do
    :: atomic { unlock_buffered -> locked = false; unlock_buffered = false }
    od
}

inline trylock(got)
{
    atomic {
        if
        :: !locked -> locked = true; got = true
        :: else -> got = false
        fi
    }
}

inline unlock()
{
#ifdef NO_UNLOCK_BARRIER
    unlock_buffered = true
#else
    atomic { locked = false }
#endif
}

/* grdma_pending_handle_locked() */
inline handle(count)
{
    returned = 0; /* grdma_returned_handle_locked(): an exchange */
    count = posted;
    if
    :: count != handled ->
#ifdef LOWER_FIRST
        atomic { LOWER };
#endif
        if
        :: atomic { overflow -> overflow = false }; invalid[0] = true; invalid[1] = true
        :: else
        fi;
        if
        :: cell == FULL -> invalid[cell_page] = true; cell = EMPTY
        :: else
        fi;
#ifndef LOWER_FIRST
        atomic { LOWER };
#endif
        handled = count
    :: else
    fi;
    count = 0
}

/* What grdma_unlock() and a hook do after the lock is free. */
inline recheck(got, count)
{
    do
    :: !HAS_MAIL -> break
    :: else ->
        trylock(got);
        if
        :: got -> handle(count); unlock()
        :: else -> break
        fi
    od;
    got = false
}

/* grdma_pending_post() */
inline post(page, mine)
{
#ifndef RAISE_LAST
    atomic { RAISE };
#endif
#ifdef POSTED_FIRST
    atomic { posted++ };
#endif
    atomic {
        if
        :: cell == EMPTY -> cell = WRITING; mine = true
        :: else
        fi
    };
    if
    :: mine -> cell_page = page; cell = FULL
    :: else ->
#ifdef NO_OVERFLOW
        skip
#else
        overflow = true
#endif
    fi;
#ifndef POSTED_FIRST
    atomic { posted++ };
#endif
#ifdef RAISE_LAST
    atomic { RAISE };
#endif
    mine = false
}

/* grdma_invalidate_range(), then the system call */
proctype hook(byte page)
{
    bool got, mine;
    byte count;
    trylock(got);
    if
    :: got ->
        invalid[page] = true;
        handle(count);
        unlock();
        /* end_now(): the provider has unpinned; the lock once more. */
        trylock(got);
        if
        :: got -> unlock()
        :: else -> atomic { returned++ }
        fi
    :: else -> post(page, mine)
    fi;
#ifndef NO_HOOK_RECHECK
    recheck(got, count);
#endif
    finished[page] = true;
    done++
}

/* grdma_lock(), something, grdma_unlock(): any call outside hooks */
proctype holder()
{
    bool got;
    byte count;
    atomic { !locked -> locked = true };
    handle(count);
    skip;
    unlock();
#ifndef NO_HOLDER_RECHECK
    recheck(got, count);
#endif
    done++
}

/* hit() */
proctype hitter()
{
    bool ended_before, ready, got, slow;
    byte page, count;
    do
    :: page < PAGES ->
        ended_before = finished[page];
        slow = false;
#ifdef ATTENTION_LAST
        ready = !invalid[page];
        slow = (attention != 0);
#else
#ifndef NO_ATTENTION
        slow = (attention != 0);
#endif
        ready = !invalid[page];
#endif
        if
        :: slow -> /* grdma_lock(), then the tree */
            atomic { !locked -> locked = true };
            handle(count);
            ready = !invalid[page];
            unlock();
            recheck(got, count)
        :: else
        fi;
        assert(!(ready && ended_before));
        page++
    :: else -> break
    od;
    done++
}

active proctype end_state()
{
    (done == 4 && !unlock_buffered);
    assert(invalid[0] && invalid[1] && attention == 0 && cell == EMPTY && !overflow && !locked && returned == 0)
}

init { atomic { run hook(0); run hook(1); run holder(); run hitter() } }
