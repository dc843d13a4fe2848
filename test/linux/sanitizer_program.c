/* SPDX-License-Identifier: BSD-3-Clause */
/* Built with a sanitizer by test_linux_sanitizer.sh. "stale": blocks are registered, freed, and allocated anew at the same
 * place; is a registration of the old one handed out? "double": frees a block twice. */
#include <opal/mca/rcache/provider.h>
#include <opal/opalmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 20

static mca_rcache_base_module_t *cache;

static uint64_t registered(void *block, size_t size)
{
    mca_rcache_base_stats_t stats;
    mca_rcache_base_registration_t *reg;
    if (cache->rcache_register(cache, block, size, 0, MCA_RCACHE_ACCESS_ANY, &reg) != OPAL_SUCCESS) {
        puts("a block cannot be registered");
        exit(3);
    }
    cache->rcache_deregister(cache, reg);
    cache->rcache_stats(cache, &stats);
    return stats.registrations;
}

static int find_stale(void)
{
    unsigned same = 0, stale = 0, hits = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        const size_t size = ((size_t) 1 << 20) + round * 4096;
        void *volatile block = malloc(size);
        const uintptr_t old = (uintptr_t) block;
        memset(block, 1, size);
        const uint64_t before = registered(block, size);
        hits += registered(block, size) == before;
        free(block);
        block = malloc(size);
        same += (uintptr_t) block == old;
        stale += (uintptr_t) block == old && registered(block, size) == before;
        free(block);
    }
    printf("hits %u same %u stale %u\n", hits, same, stale);
    return hits != ROUNDS || same == 0 ? 2 : stale != 0;
}

int main(int argc, char **argv)
{
    mca_rcache_base_resources_t resources;
    mca_rcache_provider_t *provider;
    int rc = 3;
    if (argc != 2 || opalmem_init(NULL, NULL) != OPAL_SUCCESS
        || mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        return rc;
    }
    mca_rcache_provider_resources(provider, &resources);
    resources.cache_name = "sanitizer";
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (cache != NULL) {
        if (strcmp(argv[1], "double") == 0) {
            void *volatile block = malloc(1 << 20);
            free(block);
            free(block);
        }
        rc = find_stale();
        mca_rcache_base_module_destroy(cache);
    }
    mca_rcache_provider_close(provider);
    return opalmem_finalize() == OPAL_SUCCESS ? rc : 3;
}
