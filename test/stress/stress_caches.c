/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches of the run, and the tester's own books of what they pin: every call of
 * a provider goes through here. Unpinning may happen in a hook. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "test/stress/stress.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Calls into a cache after which nothing that was released may be pinned. */
#define BOUNDED_CALLS 2
/* One call of the provider in so many fails for want of memory; one in so many lets others run in its middle. */
#define FAIL_ONE_IN 199
#define YIELD_ONE_IN 7

stress_cache_t stress_caches[STRESS_CACHES];
bool stress_transfers;
bool stress_in_child;

/* ---- The books ---------------------------------------------------------------------------------- */

static uint32_t enter(stress_cache_t *cache, stress_record_t *record)
{
    uint32_t start = atomic_fetch_add(&cache->next_place, 1);
    for (uint32_t i = 0; i < STRESS_PLACES; i++) {
        uint32_t place = (start + i) % STRESS_PLACES;
        stress_record_t *expected = NULL;
        if (atomic_load_explicit(&cache->pinned[place], memory_order_relaxed) == NULL
            && atomic_compare_exchange_strong(&cache->pinned[place], &expected, record)) {
            return place;
        }
    }
    return STRESS_PLACES;
}

static void check_limits(stress_cache_t *cache, size_t count, size_t bytes)
{
    const mca_rcache_base_resources_t *limits = &cache->resources;
    if (limits->max_count != 0 && count > limits->max_count) {
        stress_fault(NULL, "more registrations than max_count", count, limits->max_count, 0);
    }
    if (limits->max_bytes != 0 && bytes > limits->max_bytes) {
        stress_fault(NULL, "more bytes pinned than max_bytes", bytes, limits->max_bytes, 0);
    }
}

static size_t size_of(const stress_record_t *record)
{
    return (size_t) (record->own.super.bound - record->own.super.base) + 1;
}

/* The frames that the provider has pinned: those that were there before and after. With `none`, reading them is
 * the pinning. */
static void note_frames(stress_record_t *record, const uint32_t before[])
{
    stress_frames((uintptr_t) record->own.super.base, record->frames_count, record->frame);
    for (uint32_t i = 0; stress_transfers && i < record->frames_count; i++) {
        record->frame[i] = record->frame[i] == before[i] ? before[i] : 0;
    }
}

static void note(stress_cache_t *cache, stress_record_t *record)
{
    record->cache = cache;
    record->pinned_at = stress_now();
    atomic_store(&record->refs, 0);
    atomic_store(&record->state, STRESS_RECORD_PINNED);
    record->place = enter(cache, record);
    atomic_fetch_add(&cache->registrations, 1);
    size_t bytes = atomic_fetch_add(&cache->bytes, size_of(record)) + size_of(record);
    check_limits(cache, atomic_fetch_add(&cache->count, 1) + 1, bytes);
}

/* ---- The wrapper -------------------------------------------------------------------------------- */

/* Where providers are called, other threads like to come in between. */
static void let_others_in(void)
{
    static _Atomic unsigned calls;
    if (atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % YIELD_ONE_IN == 0) {
        sched_yield();
    }
}

static bool fails_now(void)
{
    static _Atomic unsigned calls;
    return atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) % FAIL_ONE_IN == FAIL_ONE_IN - 1;
}

static int pin(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    stress_cache_t *cache = reg_data;
    stress_record_t *record = (stress_record_t *) reg;
    uint32_t before[STRESS_FRAMES];
    if (fails_now()) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    let_others_in();
    record->upheavals = stress_upheavals(false);
    record->frames_count = (uint32_t) (size / stress_page < STRESS_FRAMES ? size / stress_page : STRESS_FRAMES);
    /* A device cannot pin what is not there; and pages that are there before have a frame to compare. */
    if (madvise(base, size, MADV_POPULATE_WRITE) != 0 && !stress_transfers) {
        return OPAL_ERR_BAD_PARAM;
    }
    stress_frames((uintptr_t) base, record->frames_count, before);
    int rc = cache->real.register_mem(cache->real.reg_data, base, size, reg);
    if (rc == OPAL_SUCCESS) {
        note_frames(record, before);
        note(cache, record);
        let_others_in();
    }
    return rc;
}

