/* SPDX-License-Identifier: BSD-3-Clause */
/* The counting filter of page_filter.h, which argues why it is safe to read without
 * the lock. Slots are plain atomics: order comes from the callers' barriers, but for a slot that is lowered, which says that the
 * region was marked before. */
#include "rcache/grdma/page_filter.h"

#include <sys/mman.h>

#include "opal/constants.h"

enum { SLOT_MAX = UINT8_MAX, LOAD_SHIFT = 3, GROWTH_SHIFT = 2 };

typedef _Atomic(uint8_t) slot_t;

typedef struct granules_t {
    unsigned level;
    uintptr_t first, last;
} granules_t;

/* Where a region is counted; level PAGE_FILTER_LEVELS: nowhere, it is too large. */
static granules_t granules_of(uintptr_t first, uintptr_t last)
{
    granules_t found = { .level = 0 };
    for (; found.level < PAGE_FILTER_LEVELS; found.level++) {
        found.first = page_filter_granule(first, found.level);
        found.last = page_filter_granule(last, found.level);
        if (found.last - found.first < PAGE_FILTER_REGION_GRANULES) {
            break;
        }
    }
    return found;
}

static page_filter_table_t *current(const page_filter_t *filter)
{
    return atomic_load_explicit(&filter->table, memory_order_relaxed);
}

static void raise_slot(slot_t *slot, uint32_t *occupied)
{
    unsigned count = atomic_load_explicit(slot, memory_order_relaxed);
    *occupied += count == 0;
    if (count < SLOT_MAX) {
        atomic_store_explicit(slot, (uint8_t) (count + 1), memory_order_relaxed);
    }
}

static void lower_slot(slot_t *slot, uint32_t *occupied)
{
    unsigned count = atomic_load_explicit(slot, memory_order_relaxed);
    if (count > 0 && count < SLOT_MAX) {
        *occupied -= count == 1;
        atomic_store_explicit(slot, (uint8_t) (count - 1),
                              memory_order_release); /* The region was marked before. */
    }
}

static inline __attribute__((always_inline)) void change_slots(
    page_filter_table_t *table, const granules_t *granules, void (*change_slot)(slot_t *slot, uint32_t *occupied))
{
    if (granules->level < PAGE_FILTER_LEVELS) {
        for (uintptr_t number = granules->first; number <= granules->last; number++) {
            change_slot(&table->slot[page_filter_slot(table, granules->level, number)], &table->occupied);
        }
    }
}

static void flip_level(page_filter_t *filter, unsigned level)
{
    uint32_t levels = atomic_load_explicit(&filter->levels, memory_order_relaxed);
    atomic_store_explicit(&filter->levels, levels ^ 1u << level, memory_order_release); /* Likewise. */
}

static inline __attribute__((always_inline)) unsigned change(page_filter_table_t *table, uintptr_t first,
                                                             uintptr_t last,
                                                             void (*change_slot)(slot_t *slot, uint32_t *occupied))
{
    if (page_filter_is_one_granule(first, last)) {
        change_slot(&table->slot[page_filter_slot(table, 0, page_filter_granule(first, 0))], &table->occupied);
        return 0;
    }
    const granules_t granules = granules_of(first, last);
    change_slots(table, &granules, change_slot);
    return granules.level;
}

void page_filter_add(page_filter_t *filter, uintptr_t first, uintptr_t last)
{
    const unsigned level = change(current(filter), first, last, raise_slot);

    if (filter->regions[level]++ == 0) {
        flip_level(filter, level);
    }
}

void page_filter_remove(page_filter_t *filter, uintptr_t first, uintptr_t last)
{
    const unsigned level = change(current(filter), first, last, lower_slot);

    if (--filter->regions[level] == 0) {
        flip_level(filter, level);
    }
}

static bool level_may_hold(const page_filter_table_t *table, unsigned level, uintptr_t first, uintptr_t last)
{
    if (last - first >= PAGE_FILTER_PROBES) {
        return true;
    }
    for (uintptr_t number = first;;) {
        size_t block = page_filter_block(table, level, number);
        do {
            if (atomic_load_explicit(&table->slot[block ^ (number & (PAGE_FILTER_BLOCK_SLOTS - 1))],
                                     memory_order_acquire)
                != 0) {
                return true;
            }
            if (number++ == last) {
                return false;
            }
        } while ((number & (PAGE_FILTER_BLOCK_SLOTS - 1)) != 0);
    }
}

