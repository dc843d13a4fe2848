/* SPDX-License-Identifier: BSD-3-Clause */
/* The components of the framework "rcache": which there are, which one makes a
 * cache, and whether what it makes can be used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "rcache/base/rcache_base.h"
#include "rcache/base/rcache_base_list.h"
#include "rcache/grdma/grdma.h"

/* Down to here a module's table must reach. */
#define MODULE_SIZE_MIN offsetof(mca_rcache_base_module_t, rcache_stop)

static const mca_base_component_t *const static_components[] = { &mca_rcache_grdma_component.rcache_version,
                                                                 NULL };

/* Changes in open and close only. */
static mca_base_framework_t framework = {
    .name = "rcache",
    .version = { 2, 0 },
    .component_size = sizeof(mca_rcache_base_component_t),
    .static_components = static_components,
    .no_sum = true,
};

static void drop_unsound(void)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (item->available && ((const mca_rcache_base_component_t *) item->component)->rcache_init == NULL) {
            item->available = false;
            snprintf(item->reason, sizeof(item->reason), "its component structure has no rcache_init");
            mca_base_verbose(&framework, 10, "component %s cannot run here: %s", item->name, item->reason);
            mca_base_component_release(item);
        }
    }
}

static mca_base_component_item_t *find_first(void)
{
    mca_base_component_item_t *item = framework.items;
    while (item != NULL && !item->available) {
        item = item->next;
    }
    return item;
}

/* Caches of every available component may be asked for by name: all stay open, and the first one is what a cache
 * without a name gets. */
int mca_rcache_base_open_components(void)
{
    int rc = mca_base_framework_open(&framework);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    drop_unsound();
    mca_base_component_item_t *first = find_first();
    if (first != NULL) {
        first->selected = true;
        mca_base_verbose(&framework, 10, "component %s selected, priority %d", first->name, first->priority);
    } else if (framework.selection_kind == MCA_BASE_SELECT_INCLUDE) {
        rc = mca_base_framework_unavailable(&framework);
        mca_base_framework_close(&framework);
        return rc;
    }
    mca_base_framework_explain_losers(&framework);
    return OPAL_SUCCESS;
}

void mca_rcache_base_close_components(void)
{
    mca_base_framework_close(&framework);
}

/* ---- Making a cache ----------------------------------------------------------------------------- */

/* By a name, or the index-th that is available. */
typedef struct wanted_t {
    const char *name;
    size_t index;
} wanted_t;

static mca_base_component_item_t *pick(void *arg)
{
    const wanted_t *wanted = arg;
    size_t index = 0;
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (!item->available || item->component == NULL) {
            continue;
        }
        if (wanted->name != NULL ? strcmp(item->name, wanted->name) == 0 : index == wanted->index) {
            return item;
        }
        index++;
    }
    return NULL;
}

static const char *find_fault(const mca_rcache_base_module_t *module)
{
    if (module == NULL) {
        return "it returns none";
    }
    if (module->struct_size < MODULE_SIZE_MIN) {
        return "its module structure is too short";
    }
    if (module->struct_size > sizeof(*module)) {
        return "its module structure is longer than this library's: it was compiled for a later version";
    }
    if (module->component_name == NULL || module->rcache_register == NULL || module->rcache_deregister == NULL
        || module->rcache_find == NULL || module->rcache_invalidate_range == NULL
        || module->rcache_finalize == NULL) {
        return "a required member of its module structure is NULL";
    }
    return NULL;
}

static bool evict_nothing(mca_rcache_base_module_t *module)
{
    (void) module;
    return false;
}

static void progress_nothing(mca_rcache_base_module_t *module)
{
    (void) module;
}

static void count_nothing(mca_rcache_base_module_t *module, mca_rcache_base_stats_t *stats)
{
    (void) module;
    memset(stats, 0, sizeof(*stats));
}

