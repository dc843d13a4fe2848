/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids of regions, their memory, and the hints that lead to them. */
#include <sys/mman.h>
#include <sys/resource.h>

#include "rcache/grdma/grdma.h"

/* ---- Memory -------------------------------------------------------------------------------------- */

#define FIRST_CAPACITY ((uint32_t) 1024) /* For fewer it is no use to make a cache. */
#define MOST_BYTES ((size_t) 64 << 30)
/* A huge page that is used in part only is a great part of less. */
#define HUGE_REGIONS_FROM ((size_t) 8 << 20)

static size_t bytes_of(const grdma_module_t *module, uint32_t ids)
{
    return (size_t) ids * module->stride;
}

/* Where addresses are limited, most of them are the program's. */
static size_t most_bytes(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur / 64 < MOST_BYTES ? (size_t) limit.rlim_cur / 64
                                                                                 : MOST_BYTES;
}

/* Where there are not so many addresses, or those that are locked at once (mlockall) count against a limit, it is a part of
 * what there is that is taken: so the next attempt is made with far fewer. */
bool grdma_regions_init(grdma_module_t *module)
{
    const size_t most = most_bytes();
    uint32_t ids = GRDMA_MAX_ID + 1;

    while (ids > FIRST_CAPACITY && bytes_of(module, ids) > most) {
        ids /= 2;
    }
    while ((module->regions = grdma_span_reserve(bytes_of(module, ids))) == NULL && ids > FIRST_CAPACITY) {
        ids = ids / 16 > FIRST_CAPACITY ? ids / 16 : FIRST_CAPACITY;
    }
    module->max_capacity = ids;
    return module->regions != NULL;
}

/* Fresh memory is zero, which reads as READY: but then base and bound are 0, which cover nothing, and hints to an id are
 * stored after its memory is there. No region has id 0; a hint that is taken away while somebody follows it leads there. */
static bool open_regions(const grdma_module_t *module, uint32_t from, uint32_t capacity)
{
    if (!grdma_span_open(module->regions, bytes_of(module, from), bytes_of(module, capacity), HUGE_REGIONS_FROM)) {
        return false;
    }
    __atomic_store_n(&grdma_at(module, 0)->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
    return true;
}

/* Blocks that came before `first` began with less. @return Is it done? */
static bool set_capacity(grdma_module_t *module, grdma_block_t *first, uint32_t capacity)
{
    bool is_everywhere = true;

    grdma_lock(module);
    for (grdma_block_t *block = first; block != NULL; block = block->next) {
        block->capacity = block->capacity > capacity ? block->capacity : capacity;
    }
    if (module->common->capacity < capacity) {
        module->common->capacity = capacity;
    }
    for (const grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        is_everywhere &= block->capacity >= capacity;
    }
    if (is_everywhere && module->capacity < capacity) {
        module->capacity = capacity;
    }
    grdma_unlock(module);
    return is_everywhere;
}

/* Any number of threads may do this at once: each opens all that is missing before it says so. */
static bool open_to(grdma_module_t *module, uint32_t from, uint32_t capacity)
{
    grdma_block_t *first;

    do {
        first = atomic_load(&module->blocks);
        if (!open_regions(module, from, capacity) || !grdma_makers_open(module, from, capacity)
            || !grdma_block_open(module, module->common, from, capacity)
            || !grdma_blocks_open(module, first, from, capacity)) {
            return false;
        }
    } while (!set_capacity(module, first, capacity));
    return true;
}

int grdma_regions_grow(grdma_module_t *module, uint32_t needed)
{
    grdma_lock(module);
    const uint32_t from = module->capacity;
    grdma_unlock(module);
    uint32_t capacity = from != 0 ? from : FIRST_CAPACITY;

    while (capacity <= needed && capacity < module->max_capacity) {
        capacity *= 2;
    }
    if (capacity <= needed) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return capacity <= from || open_to(module, from, capacity) ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

void grdma_regions_free(grdma_module_t *module)
{
    if (module->regions != NULL) {
        munmap(module->regions, bytes_of(module, module->max_capacity));
    }
}

/* ---- Ids ----------------------------------------------------------------------------------------- */

uint32_t grdma_id_take_locked(grdma_module_t *module)
{
    uint32_t id = grdma_list_take(module, &module->free);

    if (id == 0 && module->high < module->capacity) {
        id = module->high++;
    }
    module->live += id != 0;
    return id;
}

void grdma_id_give_locked(grdma_module_t *module, uint32_t id)
{
    grdma_list_add(module, &module->free, id);
    module->live--;
}

void grdma_ids_give_locked(grdma_module_t *module, grdma_list_t *list, uint32_t *end, uint32_t count)
{
    *end = module->free.first;
    module->free.first = list->first;
    list->first = 0;
    module->live -= count;
}

/* ---- Hints --------------------------------------------------------------------------------------- */

/* The coarsest block over the address that lies within [first, last]. */
static unsigned level_of(uintptr_t address, uintptr_t first, uintptr_t last)
{
    unsigned level = (last - first + 1) >> grdma_hint_bits(1) == 0 ? 0 : GRDMA_HINT_LEVELS - 1;

    for (; level > 0; level--) {
        const uintptr_t mask = ((uintptr_t) 1 << grdma_hint_bits(level)) - 1;

        if ((address & ~mask) >= first && (address | mask) <= last) {
            break;
        }
    }
    return level;
}

static bool is_stale(const grdma_module_t *module, uint32_t slot)
{
    return (grdma_flags(grdma_at(module, slot & GRDMA_HINT_ID_MASK)) & GRDMA_HIDDEN) != 0;
}

/* One that leads nowhere; NULL: none does. */
static _Atomic uint32_t *stale_slot(const grdma_module_t *module, _Atomic uint32_t *bucket)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        if (is_stale(module, atomic_load_explicit(&bucket[i], memory_order_acquire))) {
            return &bucket[i];
        }
    }
    return NULL;
}

