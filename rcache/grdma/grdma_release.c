/* SPDX-License-Identifier: BSD-3-Clause */
/* How regions are taken out of use: because their memory was released, or somebody wants their place. What is found idle
 * at once is ended at once, inside the hook if the provider allows it; the rest waits in limbo for grdma_reap(). */
#include "framework/util/barrier.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_room.h"
#include "rcache/grdma/grdma_self.h"

/* ---- Under the lock ----------------------------------------------------------------------------- */

void grdma_unindex_locked(grdma_module_t *module, grdma_region_t *region)
{
    if ((grdma_flags(region) & GRDMA_INDEXED) != 0) {
        interval_index_remove(&module->index, grdma_first_page(module, region), grdma_last_page(module, region),
                              region->super.cache_id);
        __atomic_fetch_and(&region->super.flags, ~GRDMA_INDEXED, __ATOMIC_RELAXED);
        grdma_filter_remove_locked(module, region);
    }
}

void grdma_batch_begin_locked(const grdma_module_t *module, bool is_certain, grdma_batch_t *batch)
{
    *batch = (grdma_batch_t){ .is_alone = grdma_is_alone_locked(module), .is_certain = is_certain };
}

void grdma_batch_attend_locked(grdma_module_t *module, const grdma_batch_t *batch)
{
    if (batch->unsure != 0) {
        grdma_attend(module, GRDMA_ATTENTION_WORK);
    }
}

void grdma_batch_end_locked(grdma_module_t *module, opal_mem_hooks_cause_t cause, grdma_batch_t *batch)
{
    grdma_batch_attend_locked(module, batch);
    if (batch->count != 0) {
        grdma_add_locked(&module->counters->invalidations[cause], batch->count);
    }
    if (batch->in_use != 0 && batch->is_certain) {
        grdma_note_in_use_locked(module, batch, cause);
    }
}

void grdma_limbo_add_locked(grdma_module_t *module, uint32_t id)
{
    grdma_list_add(module, &module->limbo, id);
    atomic_store_explicit(&module->limbo_count, module->limbo_count + 1, memory_order_relaxed);
}

/* Alone, a sum that says "in use" is exact: its last put looks at the flags later than this. */
static void add_to_limbo_locked(grdma_module_t *module, grdma_region_t *region, grdma_batch_t *batch)
{
    batch->ticks = batch->ticks == 0 ? grdma_clock_ticks() : batch->ticks;
    __atomic_store_n(&region->super.cache_word, batch->ticks, __ATOMIC_RELAXED);
    if (batch->is_alone) {
        grdma_limbo_add_locked(module, region->super.cache_id);
    } else {
        batch->unsure++;
        grdma_list_add(module, &module->unsure, region->super.cache_id);
    }
}

/* The cache has one block: nobody else counts, or has ever counted. Puts first, as in grdma_is_idle(). */
static inline bool is_idle_in(const grdma_block_t *block, uint32_t id)
{
    const grdma_count_t *count = grdma_count_of(block, id);

    return __atomic_load_n(&count->puts, __ATOMIC_ACQUIRE) == __atomic_load_n(&count->gets, __ATOMIC_ACQUIRE);
}

static inline bool is_idle(const grdma_module_t *module, uint32_t id)
{
    const grdma_block_t *block = atomic_load_explicit(&module->blocks, memory_order_acquire);

    return block != NULL && block->next == NULL ? is_idle_in(block, id) : grdma_is_idle(module, id);
}

/* A reference may be that of a lookup which an old hint has led here, and which gives it back at once: that is no use to complain
 * of. Only a thread that loses its processor just then is taken for a user. */
#define LOOKS 16

static __attribute__((noinline)) bool is_idle_in_a_moment(const grdma_module_t *module, uint32_t id)
{
    bool is_idle = false;

    for (int i = 0; i < LOOKS && module->resources.in_use_policy != MCA_RCACHE_IN_USE_IGNORE && !is_idle; i++) {
        cpu_relax();
        is_idle = grdma_is_idle(module, id);
    }
    return is_idle;
}

