/* SPDX-License-Identifier: BSD-3-Clause */
/* grdma: the registration cache. Its data and who may touch them; the protocol and its argument are in
 * docs/rcache-protocol.md.
 *
 * Regions live in an array that stays where it is as long as the cache, addressed by a dense id. A region is FREE (INVALID is set),
 * PINNING (its maker's; in the index, so that hooks find it), READY (in the index; may be hit), or INVALID and waiting for
 * its last reference (in limbo), then ended: deregistered, and its id is free again. With L for the cache's lock:
 *
 *   field                     written by                           read by
 *   super.flags               holder of L; the maker, by           anybody (acquire)
 *                             compare-and-swap PINNING -> READY
 *   super.base to .watch      the maker, before READY; base and    anybody who holds a reference; base and
 *                             bound atomically                     bound: whoever learns hints, to choose
 *   super.cache_word          holder of L, the maker; atomically   holder of L
 *   super.watch.reserved      whoever has the region in a list     the same
 *   counts of references      their thread alone                   anybody
 *
 * A hit takes no lock: it follows a hint, counts its reference in memory of its own thread, and only then looks whether the
 * region is what it wants. Whoever ends a region has marked it INVALID before, and lets membarrier() stand for the barrier
 * between these two steps of every other thread.
 *
 * The lock is never held across an allocation, a call of the provider or of the memory framework, or a message. Hooks only
 * try it. A hook that does not get it posts the range (grdma_pending.c); the holder handles what was posted before it
 * searches, and again after it has let go.
 *
 * Pinning against releases. A registration enters its region, PINNING, into index and page filter before it looks at the
 * open windows, and pins after that. A release either finds the region (marks it INVALID: pinned again), or had its window
 * open at that look (the registration waits for it), or was over by then (the pages pinned are the new ones). See
 * opal/memoryhooks/memory_internal.h. */
#ifndef RCACHE_GRDMA_GRDMA_H
#define RCACHE_GRDMA_GRDMA_H

#include <pthread.h>
#include <stdatomic.h>

#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "rcache/base/rcache_helper.h"
#include "rcache/base/rcache_limits.h"
#include "rcache/base/rcache_stats.h"
#include "rcache/grdma/grdma_clock.h"
#include "rcache/grdma/grdma_hint.h"
#include "rcache/grdma/grdma_hit.h"
#include "rcache/grdma/grdma_left.h"
#include "rcache/grdma/grdma_mutex.h"
#include "rcache/grdma/grdma_notes.h"
#include "rcache/grdma/grdma_span.h"
#include "rcache/grdma/interval_index.h"
#include "rcache/grdma/page_filter.h"

/* ---- Regions ------------------------------------------------------------------------------------- */

/** A registration, with the provider's part behind it. Aligned to 64. */
typedef struct grdma_region_t {
    mca_rcache_base_registration_t super;
} grdma_region_t;

_Static_assert(sizeof(mca_rcache_base_registration_t) <= 64, "a hit reads one line");

/* Bits of super.flags besides the public ones. */
#define GRDMA_PINNING 0x00010000u      /**< Its maker is at it. */
#define GRDMA_INDEXED 0x00020000u      /**< In index and page filter. */
#define GRDMA_WATCHED 0x00040000u      /**< By the memory framework. */
#define GRDMA_ASK MCA_RCACHE_FLAGS_ASK /**< A component wants to be asked at each hit (SLOW_VALID). */
#define GRDMA_LIMBO 0x00100000u        /**< INVALID, and in limbo until nobody refers to it. */
/** The kernel tells of its changes: a hit looks at opal_memory_changed() and the watch. */
#define GRDMA_TOLD MCA_RCACHE_FLAGS_TOLD
#define GRDMA_ORPHAN 0x00400000u /**< In limbo, of a cache that is no more: it has an origin (grdma_left.c). */
#define GRDMA_ENDING 0x00800000u /**< Registered for one use, which is over. By locked instructions. */

