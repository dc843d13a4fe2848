/* SPDX-License-Identifier: BSD-3-Clause */
/* Life of a cache: creation, figures, fork, end. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rcache/base/rcache_base.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

static bool evict(mca_rcache_base_module_t *module)
{
    grdma_reap_all(grdma_of(module));
    return grdma_evict(grdma_of(module), true);
}

static void progress(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);

    opal_memory_base_sync();
    if (atomic_load(grdma_gate(module)) != module->super.serial || atomic_load(&module->spent) != 0
        || atomic_load(&module->limbo_returned) != 0) {
        grdma_lock(module);
        grdma_unlock(module);
        grdma_reap_due(module);
    }
    if (atomic_load(&module->limbo_returned) != 0) {
        mca_rcache_helper_wake(); /* It looks until that is due. */
    }
}

static void read_stats(mca_rcache_base_module_t *base_module, mca_rcache_base_stats_t *stats)
{
    mca_rcache_stats_read(grdma_of(base_module)->counters, stats);
}

static bool is_caching(const mca_rcache_base_module_t *module)
{
    return (atomic_load(grdma_gate((const grdma_module_t *) (const void *) module)) & GRDMA_ATTENTION_DEAF) == 0;
}

/* ---- The end ------------------------------------------------------------------------------------- */

static void free_module(grdma_module_t *module)
{
    grdma_blocks_free(module);
    grdma_common_free(module);
    grdma_makers_free(module);
    grdma_regions_free(module);
    grdma_hints_free(atomic_load(&module->hints));
    interval_index_destroy(&module->index);
    page_filter_destroy(&module->filter);
    mca_rcache_stats_free_cache(module->counters);
    pthread_mutex_destroy(&module->provider_lock);
    munmap(module, module->mapped);
}

/* All that was kept ends as soon as nobody refers to it; PERSIST regions, too. */
static void retire_everything(grdma_module_t *module)
{
    const grdma_reason_t unknown = { OPAL_MEM_HOOKS_CAUSE_UNKNOWN, false };
    grdma_list_t idle = { 0 };

    grdma_attend(module, GRDMA_ATTENTION_DEAF);
    grdma_lock(module);
    grdma_invalidate_locked(module, 0, UINTPTR_MAX, unknown, &idle);
    grdma_leave(module, &idle);
    grdma_unlock(module);
    grdma_limbo_returned_later(module); /* Whatever has been counted: all of limbo is looked at once more. */
    grdma_attend(module, GRDMA_ATTENTION_WORK);
}

static bool is_in_use(const grdma_module_t *module, uint32_t id)
{
    const uint32_t flags = grdma_flags(grdma_at(module, id));

    return (flags & GRDMA_ORPHAN) == 0
           && ((flags & GRDMA_CARE) == MCA_RCACHE_FLAGS_CACHE_BYPASS
               || ((flags & GRDMA_LIMBO) != 0 && !grdma_is_idle(module, id)));
}

/* Everything has been retired. */
static bool has_references(grdma_module_t *module)
{
    bool found = !grdma_settle(module);

    grdma_lock(module);
    for (uint32_t id = atomic_load(&module->first_own); id < module->high && !found; id++) {
        found = is_in_use(module, id);
    }
    grdma_unlock(module);
    return found;
}

/* Whoever gives a reference back at this moment is still to look at this memory: so it is asked before. */
static int finalize(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);

    retire_everything(module);
    const bool is_left = has_references(module);
    grdma_reap_all(module);
    /* A parent's registrations may be given back here for ever. */
    if (is_left || module->left.is_in_list || atomic_load(&module->first_own) > 1) {
        grdma_leave_behind(module);
    } else {
        free_module(module);
    }
    return is_left ? OPAL_ERR_RESOURCE_BUSY : OPAL_SUCCESS;
}

