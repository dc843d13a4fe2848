/* SPDX-License-Identifier: BSD-3-Clause */
/* A miss: make room, make a region visible to hooks, pin it, and be sure that
 * the pages pinned are the ones that are there now. */
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "framework/util/barrier.h"
#include "rcache/grdma/grdma.h"

/* Releases of the same pages that a registration puts up with before it gives up. */
#define MAX_RETRIES 16
/* How long a registration waits for a release in progress over its range: a munmap of
 * hundreds of GiB. A window that stays open longer belongs to a dead vfork child. */
#define WINDOW_WAIT_MS 2000

/* ---- Room --------------------------------------------------------------------------------------- */

bool grdma_evict_one(grdma_module_t *module)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    grdma_region_t *region = module->lru_first;
    if (region != NULL) {
        grdma_unlink_locked(module, region);
        region->next = ending.list;
        ending.list = region;
        module->regions--;
        atomic_fetch_add(&module->counters->evictions, 1);
    }
    grdma_unlock(module, &ending);
    return region != NULL;
}

static bool fits_locked(const grdma_module_t *module, size_t length)
{
    size_t count = atomic_load(&module->counters->count), bytes = atomic_load(&module->counters->bytes);
    return (module->resources.max_count == 0 || count < module->resources.max_count)
           && (module->resources.max_bytes == 0
               || (length <= module->resources.max_bytes && bytes <= module->resources.max_bytes - length));
}

static bool try_reserve(grdma_module_t *module, size_t length)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    bool fits = fits_locked(module, length);
    if (fits) {
        mca_rcache_stats_grow(module->counters, length);
    }
    grdma_unlock(module, &ending);
    return fits;
}

static int reserve(grdma_module_t *module, size_t length)
{
    if (module->resources.max_bytes != 0 && length > module->resources.max_bytes) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    for (;;) {
        if (try_reserve(module, length)) {
            return OPAL_SUCCESS;
        }
        grdma_reap(module);
        if (!grdma_evict_one(module)) {
            return try_reserve(module, length) ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
}

/* ---- The region ---------------------------------------------------------------------------------- */

static grdma_region_t *new_region(grdma_module_t *module, uintptr_t first, uintptr_t last, uint32_t flags,
                                  int32_t access)
{
    grdma_region_t *region = calloc(1, offsetof(grdma_region_t, super) + module->resources.sizeof_reg);
    if (region == NULL) {
        return NULL;
    }
    region->node.first = first;
    region->node.last = last;
    region->length = last - first + 1;
    region->state = GRDMA_PINNING;
    region->generation = opal_fork_generation();
    region->super.rcache = &module->super;
    region->super.base = region->super.alloc_base = (unsigned char *) first;
    region->super.bound = (unsigned char *) last;
    region->super.flags = flags;
    region->super.access_flags = access;
    region->super.cache_private = region;
    return region;
}

/* Make the region visible to hooks. */
static void announce(grdma_module_t *module, grdma_region_t *region)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    __atomic_fetch_and(&region->super.flags, ~(uint32_t) MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
    interval_tree_insert(&module->tree, &region->node);
    region->in_tree = true;
    grdma_unlock(module, &ending);
}

uint64_t grdma_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* Wait until no release of the region's pages is between its callbacks and its system call. */
static bool windows_settle(const grdma_region_t *region)
{
    if (!opal_mem_hooks_window_overlaps(region->node.first, region->length)) {
        return true;
    }
    uint64_t deadline = grdma_now_ms() + WINDOW_WAIT_MS;
    unsigned steps = 0;
    while (opal_mem_hooks_window_overlaps(region->node.first, region->length)) {
        if (steps >= 64 && grdma_now_ms() > deadline) {
            return false;
        }
        wait_step(&steps);
    }
    return true;
}

static int call_provider(grdma_module_t *module, grdma_region_t *region)
{
    const mca_rcache_base_resources_t *resources = &module->resources;
    int rc;
    while ((rc = resources->register_mem(resources->reg_data, region->super.base, region->length, &region->super))
           == OPAL_ERR_OUT_OF_RESOURCE) {
        grdma_reap(module);
        if (!grdma_evict_one(module)) {
            break;
        }
    }
    if (rc == OPAL_SUCCESS) {
        mca_rcache_stats_registered(module->counters, region->length);
    } else {
        mca_rcache_stats_add(&module->counters->provider_errors, 1);
    }
    return rc;
}

static bool is_contained_and_weaker(const interval_node_t *node, void *arg)
{
    const grdma_region_t *region = (const grdma_region_t *) node, *newer = arg;
    return region != newer && region->state == GRDMA_READY && region->refs == 0
           && (region->super.flags & MCA_RCACHE_FLAGS_PERSIST) == 0
           && (region->super.access_flags & ~newer->super.access_flags) == 0;
}

/* Idle regions that the new one covers would only stay pinned for nothing. */
static void supersede_locked(grdma_module_t *module, grdma_region_t *region, grdma_ending_t *ending)
{
    interval_node_t *node;
    while ((node = interval_tree_inside(&module->tree, region->node.first, region->node.last,
                                        is_contained_and_weaker, region))
           != NULL) {
        grdma_region_t *old = (grdma_region_t *) node;
        grdma_unlink_locked(module, old);
        old->next = ending->list;
        ending->list = old;
        module->regions--;
        mca_rcache_stats_add(&module->counters->merges, 1);
    }
}

/* The region is pinned: hand it out, unless its memory was released meanwhile. */
static bool make_ready(grdma_module_t *module, grdma_region_t *region, bool settled)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    bool good = !grdma_is_invalid(region);
    if (good) {
        region->state = GRDMA_READY;
        region->refs = 1;
        module->regions++;
        if (!settled) { /* Good for this caller, whose own bytes are not being released; not for a later one. */
            grdma_unlink_locked(module, region);
            __atomic_fetch_or(&region->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELEASE);
        } else if (region->in_tree) {
            supersede_locked(module, region, &ending);
        }
    }
    grdma_unlock(module, &ending);
    return good;
}

static void withdraw(grdma_module_t *module, grdma_region_t *region)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    grdma_unlink_locked(module, region);
    grdma_unlock(module, &ending);
}

