/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "ummunotify": learns from /dev/ummunotify what the kernel
 * does to registered memory. This file is what the framework sees of it; how it
 * works is in ummunotify.h. */
#include "components/ummunotify/ummunotify.h"
#include "opal/mca/memory/memory.h"

static int component_priority = 85;
static char *device_path = (char *) (uintptr_t) "/dev/ummunotify";

static int enable(void);
static int disable(void);

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
    .flags = OPAL_MEMORY_MODULE_POLLED,
    .enable = enable,
    .disable = disable,
};

static void stop(void)
{
    ummunotify_device_close();
    ummunotify_table_clear();
    module.support = 0;
    module.sees = 0;
}

static int enable(void)
{
    const int rc = ummunotify_device_open(device_path);

    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    ummunotify_selftest(&module.support, &module.sees);
    if (module.support == 0) {
        mca_base_component_set_reason("%s does not tell of memory that is released: its driver does not work here",
                                      device_path);
        stop();
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static int disable(void)
{
    stop();
    return OPAL_SUCCESS;
}

static int open_ummunotify(void)
{
    if (device_path == NULL || device_path[0] == '\0') {
        mca_base_component_set_reason("memory_ummunotify_device is empty: it has to name the device");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return ummunotify_device_probe(device_path);
}

static int query(mca_base_module_t **out_module, int *priority)
{
    module.counter = ummunotify_device_counter();
    if (module.counter == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    *out_module = (mca_base_module_t *) &module;
    *priority = component_priority;
    return OPAL_SUCCESS;
}

static int register_params(void)
{
    const mca_base_var_def_t priority_def = {
        .framework = "memory",
        .component = "ummunotify",
        .name = "priority",
        .help = "Priority of the component that is told by the kernel's driver ummunotify.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 5,
        .min = 0,
        .max = 100,
        .storage = &component_priority,
    };
    const mca_base_var_def_t device_def = {
        .framework = "memory",
        .component = "ummunotify",
        .name = "device",
        .help = "The device of the driver ummunotify. It is opened for reading.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 5,
        .storage = &device_path,
    };
    const int rc = mca_base_var_register(&priority_def);

    return rc == OPAL_SUCCESS ? mca_base_var_register(&device_def) : rc;
}

/* RESIDENT: the handler of pthread_atfork, and the page of the counter, stay. */
MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_ummunotify_component;
const opal_memory_base_component_t mca_memory_ummunotify_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "ummunotify",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_open_component = open_ummunotify,
        .mca_query_component = query,
        .mca_register_component_params = register_params,
        .flags = MCA_BASE_COMPONENT_FLAG_RESIDENT,
    },
    .memoryc_process = ummunotify_process,
    .memoryc_register = ummunotify_register,
    .memoryc_deregister = ummunotify_deregister,
};
