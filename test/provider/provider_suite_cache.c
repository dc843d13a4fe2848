/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite: the provider under a cache, with calls that fail at each
 * place. Releases are raised by hand, but for one scene that really releases. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "provider_suite_internal.h"

#define RANGES 12 /* Ranges that a script uses; its calls are about twice as many. */

/* ---- A layer between cache and provider, which fails on demand ------------------------------------- */

typedef struct layer_t {
    mca_rcache_base_resources_t below;
    long registers, fail_register_at, deregisters, fail_deregister_at; /* From 1; 0: none. */
    int fail_with;
    atomic_long live; /* Registered and not yet ended. */
} layer_t;

static layer_t layer;

static int layer_register(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    (void) reg_data;
    if (++layer.registers == layer.fail_register_at) {
        return layer.fail_with;
    }
    int rc = layer.below.register_mem(layer.below.reg_data, base, size, reg);
    layer.live += rc == OPAL_SUCCESS;
    return rc;
}

/* It is ended in any case: what failed cannot be undone by the cache. */
static int layer_deregister(void *reg_data, mca_rcache_base_registration_t *reg)
{
    (void) reg_data;
    int rc = layer.below.deregister_mem(layer.below.reg_data, reg);
    layer.live--;
    return ++layer.deregisters == layer.fail_deregister_at ? layer.fail_with : rc;
}

static int layer_deregister_many(void *reg_data, mca_rcache_base_registration_t **regs, size_t n)
{
    (void) reg_data;
    layer.live -= (long) n;
    return layer.below.deregister_many(layer.below.reg_data, regs, n);
}

static mca_rcache_base_module_t *new_cache(scene_t *scene)
{
    mca_rcache_base_resources_t resources = scene->resources;
    memset(&layer, 0, sizeof(layer));
    layer.below = scene->resources;
    resources.register_mem = layer_register;
    resources.deregister_mem = layer_deregister;
    resources.deregister_many = resources.deregister_many != NULL ? layer_deregister_many : NULL;
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    REQUIRE(cache != NULL, "no cache can be made with these resources");
    return cache;
}

static void end_cache(scene_t *scene, mca_rcache_base_module_t *cache)
{
    int rc = mca_rcache_base_module_destroy(cache);
    REQUIRE(rc == OPAL_SUCCESS, "the cache cannot be destroyed: %d", rc);
    REQUIRE(layer.live == 0, "the cache left %ld registrations", layer.live);
    suite_must_have(scene, 0);
}

/* The library with a memory component that notices nothing: the scene raises releases. */
static void start(scene_t *scene)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    REQUIRE(opalmem_init(NULL, NULL) == OPAL_SUCCESS, "opalmem_init failed");
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
    suite_open(scene);
}

static void stop(scene_t *scene)
{
    suite_close(scene);
    REQUIRE(opalmem_finalize() == OPAL_SUCCESS, "opalmem_finalize failed");
}

/* ---- Users -------------------------------------------------------------------------------------- */

static int use(mca_rcache_base_module_t *cache, void *base, size_t size)
{
    mca_rcache_base_registration_t *reg = NULL;
    int rc = cache->rcache_register(cache, base, size, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, &reg);
    if (rc == OPAL_SUCCESS) {
        cache->rcache_deregister(cache, reg);
    }
    return rc;
}

static char *range(const scene_t *scene, char *memory, size_t number)
{
    return memory + number * 2 * scene->page;
}

static void use_ranges(scene_t *scene, mca_rcache_base_module_t *cache, char *memory, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        int rc = use(cache, range(scene, memory, i), scene->page);
        REQUIRE(rc == OPAL_SUCCESS, "range %zu: the cache returned %d", i, rc);
    }
}

static void cached_until_it_is_released(scene_t *scene)
{
    start(scene);
    char *memory = suite_map(RANGES * 2 * scene->page);
    mca_rcache_base_module_t *cache = new_cache(scene);
    use_ranges(scene, cache, memory, 0, RANGES);
    use_ranges(scene, cache, memory, 0, RANGES);
    REQUIRE(layer.registers == RANGES, "%ld registrations for %d ranges", layer.registers, RANGES);
    suite_must_have(scene, RANGES * scene->page);
    opal_mem_hooks_release_hook(memory, RANGES * scene->page, true); /* Half of the ranges. */
    mca_rcache_base_progress();
    REQUIRE(layer.live == RANGES / 2, "%ld of %d registrations outlived the release", layer.live, RANGES / 2);
    suite_must_have(scene, RANGES / 2 * scene->page);
    end_cache(scene, cache);
    stop(scene);
}

