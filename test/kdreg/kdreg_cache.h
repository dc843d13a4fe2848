/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache with the provider none over the component "kdreg", for its scenes. A
 * registration is told from its successors by the cookie of its watch. */
#ifndef TEST_KDREG_KDREG_CACHE_H
#define TEST_KDREG_KDREG_CACHE_H

#include "opal/mca/rcache/provider.h"
#include "opal/mca/rcache/rcache.h"
#include "test/kdreg/kdreg_test.h"

typedef struct kdreg_cache_t {
    mca_rcache_provider_t *provider;
    mca_rcache_base_module_t *module;
} kdreg_cache_t;

static inline kdreg_cache_t kdreg_cache_make_with(mca_rcache_in_use_policy_t policy)
{
    kdreg_cache_t cache;
    mca_rcache_base_resources_t resources;

    ck_assert_int_eq(mca_rcache_provider_open("none", &cache.provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(cache.provider, &resources);
    resources.in_use_policy = policy;
    cache.module = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache.module);
    return cache;
}

static inline kdreg_cache_t kdreg_cache_make(void)
{
    return kdreg_cache_make_with(MCA_RCACHE_IN_USE_IGNORE);
}

static inline mca_rcache_base_stats_t kdreg_cache_stats(const kdreg_cache_t *cache)
{
    mca_rcache_base_stats_t stats;

    cache->module->rcache_stats(cache->module, &stats);
    return stats;
}

/** Nothing is left registered. */
static inline void kdreg_cache_end(kdreg_cache_t *cache)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache->module), OPAL_SUCCESS);
    mca_rcache_provider_close(cache->provider);
}

/** Look up, or register; the reference is given back at once. @return The cookie of its watch; 0: an error. */
static inline uint64_t kdreg_cache_use(const kdreg_cache_t *cache, void *start, size_t length)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->module->rcache_register(cache->module, start, length, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, &reg)
        != OPAL_SUCCESS) {
        return 0;
    }
    const uint64_t cookie = reg->watch.cookie;
    return cache->module->rcache_deregister(cache->module, reg) == OPAL_SUCCESS ? cookie : 0;
}

/** Likewise. @return Was it a hit? */
static inline bool kdreg_cache_hits(const kdreg_cache_t *cache, void *start, size_t length)
{
    const uint64_t before = kdreg_cache_stats(cache).hits;

    ck_assert_uint_ne(kdreg_cache_use(cache, start, length), 0);
    return kdreg_cache_stats(cache).hits != before;
}

#endif
