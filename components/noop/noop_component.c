/* SPDX-License-Identifier: BSD-3-Clause */
/* noop: notices nothing and says so (support level 0). It is the last resort by
 * priority, and the way to run without hooks: --mca memory noop. */
#include "opal/mca/memory/memory.h"

static opal_memory_base_module_t module = {
    .struct_size = sizeof(module),
};

static int query(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &module;
    *priority = 0;
    return OPAL_SUCCESS;
}

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_noop_component;
const opal_memory_base_component_t mca_memory_noop_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "noop",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_query_component = query,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
