/* SPDX-License-Identifier: BSD-3-Clause */
/* A registration under the component userfaultfd against a discard (madvise), which the kernel announces before it happens:
 * the quarantine. Source: components/userfaultfd/userfaultfd_quarantine.c, _queue.c, uffd_watch() in _watch.c; pin_once() in
 * rcache/grdma/grdma_pin.c; of the kernel, userfaultfd_remove() and what madvise() does behind it.
 *
 * One thread discards the range twice. Another one registers it: into the index, watch, pin, ready. The reader reads, a third
 * thread delivers. The range may have been registered with the kernel before, by another watch.
 *
 * What the model asserts: at rest, a registration that is kept and not marked has the pages of now.
 *
 * Switches; each must fail:
 *   NO_QUARANTINE     nothing is put into quarantine
 *   ADD_AFTER_UNLOCK  the range is put into it after queue_lock has been dropped
 *   LIFT_ALL          what was announced since the threads were looked at is lifted, too
 *   LOOK_FIRST        the threads are looked at before it is noted what is in quarantine
 *   ANNOUNCE_LAST     the region enters the index after the watch
 *   PIN_FIRST         the pages are pinned before the watch
 */
#define DISCARDS 2

bool registered;                 /* With the kernel. */
byte version;                    /* Of the page. */
bool posted, woken;              /* An event can be read; it has been read. */
bool is_running;                 /* The discarding thread: R or D. */
bool queue_lock;
byte queued;                     /* Events. */
byte serial;                     /* Of the last range that was put into quarantine. */
bool held[DISCARDS + 1];         /* By serial. */
bool in_index, invalid, ready;
byte pinned;
bool is_through, is_made;

inline lock(word)
{
    atomic { !word -> word = true }
}

inline unlock(word)
{
    word = false
}

/* ---- The kernel -------------------------------------------------------------------------------------- */

active proctype discarder()
{
    byte round;

    if
    :: registered = true
    :: true
    fi;
    do
    :: round < DISCARDS ->
        round++;
        is_running = true;
        if
        :: atomic { !registered -> version++ } /* mmap_lock is held all along: UFFDIO_REGISTER waits. */
        :: atomic { registered -> posted = true };
            (woken);
            woken = false;
            version++ /* mmap_lock again, and only now the pages. */
        fi;
        is_running = false
    :: else -> break
    od;
    is_through = true
}

/* ---- The component ----------------------------------------------------------------------------------- */

/* take_message_locked(): uffd_quarantine_add_locked(), add_locked() */
active proctype reader()
{
end:
    do
    :: posted ->
        lock(queue_lock);
        atomic { posted = false; woken = true };
        queued++;
#ifndef NO_QUARANTINE
#ifdef ADD_AFTER_UNLOCK
        unlock(queue_lock);
        atomic { serial++; held[serial] = true }
#else
        atomic { serial++; held[serial] = true };
        unlock(queue_lock)
#endif
#else
        unlock(queue_lock)
#endif
    od
}

/* uffd_deliver() and the cache's callback */
active proctype deliverer()
{
    byte batch;
end:
    do
    :: queued != 0 ->
        atomic { !queue_lock -> batch = queued }; /* look() */
        if
        :: in_index -> invalid = true
        :: else
        fi;
        atomic { !queue_lock -> queued = queued - batch; batch = 0 } /* take_out() */
    od
}

#define OVERLAPS (held[1] || held[2])

inline lift()
{
    atomic {
        !queue_lock ->
#ifdef LIFT_ALL
        target = DISCARDS;
#endif
        held[1] = held[1] && target < 1;
        held[2] = held[2] && target < 2;
        target = 0
    }
}

inline aim()
{
    atomic { !queue_lock -> target = serial }
}

/* investigate() */
inline investigate()
{
    if
    :: target != 0 -> is_suspect = is_suspect && is_running /* clear_suspects() */
    :: else ->
#ifdef LOOK_FIRST
        is_suspect = is_running;
        aim()
#else
        aim();
        is_suspect = is_running /* suspect_all() */
#endif
    fi;
    if
    :: !is_suspect -> lift()
    :: else
    fi
}

/* uffd_watch(): given up, or made. */
inline watch()
{
    registered = true;
    if
    :: OVERLAPS ->
        investigate();
        is_kept = !OVERLAPS
    :: else -> is_kept = true
    fi
}

active proctype maker()
{
    byte target;
    bool is_suspect, is_kept;

again:
#ifndef ANNOUNCE_LAST
    in_index = true;
#endif
#ifdef PIN_FIRST
    pinned = version;
#endif
    watch();
#ifdef ANNOUNCE_LAST
    in_index = true;
#endif
#ifndef PIN_FIRST
    pinned = version;
#endif
    /* make_ready(): a compare-and-swap; withdraw() */
    atomic {
        if
        :: is_kept && !invalid -> ready = true
        :: else -> in_index = false; invalid = false
        fi
    };
    if
    :: !ready -> goto again
    :: true
    fi;
    /* At rest */
    (is_through && !posted && queued == 0 && !queue_lock);
    assert(!ready || invalid || pinned == version)
}
