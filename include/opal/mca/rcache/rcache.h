/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Registration caches.
 *
 * A cache keeps registrations (pinned, translated pages) so that the next
 * transfer from the same memory finds them. It drops what the memory hooks
 * report as released. The functions of a module are reached through its table,
 * as in Open MPI.
 *
 * Ranges are rounded outwards to pages. A registration in use stays registered
 * until its last reference is given back, but once any of its memory has been
 * released it is never handed out again.
 */
#ifndef OPAL_MCA_RCACHE_RCACHE_H
#define OPAL_MCA_RCACHE_RCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/mca.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

BEGIN_C_DECLS

/* Flags of rcache_register and of registrations; values of Open MPI. */
#define MCA_RCACHE_FLAGS_CACHE_BYPASS 0x0001 /**< Neither searched nor kept. */
#define MCA_RCACHE_FLAGS_PERSIST 0x0002      /**< Not searched; kept until it is released or destroyed. */
#define MCA_RCACHE_FLAGS_SO_MEM 0x0004       /**< Accepted, no effect here. */
#define MCA_RCACHE_FLAGS_INVALID 0x0080      /**< Its memory was released; set by the cache alone. */

/* What the device may do; values of Open MPI. */
#define MCA_RCACHE_ACCESS_LOCAL_WRITE 0x01
#define MCA_RCACHE_ACCESS_REMOTE_READ 0x02
#define MCA_RCACHE_ACCESS_REMOTE_WRITE 0x04
#define MCA_RCACHE_ACCESS_REMOTE_ATOMIC 0x08
#define MCA_RCACHE_ACCESS_ANY 0x0f

typedef struct mca_rcache_base_module_t mca_rcache_base_module_t;

/** A registration. A provider's own structure begins with it (resources.sizeof_reg): its size never changes within 2.x.
 * Filled in by the cache; what the provider keeps stands behind it. One line of the processor's cache: a hit reads all of it.
 * Everything but `flags` is constant while a reference is held; users only read. */
typedef struct mca_rcache_base_registration_t {
    mca_rcache_base_module_t *rcache;
    unsigned char *base;  /**< First byte, page aligned. */
    unsigned char *bound; /**< Last byte, inclusive as in Open MPI. */
    uint32_t flags; /**< MCA_RCACHE_FLAGS_*, and bits of the cache's own; INVALID may appear at any time: read
                                * it atomically. */
    int32_t access_flags;      /**< OR of MCA_RCACHE_ACCESS_*. */
    opal_memory_watch_t watch; /**< The memory framework's. */
    uint32_t cache_id;         /**< The cache's, as is the next. */
    uint32_t cache_word;
} mca_rcache_base_registration_t;

/** What the user does when memory in use is released; not when it is not certain that it was (see
 * opal_mem_hooks_current_is_certain()). */
typedef enum mca_rcache_in_use_policy_t {
    MCA_RCACHE_IN_USE_DEFAULT, /**< The variable rcache_base_in_use_policy. */
    MCA_RCACHE_IN_USE_IGNORE,
    MCA_RCACHE_IN_USE_WARN, /**< A message for each place that releases, with its stack and the one that registered; at the
                             * next call that may print. */
    MCA_RCACHE_IN_USE_ABORT /**< abort(), after a line and the stack on stderr. */
} mca_rcache_in_use_policy_t;

/** resources.flags: deregister_mem is one system call, takes no user-space lock and allocates nothing. */
#define MCA_RCACHE_RESOURCES_HOOK_SAFE 0x1
/** resources.flags: registered memory is pinned, and counts against RLIMIT_MEMLOCK of the user, or of the process: all
 * such caches together stay within it, and within half of what the memory cgroup allows
 * (variable rcache_base_system_limits). */
#define MCA_RCACHE_RESOURCES_MEMLOCK_USER 0x2
#define MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS 0x4

/** Most bytes of a provider's registration, which begins with the base one. */
#define MCA_RCACHE_MAX_SIZEOF_REG 65536

