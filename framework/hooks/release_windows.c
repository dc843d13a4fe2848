/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of releases in progress (protocol: hooks_internal.h). */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "framework/hooks/hooks_internal.h"
#include "framework/util/barrier.h"
#include "framework/util/fork.h"

enum { PHASE_FREE, PHASE_CLAIMED, PHASE_PRE, PHASE_OPEN, PHASE_BITS = 2 };
#define NO_SLOT UINT32_MAX

/* A slot belongs to the thread that moved it from FREE to CLAIMED, until that
 * thread moves it back to FREE. Only the owner writes the other fields, before
 * the release store of PHASE_PRE; readers load state (acquire), the fields,
 * then state again. */
struct slot {
    _Atomic uint64_t state; /* sequence << PHASE_BITS | phase; the sequence grows with each claim. */
    _Atomic(const void *) owner;
    _Atomic uint32_t range_count;
    _Atomic bool blocked; /* The owner waits inside an unregister: see wait_for_slot(). */
    struct {
        _Atomic uintptr_t start;
        _Atomic size_t length;
    } range[OPAL_MEM_HOOKS_WINDOW_RANGES];
} __attribute__((aligned(64)));

static struct slot slots[OPAL_MEM_HOOKS_SLOTS];
/* Slots with a higher index have never been claimed. Raised (full barrier) before the first claim. */
static _Atomic uint32_t slots_used;
/* Hands each thread a slot of its own to try first. */
static _Atomic uint32_t next_hint;
/* Windows that found no slot: open ones, and those still in their callbacks. */
static _Atomic uint32_t overflow_open, overflow_dispatching;

/* Initial-exec: reaching it never allocates. Zero in a new thread. */
static _Thread_local struct {
    uint32_t hint;             /* Plus one; 0 is none yet. */
    uint32_t claiming;         /* Slot that this thread may hold in CLAIMED, plus one: a signal handler asks. */
    uint32_t overflow_depth;   /* This thread's share of overflow_dispatching, */
    uint32_t overflow_windows; /* and of overflow_open: what is left of both in a fork child. */
    opal_mem_hooks_window_t *current;
    int *errno_place; /* This thread's errno. Set with the hint. */
} self __attribute__((tls_model("initial-exec"), aligned(32)));

static unsigned phase_of(uint64_t state)
{
    return (unsigned) (state & ((1u << PHASE_BITS) - 1));
}

static void set_phase(struct slot *slot, unsigned phase)
{
    uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
    atomic_store_explicit(&slot->state, (state & ~(uint64_t) 3) | phase, memory_order_release);
}

static void raise_slots_used(uint32_t index)
{
    uint32_t used = atomic_load_explicit(&slots_used, memory_order_relaxed);
    while (used <= index && !atomic_compare_exchange_weak(&slots_used, &used, index + 1)) {
    }
}

/* Move a slot from FREE to CLAIMED; its index is below slots_used already. */
static inline __attribute__((always_inline)) bool claim(uint32_t index)
{
    struct slot *slot = &slots[index];
    uint64_t state = atomic_load_explicit(&slot->state, memory_order_relaxed);
    self.claiming = index + 1;
    atomic_signal_fence(memory_order_seq_cst);
    return phase_of(state) == PHASE_FREE
           && atomic_compare_exchange_strong(&slot->state, &state, state + (1u << PHASE_BITS) + PHASE_CLAIMED);
}

static void choose_hint(void)
{
    uint32_t index = atomic_fetch_add_explicit(&next_hint, 1, memory_order_relaxed) % OPAL_MEM_HOOKS_SLOTS;
    raise_slots_used(index);
    self.errno_place = &errno;
    self.hint = index + 1;
}

/* The thread has no slot yet, or its own is taken: nested windows, or more threads than slots. */
static uint32_t claim_other(void)
{
    if (self.hint == 0) {
        choose_hint();
    }
    for (uint32_t i = 0; i < OPAL_MEM_HOOKS_SLOTS; i++) {
        uint32_t index = (self.hint - 1 + i) % OPAL_MEM_HOOKS_SLOTS;
        raise_slots_used(index);
        if (claim(index)) {
            return index;
        }
    }
    return NO_SLOT;
}

static inline void store_range(struct slot *slot, size_t index, const opal_mem_hooks_range_t *range)
{
    atomic_store_explicit(&slot->range[index].start, range->start, memory_order_relaxed);
    atomic_store_explicit(&slot->range[index].length, range->length, memory_order_relaxed);
}

_Static_assert(OPAL_MEM_HOOKS_WINDOW_RANGES == 2, "publish() stores two");

/* The slot is this thread's: nobody else stores its fields until it is FREE again. */
static inline __attribute__((always_inline)) void publish(struct slot *slot, const opal_mem_hooks_range_t *ranges,
                                                          size_t count, uint32_t outer_claim)
{
    atomic_store_explicit(&slot->owner, &self, memory_order_relaxed);
    atomic_store_explicit(&slot->blocked, false, memory_order_relaxed);
    atomic_store_explicit(&slot->range_count, (uint32_t) count, memory_order_relaxed);
    if (__builtin_expect(count > 0, 1)) {
        store_range(slot, 0, &ranges[0]);
    }
    if (count > 1) {
        store_range(slot, 1, &ranges[1]);
    }
    set_phase(slot, PHASE_PRE);
    atomic_signal_fence(memory_order_seq_cst);
    self.claiming = outer_claim;
}