bool page_filter_may_hold_any(const page_filter_t *filter, uint32_t levels, uintptr_t first, uintptr_t last)
{
    if (levels >> PAGE_FILTER_LEVELS != 0) {
        return true;
    }
    const page_filter_table_t *table = atomic_load_explicit(&filter->table, memory_order_acquire);
    for (; levels != 0; levels &= levels - 1) {
        unsigned level = (unsigned) __builtin_ctz(levels);
        if (level_may_hold(table, level, page_filter_granule(first, level), page_filter_granule(last, level))) {
            return true;
        }
    }
    return false;
}

static size_t table_size(unsigned bits)
{
    return sizeof(page_filter_table_t) + ((size_t) 1 << bits);
}

page_filter_table_t *page_filter_table_map(unsigned bits)
{
    void *memory = mmap(NULL, table_size(bits), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    page_filter_table_t *table = memory;
    table->bits = bits;
    return table;
}

void page_filter_table_unmap(page_filter_table_t *table)
{
    (void) munmap(table, table_size(table->bits));
}

unsigned page_filter_wants(const page_filter_t *filter)
{
    unsigned bits = current(filter)->bits;
    return filter->building == NULL && bits + GROWTH_SHIFT <= PAGE_FILTER_BITS_MAX
                   && current(filter)->occupied > 1u << (bits - LOAD_SHIFT)
               ? bits + GROWTH_SHIFT
               : 0;
}

bool page_filter_grow_begin(page_filter_t *filter, page_filter_table_t *table)
{
    if (filter->building != NULL || table->bits <= current(filter)->bits) {
        return false;
    }
    filter->building = table;
    return true;
}

void page_filter_grow_add(page_filter_t *filter, uintptr_t first, uintptr_t last)
{
    (void) change(filter->building, first, last, raise_slot);
}

void page_filter_grow_remove(page_filter_t *filter, uintptr_t first, uintptr_t last)
{
    (void) change(filter->building, first, last, lower_slot);
}

void page_filter_grow_end(page_filter_t *filter)
{
    page_filter_table_t *table = filter->building;
    table->older = current(filter);
    atomic_store_explicit(&filter->table, table, memory_order_release);
    filter->building = NULL;
}

static size_t chain_size(const page_filter_table_t *table)
{
    size_t size = 0;
    for (; table != NULL; table = table->older) {
        size += table_size(table->bits);
    }
    return size;
}

size_t page_filter_size(const page_filter_t *filter)
{
    return chain_size(current(filter)) + chain_size(filter->unused) + chain_size(filter->building);
}

static void clear_regions(page_filter_t *filter)
{
    atomic_store_explicit(&filter->levels, 0, memory_order_relaxed);
    for (unsigned level = 0; level <= PAGE_FILTER_LEVELS; level++) {
        filter->regions[level] = 0;
    }
}

int page_filter_init(page_filter_t *filter)
{
    page_filter_table_t *table = page_filter_table_map(PAGE_FILTER_BITS_MIN);
    if (table == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    atomic_init(&filter->table, table);
    atomic_init(&filter->levels, 0);
    clear_regions(filter);
    filter->building = filter->unused = NULL;
    return OPAL_SUCCESS;
}

static void unmap_chain(page_filter_table_t *table)
{
    while (table != NULL) {
        page_filter_table_t *older = table->older;
        page_filter_table_unmap(table);
        table = older;
    }
}

void page_filter_destroy(page_filter_t *filter)
{
    unmap_chain(current(filter));
    unmap_chain(filter->unused);
    unmap_chain(filter->building);
    atomic_store_explicit(&filter->table, NULL, memory_order_relaxed);
    clear_regions(filter);
    filter->building = filter->unused = NULL;
}

/* Clearing a large table would copy all of its pages in the child: the first, small one is used again. */
void page_filter_reset(page_filter_t *filter)
{
    page_filter_table_t *table = current(filter), *newer = NULL;
    for (; table->older != NULL; table = table->older) {
        newer = table;
    }
    if (newer != NULL) {
        newer->older = filter->unused;
        filter->unused = current(filter);
    }
    if (filter->building != NULL && filter->building != current(filter)) {
        filter->building->older = filter->unused;
        filter->unused = filter->building;
    }
    filter->building = NULL;
    table->occupied = 0;
    for (size_t i = 0; i < (size_t) 1 << table->bits; i++) {
        atomic_store_explicit(&table->slot[i], 0, memory_order_relaxed);
    }
    clear_regions(filter);
    atomic_store_explicit(&filter->table, table, memory_order_release);
}
