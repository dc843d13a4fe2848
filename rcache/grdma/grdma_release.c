/* SPDX-License-Identifier: BSD-3-Clause */
/* How regions end: invalidated by a release, evicted, or given back. */
#include "rcache/grdma/grdma.h"

#include <stdlib.h>
#include <unistd.h>

#include "framework/util/barrier.h"
#include "opal/mca/base/base.h"

/* ---- Under the lock ----------------------------------------------------------------------------- */

void grdma_lru_remove_locked(grdma_module_t *module, grdma_region_t *region)
{
    if (!region->in_lru) {
        return;
    }
    *(region->lru_previous == NULL ? &module->lru_first : &region->lru_previous->lru_next) = region->lru_next;
    *(region->lru_next == NULL ? &module->lru_last : &region->lru_next->lru_previous) = region->lru_previous;
    region->in_lru = false;
}

void grdma_lru_append_locked(grdma_module_t *module, grdma_region_t *region)
{
    region->lru_previous = module->lru_last;
    region->lru_next = NULL;
    *(module->lru_last == NULL ? &module->lru_first : &module->lru_last->lru_next) = region;
    module->lru_last = region;
    region->in_lru = true;
}

void grdma_unlink_locked(grdma_module_t *module, grdma_region_t *region)
{
    if (region->in_tree) {
        interval_tree_remove(&module->tree, &region->node);
        region->in_tree = false;
    }
    grdma_lru_remove_locked(module, region);
}

static void note_in_use(grdma_module_t *module)
{
    atomic_fetch_add(&module->counters->invalidated_in_use, 1);
    if (module->resources.in_use_policy == MCA_RCACHE_IN_USE_WARN) {
        atomic_store(&module->warn_in_use, true);
    } else if (module->resources.in_use_policy == MCA_RCACHE_IN_USE_ABORT) {
        static const char text[] = "opalmem: error: memory was released that a registration in use covers "
                                   "(rcache_base_in_use_policy is abort)\n";
        ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void) ignored;
        abort();
    }
}

void grdma_drop_locked(grdma_module_t *module, grdma_region_t *region, opal_mem_hooks_cause_t cause, bool certain,
                       grdma_ending_t *ending)
{
    grdma_unlink_locked(module, region);
    __atomic_fetch_or(&region->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELEASE);
    if (region->state == GRDMA_PINNING) {
        return; /* Its maker will see the flag. */
    }
    region->released_ns = mca_rcache_stats_now_ns();
    atomic_fetch_add(&module->counters->invalidations[cause], 1);
    if (region->refs == 0) {
        region->next = ending->list;
        ending->list = region;
        module->regions--;
    } else if (certain) {
        note_in_use(module);
    }
}

void grdma_invalidate_locked(grdma_module_t *module, uintptr_t first, uintptr_t last, opal_mem_hooks_cause_t cause,
                             grdma_ending_t *ending)
{
    const bool certain = !(first == 0 && last == UINTPTR_MAX);
    interval_node_t *node;
    while ((node = interval_tree_overlapping(&module->tree, first, last)) != NULL) {
        grdma_drop_locked(module, (grdma_region_t *) node, cause, certain, ending);
    }
}

/* ---- Ending regions ----------------------------------------------------------------------------- */

static void push(_Atomic(grdma_region_t *) *stack, grdma_region_t *region)
{
    grdma_region_t *top = atomic_load(stack);
    do {
        region->next = top;
    } while (!atomic_compare_exchange_weak(stack, &top, region));
}

static int deregister(grdma_module_t *module, grdma_region_t *region)
{
    int rc = module->resources.deregister_mem(module->resources.reg_data, &region->super);
    if (grdma_is_inherited(region)) {
        return OPAL_SUCCESS; /* Forked in the middle, and this is the child: it counts anew. */
    }
    mca_rcache_stats_shrink(module->counters, region->length);
    mca_rcache_stats_add(&module->counters->deregistrations, 1);
    mca_rcache_stats_add(&module->counters->provider_errors, rc != OPAL_SUCCESS);
    if (region->released_ns != 0) {
        mca_rcache_stats_unpinned(module->counters, mca_rcache_stats_now_ns() - region->released_ns);
    }
    return rc;
}

static void free_region(grdma_region_t *region)
{
    if (region->watched) {
        opal_memory_base_unwatch(region->super.base, region->length, &region->super.watch);
    }
    free(region);
}