/** No lookup finds a region with one of these. */
#define GRDMA_HIDDEN (MCA_RCACHE_FLAGS_INVALID | MCA_RCACHE_FLAGS_CACHE_BYPASS | GRDMA_PINNING)
_Static_assert(GRDMA_HIDDEN == MCA_RCACHE_FLAGS_HIDDEN, "as rcache_hit.h has it");
/** Nor is one with one of these evicted, or replaced by a better one. */
#define GRDMA_KEPT (GRDMA_HIDDEN | MCA_RCACHE_FLAGS_PERSIST)
/** Giving back a reference to a region with one of these takes the lock. */
#define GRDMA_CARE (MCA_RCACHE_FLAGS_INVALID | MCA_RCACHE_FLAGS_CACHE_BYPASS)

/** Ids are 1 to this, at most: as many as a hint has room for. */
#define GRDMA_MAX_ID MCA_RCACHE_MAX_ID
#if GRDMA_MAX_ID != GRDMA_HINT_ID_MASK
#error "rcache_hit.h has another number"
#endif
/** Set in super.cache_id of what is registered for one use: giving it back takes the long way. */
#define GRDMA_ONCE (UINT32_C(1) << 31)

/* ---- References ----------------------------------------------------------------------------------- */

/** Users' code counts references, too: what that needs is declared in rcache_hit.h. */
typedef mca_rcache_count_t grdma_count_t;

typedef struct grdma_thread_t grdma_thread_t;
typedef struct grdma_module_t grdma_module_t;

/** What one thread has of one cache. When the thread ends, the next one that comes takes it over, with its counts. Its fronts lie
 * before it (mca_rcache_front_of()), in a page that the kernel wipes in fork children: they are found nowhere there, before the
 * child has noticed what it is. Its counts lie behind it (mca_rcache_count_of()). */
typedef struct grdma_block_t {
    mca_rcache_block_t super;               /**< The owner's. */
    mca_rcache_thread_counters_t *counters; /**< The owner's to write. */
    _Atomic(grdma_thread_t *) owner;        /**< NULL: none. Taken under the cache's lock. */
    grdma_module_t *module;                 /**< Constant. */
    struct grdma_block_t *next;             /**< Of the cache; constant. */
    struct grdma_block_t *next_of_thread;   /**< Under the lock of threads. */
    uint32_t last[MCA_RCACHE_FRONTS];       /**< Id of the last hit by a hint at such an address; the owner's. */
    bool has_fronts;                        /**< The kernel wipes them; else nothing is remembered. */
    bool is_listed;           /**< Of the common one: it is among the cache's blocks. Under the lock. */
    _Atomic uint32_t pinning; /**< Registrations of the owner that are on their way; the owner's to write. */
    uint32_t capacity;        /**< Ids below have a count. Under the lock, once it is among the cache's blocks. */
} grdma_block_t;

_Static_assert(sizeof(grdma_block_t) <= MCA_RCACHE_COUNTS_AT, "counts lie behind it");

/* Tables of hints: each is twice as large as the one before, at least; and threads may make one at the same time. */
#define GRDMA_HINT_HEADS 40

/* ---- The cache ------------------------------------------------------------------------------------ */

/** Bits of attention: why a call does not take the short way. */
enum {
    GRDMA_ATTENTION_WORK = 1,     /**< Something waits for a safe moment: grdma_reap(). */
    GRDMA_ATTENTION_DEAF = 2,     /**< Nothing is kept. */
    GRDMA_ATTENTION_PROVIDER = 4, /**< In a fork child: the provider is the parent's. */
};
/** Added by each hook that posts a range, taken away when the range has been handled: regions that were released by then
 * may still look READY. */
#define GRDMA_ATTENTION_POST UINT64_C(8)
/** Bits of attention, and 2^28 posts. One more would look like another cache until they are handled, and so take the long way,
 * too. */
#define GRDMA_ATTENTION_BITS 31