static void enter_overflow(size_t count)
{
    if (count > 0) {
        self.overflow_windows++;
        atomic_fetch_add(&overflow_open, 1);
    }
    self.overflow_depth++;
    atomic_fetch_add(&overflow_dispatching, 1);
}

/* What enter() does where the thread's own slot is not free. Returns the slot. */
static __attribute__((noinline, cold)) uint32_t enter_elsewhere(const opal_mem_hooks_range_t *ranges, size_t count,
                                                                uint32_t outer_claim)
{
    uint32_t index = claim_other();
    if (index != NO_SLOT) {
        publish(&slots[index], ranges, count, outer_claim);
    } else {
        self.claiming = outer_claim;
        enter_overflow(count);
    }
    return index;
}

/* From here on the thread counts as inside callbacks. */
static inline __attribute__((always_inline)) void enter(opal_mem_hooks_window_t *window,
                                                        const opal_mem_hooks_range_t *ranges, size_t count,
                                                        opal_mem_hooks_cause_t cause)
{
    opal_fork_check(); /* A fork child forgets its parent's windows, and caches, before it looks at them. */
    uint32_t outer_claim = self.claiming; /* Of the code that a signal handler has interrupted. */
    uint32_t hint = self.hint;
    if (__builtin_expect(hint != 0 && claim(hint - 1), 1)) {
        window->slot = hint - 1;
        publish(&slots[hint - 1], ranges, count, outer_claim);
    } else {
        window->slot = enter_elsewhere(ranges, count, outer_claim);
    }
    barrier_after_rmw();
    window->cause = cause;
    window->outer = self.current;
    self.current = window;
}

static __attribute__((noinline, cold)) void end_overflow_dispatch(void)
{
    self.overflow_depth--;
    atomic_fetch_sub(&overflow_dispatching, 1);
}

/* The callbacks have returned. */
static inline __attribute__((always_inline)) void end_dispatch(const opal_mem_hooks_window_t *window)
{
    if (__builtin_expect(window->slot != NO_SLOT, 1)) {
        set_phase(&slots[window->slot], PHASE_OPEN);
    } else {
        end_overflow_dispatch();
    }
}

static __attribute__((noinline, cold)) void abandon(opal_mem_hooks_window_t *window)
{
    end_dispatch(window);
    opal_mem_hooks_window_close(window);
}

struct unfinished {
    opal_mem_hooks_window_t *window; /* NULL: its callbacks have not begun, or have returned. */
};

/* Runs also when a callback is left by unwinding (an exception, pthread_exit, a cancelled thread): nothing will be
 * released, and nobody must wait for this thread. Costs nothing otherwise: the compiler sees the NULL. */
static inline __attribute__((always_inline)) void close_unfinished(const struct unfinished *unfinished)
{
    if (unfinished->window != NULL) {
        abandon(unfinished->window);
    }
}

OPAL_MEM_HOOKS_PATH void opal_mem_hooks_window_open(opal_mem_hooks_window_t *window,
                                                    const opal_mem_hooks_range_t *ranges, size_t count,
                                                    opal_mem_hooks_cause_t cause, bool from_alloc)
{
    struct unfinished unfinished __attribute__((cleanup(close_unfinished))) = { NULL };

    enter(window, ranges, count, cause);
    unfinished.window = window;
    opal_mem_hooks_dispatch(&opal_mem_hooks_release_list, ranges, count, from_alloc, self.errno_place);
    end_dispatch(window);
    unfinished.window = NULL;
}