static void stop(mca_rcache_base_module_t *base_module)
{
    retire_everything(grdma_of(base_module));
    grdma_reap_all(grdma_of(base_module));
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

/* What the parent's threads held or had half done is forgotten, not undone: its regions are the parent's. Their ids are
 * not used again. Hook context. */
void grdma_reset_child(mca_rcache_base_module_t *base_module)
{
    grdma_module_t *module = grdma_of(base_module);
    const uint64_t deaf = atomic_load(grdma_gate(module)) & GRDMA_ATTENTION_DEAF;

    grdma_mutex_init(&module->lock);
    pthread_mutex_init(&module->provider_lock, NULL);
    atomic_store(&module->first_own, module->high);
    interval_index_reset(&module->index);
    page_filter_reset(&module->filter);
    module->filter_done = 0;
    grdma_hints_empty(atomic_load(&module->hints));
    module->limbo.first = module->unsure.first = module->dying.first = module->free.first = 0;
    atomic_store(&module->limbo_count, 0);
    atomic_store(&module->limbo_returned, 0);
    module->live = 0;
    atomic_store(&module->orphans, 0);
    atomic_store(&module->ending, 0);
    atomic_store(&module->ending_alone, 0);
    atomic_store(&module->dead, 0);
    atomic_store(&module->spent, 0);
    atomic_store(&module->returned, 0);
    memset(&module->pending, 0, sizeof(module->pending));
    memset(&module->in_use, 0, sizeof(module->in_use));
    grdma_blocks_reset_child(module);
    atomic_store(grdma_gate(module), module->super.serial | deaf | GRDMA_ATTENTION_PROVIDER);
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
    .rcache_reset_child = grdma_reset_child,
    .rcache_is_caching = is_caching,
    .rcache_unknown = grdma_unknown,
    .rcache_refused = grdma_refused,
    .rcache_returned = grdma_returned,
};

/* ---- The beginning ------------------------------------------------------------------------------- */

#define FIRST_HINTS 128

/* Pages of its own, for the reason that grdma_thread.c gives. */
static grdma_module_t *map_module(const char *name)
{
    const size_t mask = (size_t) sysconf(_SC_PAGESIZE) - 1;
    const size_t length = (sizeof(grdma_module_t) + strlen(name) + 1 + mask) & ~mask;
    grdma_module_t *module = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (module == MAP_FAILED) {
        return NULL;
    }
    module->mapped = length;
    return module;
}

static uint64_t new_serial(void)
{
    static _Atomic uint64_t last;
    return (atomic_fetch_add(&last, 1) + 1) << GRDMA_ATTENTION_BITS;
}

/* Of a cache that may be the first in this memory, or not. */
static void set_resources(grdma_module_t *module, const mca_rcache_base_resources_t *resources)
{
    memcpy(module->name, resources->cache_name, strlen(resources->cache_name) + 1);
    module->resources = *resources;
    module->resources.cache_name = module->name;
    module->merges = mca_rcache_base_settings.overlap == MCA_RCACHE_OVERLAP_MERGE;
    module->accounts = mca_rcache_limits_join(resources->flags);
    atomic_store(&module->is_tight,
                 module->accounts != 0 || resources->max_count != 0 || resources->max_bytes != 0);
}

static void set_constants(grdma_module_t *module, const mca_rcache_base_resources_t *resources)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);

    module->super = functions;
    module->super.id_shift = grdma_id_shift(resources);
    module->super.serial = new_serial();
    module->super.recent = grdma_recent_distance(module);
    module->page_mask = page - 1;
    module->page_shift = (uint32_t) __builtin_ctzl(page);
    module->high = 1;
    atomic_init(&module->first_own, 1);
    grdma_mutex_init(&module->lock);
    pthread_mutex_init(&module->provider_lock, NULL);
    set_resources(module, resources);
}

static bool hints_init(grdma_module_t *module)
{
    grdma_hints_t *head = grdma_hints_head(module);

    *head =
        (grdma_hints_t){ .regions = module->super.registrations, .stride = (size_t) 1 << module->super.id_shift };
    if (!grdma_hints_make(head, FIRST_HINTS)) {
        return false;
    }
    atomic_init(&module->hints, head);
    return true;
}

static int set_up(grdma_module_t *module)
{
    interval_index_init(&module->index);
    module->counters = mca_rcache_stats_new_cache(module->name, "grdma");
    const bool has_filter = page_filter_init(&module->filter) == OPAL_SUCCESS;
    return module->counters != NULL && has_filter && grdma_regions_init(module) && hints_init(module)
                   && grdma_common_init(module) && grdma_makers_init(module)
               ? OPAL_SUCCESS
               : OPAL_ERR_OUT_OF_RESOURCE;
}

static grdma_module_t *make_module(const mca_rcache_base_resources_t *resources)
{
    grdma_module_t *module = map_module(resources->cache_name);

    if (module == NULL) {
        return NULL;
    }
    set_constants(module, resources);
    if (set_up(module) != OPAL_SUCCESS) {
        free_module(module);
        return NULL;
    }
    atomic_init(grdma_gate(module), module->super.serial | GRDMA_ATTENTION_DEAF);
    return module;
}

int grdma_create(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                 mca_rcache_base_module_t **out_module)
{
    (void) user_data;
    grdma_clock_start();
    grdma_module_t *module = grdma_take_left(resources, set_resources);
    if (module == NULL) {
        module = make_module(resources);
    }
    if (module == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (caching) {
        grdma_in_use_prepare(module); /* Else nothing is in the index that a release could find in use. */
    }
    if (caching && grdma_can_settle()) {
        atomic_fetch_and(grdma_gate(module), ~(uint64_t) GRDMA_ATTENTION_DEAF);
    }
    *out_module = &module->super;
    return OPAL_SUCCESS;
}
