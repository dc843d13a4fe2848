/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of the module: watch, unwatch, valid, process. Why valid() is
 * right is in docs/userfaultfd.md. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/mca/base/base.h"
#include "opal/mca/memory/memory.h"

/* How long a lookup waits for the end of a release of other memory before it gives its registration up. */
#define BUSY_NS 500000

/* ---- Watching -------------------------------------------------------------------------------------- */

static atomic_bool said_busy, said_fault;

static void complain(void *base, size_t len, int error)
{
    if (error == EBUSY && !atomic_exchange(&said_busy, true)) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "memory: userfaultfd: [%p, +%zu) is registered with another userfaultfd of this process: "
                     "registrations of such memory are not kept (told once)",
                     base, len);
    }
}

/* Rights and limits may have changed since the component was chosen. */
static void complain_of(const uffd_fault_t *fault)
{
    if (fault->what != NULL && !atomic_exchange(&said_fault, true)) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "memory: userfaultfd: %s: %s: no memory is watched, and registrations are not kept (told once)",
            fault->what, strerror(fault->error));
    }
}

int uffd_watch(void *base, size_t len, opal_memory_watch_t *watch)
{
    uffd_state_t *state = uffd_state;
    const uintptr_t start = (uintptr_t) base, end = start + len;
    bool is_shared = false, is_held = false;
    uffd_fault_t fault = { 0 };
    int error = 0;

    if (state == NULL || len < uffd_settings.min_size) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    uffd_lock(&state->life_lock);
    int rc = uffd_start_locked(state, &fault);
    if (rc == OPAL_SUCCESS) {
        rc = uffd_spans_add(state, start, end, &is_shared, &error);
    }
    if (rc == OPAL_SUCCESS && !uffd_shared_note(state, start, end, is_shared, watch)) {
        uffd_spans_remove(state, start);
        rc = OPAL_ERR_OUT_OF_RESOURCE;
    }
    /* After it has been registered: of discards that are announced later, there will be an event. */
    if (rc == OPAL_SUCCESS && uffd_quarantined(state, start, end)) {
        uffd_shared_forget(state, watch);
        uffd_spans_remove(state, start);
        is_held = true;
    }
    uffd_unlock(&state->life_lock);
    if (rc != OPAL_SUCCESS || is_held) {
        complain(base, len, error);
        complain_of(&fault);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return OPAL_SUCCESS;
}

int uffd_unwatch(void *base, size_t len, opal_memory_watch_t *watch)
{
    uffd_state_t *state = uffd_state;
    int rc = OPAL_ERR_NOT_FOUND;

    (void) len;
    if (state == NULL) {
        return OPAL_ERR_NOT_FOUND;
    }
    uffd_lock(&state->life_lock);
    if (uffd_phase(state) != UFFD_IDLE) {
        rc = uffd_spans_remove(state, (uintptr_t) base);
        if (rc == OPAL_SUCCESS) {
            uffd_shared_forget(state, watch);
        }
    }
    uffd_unlock(&state->life_lock);
    return rc;
}

/* ---- Lookups --------------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* A release is under way: its thread may wait for its event to be read, be on its way there, or have been woken but not run yet. */
static __attribute__((noinline)) bool calms_down(uffd_state_t *state)
{
    const uint64_t deadline = now_ns() + BUSY_NS;
    uffd_busy_t busy;

    do {
        uffd_fetch(state);
        sched_yield();
        busy = uffd_kernel_busy(&state->kernel);
    } while (busy == UFFD_BUSY && now_ns() < deadline);
    return busy == UFFD_CALM;
}

static bool holds_by_events(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    const uffd_busy_t busy = uffd_kernel_busy(&state->kernel);

    if (busy != UFFD_CALM && (busy == UFFD_LOST || !calms_down(state))) {
        return false;
    }
#ifndef __SANITIZE_THREAD__ /* Which does not know fences. */
    atomic_thread_fence(memory_order_acquire);
#endif
    return !opal_memory_changed() || !uffd_queue_overlaps(state, start, end);
}

static bool is_there(uffd_state_t *state, uintptr_t start, uintptr_t end, const opal_memory_watch_t *watch)
{
    return uffd_kernel_tagged(&state->kernel, start, end)
           && (uffd_shared_is_noted(watch) ? uffd_shared_holds(state, start, end, watch)
                                           : !uffd_kernel_has_hole(start, end));
}

/* While a watch is replacing something, a tag may be the new mapping's, and it has not been told yet that the old one has gone. */
static bool holds_by_tag(uffd_state_t *state, uintptr_t start, uintptr_t end, const opal_memory_watch_t *watch)
{
    uint64_t deadline = 0;

    for (;;) {
        const uint64_t replacing = atomic_load(&state->replacing);

        if (!is_there(state, start, end, watch)) {
            return false;
        }
        if (replacing % 2 == 0 && atomic_load(&state->replacing) == replacing) {
            return true;
        }
        deadline = deadline == 0 ? now_ns() + BUSY_NS : deadline;
        if (now_ns() >= deadline) {
            return false;
        }
        sched_yield();
    }
}

static bool needs_tag(const opal_memory_watch_t *watch)
{
    switch (uffd_settings.lookup) {
    case UFFD_LOOKUP_BOTH: return true;
    case UFFD_LOOKUP_AUTO: return uffd_shared_is_noted(watch) || uffd_settings.unmap == UFFD_UNMAP_TAG;
    default: return false;
    }
}

bool uffd_valid(void *base, size_t len, const opal_memory_watch_t *watch)
{
    uffd_state_t *state = uffd_state;
    const uintptr_t start = (uintptr_t) base, end = start + len;

    if (state == NULL || uffd_phase(state) != UFFD_RUNNING) {
        return false;
    }
    if (uffd_settings.lookup == UFFD_LOOKUP_NONE) {
        return true;
    }
    /* Whoever gives the tag to another mapping tells before: so the tag is asked first. */
    return (!needs_tag(watch) || holds_by_tag(state, start, end, watch)) && holds_by_events(state, start, end);
}

/* ---- Delivery -------------------------------------------------------------------------------------- */

int uffd_process(void)
{
    uffd_state_t *state = uffd_state;

    if (state == NULL || uffd_phase(state) == UFFD_IDLE) {
        return OPAL_SUCCESS; /* Nothing is watched; or this is a fork child, and what there was is the parent's. */
    }
    switch (uffd_kernel_busy(&state->kernel)) {
    case UFFD_BUSY: uffd_fetch(state); break;
    case UFFD_LOST: /* Or this thread may not ask. */
        if (!uffd_file_is_ours(&state->kernel.events)) {
            uffd_be_deaf(state);
        }
        break;
    default: break;
    }
    return uffd_deliver(state);
}