/** How a cache registers memory. Filled in by the user, copied at creation; unused members are zero. */
typedef struct mca_rcache_base_resources_t {
    const char *cache_name; /**< For reports; copied. NULL: "unnamed". */
    void *reg_data;         /**< First argument of the functions; NULL allowed. */
    size_t sizeof_reg;      /**< Size of the provider's registration; see above for the most. */
    /** Required. Register [base, base + size), whole pages. reg->access_flags says what for.
     * @retval OPAL_ERR_OUT_OF_RESOURCE  A limit: the cache evicts and tries again.
     * Called without a lock, from several threads at once. */
    int (*register_mem)(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg);
    /** Required. Undo. Called without a lock. In hook context, if HOOK_SAFE is set.
     * @return OPAL_SUCCESS, or a code that goes to whoever caused it. */
    int (*deregister_mem)(void *reg_data, mca_rcache_base_registration_t *reg);

    uint32_t flags;                           /**< OR of MCA_RCACHE_RESOURCES_*; usually 0. */
    size_t max_count;                         /**< Registrations at most; 0: the variable rcache_base_max_count. */
    size_t max_bytes;                         /**< Bytes at most; 0: the variable rcache_base_max_bytes. */
    mca_rcache_in_use_policy_t in_use_policy; /**< DEFAULT: the variable. */
    /** First use in a fork child: forget what was inherited, without touching it. May be NULL. */
    int (*after_fork)(void *reg_data);
    /** Undo several at once, as calls of deregister_mem one after the other would; in hook context likewise. May be
     * NULL.
     * @return OPAL_SUCCESS, or a code; none of them is registered any more then, either, as far as it is possible. */
    int (*deregister_many)(void *reg_data, mca_rcache_base_registration_t **regs, size_t n);
    void *reserved[3]; /**< Zero. */
} mca_rcache_base_resources_t;

/** Causes of release that figures have room for: more than OPAL_MEM_HOOKS_CAUSE_COUNT, so that new ones fit. */
#define MCA_RCACHE_STATS_CAUSES 16
#define MCA_RCACHE_STATS_LATENCIES 32 /**< Buckets of unpin_ns. */
#define MCA_RCACHE_STATS_SIZES 52     /**< Buckets of sizes. */

/** Figures of one cache. Counts since creation; in a fork child since the fork. In histograms bucket k counts values from
 * 2^k to 2^(k+1) - 1, the last one also those above. */
typedef struct mca_rcache_base_stats_t {
    uint64_t hits;                                   /**< Lookups that were answered from the cache. */
    uint64_t misses;                                 /**< Lookups that had to register, or could not. */
    uint64_t registrations;                          /**< Calls of register_mem that succeeded, or go on. */
    uint64_t deregistrations;                        /**< Calls of deregister_mem. */
    uint64_t evictions;                              /**< Idle registrations dropped for a limit. */
    uint64_t invalidations[MCA_RCACHE_STATS_CAUSES]; /**< Registrations dropped, by cause of release. */
    uint64_t invalidated_in_use;
    uint64_t unpinned_in_hook; /**< Of the invalidated: unpinned before the pages went. */
    uint64_t retries;          /**< Registrations made again, their memory was released meanwhile. */
    uint64_t queue_overflows;  /**< Times when everything was invalidated. */
    size_t count, peak_count;  /**< Registrations now and at most. */
    size_t bytes, peak_bytes;  /**< Pinned now and at most. */
    uint64_t merges;           /**< Registrations that took the place of others they overlap. */
    uint64_t bypasses;         /**< Of the misses: with CACHE_BYPASS, or where nothing is kept. */
    uint64_t provider_errors;  /**< Calls of the provider that failed; not those that evictions cured. */
    uint64_t unpin_ns
        [MCA_RCACHE_STATS_LATENCIES]; /**< Nanoseconds from the release to deregistration; of what was evicted,
                                                    * replaced or registered for one use, from when it was given up. A release
                                                    * that another thread had to handle counts from then on. */
    uint64_t sizes[MCA_RCACHE_STATS_SIZES]; /**< Bytes of the registrations made. */
    uint64_t reserved[5];                   /**< 0. */
} mca_rcache_base_stats_t;

