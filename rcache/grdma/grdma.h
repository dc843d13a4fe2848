/* SPDX-License-Identifier: BSD-3-Clause */
/* grdma: the registration cache. Its data and who may touch them.
 *
 * A region is made by one thread (PINNING), becomes READY, and ends when it is
 * out of the tree, unreferenced and deregistered. With L for the cache's lock:
 *
 *   field        written by                        read by
 *   node, state, refs, lru, in_tree   holder of L  holder of L
 *   super.flags  holder of L, atomically           anybody, atomically
 *   next         whoever took the region out of tree and LRU: it is his alone
 *   the rest     the maker, before READY           anybody with a reference
 *
 * The lock is never held across an allocation, a call of the provider or of
 * the memory framework, or a message. Hooks only try it. A hook that does not
 * get it posts the range (grdma_pending.c); the holder handles what was
 * posted before it searches, and again after it has let go.
 *
 * Pinning against releases. A registration inserts its region, PINNING, before
 * it looks at the open windows, and pins after that. A release either finds the
 * region (marks it INVALID: pinned again), or had its window open at that look
 * (the registration waits for it), or was over by then (the pages pinned are
 * the new ones). See opal/memoryhooks/memory_internal.h.
 *
 * Regions that end in a hook whose provider is not HOOK_SAFE go to `dead`,
 * those only to be freed go to `spent`: stacks that anybody pushes to without a lock and
 * that the next call outside a hook takes whole.
 */
#ifndef RCACHE_GRDMA_GRDMA_H
#define RCACHE_GRDMA_GRDMA_H

#include <pthread.h>
#include <stdatomic.h>

#include "framework/util/fork.h"
#include "opal/mca/rcache/rcache.h"
#include "rcache/base/rcache_stats.h"
#include "rcache/grdma/interval_tree.h"

typedef enum grdma_state_t { GRDMA_PINNING, GRDMA_READY } grdma_state_t;

typedef struct grdma_region_t {
    interval_node_t node; /**< First: the tree hands out pointers to it. */
    struct grdma_region_t *lru_previous, *lru_next;
    struct grdma_region_t *next; /**< In a list of regions that end. */
    size_t length;
    uint64_t released_ns; /**< When its memory was released; 0: it was not. */
    uint64_t generation;  /**< Fork generation of the process that made it: in others it is inherited. */
    uint32_t refs;
    grdma_state_t state;
    bool in_tree, in_lru, watched;
    mca_rcache_base_registration_t super; /**< Last: the provider's structure goes on behind it. */
} grdma_region_t;

#define GRDMA_PENDING_CELLS 64

/** Ranges that hooks could not handle at once. */
typedef struct grdma_pending_t {
    struct grdma_pending_cell_t {
        _Atomic uint32_t state; /**< EMPTY -> WRITING (one hook) -> READY -> EMPTY (holder of the lock). */
        uint32_t cause;
        uintptr_t start;
        size_t length;
    } cell[GRDMA_PENDING_CELLS];
    _Atomic uint64_t posted; /**< Grows after a cell is READY, or with overflow. */
    uint64_t handled;        /**< Value of posted up to which the cells were read; under the lock. */
    _Atomic bool overflow;   /**< No cell was free: invalidate everything. */
} grdma_pending_t;

typedef struct grdma_module_t {
    mca_rcache_base_module_t super;
    mca_rcache_base_resources_t resources; /**< Constant. */
    char *name;                            /**< Constant; resources.cache_name. */
    atomic_bool caching;                   /**< Goes from true to false when the library is finalized. */
    size_t page_size;                      /**< Constant. */

    pthread_mutex_t lock; /**< Lowest rank. Protects the following, as said above. */
    interval_tree_t tree;
    grdma_region_t *lru_first, *lru_last; /**< Idle regions, least recently used first. */
    size_t regions;                       /**< Not yet freed, but those in dead and spent. */
    bool closing;
    _Atomic uint32_t
        holders; /**< 1, and those inside rcache_deregister: whoever brings it to 0 frees the module. */

    grdma_pending_t pending;
    _Atomic(grdma_region_t *) dead;       /**< To be deregistered and freed, outside hooks. */
    _Atomic(grdma_region_t *) spent;      /**< To be freed, outside hooks. */
    _Atomic(interval_node_t *) inherited; /**< In a fork child: the parent's tree, to be freed outside hooks. */
    _Atomic bool provider_is_parents;     /**< In a fork child: call after_fork before the provider is used. */
    pthread_mutex_t provider_lock; /**< Held across after_fork, so that it is called once. No hook takes it. */
    _Atomic bool warn_in_use;      /**< Say so at the next chance. */
    atomic_bool warned_in_use;
    /** count and bytes: registered or being so, raised only under the lock: limits are exact. */
    mca_rcache_counters_t *counters;
    mca_rcache_thread_counters_t *hits; /**< One for all threads. */
} grdma_module_t;