void opal_mem_hooks_window_hold(opal_mem_hooks_window_t *window, const opal_mem_hooks_range_t *ranges,
                                size_t count)
{
    enter(window, ranges, count, OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
    end_dispatch(window);
}

static __attribute__((noinline, cold)) void close_overflow(void)
{
    self.overflow_windows--;
    atomic_fetch_sub(&overflow_open, 1);
}

OPAL_MEM_HOOKS_PATH void opal_mem_hooks_window_close(opal_mem_hooks_window_t *window)
{
    self.current = window->outer;
    if (__builtin_expect(window->slot != NO_SLOT, 1)) {
        set_phase(&slots[window->slot], PHASE_FREE);
    } else {
        close_overflow();
    }
}

void opal_mem_hooks_enter(opal_mem_hooks_window_t *window)
{
    enter(window, NULL, 0, OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
}

void opal_mem_hooks_leave(opal_mem_hooks_window_t *window)
{
    self.current = window->outer;
    if (window->slot != NO_SLOT) {
        set_phase(&slots[window->slot], PHASE_FREE);
    } else {
        end_dispatch(window);
    }
}

opal_mem_hooks_cause_t opal_mem_hooks_current_cause(void)
{
    return self.current == NULL ? OPAL_MEM_HOOKS_CAUSE_UNKNOWN
                                : (opal_mem_hooks_cause_t) (self.current->cause & ~OPAL_MEM_HOOKS_UNCERTAIN);
}

bool opal_mem_hooks_current_is_certain(void)
{
    return self.current == NULL
           || ((self.current->cause & OPAL_MEM_HOOKS_UNCERTAIN) == 0
               && self.current->cause != OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
}

static bool ranges_meet(uintptr_t a, size_t a_length, uintptr_t b, size_t b_length)
{
    /* Inclusive ends: a range may reach the end of the address space, or be all of it. */
    uintptr_t a_last = a_length > UINTPTR_MAX - a ? UINTPTR_MAX : a + a_length - 1;
    uintptr_t b_last = b_length > UINTPTR_MAX - b ? UINTPTR_MAX : b + b_length - 1;
    return a <= b_last && b <= a_last;
}

static bool slot_overlaps(struct slot *slot, uintptr_t start, size_t length)
{
    uint64_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
    if (phase_of(state) == PHASE_FREE) {
        return false;
    }
    if (phase_of(state) == PHASE_CLAIMED) {
        return true; /* Over a range that is not known yet. */
    }
    bool meet = false;
    uint32_t count = atomic_load_explicit(&slot->range_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count && i < OPAL_MEM_HOOKS_WINDOW_RANGES; i++) {
        meet |= ranges_meet(start, length, atomic_load_explicit(&slot->range[i].start, memory_order_relaxed),
                            atomic_load_explicit(&slot->range[i].length, memory_order_relaxed));
    }
    /* If the slot changed hands meanwhile, the fields may be mixed: the window that was there is over, and
     * the new one opened after the caller's barrier, so that its callbacks see what the caller stored. */
    return meet;
}

bool opal_mem_hooks_window_overlaps(uintptr_t start, size_t length)
{
    barrier_full();
    if (atomic_load(&overflow_open) != 0) {
        return true;
    }
    uint32_t used = atomic_load(&slots_used);
    for (uint32_t i = 0; i < used; i++) {
        if (slot_overlaps(&slots[i], start, length)) {
            return true;
        }
    }
    return false;
}

static bool is_own(const struct slot *slot)
{
    return atomic_load_explicit(&slot->owner, memory_order_relaxed) == &self;
}

/* Set or clear `blocked` in the slots whose callbacks this thread is inside; how many there are. */
static unsigned mark_blocked(uint32_t used, bool blocked)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < used; i++) {
        if (phase_of(atomic_load(&slots[i].state)) == PHASE_PRE && is_own(&slots[i])) {
            atomic_store(&slots[i].blocked, blocked);
            count++;
        }
    }
    return count;
}

static bool in_callbacks(uint64_t state)
{
    return phase_of(state) == PHASE_CLAIMED || phase_of(state) == PHASE_PRE;
}

/* Wait until the dispatch that holds the slot now has ended. A thread inside a
 * callback does not wait for one that waits inside a callback too: the two
 * would wait for each other. */
static int wait_for_slot(struct slot *slot, bool inside)
{
    uint64_t first = atomic_load(&slot->state);
    unsigned steps = 0;
    for (uint64_t now = first; in_callbacks(now) && now >> PHASE_BITS == first >> PHASE_BITS;
         now = atomic_load(&slot->state)) {
        if (self.claiming == slot - slots + 1 || (phase_of(now) == PHASE_PRE && is_own(slot))) {
            return OPAL_SUCCESS;
        }
        if (inside && phase_of(now) == PHASE_PRE && atomic_load(&slot->blocked)) {
            return OPAL_ERR_RESOURCE_BUSY;
        }
        wait_step(&steps);
    }
    return OPAL_SUCCESS;
}

int opal_mem_hooks_wait_dispatch(void)
{
    barrier_full();
    uint32_t used = atomic_load(&slots_used);
    bool inside = mark_blocked(used, true) > 0 || self.overflow_depth > 0;
    int rc = OPAL_SUCCESS;
    for (uint32_t i = 0; i < used; i++) {
        if (wait_for_slot(&slots[i], inside) != OPAL_SUCCESS) {
            rc = OPAL_ERR_RESOURCE_BUSY;
        }
    }
    unsigned steps = 0;
    while (atomic_load(&overflow_dispatching) > self.overflow_depth) {
        if (inside && steps > 100000) { /* Cannot tell who waits for whom without a slot. */
            rc = OPAL_ERR_RESOURCE_BUSY;
            break;
        }
        wait_step(&steps);
    }
    mark_blocked(used, false);
    return rc;
}

void opal_mem_hooks_windows_reset_child(void)
{
    for (uint32_t i = 0; i < OPAL_MEM_HOOKS_SLOTS; i++) {
        if (!is_own(&slots[i]) && self.claiming != i + 1) {
            set_phase(&slots[i], PHASE_FREE);
        }
    }
    atomic_store(&overflow_dispatching, self.overflow_depth);
    atomic_store(&overflow_open, self.overflow_windows);
}