/* Where is the hint to where the region begins? It may be filled in just now: then the answer is a bucket of no use. */
static _Atomic uint32_t *home_of(const grdma_hints_t *hints, const grdma_region_t *region)
{
    const uintptr_t first = (uintptr_t) __atomic_load_n(&region->super.base, __ATOMIC_RELAXED);
    const uintptr_t last = (uintptr_t) __atomic_load_n(&region->super.bound, __ATOMIC_RELAXED);

    return grdma_hint_bucket(hints, grdma_hint_hash(first, level_of(first, first, last)));
}

/* One whose id is a region's by now that begins elsewhere: most likely the id has another life, since few hints are to places
 * inside of regions. NULL: none. */
static _Atomic uint32_t *strange_slot(const grdma_module_t *module, const grdma_hints_t *hints,
                                      _Atomic uint32_t *bucket)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        const uint32_t id = atomic_load_explicit(&bucket[i], memory_order_acquire) & GRDMA_HINT_ID_MASK;
        _Atomic uint32_t *home = home_of(hints, grdma_at(module, id));

        if (home != bucket && home != grdma_hint_other_bucket(bucket)) {
            return &bucket[i];
        }
    }
    return NULL;
}

static _Atomic uint32_t *empty_slot(_Atomic uint32_t *bucket)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        if (atomic_load_explicit(&bucket[i], memory_order_relaxed) == 0) {
            return &bucket[i];
        }
    }
    return NULL;
}

/* Where it is already, or one with this tag that leads nowhere: whoever follows that one first pays for it. NULL: neither. */
static _Atomic uint32_t *own_slot(const grdma_module_t *module, _Atomic uint32_t *bucket, uint64_t hash,
                                  uint32_t value)
{
    grdma_hint_matches_t matches = grdma_hint_matches(bucket, hash);

    for (; matches != 0; matches = grdma_hint_others(matches)) {
        _Atomic uint32_t *slot = grdma_hint_first(bucket, matches);
        const uint32_t held = atomic_load_explicit(slot, memory_order_acquire);

        if (held == value || is_stale(module, held)) {
            return slot;
        }
    }
    return NULL;
}

/* The slot for a hint. Regions of others are looked at only when its bucket has no empty one. Where all of them are of use, it is
 * not always the same that gives way: two that are asked for by turns would drive each other out for good. */
static _Atomic uint32_t *choose_slot(const grdma_module_t *module, const grdma_hints_t *hints, uint64_t hash,
                                     uint32_t value)
{
    _Atomic uint32_t *bucket = grdma_hint_bucket(hints, hash);
    _Atomic uint32_t *other = grdma_hint_other_bucket(bucket), *slot = own_slot(module, bucket, hash, value);

    if (slot == NULL && (slot = empty_slot(bucket)) == NULL && (slot = stale_slot(module, bucket)) == NULL
        && (slot = own_slot(module, other, hash, value)) == NULL && (slot = empty_slot(other)) == NULL
        && (slot = stale_slot(module, other)) == NULL && (slot = strange_slot(module, hints, bucket)) == NULL) {
        slot = strange_slot(module, hints, other);
    }
    return slot != NULL ? slot : &bucket[grdma_clock_ticks() % GRDMA_HINT_BUCKET];
}

