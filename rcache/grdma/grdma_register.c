/* SPDX-License-Identifier: BSD-3-Clause */
/* Lookups, and giving references back. */
#include "rcache/grdma/grdma.h"

#include <stdlib.h>

#include "framework/util/barrier.h"
#include "framework/util/fork.h"

/* How long a registration at a limit waits for others that are on their way. */
#define LIMIT_WAIT_MS 1000

#define KNOWN_FLAGS (MCA_RCACHE_FLAGS_CACHE_BYPASS | MCA_RCACHE_FLAGS_PERSIST | MCA_RCACHE_FLAGS_SO_MEM)

static int page_range(const grdma_module_t *module, const void *addr, size_t size, uintptr_t *first,
                      uintptr_t *last)
{
    uintptr_t mask = module->page_size - 1, start = (uintptr_t) addr;
    if (size == 0 || size - 1 > UINTPTR_MAX - start || ((start & ~mask) == 0 && (start + (size - 1)) > ~mask)) {
        return OPAL_ERR_BAD_PARAM;
    }
    *first = start & ~mask;
    *last = (start + (size - 1)) | mask;
    return OPAL_SUCCESS;
}

/* ---- Lookup ------------------------------------------------------------------------------------- */

static bool grants(const interval_node_t *node, void *arg)
{
    const grdma_region_t *region = (const grdma_region_t *) node;
    const int32_t access = *(const int32_t *) arg;
    return region->state == GRDMA_READY && (region->super.access_flags & access) == access;
}

/* A good region that contains the range, with one more reference. */
static grdma_region_t *search_locked(grdma_module_t *module, uintptr_t first, uintptr_t last, int32_t access,
                                     grdma_ending_t *ending)
{
    grdma_region_t *region;
    while ((region = (grdma_region_t *) interval_tree_containing(&module->tree, first, last, grants, &access))
           != NULL) {
        if (opal_memory_watch_holds(&region->super.watch)) {
            region->refs++;
            grdma_lru_remove_locked(module, region);
            return region;
        }
        grdma_drop_locked(module, region, OPAL_MEM_HOOKS_CAUSE_KERNEL, true, ending);
    }
    return NULL;
}

/* A component says that the pages are not those that were watched: give the lookup's reference back, and drop. */
static void give_up_hit(grdma_module_t *module, grdma_region_t *region)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    region->refs--;
    if (region->in_tree) {
        grdma_drop_locked(module, region, OPAL_MEM_HOOKS_CAUSE_KERNEL, true, &ending);
    } else if (region->refs == 0) {
        region->next = ending.list;
        ending.list = region;
        module->regions--;
    }
    grdma_unlock(module, &ending);
}

static grdma_region_t *lookup(grdma_module_t *module, uintptr_t first, uintptr_t last, int32_t access)
{
    for (;;) {
        grdma_ending_t ending;
        grdma_lock(module, &ending);
        grdma_region_t *region = search_locked(module, first, last, access, &ending);
        grdma_unlock(module, &ending);
        if (region == NULL || opal_memory_base_valid(region->super.base, region->length, &region->super.watch)) {
            return region;
        }
        give_up_hit(module, region);
    }
}

static void use_provider_anew(grdma_module_t *module)
{
    pthread_mutex_lock(&module->provider_lock);
    if (atomic_load(&module->provider_is_parents)) {
        if (module->resources.after_fork != NULL) {
            module->resources.after_fork(module->resources.reg_data);
        }
        atomic_store(&module->provider_is_parents, false);
    }
    pthread_mutex_unlock(&module->provider_lock);
}

/* Before every call from outside hooks. */
static void prepare(grdma_module_t *module)
{
    opal_fork_check();
    if (atomic_load_explicit(&module->provider_is_parents, memory_order_relaxed)) {
        use_provider_anew(module);
    }
    grdma_reap(module);
}

static bool weaker(const interval_node_t *node, void *arg)
{
    const grdma_region_t *region = (const grdma_region_t *) node;
    (void) arg;
    return region->state == GRDMA_READY && (region->super.flags & MCA_RCACHE_FLAGS_PERSIST) == 0;
}

/* What a miss is going to register. */
struct wish {
    uintptr_t first, last;
    int32_t access;
};

/* If a registration would do but for its rights, the new one covers it, with the rights of both. */
static struct wish widen(grdma_module_t *module, struct wish wish)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    const grdma_region_t *region =
        (const grdma_region_t *) interval_tree_containing(&module->tree, wish.first, wish.last, weaker, NULL);
    if (region != NULL) {
        wish = (struct wish){ region->node.first, region->node.last, wish.access | region->super.access_flags };
    }
    grdma_unlock(module, &ending);
    return wish;
}

static int miss(grdma_module_t *module, struct wish exact, uint32_t flags, mca_rcache_base_registration_t **reg)
{
    atomic_fetch_add_explicit(&module->counters->misses, 1, memory_order_relaxed);
    if ((flags & MCA_RCACHE_FLAGS_CACHE_BYPASS) != 0) {
        mca_rcache_stats_add(&module->counters->bypasses, 1);
    } else {
        struct wish wide = widen(module, exact);
        /* Neither the limits nor the memory may allow the wider one. */
        if ((wide.first != exact.first || wide.last != exact.last || wide.access != exact.access)
            && grdma_pin(module, wide.first, wide.last, flags, wide.access, reg) == OPAL_SUCCESS) {
            return OPAL_SUCCESS;
        }
    }
    return grdma_pin(module, exact.first, exact.last, flags, exact.access, reg);
}