/* ---- For the base ------------------------------------------------------------------------------- */

/** Always linked in: it uses what the library shares with nobody (windows, fork generations). */
extern const mca_rcache_base_component_t mca_rcache_grdma_component;

/* ---- Between the files of grdma ------------------------------------------------------------------ */

static inline grdma_module_t *grdma_of(mca_rcache_base_module_t *module)
{
    return (grdma_module_t *) module;
}

static inline grdma_region_t *grdma_region_of(mca_rcache_base_registration_t *reg)
{
    return (grdma_region_t *) reg->cache_private;
}

static inline bool grdma_is_invalid(const grdma_region_t *region)
{
    return (__atomic_load_n(&region->super.flags, __ATOMIC_ACQUIRE) & MCA_RCACHE_FLAGS_INVALID) != 0;
}

/** Is the registration a parent's? Then nothing of it is touched here, but for its memory. */
static inline bool grdma_is_inherited(const grdma_region_t *region)
{
    return region->generation != opal_fork_generation();
}

/** Regions taken out under the lock, to be ended after it. */
typedef struct grdma_ending_t {
    grdma_region_t *list;
} grdma_ending_t;

/* grdma_module.c */

/** Make a module; codes of mca_rcache_base_component_init_fn_t. */
int grdma_create(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                 mca_rcache_base_module_t **out_module);

/** Give up `count` of the module's holders; the last one frees it. */
void grdma_let_go(grdma_module_t *module, uint32_t count);

/* grdma_lock.c: the lock, and what happens when it is let go. */

/** Take the lock and handle what hooks have posted. Not from hook context. */
void grdma_lock(grdma_module_t *module, grdma_ending_t *ending);
/** Let go, end the regions, and handle what was posted meanwhile. Not from hook context. */
void grdma_unlock(grdma_module_t *module, grdma_ending_t *ending);

/* grdma_release.c: what happens to regions when memory goes. */

/** Mark every region over [first, last] invalid and take it out of the tree; idle ones go to ending. The whole
 * address space means that nobody knows what was released: then what is in use is not complained about. */
void grdma_invalidate_locked(grdma_module_t *module, uintptr_t first, uintptr_t last, opal_mem_hooks_cause_t cause,
                             grdma_ending_t *ending);
/** One region; it is in the tree. certain: its memory was released, so in_use_policy applies. */
void grdma_drop_locked(grdma_module_t *module, grdma_region_t *region, opal_mem_hooks_cause_t cause, bool certain,
                       grdma_ending_t *ending);
/** Take a region out of tree and LRU. */
void grdma_unlink_locked(grdma_module_t *module, grdma_region_t *region);
void grdma_lru_remove_locked(grdma_module_t *module, grdma_region_t *region);
void grdma_lru_append_locked(grdma_module_t *module, grdma_region_t *region);
/** Deregister and free the regions of a list. Not from hook context. @return first error of the provider. */
int grdma_end(grdma_module_t *module, grdma_region_t *list);
/** The same, as far as hook context may go. */
void grdma_end_in_hook(grdma_module_t *module, grdma_region_t *list);
/** End what hooks have left over, and print what they could not. Not from hook context. */
void grdma_reap(grdma_module_t *module);
/** Hook context. */
int grdma_invalidate_range(mca_rcache_base_module_t *module, void *addr, size_t size);

/* grdma_pending.c: ranges from hooks that did not get the lock. */

/** Hook context. */
void grdma_pending_post(grdma_pending_t *pending, uintptr_t start, size_t length, uint32_t cause);
bool grdma_pending_any(const grdma_pending_t *pending);
/** Under the lock. */
void grdma_pending_handle_locked(grdma_module_t *module, grdma_ending_t *ending);

/* grdma_register.c */
int grdma_register(mca_rcache_base_module_t *module, void *addr, size_t size, uint32_t flags, int32_t access,
                   mca_rcache_base_registration_t **reg);
int grdma_find(mca_rcache_base_module_t *module, void *addr, size_t size, mca_rcache_base_registration_t **reg);
int grdma_deregister(mca_rcache_base_module_t *module, mca_rcache_base_registration_t *reg);

/* grdma_pin.c */

/** A new region over [first, last], pinned and referenced once. Codes of rcache_register. */
int grdma_pin(grdma_module_t *module, uintptr_t first, uintptr_t last, uint32_t flags, int32_t access,
              mca_rcache_base_registration_t **reg);
/** Milliseconds of the monotonic clock, for waits that must end. */
uint64_t grdma_now_ms(void);
/** Drop the least recently used idle region. Not from hook context. @return false: none is idle. */
bool grdma_evict_one(grdma_module_t *module);

#endif