static void unwatch(grdma_region_t *region)
{
    if (region->watched) {
        opal_memory_base_unwatch(region->super.base, region->length, &region->super.watch);
        region->watched = false;
    }
}

/* Watching must begin before pinning: what happens from then on is known. */
static int watch(grdma_region_t *region)
{
    region->super.watch.cookie = opal_memory_base_new_cookie() | UINT64_C(1) << 63;
    int rc = opal_memory_base_watch(region->super.base, region->length, &region->super.watch);
    region->watched = rc == OPAL_SUCCESS;
    return rc;
}

/* One attempt. OPAL_ERR_RESOURCE_BUSY: the memory was released meanwhile. */
static int pin_once(grdma_module_t *module, grdma_region_t *region)
{
    bool settled = true;
    if ((region->super.flags & MCA_RCACHE_FLAGS_CACHE_BYPASS) == 0) {
        announce(module, region);
        settled = windows_settle(region) && watch(region) == OPAL_SUCCESS;
    }
    int rc = call_provider(module, region);
    if (grdma_is_inherited(region)) {
        return OPAL_ERR_NOT_AVAILABLE; /* Forked in the middle, and this is the child: the region is the parent's. */
    }
    if (rc == OPAL_SUCCESS && !make_ready(module, region, settled)) {
        module->resources.deregister_mem(module->resources.reg_data, &region->super);
        atomic_fetch_add(&module->counters->deregistrations, 1);
        atomic_fetch_add(&module->counters->retries, 1);
        rc = OPAL_ERR_RESOURCE_BUSY;
    }
    if (rc != OPAL_SUCCESS) {
        withdraw(module, region);
        unwatch(region);
    }
    return rc;
}

int grdma_pin(grdma_module_t *module, uintptr_t first, uintptr_t last, uint32_t flags, int32_t access,
              mca_rcache_base_registration_t **reg)
{
    size_t length = last - first + 1;
    int rc = reserve(module, length);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    grdma_region_t *region = new_region(module, first, last, flags, access);
    rc = region == NULL ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_ERR_RESOURCE_BUSY;
    for (int attempt = 0; rc == OPAL_ERR_RESOURCE_BUSY && attempt < MAX_RETRIES; attempt++) {
        rc = pin_once(module, region);
    }
    if (rc != OPAL_SUCCESS) {
        if (region == NULL || !grdma_is_inherited(region)) {
            mca_rcache_stats_shrink(module->counters, length);
            free(region);
        }
        return rc;
    }
    *reg = &region->super;
    return OPAL_SUCCESS;
}
