/* SPDX-License-Identifier: BSD-3-Clause */
/* This library's side of the benchmark: a cache of the component grdma with the provider "none", by public means only.
 */
#include <string.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

#include "bench/rcache/bench.h"

typedef mca_rcache_base_registration_t side_reg_t;

typedef struct side_counts_t {
    unsigned long registrations, deregistrations, hits;
    bool has_hits;
} side_counts_t;

static mca_rcache_base_module_t *cache;

#define INLINED static inline __attribute__((always_inline))

INLINED int side_get(void *address, size_t size, side_reg_t **reg)
{
    return mca_rcache_base_register(cache, address, size, 0, MCA_RCACHE_ACCESS_ANY, reg);
}

INLINED void side_put(side_reg_t *reg)
{
    mca_rcache_base_deregister(cache, reg);
}

/* Through the table, as one calls Open MPI's caches. */
#define SIDE_HAS_TABLE

static inline int side_get_by_table(void *address, size_t size, side_reg_t **reg)
{
    return cache->rcache_register(cache, address, size, 0, MCA_RCACHE_ACCESS_ANY, reg);
}

static inline void side_put_by_table(side_reg_t *reg)
{
    cache->rcache_deregister(cache, reg);
}

static inline void side_drop(side_reg_t *reg, void *address, size_t size)
{
    cache->rcache_invalidate_range(cache, address, size);
    mca_rcache_base_deregister(cache, reg);
}

enum { side_drops_idle = true };

static inline void side_drop_idle(void *address, size_t size)
{
    cache->rcache_invalidate_range(cache, address, size);
}

static void side_settle(void)
{
    mca_rcache_base_progress();
}

static side_counts_t side_counts(void)
{
    mca_rcache_base_stats_t stats;
    cache->rcache_stats(cache, &stats);
    return (side_counts_t){ stats.registrations, stats.deregistrations, stats.hits, true };
}

static void side_open(size_t limit)
{
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources;
    if (mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        fail("no provider \"none\"");
    }
    mca_rcache_provider_resources(provider, &resources);
    resources.cache_name = "bench";
    resources.max_count = limit;
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    cache = mca_rcache_base_module_create("grdma", NULL, &resources);
    if (cache == NULL || !mca_rcache_base_is_caching(cache)) {
        fail("no cache that keeps registrations");
    }
}

static const char *start(void)
{
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return "the library does not start";
    }
    return strcmp(opal_memory->memoryc_version.mca_component_name, "linux") == 0
               ? NULL
               : "the memory component linux is not active";
}

#include "bench/rcache/cases.h"

const side_t side_opalmem = { "opalmem", start, run_scene, run_callgrind };
