/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hit does not find: looks it up under the lock, or makes room for it and has it pinned. */
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "framework/memory/memory_base.h"
#include "framework/util/barrier.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_room.h"
#include "rcache/grdma/grdma_self.h"

/* ---- Looking, under the lock ---------------------------------------------------------------------- */

typedef struct look_t {
    const grdma_module_t *module;
    int32_t access;
} look_t;

static bool grants(uint32_t id, void *arg)
{
    const look_t *look = arg;
    const grdma_region_t *region = grdma_at(look->module, id);
    return (grdma_flags(region) & GRDMA_HIDDEN) == 0
           && (region->super.access_flags & look->access) == look->access;
}

static bool can_be_replaced(uint32_t id, void *arg)
{
    const look_t *look = arg;
    return (grdma_flags(grdma_at(look->module, id)) & GRDMA_KEPT) == 0;
}

static bool grants_soon(uint32_t id, void *arg)
{
    const look_t *look = arg;
    return (grdma_at(look->module, id)->super.access_flags & look->access) == look->access;
}

static uint32_t containing_locked(const grdma_module_t *module, const grdma_wish_t *wish,
                                  interval_btree_accept_fn_t accept)
{
    look_t look = { module, wish->access };
    return interval_index_containing(&module->index, wish->first >> module->page_shift,
                                     wish->last >> module->page_shift, accept, &look);
}

/* Mostly the page filter knows that there is none: it has counted all that the index has. */
static bool has_overlap_locked(const grdma_module_t *module, const grdma_wish_t *wish)
{
    return page_filter_may_hold(&module->filter, wish->first, wish->last)
           && interval_index_is_overlapped(&module->index, wish->first >> module->page_shift,
                                           wish->last >> module->page_shift);
}

/* The wish covers the region, too, with the rights of both. */
static void include(grdma_wish_t *wish, const grdma_region_t *region)
{
    wish->first = grdma_first(region) < wish->first ? grdma_first(region) : wish->first;
    wish->last = grdma_last(region) > wish->last ? grdma_last(region) : wish->last;
    wish->access |= region->super.access_flags;
}

typedef struct merge_t {
    const grdma_module_t *module;
    grdma_wish_t *wish;
} merge_t;

/* What is in use, stays: it would be pinned twice. */
static bool include_idle(const interval_btree_entry_t *entry, void *arg)
{
    const merge_t *merge = arg;
    const grdma_region_t *region = grdma_at(merge->module, entry->id);

    if ((grdma_flags(region) & GRDMA_KEPT) == 0 && grdma_is_idle(merge->module, entry->id)) {
        include(merge->wish, region);
    }
    return true;
}

/* If a registration would do but for its rights, the new one covers it, with the rights of both. Of those that overlap in
 * part, if that is the policy: but not of those that overlap only the union. */
static void widen_locked(const grdma_module_t *module, grdma_wish_t *wish)
{
    const uint32_t id = containing_locked(module, wish, can_be_replaced);

    if (id != 0) {
        include(wish, grdma_at(module, id));
    } else if (module->merges) {
        merge_t merge = { module, wish };
        interval_index_visit_overlapping(&module->index, wish->first >> module->page_shift,
                                         wish->last >> module->page_shift, include_idle, &merge);
    }
}

/* ---- Finding -------------------------------------------------------------------------------------- */

/* A component says that the pages are not those that were watched, or that it does not know: so in_use_policy does not judge it.
 * The lookup's reference has been given back, so the id may be another region's by now: cookies tell. */
static void drop_changed(grdma_module_t *module, uint32_t id, uint64_t cookie)
{
    grdma_batch_t batch;
    grdma_region_t *region = grdma_at(module, id);

    grdma_lock(module);
    if ((grdma_flags(region) & (GRDMA_HIDDEN | GRDMA_INDEXED)) == GRDMA_INDEXED
        && region->super.watch.cookie == cookie) {
        grdma_batch_begin_locked(module, false, &batch);
        interval_index_remove(&module->index, grdma_first_page(module, region), grdma_last_page(module, region),
                              id);
        grdma_retire_locked(module, id, &batch);
        grdma_batch_end_locked(module, OPAL_MEM_HOOKS_CAUSE_KERNEL, &batch);
        grdma_leave(module, &batch.idle);
    }
    grdma_unlock(module);
    grdma_reap(module);
}

