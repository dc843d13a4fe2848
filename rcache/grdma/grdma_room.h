/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits: of a cache, of the process, and of the provider. Whoever finds no room evicts, or waits for what is on its way. */
#ifndef RCACHE_GRDMA_GRDMA_ROOM_H
#define RCACHE_GRDMA_GRDMA_ROOM_H

#include "rcache/base/rcache_limits.h"
#include "rcache/grdma/grdma.h"

/** Of one lookup that finds no room. All zero in the beginning. */
typedef struct grdma_wait_t {
    uint64_t deadline; /**< 0: not set. */
    uint64_t ended_elsewhere;
    unsigned steps, looks;
} grdma_wait_t;

/** Do the cache's own limits admit one more registration? */
bool grdma_fits_locked(const grdma_module_t *module, size_t length);
/** Count one more. @return false: a limit of the process; nothing was counted. */
bool grdma_reserve_locked(grdma_module_t *module, size_t length);
/** Would it fit into an empty cache, in an empty process? */
bool grdma_may_ever_fit(const grdma_module_t *module, size_t length);
/** @return false: it has waited for long enough. Not from hook context. */
bool grdma_wait_a_little(grdma_wait_t *wait);
/** Nothing was idle. @return false: it has been found so often enough. Not from hook context. */
bool grdma_look_again(grdma_wait_t *wait);
/** Evict in other caches of the process. Not from hook context. @return false: nothing is idle there. */
bool grdma_make_process_room(grdma_module_t *module);
/** At a limit of the process: may another attempt do better? Likewise. */
bool grdma_process_may_change_soon(grdma_module_t *module, size_t length);
/** The provider has refused for a limit. Evict, here or where others share that limit, or wait for what is on its way out.
 * @param[in] ended_before  deregistrations, before the provider was asked.
 * @return false: nothing more can be done. Not from hook context. */
bool grdma_make_provider_room(grdma_module_t *module, uint64_t ended_before, grdma_wait_t *wait);

/** What the provider has answered. Every context. */
static inline void grdma_count_error(grdma_module_t *module, int rc)
{
    if (rc != OPAL_SUCCESS) {
        grdma_count(&module->counters->provider_errors, 1);
    }
}

/** So many registrations do not count against the process's limits any more. Every context. */
static inline void grdma_give_room(const grdma_module_t *module, size_t count, size_t bytes)
{
    if (module->accounts != 0) {
        mca_rcache_limits_release(module->accounts, count, bytes);
    }
}

/** Nor do these. Every context. */
void grdma_give_room_of(const grdma_module_t *module, const grdma_list_t *ended);
/** Is one on its way out, that still counts? */
static inline bool grdma_is_any_ending(const grdma_module_t *module)
{
    return atomic_load(&module->ending) != 0 || atomic_load(&module->ending_alone) != 0;
}

/** Is a registration on its way? */
bool grdma_is_any_pinning(const grdma_module_t *module);

#endif