static inline __attribute__((always_inline)) void retire_locked(grdma_module_t *module, grdma_region_t *region,
                                                                grdma_batch_t *batch)
{
    const uint32_t flags = grdma_flags(region), id = region->super.cache_id;

    /* Of a region that is READY the holder of the lock alone changes flags. */
    __atomic_store_n(&region->super.flags, (flags | MCA_RCACHE_FLAGS_INVALID | GRDMA_LIMBO) & ~GRDMA_INDEXED,
                     __ATOMIC_RELEASE);
    if ((flags & GRDMA_INDEXED) != 0) {
        grdma_filter_remove_locked(module, region);
    }
    const bool has_rested = is_idle(module, id) || (!batch->is_alone && is_idle_in_a_moment(module, id));
    batch->count++;
    if (!has_rested) {
        batch->in_use++;
        batch->first_in_use = id;
    }
    if (has_rested && batch->is_alone) {
        __atomic_store_n(&region->super.watch.reserved, batch->idle.first, __ATOMIC_RELAXED);
        batch->idle.first = id;
    } else {
        add_to_limbo_locked(module, region, batch);
    }
}

void grdma_retire_locked(grdma_module_t *module, uint32_t id, grdma_batch_t *batch)
{
    retire_locked(module, grdma_at(module, id), batch);
}

/* A region that is being pinned: its maker will see the flag. @return false: it is READY now. */
static bool mark_pinning(grdma_module_t *module, grdma_region_t *region)
{
    const uint32_t flags = __atomic_fetch_or(&region->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_ACQ_REL);

    if ((flags & GRDMA_PINNING) == 0) {
        return false;
    }
    __atomic_fetch_and(&region->super.flags, ~GRDMA_INDEXED, __ATOMIC_RELAXED);
    grdma_filter_remove_locked(module, region);
    return true;
}

typedef struct release_t {
    grdma_module_t *module;
    grdma_batch_t batch;
} release_t;

#define AHEAD 8 /* Lines of memory to be on their way. */

/* Regions that have just left the index. */
static void release_ids(const uint32_t *ids, unsigned count, void *arg)
{
    release_t *release = arg;

    for (unsigned i = 0; i < count && i < AHEAD; i++) {
        __builtin_prefetch(grdma_at(release->module, ids[i]), 1);
    }
    for (unsigned i = 0; i < count; i++) {
        grdma_region_t *region = grdma_at(release->module, ids[i]);

        if (i + AHEAD < count) {
            __builtin_prefetch(grdma_at(release->module, ids[i + AHEAD]), 1);
        }
        if ((grdma_flags(region) & GRDMA_PINNING) == 0 || !mark_pinning(release->module, region)) {
            retire_locked(release->module, region, &release->batch);
        }
    }
}

void grdma_invalidate_locked(grdma_module_t *module, uintptr_t first, uintptr_t last, grdma_reason_t reason,
                             grdma_list_t *idle)
{
    release_t release = { .module = module };

    grdma_batch_begin_locked(module, reason.is_certain && !(first == 0 && last == UINTPTR_MAX), &release.batch);
    release.batch.idle = *idle;
    const uint64_t first_page = first >> module->page_shift, last_page = last >> module->page_shift;
    /* Of most releases, the filter knows then that there were no others. */
    if (interval_index_remove_newest(&module->index, first_page, last_page, release_ids, &release) == 0
        || page_filter_may_hold(&module->filter, first, last)) {
        interval_index_remove_older(&module->index, first_page, last_page, release_ids, &release);
    }
    grdma_batch_end_locked(module, (opal_mem_hooks_cause_t) reason.cause, &release.batch);
    *idle = release.batch.idle;
}

/* ---- Regions that are over ----------------------------------------------------------------------- */

