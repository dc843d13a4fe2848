/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of all caches. Hooks read it without a lock; an entry is taken
 * before its cache is made, and given back after the cache has ended, so that
 * the end of the library knows which components something may still call. */
#ifndef RCACHE_BASE_RCACHE_BASE_LIST_H
#define RCACHE_BASE_RCACHE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "framework/base/base_internal.h"
#include "opal/mca/rcache/rcache.h"

/** Place of one cache in the list; opaque, never freed. */
typedef struct mca_rcache_entry_t mca_rcache_entry_t;

/** Chooses the component of a new cache; under the list's lock: it calls nothing. @return NULL: none. */
typedef mca_base_component_item_t *(*mca_rcache_list_pick_fn_t)(void *arg);

/** Open the list to new caches; called with the components in place. */
void mca_rcache_list_open(void);

/** Close it: every component of which a cache is left, or just being made or destroyed, is marked to be kept. Waits
 * for mca_rcache_list_while_open(). @return Number of caches left. */
size_t mca_rcache_list_close(void);

/** Call look while the list is open: the components, the settings and what is said about them stay as they are meanwhile.
 * It prints nothing and takes no lock of a user's. @return false: the list is closed, look was not called. */
bool mca_rcache_list_while_open(void (*look)(void *arg), void *arg);

/** Take an entry for a cache of the component that pick chooses.
 *
 * @param[out] component  The one that was chosen; stays loaded until the entry is given back.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_NOT_FOUND         pick has returned NULL, or the list is closed.
 * @retval OPAL_ERR_OUT_OF_RESOURCE   No memory.
 */
int mca_rcache_list_take(mca_rcache_list_pick_fn_t pick, void *arg, mca_rcache_entry_t **entry,
                         const mca_rcache_base_component_t **component);

/** Show the cache, which registers with the provider of reg_data, to hooks. @return false: the list was closed since the entry was taken, and nobody would tell the cache
 * of releases; it is not shown. */
bool mca_rcache_list_publish(mca_rcache_entry_t *entry, mca_rcache_base_module_t *module, bool caching,
                             const void *reg_data);

/** Hide it from them again. @return Its entry, or NULL: there is no such cache. */
mca_rcache_entry_t *mca_rcache_list_hide(const mca_rcache_base_module_t *module);

/** The cache has ended, or was never made. keep: something may still call its component. */
void mca_rcache_list_give_back(mca_rcache_entry_t *entry, bool keep);

/** What was said at mca_rcache_list_publish(); false for a cache that is not in the list. */
bool mca_rcache_list_is_caching(const mca_rcache_base_module_t *module);

/** Call visit for each cache that can be seen. One that is made meanwhile has nothing registered yet, and looks at open windows.
 * Hook context, if visit allows that. */
void mca_rcache_list_visit(void (*visit)(mca_rcache_base_module_t *module, void *arg), void *arg);

/** Likewise for the caches with that provider. Inside a dispatch, so that none of them ends meanwhile. */
void mca_rcache_list_visit_of(const void *reg_data, void (*visit)(mca_rcache_base_module_t *module, void *arg),
                              void *arg);

/** In a fork child: nobody is changing the list. Hook context. */
void mca_rcache_list_reset_child(void);

#endif