static void learn(grdma_module_t *module, grdma_hints_t *hints, uintptr_t address, const grdma_region_t *region)
{
    const unsigned level = level_of(address, grdma_first(region), grdma_last(region));
    const uint64_t hash = grdma_hint_hash(address, level);
    const uint32_t value = grdma_hint_slot(hash, region->super.cache_id);

    atomic_store_explicit(choose_slot(module, hints, hash, value), value, memory_order_release);
    if ((atomic_load_explicit(&module->hint_levels, memory_order_relaxed) & 1u << level) == 0) {
        atomic_fetch_or_explicit(&module->hint_levels, 1u << level, memory_order_relaxed);
    }
}

void grdma_hint_learn(grdma_module_t *module, uintptr_t address, const grdma_region_t *region)
{
    learn(module, atomic_load_explicit(&module->hints, memory_order_acquire), address, region);
}

/* The hints to the starts of all regions that can be found; others come back by themselves, when they are asked for. */
static void refill(grdma_module_t *module, grdma_hints_t *hints, uint32_t high)
{
    for (uint32_t id = atomic_load(&module->first_own); id < high; id++) {
        const grdma_region_t *region = grdma_at(module, id);

        if ((grdma_flags(region) & (GRDMA_HIDDEN | GRDMA_INDEXED)) == GRDMA_INDEXED) {
            learn(module, hints, grdma_first(region), region);
        }
    }
}

grdma_hints_t *grdma_hints_head(grdma_module_t *module)
{
    if (atomic_load_explicit(&module->hint_heads_used, memory_order_relaxed) >= GRDMA_HINT_HEADS) {
        return NULL;
    }
    const uint32_t number = atomic_fetch_add(&module->hint_heads_used, 1);
    return number < GRDMA_HINT_HEADS ? &module->hint_heads[number] : NULL;
}

void grdma_hints_head_unused(grdma_module_t *module, const grdma_hints_t *head)
{
    const uint32_t number = (uint32_t) (head - module->hint_heads);
    uint32_t used = number + 1;

    atomic_compare_exchange_strong(&module->hint_heads_used, &used, number);
}

void grdma_hints_fit(grdma_module_t *module)
{
    grdma_hints_t *old = atomic_load_explicit(&module->hints, memory_order_acquire);
    const uint32_t live = atomic_load_explicit(&module->live, memory_order_relaxed);

    if (live <= old->buckets * (GRDMA_HINT_BUCKET / 2)) {
        return;
    }
    grdma_hints_t *head = grdma_hints_head(module);
    if (head == NULL) {
        return; /* It works with the old one. */
    }
    *head = (grdma_hints_t){ .regions = module->regions, .stride = module->stride, .older = old };
    if (!grdma_hints_make(head, (size_t) live * 2)) {
        grdma_hints_head_unused(module, head);
        return;
    }
    if (!atomic_compare_exchange_strong(&module->hints, &old, head)) {
        grdma_hints_discard(head);
        return;
    }
    grdma_hints_give_back(old);
    refill(module, head, atomic_load_explicit(&module->high, memory_order_relaxed));
}

/* ---- The page filter ----------------------------------------------------------------------------- */

/* Regions in one hold of the lock: each may take a fresh page of the table, and hooks cannot get the lock meanwhile. */
#define STEPS_A_HOLD 64

/* @return Is it over? */
static bool count_some_locked(grdma_module_t *module)
{
    uint32_t id = module->filter_done;

    for (; id < module->high && id < module->filter_done + STEPS_A_HOLD; id++) {
        const grdma_region_t *region = grdma_at(module, id);

        if ((grdma_flags(region) & GRDMA_INDEXED) != 0) {
            page_filter_grow_add(&module->filter, grdma_first(region), grdma_last(region));
        }
    }
    module->filter_done = id;
    if (id < module->high) {
        return false;
    }
    page_filter_grow_end(&module->filter);
    module->filter_done = 0;
    return true;
}

/* A fork child that finds itself here has forgotten the growth. */
static void count_all(grdma_module_t *module)
{
    for (bool is_over = false; !is_over;) {
        grdma_lock(module);
        is_over = module->filter_done == 0 || count_some_locked(module);
        grdma_unlock(module);
    }
}

void grdma_filter_grow(grdma_module_t *module, unsigned bits)
{
    page_filter_table_t *table = page_filter_table_map(bits);

    if (table == NULL) {
        return; /* It works with the old one. */
    }
    grdma_lock(module);
    const bool is_begun = page_filter_grow_begin(&module->filter, table);
    if (is_begun) {
        module->filter_done = atomic_load(&module->first_own);
    }
    grdma_unlock(module);
    if (is_begun) {
        count_all(module);
    } else {
        page_filter_table_unmap(table);
    }
}