/* Hook context. */
static void forget(stress_cache_t *cache, mca_rcache_base_registration_t *reg)
{
    stress_record_t *record = (stress_record_t *) reg;
    if (atomic_exchange(&record->state, STRESS_RECORD_GONE) != STRESS_RECORD_PINNED) {
        stress_fault(NULL, "a registration was unpinned twice", (uintptr_t) reg->base, size_of(record), 0);
    }
    if (atomic_load(&record->refs) != 0) {
        stress_fault(NULL, "a registration in use was unpinned", (uintptr_t) reg->base, size_of(record),
                     (uint64_t) atomic_load(&record->refs));
    }
    if (record->place < STRESS_PLACES) {
        atomic_store(&cache->pinned[record->place], NULL);
    }
    atomic_fetch_sub(&cache->count, 1);
    atomic_fetch_sub(&cache->bytes, size_of(record));
    atomic_fetch_add(&cache->deregistrations, 1);
}

/* Hook context. */
static int unpin(void *reg_data, mca_rcache_base_registration_t *reg)
{
    stress_cache_t *cache = reg_data;
    forget(cache, reg);
    return cache->real.deregister_mem(cache->real.reg_data, reg);
}

/* Hook context. */
static int unpin_many(void *reg_data, mca_rcache_base_registration_t **regs, size_t n)
{
    stress_cache_t *cache = reg_data;
    for (size_t i = 0; i < n; i++) {
        forget(cache, regs[i]);
    }
    return cache->real.deregister_many(cache->real.reg_data, regs, n);
}

static int after_fork(void *reg_data)
{
    stress_cache_t *cache = reg_data;
    return cache->real.after_fork == NULL ? OPAL_SUCCESS : cache->real.after_fork(cache->real.reg_data);
}

/* Behind the caches' own callback: between what they were told and the system call, others shall get their chance. */
static void linger(void *start, size_t length, void *data, bool from_alloc)
{
    (void) start, (void) length, (void) data, (void) from_alloc;
    let_others_in();
}

/* ---- Life --------------------------------------------------------------------------------------- */

static bool make(stress_cache_t *cache, const char *name)
{
    mca_rcache_base_resources_t *resources = &cache->resources;
    mca_rcache_provider_resources(cache->provider, &cache->real);
    resources->cache_name = name;
    resources->reg_data = cache;
    resources->sizeof_reg = sizeof(stress_record_t);
    resources->register_mem = pin;
    resources->deregister_mem = unpin;
    resources->deregister_many = cache->real.deregister_many != NULL ? unpin_many : NULL;
    resources->after_fork = after_fork;
    resources->in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    cache->module = mca_rcache_base_module_create(NULL, NULL, resources);
    return cache->module != NULL;
}

bool stress_cache_make(stress_cache_t *cache, const stress_cache_t *like, size_t max_count)
{
    cache->provider = like->provider;
    cache->resources.flags = like->resources.flags;
    cache->resources.max_count = max_count;
    return make(cache, "brief");
}

void stress_cache_end(stress_cache_t *cache)
{
    mca_rcache_base_stats_t stats;
    cache->module->rcache_stats(cache->module, &stats);
    if (stats.hits + stats.misses == 0) {
        stress_fault(NULL, "a cache that ends was never used", 0, 0, 0);
    }
    if (mca_rcache_base_module_destroy(cache->module) != OPAL_SUCCESS) {
        stress_fault(NULL, "a cache without references does not end", stats.count, 0, 0);
    } else if (atomic_load(&cache->count) != 0) {
        stress_fault(NULL, "a cache has ended, and something is still pinned", atomic_load(&cache->count), 0, 0);
    }
}