static void really_released(scene_t *scene)
{
    size_t size = 4 * scene->page;
    REQUIRE(opalmem_init(NULL, NULL) == OPAL_SUCCESS, "opalmem_init failed");
    if ((opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT) == 0) {
        suite_skip("nothing notices releases here");
    }
    suite_open(scene);
    mca_rcache_base_module_t *cache = new_cache(scene);
    for (int i = 0; i < 200; i++) {
        char *memory = suite_map(size);
        REQUIRE(use(cache, memory, size) == OPAL_SUCCESS, "the cache registers nothing");
        suite_unmap(memory, size);
    }
    mca_rcache_base_progress();
    REQUIRE(layer.live == 0, "%ld registrations outlived their memory", layer.live);
    suite_must_have(scene, 0);
    end_cache(scene, cache);
    stop(scene);
}

static void evicted_for_a_limit(scene_t *scene)
{
    start(scene);
    scene->resources.max_count = RANGES / 3;
    char *memory = suite_map(RANGES * 2 * scene->page);
    mca_rcache_base_module_t *cache = new_cache(scene);
    for (int i = 0; i < 20; i++) {
        use_ranges(scene, cache, memory, 0, RANGES);
        REQUIRE(layer.live <= RANGES / 3, "%ld registrations where %d are allowed", layer.live, RANGES / 3);
        suite_must_have(scene, (size_t) layer.live * scene->page);
    }
    end_cache(scene, cache);
    stop(scene);
}

/* ---- Failures at each call ---------------------------------------------------------------------- */

/* @return What the call that was made to fail came to for the user. */
static int script(scene_t *scene, mca_rcache_base_module_t *cache, char *memory)
{
    int result = OPAL_SUCCESS;
    for (size_t i = 0; i < RANGES; i++) {
        int rc = use(cache, range(scene, memory, i), scene->page);
        result = rc != OPAL_SUCCESS ? rc : result;
        if (i == RANGES / 2) {
            opal_mem_hooks_release_hook(memory, RANGES / 2 * scene->page, true);
        }
    }
    use_ranges(scene, cache, memory, 0, RANGES);
    suite_must_have(scene, (size_t) layer.live * scene->page);
    return result;
}

static void registration_fails_for_want_of_room(scene_t *scene)
{
    start(scene);
    char *memory = suite_map(RANGES * 2 * scene->page);
    for (long nth = 1, calls = nth; nth <= calls; nth++) {
        mca_rcache_base_module_t *cache = new_cache(scene);
        layer.fail_register_at = nth;
        layer.fail_with = OPAL_ERR_OUT_OF_RESOURCE;
        int rc = script(scene, cache, memory);
        /* The first has nothing to evict. */
        REQUIRE(rc == OPAL_SUCCESS || (nth == 1 && rc == OPAL_ERR_OUT_OF_RESOURCE),
                "call %ld without room: the cache returned %d", nth, rc);
        calls = layer.registers;
        end_cache(scene, cache);
    }
    stop(scene);
}

static void registration_fails_otherwise(scene_t *scene)
{
    start(scene);
    char *memory = suite_map(RANGES * 2 * scene->page);
    for (long nth = 1; nth <= RANGES; nth++) {
        mca_rcache_base_module_t *cache = new_cache(scene);
        layer.fail_register_at = nth;
        layer.fail_with = OPAL_ERR_PERM;
        int rc = script(scene, cache, memory);
        REQUIRE(rc == OPAL_ERR_PERM, "call %ld failed with %d, and the cache returned %d", nth, OPAL_ERR_PERM, rc);
        end_cache(scene, cache);
    }
    stop(scene);
}

static void deregistration_fails(scene_t *scene)
{
    start(scene);
    scene->resources.max_count = RANGES / 2;
    scene->resources.deregister_many = NULL; /* Each call is to be counted. */
    char *memory = suite_map(RANGES * 2 * scene->page);
    for (long nth = 1, calls = nth; nth <= calls; nth++) {
        mca_rcache_base_module_t *cache = new_cache(scene);
        layer.fail_deregister_at = nth;
        layer.fail_with = OPAL_ERROR;
        script(scene, cache, memory);
        mca_rcache_base_module_destroy(cache); /* May tell of the failure. */
        REQUIRE(layer.live == 0, "after call %ld failed, %ld registrations were left", nth, layer.live);
        suite_must_have(scene, 0);
        calls = layer.deregisters;
    }
    stop(scene);
}

/* ---- A device that goes ------------------------------------------------------------------------- */

static void must_be_lost(scene_t *scene, mca_rcache_base_module_t *cache, char *memory)
{
    for (size_t i = 0; i < RANGES; i++) {
        mca_rcache_base_registration_t *found = NULL;
        cache->rcache_find(cache, range(scene, memory, i), scene->page, &found);
        REQUIRE(found == NULL, "range %zu is still found in the cache", i);
        int rc = use(cache, range(scene, memory, i), scene->page);
        REQUIRE(rc == OPAL_ERR_UNREACH, "range %zu: the cache returned %d, not %d", i, rc, OPAL_ERR_UNREACH);
    }
}

