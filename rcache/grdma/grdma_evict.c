/* SPDX-License-Identifier: BSD-3-Clause */
/* Eviction: a clock. Its hand goes over the regions by id; one that was used since it last came by is spared once. Hits leave
 * no other trace than the references that they count anyway. */
#include "rcache/grdma/grdma.h"

/* Victims at a time where it takes a barrier of all threads to be sure of them (14 to 30 us, measured). */
#define MAX_BATCH 16
/* Regions that the hand passes in one hold of the lock: hooks cannot get it meanwhile. */
#define STEPS_A_HOLD 256

typedef struct hunt_t {
    grdma_module_t *module;
    grdma_batch_t batch;
    uint64_t steps_left;
    uint32_t wanted, found;
} hunt_t;

static bool is_candidate(const grdma_module_t *module, uint32_t id)
{
    const uint32_t flags = grdma_flags(grdma_at(module, id));
    return (flags & (GRDMA_KEPT | GRDMA_INDEXED)) == GRDMA_INDEXED && grdma_is_idle(module, id);
}

/* Was it used since the hand last came by? */
static bool is_spared(const grdma_module_t *module, uint32_t id)
{
    mca_rcache_base_registration_t *reg = &grdma_at(module, id)->super;
    const uint32_t gets = grdma_gets(module, id);
    const bool was_used = __atomic_load_n(&reg->cache_word, __ATOMIC_RELAXED) != gets;

    __atomic_store_n(&reg->cache_word, gets, __ATOMIC_RELAXED);
    return was_used;
}

static void take_locked(hunt_t *hunt, uint32_t id)
{
    grdma_module_t *module = hunt->module;
    grdma_region_t *region = grdma_at(module, id);

    interval_index_remove(&module->index, grdma_first_page(module, region), grdma_last_page(module, region), id);
    grdma_retire_locked(module, id, &hunt->batch);
    hunt->found++;
}

static void step_locked(hunt_t *hunt)
{
    grdma_module_t *module = hunt->module;
    const uint32_t first = atomic_load(&module->first_own);

    if (module->hand < first || module->hand >= module->high) {
        module->hand = first;
    }
    if (module->hand < module->high) {
        const uint32_t id = module->hand++;
        if (is_candidate(module, id) && !is_spared(module, id)) {
            take_locked(hunt, id);
        }
    }
}

static void hunt_locked(hunt_t *hunt)
{
    for (int i = 0; i < STEPS_A_HOLD && hunt->steps_left > 0 && hunt->found < hunt->wanted; i++) {
        step_locked(hunt);
        hunt->steps_left--;
    }
}

/* One hold of the lock; what was found in it is ended behind it. */
static void hunt_once(hunt_t *hunt, bool only_one)
{
    grdma_module_t *module = hunt->module;

    grdma_lock(module);
    grdma_batch_begin_locked(module, false, &hunt->batch);
    if (!only_one && !hunt->batch.is_alone) {
        const size_t share = atomic_load(&module->counters->count) / 16 + 1;
        hunt->wanted = share < MAX_BATCH ? (uint32_t) share : MAX_BATCH;
    }
    hunt_locked(hunt);
    grdma_add_locked(&module->counters->evictions, hunt->batch.count);
    grdma_batch_attend_locked(module, &hunt->batch);
    grdma_leave(module, &hunt->batch.idle);
    grdma_unlock(module);
}

bool grdma_evict(grdma_module_t *module, bool only_one)
{
    hunt_t hunt = { .module = module, .wanted = 1 };

    /* Twice around: the first time all may be spared. */
    hunt.steps_left = 2 * (uint64_t) atomic_load_explicit(&module->high, memory_order_relaxed) + 1;
    while (hunt.steps_left > 0 && hunt.found < hunt.wanted) {
        hunt_once(&hunt, only_one);
    }
    grdma_reap_all(module);
    return hunt.found > 0;
}