int grdma_end(grdma_module_t *module, grdma_region_t *list)
{
    int result = OPAL_SUCCESS;
    while (list != NULL) {
        grdma_region_t *region = list;
        list = region->next;
        int rc = deregister(module, region);
        result = result == OPAL_SUCCESS ? rc : result;
        free_region(region);
    }
    return result;
}

void grdma_end_in_hook(grdma_module_t *module, grdma_region_t *list)
{
    bool hook_safe = (module->resources.flags & MCA_RCACHE_RESOURCES_HOOK_SAFE) != 0
                     && !atomic_load_explicit(&module->provider_is_parents, memory_order_relaxed);
    while (list != NULL) {
        grdma_region_t *region = list;
        list = region->next;
        if (hook_safe) {
            deregister(module, region);
            atomic_fetch_add(&module->counters->unpinned_in_hook, 1);
            push(&module->spent, region);
        } else {
            push(&module->dead, region);
        }
    }
}

static void warn_in_use(grdma_module_t *module)
{
    if (atomic_exchange(&module->warn_in_use, false) && !atomic_exchange(&module->warned_in_use, true)) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "cache %s: memory was released while a registration of it was in use; the transfer may "
                     "have moved wrong data (reported once a cache; rcache_base_in_use_policy)",
                     module->name);
    }
}

/* Regions inherited from the parent. Those in use then are left: threads of this process may still look at them. */
static void free_inherited(interval_node_t *node)
{
    if (node == NULL) {
        return;
    }
    grdma_region_t *region = (grdma_region_t *) node;
    free_inherited(node->left);
    free_inherited(node->right);
    if (region->refs == 0 && region->state == GRDMA_READY) {
        free(region);
    }
}

void grdma_reap(grdma_module_t *module)
{
    if (atomic_load_explicit(&module->inherited, memory_order_relaxed) != NULL) {
        free_inherited(atomic_exchange(&module->inherited, NULL));
    }
    if (atomic_load_explicit(&module->dead, memory_order_relaxed) != NULL) {
        grdma_end(module, atomic_exchange(&module->dead, NULL));
    }
    if (atomic_load_explicit(&module->spent, memory_order_relaxed) != NULL) {
        grdma_region_t *list = atomic_exchange(&module->spent, NULL);
        while (list != NULL) {
            grdma_region_t *region = list;
            list = region->next;
            free_region(region);
        }
    }
    if (atomic_load_explicit(&module->warn_in_use, memory_order_relaxed)) {
        warn_in_use(module);
    }
}

/* ---- The hook ----------------------------------------------------------------------------------- */

static void handle_in_hook_locked(grdma_module_t *module, grdma_ending_t *ending)
{
    grdma_pending_handle_locked(module, ending);
    pthread_mutex_unlock(&module->lock);
    grdma_end_in_hook(module, ending->list);
    ending->list = NULL;
}

OPAL_MEM_HOOKS_PATH int grdma_invalidate_range(mca_rcache_base_module_t *base_module, void *addr, size_t size)
{
    grdma_module_t *module = grdma_of(base_module);
    grdma_ending_t ending = { NULL };
    uintptr_t mask = module->page_size - 1;
    uintptr_t first = (uintptr_t) addr & ~mask;
    uintptr_t last = size > UINTPTR_MAX - (uintptr_t) addr ? UINTPTR_MAX : ((uintptr_t) addr + size - 1) | mask;
    opal_mem_hooks_cause_t cause = opal_mem_hooks_current_cause();

    /* Nothing is registered: a registration that begins now raises the count, and only then looks at the
     * open windows; ours was opened before. */
    if (size == 0 || atomic_load_explicit(&module->counters->count, memory_order_relaxed) == 0) {
        return OPAL_SUCCESS;
    }
    if (pthread_mutex_trylock(&module->lock) == 0) {
        grdma_invalidate_locked(module, first, last, cause, &ending);
        handle_in_hook_locked(module, &ending);
    } else {
        grdma_pending_post(&module->pending, first, last - first + 1, cause);
    }
    barrier_after_rmw(); /* As in grdma_unlock(). */
    while (grdma_pending_any(&module->pending) && pthread_mutex_trylock(&module->lock) == 0) {
        handle_in_hook_locked(module, &ending);
        barrier_after_rmw();
    }
    return OPAL_SUCCESS;
}