/** A list of regions, linked by super.watch.reserved. */
typedef struct grdma_list_t {
    uint32_t first; /**< Id; 0: empty. */
} grdma_list_t;

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what is written often is kept off the lines that hits read. */
struct grdma_module_t {
    /** With the gate (the serial, and GRDMA_ATTENTION_*; see grdma_gate()) and the serial (without GRDMA_ATTENTION_BITS). */
    mca_rcache_base_module_t super;

    /* What a hit reads; written rarely. */
    uintptr_t page_mask __attribute__((aligned(64))); /**< Page size less 1. Constant. */
    uint32_t page_shift;                              /**< Index and filter count in pages. Constant. */
    _Atomic(grdma_hints_t *) hints;                   /**< Replaced when it grows. */
    _Atomic uint32_t hint_levels;                     /**< Bit k: there are hints of level k. */
    _Atomic uint32_t first_own; /**< Ids below were a fork parent's: nothing of them is touched. */
    uint32_t max_capacity;      /**< Ids below have addresses. Constant. */

    /* Constant. */
    mca_rcache_base_resources_t resources __attribute__((aligned(64)));
    bool merges;                     /**< Variable rcache_base_overlap. */
    uint32_t accounts;               /**< MCA_RCACHE_LIMIT_*: bounds of the process that it shares; 0: none. */
    size_t mapped;                   /**< Bytes of this structure, with the name behind it. */
    mca_rcache_counters_t *counters; /**< Written under the lock, but for bypasses. */

    grdma_mutex_t lock __attribute__((aligned(64))); /**< Lowest rank. Protects the following, as said above. */
    interval_index_t index;
    page_filter_t filter; /**< Read by hooks without the lock. */
    uint32_t filter_done; /**< While it grows: regions with ids below are in the new table, too. Else 0. */
    grdma_list_t limbo;   /**< Were in use when they were looked at last. */
    grdma_list_t unsure;  /**< In limbo, too; whether they are idle takes settling. */
    grdma_list_t free;
    grdma_list_t dying;           /**< Idle, and to be ended by the next calls: more than one is to do at once. */
    _Atomic uint32_t high;        /**< Ids from here on have never been used. */
    uint32_t hand;                /**< Where the clock of grdma_evict.c stands. */
    uint32_t capacity;            /**< Ids below have memory: a region, and a count in every block. */
    _Atomic uint32_t live;        /**< Ids in use; decides how many hints there should be. */
    _Atomic uint32_t limbo_count; /**< Of `limbo`. Written under the lock, as are the next two. */
    _Atomic uint32_t limbo_ticks; /**< When all of that were looked at last (grdma_clock_ticks()). */
    _Atomic uint32_t limbo_look_ns; /**< What that took. */
    /** References to regions in limbo that have been given back since. Raised by anybody, by locked instructions, after the
     * put; set to 0 under the lock by an exchange, before the sums that see these puts. */
    _Atomic uint32_t limbo_returned;
    _Atomic uint32_t
        ending; /**< Threads that have taken regions from the lists that still count. Written under the lock. */
    uint64_t cookie,
        cookies_left; /**< Of memory that is watched: the last one used, and how many come after it. */

    grdma_hints_t hint_heads[GRDMA_HINT_HEADS]; /**< Of the tables; each is used once. */
    _Atomic uint32_t hint_heads_used;           /**< By locked instructions, outside hooks. */

    _Atomic(grdma_block_t *) blocks; /**< All; pushed under the lock, read without. */
    grdma_block_t *common;           /**< Of the threads that get no memory for one: grdma_common.c. Constant. */
    _Atomic uint32_t owners; /**< Blocks that have an owner. Raised under the lock, before the block is used. */
    grdma_pending_t pending;

