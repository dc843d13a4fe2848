/* SPDX-License-Identifier: BSD-3-Clause */
/* Ids of regions, their memory, and the growth of the page filter. */
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
    return (size_t) ids << module->super.id_shift;
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
    while ((module->super.registrations = grdma_span_reserve(bytes_of(module, ids))) == NULL
           && ids > FIRST_CAPACITY) {
        ids = ids / 16 > FIRST_CAPACITY ? ids / 16 : FIRST_CAPACITY;
    }
    module->max_capacity = ids;
    return module->super.registrations != NULL;
}

/* Fresh memory is zero, which reads as READY: but then base and bound are 0, which cover nothing, and hints to an id are
 * stored after its memory is there. No region has id 0; a hint that is taken away while somebody follows it leads there. */
static bool open_regions(const grdma_module_t *module, uint32_t from, uint32_t capacity)
{
    if (!grdma_span_open(module->super.registrations, bytes_of(module, from), bytes_of(module, capacity),
                         HUGE_REGIONS_FROM)) {
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
    if (module->super.registrations != NULL) {
        munmap(module->super.registrations, bytes_of(module, module->max_capacity));
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
