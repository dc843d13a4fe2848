/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread keeps at hand of the caches that it uses: short ways to its blocks. */
#ifndef RCACHE_GRDMA_GRDMA_SELF_H
#define RCACHE_GRDMA_GRDMA_SELF_H

#include "rcache/grdma/grdma.h"

#define GRDMA_RECENT 8

/** Zero in a new thread. Initial-exec: reaching it never allocates. */
typedef struct grdma_self_t {
    struct {
        uint64_t serial; /**< Of the cache; 0: none. */
        grdma_block_t *block;
    } recent[GRDMA_RECENT];
    grdma_thread_t *thread; /**< NULL: it has used no cache yet. */
} grdma_self_t;

extern _Thread_local grdma_self_t grdma_self __attribute__((tls_model("initial-exec")));

/** This thread's block of the cache, if it is at hand; else NULL. Every context. */
static inline grdma_block_t *grdma_block_of(const grdma_module_t *module)
{
    const unsigned place = (unsigned) module->serial % GRDMA_RECENT;

    return __builtin_expect(grdma_self.recent[place].serial == module->serial, 1) ? grdma_self.recent[place].block
                                                                                  : NULL;
}

static inline void grdma_remember_block(const grdma_module_t *module, grdma_block_t *block)
{
    const unsigned place = (unsigned) module->serial % GRDMA_RECENT;

    grdma_self.recent[place].serial = module->serial;
    grdma_self.recent[place].block = block;
}

static inline grdma_count_t *grdma_count_in_chunk(const grdma_block_t *block, unsigned chunk, uint32_t id)
{
    const uintptr_t counts = atomic_load_explicit(&block->counts[chunk], memory_order_acquire);

    return __builtin_expect(counts != 0, 1) ? (grdma_count_t *) (counts + (uintptr_t) id * sizeof(grdma_count_t))
                                            : NULL;
}

/** NULL: no memory for counts of this id yet, which is as good as zeros. */
static inline grdma_count_t *grdma_count_of(const grdma_block_t *block, uint32_t id)
{
    return grdma_count_in_chunk(block, grdma_chunk_of(id), id);
}

/** Count a reference. What is read of the region after it is read later: a compiler is told so here, the processors when
 * somebody wants to end the region (grdma_settle()). Own thread only. */
static inline void grdma_take(grdma_count_t *count)
{
    atomic_store_explicit(&count->gets, atomic_load_explicit(&count->gets, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

/** Count it back; all that was done with the region comes before, what is read of its flags comes later, likewise. */
static inline void grdma_put(grdma_count_t *count)
{
    atomic_store_explicit(&count->puts, atomic_load_explicit(&count->puts, memory_order_relaxed) + 1,
                          memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