    _Atomic uint32_t dead;     /**< To be deregistered and freed, outside hooks: a list's first. */
    _Atomic uint32_t spent;    /**< To be unwatched and freed, outside hooks; likewise. */
    _Atomic uint32_t returned; /**< Deregistered in hooks that did not get the lock then: to be accounted for. */
    _Atomic uint32_t ending_alone; /**< As `ending`, of regions that were in no list. By locked instructions. */
    _Atomic bool
        is_tight; /**< It has a limit, or the provider has met one: then hooks raise `ending_alone`, too. */
    pthread_mutex_t provider_lock; /**< Held across after_fork, so that it is called once. No hook takes it. */
    grdma_in_use_t in_use;         /**< Under the lock. */
    grdma_maker_t *makers;         /**< By id. NULL, where policy has never been `warn`. */
    grdma_origin_t *origins; /**< Under the lock, as is their number. A region's is the one at its cache_word. */
    uint32_t origins_size;
    _Atomic uint32_t orphans; /**< Regions with an origin. Written under the lock. */
    grdma_left_t left;
    char name[]; /**< resources.cache_name; to the end of the mapping. */
};

/* ---- For the base ------------------------------------------------------------------------------- */

/** Always linked in: it uses what the library shares with nobody (windows, fork generations). */
extern const mca_rcache_base_component_t mca_rcache_grdma_component;

/* ---- Between the files of grdma ------------------------------------------------------------------ */

static inline grdma_module_t *grdma_of(mca_rcache_base_module_t *module)
{
    return (grdma_module_t *) (void *) module;
}

/** A hit looks here first, and goes on where its thread knows just this value. */
static inline _Atomic uint64_t *grdma_gate(const grdma_module_t *module)
{
    return (_Atomic uint64_t *) (uintptr_t) &module->super.gate;
}

/** The region with this id, which has been made; or of 0, which is always INVALID. */
static inline grdma_region_t *grdma_at(const grdma_module_t *module, uint32_t id)
{
    return (grdma_region_t *) (void *) (module->super.registrations + ((uintptr_t) id << module->super.id_shift));
}

static inline uint32_t grdma_flags(const grdma_region_t *region)
{
    return __atomic_load_n(&region->super.flags, __ATOMIC_ACQUIRE);
}

static inline uintptr_t grdma_first(const grdma_region_t *region)
{
    return (uintptr_t) region->super.base;
}

static inline uintptr_t grdma_last(const grdma_region_t *region)
{
    return (uintptr_t) region->super.bound;
}

/** In pages. */
static inline uint64_t grdma_first_page(const grdma_module_t *module, const grdma_region_t *region)
{
    return grdma_first(region) >> module->page_shift;
}

static inline uint64_t grdma_last_page(const grdma_module_t *module, const grdma_region_t *region)
{
    return grdma_last(region) >> module->page_shift;
}

static inline size_t grdma_length(const grdma_region_t *region)
{
    return (size_t) (region->super.bound - region->super.base) + 1;
}

/** Is the registration a parent's? Then nothing of it is touched here. */
static inline bool grdma_is_inherited(const grdma_module_t *module, uint32_t id)
{
    opal_fork_check();
    return id < atomic_load_explicit(&module->first_own, memory_order_relaxed);
}

/* The page filter, under the lock. */
static inline void grdma_filter_add_locked(grdma_module_t *module, const grdma_region_t *region)
{
    page_filter_add(&module->filter, grdma_first(region), grdma_last(region));
    if (__builtin_expect(region->super.cache_id < module->filter_done, 0)) {
        page_filter_grow_add(&module->filter, grdma_first(region), grdma_last(region));
    }
}

static inline void grdma_filter_remove_locked(grdma_module_t *module, const grdma_region_t *region)
{
    page_filter_remove(&module->filter, grdma_first(region), grdma_last(region));
    if (__builtin_expect(region->super.cache_id < module->filter_done, 0)) {
        page_filter_grow_remove(&module->filter, grdma_first(region), grdma_last(region));
    }
}

/** From region to region: the least power of two that has room, and is whole lines. */
static inline uint32_t grdma_id_shift(const mca_rcache_base_resources_t *resources)
{
    uint32_t shift = 6;

    while (resources->sizeof_reg > (size_t) 1 << shift) {
        shift++;
    }
    return shift;
}

