/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of the component "userfaultfd", and the state they share. The protocol
 * is in docs/userfaultfd.md: who reads events, what is counted before what,
 * which thread may take which lock. */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/userfaultfd/userfaultfd_kernel.h"
#include "components/userfaultfd/userfaultfd_lock.h"
#include "opal/constants.h"

/* ---- Settings ------------------------------------------------------------------------------------ */

enum { UFFD_UNMAP_EVENT, UFFD_UNMAP_TAG };
enum { UFFD_FILES_AUTO, UFFD_FILES_ALWAYS, UFFD_FILES_NEVER };
enum { UFFD_LOOKUP_AUTO, UFFD_LOOKUP_EVENT, UFFD_LOOKUP_BOTH, UFFD_LOOKUP_NONE /* Tests only. */ };

typedef struct uffd_settings_t {
    int unmap;         /* How releases of mappings are noticed: UFFD_UNMAP_*. */
    int lookup;        /* What valid() asks: UFFD_LOOKUP_*. */
    size_t max_ranges; /* Registered ranges; 0: a part of vm.max_map_count. */
    size_t min_size;   /* Smaller registrations are not watched, so not kept. */
    int files;         /* UFFD_FILES_* */
    bool keeps_files;  /* By that, and by what else runs. */
} uffd_settings_t;
extern uffd_settings_t uffd_settings;

/* ---- Queue of events ------------------------------------------------------------------------------ */

enum { UFFD_KIND_UNMAP, UFFD_KIND_MOVED_FROM, UFFD_KIND_MOVED_TO, UFFD_KIND_REMOVE, UFFD_KIND_GIVEN };

typedef struct uffd_event_t {
    uintptr_t start, end;
    int kind; /* UFFD_KIND_*. */
} uffd_event_t;

#define UFFD_QUEUE_SIZE 1024

/* Under queue_lock. An event stays until it has been delivered. */
typedef struct uffd_queue_t {
    uffd_event_t events[UFFD_QUEUE_SIZE]; /* A ring. */
    uint32_t first, count;
    uint64_t overflows, overflows_delivered; /* They differ: anything may have been released. */
} uffd_queue_t;

/* ---- Quarantine ------------------------------------------------------------------------------------ */

#define UFFD_QUARANTINE_SIZE 128
#define UFFD_SUSPECTS 256

typedef struct uffd_quarantine_t {
    /* Under queue_lock. */
    struct uffd_quarantined_t {
        uintptr_t start, end;
        uint64_t serial;
    } ranges[UFFD_QUARANTINE_SIZE];
    uint32_t count;
    uint64_t serial; /* Of the last one that was added. */
    /* Under life_lock: threads that may still be on their way to what ranges up to `target` were announced for. */
    struct uffd_suspect_t {
        int tid;
        uint64_t cpu_ns;
    } suspects[UFFD_SUSPECTS];
    uint32_t suspect_count;
    uint64_t target; /* 0: none is being looked for. */
    uint64_t pages;
} uffd_quarantine_t;

/* ---- Registered ranges ----------------------------------------------------------------------------- */

typedef struct uffd_span_t {
    uintptr_t start, end;
    uint64_t watches;
    bool is_shared; /* Some of what was watched here may go without an event. */
} uffd_span_t;

/* Under life_lock. Sorted, without overlaps. Which mappings are registered is for the kernel to know: a span says where
 * to look. Hooks read it without the lock, and find out by `changes` that somebody was at it. */
typedef struct uffd_spans_t {
    uffd_span_t *spans; /* Room for `limit`. */
    size_t count, limit;
    _Atomic uint64_t changes; /* Odd while the table is being changed. */
} uffd_spans_t;

/* ---- Watches of what may go without an event ------------------------------------------------------- */

#define UFFD_SHARED_WATCHES 65535

/* Written under life_lock. */
typedef struct uffd_shared_t {
    uint32_t used, free; /* Places from 1 to used; the first of the free ones, or 0. */
    _Atomic uint64_t memory[UFFD_SHARED_WATCHES + 1]; /* By place: what was watched, or the next free place. */
} uffd_shared_t;

/* ---- State ----------------------------------------------------------------------------------------- */

enum { UFFD_IDLE, UFFD_RUNNING, UFFD_DEAF /* A descriptor was lost: nothing is known any more. */ };

/* In memory that a fork child finds wiped. */
typedef struct uffd_state_t {
    _Atomic int phase;      /* UFFD_*: release after what it stands for. */
    uffd_kernel_t kernel;   /* Written before RUNNING. */
    uffd_file_t stop;       /* eventfd that wakes the reader, to ask; likewise. */
    _Atomic bool is_ending; /* The reader is to end: it asks each time it wakes. Written under life_lock. */
    int reader_tid;         /* Written by the reader, before it reads. */
    pthread_t reader;       /* Under life_lock. */
    uffd_lock_t life_lock;  /* Start, stop, spans. Held across ioctl and pthread_create. Before queue_lock. */
    /* Odd while a watch may give the tag to what has silently replaced other watches' memory. Written under life_lock. */
    _Atomic uint64_t replacing;
    uffd_lock_t queue_lock;
    uffd_lock_t
        handover_lock; /* Signals blocked; under it a look at windows, and ioctls. Under life_lock, or alone in hooks. */
    uffd_queue_t queue;
    uffd_quarantine_t quarantine;
    uffd_spans_t spans;
    uffd_shared_t shared;
} uffd_state_t;

/** Mapped from enable to disable; NULL otherwise. */
extern uffd_state_t *uffd_state;

/** Grows, with release order, before events are read. Kept by fork children, whose state is new. */
extern uint64_t uffd_counter;

