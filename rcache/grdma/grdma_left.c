/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches that are destroyed while references are out. Whoever gives one of these back follows pointers to module and region,
 * at any time, and may still look at them after its count is seen: so neither is ever unmapped. They serve the next cache
 * instead, and what stays for each reference that never comes back is its region and its counts.
 *
 * To the protocol the next cache is the old one, which has dropped everything: serial, ids, blocks, counts, hints and locks go
 * on. A late put counts, sees INVALID, finds its region in limbo, and reaps, as it would have done before; a put that was
 * on its way when the cache changed hands finds what any put finds whose id has another life by then. What differs is
 * to whom a region belongs that was still out when the cache changed hands, an orphan:
 *
 * - It is made under the lock, of a region in limbo, which whoever has the lock may take; or of one for a single use, by a
 *   compare-and-swap against the GRDMA_ENDING of its last put, before that is counted: one of the two sees the other.
 * - It has an origin (provider, accounts of the process), in a table under the lock; cache_word says which. Whoever ends it
 *   asks that provider, and no figure or limit of the new cache changes.
 * - A module changes hands only while nothing but orphans is live in it (under the lock). So the old cache's resources are
 *   read by nobody any more, and a region in somebody's list makes the next cache take another module.
 *
 * A fork child resets these modules with the others. The list only grows; it is as long as there were such caches at once. */
#include <string.h>
#include <sys/mman.h>

#include "rcache/grdma/grdma.h"

/* Protects the list and who has what; above the caches' locks. No hook takes it. */
static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(grdma_module_t *) first_left; /* Read by a fork child without the lock. */

void grdma_leave_behind(grdma_module_t *module)
{
    pthread_mutex_lock(&left_lock);
    if (!module->left.is_in_list) {
        module->left.is_in_list = true;
        module->left.next = atomic_load(&first_left);
        atomic_store(&first_left, module);
    }
    atomic_store(&module->left.is_free, true);
    pthread_mutex_unlock(&left_lock);
}

/* ---- Origins -------------------------------------------------------------------------------------- */

static bool is_origin_of(const grdma_origin_t *origin, const grdma_module_t *module)
{
    return origin->deregister_mem == module->resources.deregister_mem
           && origin->reg_data == module->resources.reg_data && origin->accounts == module->accounts;
}

/* The place for those of the cache that ends: its own, or a free one; else the table's size. */
static uint32_t find_place_locked(const grdma_module_t *module)
{
    uint32_t place = module->origins_size;

    for (uint32_t i = 0; i < module->origins_size; i++) {
        if (module->origins[i].regions == 0) {
            place = i;
        } else if (is_origin_of(&module->origins[i], module)) {
            return i;
        }
    }
    return place;
}

static bool has_place(grdma_module_t *module)
{
    grdma_lock(module);
    const bool is_there = find_place_locked(module) < module->origins_size;
    grdma_unlock(module);
    return is_there;
}