static bool grants_soon(const interval_node_t *node, void *arg)
{
    const grdma_region_t *region = (const grdma_region_t *) node;
    const int32_t access = *(const int32_t *) arg;
    return (region->super.access_flags & access) == access;
}

/* At a limit: may another attempt do better? Somebody registers, or has just registered, what would do; or a
 * registration that counts is on its way in or out, or has gone since there were `before`. */
static bool may_change_soon(grdma_module_t *module, struct wish wish, size_t before)
{
    grdma_ending_t ending;
    grdma_lock(module, &ending);
    bool soon = interval_tree_containing(&module->tree, wish.first, wish.last, grants_soon, &wish.access) != NULL
                || atomic_load(&module->counters->count) > module->regions
                || atomic_load(&module->counters->count) < before;
    grdma_unlock(module, &ending);
    return soon;
}

static bool try_find(grdma_module_t *module, struct wish wish, mca_rcache_base_registration_t **reg)
{
    grdma_region_t *region = lookup(module, wish.first, wish.last, wish.access);
    if (region == NULL) {
        return false;
    }
    atomic_fetch_add_explicit(&module->hits->hits, 1, memory_order_relaxed);
    *reg = &region->super;
    return true;
}

/* A hit, or a miss that is registered. */
static int find_or_pin(grdma_module_t *module, struct wish wish, uint32_t flags,
                       mca_rcache_base_registration_t **reg)
{
    uint64_t deadline = 0;
    unsigned steps = 0;
    for (;;) {
        if (try_find(module, wish, reg)) {
            return OPAL_SUCCESS;
        }
        size_t before = atomic_load(&module->counters->count);
        int rc = miss(module, wish, flags, reg);
        if (rc != OPAL_ERR_OUT_OF_RESOURCE || !may_change_soon(module, wish, before)) {
            return rc;
        }
        uint64_t now = grdma_now_ms();
        deadline = deadline == 0 ? now + LIMIT_WAIT_MS : deadline;
        if (now >= deadline) {
            return rc;
        }
        wait_step(&steps);
    }
}

int grdma_register(mca_rcache_base_module_t *base_module, void *addr, size_t size, uint32_t flags, int32_t access,
                   mca_rcache_base_registration_t **reg)
{
    grdma_module_t *module = grdma_of(base_module);
    struct wish wish = { .access = access };
    int rc = page_range(module, addr, size, &wish.first, &wish.last);
    if (rc != OPAL_SUCCESS || (flags & ~(uint32_t) KNOWN_FLAGS) != 0 || (access & ~MCA_RCACHE_ACCESS_ANY) != 0) {
        return OPAL_ERR_BAD_PARAM;
    }
    prepare(module);
    if (!atomic_load_explicit(&module->caching, memory_order_relaxed) || opal_memory_base_sync() != OPAL_SUCCESS) {
        flags |= MCA_RCACHE_FLAGS_CACHE_BYPASS;
    }
    if ((flags & (MCA_RCACHE_FLAGS_CACHE_BYPASS | MCA_RCACHE_FLAGS_PERSIST)) != 0) {
        return miss(module, wish, flags, reg);
    }
    return find_or_pin(module, wish, flags, reg);
}

int grdma_find(mca_rcache_base_module_t *base_module, void *addr, size_t size,
               mca_rcache_base_registration_t **reg)
{
    grdma_module_t *module = grdma_of(base_module);
    uintptr_t first, last;
    int rc = page_range(module, addr, size, &first, &last);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    prepare(module);
    grdma_region_t *region = opal_memory_base_sync() == OPAL_SUCCESS ? lookup(module, first, last, 0) : NULL;
    *reg = region == NULL ? NULL : &region->super;
    return region == NULL ? OPAL_ERR_NOT_FOUND : OPAL_SUCCESS;
}

/* ---- Giving back -------------------------------------------------------------------------------- */

/* The last reference is gone: keep the region, or end it. */
static void become_idle_locked(grdma_module_t *module, grdma_region_t *region, grdma_ending_t *ending)
{
    uint32_t flags = __atomic_load_n(&region->super.flags, __ATOMIC_RELAXED);
    if (region->in_tree && (flags & MCA_RCACHE_FLAGS_PERSIST) != 0 && !module->closing) {
        return;
    }
    if (region->in_tree && !module->closing) {
        grdma_lru_append_locked(module, region);
        return;
    }
    grdma_unlink_locked(module, region);
    region->next = ending->list;
    ending->list = region;
    module->regions--;
}

int grdma_deregister(mca_rcache_base_module_t *base_module, mca_rcache_base_registration_t *reg)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_region_t *region = grdma_region_of(reg);
    grdma_ending_t ending, own = { NULL };

    if (grdma_is_inherited(region)) {
        return OPAL_SUCCESS; /* The cache's lock may be inherited too, if it was destroyed before the fork. */
    }
    atomic_fetch_add(&module->holders, 1);
    prepare(module);
    grdma_lock(module, &ending);
    if (--region->refs == 0) {
        become_idle_locked(module, region, &own);
    }
    bool last = module->closing && own.list != NULL && module->regions == 0;
    grdma_unlock(module, &ending);
    int rc = grdma_end(module, own.list);
    grdma_let_go(module, last ? 2 : 1);
    return rc;
}
