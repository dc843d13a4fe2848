/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses between the two mechanisms of the component (linux_install.c,
 * linux_interpose.c), and adds malloc-level events to the first, if asked for;
 * the second has them in any case. */
#include "components/linux/linux_mechanism.h"

#include <stdbool.h>

#include "components/linux/linux_interpose.h"
#include "components/linux/linux_malloc.h"
#include "opal/mca/base/base.h"

enum { AUTO, PATCH, INTERPOSE };

static const mca_base_var_enum_value_t mechanisms[] = {
    { "auto", AUTO },
    { "patch", PATCH },
    { "interpose", INTERPOSE },
    { NULL, 0 },
};

static int wanted = AUTO;
static bool wants_malloc_events;

/* Constant from query to disable. */
static bool interposes;

int linux_mechanism_register_params(void)
{
    const mca_base_var_def_t mechanism_def = {
        .framework = "memory",
        .component = "linux",
        .name = "mechanism",
        .help =
            "How calls are noticed. patch: replaced code of libc and others. interpose: functions of libc taken "
            "over by their names; sees less, and each free() is an event. auto: patch where it is written for "
            "the processor.",
        .type = MCA_BASE_VAR_TYPE_ENUM,
        .info_level = 6,
        .enumerator = mechanisms,
        .storage = &wanted,
    };
    const mca_base_var_def_t events_def = {
        .framework = "memory",
        .component = "linux",
        .name = "malloc_events",
        .help =
            "Raise an event for each block that malloc, calloc, realloc and their like give and take back, not "
            "only for memory that goes back to the system. Costs two events for each block.",
        .type = MCA_BASE_VAR_TYPE_BOOL,
        .info_level = 5,
        .storage = &wants_malloc_events,
    };
    const int result = mca_base_var_register(&mechanism_def);

    return result == OPAL_SUCCESS ? mca_base_var_register(&events_def) : result;
}

/* Is it the machine code that is missing, or anything else that the other mechanism would miss as well? */
static int query_auto(void)
{
    interposes = linux_query() != OPAL_SUCCESS;
    return interposes ? linux_interpose_query() : OPAL_SUCCESS;
}

int linux_mechanism_query(opal_memory_base_module_t *module)
{
    int result;

    if (wanted == AUTO) {
        result = query_auto();
    } else {
        interposes = wanted == INTERPOSE;
        result = interposes ? linux_interpose_query() : linux_query();
    }
    module->flags = OPAL_MEMORY_MODULE_PUSH | (interposes ? OPAL_MEMORY_MODULE_SLOW_VALID : 0);
    module->valid = interposes ? linux_interpose_valid : NULL;
    return result;
}

int linux_mechanism_enable(const linux_options_t *options, opal_memory_base_module_t *module)
{
    int result;

    if (interposes) {
        return linux_interpose_install(options, &module->support, &module->sees);
    }
    result = linux_install(options, &module->support, &module->sees);
    if (result == OPAL_SUCCESS) {
        linux_sanitizer_enable(&module->support);
    }
    if (result == OPAL_SUCCESS && wants_malloc_events) {
        linux_malloc_enable(&module->support);
    }
    return result;
}

void linux_mechanism_disable(void)
{
    if (interposes) {
        linux_interpose_uninstall();
    } else {
        linux_malloc_disable();
        linux_sanitizer_disable();
        linux_uninstall();
    }
}

int linux_mechanism_register(void *base, size_t length, uint64_t cookie)
{
    if (interposes) {
        return linux_interpose_register(base, length, cookie);
    }
    linux_malloc_follow();
    return linux_guard_register(base, length, cookie);
}
