/* SPDX-License-Identifier: BSD-3-Clause */
/* Creation and destruction of caches, as their users see it. */
#include "framework/hooks/hooks_internal.h"
#include "framework/opalmem_internal.h"
#include "framework/util/fork.h"
#include "opal/mca/base/base.h"
#include "rcache/base/rcache_base.h"
#include "rcache/base/rcache_base_list.h"
#include "rcache/base/rcache_helper.h"

/* Both: memory may come from the heap, or from a system call, and nobody says which. */
static bool hooks_notice_releases(void)
{
    const int needed = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT;
    return (opal_mem_hooks_support_level() & needed) == needed;
}

/* May this cache keep registrations? OPAL_ERR_NOT_SUPPORTED: it must, but cannot. */
static int decide_caching(const mca_rcache_base_settings_t *settings, bool *caching)
{
    *caching = settings->unsafe || (settings->leave_pinned != 0 && hooks_notice_releases());
    if (settings->leave_pinned == 1 && !*caching) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "rcache_base_leave_pinned is 1, but no memory component notices releases here "
                     "(opalmem-info says why); use auto or 0");
        return OPAL_ERR_NOT_SUPPORTED;
    }
    return OPAL_SUCCESS;
}

static void copy_settings(void *arg)
{
    mca_rcache_base_settings_t *settings = arg;
    *settings = mca_rcache_base_settings;
}

/* The settings belong to one round of init and finalize, and another thread may end it. */
static int start(const mca_rcache_base_resources_t *resources, mca_rcache_base_settings_t *settings)
{
    const char *fault = NULL;
    if (!opalmem_is_running() || !mca_rcache_list_while_open(copy_settings, settings)) {
        fault = "opalmem_init() has not been called";
    } else if (resources == NULL || resources->register_mem == NULL || resources->deregister_mem == NULL) {
        fault = "its resources lack register_mem or deregister_mem";
    } else if (resources->sizeof_reg < sizeof(mca_rcache_base_registration_t)) {
        fault = "sizeof_reg is smaller than mca_rcache_base_registration_t";
    } else if (resources->sizeof_reg > MCA_RCACHE_MAX_SIZEOF_REG) {
        fault = "sizeof_reg is larger than 65536";
    }
    if (fault != NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: %s", fault);
    }
    return fault == NULL ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
}

static void fill_in_defaults(mca_rcache_base_resources_t *resources, const mca_rcache_base_settings_t *settings)
{
    if (resources->cache_name == NULL) {
        resources->cache_name = "unnamed";
    }
    if (resources->max_count == 0) {
        resources->max_count = settings->max_count;
    }
    if (resources->max_bytes == 0) {
        resources->max_bytes = settings->max_bytes;
    }
    if (resources->in_use_policy == MCA_RCACHE_IN_USE_DEFAULT) {
        resources->in_use_policy = (mca_rcache_in_use_policy_t) settings->in_use_policy;
    }
}

mca_rcache_base_module_t *mca_rcache_base_module_create(const char *name, void *user_data,
                                                        mca_rcache_base_resources_t *resources)
{
    mca_rcache_base_order_t order = { .name = name, .user_data = user_data };
    mca_rcache_base_settings_t settings;
    opal_fork_check();
    if (start(resources, &settings) != OPAL_SUCCESS || decide_caching(&settings, &order.caching) != OPAL_SUCCESS) {
        return NULL;
    }
    mca_rcache_base_resources_t filled_in = *resources;
    fill_in_defaults(&filled_in, &settings);
    order.resources = &filled_in;
    mca_rcache_base_module_t *module;
    if (mca_rcache_base_make(&order, &module) != OPAL_SUCCESS) {
        return NULL;
    }
    int rc = order.caching ? mca_rcache_base_listen() : OPAL_SUCCESS;
    /* Where nothing can be heard, only rcache_base_unsafe lets a cache keep anything. */
    if (rc != OPAL_SUCCESS && !settings.unsafe) {
        mca_rcache_base_module_destroy(module);
        mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: %s", opal_strerror(rc));
        return NULL;
    }
    if (order.caching) {
        mca_rcache_helper_start();
    }
    return module;
}

int mca_rcache_base_module_destroy(mca_rcache_base_module_t *module)
{
    opal_fork_check();
    mca_rcache_entry_t *entry = mca_rcache_list_hide(module);
    if (entry == NULL) {
        return OPAL_ERR_BAD_PARAM;
    }
    opal_mem_hooks_wait_dispatch(); /* Releases that still see it. */
    int rc = module->rcache_finalize(module);
    mca_rcache_list_give_back(entry, rc != OPAL_SUCCESS);
    return rc;
}

static void progress_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    module->rcache_progress(module);
}

void mca_rcache_base_progress(void)
{
    opal_mem_hooks_window_t window;
    opal_memory_base_sync();
    opal_mem_hooks_enter(&window); /* Keeps a cache that is destroyed meanwhile from being freed under us. */
    mca_rcache_list_visit(progress_one, NULL);
    opal_mem_hooks_leave(&window);
}

bool mca_rcache_base_is_caching(const mca_rcache_base_module_t *module)
{
    return MCA_RCACHE_BASE_HAS(module, rcache_is_caching) ? module->rcache_is_caching(module)
                                                          : mca_rcache_list_is_caching(module);
}
