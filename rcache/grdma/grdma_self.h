/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread keeps at hand of the caches that it uses: short ways to its blocks. */
#ifndef RCACHE_GRDMA_GRDMA_SELF_H
#define RCACHE_GRDMA_GRDMA_SELF_H

#include "rcache/grdma/grdma.h"

#define GRDMA_RECENT 8

/** Zero in a new thread. Initial-exec: reaching it never allocates. */
typedef struct grdma_self_t {
    mca_rcache_recent_t recent[GRDMA_RECENT];
    grdma_thread_t *thread; /**< NULL: it has used no cache yet. */
} grdma_self_t;

extern _Thread_local grdma_self_t grdma_self __attribute__((tls_model("initial-exec")));

static inline unsigned grdma_recent_place(const grdma_module_t *module)
{
    return (unsigned) (module->super.serial >> GRDMA_ATTENTION_BITS) % GRDMA_RECENT;
}

/** What module->super.recent is, in every thread. */
static inline uintptr_t grdma_recent_distance(const grdma_module_t *module)
{
    return (uintptr_t) &grdma_self.recent[grdma_recent_place(module)] - mca_rcache_thread_pointer();
}

/** This thread's block of the cache, if it is at hand; else NULL. Every context. */
static inline grdma_block_t *grdma_block_of(const grdma_module_t *module)
{
    mca_rcache_own_recent_t *recent = mca_rcache_recent_of(&module->super);

    return __builtin_expect(recent->serial == module->super.serial, 1) ? (grdma_block_t *) recent->block : NULL;
}

static inline void grdma_remember_block(const grdma_module_t *module, grdma_block_t *block)
{
    grdma_self.recent[grdma_recent_place(module)] = (mca_rcache_recent_t){ module->super.serial, &block->super };
}

/** Own thread only; it refers to the region. A signal handler that comes in between may fork, and its child finds nothing there. */
static inline void grdma_remember(grdma_block_t *block, uintptr_t address, grdma_region_t *region,
                                  grdma_count_t *count)
{
    mca_rcache_front_t *front = mca_rcache_front_of(&block->super, address);

    if (__builtin_expect(block->has_fronts, 1)) {
        front->size = 0;
        atomic_signal_fence(memory_order_seq_cst);
        front->base = (uintptr_t) region->super.base;
        front->reg = &region->super;
        front->count = count;
        atomic_signal_fence(memory_order_seq_cst);
        front->size = grdma_length(region);
    }
}

/** That of any id that there has been: a block is in its cache's list only while it has counts of all. */
static inline grdma_count_t *grdma_count_of(const grdma_block_t *block, uint32_t id)
{
    return mca_rcache_count_of((mca_rcache_block_t *) (uintptr_t) &block->super, id);
}

/** The same for what may be one of many that are used once in a while: only where it was the last one there already. What is
 * remembered there may be in use more often, and writing it costs a tenth of a hit. */
static inline void grdma_remember_repeated(grdma_block_t *block, uintptr_t address, uint32_t id,
                                           grdma_region_t *region)
{
    uint32_t *last = &block->last[(address >> 12) % MCA_RCACHE_FRONTS];

    if (__builtin_expect(*last == id, 0)) {
        grdma_remember(block, address, region, grdma_count_of(block, id));
    } else {
        *last = id;
    }
}

/** Count a reference. What is read of the region after it is read later: a compiler is told so here, the processors when
 * somebody wants to end the region (grdma_settle()). Own thread only. */
static inline void grdma_take(grdma_count_t *count)
{
    mca_rcache_count_up(&count->gets);
}

/** Count it back; all that was done with the region comes before, what is read of its flags comes later, likewise. */
static inline void grdma_put(grdma_count_t *count)
{
    mca_rcache_count_up(&count->puts);
}

#endif