static void device_is_lost(scene_t *scene)
{
    mca_rcache_base_registration_t *held = NULL;
    if (scene->suite->lose == NULL) {
        suite_skip("the suite was not told how the device is lost");
    }
    start(scene);
    char *memory = suite_map(RANGES * 2 * scene->page);
    mca_rcache_base_module_t *cache = new_cache(scene);
    use_ranges(scene, cache, memory, 0, RANGES);
    int rc = cache->rcache_register(cache, memory, scene->page, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, &held);
    REQUIRE(rc == OPAL_SUCCESS, "the cache returned %d", rc);
    scene->suite->lose(scene->state);
    must_be_lost(scene, cache, memory);
    REQUIRE(layer.live <= 1, "%ld registrations that nobody uses outlived the device", layer.live - 1);
    REQUIRE(layer.live == 1, "a registration was ended in use");
    rc = cache->rcache_deregister(cache, held);
    REQUIRE(rc == OPAL_SUCCESS, "giving back what was in use returned %d", rc);
    REQUIRE(layer.live == 0, "%ld registrations outlived the device", layer.live);
    REQUIRE(mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS, "the cache cannot be destroyed");
    scene->suite->close(scene->state);
    REQUIRE(opalmem_finalize() == OPAL_SUCCESS, "opalmem_finalize failed");
}

/* ---- Many caches, and children ------------------------------------------------------------------ */

static void thousands_of_caches(scene_t *scene)
{
    suite_footprint_t first = { 0, 0 };
    start(scene);
    char *memory = suite_map(scene->page);
    for (int i = 0; i < 3000; i++) {
        mca_rcache_base_module_t *cache = new_cache(scene);
        REQUIRE(use(cache, memory, scene->page) == OPAL_SUCCESS, "cache %d registers nothing", i);
        end_cache(scene, cache);
        if (i == 200) {
            first = suite_footprint();
        }
    }
    suite_footprint_t last = suite_footprint();
    REQUIRE(last.descriptors <= first.descriptors, "2800 caches left %ld descriptors",
            last.descriptors - first.descriptors);
    REQUIRE(last.mappings < first.mappings + 1000, "2800 caches left %ld mappings",
            last.mappings - first.mappings);
    stop(scene);
}

typedef struct child_t {
    mca_rcache_base_module_t *cache;
    mca_rcache_base_registration_t *reg;
    char *memory;
} child_t;

static void live_in_child(scene_t *scene, void *arg)
{
    child_t *child = arg;
    size_t size = RANGES * 2 * scene->page;
    opal_mem_hooks_release_hook(child->memory, size, true);
    REQUIRE(use(child->cache, child->memory + size, scene->page) == OPAL_SUCCESS,
            "a fork child registers nothing");
    opal_mem_hooks_release_hook(child->memory + size, scene->page, true);
    use_ranges(scene, child->cache, child->memory, 0, RANGES);
    REQUIRE(child->cache->rcache_deregister(child->cache, child->reg) == OPAL_SUCCESS,
            "a fork child cannot give back what it inherited");
    mca_rcache_base_module_destroy(child->cache);
}

static void fork_child_lives_on_with_the_cache(scene_t *scene)
{
    child_t child = { .cache = NULL };
    start(scene);
    child.memory = suite_map((RANGES + 1) * 2 * scene->page);
    child.cache = new_cache(scene);
    use_ranges(scene, child.cache, child.memory, 0, RANGES);
    int rc = child.cache->rcache_register(child.cache, child.memory, scene->page, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE,
                                          &child.reg);
    REQUIRE(rc == OPAL_SUCCESS, "the cache returned %d", rc);
    suite_in_child(scene, live_in_child, &child);
    suite_must_have(scene, RANGES * scene->page);
    suite_must_work(scene, child.reg);
    child.cache->rcache_deregister(child.cache, child.reg);
    end_cache(scene, child.cache);
    stop(scene);
}

const scene_entry_t suite_cache_scenes[] = {
    { "cached_until_it_is_released", cached_until_it_is_released },
    { "really_released", really_released },
    { "evicted_for_a_limit", evicted_for_a_limit },
    { "registration_fails_for_want_of_room", registration_fails_for_want_of_room },
    { "registration_fails_otherwise", registration_fails_otherwise },
    { "deregistration_fails", deregistration_fails },
    { "device_is_lost", device_is_lost },
    { "thousands_of_caches", thousands_of_caches },
    { "fork_child_lives_on_with_the_cache", fork_child_lives_on_with_the_cache },
    { NULL, NULL },
};
