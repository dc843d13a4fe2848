/* SPDX-License-Identifier: BSD-3-Clause */
/* What hooks note in a cache for those who may do more: ranges that they could not handle (grdma_pending.c), and releases of
 * memory in use (grdma_in_use.c). Memory that is there beforehand. */
#ifndef RCACHE_GRDMA_GRDMA_NOTES_H
#define RCACHE_GRDMA_GRDMA_NOTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Ranges that hooks could not handle at once --------------------------------------------------- */

#define GRDMA_PENDING_CELLS 64

/** Why regions go. */
typedef struct grdma_reason_t {
    uint8_t cause; /**< OPAL_MEM_HOOKS_CAUSE_* */
    bool
        is_certain; /**< Their memory is released, so in_use_policy applies. Else perhaps: whoever has told does not know. */
} grdma_reason_t;

typedef struct grdma_pending_t {
    struct grdma_pending_cell_t {
        _Atomic uint32_t state; /**< EMPTY -> WRITING (one hook) -> READY -> EMPTY (holder of the lock). */
        grdma_reason_t reason;
        uint16_t releaser; /**< Stack of the release; 0: not known. */
        uintptr_t start;
        size_t length;
    } cell[GRDMA_PENDING_CELLS];
    _Atomic uint64_t posted; /**< Grows after a cell is READY, or with overflow. */
    uint64_t handled;        /**< Value of posted up to which the cells were read; under the lock. */
    _Atomic bool overflow;   /**< No cell was free: invalidate everything. */
} grdma_pending_t;

/* ---- Releases of memory in use ---------------------------------------------------------------------- */

/** Number of the stack by which a region was made; 0: not known. The maker's, before READY. */
typedef _Atomic uint16_t grdma_maker_t;

/** To be told of. Numbers of stacks; 0: not known. */
typedef struct grdma_report_t {
    uint16_t releaser, maker, cause;
} grdma_report_t;

#define GRDMA_REPORTS 16

typedef struct grdma_in_use_t {
    grdma_report_t report[GRDMA_REPORTS];
    uint32_t count;
    uint32_t unknown; /**< Causes of which a release was noted whose stack is not known. */
    uint32_t posted;  /**< Stack of the release that is being handled, if is_posted. */
    bool is_posted;   /**< It was another thread's. */
    bool are_lost;    /**< There was no room for all. */
    atomic_bool are_any;
} grdma_in_use_t;

#endif