/* Put a list before what is on a stack that others may push to at the same time. */
static void push(grdma_module_t *module, _Atomic uint32_t *stack, uint32_t first, uint32_t last)
{
    uint32_t top = atomic_load(stack);

    do {
        __atomic_store_n(&grdma_at(module, last)->super.watch.reserved, top, __ATOMIC_RELAXED);
    } while (!atomic_compare_exchange_weak(stack, &top, first));
}

grdma_list_t grdma_take_all(_Atomic uint32_t *stack)
{
    const uint32_t any = atomic_load_explicit(stack, memory_order_relaxed);

    return (grdma_list_t){ any != 0 ? atomic_exchange(stack, 0) : 0 };
}

static uint32_t last_in(const grdma_module_t *module, const grdma_list_t *list)
{
    uint32_t last = list->first;

    for (uint32_t next; (next = grdma_next(module, last)) != 0;) {
        last = next;
    }
    return last;
}

void grdma_leave(grdma_module_t *module, grdma_list_t *idle)
{
    if (idle->first == 0) {
        return;
    }
    const uint32_t now = grdma_clock_ticks();
    for (uint32_t id = idle->first; id != 0; id = grdma_next(module, id)) {
        __atomic_store_n(&grdma_at(module, id)->super.cache_word, now, __ATOMIC_RELAXED);
    }
    push(module, &module->dead, idle->first, last_in(module, idle));
    idle->first = 0;
    grdma_attend(module, GRDMA_ATTENTION_WORK);
}

/* ---- Regions that are deregistered --------------------------------------------------------------- */

void grdma_account_locked(grdma_module_t *module, grdma_list_t *ended)
{
    uint32_t *link = &ended->first, freed = 0;
    size_t count = 0, bytes = 0;

    while (*link != 0) {
        const uint32_t id = *link;
        grdma_region_t *region = grdma_at(module, id);

        count++;
        bytes += grdma_length(region);
        if ((grdma_flags(region) & GRDMA_WATCHED) != 0) {
            *link = region->super.watch.reserved;
            push(module, &module->spent, id, id);
        } else {
            __atomic_store_n(&region->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
            freed++;
            link = &region->super.watch.reserved;
        }
    }
    grdma_ids_give_locked(module, ended, link, freed);
    grdma_add_locked(&module->counters->deregistrations, count);
    grdma_add_locked(&module->counters->bytes, -bytes);
    grdma_add_locked(&module->counters->count, -count);
}

/* Those that a hook has deregistered: before their pages went. */
static void account_in_hook_locked(grdma_module_t *module, grdma_list_t *ended)
{
    const uint64_t before = atomic_load_explicit(&module->counters->deregistrations, memory_order_relaxed);

    grdma_account_locked(module, ended);
    const uint64_t count = atomic_load_explicit(&module->counters->deregistrations, memory_order_relaxed) - before;
    grdma_add_locked(&module->counters->unpinned_in_hook, count);
    grdma_add_locked(&module->counters->unpin_ns[0], count);
}

void grdma_returned_handle_locked(grdma_module_t *module)
{
    grdma_list_t returned = grdma_take_all(&module->returned);

    if (returned.first != 0) {
        account_in_hook_locked(module, &returned);
    }
}

static int deregister_each(const mca_rcache_base_resources_t *resources, mca_rcache_base_registration_t **regs,
                           size_t count)
{
    int result = OPAL_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        const int rc = resources->deregister_mem(resources->reg_data, regs[i]);
        result = result == OPAL_SUCCESS ? rc : result;
    }
    return result;
}

int grdma_deregister_list(const grdma_module_t *module, uint32_t *id, size_t *count)
{
    const mca_rcache_base_resources_t *resources = &module->resources;
    mca_rcache_base_registration_t *regs[GRDMA_AT_ONCE];

    for (*count = 0; *count < GRDMA_AT_ONCE && *id != 0; ++*count) {
        regs[*count] = &grdma_at(module, *id)->super;
        *id = __atomic_load_n(&regs[*count]->watch.reserved, __ATOMIC_RELAXED);
    }
    return *count > 1 && resources->deregister_many != NULL
               ? resources->deregister_many(resources->reg_data, regs, *count)
               : deregister_each(resources, regs, *count);
}

