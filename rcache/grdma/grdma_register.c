/* SPDX-License-Identifier: BSD-3-Clause */
/* What every message pays for: hits, and giving references back. */
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

#define KNOWN_FLAGS (MCA_RCACHE_FLAGS_CACHE_BYPASS | MCA_RCACHE_FLAGS_PERSIST | MCA_RCACHE_FLAGS_SO_MEM)

/* ---- A hit: no lock, no store that another thread reads but to know whether a region is idle ------- */

/* Nothing has happened that a call must care for first. Read before any region is looked at: a release that was posted
 * but is not handled yet has not marked its regions. */
static inline bool is_quiet(const grdma_module_t *module)
{
    return opal_fork_is_known() && atomic_load_explicit(&module->attention, memory_order_acquire) == 0
           && !opal_memory_changed();
}

typedef struct sought_t {
    uintptr_t first, last;
    int32_t access;
} sought_t;

static inline bool covers(const mca_rcache_base_registration_t *reg, sought_t sought)
{
    return (uintptr_t) reg->base <= sought.first && (uintptr_t) reg->bound >= sought.last
           && (sought.access & ~reg->access_flags) == 0;
}

/* Refer to the region, and then see whether it is what is wanted. If not, the reference is given back. Whoever wanted to end
 * the region meanwhile may have seen it, and leaves that to the next call that is not a hit. */
static inline __attribute__((always_inline)) grdma_region_t *try(grdma_module_t *module, grdma_block_t *block,
                                                                 uint32_t id, sought_t sought)
{
    const unsigned chunk = grdma_chunk_of(id);
    grdma_count_t *count = grdma_count_in_chunk(block, chunk, id);
    grdma_region_t *region = grdma_in_chunk(module, chunk, id);

    if (__builtin_expect(count == NULL, 0)) {
        return NULL;
    }
    grdma_take(count);
    if (__builtin_expect((grdma_flags(region) & (GRDMA_HIDDEN | GRDMA_ASK)) == 0 && covers(&region->super, sought)
                             && opal_memory_watch_holds(&region->super.watch),
                         1)) {
        return region;
    }
    grdma_put(count);
    if ((grdma_flags(region) & GRDMA_LIMBO) != 0) {
        grdma_attend(module, GRDMA_ATTENTION_WORK);
    }
    return NULL;
}

/* The slot where a hint is, unless others were there before it. */
static inline __attribute__((always_inline)) grdma_region_t *hit(grdma_module_t *module, grdma_block_t *block,
                                                                 sought_t sought)
{
    const uint64_t hash = grdma_hint_hash(sought.first, 0);
    const uint32_t slot =
        atomic_load_explicit(grdma_hint_bucket(atomic_load_explicit(&module->hints, memory_order_acquire), hash)
                                 + grdma_hint_start(hash),
                             memory_order_acquire);
    const uint32_t id = slot ^ grdma_hint_tag(hash);

    return __builtin_expect(id - 1 < GRDMA_HINT_ID_MASK, 1) ? try(module, block, id, sought) : NULL;
}

/* Any slot of the bucket. */
static grdma_region_t *follow_hints(grdma_module_t *module, grdma_block_t *block, unsigned level, sought_t sought)
{
    const uint64_t hash = grdma_hint_hash(sought.first, level);
    _Atomic uint32_t *bucket = grdma_hint_bucket(atomic_load_explicit(&module->hints, memory_order_acquire), hash);
    grdma_region_t *region = NULL;

    for (unsigned i = 0; i < GRDMA_HINT_BUCKET && region == NULL; i++) {
        const uint32_t slot =
            atomic_load_explicit(&bucket[(grdma_hint_start(hash) + i) % GRDMA_HINT_BUCKET], memory_order_acquire);
        const uint32_t id = slot ^ grdma_hint_tag(hash);

        if (id - 1 < GRDMA_HINT_ID_MASK) {
            region = try(module, block, id, sought);
        }
    }
    return region;
}

/* Hints of all levels that there are. */
static grdma_region_t *follow_all_hints(grdma_module_t *module, grdma_block_t *block, sought_t sought)
{
    const uint32_t levels = atomic_load_explicit(&module->hint_levels, memory_order_relaxed);
    grdma_region_t *region = NULL;

    for (unsigned level = 0; level < GRDMA_HINT_LEVELS && region == NULL; level++) {
        if ((levels & 1u << level) != 0) {
            region = follow_hints(module, block, level, sought);
        }
    }
    return region;
}

/* ---- Lookups --------------------------------------------------------------------------------------- */

static int page_range(const grdma_module_t *module, const void *addr, size_t size, grdma_wish_t *wish)
{
    const uintptr_t mask = module->page_mask, start = (uintptr_t) addr;
    if (size == 0 || size - 1 > UINTPTR_MAX - start || ((start & ~mask) == 0 && (start + (size - 1)) > ~mask)) {
        return OPAL_ERR_BAD_PARAM;
    }
    wish->first = start & ~mask;
    wish->last = (start + (size - 1)) | mask;
    return OPAL_SUCCESS;
}

static void use_provider_anew(grdma_module_t *module)
{
    pthread_mutex_lock(&module->provider_lock);
    if ((atomic_load(&module->attention) & GRDMA_ATTENTION_PROVIDER) != 0) {
        if (module->resources.after_fork != NULL) {
            module->resources.after_fork(module->resources.reg_data);
        }
        atomic_fetch_and(&module->attention, ~(uint64_t) GRDMA_ATTENTION_PROVIDER);
    }
    pthread_mutex_unlock(&module->provider_lock);
}

