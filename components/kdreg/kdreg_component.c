/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "kdreg": the driver kdreg2 tells of every change of watched
 * memory, and each registration has a word that says whether it is good. This
 * file is what the framework sees of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "components/kdreg/kdreg.h"
#include "components/kdreg/kdreg_sys.h"

static int component_priority = 90;
static char *device_path;
static size_t max_regions = 16384;
static size_t max_regions_limit = (size_t) 1 << 20;

static int enable(void);
static int disable(void);

/* Until enable there is nothing to count. */
static const volatile uint64_t no_events;

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_POLLED
             | OPAL_MEMORY_MODULE_LATE, /* Drivers since December 2025; versions do not tell. */
    .counter = &no_events,
    .watch = kdreg_watch,
    .unwatch = kdreg_unwatch,
    .enable = enable,
    .disable = disable,
};

static const char *path(void)
{
    return device_path != NULL && device_path[0] != '\0' ? device_path : KDREG_DEVICE;
}

static int enable(void)
{
    const kdreg_options_t options = {
        .device = path(),
        .max_regions = max_regions,
        .limit = max_regions_limit > max_regions ? max_regions_limit : max_regions,
    };
    return kdreg_start(&options, &module);
}

static int disable(void)
{
    kdreg_stop();
    module.counter = &no_events;
    module.support = 0;
    module.sees = 0;
    return OPAL_SUCCESS;
}

/* ---- Is there a device? -------------------------------------------------------------------------- */

static const char *help_for(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENXIO:
    case -ENODEV: return " (is the module kdreg2 loaded?)";
    case -EACCES:
    case -EPERM: return " (its mode has to let this user read and write)";
    case -ENOTTY: return " (it is no character device)";
    default: return "";
    }
}

static int open_component(void)
{
    kdreg_device_t device;
    const int rc = kdreg_device_open(&device, path(), -1);

    if (rc != 0) {
        mca_base_component_set_reason("%s cannot be opened: %s%s", path(), strerror(-rc), help_for(rc));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    kdreg_device_close(&device);
    return OPAL_SUCCESS;
}

static int query(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &module;
    *priority = component_priority;
    return OPAL_SUCCESS;
}

/* ---- Variables ----------------------------------------------------------------------------------- */

static int register_params(void)
{
    const mca_base_var_def_t defs[] = {
        { .name = "priority",
          .help = "Priority of the component that the driver kdreg2 tells of changes.",
          .type = MCA_BASE_VAR_TYPE_INT,
          .info_level = 5,
          .max = 100,
          .storage = &component_priority },
        { .name = "device",
          .help = "Device file of the driver kdreg2; empty: " KDREG_DEVICE ".",
          .type = MCA_BASE_VAR_TYPE_STRING,
          .info_level = 5,
          .storage = &device_path },
        { .name = "max_regions",
          .help = "Registrations for which the driver makes room at first; each takes 36 bytes of the kernel.",
          .type = MCA_BASE_VAR_TYPE_SIZE_T,
          .info_level = 5,
          .min = 1,
          .max = (long) (KDREG_MAX_REGIONS - KDREG_GUARDS),
          .storage = &max_regions },
        { .name = "max_regions_limit",
          .help =
              "Room is doubled, and all caches start anew, when it is used up, to at most this. With less than "
              "memory_kdreg_max_regions it stays as it is. What has no room is not cached.",
          .type = MCA_BASE_VAR_TYPE_SIZE_T,
          .info_level = 5,
          .min = 1,
          .max = (long) (KDREG_MAX_REGIONS - KDREG_GUARDS),
          .storage = &max_regions_limit },
    };
    int rc = OPAL_SUCCESS;

    for (size_t i = 0; i < sizeof(defs) / sizeof(defs[0]) && rc == OPAL_SUCCESS; i++) {
        mca_base_var_def_t def = defs[i];

        def.framework = "memory";
        def.component = "kdreg";
        rc = mca_base_var_register(&def);
    }
    return rc;
}

/* ---- The component ------------------------------------------------------------------------------- */

/* RESIDENT: the handler of pthread_atfork stays. */
MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_kdreg_component;
const opal_memory_base_component_t mca_memory_kdreg_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "kdreg",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_open_component = open_component,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
        .flags = MCA_BASE_COMPONENT_FLAG_RESIDENT,
    },
    .memoryc_process = kdreg_process,
    .memoryc_register = kdreg_register,
    .memoryc_deregister = kdreg_deregister,
};
