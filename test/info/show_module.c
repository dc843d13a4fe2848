/* SPDX-License-Identifier: BSD-3-Clause */
/* A memory component that cannot run, with a variable of every kind: what
 * opalmem-info shows is tested with it. */
#include "opal/mca/base/base.h"
#include "opal/mca/memory/memory.h"

static const mca_base_var_enum_value_t kinds[] = { { "round", 1 }, { "flat", 2 }, { NULL, 0 } };
static char *text = (char *) "a b";
static int secret = 7, kind = 2;
static unsigned number = 3;
static size_t count = 4;
static bool old = false;
static double live = 0.5;

static const mca_base_var_def_t variables[] = {
    { .name = "text", .type = MCA_BASE_VAR_TYPE_STRING, .info_level = 1, .storage = &text },
    { .name = "secret",
      .type = MCA_BASE_VAR_TYPE_INT,
      .info_level = 1,
      .flags = MCA_BASE_VAR_FLAG_INTERNAL,
      .storage = &secret },
    { .name = "number", .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .info_level = 2, .storage = &number },
    { .name = "count", .type = MCA_BASE_VAR_TYPE_SIZE_T, .info_level = 3, .min = 1, .max = 10, .storage = &count },
    { .name = "old",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 1,
      .flags = MCA_BASE_VAR_FLAG_DEPRECATED,
      .storage = &old },
    { .name = "live",
      .type = MCA_BASE_VAR_TYPE_DOUBLE,
      .info_level = 1,
      .scope = MCA_BASE_VAR_SCOPE_LOCAL,
      .flags = MCA_BASE_VAR_FLAG_SETTABLE,
      .storage = &live },
    { .name = "kind", .type = MCA_BASE_VAR_TYPE_ENUM, .info_level = 9, .enumerator = kinds, .storage = &kind },
};

static int register_variables(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        mca_base_var_def_t def = variables[i];
        def.framework = "memory";
        def.component = "show";
        def.help = "Of a component that exists for a test.";
        int rc = mca_base_var_register(&def);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    return mca_base_var_register_synonym("memory_show_text", "show_text", 0);
}

static int query(mca_base_module_t **module, int *priority)
{
    (void) module, (void) priority;
    mca_base_component_set_reason("it exists for a test: it never runs");
    return OPAL_ERR_NOT_AVAILABLE;
}

MCA_BASE_COMPONENT_DECLSPEC extern const opal_memory_base_component_t mca_memory_show_component;
const opal_memory_base_component_t mca_memory_show_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "show",
        .mca_component_major_version = 1,
        .mca_component_minor_version = 2,
        .mca_component_release_version = 3,
        .mca_register_component_params = register_variables,
        .mca_query_component = query,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};
