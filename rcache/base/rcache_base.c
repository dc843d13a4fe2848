/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop of the caches' base, and the release callback that hands
 * events to all caches. */
#include "rcache/base/rcache_base.h"

#include <stdatomic.h>

#include "framework/hooks/hooks_internal.h"
#include "opal/mca/base/base.h"
#include "rcache/base/rcache_base_list.h"
#include "rcache/base/rcache_helper.h"
#include "rcache/base/rcache_limits.h"
#include "rcache/base/rcache_stats.h"
#include "rcache/grdma/grdma.h"
#include "rcache/providers/provider.h"

mca_rcache_base_settings_t mca_rcache_base_settings;
static atomic_bool listening; /* From a successful registration of the callback to close. */

/* ---- Variables ---------------------------------------------------------------------------------- */

/* All that Open MPI takes; of each value the first name is shown. */
static const mca_base_var_enum_value_t leave_pinned_values[] = {
    { "auto", -1 }, { "-1", -1 }, { "0", 0 },        { "1", 1 },       { "false", 0 },
    { "true", 1 },  { "f", 0 },   { "t", 1 },        { "no", 0 },      { "yes", 1 },
    { "n", 0 },     { "y", 1 },   { "disabled", 0 }, { "enabled", 1 }, { NULL, 0 },
};
/* Open MPI's names for it, which its users have in their scripts. */
static const char *const leave_pinned_synonyms[] = { "leave_pinned", "mpi_leave_pinned", "opal_leave_pinned" };
static const mca_base_var_enum_value_t policy_values[] = {
    { "ignore", MCA_RCACHE_IN_USE_IGNORE },
    { "warn", MCA_RCACHE_IN_USE_WARN },
    { "abort", MCA_RCACHE_IN_USE_ABORT },
    { NULL, 0 },
};

static const mca_base_var_enum_value_t overlap_values[] = {
    { "coexist", MCA_RCACHE_OVERLAP_COEXIST },
    { "merge", MCA_RCACHE_OVERLAP_MERGE },
    { NULL, 0 },
};

