/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes a region visible to hooks, pins it, and is sure that the pages pinned are the ones that are there now. */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "framework/memory/memory_base.h"
#include "framework/util/barrier.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_room.h"
#include "rcache/grdma/grdma_self.h"

/* Releases of the same pages that a registration puts up with before it gives up. */
#define MAX_RETRIES 16
/* How long a registration waits for a release in progress over its range: a munmap of
 * hundreds of GiB. A window that stays open longer belongs to a dead vfork child. */
#define WINDOW_WAIT_MS 2000

uint64_t grdma_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* ---- The region ----------------------------------------------------------------------------------- */

#define COOKIES 1024 /* Taken at once from those of the process. */

static uint64_t new_cookie_locked(grdma_module_t *module)
{
    if (module->cookies_left == 0) {
        module->cookie = opal_memory_base_new_cookies(COOKIES) | UINT64_C(1) << 63;
        module->cookies_left = COOKIES;
    }
    module->cookies_left--;
    return module->cookie++;
}

void grdma_fill_in(grdma_module_t *module, uint32_t id, const grdma_wish_t *wish)
{
    mca_rcache_base_registration_t *reg = &grdma_at(module, id)->super;

    reg->rcache = &module->super;
    /* These are read of any region, by whoever learns hints (grdma_learn.c). */
    __atomic_store_n(&reg->base, (unsigned char *) wish->first, __ATOMIC_RELAXED);
    __atomic_store_n(&reg->bound, (unsigned char *) wish->last, __ATOMIC_RELAXED);
    reg->access_flags = wish->access;
    reg->cache_id = id;
    reg->watch.cookie = new_cookie_locked(module);
    if (module->resources.sizeof_reg != sizeof(*reg)) {
        memset(reg + 1, 0, module->resources.sizeof_reg - sizeof(*reg));
    }
    __atomic_store_n(&reg->flags,
                     wish->flags | mca_rcache_flags_lacking(~wish->access & MCA_RCACHE_ACCESS_ANY) | GRDMA_PINNING,
                     __ATOMIC_RELAXED);
}

static bool is_cached(const grdma_region_t *region)
{
    return (grdma_flags(region) & MCA_RCACHE_FLAGS_CACHE_BYPASS) == 0;
}

/* Make the region visible to hooks: before, its flags are the maker's alone. The compiler is not to store them later. */
void grdma_announce_locked(grdma_module_t *module, uint32_t id)
{
    grdma_region_t *region = grdma_at(module, id);

    __atomic_store_n(&region->super.flags, (grdma_flags(region) | GRDMA_INDEXED) & ~MCA_RCACHE_FLAGS_INVALID,
                     __ATOMIC_RELAXED);
    interval_index_insert(&module->index, grdma_first_page(module, region), grdma_last_page(module, region), id);
    grdma_filter_add_locked(module, region);
}

/* Wait until no release of the region's pages is between its callbacks and its system call. */
static bool windows_settle(const grdma_region_t *region)
{
    if (!opal_mem_hooks_window_overlaps(grdma_first(region), grdma_length(region))) {
        return true;
    }
    uint64_t deadline = grdma_now_ms() + WINDOW_WAIT_MS;
    unsigned steps = 0;
    while (opal_mem_hooks_window_overlaps(grdma_first(region), grdma_length(region))) {
        if (steps >= 64 && grdma_now_ms() > deadline) {
            return false;
        }
        wait_step(&steps);
    }
    return true;
}

static int call_provider(grdma_module_t *module, grdma_region_t *region, bool may_evict)
{
    const mca_rcache_base_resources_t *resources = &module->resources;
    grdma_wait_t wait = { 0 };
    uint64_t ended;
    int rc;
    do {
        ended = atomic_load(&module->counters->deregistrations);
        rc =
            resources->register_mem(resources->reg_data, region->super.base, grdma_length(region), &region->super);
    } while (rc == OPAL_ERR_OUT_OF_RESOURCE && may_evict && grdma_make_provider_room(module, ended, &wait));
    return rc;
}

/* What is to be done with what the active components watch: asked at each hit, unwatched. */
static uint32_t duties(void)
{
    uint32_t flags = 0;

    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        const opal_memory_base_active_t *active = &opal_memory_base_active[i];
        const opal_memory_base_module_t *module = active->module;

        if (module != NULL && (module->flags & OPAL_MEMORY_MODULE_SLOW_VALID) != 0) {
            flags |= GRDMA_ASK;
        }
        if ((module != NULL && module->unwatch != NULL)
            || active->component->memoryc_deregister != opal_memory_base_component_deregister_empty) {
            flags |= GRDMA_WATCHED;
        }
    }
    return flags;
}

/* Watching must begin before pinning: what happens from then on is known. */
static bool watch(grdma_region_t *region, uint32_t *flags)
{
    if (opal_memory_base_watch(region->super.base, grdma_length(region), &region->super.watch) != OPAL_SUCCESS) {
        return false;
    }
    *flags = duties() | (opal_memory_base_is_told(&region->super.watch) ? GRDMA_TOLD : 0);
    return true;
}

/* The region is pinned: hand it out, unless its memory was released meanwhile. The maker's reference is counted before
 * anybody else can find, or end, the region. */