/* Is the region that was found, and is referred to, as it was? Else the reference is given back, and it is dropped. valid()
 * answers for what has not been delivered when it is asked; what was delivered since the region was found has marked it. */
static bool is_good(grdma_module_t *module, grdma_block_t *block, uint32_t id)
{
    grdma_region_t *region = grdma_at(module, id);
    const uint64_t cookie = region->super.watch.cookie;

    if (opal_memory_watch_holds(&region->super.watch)
        && ((grdma_flags(region) & GRDMA_ASK) == 0
            || (opal_memory_base_valid(region->super.base, grdma_length(region), &region->super.watch)
                && (grdma_flags(region) & GRDMA_HIDDEN) == 0))) {
        return true;
    }
    grdma_put(grdma_count_of(block, id));
    if ((grdma_flags(region) & GRDMA_LIMBO) != 0) { /* Retired meanwhile, and then this reference was seen. */
        grdma_limbo_returned_later(module);
    }
    drop_changed(module, id, cookie);
    return false;
}

/* With a reference. 0: there is none. */
static uint32_t find(grdma_module_t *module, grdma_block_t *block, const grdma_wish_t *wish)
{
    for (;;) {
        grdma_lock(module);
        const uint32_t id = containing_locked(module, wish, grants);
        if (id != 0) {
            grdma_take(grdma_count_of(block, id));
        }
        grdma_unlock(module);
        if (id == 0 || is_good(module, block, id)) {
            return id;
        }
    }
}

static void hand_out(grdma_module_t *module, grdma_block_t *block, uint32_t id, const grdma_wish_t *wish,
                     mca_rcache_base_registration_t **reg)
{
    mca_rcache_stats_bump(&block->counters->slow_hits);
    grdma_hint_learn(module, wish->first, id);
    *reg = &grdma_at(module, id)->super;
}

int grdma_find_slowly(grdma_module_t *module, grdma_wish_t wish, mca_rcache_base_registration_t **reg)
{
    grdma_block_t *block = grdma_block_get(module);
    const uint32_t id = block != NULL ? find(module, block, &wish) : 0;

    if (id == 0) {
        return OPAL_ERR_NOT_FOUND;
    }
    hand_out(module, block, id, &wish, reg);
    return OPAL_SUCCESS;
}

/* ---- Room ----------------------------------------------------------------------------------------- */

static void unreserve_locked(grdma_module_t *module, size_t length)
{
    grdma_add_locked(&module->counters->bytes, -length);
    grdma_add_locked(&module->counters->count, UINT64_MAX);
    grdma_give_room(module, 1, length);
}

/* The index alone may lack memory, or the regions alone. */
int grdma_grow(grdma_module_t *module)
{
    grdma_lock(module);
    const uint32_t high = module->high;
    const bool lacks_ids = module->free.first == 0 && high >= module->capacity;
    const unsigned chunk = interval_index_lacks(&module->index);
    grdma_unlock(module);
    if (chunk != 0) {
        void *memory = interval_btree_chunk_map(chunk);
        if (memory == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
        grdma_lock(module);
        const bool added = interval_btree_chunk_add(&module->index.tree, chunk, memory);
        grdma_unlock(module);
        if (!added) {
            interval_btree_chunk_unmap(chunk, memory);
        }
    }
    return lacks_ids ? grdma_regions_grow(module, high) : OPAL_SUCCESS;
}

/* ---- A miss --------------------------------------------------------------------------------------- */

/* To a counter that this thread alone writes. */
static void add_to_own(_Atomic uint32_t *counter, uint32_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_release);
}

/* What became of a look under the lock. */
typedef enum look_result_t { FOUND, ANNOUNCED, AT_LIMIT, AT_PROCESS_LIMIT, NEEDS_MEMORY } look_result_t;

typedef struct miss_t {
    grdma_module_t *module;
    grdma_block_t *block;
    grdma_wish_t exact, wish; /* As asked for, and perhaps wider. */
    bool is_wide, may_widen;
    bool has_neighbours;  /* Others overlap it. */
    bool is_counted;      /* As a miss. */
    unsigned filter_bits; /* Of a better page filter; 0: this one is good. */
    uint32_t id;
} miss_t;

