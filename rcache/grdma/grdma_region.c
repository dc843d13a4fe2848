/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids of regions, their memory, and the hints that lead to them. */
#include <errno.h>
#include <sys/mman.h>

#include "rcache/grdma/grdma.h"

/* ---- Memory -------------------------------------------------------------------------------------- */

/* A huge page that is used in part only is a great part of a smaller chunk. */
#define HUGE_FROM ((size_t) 8 << 20)

static size_t chunk_bytes(const grdma_module_t *module, unsigned chunk)
{
    return (size_t) grdma_chunk_length(chunk) * module->stride;
}

/* Fresh memory is zero, which reads as READY: but then base and bound are 0, which cover nothing, and hints to an id are
 * stored after its chunk. */
static int make_chunk(grdma_module_t *module, unsigned chunk)
{
    const size_t size = chunk_bytes(module, chunk);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t expected = 0;

    if (memory == MAP_FAILED) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
#ifdef MADV_HUGEPAGE
    if (size >= HUGE_FROM) {
        madvise(memory, size, MADV_HUGEPAGE);
    }
#endif
    if (!atomic_compare_exchange_strong(&module->chunks[chunk], &expected,
                                        (uintptr_t) memory
                                            - (uintptr_t) grdma_chunk_start(chunk) * module->stride)) {
        munmap(memory, size); /* Another thread was faster. */
    }
    return OPAL_SUCCESS;
}

int grdma_regions_grow(grdma_module_t *module, uint32_t needed)
{
    int rc = OPAL_SUCCESS;

    if (needed > GRDMA_MAX_ID) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    for (unsigned chunk = GRDMA_FIRST_CHUNK; chunk <= grdma_chunk_of(needed) && rc == OPAL_SUCCESS; chunk++) {
        if (atomic_load(&module->chunks[chunk]) == 0) {
            rc = grdma_common_fit(module, chunk) && grdma_makers_fit(module, chunk) ? make_chunk(module, chunk)
                                                                                    : OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    return rc;
}

void grdma_regions_free(grdma_module_t *module)
{
    for (unsigned chunk = GRDMA_FIRST_CHUNK; chunk < GRDMA_CHUNKS; chunk++) {
        const uintptr_t biased = atomic_load(&module->chunks[chunk]);

        if (biased != 0) {
            munmap((void *) (biased + (uintptr_t) grdma_chunk_start(chunk) * module->stride),
                   chunk_bytes(module, chunk));
        }
    }
}

/* ---- Ids ----------------------------------------------------------------------------------------- */

uint32_t grdma_id_take_locked(grdma_module_t *module)
{
    uint32_t id = grdma_list_take(module, &module->free);

    if (id == 0 && module->high <= GRDMA_MAX_ID
        && atomic_load_explicit(&module->chunks[grdma_chunk_of(module->high)], memory_order_relaxed) != 0) {
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

/* The coarsest block over the address that lies within the region. */
static unsigned level_of(uintptr_t address, const grdma_region_t *region)
{
    unsigned level = grdma_length(region) >> grdma_hint_bits(1) == 0 ? 0 : GRDMA_HINT_LEVELS - 1;

    for (; level > 0; level--) {
        const uintptr_t mask = ((uintptr_t) 1 << grdma_hint_bits(level)) - 1;

        if ((address & ~mask) >= grdma_first(region) && (address | mask) <= grdma_last(region)) {
            break;
        }
    }
    return level;
}

static bool is_stale(const grdma_module_t *module, uint32_t slot)
{
    return (grdma_flags(grdma_at(module, slot & GRDMA_HINT_ID_MASK)) & GRDMA_HIDDEN) != 0;
}

/* One that leads nowhere, or any. */
static _Atomic uint32_t *worst_slot(const grdma_module_t *module, _Atomic uint32_t *bucket, uint32_t value)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        if (is_stale(module, atomic_load_explicit(&bucket[i], memory_order_acquire))) {
            return &bucket[i];
        }
    }
    return &bucket[value % GRDMA_HINT_BUCKET];
}

/* The slot for a hint: where it is already, or one with this tag that leads nowhere (whoever follows that one first pays for
 * it); else an empty one. Only when there is none, the regions of the others are looked at. */
static _Atomic uint32_t *choose_slot(const grdma_module_t *module, _Atomic uint32_t *bucket, uint32_t value)
{
    unsigned matches = grdma_hint_matches(bucket, value & ~GRDMA_HINT_ID_MASK);

    for (; matches != 0; matches &= matches - 1) {
        _Atomic uint32_t *slot = &bucket[__builtin_ctz(matches)];
        const uint32_t held = atomic_load_explicit(slot, memory_order_acquire);

        if (held == value || is_stale(module, held)) {
            return slot;
        }
    }
    const unsigned empty = grdma_hint_matches(bucket, 0);
    return empty != 0 ? &bucket[__builtin_ctz(empty)] : worst_slot(module, bucket, value);
}

static void learn(grdma_module_t *module, grdma_hints_t *hints, uintptr_t address, const grdma_region_t *region)
{
    const unsigned level = level_of(address, region);
    const uint64_t hash = grdma_hint_hash(address, level);
    const uint32_t value = grdma_hint_tag(hash) | region->super.cache_id;

    atomic_store_explicit(choose_slot(module, grdma_hint_bucket(hints, hash), value), value, memory_order_release);
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
    grdma_hints_t *hints = grdma_hints_make(head, (size_t) live * 2, old);
    if (hints == NULL) {
        grdma_hints_head_unused(module, head);
        return;
    }
    if (!atomic_compare_exchange_strong(&module->hints, &old, hints)) {
        grdma_hints_discard(hints);
        return;
    }
    grdma_hints_give_back(old);
    refill(module, hints, atomic_load_explicit(&module->high, memory_order_relaxed));
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