static void fill_in_functions(mca_rcache_base_module_t *module)
{
    if (module->rcache_evict == NULL) {
        module->rcache_evict = evict_nothing;
    }
    if (module->rcache_progress == NULL) {
        module->rcache_progress = progress_nothing;
    }
    if (module->rcache_stats == NULL) {
        module->rcache_stats = count_nothing;
    }
    if (module->rcache_unknown == NULL) {
        module->gate = module->serial = UINT64_MAX; /* Which no thread knows. */
        module->recent = 0;
    }
}

static int ask(const mca_rcache_base_component_t *component, const mca_rcache_base_order_t *order,
               mca_rcache_base_module_t **module)
{
    const char *name = component->rcache_version.mca_component_name;
    mca_rcache_base_module_t *made = NULL;
    int rc = component->rcache_init(order->resources, order->user_data, order->caching, &made);
    if (rc != OPAL_SUCCESS) {
        if (rc != OPAL_ERR_NOT_AVAILABLE || order->name != NULL) {
            mca_base_log(MCA_BASE_LOG_ERROR, "component %s cannot make the registration cache \"%s\": %s", name,
                         order->resources->cache_name, opal_strerror(rc));
        }
        return rc;
    }
    const char *fault = find_fault(made);
    if (fault != NULL) {
        /* The structure is not what we think: it is lost, rather than called into. */
        mca_base_log(MCA_BASE_LOG_ERROR, "component %s cannot make the registration cache \"%s\": %s", name,
                     order->resources->cache_name, fault);
        return OPAL_ERR_BAD_PARAM;
    }
    fill_in_functions(made);
    mca_base_verbose(&framework, 10, "component %s makes the cache \"%s\", %s", name, order->resources->cache_name,
                     order->caching ? "which keeps registrations" : "which keeps nothing");
    *module = made;
    return OPAL_SUCCESS;
}

typedef struct refusal_t {
    const char *name;
    char *text;
} refusal_t;

static void describe_refusal(void *arg)
{
    refusal_t *refusal = arg;
    refusal->text = mca_base_framework_describe_refusal(&framework, refusal->name);
}

static int report_stop(void)
{
    mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: the library is being stopped");
    return OPAL_ERR_RESOURCE_BUSY;
}

static int report_refusal(const mca_rcache_base_order_t *order, size_t asked)
{
    refusal_t refusal = { .name = order->name };
    if (!mca_rcache_list_while_open(describe_refusal, &refusal)) {
        return report_stop();
    }
    if (order->name == NULL && asked > 0) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "no component of framework rcache takes the resources of the cache \"%s\"",
                     order->resources->cache_name);
    } else {
        mca_base_log(MCA_BASE_LOG_ERROR, "%s",
                     refusal.text != NULL ? refusal.text : "no component of framework rcache can be used");
    }
    free(refusal.text);
    return OPAL_ERR_NOT_FOUND;
}

/* Another thread may have stopped the library while the component made the cache: nobody would stop this one then, and it
 * would keep what nobody tells it to drop. */
static int show(mca_rcache_entry_t *entry, mca_rcache_base_module_t *module, const mca_rcache_base_order_t *order)
{
    if (mca_rcache_list_publish(entry, module, order->caching, order->resources->reg_data)) {
        return OPAL_SUCCESS;
    }
    int rc = module->rcache_finalize(module);
    mca_rcache_list_give_back(entry, rc != OPAL_SUCCESS);
    return report_stop();
}

int mca_rcache_base_make(const mca_rcache_base_order_t *order, mca_rcache_base_module_t **module)
{
    wanted_t wanted = { .name = order->name };
    int rc;
    do {
        mca_rcache_entry_t *entry;
        const mca_rcache_base_component_t *component;
        rc = mca_rcache_list_take(pick, &wanted, &entry, &component);
        if (rc == OPAL_ERR_NOT_FOUND) {
            return report_refusal(order, wanted.index);
        }
        if (rc != OPAL_SUCCESS) {
            mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: %s", opal_strerror(rc));
            return rc;
        }
        rc = ask(component, order, module);
        if (rc == OPAL_SUCCESS) {
            rc = show(entry, *module, order);
        } else {
            mca_rcache_list_give_back(entry, false);
        }
        wanted.index++;
    } while (rc == OPAL_ERR_NOT_AVAILABLE && order->name == NULL);
    return rc;
}
