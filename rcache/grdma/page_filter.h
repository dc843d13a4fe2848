/* SPDX-License-Identifier: BSD-3-Clause */
/* Is anything of an address range perhaps cached? A counting filter that hooks
 * read without the lock and without writing: most releases end here.
 *
 * Granules of 64 KiB, 16 MiB, 4 GiB and 1 TiB. A region is counted in each granule that it touches, at the finest
 * level where these are at most 16 (so up to 16 TiB; a larger one makes every answer yes). One table of 8-bit
 * counters serves all levels; 64 neighbouring granules share a line of it, which a hash picks.
 *   slot == the regions counted in the granules that fall on it, or 255: then it never falls again.
 * A slot that stays too high only makes an answer yes that could be no, so 255 is safe; the next growth counts
 * anew. It takes 255 regions that overlap within one granule to get there.
 *
 * Why a reader misses nothing. The maker of a region adds it, then has a full barrier, then looks for open windows;
 * a release opens its window, then has a full barrier, then asks the filter. (Both are the callers' part.) If the
 * maker does not see the window, its stores come before the reader's loads: the level's bit, the counters, and the
 * table, if the maker or anyone before it under the lock replaced that. So the reader finds the region.
 *   That holds also for a reader that got its table before another one took its place. Regions added before that moment
 * are in the old table, however long it took to fill the new one; it keeps its contents then, and stays mapped as long
 * as the filter. Regions added after it were added while the reader's window was open, and their makers see it.
 *   Regions share slots, but only holders of the lock write them: no count is lost. */
#ifndef RCACHE_GRDMA_PAGE_FILTER_H
#define RCACHE_GRDMA_PAGE_FILTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGE_FILTER_LEVELS = 4,
    PAGE_FILTER_SHIFT = 16,     /**< The finest granule, as a power of two. */
    PAGE_FILTER_SHIFT_STEP = 8, /**< From one level to the next. */
    PAGE_FILTER_REGION_GRANULES = 16,
    PAGE_FILTER_PROBES = 64,   /**< A range over more granules of a level is not looked up: yes. */
    PAGE_FILTER_BITS_MIN = 12, /**< Slots of the first table, as a power of two. */
    PAGE_FILTER_BITS_MAX = 28,
};

enum { PAGE_FILTER_BLOCK_SHIFT = 6, PAGE_FILTER_BLOCK_SLOTS = 1 << PAGE_FILTER_BLOCK_SHIFT };

typedef struct page_filter_table_t {
    unsigned bits;                     /**< 2^bits slots. Constant. */
    uint32_t occupied;                 /**< Those that are not 0. The lock's. */
    struct page_filter_table_t *older; /**< The one that this replaced. */
    _Alignas(64) _Atomic uint8_t slot[];
} page_filter_table_t;

typedef struct page_filter_t {
    /** What hooks read: by itself in a line that changes only when a level's first region comes or its last goes. */
    _Alignas(64) _Atomic(page_filter_table_t *) table;
    _Atomic(uint32_t)
        levels; /**< Bit l: level l has regions; bit PAGE_FILTER_LEVELS: some are too large for all. */
    /** The lock's. */
    _Alignas(64) uint32_t regions[PAGE_FILTER_LEVELS + 1];
    page_filter_table_t *building; /**< Between grow_begin and grow_end. */
    page_filter_table_t *unused;   /**< Tables from before a reset. */
} page_filter_t;

/** @return OPAL_SUCCESS, OPAL_ERR_OUT_OF_RESOURCE. Not from hook context. */
int page_filter_init(page_filter_t *filter);

/** Unmaps all tables; nobody may be asking. Not from hook context. */
void page_filter_destroy(page_filter_t *filter);

/** Forget all regions, whatever state another thread left the filter in: for a fork's child. Hook context. */
void page_filter_reset(page_filter_t *filter);

/** Count the bytes [first, last]. Under the lock. Hook context. */
void page_filter_add(page_filter_t *filter, uintptr_t first, uintptr_t last);

