/* SPDX-License-Identifier: BSD-3-Clause */
/* A component of the framework "fake" (version 3.1), built several times: once
 * as it should be, and once for each way to be wrong. MODULE is its name, the
 * other macros say what is wrong. */
#include "opal/mca/base/base.h"
#include "opal/memoryhooks/memory.h"

#ifndef MODULE_SYMBOL /* The name within the symbol. */
#define MODULE_SYMBOL MODULE
#endif
#ifndef MODULE_CALLED /* The name within the structure. */
#define MODULE_CALLED MODULE
#endif
#ifndef MODULE_FRAMEWORK
#define MODULE_FRAMEWORK fake
#endif
#ifndef MODULE_MAJOR
#define MODULE_MAJOR 3
#endif
#ifndef MODULE_MCA_MINOR
#define MODULE_MCA_MINOR 0
#endif
#ifndef MODULE_FLAGS
#define MODULE_FLAGS 0
#endif

#define COMPONENT_OF(module) mca_fake_##module##_component
#define COMPONENT(module) COMPONENT_OF(module)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

static char *colour = (char *) "blue";
static int priority = 50;
static const mca_base_var_enum_value_t kinds[] = { { "round", 1 }, { "flat", 2 }, { NULL, 0 } };
static int kind = 1;

#ifndef MODULE_VARIABLES /* The component in its variables' names. */
#define MODULE_VARIABLES TEXT(MODULE_CALLED)
#endif

static int register_one(const char *name, mca_base_var_type_t type, void *storage)
{
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = "fake",
        .component = MODULE_VARIABLES,
        .name = name,
        .help = "Of a component that exists for a test.",
        .type = type,
        .info_level = 1,
        .enumerator = type == MCA_BASE_VAR_TYPE_ENUM ? kinds : NULL,
        .storage = storage,
    });
}

static int register_variables(void)
{
    int rc = register_one("colour", MCA_BASE_VAR_TYPE_STRING, &colour);
    if (rc == OPAL_SUCCESS) {
        rc = register_one("kind", MCA_BASE_VAR_TYPE_ENUM, &kind);
    }
    return rc == OPAL_SUCCESS ? register_one("priority", MCA_BASE_VAR_TYPE_INT, &priority) : rc;
}

static int query(mca_base_module_t **module, int *out_priority)
{
    *module = (mca_base_module_t *) &colour;
    *out_priority = priority;
    return OPAL_SUCCESS;
}

#ifdef MODULE_UNRESOLVED
extern int fake_function_that_nobody_defines(void);
static int open_component(void)
{
    return fake_function_that_nobody_defines();
}
#elif defined(MODULE_LOG)  /* Leaves a log callback behind. */
static void receive(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}
static int open_component(void)
{
    mca_base_set_log(receive, NULL);
    return OPAL_SUCCESS;
}
#elif defined(MODULE_HOOK) /* Leaves a memory hook behind: MODULE_HOOK is release or alloc. */
#define REGISTER_OF(kind) opal_mem_hooks_register_##kind
#define REGISTER(kind) REGISTER_OF(kind)
static void notice(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}
static int open_component(void)
{
    return REGISTER(MODULE_HOOK)(notice, NULL);
}
#else
static int open_component(void)
{
    return OPAL_SUCCESS;
}
#endif

OPAL_DECLSPEC extern const mca_base_component_t COMPONENT(MODULE_SYMBOL);
const mca_base_component_t COMPONENT(MODULE_SYMBOL) = {
    .mca_major_version = 2,
    .mca_minor_version = MODULE_MCA_MINOR,
    .mca_type_name = TEXT(MODULE_FRAMEWORK),
    .mca_type_major_version = MODULE_MAJOR,
    .mca_type_minor_version = 1,
    .mca_component_name = TEXT(MODULE_CALLED),
    .mca_component_major_version = 7,
    .mca_component_minor_version = 8,
    .mca_component_release_version = 9,
    .mca_open_component = open_component,
    .mca_query_component = query,
    .mca_register_component_params = register_variables,
    .flags = MODULE_FLAGS,
};
