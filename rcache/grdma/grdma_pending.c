/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges that hooks post while somebody else holds the cache's lock. A hook
 * takes any empty cell: one that is slow to fill its cell (preempted, or
 * interrupted by another hook) does not hide the cells of the others. */
#include "rcache/grdma/grdma.h"

enum { CELL_EMPTY, CELL_WRITING, CELL_READY };

static bool post_in_cell(struct grdma_pending_cell_t *cell, uintptr_t start, size_t length, grdma_reason_t reason,
                         uint32_t releaser)
{
    uint32_t expected = CELL_EMPTY;
    if (!atomic_compare_exchange_strong(&cell->state, &expected, CELL_WRITING)) {
        return false;
    }
    cell->start = start;
    cell->length = length;
    cell->reason = reason;
    cell->releaser = (uint16_t) releaser;
    atomic_store_explicit(&cell->state, CELL_READY, memory_order_release);
    return true;
}

void grdma_pending_post(grdma_pending_t *pending, uintptr_t start, size_t length, grdma_reason_t reason,
                        uint32_t releaser)
{
    bool done = false;
    for (size_t i = 0; i < GRDMA_PENDING_CELLS && !done; i++) {
        done = post_in_cell(&pending->cell[i], start, length, reason, releaser);
    }
    if (!done) {
        atomic_store(&pending->overflow, true);
    }
    atomic_fetch_add(&pending->posted, 1);
}

static uintptr_t last_of(const struct grdma_pending_cell_t *cell)
{
    return cell->length > UINTPTR_MAX - cell->start ? UINTPTR_MAX : cell->start + cell->length - 1;
}

void grdma_pending_handle_locked(grdma_module_t *module, grdma_list_t *idle)
{
    grdma_pending_t *pending = &module->pending;
    uint64_t posted = atomic_load(&pending->posted);
    if (posted == pending->handled) {
        return;
    }
    if (atomic_exchange(&pending->overflow, false)) {
        grdma_add_locked(&module->counters->queue_overflows, 1);
        grdma_invalidate_locked(module, 0, UINTPTR_MAX, (grdma_reason_t){ OPAL_MEM_HOOKS_CAUSE_UNKNOWN, false },
                                idle);
    }
    for (size_t i = 0; i < GRDMA_PENDING_CELLS; i++) {
        struct grdma_pending_cell_t *cell = &pending->cell[i];
        if (atomic_load_explicit(&cell->state, memory_order_acquire) == CELL_READY) {
            module->in_use.is_posted = true;
            module->in_use.posted = cell->releaser;
            grdma_invalidate_locked(module, cell->start, last_of(cell), cell->reason, idle);
            module->in_use.is_posted = false;
            atomic_store_explicit(&cell->state, CELL_EMPTY, memory_order_release);
        }
    }
    /* Only now: a hit that sees none posted must see all regions marked. */
    atomic_fetch_sub(grdma_gate(module), (posted - pending->handled) * GRDMA_ATTENTION_POST);
    __atomic_store_n(&pending->handled, posted, __ATOMIC_RELAXED);
}