/** Find a registration that covers [addr, addr + size), or make one.
 *
 * @param[in]  addr    First byte; need not be page aligned.
 * @param[in]  size    Bytes; 0 is refused.
 * @param[in]  flags   OR of CACHE_BYPASS, PERSIST, SO_MEM.
 * @param[in]  access_flags  OR of MCA_RCACHE_ACCESS_*; the registration grants at least these.
 * @param[out] reg     One reference, the caller's until rcache_deregister(). Untouched on error.
 * @retval OPAL_SUCCESS              *reg covers the range.
 * @retval OPAL_ERR_BAD_PARAM        size is 0, the range wraps, or a flag is unknown.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  A limit is reached and nothing idle is left to evict.
 * @retval OPAL_ERR_RESOURCE_BUSY    The range is being released again and again.
 * Other codes come from the provider, unchanged.
 * Thread-safe. May block in the provider. Not from hook context.
 */
typedef int (*mca_rcache_base_module_register_fn_t)(mca_rcache_base_module_t *rcache, void *addr, size_t size,
                                                    uint32_t flags, int32_t access_flags,
                                                    mca_rcache_base_registration_t **reg);

/** Give one reference back; any thread may.
 * @retval OPAL_SUCCESS / a code of the provider. Thread-safe. Not from hook context.
 */
typedef int (*mca_rcache_base_module_deregister_fn_t)(mca_rcache_base_module_t *rcache,
                                                      mca_rcache_base_registration_t *reg);

/** Like register, but never registers. *reg gets one reference, or NULL.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND / OPAL_ERR_BAD_PARAM
 */
typedef int (*mca_rcache_base_module_find_fn_t)(mca_rcache_base_module_t *rcache, void *addr, size_t size,
                                                mca_rcache_base_registration_t **reg);

/** Drop every registration that overlaps [addr, addr + size), rounded outwards. Hook context.
 * @retval OPAL_SUCCESS  Those in use go with their last reference.
 */
typedef int (*mca_rcache_base_module_invalidate_range_fn_t)(mca_rcache_base_module_t *rcache, void *addr,
                                                            size_t size);

/** Drop the idle registration that was not used for longest. Not from hook context, but a window may be open on this thread:
 * another cache wants the room. @return false: there is none. */
typedef bool (*mca_rcache_base_module_evict_fn_t)(mca_rcache_base_module_t *rcache);

/** Deregister everything and free the cache. Called once, by mca_rcache_base_module_destroy(): no release callback
 * sees the cache any more.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_RESOURCE_BUSY  References are out: the cache frees itself when the last one is given back. The
 *     component is never unloaded then.
 * Not from hook context.
 */
typedef int (*mca_rcache_base_module_finalize_fn_t)(mca_rcache_base_module_t *rcache);

/** Unpin what only waits for a safe moment. Not from hook context, but a window may be open on this thread. */
typedef void (*mca_rcache_base_module_progress_fn_t)(mca_rcache_base_module_t *rcache);

/** Fill in all figures; what is not counted is 0. Thread-safe. */
typedef void (*mca_rcache_base_module_stats_fn_t)(mca_rcache_base_module_t *rcache,
                                                  mca_rcache_base_stats_t *stats);

/** The library is being finalized, nobody will tell of releases any more: drop everything, and keep nothing from
 * now on. References that are out stay good. Not from hook context, but a window is open on this thread. */
typedef void (*mca_rcache_base_module_stop_fn_t)(mca_rcache_base_module_t *rcache);

/** In a fork child: forget the parent's registrations without touching them, and make locks anew. Hook context. */
typedef void (*mca_rcache_base_module_reset_child_fn_t)(mca_rcache_base_module_t *rcache);

/** Does the cache keep registrations now? Thread-safe. */
typedef bool (*mca_rcache_base_module_is_caching_fn_t)(const mca_rcache_base_module_t *rcache);

