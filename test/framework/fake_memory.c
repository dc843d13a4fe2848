/* SPDX-License-Identifier: BSD-3-Clause */
/* A memory component as DSO, compiled against a module structure of another
 * length: FAKE is its name, FAKE_SIZE the length. It says PUSH and that it sees
 * libc's calls; enable() finds out more. */
#include <stddef.h>

#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory.h"

#define COMPONENT_OF(name) mca_memory_##name##_component
#define COMPONENT(name) COMPONENT_OF(name)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

static int enable(void);

/* Whatever lies behind the end of the structure is none of the library's business. */
static struct {
    opal_memory_base_module_t module;
    void *behind;
} own = { .module = { .struct_size = FAKE_SIZE,
                      .flags = OPAL_MEMORY_MODULE_PUSH,
                      .sees = OPAL_MEMORY_SEES_LIBC,
                      .enable = enable } };

static int enable(void)
{
    own.module.support = OPAL_MEMORY_MUNMAP_SUPPORT;
    own.module.sees |= OPAL_MEMORY_SEES_SHM;
    return OPAL_SUCCESS;
}

static int query(mca_base_module_t **module, int *priority)
{
    *module = (mca_base_module_t *) &own.module;
    *priority = 60;
    return OPAL_SUCCESS;
}

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t COMPONENT(FAKE);
const opal_memory_base_component_t COMPONENT(FAKE) = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = TEXT(FAKE),
        .mca_component_major_version = 1,
        .mca_query_component = query,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