/* HOOK_SAFE: the pages are unpinned before they go. What was done is accounted for by us, or by the holder of the lock. */
static void end_now(grdma_module_t *module, grdma_list_t *idle)
{
    for (uint32_t id = idle->first; id != 0;) {
        size_t count;

        grdma_count_error(module, grdma_deregister_list(module, &id, &count));
    }
    grdma_give_room_of(module, idle);
    if (grdma_mutex_try(&module->lock)) {
        account_in_hook_locked(module, idle);
        grdma_mutex_unlock(&module->lock);
    } else {
        push(module, &module->returned, idle->first, last_in(module, idle));
        idle->first = 0;
    }
}

void grdma_end_in_hook(grdma_module_t *module, grdma_list_t *idle)
{
    const uint64_t attention = atomic_load_explicit(grdma_gate(module), memory_order_relaxed);

    if (idle->first == 0) {
        return;
    }
    if ((module->resources.flags & MCA_RCACHE_RESOURCES_HOOK_SAFE) != 0
        && (attention & GRDMA_ATTENTION_PROVIDER) == 0) {
        end_now(module, idle);
    } else {
        grdma_leave(module, idle);
    }
}

/* ---- The hook ----------------------------------------------------------------------------------- */

static void handle_mail_locked(grdma_module_t *module, grdma_list_t *idle)
{
    if (grdma_has_mail(module)) {
        grdma_returned_handle_locked(module);
        grdma_pending_handle_locked(module, idle);
    }
}

static void unlock_in_hook(grdma_module_t *module, grdma_list_t *idle)
{
    const bool is_counted = idle->first != 0 && atomic_load_explicit(&module->is_tight, memory_order_relaxed);

    if (is_counted) {
        atomic_fetch_add(&module->ending_alone,
                         1); /* While nobody can find out that they are not idle regions any more. */
    }
    grdma_mutex_unlock(&module->lock);
    grdma_end_in_hook(module, idle);
    if (is_counted) {
        atomic_fetch_sub(&module->ending_alone, 1);
    }
    barrier_after_rmw(); /* As in grdma_unlock(). */
}

static void invalidate_in_hook(grdma_module_t *module, uintptr_t first, uintptr_t last)
{
    const grdma_reason_t reason = { (uint8_t) opal_mem_hooks_current_cause(),
                                    opal_mem_hooks_current_is_certain() };
    grdma_list_t idle = { 0 };

    if (grdma_mutex_try(&module->lock)) {
        handle_mail_locked(module, &idle);
        grdma_invalidate_locked(module, first, last, reason, &idle);
        unlock_in_hook(module, &idle);
    } else {
        /* Before it is posted: whoever handles it lowers it. */
        atomic_fetch_add(grdma_gate(module), GRDMA_ATTENTION_POST);
        grdma_pending_post(&module->pending, first, last - first + 1, reason, grdma_releaser(module));
        barrier_after_rmw();
    }
    while (grdma_has_mail(module) && grdma_mutex_try(&module->lock)) {
        handle_mail_locked(module, &idle);
        unlock_in_hook(module, &idle);
    }
}

/* A registration that begins now enters the filter, and only then looks at the open windows; ours was opened before. */
OPAL_MEM_HOOKS_PATH int grdma_invalidate_range(mca_rcache_base_module_t *base_module, void *addr, size_t size)
{
    grdma_module_t *module = grdma_of(base_module);
    const uintptr_t start = (uintptr_t) addr;
    const uintptr_t first = start & ~module->page_mask;
    const uintptr_t last = size > UINTPTR_MAX - start ? UINTPTR_MAX : (start + size - 1) | module->page_mask;

    if (size != 0 && page_filter_may_hold(&module->filter, first, last)) {
        invalidate_in_hook(module, first, last);
    }
    return OPAL_SUCCESS;
}