static bool is_sought(const grdma_wish_t *wish)
{
    return (wish->flags & (MCA_RCACHE_FLAGS_CACHE_BYPASS | MCA_RCACHE_FLAGS_PERSIST)) == 0;
}

static void choose_wish_locked(miss_t *miss)
{
    miss->wish = miss->exact;
    if (miss->may_widen && miss->has_neighbours && (miss->exact.flags & MCA_RCACHE_FLAGS_CACHE_BYPASS) == 0) {
        widen_locked(miss->module, &miss->wish);
    }
    miss->is_wide = miss->wish.first != miss->exact.first || miss->wish.last != miss->exact.last
                    || miss->wish.access != miss->exact.access;
}

static look_result_t look_locked(miss_t *miss)
{
    grdma_module_t *module = miss->module;

    miss->has_neighbours = has_overlap_locked(module, &miss->exact);
    if (miss->has_neighbours && is_sought(&miss->exact)
        && (miss->id = containing_locked(module, &miss->exact, grants)) != 0) {
        grdma_take(grdma_count_of(miss->block, miss->id));
        return FOUND;
    }
    grdma_add_locked(&module->counters->misses, !miss->is_counted);
    miss->is_counted = true;
    choose_wish_locked(miss);
    if (interval_index_lacks(&module->index) != 0) {
        return NEEDS_MEMORY;
    }
    if (!grdma_fits_locked(module, miss->wish.last - miss->wish.first + 1)) {
        return AT_LIMIT;
    }
    miss->id = grdma_id_take_locked(module);
    if (miss->id == 0) {
        return NEEDS_MEMORY;
    }
    if (!grdma_reserve_locked(module, miss->wish.last - miss->wish.first + 1)) {
        grdma_id_give_locked(module, miss->id);
        return AT_PROCESS_LIMIT;
    }
    grdma_fill_in(module, miss->id, &miss->wish);
    if ((miss->wish.flags & MCA_RCACHE_FLAGS_CACHE_BYPASS) == 0) {
        grdma_announce_locked(module, miss->id);
        miss->filter_bits = page_filter_wants(&module->filter);
    }
    grdma_count_registration_locked(module, miss->wish.last - miss->wish.first + 1, 1);
    add_to_own(&miss->block->pinning, 1);
    return ANNOUNCED;
}

static look_result_t look(miss_t *miss)
{
    grdma_lock(miss->module);
    const look_result_t result = look_locked(miss);
    grdma_unlock(miss->module);
    return result;
}

