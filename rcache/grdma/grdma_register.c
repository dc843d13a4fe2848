/* SPDX-License-Identifier: BSD-3-Clause */
/* What every message pays for: hits, and giving references back. */
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

#define KNOWN_FLAGS (MCA_RCACHE_FLAGS_CACHE_BYPASS | MCA_RCACHE_FLAGS_PERSIST | MCA_RCACHE_FLAGS_SO_MEM)

/* ---- A hit: no lock, no store that another thread reads but to know whether a region is idle ------- */

/* Measured: 5 % of a hit depend on where these functions begin. */
#define ON_A_LINE __attribute__((aligned(64)))

typedef struct sought_t {
    uintptr_t start, last; /* Bytes. */
    int32_t access;
} sought_t;

/* A region of which not hooks alone tell: has the kernel told of nothing that is not handled, does the region hold, and does a
 * component say so that wants to be asked? The flags are read before, since of others there may be no watch, and after, since
 * what was handled meanwhile has marked its regions. The reference keeps bounds and watch as they are. */
static bool is_as_told(const grdma_region_t *region, sought_t sought)
{
    const mca_rcache_base_registration_t *reg = &region->super;
    const uint32_t flags = grdma_flags(region);

    return (flags & (GRDMA_HIDDEN | mca_rcache_flags_lacking(sought.access))) == 0
           && (flags & (GRDMA_ASK | GRDMA_TOLD)) != 0 && mca_rcache_covers(reg, sought.start, sought.last)
           && !opal_memory_changed() && opal_memory_watch_holds(&reg->watch)
           && ((flags & GRDMA_ASK) == 0 || opal_memory_base_valid(reg->base, grdma_length(region), &reg->watch))
           && (grdma_flags(region) & GRDMA_HIDDEN) == 0;
}

/* Is it what is wanted, and nothing tells of it but hooks? */
static inline bool is_wanted(const grdma_region_t *region, sought_t sought)
{
    return MCA_RCACHE_LIKELY(mca_rcache_has_none_of(&region->super, mca_rcache_flags_against(sought.access)))
           && mca_rcache_covers(&region->super, sought.start, sought.last);
}

static inline mca_rcache_answer_t answer_hit(const grdma_block_t *block, const grdma_region_t *region)
{
    mca_rcache_figure_up(block->super.hits);
    return (mca_rcache_answer_t) (uintptr_t) region;
}

/* A reference was counted of a region that is not what is wanted: it is given back. Whoever wanted to end the region
 * meanwhile may have seen it, and leaves that to the next call that is not a hit. */
static __attribute__((noinline)) void take_back(grdma_module_t *module, const grdma_region_t *region,
                                                grdma_count_t *count)
{
    grdma_put(count);
    if ((grdma_flags(region) & GRDMA_LIMBO) != 0) {
        grdma_limbo_returned_later(module);
    }
}

/* Is the region over? Then there is no need to count anything. Most hints that lead nowhere are such ones. */
static inline bool is_over(const grdma_region_t *region)
{
    return (grdma_flags(region) & MCA_RCACHE_FLAGS_INVALID) != 0;
}

/* Refer to the region, and then see whether it is what is wanted. */
static grdma_region_t *try(grdma_module_t *module, grdma_block_t *block, uint32_t id, sought_t sought)
{
    grdma_count_t *count = grdma_count_of(block, id);
    grdma_region_t *region = grdma_at(module, id);

    if (is_over(region)) {
        return NULL;
    }
    grdma_take(count);
    if (is_wanted(region, sought) || is_as_told(region, sought)) {
        grdma_remember_repeated(block, sought.start, id, region);
        return region;
    }
    take_back(module, region, count);
    return NULL;
}

/* The id in a slot that had the tag a moment ago: if it is another one's by now, or 0, the region will say so. */
static inline uint32_t id_in(_Atomic uint32_t *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire) & GRDMA_HINT_ID_MASK;
}

