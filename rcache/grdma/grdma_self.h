/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread keeps at hand of the caches that it uses: short ways to its blocks. */
#ifndef RCACHE_GRDMA_GRDMA_SELF_H
#define RCACHE_GRDMA_GRDMA_SELF_H

#include "framework/util/own_counter.h"
#include "framework/util/sanitizers.h"
#include "rcache/grdma/grdma.h"

#define GRDMA_RECENT 8

typedef struct grdma_recent_t {
    uint64_t serial; /**< Of the cache, which is its gate's value while nothing needs attention; 0: none. */
    grdma_block_t *block;
} grdma_recent_t;

/** Zero in a new thread. Initial-exec: reaching it never allocates. */
typedef struct grdma_self_t {
    grdma_recent_t recent[GRDMA_RECENT];
    grdma_thread_t *thread; /**< NULL: it has used no cache yet. */
} grdma_self_t;

extern _Thread_local grdma_self_t grdma_self __attribute__((tls_model("initial-exec")));

/* Where this thread keeps its way to a cache's block: module->recent is the distance from the thread pointer, which x86-64
 * adds for nothing. */
#if defined(__x86_64__) && defined(__SEG_FS) && !IS_SANITIZED
#define GRDMA_OF_THREAD __seg_fs

static inline uintptr_t grdma_thread_pointer(void)
{
    return *(const uintptr_t GRDMA_OF_THREAD *) 0;
}

static inline const grdma_recent_t GRDMA_OF_THREAD *grdma_recent_of(const grdma_module_t *module)
{
    return (const grdma_recent_t GRDMA_OF_THREAD *) module->recent;
}
#else
#define GRDMA_OF_THREAD

static inline uintptr_t grdma_thread_pointer(void)
{
    return (uintptr_t) &grdma_self;
}

static inline const grdma_recent_t *grdma_recent_of(const grdma_module_t *module)
{
    return (const grdma_recent_t *) (grdma_thread_pointer() + module->recent);
}
#endif

static inline unsigned grdma_recent_place(const grdma_module_t *module)
{
    return (unsigned) (module->serial >> GRDMA_ATTENTION_BITS) % GRDMA_RECENT;
}

/** What module->recent is, in every thread. */
static inline uintptr_t grdma_recent_distance(const grdma_module_t *module)
{
    return (uintptr_t) &grdma_self.recent[grdma_recent_place(module)] - grdma_thread_pointer();
}

/** This thread's block of the cache, if it is at hand; else NULL. Every context. */
static inline grdma_block_t *grdma_block_of(const grdma_module_t *module)
{
    const grdma_recent_t GRDMA_OF_THREAD *recent = grdma_recent_of(module);

    return __builtin_expect(recent->serial == module->serial, 1) ? recent->block : NULL;
}

static inline void grdma_remember_block(const grdma_module_t *module, grdma_block_t *block)
{
    grdma_self.recent[grdma_recent_place(module)] = (grdma_recent_t){ module->serial, block };
}

/** Where a thread remembers what it found at an address: one place for each page of 4 KiB, and for those 128 pages on. */
static inline grdma_front_t *grdma_front_of(grdma_block_t *block, uintptr_t address)
{
    return (grdma_front_t *) (void *) block - GRDMA_FRONTS + (address >> 12) % GRDMA_FRONTS;
}

static inline bool grdma_front_has(const grdma_front_t *front, uintptr_t start, uintptr_t last)
{
    return __builtin_expect(front->base <= start, 1) && __builtin_expect(last < front->end, 1);
}

/** Own thread only; it refers to the region. A signal handler that comes in between may fork, and its child finds nothing there. */
static inline void grdma_remember(grdma_block_t *block, uintptr_t address, grdma_region_t *region,
                                  grdma_count_t *count)
{
    grdma_front_t *front = grdma_front_of(block, address);

    if (__builtin_expect(block->has_fronts, 1)) {
        front->end = 0;
        atomic_signal_fence(memory_order_seq_cst);
        front->base = (uintptr_t) region->super.base;
        front->region = region;
        front->count = count;
        atomic_signal_fence(memory_order_seq_cst);
        front->end = (uintptr_t) region->super.bound + 1;
    }
}

/** The counts of the ids of a chunk, less the first id; 0: no memory yet. */
static inline uintptr_t grdma_counts_in_chunk(const grdma_block_t *block, unsigned chunk)
{
    return atomic_load_explicit(&block->counts[chunk], memory_order_acquire);
}

static inline grdma_count_t *grdma_count_in(uintptr_t counts, uint32_t id)
{
    return (grdma_count_t *) (counts + (uintptr_t) id * sizeof(grdma_count_t));
}

/** NULL: no memory for counts of this id yet, which is as good as zeros. */
static inline grdma_count_t *grdma_count_of(const grdma_block_t *block, uint32_t id)
{
    const uintptr_t counts = grdma_counts_in_chunk(block, grdma_chunk_of(id));

    return __builtin_expect(counts != 0, 1) ? grdma_count_in(counts, id) : NULL;
}

/** Count a reference. What is read of the region after it is read later: a compiler is told so here, the processors when
 * somebody wants to end the region (grdma_settle()). Own thread only. */
static inline void grdma_take(grdma_count_t *count)
{
    own_counter_up(&count->gets);
}

/** Count it back; all that was done with the region comes before, what is read of its flags comes later, likewise. */
static inline void grdma_put(grdma_count_t *count)
{
    own_counter_up(&count->puts);
}

#endif