static void give_up(grdma_module_t *module, uint32_t id)
{
    const size_t length = grdma_length(grdma_at(module, id));
    grdma_lock(module);
    __atomic_store_n(&grdma_at(module, id)->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
    grdma_id_give_locked(module, id);
    unreserve_locked(module, length);
    grdma_count_registration_locked(module, length, UINT64_MAX);
    grdma_unlock(module);
}

/* Does it take more room than what was asked for? Then that is tried before anything is evicted. */
static bool is_longer(const miss_t *miss)
{
    return miss->wish.first != miss->exact.first || miss->wish.last != miss->exact.last;
}

/* The region has been announced. */
static int pin(miss_t *miss)
{
    grdma_module_t *module = miss->module;
    if (module->resources.in_use_policy == MCA_RCACHE_IN_USE_WARN) {
        grdma_note_maker(module, miss->id);
    }
    const int rc =
        grdma_pin(module, grdma_at(module, miss->id), miss->block, miss->has_neighbours, !is_longer(miss));

    if (!grdma_is_inherited(module, miss->id)) {
        if (rc != OPAL_SUCCESS) {
            give_up(module, miss->id);
        }
        add_to_own(&miss->block->pinning, UINT32_MAX);
    }
    return rc;
}

bool grdma_is_any_pinning(const grdma_module_t *module)
{
    bool is_any = false;

    for (const grdma_block_t *block = atomic_load(&module->blocks); block != NULL; block = block->next) {
        is_any |= atomic_load(&block->pinning) != 0;
    }
    return is_any;
}

/* At a limit: may another attempt do better? Somebody registers, or has just registered, what would do; or a
 * registration that counts is on its way in or out; or one has gone since. */
static bool may_change_soon(const miss_t *miss, bool of_process)
{
    grdma_module_t *module = miss->module;
    const size_t length = miss->wish.last - miss->wish.first + 1;

    if (of_process && grdma_process_may_change_soon(module, length)) {
        return true;
    }
    grdma_lock(module);
    const bool soon = containing_locked(module, &miss->exact, grants_soon) != 0 || grdma_is_any_pinning(module)
                      || grdma_is_any_ending(module) || (!of_process && grdma_fits_locked(module, length));
    grdma_unlock(module);
    return soon;
}

static bool exact_fits(miss_t *miss, bool of_process)
{
    const size_t length = miss->exact.last - miss->exact.first + 1;

    grdma_lock(miss->module);
    const bool fits = grdma_fits_locked(miss->module, length)
                      && (!of_process || mca_rcache_limits_fit(miss->module->accounts, length));
    grdma_unlock(miss->module);
    return fits;
}

/* @return OPAL_SUCCESS: try again. */
static int make_room(miss_t *miss, bool of_process, grdma_wait_t *wait)
{
    grdma_module_t *module = miss->module;

    if (!grdma_may_ever_fit(module, miss->wish.last - miss->wish.first + 1)) {
        if (!miss->is_wide) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
        miss->may_widen = false;
        return OPAL_SUCCESS;
    }
    if (is_longer(miss) && exact_fits(miss, of_process)) {
        miss->may_widen = false;
        return OPAL_SUCCESS;
    }
    if (grdma_evict(module, false) || (of_process && grdma_make_process_room(module))) {
        return OPAL_SUCCESS;
    }
    if (may_change_soon(miss, of_process)) {
        return grdma_wait_a_little(wait) ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
    }
    return grdma_look_again(wait) ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

/* Where there is none to be had, that of an idle region will do, or of one that has just ended. @return OPAL_SUCCESS: try again. */
static int make_memory(grdma_module_t *module, grdma_wait_t *wait)
{
    const int rc = grdma_grow(module);

    return rc == OPAL_SUCCESS || grdma_evict(module, false) || grdma_look_again(wait) ? OPAL_SUCCESS : rc;
}

/* The provider's codes come through, whatever they are; a wider registration than asked for is only tried.
 * @return Is it over, with *rc? */
static bool try_pin(miss_t *miss, int *rc, mca_rcache_base_registration_t **reg)
{
    *rc = pin(miss);
    if (*rc == OPAL_SUCCESS) {
        *reg = &grdma_at(miss->module, miss->id)->super;
    } else if (miss->is_wide && !grdma_is_inherited(miss->module, miss->id)) {
        miss->may_widen = false;
        return false;
    }
    return true;
}

static grdma_block_t *block_at_hand(grdma_module_t *module)
{
    grdma_block_t *block = grdma_block_of(module);

    return block != NULL ? block : grdma_block_get(module);
}

int grdma_find_or_pin(grdma_module_t *module, grdma_wish_t wish, mca_rcache_base_registration_t **reg)
{
    miss_t miss = { .module = module, .block = block_at_hand(module), .exact = wish, .may_widen = true };
    grdma_wait_t wait = { 0 };
    int rc = miss.block != NULL ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
    bool is_over = rc != OPAL_SUCCESS;

    while (!is_over) {
        const look_result_t result = look(&miss);

        if (result == FOUND) {
            if (is_good(module, miss.block, miss.id)) {
                hand_out(module, miss.block, miss.id, &wish, reg);
                return OPAL_SUCCESS;
            }
            continue;
        }
        if (result == ANNOUNCED) {
            is_over = try_pin(&miss, &rc, reg);
        } else {
            rc = result == NEEDS_MEMORY ? make_memory(module, &wait)
                                        : make_room(&miss, result == AT_PROCESS_LIMIT, &wait);
            is_over = rc != OPAL_SUCCESS;
        }
    }
    if (miss.filter_bits != 0) {
        grdma_filter_grow(module, miss.filter_bits);
    }
    grdma_hints_fit(module);
    return rc;
}