/* All slots of a bucket with the tag. */
static grdma_region_t *follow_bucket(grdma_module_t *module, grdma_block_t *block, _Atomic uint32_t *bucket,
                                     uint64_t hash, sought_t sought)
{
    grdma_hint_matches_t matches = grdma_hint_matches(bucket, hash);
    grdma_region_t *region = NULL;

    for (; matches != 0 && region == NULL; matches = grdma_hint_others(matches)) {
        region = try(module, block, id_in(grdma_hint_first(bucket, matches)), sought);
    }
    return region;
}

static grdma_region_t *follow_hints(grdma_module_t *module, grdma_block_t *block, unsigned level, sought_t sought)
{
    const uint64_t hash = grdma_hint_hash(sought.start, level);
    _Atomic uint32_t *bucket = grdma_hint_bucket(atomic_load_explicit(&module->hints, memory_order_acquire), hash);
    grdma_region_t *region = follow_bucket(module, block, bucket, hash, sought);

    return region != NULL ? region : follow_bucket(module, block, grdma_hint_other_bucket(bucket), hash, sought);
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
    if ((atomic_load(grdma_gate(module)) & GRDMA_ATTENTION_PROVIDER) != 0) {
        if (module->resources.after_fork != NULL) {
            module->resources.after_fork(module->resources.reg_data);
        }
        atomic_fetch_and(grdma_gate(module), ~(uint64_t) GRDMA_ATTENTION_PROVIDER);
    }
    pthread_mutex_unlock(&module->provider_lock);
    mca_rcache_helper_start();
}

/* Before every call from outside hooks that is not a hit. */
static void prepare(grdma_module_t *module)
{
    opal_fork_check();
    if ((atomic_load_explicit(grdma_gate(module), memory_order_relaxed) & GRDMA_ATTENTION_PROVIDER) != 0) {
        use_provider_anew(module);
    }
    grdma_reap(module);
}

static bool is_deaf(const grdma_module_t *module)
{
    return (atomic_load_explicit(grdma_gate(module), memory_order_relaxed) & GRDMA_ATTENTION_DEAF) != 0
           || opal_memory_base_sync() != OPAL_SUCCESS;
}

static int hand_out(int rc, mca_rcache_base_registration_t **reg)
{
    if (rc == OPAL_SUCCESS && (grdma_flags((grdma_region_t *) *reg) & MCA_RCACHE_FLAGS_CACHE_BYPASS) != 0) {
        (*reg)->cache_id |= GRDMA_ONCE;
    }
    return rc;
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
    return hand_out(grdma_find_or_pin(module, wish, reg), reg);
}

static mca_rcache_answer_t answer_slowly(grdma_module_t *module, sought_t sought)
{
    mca_rcache_base_registration_t *reg;
    const int rc =
        register_slowly(module, (void *) sought.start, sought.last - sought.start + 1, 0, sought.access, &reg);

    return rc == OPAL_SUCCESS ? (mca_rcache_answer_t) (uintptr_t) reg : (mca_rcache_answer_t) rc * 2 + 1;
}

/* What the first hint leads to is not it, or takes a second look; or there is none for the page itself. */
static mca_rcache_answer_t answer_by_any_hint(grdma_module_t *module, grdma_block_t *block, sought_t sought)
{
    grdma_region_t *region = opal_fork_is_known() ? follow_all_hints(module, block, sought) : NULL;

    return region != NULL ? answer_hit(block, region) : answer_slowly(module, sought);
}

/* Is there nothing but the hint that has led nowhere? */
static bool has_one_hint(const grdma_module_t *module, uintptr_t address)
{
    const uint64_t hash = grdma_hint_hash(address, 0);
    _Atomic uint32_t *bucket = grdma_hint_bucket(atomic_load_explicit(&module->hints, memory_order_acquire), hash);

    return (atomic_load_explicit(&module->hint_levels, memory_order_relaxed) & ~1u) == 0
           && grdma_hint_others(grdma_hint_matches(bucket, hash)) == 0
           && grdma_hint_matches(grdma_hint_other_bucket(bucket), hash) == 0;
}

