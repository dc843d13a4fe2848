/* SPDX-License-Identifier: BSD-3-Clause */
/* Base of the registration caches: creation, the list of caches, and the
 * release callback that all of them share. */
#ifndef RCACHE_BASE_RCACHE_BASE_H
#define RCACHE_BASE_RCACHE_BASE_H

#include <stddef.h>

#include "opal/mca/rcache/rcache.h"

/** What becomes of an idle registration that a new one overlaps. */
typedef enum mca_rcache_overlap_t {
    MCA_RCACHE_OVERLAP_COEXIST, /**< Both stay. The default: docs/rcache-overlaps.md. */
    MCA_RCACHE_OVERLAP_MERGE    /**< The union takes the place of both. */
} mca_rcache_overlap_t;

/** Values of the variables rcache_base_*; constant between open and close. */
typedef struct mca_rcache_base_settings_t {
    int leave_pinned; /**< -1 auto, 0, 1. */
    bool unsafe;
    size_t max_count; /**< 0: no limit. */
    size_t max_bytes;
    size_t process_max_count; /**< Of all caches together; 0: no limit. */
    size_t process_max_bytes;
    bool system_limits; /**< Heed RLIMIT_MEMLOCK and the cgroup? */
    int overlap;        /**< mca_rcache_overlap_t. */
    int in_use_policy;  /**< mca_rcache_in_use_policy_t. */
    bool stats_page;    /**< May others read the figures? */
    bool helper;        /**< A thread that unpins? */
} mca_rcache_base_settings_t;
extern mca_rcache_base_settings_t mca_rcache_base_settings;

/** Is there such a member in the table of this module, which may be shorter than ours, and is it not NULL?
 * Members down to rcache_stats are always there. */
#define MCA_RCACHE_BASE_HAS(module, member)                                                         \
    ((module)->struct_size >= offsetof(mca_rcache_base_module_t, member) + sizeof((module)->member) \
     && (module)->member != NULL)

/** Register variables, find and start components. @retval Codes of mca_base_framework_open(). */
int mca_rcache_base_open(void);

/** Stop all caches, stop listening, release the components. @retval OPAL_SUCCESS / OPAL_ERR_RESOURCE_BUSY: caches are left. */
int mca_rcache_base_close(void);

/** Hear of releases from now on; codes of opal_mem_hooks_register_release(). Thread-safe. */
int mca_rcache_base_listen(void);

/** In a fork child: every cache becomes empty. Hook context. */
void mca_rcache_base_reset_child(void);

/* ---- Components (rcache_base_component.c) --------------------------------------------------------- */

/** Part of mca_rcache_base_open(). */
int mca_rcache_base_open_components(void);
void mca_rcache_base_close_components(void);

/** A cache that a component is asked for. */
typedef struct mca_rcache_base_order_t {
    const char *name; /**< Of the component, or NULL: the first that takes it. */
    const mca_rcache_base_resources_t *resources;
    void *user_data;
    bool caching;
} mca_rcache_base_order_t;

/** Let a component make a cache, and show it to hooks.
 *
 * @param[out] module  Sound: its table may be used as rcache.h says. Untouched on error.
 * @return OPAL_SUCCESS, or a code after a message. Thread-safe.
 */
int mca_rcache_base_make(const mca_rcache_base_order_t *order, mca_rcache_base_module_t **module);

#endif
