/* SPDX-License-Identifier: BSD-3-Clause */
/* A lookup under the component userfaultfd against a release by the kernel (docs/userfaultfd.md, "Why a lookup is never stale").
 * Source: components/userfaultfd/userfaultfd_queue.c, _reader.c, _watch.c, _handover.c, _spans.c; framework/memory/memory_changed.c;
 * of the kernel, userfaultfd_unmap_prep(), userfaultfd_event_wait_completion(), userfaultfd_read() and the test of mmap_changing in
 * userfaultfd_writeprotect(). What the cache does is is_good() of rcache/grdma/grdma_miss.c.
 *
 * One region. A thread unmaps it behind everybody's back; the looker begins when that call has returned, or when the kernel has
 * given him the address; the reader, the looker and a third thread read events, the looker and the third one deliver them.
 * Every step is seen in order: what is shared is under a lock, or ordered as the table of orders below says.
 *
 *   counter, before the read     fetch_add, sequentially consistent; the read is a system call that takes a spin lock
 *   mmap_changing, then counter  the fence behind the busy test
 *   mark, then seen              release of seen, acquire of opal_memory_changed()
 *
 * With HANDOVER, a second thread moves the range (mremap) and another component tells before; a third one watches more of the
 * same mapping. With HANDOVER and ENDING, a fourth one ends a watch, and nobody looks up.
 *
 * What the model asserts: the looker does not get the region; with HANDOVER also, that what is moved is not registered then.
 *
 * Switches; each must fail:
 *   NO_BUSY             a lookup does not ask whether a release is under way
 *   BUSY_LAST           it asks after it has compared the counter
 *   NO_CHANGED          it does not look at what has been read, but not delivered
 *   OVERLAPS_UNLOCKED   it looks at the queue without the lock
 *   NO_SECOND_LOOK      it does not look at the region's mark afterwards
 *   COUNT_AFTER_READ    the counter grows after the event has been read
 *   TAKE_OUT_FIRST      an event leaves the queue before its callbacks have run
 *   SAMPLE_LAST         what counts as delivered is the counter at the end of a delivery
 * with HANDOVER:
 *   GIVE_FIRST          the range is unregistered before it is put into the queue
 *   NO_WINDOW           a watch registers without looking at open windows
 *   WATCH_UNLOCKED      it looks, and registers, without handover_lock
 *   END_UNLOCKED        with ENDING: the end of a watch gives back without handover_lock
 */
bool registered = true;      /* With the kernel. */
bool is_hole;                /* The pages are gone, and nobody has got the address yet. */
byte changing;               /* mmap_changing */
bool posted, woken;          /* An event can be read; it has been read. */
bool returned;               /* The release's call has returned. */
bool queue_lock, process_lock, handover_lock;
byte counter = 1, seen;      /* Of other memory, an event has been read, and delivered but for the store of seen. */
byte queued;                 /* Events of the region. */
bool invalid;                /* The region's mark. */
bool window, moved;          /* A release that was told before is under way; its call has returned. */

inline lock(word)
{
    atomic { !word -> word = true }
}

inline unlock(word)
{
    word = false
}

/* ---- The kernel, in the thread that releases --------------------------------------------------------- */

active proctype releaser()
{
    if
    :: atomic { registered -> changing++; is_hole = true }; /* Under mmap_lock, which is free then. */
        posted = true;
        (woken);
        changing--
    :: atomic { !registered -> is_hole = true }
    fi;
    returned = true
}

/* ---- In --------------------------------------------------------------------------------------------- */

/* uffd_fetch(): fetch_locked(), read_locked(), take_message_locked() */
inline fetch()
{
    lock(queue_lock);
    if
    :: posted ->
#ifndef COUNT_AFTER_READ
        counter++;
#endif
        atomic { posted = false; woken = true };
#ifdef COUNT_AFTER_READ
        counter++;
#endif
        queued++
    :: else
    fi;
    unlock(queue_lock)
}

/* uffd_reader() */
active proctype reader()
{
end:
    do
    :: posted -> fetch()
    od
}

/* ---- Out -------------------------------------------------------------------------------------------- */