/* Pages, as the module itself has, from which alone they are reached. */
static grdma_origin_t *map_origins(uint32_t count)
{
    void *memory =
        mmap(NULL, count * sizeof(grdma_origin_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

static void unmap_origins(grdma_origin_t *origins, uint32_t count)
{
    if (origins != NULL) {
        munmap(origins, count * sizeof(*origins));
    }
}

/* Under left_lock, so that nobody else lets the table grow. */
static bool make_place(grdma_module_t *module)
{
    const uint32_t size = module->origins_size;
    grdma_origin_t *larger = has_place(module) ? NULL : map_origins(size * 2 + 4);
    grdma_origin_t *old = module->origins;

    if (larger != NULL) {
        grdma_lock(module);
        for (uint32_t i = 0; i < size; i++) {
            larger[i] = old[i];
        }
        module->origins = larger; /* First: a fork child may find the old size with it. */
        atomic_signal_fence(memory_order_release);
        module->origins_size = size * 2 + 4;
        grdma_unlock(module);
        unmap_origins(old, size);
    }
    return has_place(module);
}

static void orphan_locked(grdma_module_t *module, uint32_t id, uint32_t place)
{
    grdma_origin_t *origin = &module->origins[place];

    origin->deregister_mem = module->resources.deregister_mem;
    origin->reg_data = module->resources.reg_data;
    origin->accounts = module->accounts;
    origin->regions++;
    __atomic_store_n(&grdma_at(module, id)->super.cache_word, place, __ATOMIC_RELAXED);
    atomic_store(&module->orphans, module->orphans + 1);
}

static void orphan_list_locked(grdma_module_t *module, const grdma_list_t *list, uint32_t place)
{
    for (uint32_t id = list->first; id != 0; id = grdma_next(module, id)) {
        const uint32_t flags =
            __atomic_fetch_or(&grdma_at(module, id)->super.flags, GRDMA_ORPHAN, __ATOMIC_RELAXED);

        if ((flags & GRDMA_ORPHAN) == 0) {
            orphan_locked(module, id, place);
        }
    }
}

/* Registered for one use, and its last put has not come yet. */
static bool claim_used_once(grdma_region_t *region)
{
    const uint32_t mask = MCA_RCACHE_FLAGS_CACHE_BYPASS | GRDMA_ORPHAN | GRDMA_ENDING | GRDMA_PINNING;
    uint32_t flags = grdma_flags(region);

    while ((flags & mask) == MCA_RCACHE_FLAGS_CACHE_BYPASS) {
        if (__atomic_compare_exchange_n(&region->super.flags, &flags,
                                        flags | MCA_RCACHE_FLAGS_INVALID | GRDMA_LIMBO | GRDMA_ORPHAN, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            return true;
        }
    }
    return false;
}

static void orphan_used_once_locked(grdma_module_t *module, uint32_t place)
{
    for (uint32_t id = atomic_load(&module->first_own); id < module->high; id++) {
        if (claim_used_once(grdma_at(module, id))) {
            orphan_locked(module, id, place);
            grdma_limbo_add_locked(module, id);
        }
    }
}

/* @return Is nothing else live? */
static bool orphan_all_locked(grdma_module_t *module)
{
    const uint32_t place = find_place_locked(module);

    orphan_list_locked(module, &module->limbo, place);
    orphan_list_locked(module, &module->unsure, place);
    if (module->live != module->orphans) {
        orphan_used_once_locked(module, place);
    }
    return module->live == module->orphans;
}

/* ---- The end of orphans ------------------------------------------------------------------------------ */

static grdma_list_t take_out(const grdma_module_t *module, grdma_list_t *idle)
{
    grdma_list_t orphans = { 0 }, others = { 0 };

    for (uint32_t id; (id = grdma_list_take(module, idle)) != 0;) {
        const bool is_orphan = (grdma_flags(grdma_at(module, id)) & GRDMA_ORPHAN) != 0;
        grdma_list_add(module, is_orphan ? &orphans : &others, id);
    }
    *idle = others;
    return orphans;
}

static grdma_origin_t origin_of(grdma_module_t *module, const grdma_region_t *region)
{
    grdma_lock(module);
    const grdma_origin_t origin = module->origins[__atomic_load_n(&region->super.cache_word, __ATOMIC_RELAXED)];
    grdma_unlock(module);
    return origin;
}

bool grdma_end_orphans(grdma_module_t *module, grdma_list_t *idle, grdma_list_t *orphans, int *result)
{
    *orphans = (grdma_list_t){ 0 };
    if (atomic_load_explicit(&module->orphans, memory_order_relaxed) == 0) {
        return true;
    }
    *orphans = take_out(module, idle);
    for (uint32_t id = orphans->first; id != 0; id = grdma_next(module, id)) {
        grdma_region_t *region = grdma_at(module, id);
        const grdma_origin_t origin = origin_of(module, region);
        const int rc = origin.deregister_mem(origin.reg_data, &region->super);

        if (grdma_is_inherited(module, id)) {
            return false;
        }
        mca_rcache_limits_release(origin.accounts, 1, grdma_length(region));
        *result = *result == OPAL_SUCCESS ? rc : *result;
    }
    return true;
}

void grdma_account_orphans_locked(grdma_module_t *module, grdma_list_t *orphans)
{
    for (uint32_t id; (id = grdma_list_take(module, orphans)) != 0;) {
        grdma_region_t *region = grdma_at(module, id);

        module->origins[__atomic_load_n(&region->super.cache_word, __ATOMIC_RELAXED)].regions--;
        atomic_store(&module->orphans, module->orphans - 1);
        __atomic_store_n(&region->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
        grdma_id_give_locked(module, id);
    }
}

/* ---- The next cache ---------------------------------------------------------------------------------- */

/* In fork children the ids of all parents are lost. */
static bool has_ids(const grdma_module_t *module)
{
    return atomic_load(&module->first_own) < module->max_capacity / 2;
}

static bool has_the_shape(const grdma_module_t *module, const mca_rcache_base_resources_t *resources)
{
    return atomic_load(&module->left.is_free) && has_ids(module)
           && module->super.id_shift == grdma_id_shift(resources)
           && sizeof(*module) + strlen(resources->cache_name) < module->mapped;
}

static bool hand_on(grdma_module_t *module, const mca_rcache_base_resources_t *resources,
                    void (*set)(grdma_module_t *module, const mca_rcache_base_resources_t *resources))
{
    if (!make_place(module)) {
        return false;
    }
    grdma_lock(module);
    const bool is_left = orphan_all_locked(module);
    if (is_left) {
        set(module, resources);
        module->in_use.unknown = 0;
        mca_rcache_stats_begin_anew(module->counters, module->name, "grdma");
        atomic_fetch_and(grdma_gate(module), ~(uint64_t) GRDMA_ATTENTION_PROVIDER);
    }
    grdma_unlock(module);
    return is_left && grdma_makers_init(module);
}

grdma_module_t *grdma_take_left(const mca_rcache_base_resources_t *resources,
                                void (*set)(grdma_module_t *module, const mca_rcache_base_resources_t *resources))
{
    grdma_module_t *module;

    pthread_mutex_lock(&left_lock);
    for (module = atomic_load(&first_left); module != NULL; module = module->left.next) {
        if (has_the_shape(module, resources) && hand_on(module, resources, set)) {
            atomic_store(&module->left.is_free, false);
            break;
        }
    }
    pthread_mutex_unlock(&left_lock);
    return module;
}

void grdma_left_reset_child(void)
{
    pthread_mutex_init(&left_lock, NULL);
    for (grdma_module_t *module = atomic_load(&first_left); module != NULL; module = module->left.next) {
        grdma_reset_child(&module->super);
        for (uint32_t i = 0; i < module->origins_size; i++) {
            module->origins[i].regions = 0;
        }
    }
}