static const mca_base_var_def_t variables[] = {
    { .framework = "rcache",
      .component = "base",
      .name = "leave_pinned",
      .help = "Keep registrations for reuse: auto (where a memory component notices releases), 1 (or fail), 0.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 3,
      .enumerator = leave_pinned_values,
      .storage = &mca_rcache_base_settings.leave_pinned },
    { .framework = "rcache",
      .component = "base",
      .name = "unsafe",
      .help = "Keep registrations although no component notices releases. Data WILL be corrupted when memory "
              "is released: for demonstrations and tests only.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 9,
      .storage = &mca_rcache_base_settings.unsafe },
    { .framework = "rcache",
      .component = "base",
      .name = "max_count",
      .help = "Most registrations that one cache may hold; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.max_count },
    { .framework = "rcache",
      .component = "base",
      .name = "max_bytes",
      .help = "Most bytes that one cache may keep pinned; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.max_bytes },
    { .framework = "rcache",
      .component = "base",
      .name = "process_max_count",
      .help = "Most registrations that all caches of the process may hold together; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.process_max_count },
    { .framework = "rcache",
      .component = "base",
      .name = "process_max_bytes",
      .help = "Most bytes that all caches of the process may keep pinned together; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.process_max_bytes },
    { .framework = "rcache",
      .component = "base",
      .name = "system_limits",
      .help = "Keep what all caches pin together within RLIMIT_MEMLOCK (unless the process has CAP_IPC_LOCK), and "
              "within half of the memory that the cgroup allows.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.system_limits },
    { .framework = "rcache",
      .component = "base",
      .name = "overlap",
      .help = "What to do with idle registrations that a new one overlaps in part: coexist (leave them), merge "
              "(register "
              "the union in the place of all; where that fails, the new range alone).",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = overlap_values,
      .storage = &mca_rcache_base_settings.overlap },
    { .framework = "rcache",
      .component = "base",
      .name = "in_use_policy",
      .help = "What to do when memory is released that a registration in use covers: ignore, warn, abort. "
              "What a driver alone tells (kdreg, ummunotify) may be a fork, and is passed over.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = policy_values,
      .storage = &mca_rcache_base_settings.in_use_policy },
    { .framework = "rcache",
      .component = "base",
      .name = "stats_page",
      .help = "Let other processes of the same user (opalmem-top) read the figures of the caches of this one.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.stats_page },
    { .framework = "rcache",
      .component = "base",
      .name = "helper",
      .help = "Have a thread unpin what was released within a millisecond, also where the program does not call "
              "into its "
              "caches for long (providers that may not be called in hooks, or several threads).",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.helper },
};

static int register_synonyms(void)
{
    int rc = OPAL_SUCCESS;
    for (size_t i = 0; i < sizeof(leave_pinned_synonyms) / sizeof(leave_pinned_synonyms[0]) && rc == OPAL_SUCCESS;
         i++) {
        rc = mca_base_var_register_synonym("rcache_base_leave_pinned", leave_pinned_synonyms[i], 0);
    }
    return rc;
}

int mca_rcache_base_open(void)
{
    mca_rcache_base_settings = (mca_rcache_base_settings_t){
        .leave_pinned = -1,
        .system_limits = true,
        .overlap = MCA_RCACHE_OVERLAP_COEXIST,
        .in_use_policy = MCA_RCACHE_IN_USE_WARN,
        .stats_page = true,
    };
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        int rc = mca_base_var_register(&variables[i]);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    int rc = register_synonyms();
    if (rc == OPAL_SUCCESS) {
        rc = mca_rcache_provider_register_variables();
    }
    if (rc == OPAL_SUCCESS) {
        rc = mca_rcache_base_open_components();
    }
    if (rc == OPAL_SUCCESS) {
        mca_rcache_stats_open(mca_rcache_base_settings.stats_page);
        mca_rcache_limits_open(mca_rcache_base_settings.process_max_count,
                               mca_rcache_base_settings.process_max_bytes, mca_rcache_base_settings.system_limits);
        mca_rcache_list_open();
    }
    return rc;
}

/* ---- Events ------------------------------------------------------------------------------------- */

OPAL_MEM_HOOKS_PATH static void invalidate_one(mca_rcache_base_module_t *module, void *arg)
{
    const opal_mem_hooks_range_t *range = arg;
    module->rcache_invalidate_range(module, (void *) range->start, range->length);
}

/* The release callback. Hook context. */
OPAL_MEM_HOOKS_PATH static void memory_released(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    opal_mem_hooks_range_t range = { (uintptr_t) buf, length };
    mca_rcache_list_visit(invalidate_one, &range);
}

int mca_rcache_base_listen(void)
{
    int rc = opal_mem_hooks_register_release(memory_released, NULL);
    if (rc == OPAL_EXISTS) {
        return OPAL_SUCCESS;
    }
    if (rc == OPAL_SUCCESS) {
        atomic_store(&listening, true);
    }
    return rc;
}

static void stop_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    if (MCA_RCACHE_BASE_HAS(module, rcache_stop)) {
        module->rcache_stop(module);
    } else {
        module->rcache_invalidate_range(module, NULL, SIZE_MAX);
    }
}

int mca_rcache_base_close(void)
{
    opal_mem_hooks_window_t window;
    /* The list first: a cache that is made meanwhile is either seen here, or not handed out. */
    size_t left = mca_rcache_list_close();
    mca_rcache_helper_stop();
    opal_mem_hooks_enter(&window); /* Keeps a cache that is destroyed meanwhile from being freed under us. */
    mca_rcache_list_visit(stop_one, NULL); /* Nobody will tell them of releases any more. */
    opal_mem_hooks_leave(&window);
    if (atomic_exchange(&listening, false)) {
        opal_mem_hooks_unregister_release(memory_released);
    }
    mca_rcache_base_close_components();
    mca_rcache_stats_close();
    return left == 0 ? OPAL_SUCCESS : OPAL_ERR_RESOURCE_BUSY;
}

static void reset_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    if (MCA_RCACHE_BASE_HAS(module, rcache_reset_child)) {
        module->rcache_reset_child(module);
    }
}

void mca_rcache_base_reset_child(void)
{
    mca_rcache_helper_reset_child();
    mca_rcache_stats_reset_child();
    mca_rcache_limits_reset_child();
    mca_rcache_list_reset_child();
    mca_rcache_list_visit(reset_one, NULL);
    grdma_left_reset_child();
}