/* process_locked(): uffd_process(), uffd_deliver() */
inline process(sample, batch)
{
    sample = counter;
    if
    :: changing != 0 -> fetch()
    :: else
    fi;
    do
    :: atomic {
            !queue_lock -> batch = queued; /* look() */
#ifdef TAKE_OUT_FIRST
            queued = queued - batch
#endif
        };
        if
        :: batch == 0 -> break
        :: else
        fi;
        invalid = true; /* deliver_one(): the cache's callback */
#ifndef TAKE_OUT_FIRST
        atomic { !queue_lock -> queued = queued - batch } /* take_out() */
#endif
    od;
    batch = 0;
#ifdef SAMPLE_LAST
    sample = counter;
#endif
    seen = sample
}

/* opal_memory_base_sync() of another thread. */
active proctype deliverer()
{
    byte sample, batch;
end:
    do
    :: seen != counter ->
        lock(process_lock);
        if
        :: seen != counter -> process(sample, batch)
        :: else
        fi;
        unlock(process_lock)
    od
}

#ifndef ENDING
/* ---- The lookup ------------------------------------------------------------------------------------- */

inline ask_busy(label)
{
#ifdef NO_BUSY
    skip
#else
    if
    :: changing == 0
    :: else -> /* calms_down() */
        fetch();
        if
        :: changing == 0
        :: else -> goto label
        fi
    fi
#endif
}

inline ask_queue(label)
{
#ifdef NO_CHANGED
    skip
#else
    if
    :: seen == counter
    :: else -> /* uffd_queue_overlaps() */
        if
#ifdef OVERLAPS_UNLOCKED
        :: queued != 0 -> goto label
        :: queued == 0
#else
        :: !queue_lock && queued != 0 -> goto label
        :: !queue_lock && queued == 0
#endif
        fi
    fi
#endif
}

active proctype looker()
{
    byte sample, batch, target;

    if
    :: atomic { is_hole -> is_hole = false }
    :: (returned || moved)
    fi;
    /* opal_memory_base_sync() */
    if
    :: seen == counter
    :: else ->
        target = counter;
        if
        :: atomic { !process_lock -> process_lock = true };
            if
            :: seen != counter -> process(sample, batch)
            :: else
            fi;
            unlock(process_lock)
        :: seen >= target /* has_reached() */
        :: goto miss /* Another thread is at it. */
        fi
    fi;
    if
    :: invalid -> goto miss
    :: else
    fi;
    /* uffd_valid(): holds_by_events() */
#ifdef BUSY_LAST
    ask_queue(miss);
    ask_busy(miss);
#else
    ask_busy(miss);
    ask_queue(miss);
#endif
#ifdef NO_SECOND_LOOK
    assert(false);
#else
    assert(invalid);
#endif
miss:
    skip
}
#endif

#ifdef HANDOVER
/* ---- A move that is told before ---------------------------------------------------------------------- */

inline give()
{
    lock(handover_lock);
#ifdef GIVE_FIRST
    registered = false;
#endif
    if /* uffd_queue_given() */
#ifdef GIVE_FIRST
    :: !queue_lock -> counter++; queued++
#else
    :: registered -> atomic { !queue_lock -> counter++; queued++ }
    :: else
#endif
    fi;
    registered = false; /* uffd_kernel_give_up() */
    unlock(handover_lock)
}

/* opal_mem_hooks_window_open(): hand_over() and the cache's callback, in whatever order; the system call. */
active proctype mover()
{
    window = true;
    if
    :: give(); invalid = true
    :: invalid = true; give()
    fi;
    assert(!registered); /* mremap() would fail, UFFDIO_REGISTER be refused. */
    moved = true;
    window = false
}

/* register_if_calm() */
active proctype watcher()
{
#ifndef WATCH_UNLOCKED
    lock(handover_lock);
#endif
    if
#ifdef NO_WINDOW
    :: true -> registered = true
#else
    :: !window -> registered = true
    :: else
#endif
    fi;
#ifndef WATCH_UNLOCKED
    unlock(handover_lock)
#endif
}

#ifdef ENDING
/* uffd_handover_give_back(): uffd_kernel_give_back() */
active proctype ender()
{
#ifndef END_UNLOCKED
    lock(handover_lock);
#endif
    if
    :: registered -> /* tagged */
        registered = true; /* Once more: is it ours? */
        registered = false
    :: else
    fi;
#ifndef END_UNLOCKED
    unlock(handover_lock)
#endif
}
#endif
#endif