/* No hint has this tag where it should be. */
static __attribute__((noinline)) mca_rcache_answer_t answer_unknown(grdma_block_t *block, uintptr_t start,
                                                                    uintptr_t last, int32_t access)
{
    return answer_by_any_hint(block->module, block, (sought_t){ start, last, access });
}

/* A reference was counted to what a hint led to, and that is not it. Mostly it is over. */
static __attribute__((noinline)) mca_rcache_answer_t answer_refused(grdma_block_t *block, uintptr_t start,
                                                                    uintptr_t last, uint32_t id, int32_t access)
{
    grdma_module_t *module = block->module;
    const grdma_region_t *region = grdma_at(module, id);
    const sought_t sought = { start, last, access };

    take_back(module, region, grdma_count_of(block, id));
    return is_over(region) && has_one_hint(module, start) ? answer_slowly(module, sought)
                                                          : answer_by_any_hint(module, block, sought);
}

/* What the thread remembers is not it, or was wiped, because this is a fork child: the first hint of the page. With many
 * regions a lookup waits for memory twice, one after the other, and how many lookups a processor has on their way depends on how
 * few instructions each takes: what is needed here is read from the hints' head, so that nothing but the arguments is kept. */
ON_A_LINE mca_rcache_answer_t grdma_unknown(mca_rcache_block_t *base_block, uintptr_t start, uintptr_t last,
                                            mca_rcache_base_module_t *module, int32_t access)
{
    grdma_block_t *block = (grdma_block_t *) base_block;
    const grdma_hints_t *hints = atomic_load_explicit(&grdma_of(module)->hints, memory_order_acquire);
    const uint64_t hash = grdma_hint_hash(start, 0);
    _Atomic uint32_t *bucket = grdma_hint_bucket(hints, hash);
    const grdma_hint_matches_t matches = grdma_hint_matches(bucket, hash);

    if (__builtin_expect(matches == 0, 0)) {
        return answer_unknown(block, start, last, access);
    }
    const uint32_t id = id_in(grdma_hint_first(bucket, matches));
    grdma_region_t *region = (grdma_region_t *) (void *) (hints->regions + id * hints->stride);
    grdma_take(grdma_count_of(block, id));
    if (__builtin_expect(!is_wanted(region, (sought_t){ start, last, access }), 0)
        && !mca_rcache_is_told_well(&region->super, start, last, access)) {
        return answer_refused(block, start, last, id, access);
    }
    uint32_t again = id; /* Else the address of its count is kept, by one more instruction that waits. */
    __asm__("" : "+r"(again));
    grdma_remember_repeated(block, start, again, region);
    return answer_hit(block, region);
}

/* A reference was counted to what the thread remembers there, and it takes a second look. */
static __attribute__((noinline)) mca_rcache_answer_t answer_found(const mca_rcache_found_t *found, sought_t sought)
{
    grdma_block_t *block = (grdma_block_t *) found->block;
    const grdma_region_t *region = (const grdma_region_t *) found->reg;

    if (is_as_told(region, sought)) {
        return answer_hit(block, region);
    }
    mca_rcache_front_t *front = mca_rcache_front_of(&block->super, sought.start);
    if (is_over(region) || sought.start >= front->base) { /* Else it only ends there. */
        front->size = 0;
    }
    take_back(block->module, region, found->count);
    return grdma_unknown(&block->super, sought.start, sought.last, &block->module->super, sought.access);
}

/* A hit in the user's code has come to that. */
mca_rcache_answer_t grdma_refused(const mca_rcache_found_t *found, uintptr_t start, uintptr_t last,
                                  mca_rcache_base_module_t *base_module, int32_t access)
{
    (void) base_module; /* It is the block's. */
    return answer_found(found, (sought_t){ start, last, access });
}

