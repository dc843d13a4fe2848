/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is about to be moved is given back to the kernel first, if another
 * component tells before. mremap() of several mappings (Linux 6.17) ends at the
 * first one that is registered, with EFAULT, and what came before it has been
 * moved by then: the program would lose half of its buffer to our watching.
 *
 * The callbacks of the same release end all that is registered of the range, so
 * nobody misses its events. */
#include <errno.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

/* Steps of waiting until nothing in the mapping is being released. A release that takes longer has the registration not kept. */
#define WAITS 64

static bool is_on; /* From the first watch to disable, if another component tells before. */

/* What the kernel has told, has been moved already: what is there now may be watched by somebody. */
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

static void give_back_locked(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    uffd_vma_t vma;

    for (uintptr_t at = start; at < end && uffd_kernel_vma(kernel, at, &vma) && vma.start < end; at = vma.end) {
        uffd_kernel_give_back(kernel, later(vma.start, start), sooner(vma.end, end));
    }
}

/* Hook context. */
static void hand_over(void *buf, size_t length, void *unused, bool from_alloc)
{
    uffd_state_t *state = uffd_state;
    const uintptr_t start = (uintptr_t) buf;
    uint64_t mask;

    (void) unused, (void) from_alloc;
    if (opal_mem_hooks_current_cause() != OPAL_MEM_HOOKS_CAUSE_MREMAP || is_delivering || length == SIZE_MAX
        || uffd_phase(state) != UFFD_RUNNING) {
        return;
    }
    uffd_lock_blocked(&state->handover_lock, &mask);
    give_back_locked(&state->kernel, start, start + length);
    uffd_unlock_blocked(&state->handover_lock, &mask);
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

bool uffd_handover_begin(void)
{
    if ((opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE) == 0) {
        return true;
    }
    const int rc = opal_mem_hooks_register_release(hand_over, NULL);

    is_on = rc == OPAL_SUCCESS || rc == OPAL_EXISTS; /* A fork child has its parent's callbacks. */
    return is_on;
}

void uffd_handover_end(void)
{
    if (is_on) {
        opal_mem_hooks_unregister_release(hand_over);
        is_on = false;
    }
}
