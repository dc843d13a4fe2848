/* SPDX-License-Identifier: BSD-3-Clause */
/* Built with a sanitizer by test_linux_sanitizer.sh. "stale": blocks are registered, freed, and allocated anew at the same
 * place; is a registration of the old one handed out? "nested": the same, while a release callback frees, too. "double":
 * frees a block twice. "full": others have taken all hooks of free() that the sanitizer has. */
#include <dlfcn.h>
#include <opal/mca/rcache/provider.h>
#include <opal/opalmem.h>
#include <stdatomic.h>
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

static atomic_uint callbacks, recursions;
static _Thread_local volatile bool is_inside; /* Compilers expect no callback from free(). */

static void free_in_callback(void *start, size_t length, void *data, bool from_alloc)
{
    (void) start, (void) length, (void) data, (void) from_alloc;
    atomic_fetch_add(&callbacks, 1);
    if (is_inside) {
        atomic_fetch_add(&recursions, 1);
        return;
    }
    is_inside = true;
    void *volatile block = malloc(100);
    free(block);
    is_inside = false;
}

static int find_stale_nested(void)
{
    if (opal_mem_hooks_register_release(free_in_callback, NULL) != OPAL_SUCCESS) {
        return 3;
    }
    const int rc = find_stale();
    printf("callbacks %u, within one another %u\n", atomic_load(&callbacks), atomic_load(&recursions));
    opal_mem_hooks_unregister_release(free_in_callback);
    return atomic_load(&callbacks) >= 2 * ROUNDS && atomic_load(&recursions) == 0 ? rc : 2;
}

static void free_twice(void)
{
    void *volatile block = malloc(1 << 20);
    free(block);
    free(block);
}

static void ignore_malloc(const volatile void *block, size_t size)
{
    (void) block, (void) size;
}

static void ignore_free(const volatile void *block)
{
    (void) block;
}

static void take_all_hooks(void)
{
    int (*install)(void (*)(const volatile void *, size_t), void (*)(const volatile void *)) =
        (int (*)(void (*)(const volatile void *, size_t), void (*)(const volatile void *))) dlsym(
            RTLD_DEFAULT, "__sanitizer_install_malloc_and_free_hooks");
    while (install != NULL && install(ignore_malloc, ignore_free) != 0) {
    }
}

static int play(const char *scene)
{
    if (strcmp(scene, "double") == 0) {
        free_twice();
    }
    return strcmp(scene, "nested") == 0 ? find_stale_nested() : find_stale();
}

int main(int argc, char **argv)
{
    mca_rcache_base_resources_t resources;
    mca_rcache_provider_t *provider;
    int rc = 3;
    if (argc == 2 && strcmp(argv[1], "full") == 0) {
        take_all_hooks();
    }
    if (argc != 2 || opalmem_init(NULL, NULL) != OPAL_SUCCESS
        || mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        return rc;
    }
    mca_rcache_provider_resources(provider, &resources);
    resources.cache_name = "sanitizer";
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (cache != NULL) {
        rc = play(argv[1]);
        mca_rcache_base_module_destroy(cache);
    }
    mca_rcache_provider_close(provider);
    return opalmem_finalize() == OPAL_SUCCESS ? rc : 3;
}
