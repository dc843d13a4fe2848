/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches that were destroyed with references out: their memory serves one cache after the other, and regions that are still
 * out belong to none of them. How is told in grdma_left.c. */
#ifndef RCACHE_GRDMA_GRDMA_LEFT_H
#define RCACHE_GRDMA_GRDMA_LEFT_H

#include <stdatomic.h>

#include "opal/mca/rcache/rcache.h"

typedef struct grdma_module_t grdma_module_t;
typedef struct grdma_list_t grdma_list_t;

/** What it takes to end a region whose cache is no more. Under the lock of the cache that has its memory. */
typedef struct grdma_origin_t {
    int (*deregister_mem)(void *reg_data, mca_rcache_base_registration_t *reg);
    void *reg_data;
    uint32_t accounts; /**< As in the module. */
    uint32_t regions;  /**< That are still registered; 0: the place is free. */
} grdma_origin_t;

/** In a module. */
typedef struct grdma_left_t {
    grdma_module_t *next; /**< Constant once it is in the list. */
    bool is_in_list;      /**< For good. Of the thread that makes or destroys the cache. */
    atomic_bool is_free;  /**< No cache has the module. */
} grdma_left_t;

/** Nobody uses the cache any more, but to give references back: at any time. */
void grdma_leave_behind(grdma_module_t *module);
/** A module of these for a new cache, its constants set as by `set`; NULL: none will do. Not from hook context. */
grdma_module_t *grdma_take_left(const mca_rcache_base_resources_t *resources,
                                void (*set)(grdma_module_t *module, const mca_rcache_base_resources_t *resources));
/** Take the orphans out of a list of regions to be ended, and have their providers deregister them. Not from hook context.
 * @param[out]    orphans  What was taken out: unwatched next, then grdma_account_orphans_locked().
 * @param[in,out] result   The first error stays.
 * @return false: forked in the middle, and this is the child. */
bool grdma_end_orphans(grdma_module_t *module, grdma_list_t *idle, grdma_list_t *orphans, int *result);
void grdma_account_orphans_locked(grdma_module_t *module, grdma_list_t *orphans);
/** In a fork child, for those that no cache has. Hook context. */
void grdma_left_reset_child(void);

#endif