typedef struct mca_rcache_block_t mca_rcache_block_t;
typedef struct mca_rcache_found_t mca_rcache_found_t;

/* What rcache_hit.h calls where it has begun, on the thread that has begun; codes, threads and contexts of rcache_register and
 * rcache_deregister. */

/** What a lookup has come to: the address of the registration, which is even; or twice the code, and 1. */
typedef intptr_t mca_rcache_answer_t;

/** Go on with a register of no flags, of the bytes from start to last (inclusive), where the thread remembers nothing that has
 * the last one. The block is the thread's. (The cache comes fourth: it is what the function is done with first.) */
typedef mca_rcache_answer_t (*mca_rcache_base_module_unknown_fn_t)(mca_rcache_block_t *block, uintptr_t start,
                                                                   uintptr_t last,
                                                                   mca_rcache_base_module_t *rcache,
                                                                   int32_t access_flags);

/** Go on with a register of no flags where a reference was counted to a registration that may not be what is wanted: it is
 * handed out, or given back. */
typedef mca_rcache_answer_t (*mca_rcache_base_module_refused_fn_t)(const mca_rcache_found_t *found,
                                                                   uintptr_t start, uintptr_t last,
                                                                   mca_rcache_base_module_t *rcache,
                                                                   int32_t access_flags);

/** Go on with a deregister where the reference was given back, and its registration was over. */
typedef int (*mca_rcache_base_module_returned_fn_t)(mca_rcache_base_module_t *rcache, uint32_t cache_id);

/** A cache, as its users see it: the first member of the component's own structure.
 *
 * Filled in by the component in rcache_init, constant afterwards, but that the base puts empty functions in the place of
 * optional ones that are NULL: users call through this table down to rcache_stats, and none of those is NULL for
 * them. Every module reaches down to rcache_returned; what it lacks after that reads as NULL (the rules of versions are in
 * opal/mca/mca.h).
 */
struct mca_rcache_base_module_t {
    size_t struct_size;         /**< sizeof of this structure, as the component was compiled. Required. */
    const char *component_name; /**< Required: "grdma"; outlives the cache. */
    mca_rcache_base_module_register_fn_t rcache_register;                 /**< Required. */
    mca_rcache_base_module_deregister_fn_t rcache_deregister;             /**< Required. */
    mca_rcache_base_module_find_fn_t rcache_find;                         /**< Required. */
    mca_rcache_base_module_invalidate_range_fn_t rcache_invalidate_range; /**< Required. */
    mca_rcache_base_module_evict_fn_t rcache_evict;       /**< NULL: nothing is ever idle; false for users. */
    mca_rcache_base_module_finalize_fn_t rcache_finalize; /**< Required. */
    mca_rcache_base_module_progress_fn_t rcache_progress; /**< NULL: nothing ever waits. */
    mca_rcache_base_module_stats_fn_t rcache_stats;       /**< NULL: all figures are 0. */

    /* Of opal/mca/rcache/rcache_hit.h alone, and on one line of the processor's cache. Where rcache_unknown is NULL, all
     * lookups go through the functions above. */
    uint64_t
        gate; /**< A lookup goes on where its thread knows just this value. Written by the component at any time,
                       * atomically; a lookup reads it first of all (acquire). */
    uint64_t serial; /**< What the gate is while nothing needs attention; no other cache of this process has it. */
    uintptr_t recent;    /**< Where threads keep their short way to the cache: from the thread pointer, bytes. */
    char *registrations; /**< That with the id n lies n * 2^id_shift bytes on. Constant. */
    mca_rcache_base_module_unknown_fn_t rcache_unknown;
    uint32_t id_shift;                                  /**< Constant. */
    mca_rcache_base_module_refused_fn_t rcache_refused; /* These two may be on the next line. */
    mca_rcache_base_module_returned_fn_t rcache_returned;

    /* From here on the base alone calls, and a component may end the structure before any of them. */
    mca_rcache_base_module_stop_fn_t rcache_stop; /**< NULL: the whole address space is invalidated once. */
    mca_rcache_base_module_reset_child_fn_t rcache_reset_child; /**< NULL: a child uses what it inherited. */
    mca_rcache_base_module_is_caching_fn_t rcache_is_caching;   /**< NULL: as the base has decided. */
};