static bool make_ready(const grdma_module_t *module, grdma_region_t *region, grdma_block_t *block,
                       uint32_t watched)
{
    grdma_count_t *count = grdma_count_of(block, region->super.cache_id);
    uint32_t flags = grdma_flags(region);

    grdma_take(count);
    __atomic_store_n(&region->super.cache_word, grdma_gets(module, region->super.cache_id), __ATOMIC_RELAXED);
    while ((flags & MCA_RCACHE_FLAGS_INVALID) == 0) {
        if (__atomic_compare_exchange_n(&region->super.flags, &flags, (flags & ~GRDMA_PINNING) | watched, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return true;
        }
    }
    grdma_put(count);
    return false;
}

static void withdraw(grdma_module_t *module, grdma_region_t *region, bool was_pinned)
{
    grdma_lock(module);
    grdma_unindex_locked(module, region);
    if (was_pinned) {
        grdma_count_registration_locked(module, grdma_length(region), 1);
        grdma_add_locked(&module->counters->deregistrations, 1);
        grdma_add_locked(&module->counters->retries, 1);
    }
    grdma_unlock(module);
}

/* A release of its pages never ends: good for this caller, whose own bytes are not being released; not for a later one. */
static void make_used_once(grdma_module_t *module, grdma_region_t *region)
{
    withdraw(module, region, false);
    __atomic_fetch_and(&region->super.flags, ~MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
    __atomic_fetch_or(&region->super.flags, MCA_RCACHE_FLAGS_CACHE_BYPASS, __ATOMIC_RELAXED);
}

/* One attempt. OPAL_ERR_RESOURCE_BUSY: the memory was released meanwhile. */
static int pin_once(grdma_module_t *module, grdma_region_t *region, grdma_block_t *block, bool may_evict)
{
    uint32_t watched = 0;
    bool was_released = false;

    if (is_cached(region) && (!windows_settle(region) || !watch(region, &watched))) {
        make_used_once(module, region);
    }
    int rc = call_provider(module, region, may_evict);
    if (grdma_is_inherited(module, region->super.cache_id)) {
        return OPAL_ERR_NOT_AVAILABLE; /* Forked in the middle, and this is the child: the region is the parent's. */
    }
    grdma_count_error(module, rc);
    if (rc == OPAL_SUCCESS && !make_ready(module, region, block, watched)) {
        grdma_count_error(module, module->resources.deregister_mem(module->resources.reg_data, &region->super));
        rc = OPAL_ERR_RESOURCE_BUSY;
        was_released = true;
    }
    if (rc != OPAL_SUCCESS) {
        withdraw(module, region, was_released);
        if ((watched & GRDMA_WATCHED) != 0) {
            opal_memory_base_unwatch(region->super.base, grdma_length(region), &region->super.watch);
        }
    }
    return rc;
}

/* Others may have used the room in the index since the region left it. @return false: no memory. */
static bool announce_again(grdma_module_t *module, grdma_region_t *region)
{
    bool has_room;

    do {
        grdma_lock(module);
        has_room = interval_index_lacks(&module->index) == 0;
        if (has_room) {
            region->super.watch.cookie = new_cookie_locked(module);
            grdma_announce_locked(module, region->super.cache_id);
        }
        grdma_unlock(module);
    } while (!has_room && grdma_grow(module) == OPAL_SUCCESS);
    return has_room;
}

/* ---- Idle regions that the new one covers would only stay pinned for nothing ---------------------- */

typedef struct cover_t {
    grdma_module_t *module;
    const grdma_region_t *newer;
} cover_t;

static bool is_covered(uint32_t id, void *arg)
{
    const cover_t *cover = arg;
    const grdma_region_t *region = grdma_at(cover->module, id);
    return region != cover->newer && (grdma_flags(region) & GRDMA_KEPT) == 0
           && (region->super.access_flags & ~cover->newer->super.access_flags) == 0
           && grdma_is_idle(cover->module, id);
}

static void supersede(grdma_module_t *module, const grdma_region_t *region)
{
    cover_t cover = { module, region };
    grdma_batch_t batch;
    uint32_t id;

    grdma_lock(module);
    grdma_batch_begin_locked(module, false, &batch);
    while ((id = interval_index_inside(&module->index, grdma_first_page(module, region),
                                       grdma_last_page(module, region), is_covered, &cover))
           != 0) {
        grdma_region_t *old = grdma_at(module, id);
        interval_index_remove(&module->index, grdma_first_page(module, old), grdma_last_page(module, old), id);
        grdma_retire_locked(module, id, &batch);
        grdma_add_locked(&module->counters->merges, 1);
    }
    grdma_batch_attend_locked(module, &batch);
    grdma_leave(module, &batch.idle);
    grdma_unlock(module);
    grdma_reap(module);
}

/* ---- All of it ------------------------------------------------------------------------------------ */

int grdma_pin(grdma_module_t *module, grdma_region_t *region, grdma_block_t *block, bool has_neighbours,
              bool may_evict)
{
    int rc = pin_once(module, region, block, may_evict);

    for (int attempt = 1; rc == OPAL_ERR_RESOURCE_BUSY && attempt < MAX_RETRIES; attempt++) {
        rc =
            announce_again(module, region) ? pin_once(module, region, block, may_evict) : OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (rc == OPAL_SUCCESS && is_cached(region)) {
        grdma_hint_learn(module, grdma_first(region), region->super.cache_id);
        if (has_neighbours) {
            supersede(module, region);
        }
    }
    return rc;
}
