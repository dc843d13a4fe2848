/* SPDX-License-Identifier: BSD-3-Clause */
/* Life of a cache: creation, figures, fork, end. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rcache/grdma/grdma.h"

static bool evict(mca_rcache_base_module_t *module)
{
    grdma_reap(grdma_of(module));
    return grdma_evict_one(grdma_of(module));
}

static void progress(mca_rcache_base_module_t *module)
{
    grdma_ending_t ending;
    grdma_lock(grdma_of(module), &ending);
    grdma_unlock(grdma_of(module), &ending);
    grdma_reap(grdma_of(module));
}

static void read_stats(mca_rcache_base_module_t *module, mca_rcache_base_stats_t *stats)
{
    mca_rcache_stats_read(grdma_of(module)->counters, stats);
}

static bool is_caching(const mca_rcache_base_module_t *module)
{
    return atomic_load(&((const grdma_module_t *) module)->caching);
}

void grdma_let_go(grdma_module_t *module, uint32_t count)
{
    if (atomic_fetch_sub(&module->holders, count) != count) {
        return;
    }
    grdma_reap(module);
    pthread_mutex_destroy(&module->lock);
    pthread_mutex_destroy(&module->provider_lock);
    mca_rcache_stats_free_cache(module->counters);
    free(module->name);
    free(module);
}

static int finalize(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_ending_t ending;
    interval_node_t *node;

    atomic_fetch_add(&module->holders, 1); /* Another thread may give the last reference back meanwhile. */
    grdma_reap(module);
    grdma_lock(module, &ending);
    module->closing = true;
    while ((node = module->tree.root) != NULL) {
        grdma_region_t *region = (grdma_region_t *) node;
        grdma_unlink_locked(module, region);
        if (region->refs == 0) {
            region->next = ending.list;
            ending.list = region;
            module->regions--;
        }
    }
    bool empty = module->regions == 0;
    grdma_unlock(module, &ending);
    grdma_let_go(module, empty ? 2 : 1);
    return empty ? OPAL_SUCCESS : OPAL_ERR_RESOURCE_BUSY;
}

static void stop(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_ending_t ending;
    atomic_store(&module->caching, false);
    grdma_lock(module, &ending);
    grdma_invalidate_locked(module, 0, UINTPTR_MAX, OPAL_MEM_HOOKS_CAUSE_UNKNOWN, &ending);
    grdma_unlock(module, &ending);
}

/* What the parent's threads held or had half done is forgotten, not undone: its regions are the parent's, and
 * only their memory is ours to free. */
static void reset_child(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);
    bool sound = pthread_mutex_trylock(&module->lock) == 0; /* Nobody was changing the tree when we were forked. */
    atomic_store(&module->inherited, sound ? module->tree.root : NULL);
    if (sound) {
        pthread_mutex_unlock(&module->lock);
    }
    pthread_mutex_init(&module->lock, NULL);
    pthread_mutex_init(&module->provider_lock, NULL);
    module->tree.root = NULL;
    module->lru_first = module->lru_last = NULL;
    module->regions = 0;
    memset(&module->pending, 0, sizeof(module->pending));
    atomic_store(&module->dead, NULL);
    atomic_store(&module->spent, NULL);
    atomic_store(&module->provider_is_parents, true);
}

static const mca_rcache_base_module_t functions = {
    .struct_size = sizeof(functions),
    .component_name = "grdma",
    .rcache_register = grdma_register,
    .rcache_deregister = grdma_deregister,
    .rcache_find = grdma_find,
    .rcache_invalidate_range = grdma_invalidate_range,
    .rcache_evict = evict,
    .rcache_finalize = finalize,
    .rcache_progress = progress,
    .rcache_stats = read_stats,
    .rcache_stop = stop,
    .rcache_reset_child = reset_child,
    .rcache_is_caching = is_caching,
};

static bool get_counters(grdma_module_t *module, const char *name)
{
    module->counters = mca_rcache_stats_new_cache(name, functions.component_name);
    module->hits = module->counters == NULL ? NULL : mca_rcache_stats_new_thread(module->counters);
    if (module->hits == NULL) {
        mca_rcache_stats_free_cache(module->counters);
    }
    return module->hits != NULL;
}

int grdma_create(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                 mca_rcache_base_module_t **out_module)
{
    (void) user_data;
    grdma_module_t *module = calloc(1, sizeof(*module));
    char *name = strdup(resources->cache_name);
    if (module == NULL || name == NULL || !get_counters(module, name)) {
        free(module);
        free(name);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    module->super = functions;
    module->resources = *resources;
    module->resources.cache_name = module->name = name;
    atomic_init(&module->caching, caching);
    atomic_init(&module->holders, 1);
    module->page_size = (size_t) sysconf(_SC_PAGESIZE);
    pthread_mutex_init(&module->lock, NULL);
    pthread_mutex_init(&module->provider_lock, NULL);
    *out_module = &module->super;
    return OPAL_SUCCESS;
}