static inline int uffd_phase(const uffd_state_t *state)
{
    return atomic_load_explicit(&state->phase, memory_order_acquire);
}

/* userfaultfd_state.c */

/** Map the state. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int uffd_state_map(void);
void uffd_state_unmap(void);

/** Open, and start the reader, if that has not been done in this process. Under life_lock.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE  No descriptors, or no thread: *fault says what. / OPAL_ERR_NOT_AVAILABLE  DEAF. */
int uffd_start_locked(uffd_state_t *state, uffd_fault_t *fault);

/** Give all ranges back, end the reader, close. */
void uffd_stop(uffd_state_t *state);

/** The descriptors are not ours any more: children leave them alone. */
void uffd_forget_descriptors(void);

/** Features of UFFDIO_API by the settings. */
uint64_t uffd_features(void);

/* userfaultfd_reader.c */

/** The thread. @param state  uffd_state_t */
void *uffd_reader(void *state);

/* userfaultfd_queue.c */

/** Read what there is, without waiting; count before. @return false: the descriptor is not ours any more. */
bool uffd_fetch(uffd_state_t *state);

/** The descriptor is not ours any more: from now on nothing holds. The reader goes on while it is open for him, since whoever
 * releases what is registered waits for him. */
void uffd_be_deaf(uffd_state_t *state);

/** Put in that what was in the range has been replaced without an event. Not under queue_lock. */
void uffd_queue_replaced(uffd_state_t *state, uintptr_t start, uintptr_t end);

/** Put in that the range is about to be given back: the kernel will tell nothing of it. Hook context; not under queue_lock. */
void uffd_queue_given(uffd_state_t *state, uintptr_t start, uintptr_t end);

/** May an event that is not delivered concern the range? */
bool uffd_queue_overlaps(uffd_state_t *state, uintptr_t start, uintptr_t end);

/** Deliver all, on this thread. @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE  DEAF. */
int uffd_deliver(uffd_state_t *state);

/** Every signal's release of the range will have been over. Under queue_lock. */
void uffd_quarantine_add_locked(uffd_quarantine_t *quarantine, uintptr_t start, uintptr_t end);

/** May the range still be on its way out, after its event? Looks for threads if so. Under life_lock. */
bool uffd_quarantined(uffd_state_t *state, uintptr_t start, uintptr_t end);

/* userfaultfd_spans.c; under life_lock */

/** Register the mappings that hold [start, end), as a whole.
 * @param[out] is_shared  One of them can go without an event.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_OUT_OF_RESOURCE  Not possible; *error says why, as a positive errno. */
int uffd_spans_add(uffd_state_t *state, uintptr_t start, uintptr_t end, bool *is_shared, int *error);

/** One watch less where `start` is. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND */
int uffd_spans_remove(uffd_state_t *state, uintptr_t start);

/** A registered mapping has been moved to [start, end), with its registration. */
void uffd_spans_moved(uffd_state_t *state, uintptr_t start, uintptr_t end);

/** May something be watched in the range? What is being put in, or taken out, may be overlooked. Hook context, without the lock. */
bool uffd_spans_may_hold(const uffd_spans_t *table, uintptr_t start, uintptr_t end);

/** Give all back. */
void uffd_spans_clear(uffd_state_t *state);

/* userfaultfd_handover.c */

/** From now on, memory that the program is about to take is given back before, if another component tells. Under life_lock.
 * @param[in] events  Our userfaultfd.
 * @return false: no memory. */
bool uffd_handover_begin(int events);
/** No callback is running when it has returned. Not under life_lock. */
void uffd_handover_end(void);

/** This thread is delivering the kernel's events, or has done so: what they name was moved before. */
void uffd_handover_pause(bool is_paused);

/** uffd_kernel_give_back(), in one step to whoever is about to move memory. Under life_lock. */
void uffd_handover_give_back(uffd_state_t *state, uintptr_t start, uintptr_t end);

/** uffd_kernel_register(), but not of what is being moved. Under life_lock.
 * @return 0 or a negative errno; -EAGAIN: something in the range is being released. */
int uffd_handover_register(uffd_state_t *state, uintptr_t start, uintptr_t end);

/* userfaultfd_shared.c */

struct opal_memory_watch_t;

/** Fill in the watch, and note which memory it is of if that may go without an event. Under life_lock.
 * @return false: there is a hole, or no room. */
bool uffd_shared_note(uffd_state_t *state, uintptr_t start, uintptr_t end, bool is_shared,
                      struct opal_memory_watch_t *watch);
void uffd_shared_forget(uffd_state_t *state, const struct opal_memory_watch_t *watch);

/** Has it been noted? */
bool uffd_shared_is_noted(const struct opal_memory_watch_t *watch);

/** Is that memory still there? For those that have been noted. */
bool uffd_shared_holds(uffd_state_t *state, uintptr_t start, uintptr_t end,
                       const struct opal_memory_watch_t *watch);

/* userfaultfd_selftest.c */

/** Does all of it work here: registration, tag, events? Says why not (mca_base_component_set_reason()).
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE */
int uffd_selftest(void);

/** Tell of a system call that failed, as the reason. @return OPAL_ERR_NOT_AVAILABLE */
int uffd_say(const uffd_fault_t *fault);

/* userfaultfd_watch.c: as memory.h says */

int uffd_watch(void *base, size_t len, struct opal_memory_watch_t *watch);
int uffd_unwatch(void *base, size_t len, struct opal_memory_watch_t *watch);
bool uffd_valid(void *base, size_t len, const struct opal_memory_watch_t *watch);
int uffd_process(void);

#endif