ON_A_LINE int grdma_register(mca_rcache_base_module_t *base_module, void *addr, size_t size, uint32_t flags,
                             int32_t access, mca_rcache_base_registration_t **reg)
{
    const uintptr_t start = (uintptr_t) addr;
    uintptr_t last = start + size - 1;
    mca_rcache_found_t found;

    __asm__("" : "+r"(last)); /* As in mca_rcache_base_register(). */
    const mca_rcache_look_t look = __builtin_expect(flags == 0, 1) && mca_rcache_is_access(access)
                                       ? mca_rcache_look(base_module, start, last, access, &found)
                                       : MCA_RCACHE_LOOK_ATTENTION;
    if (MCA_RCACHE_LIKELY(look == MCA_RCACHE_LOOK_HIT)) {
        *reg = found.reg;
        return OPAL_SUCCESS;
    }
    if (look == MCA_RCACHE_LOOK_UNKNOWN) {
        return mca_rcache_take_answer(grdma_unknown(found.block, start, last, base_module, access), reg);
    }
    if (look == MCA_RCACHE_LOOK_REFUSED) {
        const mca_rcache_found_t refused = found; /* So that the other need not be in memory. */

        return mca_rcache_take_answer(answer_found(&refused, (sought_t){ start, last, access }), reg);
    }
    return register_slowly(grdma_of(base_module), addr, size, flags, access, reg);
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

/* A reference to a region that is INVALID has been given back. Nothing becomes of a fork parent's. */
static __attribute__((noinline)) int care_for(grdma_module_t *module, uint32_t id)
{
    const uint32_t flags = grdma_is_inherited(module, id) ? 0 : grdma_flags(grdma_at(module, id));

    return (flags & GRDMA_LIMBO) != 0 ? grdma_limbo_returned(module, (flags & GRDMA_ORPHAN) != 0) : OPAL_SUCCESS;
}

/* A thread that has used this cache not, or not lately; or what was registered for one use. Whose end that is, is decided before
 * the reference is counted: afterwards somebody else may end an orphan, and its id have another life. */
static __attribute__((noinline)) int put_slowly(grdma_module_t *module, grdma_region_t *region)
{
    const uint32_t id = region->super.cache_id & ~GRDMA_ONCE;
    const bool was_for_once = (region->super.cache_id & GRDMA_ONCE) != 0;

    if (grdma_is_inherited(module, id)) {
        return OPAL_SUCCESS;
    }
    prepare(module);
    if (grdma_is_inherited(module, id)) { /* A provider that was called may have forked. */
        return OPAL_SUCCESS;
    }
    const bool is_ours = was_for_once && grdma_claim_one(module, id);
    grdma_block_t *block = grdma_block_get(module);
    if (block != NULL) {
        grdma_put(grdma_count_of(block, id));
    } else {
        grdma_common_put(module, id);
    }
    if (!was_for_once) {
        return care_for(module, id);
    }
    return is_ours ? grdma_end_one(module, id) : grdma_limbo_returned(module, true);
}

/* In a fork child that may not know it yet: a count of a parent's region says nothing to anybody. */
ON_A_LINE int grdma_deregister(mca_rcache_base_module_t *base_module, mca_rcache_base_registration_t *reg)
{
    grdma_module_t *module = grdma_of(base_module);
    const uint32_t id = mca_rcache_id_of(base_module, reg);

    switch (mca_rcache_return(base_module, reg, id)) {
    case MCA_RCACHE_RETURN_DONE: return OPAL_SUCCESS;
    case MCA_RCACHE_RETURN_CARE: return care_for(module, id);
    default: return put_slowly(module, (grdma_region_t *) reg);
    }
}

int grdma_returned(mca_rcache_base_module_t *base_module, uint32_t id)
{
    return care_for(grdma_of(base_module), id);
}