/** Undo one page_filter_add() of the same bytes. Under the lock. Hook context. */
void page_filter_remove(page_filter_t *filter, uintptr_t first, uintptr_t last);

static inline uintptr_t page_filter_granule(uintptr_t address, unsigned level)
{
    return address >> (PAGE_FILTER_SHIFT + level * PAGE_FILTER_SHIFT_STEP);
}

/** Most regions are small, and lie in one granule. */
static inline bool page_filter_is_one_granule(uintptr_t first, uintptr_t last)
{
    return page_filter_granule(first, 0) == page_filter_granule(last, 0);
}

/** The 64 granules around this one have the slots x ^ 0 to x ^ 63, x being the result: in one line, and in each block in
 * another order, so that regions that lie 4 MiB apart do not share the few slots of one column. */
static inline size_t page_filter_block(const page_filter_table_t *table, unsigned level, uintptr_t number)
{
    const uint64_t key = (uint64_t) (number >> PAGE_FILTER_BLOCK_SHIFT) * PAGE_FILTER_LEVELS + level;

    return (size_t) ((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - table->bits));
}

static inline size_t page_filter_slot(const page_filter_table_t *table, unsigned level, uintptr_t number)
{
    return page_filter_block(table, level, number) ^ (number & (PAGE_FILTER_BLOCK_SLOTS - 1));
}

/** That of the next one, for ranges and regions of all sizes. */
bool page_filter_may_hold_any(const page_filter_t *filter, uint32_t levels, uintptr_t first, uintptr_t last);

/** Has a region over some of the bytes [first, last] been added? No lock, no writes. Hook context.
 * @return false: none has, under the rule above. true: perhaps. */
static inline bool page_filter_may_hold(const page_filter_t *filter, uintptr_t first, uintptr_t last)
{
    const uint32_t levels = atomic_load_explicit(&filter->levels, memory_order_acquire);

    if (levels != 1 || !page_filter_is_one_granule(first, last)) {
        return page_filter_may_hold_any(filter, levels, first, last);
    }
    /* Acquire: a table that was filled by somebody else. */
    const page_filter_table_t *table = atomic_load_explicit(&filter->table, memory_order_acquire);
    return atomic_load_explicit(&table->slot[page_filter_slot(table, 0, page_filter_granule(first, 0))],
                                memory_order_acquire)
           != 0;
}

/** Is the table so full that it answers yes too often? Under the lock.
 * @return 0: no. Else the bits of a larger one:
 *
 *   lock; bits = page_filter_wants(filter); unlock;
 *   if bits: table = page_filter_table_map(bits);    // NULL: go on with the old one, which answers yes more often
 *   lock; begun = page_filter_grow_begin(filter, table); unlock
 *   if not begun: page_filter_table_unmap(table)                                    // another thread was faster
 *   else, in as many holds of the lock as there are steps: page_filter_grow_add(filter, first, last) for each region that
 *   is counted; in the last hold page_filter_grow_end(filter)
 *
 * Between the steps a region that is removed is taken back from the new table, too, if it has come in there already; one
 * that is added comes in with its step, or at once if that is over. */
unsigned page_filter_wants(const page_filter_t *filter);

/** Bytes of all tables. Under the lock. */
size_t page_filter_size(const page_filter_t *filter);

/** An empty table; needs no lock. @return NULL: no memory. */
page_filter_table_t *page_filter_table_map(unsigned bits);

/** Only a table that was not handed over. Needs no lock. */
void page_filter_table_unmap(page_filter_table_t *table);

/** All under the lock. Until grow_end the old table is read, and counts all that is added.
 * @return false: the filter's table is as large already, or another one is being filled; this one stays the caller's. */
bool page_filter_grow_begin(page_filter_t *filter, page_filter_table_t *table);
void page_filter_grow_add(page_filter_t *filter, uintptr_t first, uintptr_t last);
void page_filter_grow_remove(page_filter_t *filter, uintptr_t first, uintptr_t last);
void page_filter_grow_end(page_filter_t *filter);

#endif