/* Before every call from outside hooks that is not a hit. */
static void prepare(grdma_module_t *module)
{
    opal_fork_check();
    if ((atomic_load_explicit(&module->attention, memory_order_relaxed) & GRDMA_ATTENTION_PROVIDER) != 0) {
        use_provider_anew(module);
    }
    grdma_reap(module);
}

static bool is_deaf(const grdma_module_t *module)
{
    return (atomic_load_explicit(&module->attention, memory_order_relaxed) & GRDMA_ATTENTION_DEAF) != 0
           || opal_memory_base_sync() != OPAL_SUCCESS;
}

static __attribute__((noinline)) int register_slowly(grdma_module_t *module, void *addr, size_t size,
                                                     uint32_t flags, int32_t access,
                                                     mca_rcache_base_registration_t **reg)
{
    grdma_wish_t wish = { .access = access, .flags = flags };
    const int rc = page_range(module, addr, size, &wish);
    if (rc != OPAL_SUCCESS || (flags & ~(uint32_t) KNOWN_FLAGS) != 0 || (access & ~MCA_RCACHE_ACCESS_ANY) != 0) {
        return OPAL_ERR_BAD_PARAM;
    }
    prepare(module);
    if (is_deaf(module)) {
        wish.flags |= MCA_RCACHE_FLAGS_CACHE_BYPASS;
    }
    if ((wish.flags & MCA_RCACHE_FLAGS_CACHE_BYPASS) != 0) {
        grdma_count(&module->counters->bypasses, 1);
    }
    return grdma_find_or_pin(module, wish, reg);
}

/* The hint is not in its first place. */
static __attribute__((noinline)) int register_by_any_hint(grdma_module_t *module, void *addr, size_t size,
                                                          int32_t access, mca_rcache_base_registration_t **reg)
{
    grdma_block_t *block = grdma_block_of(module);
    const uintptr_t first = (uintptr_t) addr & ~module->page_mask;
    const uintptr_t last = ((uintptr_t) addr + size - 1) | module->page_mask;
    grdma_region_t *region = follow_all_hints(module, block, (sought_t){ first, last, access });

    if (region == NULL) {
        return register_slowly(module, addr, size, 0, access, reg);
    }
    mca_rcache_stats_bump(&block->counters->hits);
    *reg = &region->super;
    return OPAL_SUCCESS;
}

/* Other functions are only called to go on there: so this one saves no registers. */
int grdma_register(mca_rcache_base_module_t *base_module, void *addr, size_t size, uint32_t flags, int32_t access,
                   mca_rcache_base_registration_t **reg)
{
    grdma_module_t *module = grdma_of(base_module);
    const uintptr_t end = (uintptr_t) addr + size;
    grdma_block_t *block = grdma_block_of(module);

    if (__builtin_expect(flags != 0 || end <= (uintptr_t) addr || block == NULL || !is_quiet(module), 0)) {
        return register_slowly(module, addr, size, flags, access, reg);
    }
    grdma_region_t *region = hit(
        module, block, (sought_t){ (uintptr_t) addr & ~module->page_mask, (end - 1) | module->page_mask, access });
    if (__builtin_expect(region == NULL, 0)) {
        return register_by_any_hint(module, addr, size, access, reg);
    }
    mca_rcache_stats_bump(&block->counters->hits);
    *reg = &region->super;
    return OPAL_SUCCESS;
}

int grdma_find(mca_rcache_base_module_t *base_module, void *addr, size_t size,
               mca_rcache_base_registration_t **reg)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_wish_t wish = { 0 };
    int rc = page_range(module, addr, size, &wish);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    prepare(module);
    mca_rcache_base_registration_t *found = NULL;
    rc = is_deaf(module) ? OPAL_ERR_NOT_FOUND : grdma_find_slowly(module, wish, &found);
    *reg = found;
    return rc;
}

/* ---- Giving back ------------------------------------------------------------------------------------ */

/* A reference to a region that is INVALID has been given back. */
static __attribute__((noinline)) int care_for(grdma_module_t *module, uint32_t id)
{
    if ((grdma_flags(grdma_at(module, id)) & GRDMA_LIMBO) != 0) {
        grdma_attend(module, GRDMA_ATTENTION_WORK);
        return grdma_reap(module);
    }
    return OPAL_SUCCESS;
}

/* A thread that has used this cache not, or not lately. */
static __attribute__((noinline)) int put_slowly(grdma_module_t *module, grdma_region_t *region)
{
    const uint32_t id = region->super.cache_id;
    const bool was_for_once = (grdma_flags(region) & MCA_RCACHE_FLAGS_CACHE_BYPASS) != 0;

    if (grdma_is_inherited(module, id)) {
        return OPAL_SUCCESS;
    }
    prepare(module);
    grdma_block_t *block = grdma_block_get(module);
    if (block != NULL) {
        grdma_put(grdma_count_of(block, id));
    } else {
        grdma_common_put(module, id);
    }
    return was_for_once ? grdma_end_one(module, id) : care_for(module, id);
}

int grdma_deregister(mca_rcache_base_module_t *base_module, mca_rcache_base_registration_t *reg)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_region_t *region = (grdma_region_t *) reg;
    const uint32_t id = reg->cache_id;
    grdma_block_t *block = grdma_block_of(module);
    grdma_count_t *count = __builtin_expect(block != NULL, 1) ? grdma_count_of(block, id) : NULL;

    if (__builtin_expect(count == NULL || !opal_fork_is_known()
                             || id < atomic_load_explicit(&module->first_own, memory_order_relaxed)
                             || (grdma_flags(region) & GRDMA_CARE) != 0,
                         0)) {
        return put_slowly(module, region);
    }
    grdma_put(count);
    if (__builtin_expect((grdma_flags(region) & GRDMA_CARE) != 0, 0)) {
        return care_for(module, id);
    }
    return OPAL_SUCCESS;
}
