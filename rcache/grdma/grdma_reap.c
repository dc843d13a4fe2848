/* SPDX-License-Identifier: BSD-3-Clause */
/* Outside hooks: ends the regions that nobody refers to any more, and has said what hooks could not say. */
#include <time.h>

#include "rcache/grdma/grdma.h"

/* Of the monotonic clock; wraps after 71 minutes, and is never 0. */
uint32_t grdma_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t) ((uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000) | 1;
}

/* ---- Ending regions ------------------------------------------------------------------------------ */

static void note_latency(grdma_module_t *module, const grdma_region_t *region, uint32_t now_us)
{
    const uint64_t ns = (uint64_t) (now_us - __atomic_load_n(&region->super.cache_word, __ATOMIC_RELAXED)) * 1000;

    grdma_count(&module->counters->unpin_ns[mca_rcache_stats_bucket(ns, MCA_RCACHE_STATS_LATENCIES)], 1);
}

static void unwatch(grdma_region_t *region)
{
    if ((grdma_flags(region) & GRDMA_WATCHED) != 0) {
        opal_memory_base_unwatch(region->super.base, grdma_length(region), &region->super.watch);
    }
}

static void free_ids(grdma_module_t *module, grdma_list_t *list)
{
    grdma_lock(module);
    for (uint32_t id; (id = grdma_list_take(module, list)) != 0;) {
        __atomic_store_n(&grdma_at(module, id)->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
        grdma_id_give_locked(module, id);
    }
    grdma_unlock(module);
}

static void note_latencies(grdma_module_t *module, const grdma_list_t *list)
{
    const uint32_t now_us = grdma_now_us();

    for (uint32_t id = list->first; id != 0; id = grdma_next(module, id)) {
        note_latency(module, grdma_at(module, id), now_us);
    }
}

/* @return false: forked in the middle, and this is the child: all of it is the parent's. */
static bool deregister_all(grdma_module_t *module, const grdma_list_t *list, size_t *all, int *result)
{
    *all = 0;
    for (uint32_t id = list->first; id != 0;) {
        size_t count, bytes;
        const int rc = grdma_deregister_list(module, &id, &count, &bytes);

        if (grdma_is_inherited(module, list->first)) {
            return false;
        }
        *result = *result == OPAL_SUCCESS ? rc : *result;
        grdma_count(&module->counters->provider_errors, rc != OPAL_SUCCESS);
        grdma_count(&module->counters->deregistrations, count);
        atomic_fetch_sub(&module->counters->bytes, bytes);
        grdma_give_room(module, count, bytes);
        *all += count;
    }
    return true;
}

/* All are idle, and the caller's. */
static void end_all(grdma_module_t *module, grdma_list_t *idle, int *result)
{
    size_t count;

    if (idle->first == 0) {
        return;
    }
    note_latencies(module, idle);
    if (deregister_all(module, idle, &count, result)) {
        for (uint32_t id = idle->first; id != 0; id = grdma_next(module, id)) {
            unwatch(grdma_at(module, id));
        }
        free_ids(module, idle);
        atomic_fetch_sub(&module->counters->count, count);
    }
}

/* From before the regions leave the lists to after they have stopped to count. In a fork child that began in between,
 * nothing is on its way. */
static uint32_t begin_ending(grdma_module_t *module)
{
    atomic_fetch_add(&module->ending, 1);
    return atomic_load(&module->first_own);
}

static void finish_ending(grdma_module_t *module, uint32_t begun)
{
    if (atomic_load(&module->first_own) == begun) {
        atomic_fetch_sub(&module->ending, 1);
    }
}

int grdma_end_one(grdma_module_t *module, uint32_t id)
{
    grdma_list_t one = { 0 };
    int result = OPAL_SUCCESS;

    __atomic_store_n(&grdma_at(module, id)->super.cache_word, grdma_now_us(), __ATOMIC_RELAXED);
    grdma_list_add(module, &one, id);
    const uint32_t begun = begin_ending(module);
    end_all(module, &one, &result);
    finish_ending(module, begun);
    return result;
}

/* Take over a stack. */
static grdma_list_t take_all(_Atomic uint32_t *stack)
{
    const uint32_t any = atomic_load_explicit(stack, memory_order_relaxed);

    return (grdma_list_t){ any != 0 ? atomic_exchange(stack, 0) : 0 };
}

static void free_spent(grdma_module_t *module)
{
    grdma_list_t spent = take_all(&module->spent);

    if (spent.first == 0) {
        return;
    }
    for (uint32_t id = spent.first; id != 0; id = grdma_next(module, id)) {
        unwatch(grdma_at(module, id));
    }
    free_ids(module, &spent);
}

/* ---- Limbo --------------------------------------------------------------------------------------- */

static void sort_out(const grdma_module_t *module, grdma_list_t *from, grdma_list_t *idle, grdma_list_t *busy)
{
    for (uint32_t id; (id = grdma_list_take(module, from)) != 0;) {
        grdma_list_add(module, grdma_is_idle(module, id) ? idle : busy, id);
    }
}

/* Who gives a last reference back while a region is in our list finds nothing in limbo: so once more before it goes
 * back there. He counts before he takes the lock, we look while we hold it. */
static void put_back(grdma_module_t *module, grdma_list_t *busy, grdma_list_t *idle)
{
    if (busy->first == 0) {
        return;
    }
    grdma_lock(module);
    sort_out(module, busy, idle, &module->limbo);
    grdma_unlock(module);
}

/* Nobody can tell any more whether they are in use: they stay registered, and no more are kept. */
static void keep_for_good(grdma_module_t *module, grdma_list_t *limbo)
{
    grdma_attend(module, GRDMA_ATTENTION_DEAF);
    grdma_lock(module);
    for (uint32_t id; (id = grdma_list_take(module, limbo)) != 0;) {
        grdma_list_add(module, &module->limbo, id);
    }
    grdma_unlock(module);
}

static void empty_limbo(grdma_module_t *module, int *result)
{
    grdma_list_t idle = { 0 }, busy = { 0 };

    grdma_lock(module);
    grdma_list_t limbo = module->limbo;
    module->limbo.first = 0;
    grdma_unlock(module);
    if (limbo.first == 0) {
        return;
    }
    if (grdma_settle(module)) {
        sort_out(module, &limbo, &idle, &busy);
        put_back(module, &busy, &idle);
    } else {
        keep_for_good(module, &limbo);
    }
    end_all(module, &idle, result);
}

/* ---- Everything ---------------------------------------------------------------------------------- */

int grdma_reap(grdma_module_t *module)
{
    int result = OPAL_SUCCESS;

    if ((atomic_load_explicit(&module->attention, memory_order_relaxed) & GRDMA_ATTENTION_WORK) != 0) {
        /* First: whoever finds nothing idle because it is on its way out, sees this, or WORK. */
        const uint32_t begun = begin_ending(module);
        atomic_fetch_and(&module->attention,
                         ~(uint64_t) GRDMA_ATTENTION_WORK); /* What comes from here on sets it again. */
        empty_limbo(module, &result);
        grdma_list_t dead = take_all(&module->dead);
        end_all(module, &dead, &result);
        finish_ending(module, begun);
        grdma_warn_in_use(module);
    }
    free_spent(module);
    return result;
}