/* ---- Components -------------------------------------------------------------------------------- */

/** Make a cache.
 *
 * @param[in]  resources  Checked; limits and policy are filled in, cache_name is not NULL. The structure and its
 *     strings are the caller's: what is to be kept has to be copied.
 * @param[in]  user_data  As given to mca_rcache_base_module_create().
 * @param[in]  caching    May the cache keep registrations? Decided by the base (leave_pinned, and whether releases
 *     are noticed). If not, none may outlive its last reference.
 * @param[out] module     The component's, until rcache_finalize. Untouched on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_NOT_AVAILABLE  Not for these resources: another component may serve them. No message.
 * Other codes end the creation; the base prints the code.
 * Called from several threads at once. Not from hook context.
 */
typedef int (*mca_rcache_base_component_init_fn_t)(const mca_rcache_base_resources_t *resources, void *user_data,
                                                   bool caching, mca_rcache_base_module_t **module);

/** A component of the framework "rcache". Its MCA query function returns the priority, and NULL for the module.
 *
 * Caches may be left when the component is closed (the program forgot them): they have been stopped, the component
 * stays loaded, and their functions must go on working.
 */
typedef struct mca_rcache_base_component_2_0_0_t {
    mca_base_component_t rcache_version;
    mca_base_component_data_t rcache_data;
    mca_rcache_base_component_init_fn_t rcache_init; /**< Required. */
} mca_rcache_base_component_2_0_0_t;
typedef mca_rcache_base_component_2_0_0_t mca_rcache_base_component_t;

/** Framework part of a component's initialiser. */
#define MCA_RCACHE_BASE_VERSION_2_0_0 MCA_BASE_VERSION_2_0_0, "rcache", 2, 0, 0

/* ---- For users --------------------------------------------------------------------------------- */

/** Make a cache.
 *
 * @param[in] name       Component, "grdma"; NULL: of those that the variable rcache admits, the one with the highest
 *     priority that takes these resources.
 * @param[in] user_data  Handed to the component; ignored by grdma.
 * @param[in] resources  Copied.
 * @return NULL after a message: library not started or being stopped, no such component or not available (the message
 *     lists what there is, and why each cannot be used), bad resources, no memory, or caching demanded (leave_pinned 1)
 *     where no component notices releases.
 * Whether it keeps registrations is decided here: variable rcache_base_leave_pinned.
 * grdma reserves addresses, not memory: 16777216 times sizeof_reg (or the next power of two), and 130 MiB for each thread that
 * uses the cache and one more. Where the first is more than 64 GiB, or than 1/64 of RLIMIT_AS, or there are not so many, it
 * reserves less; with that number of registrations (1024 at least, those of a fork child's parents included) a new one takes the
 * place of an idle one. They count in what mlockall() compares with RLIMIT_MEMLOCK.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC mca_rcache_base_module_t *mca_rcache_base_module_create(const char *name, void *user_data,
                                                                      mca_rcache_base_resources_t *resources);

/** Deregister everything and free the cache. No reference may be out, no thread inside.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_BAD_PARAM      There is no such cache.
 * @retval OPAL_ERR_RESOURCE_BUSY  References are out: those registrations stay pinned until they are given back, which
 *     any thread may do at any time. Their provider must last as long; what else the cache had is kept for the
 *     next one.
 */
OPAL_DECLSPEC int mca_rcache_base_module_destroy(mca_rcache_base_module_t *module);

/** Unpin, in all caches, what only waits for a safe moment. Thread-safe. Not from hook context. */
OPAL_DECLSPEC void mca_rcache_base_progress(void);

/** Does the cache keep registrations? (leave_pinned, and a component that notices releases.) */
OPAL_DECLSPEC bool mca_rcache_base_is_caching(const mca_rcache_base_module_t *module);

END_C_DECLS

#endif