/* The first cache unpins in hooks and has no limits of its own; the second one does not, and has. */
int stress_caches_open(void)
{
    stress_transfers = strcmp(stress_options.provider, "uring") == 0;
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        stress_cache_t *cache = &stress_caches[i];
        int rc = mca_rcache_provider_open(stress_options.provider, &cache->provider);
        if (rc != OPAL_SUCCESS) {
            return rc == OPAL_ERR_NOT_AVAILABLE || (rc == OPAL_ERR_NOT_FOUND && stress_transfers) ? 77
                                                                                                  : EXIT_FAILURE;
        }
        cache->resources.flags = i == 0 ? MCA_RCACHE_RESOURCES_HOOK_SAFE : 0;
        cache->resources.max_count = stress_options.max_count != 0 ? stress_options.max_count : i * 24;
        cache->resources.max_bytes = stress_options.max_bytes;
        if (!make(cache, i == 0 ? "in hooks" : "later")) {
            return EXIT_FAILURE;
        }
        if (!mca_rcache_base_is_caching(cache->module)) {
            printf("SKIP: a memory component that notices releases; or --mca rcache_base_unsafe 1\n");
            return 77;
        }
    }
    int rc = opal_mem_hooks_register_release(linger, NULL);
    return rc == OPAL_SUCCESS || stress_options.expect_errors ? EXIT_SUCCESS : EXIT_FAILURE;
}

void stress_caches_close(void)
{
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        stress_cache_t *cache = &stress_caches[i];
        while (cache->module->rcache_evict(cache->module)) {
        }
        cache->module->rcache_progress(cache->module);
        if (atomic_load(&cache->count) != 0 || atomic_load(&cache->bytes) != 0) {
            stress_fault(NULL, "everything was released and evicted, and something is still pinned",
                         atomic_load(&cache->count), atomic_load(&cache->bytes), 0);
        }
        stress_cache_end(cache);
        mca_rcache_provider_close(cache->provider);
    }
}

void stress_caches_child(void)
{
    stress_in_child = true;
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        atomic_store(&stress_caches[i].count, 0);
        atomic_store(&stress_caches[i].bytes, 0);
    }
}

/* ---- Quiet points ------------------------------------------------------------------------------- */

static bool do_agree(const stress_cache_t *cache, mca_rcache_base_stats_t *stats)
{
    cache->module->rcache_stats(cache->module, stats);
    return stats->count == atomic_load(&cache->count)
           && stats->deregistrations == atomic_load(&cache->deregistrations);
}

static void check_figures(const stress_cache_t *cache)
{
    mca_rcache_base_stats_t stats;
    const mca_rcache_base_resources_t *limits = &cache->resources;
    for (int tries = 0; !do_agree(cache, &stats) && tries < 1000; tries++) {
        usleep(1000); /* The helper thread (rcache_base_helper) may have something in hand. */
    }
    if (stats.count != atomic_load(&cache->count) || stats.bytes != atomic_load(&cache->bytes)) {
        stress_fault(NULL, "figures: count, our count, bytes", stats.count, atomic_load(&cache->count),
                     stats.bytes);
    }
    if (stats.registrations != atomic_load(&cache->registrations)
        || stats.deregistrations != atomic_load(&cache->deregistrations)) {
        stress_fault(NULL, "figures: registrations, ours, deregistrations", stats.registrations,
                     atomic_load(&cache->registrations), stats.deregistrations);
    }
    if ((limits->max_count != 0 && stats.peak_count > limits->max_count)
        || (limits->max_bytes != 0 && stats.peak_bytes > limits->max_bytes)) {
        stress_fault(NULL, "figures: a peak is above its limit", stats.peak_count, stats.peak_bytes, 0);
    }
}

/* Released after it was pinned, and nobody uses it. After a silent release, nobody tells of later ones of that page either. */
static void check_unpinned(const stress_record_t *record)
{
    uintptr_t start = (uintptr_t) record->own.super.base;
    uint64_t now = stress_now();
    if (atomic_load(&record->refs) != 0) {
        return;
    }
    for (uintptr_t page = start; page < start + size_of(record); page += stress_page) {
        if (stress_was_released(page, record->pinned_at, now) && !stress_was_silent(page, record->pinned_at)) {
            stress_fault(NULL, "an idle registration of released memory is still pinned", start, size_of(record),
                         page);
            return;
        }
    }
}

void stress_caches_check(void)
{
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        stress_cache_t *cache = &stress_caches[i];
        for (int call = 0; call < BOUNDED_CALLS; call++) {
            cache->module->rcache_progress(cache->module);
        }
        check_figures(cache);
        for (size_t place = 0; place < STRESS_PLACES; place++) {
            const stress_record_t *record = atomic_load(&cache->pinned[place]);
            if (record != NULL) {
                check_unpinned(record);
            }
        }
    }
}
