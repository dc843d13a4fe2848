/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that the program is about to take from us is given back to the kernel
 * first, if another component tells before:
 *
 * - mremap() of several mappings (Linux 6.17) ends at the first one that is
 *   registered, with EFAULT, and what came before it has been moved by then: the
 *   program would lose half of its buffer to our watching.
 * - UFFDIO_REGISTER with a userfaultfd of the program's own would be refused.
 * - munmap() would wait for the reader.
 *
 * From then on the kernel tells nothing of the range. So it is put into the
 * queue before: no lookup that begins later finds what was watched there. */
#include <errno.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

/* Steps of waiting until nothing in the mapping is being released. A release that takes longer has the registration not kept. */
#define WAITS 64

/* From the first watch to disable, if another component tells before. Under life_lock; at disable nobody watches. */
static bool is_on;

/* What is delivered has happened already: what is there now may be watched by somebody. */
static _Thread_local bool is_delivering __attribute__((tls_model("initial-exec")));

void uffd_handover_pause(bool is_paused)
{
    is_delivering = is_paused;
}

static uintptr_t later(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

static uintptr_t sooner(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

/* What others have registered is left alone, in whatever mapping of the range. */
static void give_each_locked(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    const uffd_kernel_t *kernel = &state->kernel;
    bool is_queued = false;
    uffd_vma_t vma;

    for (uintptr_t at = start; at < end && uffd_kernel_vma(kernel, at, &vma) && vma.start < end; at = vma.end) {
        const uintptr_t from = later(vma.start, start), to = sooner(vma.end, end);

        if (uffd_kernel_tagged(kernel, from, to)) {
            if (!is_queued) {
                uffd_queue_given(state, start, end);
            }
            is_queued = true;
            uffd_kernel_give_up(kernel, from, to);
        }
    }
}

/* To be unmapped: if a watch registers it meanwhile, there will be an event, which is right as well. So no lock is needed.
 * Watches may be over, but not ended yet; so the tag is asked for first. */
static void give_whole(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    if (uffd_kernel_tagged(&state->kernel, start, end)) {
        uffd_queue_given(state, start, end);
        uffd_kernel_give_up(&state->kernel, start, end);
    }
}

typedef enum way_t { NOT_AT_ALL, EACH_MAPPING, AS_A_WHOLE } way_t;

/* Where only waiting is saved, nothing is asked of the kernel if nothing is watched there. */
static way_t way_of(const uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    switch (opal_mem_hooks_current_cause()) {
    case OPAL_MEM_HOOKS_CAUSE_UNKNOWN: /* Another userfaultfd. */
    case OPAL_MEM_HOOKS_CAUSE_MREMAP: return EACH_MAPPING;
    case OPAL_MEM_HOOKS_CAUSE_MUNMAP:
    case OPAL_MEM_HOOKS_CAUSE_MMAP:
    case OPAL_MEM_HOOKS_CAUSE_BRK:
        return uffd_settings.unmap == UFFD_UNMAP_EVENT && uffd_spans_may_hold(&state->spans, start, end)
                   ? AS_A_WHOLE
                   : NOT_AT_ALL;
    default: return NOT_AT_ALL;
    }
}

/* Hook context. */
static void hand_over(void *buf, size_t length, void *unused, bool from_alloc)
{
    uffd_state_t *state = uffd_state;
    const uintptr_t start = (uintptr_t) buf, end = start + length;
    uint64_t mask;

    (void) unused, (void) from_alloc;
    if (is_delivering || length == SIZE_MAX || uffd_phase(state) != UFFD_RUNNING) {
        return;
    }
    switch (way_of(state, start, end)) {
    case EACH_MAPPING:
        uffd_lock_blocked(&state->handover_lock, &mask);
        give_each_locked(state, start, end);
        uffd_unlock_blocked(&state->handover_lock, &mask);
        break;
    case AS_A_WHOLE: give_whole(state, start, end); break;
    default: break;
    }
}

/* The window was open before the callback took the lock: so it is seen here, or what is registered is given back there. */
static int register_if_calm(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    int rc = -EAGAIN;
    uint64_t mask;

    uffd_lock_blocked(&state->handover_lock, &mask);
    if (!opal_mem_hooks_window_overlaps(start, end - start)) {
        rc = uffd_kernel_register(&state->kernel, start, end);
    }
    uffd_unlock_blocked(&state->handover_lock, &mask);
    return rc;
}

int uffd_handover_register(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    if (!is_on) {
        return uffd_kernel_register(&state->kernel, start, end);
    }
    int rc = register_if_calm(state, start, end);

    for (int i = 0; rc == -EAGAIN && i < WAITS; i++) {
        UFFD_SYS(SYS_sched_yield);
        rc = register_if_calm(state, start, end);
    }
    return rc;
}

/* To give back is to look, to register once more and to unregister: in between, the callback may not have given back the same
 * and let its call go on. */
void uffd_handover_give_back(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    uint64_t mask;

    if (!is_on) {
        uffd_kernel_give_back(&state->kernel, start, end);
        return;
    }
    uffd_lock_blocked(&state->handover_lock, &mask);
    uffd_kernel_give_back(&state->kernel, start, end);
    uffd_unlock_blocked(&state->handover_lock, &mask);
}

bool uffd_handover_begin(int events)
{
    if ((opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE) == 0) {
        return true;
    }
    const int rc = opal_mem_hooks_register_release(hand_over, NULL);

    is_on = rc == OPAL_SUCCESS || rc == OPAL_EXISTS; /* A fork child has its parent's callbacks. */
    opal_mem_hooks_set_userfaultfd(is_on ? events : -1);
    return is_on;
}

void uffd_handover_end(void)
{
    if (is_on) {
        opal_mem_hooks_set_userfaultfd(-1);
        opal_mem_hooks_unregister_release(hand_over);
        is_on = false;
    }
}