/* Lists: whoever has the list has its regions. */
static inline uint32_t grdma_next(const grdma_module_t *module, uint32_t id)
{
    return __atomic_load_n(&grdma_at(module, id)->super.watch.reserved, __ATOMIC_RELAXED);
}

static inline void grdma_list_add(const grdma_module_t *module, grdma_list_t *list, uint32_t id)
{
    __atomic_store_n(&grdma_at(module, id)->super.watch.reserved, list->first, __ATOMIC_RELAXED);
    list->first = id;
}

static inline uint32_t grdma_list_take(const grdma_module_t *module, grdma_list_t *list)
{
    const uint32_t id = list->first;

    if (id != 0) {
        list->first = grdma_next(module, id);
    }
    return id;
}

static inline void grdma_attend(grdma_module_t *module, uint64_t why)
{
    atomic_fetch_or_explicit(grdma_gate(module), why, memory_order_release);
    mca_rcache_helper_wake();
}

/** Add to one of the cache's counters that are written under the lock. */
static inline void grdma_add_locked(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/** Count a registration, or (by -1) one that has come to nothing, of so many bytes. */
static inline void grdma_count_registration_locked(const grdma_module_t *module, size_t length, uint64_t by)
{
    grdma_add_locked(&module->counters->registrations, by);
    grdma_add_locked(&module->counters->sizes[mca_rcache_stats_bucket(length, MCA_RCACHE_STATS_SIZES)], by);
}

/** Add to one of those that are written without it. Every context. */
static inline void grdma_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* grdma_module.c */

/** Make a module; codes of mca_rcache_base_component_init_fn_t. */
int grdma_create(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                 mca_rcache_base_module_t **out_module);

/** In a fork child: what rcache_reset_child does. Hook context. */
void grdma_reset_child(mca_rcache_base_module_t *module);

/* grdma_region.c: ids and their memory. */

/** Addresses for all regions that the cache may have, as many as there may be. @return false: there are none. */
bool grdma_regions_init(grdma_module_t *module);
/** Make sure that ids up to `needed` have memory. Not under the lock, not from hook context.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int grdma_regions_grow(grdma_module_t *module, uint32_t needed);
/** An id for a new region, or 0: grow first. */
uint32_t grdma_id_take_locked(grdma_module_t *module);
void grdma_id_give_locked(grdma_module_t *module, uint32_t id);
/** A whole list of so many; `end` is where its last link is. It is empty then. */
void grdma_ids_give_locked(grdma_module_t *module, grdma_list_t *list, uint32_t *end, uint32_t count);
void grdma_regions_free(grdma_module_t *module);
/** A page filter of that size. Not under the lock, not from hook context. */
void grdma_filter_grow(grdma_module_t *module, unsigned bits);

/* grdma_learn.c: hints. */

/** Remember that a lookup of an address ends at the region with this id. Every context. */
void grdma_hint_learn(grdma_module_t *module, uintptr_t address, uint32_t id);
/** A head for a table of hints; NULL: there were too many. */
grdma_hints_t *grdma_hints_head(grdma_module_t *module);
/** There was no memory for its table: the next one may have it, unless another thread has taken a head since. */
void grdma_hints_head_unused(grdma_module_t *module, const grdma_hints_t *head);
/** More hints, if the cache has outgrown them. Not under the lock, not from hook context. */
void grdma_hints_fit(grdma_module_t *module);

/* grdma_thread.c: references. */

/** This thread's block, made if need be; NULL: no memory. Takes the lock. Not from hook context. */
grdma_block_t *grdma_block_get(grdma_module_t *module);
/** Addresses for a block and all counts that it may have, and memory for the block; NULL: none. Not from hook context. */
grdma_block_t *grdma_block_map(const grdma_module_t *module);
void grdma_block_unmap(const grdma_module_t *module, grdma_block_t *block);
/** Memory for counts of ids from `from` on and below `capacity`; what is there already stays. Any thread, not from hook context. @return false: none. */
bool grdma_block_open(const grdma_module_t *module, grdma_block_t *block, uint32_t from, uint32_t capacity);
/** In all blocks that there are, as grdma_regions_grow() needs it. */
bool grdma_blocks_open(const grdma_module_t *module, grdma_block_t *first, uint32_t from, uint32_t capacity);
/** Does nobody hold a reference? Exact if the region is INVALID, and grdma_settle() or grdma_is_alone() came after. */
bool grdma_is_idle(const grdma_module_t *module, uint32_t id);
/** All references taken of a region so far, modulo 2^32. */
uint32_t grdma_gets(const grdma_module_t *module, uint32_t id);
/** Does no other thread use the cache? Under the lock, in which such a thread would begin to. Hook context. */
bool grdma_is_alone_locked(const grdma_module_t *module);
/** Every other thread has stored what it had counted before, and sees what this one has stored.
 * @return false: the system has changed its mind about that; nothing may be ended. */
bool grdma_settle(const grdma_module_t *module);
/** Can grdma_settle() do that here? Asked once a process. */
bool grdma_can_settle(void);
void grdma_blocks_free(grdma_module_t *module);
void grdma_blocks_reset_child(grdma_module_t *module);

/** Owner of blocks that no thread may own. */
extern grdma_thread_t grdma_nobody;

/* grdma_common.c: references, given back by threads that get no memory for a block. */

/** Before the cache is used. @return false: no memory. */
bool grdma_common_init(grdma_module_t *module);
/** Count a reference as given back. Takes the lock, and no memory. Not from hook context. */
void grdma_common_put(grdma_module_t *module, uint32_t id);
void grdma_common_free(grdma_module_t *module);

/* grdma_lock.c: the lock, and what happens when it is let go. */

/** Handle what hooks have left to the holder of the lock. Regions found idle go to the next grdma_reap(). */
void grdma_mail_handle_locked(grdma_module_t *module);
/** The same, by whoever sees it and gets the lock. Outside hooks: inside, see grdma_release.c. */
void grdma_mail_handle(grdma_module_t *module);

/** Has a hook posted a range, or returned a region, that nobody has handled yet? Without the lock `handled` may be old:
 * then the answer is true too often, never too seldom. */
static inline bool grdma_has_mail(const grdma_module_t *module)
{
    return atomic_load(&module->pending.posted) != __atomic_load_n(&module->pending.handled, __ATOMIC_RELAXED)
           || atomic_load(&module->returned) != 0;
}

/** Take the lock and handle what hooks have left. Not from hook context. */
static inline void grdma_lock(grdma_module_t *module)
{
    grdma_mutex_lock(&module->lock);
    if (__builtin_expect(grdma_has_mail(module), 0)) {
        grdma_mail_handle_locked(module);
    }
}

/** Let go, and handle what was left meanwhile. A hook that posts while we hold the lock tries it again after posting:
 * either that attempt comes after our unlock and succeeds, or we see here what it posted. (It is unlocked by an
 * atomic exchange.) Not from hook context. */
static inline void grdma_unlock(grdma_module_t *module)
{
    grdma_mutex_unlock(&module->lock);
    barrier_after_rmw();
    if (__builtin_expect(grdma_has_mail(module), 0)) {
        grdma_mail_handle(module);
    }
}

/* grdma_release.c: what happens to regions when memory goes. */

/** Regions that are over in the hook that found them idle. */
typedef struct grdma_batch_t {
    grdma_list_t idle;
    bool is_alone;   /**< Their idleness can be told now. */
    bool is_certain; /**< Their memory was released, so in_use_policy applies. */
    uint32_t ticks;  /**< When, by grdma_clock.h; 0: nobody has had to know. */
    uint32_t in_use;
    uint32_t first_in_use; /**< Id of one of these. */
    uint32_t unsure;       /**< In limbo, and whether they are idle takes settling. */
    uint32_t count;        /**< Of regions that were READY. */
} grdma_batch_t;

void grdma_batch_begin_locked(const grdma_module_t *module, bool is_certain, grdma_batch_t *batch);
/** Put a region into limbo that is in use, by a sum that is exact and made in this hold of the lock. Every context. */
void grdma_limbo_add_locked(grdma_module_t *module, uint32_t id);
/** Raise WORK, if anything of the batch waits for grdma_reap() in limbo. */
void grdma_batch_attend_locked(grdma_module_t *module, const grdma_batch_t *batch);
void grdma_batch_end_locked(grdma_module_t *module, opal_mem_hooks_cause_t cause, grdma_batch_t *batch);
/** Take a region that was READY out of use: marked first, then out of the page filter. It has left the index. */
void grdma_retire_locked(grdma_module_t *module, uint32_t id, grdma_batch_t *batch);
/** Take a region out of index and page filter. */
void grdma_unindex_locked(grdma_module_t *module, grdma_region_t *region);
/** Take all regions over [first, last] out of use. The whole address space means that nobody knows what was released:
 * then what is in use is not complained about, nor is it where the reason is not certain. Idle ones may be left in *idle. */
void grdma_invalidate_locked(grdma_module_t *module, uintptr_t first, uintptr_t last, grdma_reason_t reason,
                             grdma_list_t *idle);
/** Hook context. */
int grdma_invalidate_range(mca_rcache_base_module_t *module, void *addr, size_t size);
/** Ranges of the pending cells, likewise. */
void grdma_pending_handle_locked(grdma_module_t *module, grdma_list_t *idle);
/** Regions that a provider is asked to end at once: as many pointers fit on a small stack. */
#define GRDMA_AT_ONCE 32
/** Have the provider deregister up to GRDMA_AT_ONCE regions of a list that nobody refers to.
 * @param[in,out] id  The first one; then the next that is left, or 0.
 * @param[out] count  How many that were.
 * @return the provider's first error. Hook context, if the provider is HOOK_SAFE. */
int grdma_deregister_list(const grdma_module_t *module, uint32_t *id, size_t *count);
/** End idle regions as far as hook context may go. */
void grdma_end_in_hook(grdma_module_t *module, grdma_list_t *idle);
/** Leave idle regions, which have just been retired, to the next grdma_reap(). Every context. */
void grdma_leave(grdma_module_t *module, grdma_list_t *idle);
/** Regions of a list are deregistered: they count no more, and their ids are free, or those that are watched are to be
 * unwatched first, outside hooks. */
void grdma_account_locked(grdma_module_t *module, grdma_list_t *ended);
/** What hooks have returned. */
void grdma_returned_handle_locked(grdma_module_t *module);
/** Take over a stack that others push to. */
grdma_list_t grdma_take_all(_Atomic uint32_t *stack);

/* grdma_reap.c */

/** Regions that a call ends for others: a lookup after a large release is not to do all of it. */
#define GRDMA_REAP_AT_ONCE 1024
/** End what nobody refers to any more, up to GRDMA_REAP_AT_ONCE; WORK stays raised if there is more. Not from hook context.
 * @return the provider's first error. */
int grdma_reap(grdma_module_t *module);
/** The same, until there is no more. */
int grdma_reap_due(grdma_module_t *module);
/** Also what is left in limbo because looking for it is not due. */
int grdma_reap_all(grdma_module_t *module);
/** This thread has given a reference back, and then found the region in limbo: end it, and what else is idle; with many regions
 * there that may be left to a later call, but for `at_once`. Not from hook context. */
int grdma_limbo_returned(grdma_module_t *module, bool at_once);
/** The same from where nothing may be ended. */
void grdma_limbo_returned_later(grdma_module_t *module);
/** The only reference to a region that was registered for one use is about to be counted as given back. @return Is it this
 * thread's to end then? Else it is an orphan, which is in limbo. */
bool grdma_claim_one(grdma_module_t *module, uint32_t id);
/** End a region that was claimed, and to which nobody refers. Not from hook context. */
int grdma_end_one(grdma_module_t *module, uint32_t id);

/* grdma_pending.c: ranges from hooks that did not get the lock. */

/** Hook context. */
void grdma_pending_post(grdma_pending_t *pending, uintptr_t start, size_t length, grdma_reason_t reason,
                        uint32_t releaser);

/* grdma_register.c */
int grdma_register(mca_rcache_base_module_t *module, void *addr, size_t size, uint32_t flags, int32_t access,
                   mca_rcache_base_registration_t **reg);
int grdma_find(mca_rcache_base_module_t *module, void *addr, size_t size, mca_rcache_base_registration_t **reg);
mca_rcache_answer_t grdma_unknown(mca_rcache_block_t *block, uintptr_t start, uintptr_t last,
                                  mca_rcache_base_module_t *module, int32_t access);
mca_rcache_answer_t grdma_refused(const mca_rcache_found_t *found, uintptr_t start, uintptr_t last,
                                  mca_rcache_base_module_t *module, int32_t access);
int grdma_deregister(mca_rcache_base_module_t *module, mca_rcache_base_registration_t *reg);
int grdma_returned(mca_rcache_base_module_t *module, uint32_t id);

/* grdma_miss.c */

/** What a lookup wants. */
typedef struct grdma_wish_t {
    uintptr_t first, last; /**< Whole pages. */
    uint32_t flags;        /**< BYPASS, PERSIST. */
    int32_t access;
} grdma_wish_t;

/** A registration that grants the wish, found or made, with one reference. Codes of rcache_register. */
int grdma_find_or_pin(grdma_module_t *module, grdma_wish_t wish, mca_rcache_base_registration_t **reg);
/** Memory for one more region: its own, and nodes of the index. Not under the lock, not from hook context.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int grdma_grow(grdma_module_t *module);
/** The same, only found; OPAL_ERR_NOT_FOUND. */
int grdma_find_slowly(grdma_module_t *module, grdma_wish_t wish, mca_rcache_base_registration_t **reg);

/* grdma_pin.c */

/** Milliseconds of the monotonic clock. */
uint64_t grdma_now_ms(void);
/** Make a region of an id that was just taken: PINNING. */
void grdma_fill_in(grdma_module_t *module, uint32_t id, const grdma_wish_t *wish);
/** Make it visible to hooks. The index lacks nothing. */
void grdma_announce_locked(grdma_module_t *module, uint32_t id);
/** Pin it, and count the caller's reference. Regions that it covers are ended, if it has neighbours; others are evicted where
 * the provider has no room, if they may. Codes of rcache_register; on error it is in no index, and nothing is pinned. Not
 * from hook context. */
int grdma_pin(grdma_module_t *module, grdma_region_t *region, grdma_block_t *block, bool has_neighbours,
              bool may_evict);

/* grdma_in_use.c: memory released while in use. */

/** Before the cache is used. Not from hook context. */
void grdma_in_use_prepare(const grdma_module_t *module);
/** Before the cache is used: have makers, if policy asks for them. @return false: no memory. Not from hook context. */
bool grdma_makers_init(grdma_module_t *module);
/** Memory for those of ids below `capacity`, if there are any. @return false: none. Not from hook context. */
bool grdma_makers_open(const grdma_module_t *module, uint32_t from, uint32_t capacity);
void grdma_makers_free(grdma_module_t *module);
/** The caller's stack made this region. Only under policy `warn`. Not from hook context. */
void grdma_note_maker(const grdma_module_t *module, uint32_t id);
/** Stack of the release that is in progress on this thread, if policy asks for it. Hook context. */
uint32_t grdma_releaser(const grdma_module_t *module);
/** Do as in_use_policy says. Hook context. */
void grdma_note_in_use_locked(grdma_module_t *module, const grdma_batch_t *batch, opal_mem_hooks_cause_t cause);
/** Say what was noted. Not from hook context. */
void grdma_warn_in_use(grdma_module_t *module);

/* grdma_evict.c */

/** Drop the idle region that was not used for longest, or some of these where ending each by itself would cost much.
 * Not from hook context. @return false: none is idle. */
bool grdma_evict(grdma_module_t *module, bool only_one);

#endif
