/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "linux": notices releases before they happen, by replacing
 * the system-call sites of libc and ld.so. This file is what the framework
 * sees of it; linux_install.c does the work. */
#include "components/linux/linux.h"

#include <string.h>

#include "components/linux/linux_mechanism.h"

#include "opal/mca/memory/memory.h"

#define DISABLE_SITES "memory_linux_disable_sites"

static int component_priority = 80;
static char *disable_sites;
static size_t search_limit = (size_t) 128 << 20;
static linux_options_t options;

static int enable(void);
static int disable(void);

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_PUSH,
    .enable = enable,
    .disable = disable,
};

static int enable(void)
{
    options.search_limit = search_limit;
    return linux_mechanism_enable(&options, &module);
}

/* Should the code not let itself be changed back, its jumps stay and do nothing. */
static int disable(void)
{
    linux_mechanism_disable();
    module.support = 0;
    return OPAL_SUCCESS;
}

static int query(mca_base_module_t **out_module, int *priority)
{
    const int result = linux_mechanism_query(&module);

    if (result == OPAL_SUCCESS) {
        *out_module = (mca_base_module_t *) &module;
        *priority = component_priority;
    }
    return result;
}

static int check_disable_sites(void)
{
    mca_base_var_info_t info;
    const char *unknown;
    size_t length;

    options.left_alone = (linux_sites_mask_t){ { 0 } };
    if (disable_sites == NULL
        || linux_sites_parse(disable_sites, &options.left_alone, &unknown, &length) == OPAL_SUCCESS) {
        return OPAL_SUCCESS;
    }
    if (mca_base_var_find_info(DISABLE_SITES, &info) != OPAL_SUCCESS) {
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_log(
        MCA_BASE_LOG_ERROR,
        DISABLE_SITES
        " (from %s): \"%.*s\" is not one of the system calls that can be left alone: mmap, munmap, brk, mremap, "
        "madvise, shmat, shmdt, remap_file_pages, process_madvise, truncate, ftruncate, fallocate, open, openat, "
        "openat2, creat, ioctl, mprotect, pkey_mprotect, and syscall for syscall(2); each everywhere, or with "
        "libc:, ld.so: or "
        "other: before it",
        info.source_detail, (int) length, unknown);
    return OPAL_ERR_BAD_PARAM;
}

static int register_params(void)
{
    const mca_base_var_def_t priority_def = {
        .framework = "memory",
        .component = "linux",
        .name = "priority",
        .help = "Priority of the component that replaces the system calls of libc and ld.so.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 5,
        .min = 0,
        .max = 100,
        .storage = &component_priority,
    };
    const mca_base_var_def_t disable_def = {
        .framework = "memory",
        .component = "linux",
        .name = "disable_sites",
        .help = "System calls that are left alone, separated by commas; with libc:, ld.so: or other: before the "
                "name only "
                "in the code of those. For tests and for finding faults: what they release is not noticed.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 9,
        .storage = &disable_sites,
    };
    const mca_base_var_def_t limit_def = {
        .framework = "memory",
        .component = "linux",
        .name = "search_limit",
        .help = "Other objects than libc and ld.so are searched for system calls of their own if their code is no "
                "larger "
                "than this; 0: none is. Searching reads the code's file once, at some GB a second.",
        .type = MCA_BASE_VAR_TYPE_SIZE_T,
        .info_level = 6,
        .storage = &search_limit,
    };
    int result;

    result = mca_base_var_register(&priority_def);
    if (result == OPAL_SUCCESS) {
        result = mca_base_var_register(&disable_def);
    }
    if (result == OPAL_SUCCESS) {
        result = mca_base_var_register(&limit_def);
    }
    if (result == OPAL_SUCCESS) {
        result = linux_mechanism_register_params();
    }
    return result == OPAL_SUCCESS ? check_disable_sites() : result;
}

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_linux_component;
const opal_memory_base_component_t mca_memory_linux_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "linux",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
        .flags = MCA_BASE_COMPONENT_FLAG_RESIDENT,
    },
    .memoryc_register = linux_mechanism_register,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
