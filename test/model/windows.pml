/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of releases (framework/hooks/release_windows.c) against a
 * registration (rcache/grdma/grdma_pin.c) and against unregister
 * (framework/hooks/memory_hooks.c), on processors that buffer stores (x86-TSO).
 *
 * Each shared variable that a store buffer can hide has, for each process that
 * stores it, a pending value: STORE() puts it there, flush() of any pending store may happen
 * at any time in program order, BARRIER waits until nothing is pending. A locked
 * instruction is a BARRIER and the access in one step.
 *
 * Switches take one ingredient away; each must make an assertion fail:
 *   NO_CLAIM_BARRIER     the slot is claimed by a plain store
 *   NO_ANNOUNCE_BARRIER  window_overlaps() does not begin with a full barrier
 *   NO_WINDOW            the registration does not look at windows
 *   NO_INVALID_CHECK     make_ready() does not look whether it was marked
 *   NO_MARK_BARRIER      unregister's mark is a plain store, with no barrier behind it
 *   NO_WAIT              unregister does not wait for slots
 */
#define FREE 0
#define CLAIMED 1
#define PRE 2
#define OPEN 3

/* The hook's buffered variable is its slot's state; the buffer holds up to three stores. */
byte slot = FREE;
chan hook_buffer = [3] of { byte };

/* The registration's buffered variable is its place in the index. */
bool in_index = false, index_pending = false;

/* unregister's is the callback's mark. */
bool dead = false, dead_pending = false;

bool invalid = false;      /* The region's flag; set by the hook under the cache's lock, or posted: a locked store. */
byte version = 0;          /* Of the page: the release gives it the next one. */
bool data_alive = true;    /* What the callback uses; freed when unregister has returned. */
bool registered_now = false, hook_done = false;

#define HOOK_STORE(value) hook_buffer ! value
#define HOOK_BARRIER (empty(hook_buffer))

/* The memory system: drains the buffers whenever it likes. */
active proctype memory_system()
{
    byte value;
end:
    do
    :: atomic { hook_buffer ? value -> slot = value }
    :: atomic { index_pending -> in_index = true; index_pending = false }
    :: atomic { dead_pending -> dead = true; dead_pending = false }
    od
}

/* opal_mem_hooks_window_open(), the system call, opal_mem_hooks_window_close() */
active proctype hook()
{
    byte round = 0;
    bool sees_callback;
    do
    :: round < 2 ->
        round++;
        /* claim(): compare-and-swap, then publish() */
#ifdef NO_CLAIM_BARRIER
        HOOK_STORE(CLAIMED);
#else
        atomic { HOOK_BARRIER -> slot = CLAIMED };
#endif
        HOOK_STORE(PRE);
        /* dispatch(): is the callback alive? */
        sees_callback = !dead;
        if
        :: sees_callback ->
            assert(data_alive);
            /* grdma_invalidate_range(): looks into the index, marks what is there. */
            if
            :: in_index -> atomic { HOOK_BARRIER -> invalid = true }
            :: else
            fi;
            assert(data_alive)
        :: else
        fi;
        /* end_dispatch() */
        HOOK_STORE(OPEN);
        /* The system call: entering the kernel does not drain by itself, taking mmap_lock does. */
        atomic { HOOK_BARRIER -> version++ };
        HOOK_STORE(FREE)
    :: round == 2 -> break
    od;
    hook_done = true
}

#ifndef UNREGISTER
/* pin_once(): announce(), windows_settle(), register_mem, make_ready(), once */
active proctype registration()
{
    byte pinned;
    bool good;
    /* announce(): insert, under the cache's lock; taken for a plain store, the barrier is window_overlaps()'s. */
    index_pending = true;
#ifndef NO_ANNOUNCE_BARRIER
    !index_pending;
#endif
#ifndef NO_WINDOW
    /* opal_mem_hooks_window_overlaps(): any phase but FREE counts. */
    (slot == FREE);
#endif
    pinned = version;
    !index_pending; /* make_ready() takes the lock. */
#ifdef NO_INVALID_CHECK
    good = true;
#else
    good = !invalid;
#endif
    registered_now = good;
    /* From now on lookups may hit, until it is marked. At rest, what may be hit must be the page of now. */
    (hook_done);
    assert(!good || invalid || pinned == version)
#ifdef NO_INVALID_CHECK
    ;
    /* Handed out although marked: a hit that began after the release had returned. */
    assert(!(good && invalid && pinned != version) || !registered_now)
#endif
}
#else
/* list_unregister(): mark dead, opal_mem_hooks_wait_dispatch() */
active proctype unregister()
{
#ifdef NO_MARK_BARRIER
    dead_pending = true;
#else
    atomic { dead = true };
#endif
#ifndef NO_WAIT
    /* wait_for_slot(): only phases in which callbacks run. */
    (slot == FREE || slot == OPEN);
#endif
    data_alive = false
}
#endif
