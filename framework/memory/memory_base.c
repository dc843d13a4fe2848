/* SPDX-License-Identifier: BSD-3-Clause */
/* Selection of memory components: which run, and what opal_memory points to. */
#include <stdio.h>
#include <string.h>

#include "framework/memory/memory_base.h"
#include "opal/memoryhooks/memory_internal.h"

opal_memory_base_component_t *opal_memory = &opal_memory_base_null_component;
opal_memory_base_active_t opal_memory_base_active[OPAL_MEMORY_BASE_MAX_ACTIVE];
size_t opal_memory_base_active_count;

/* A plain component sets the support level in open or query: what those say that are not selected, does not count. */
static void take_support(mca_base_component_item_t *item)
{
    item->support = opal_mem_hooks_support_level();
    opal_mem_hooks_set_support(0);
}

static mca_base_framework_t framework = {
    .name = "memory",
    .version = { 2, 0 },
    .component_size = sizeof(opal_memory_base_component_t),
    .static_components = opal_memory_base_static_components,
    .after_try = take_support,
};

/* A module reaches at least down to here; what it lacks behind its end reads as zero. */
#define MODULE_SIZE_MIN offsetof(opal_memory_base_module_t, counter)

/* The modules of the active ones as this library knows them, whatever the components were compiled with. */
static opal_memory_base_module_t modules[OPAL_MEMORY_BASE_MAX_ACTIVE];

static const char *copy_module(const mca_base_component_item_t *item, opal_memory_base_module_t *module)
{
    const opal_memory_base_module_t *original = (const void *) item->module;
    memset(module, 0, sizeof(*module));
    if (original->struct_size < MODULE_SIZE_MIN) {
        return "its module structure is too short";
    }
    if (original->struct_size > sizeof(*module)) {
        return "its module structure is longer than this library's: it was compiled for a later version";
    }
    memcpy(module, original, original->struct_size);
    return NULL;
}

#define KNOWN_FLAGS \
    (OPAL_MEMORY_MODULE_PUSH | OPAL_MEMORY_MODULE_POLLED | OPAL_MEMORY_MODULE_SLOW_VALID | OPAL_MEMORY_MODULE_LATE)

/* Whether events arrive depends on these: a component that would lose them without a word is none. */
static const char *find_fault(const opal_memory_base_component_t *component,
                              const opal_memory_base_module_t *module)
{
    bool polled = (module->flags & OPAL_MEMORY_MODULE_POLLED) != 0;
    if ((module->flags & ~(uint32_t) KNOWN_FLAGS) != 0) {
        return "its module structure has a flag that this library does not know";
    }
    if (polled && (module->flags & OPAL_MEMORY_MODULE_PUSH)) {
        return "it says that it is both PUSH and POLLED";
    }
    if (polled && module->counter == NULL) {
        return "it is POLLED but has no counter";
    }
    if (polled && component->memoryc_process == NULL) {
        return "it is POLLED but has no memoryc_process";
    }
    if (!polled && component->memoryc_process != NULL) {
        return "it has a memoryc_process, which nobody would call: it is not POLLED";
    }
    if (!polled && (module->flags & OPAL_MEMORY_MODULE_LATE)) {
        return "it is LATE but not POLLED";
    }
    if ((module->flags & OPAL_MEMORY_MODULE_SLOW_VALID) && module->valid == NULL) {
        return "it is SLOW_VALID but has no valid function";
    }
    return NULL;
}

/* A plain 2.0.0 component has no module, and that is sound. */
static int take_module(mca_base_component_item_t *item, opal_memory_base_active_t *candidate)
{
    opal_memory_base_module_t *module = item->module != NULL ? &modules[opal_memory_base_active_count] : NULL;
    const char *fault = module != NULL ? copy_module(item, module) : NULL;
    if (fault == NULL && module != NULL) {
        fault = find_fault(candidate->component, module);
    }
    if (fault != NULL) {
        snprintf(item->reason, sizeof(item->reason), "%s", fault);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    candidate->module = module;
    candidate->plain_support = item->support;
    return OPAL_SUCCESS;
}

static int enable(mca_base_component_item_t *item, const opal_memory_base_active_t *candidate)
{
    if (candidate->module == NULL || candidate->module->enable == NULL) {
        return OPAL_SUCCESS;
    }
    mca_base_component_begin(item);
    int rc = candidate->module->enable();
    mca_base_component_end();
    if (rc == OPAL_SUCCESS) {
        copy_module(item,
                    &modules[opal_memory_base_active_count]); /* Its self-test may have changed what it says. */
    }
    return rc;
}

static bool is_polled(const opal_memory_base_active_t *active)
{
    return active->module != NULL ? (active->module->flags & OPAL_MEMORY_MODULE_POLLED) != 0
                                  : active->component->memoryc_process != NULL;
}

/* A registration has room for one word that says whether it is good. */
static bool has_watch(const opal_memory_base_active_t *active)
{
    return active->module != NULL && active->module->watch != NULL;
}

static const opal_memory_base_active_t *find_active(bool (*is)(const opal_memory_base_active_t *active))
{
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        if (is(&opal_memory_base_active[i])) {
            return &opal_memory_base_active[i];
        }
    }
    return NULL;
}

static void make_unavailable(mca_base_component_item_t *item, int rc)
{
    item->available = false;
    if (item->reason[0] == '\0') {
        strncpy(item->reason, opal_strerror(rc), sizeof(item->reason) - 1);
    }
    mca_base_verbose(&framework, 10, "component %s cannot run: %s", item->name, item->reason);
}

static int check_alone(const mca_base_component_item_t *item, const opal_memory_base_active_t *candidate,
                       bool (*is)(const opal_memory_base_active_t *active), const char *what)
{
    const opal_memory_base_active_t *other = find_active(is);
    if (other == NULL || !is(candidate)) {
        return OPAL_SUCCESS;
    }
    mca_base_log(MCA_BASE_LOG_ERROR, "memory: components %s and %s %s; only one of the two can run",
                 other->component->memoryc_version.mca_component_name, item->name, what);
    return OPAL_ERR_BAD_PARAM;
}

static int check_together(const mca_base_component_item_t *item, const opal_memory_base_active_t *candidate)
{
    int rc = check_alone(item, candidate, is_polled, "are both polled");
    return rc == OPAL_SUCCESS ? check_alone(item, candidate, has_watch, "both have a watch function") : rc;
}

/* Start one component and put it among the active ones. */
static int activate(mca_base_component_item_t *item)
{
    opal_memory_base_active_t candidate = { .component =
                                                (opal_memory_base_component_t *) (uintptr_t) item->component };
    if (opal_memory_base_active_count == OPAL_MEMORY_BASE_MAX_ACTIVE) {
        mca_base_log(MCA_BASE_LOG_ERROR, "memory: at most %d components can run together",
                     OPAL_MEMORY_BASE_MAX_ACTIVE);
        return OPAL_ERR_BAD_PARAM;
    }
    int rc = take_module(item, &candidate);
    if (rc == OPAL_SUCCESS && check_together(item, &candidate) != OPAL_SUCCESS) {
        return OPAL_ERR_BAD_PARAM;
    }
    if (rc == OPAL_SUCCESS) {
        rc = enable(item, &candidate);
    }
    if (rc != OPAL_SUCCESS) {
        make_unavailable(item, rc);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    item->selected = true;
    opal_memory_base_active[opal_memory_base_active_count++] = candidate;
    mca_base_verbose(&framework, 10, "component %s selected, priority %d", item->name, item->priority);
    return OPAL_SUCCESS;
}

static void disable_all(void)
{
    while (opal_memory_base_active_count > 0) {
        const opal_memory_base_module_t *module = opal_memory_base_active[--opal_memory_base_active_count].module;
        if (module != NULL && module->disable != NULL) {
            module->disable();
        }
    }
}

/* Both functions are called without a look. */
static void drop_incomplete(void)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        const opal_memory_base_component_t *component = (const void *) item->component;
        if (item->available && (component->memoryc_register == NULL || component->memoryc_deregister == NULL)) {
            strcpy(item->reason, "its component structure has no memoryc_register, or no memoryc_deregister");
            make_unavailable(item, OPAL_ERR_NOT_AVAILABLE);
        }
    }
}

/* a+b: all or nothing. */
static int select_sum(void)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (!mca_base_framework_names(&framework, item->name)) {
            continue;
        }
        int rc = item->available ? activate(item) : OPAL_ERR_NOT_AVAILABLE;
        if (rc != OPAL_SUCCESS) {
            disable_all();
            return rc == OPAL_ERR_NOT_AVAILABLE ? mca_base_framework_unavailable(&framework) : rc;
        }
    }
    return OPAL_SUCCESS;
}

static bool can_keep_company(const mca_base_component_item_t *item)
{
    opal_memory_base_module_t module;

    return item->available && !item->selected && item->module != NULL && copy_module(item, &module) == NULL
           && (module.flags & OPAL_MEMORY_MODULE_PUSH) != 0 && module.watch == NULL;
}

/* Of the components that the user admits. One that may tell late is not made to wait: it still sees what the other one does
 * not. */
static void find_company(const mca_base_component_item_t *late)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (can_keep_company(item) && activate(item) == OPAL_SUCCESS) {
            return;
        }
    }
    mca_base_verbose(
        &framework, 10,
        "component %s may tell of a release after it is over, and no component that is told by calls can "
        "run beside it",
        late->name);
}

static bool is_late(const opal_memory_base_active_t *active)
{
    return active->module != NULL && (active->module->flags & OPAL_MEMORY_MODULE_LATE) != 0;
}

/* The first by priority that starts. Nobody asked for one by name: none is no error. */
static int select_best(void)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (item->available && activate(item) == OPAL_SUCCESS) {
            if (find_active(is_late) != NULL) {
                find_company(item);
            }
            return OPAL_SUCCESS;
        }
    }
    return framework.selection_kind == MCA_BASE_SELECT_INCLUDE ? mca_base_framework_unavailable(&framework)
                                                               : OPAL_SUCCESS;
}

static void release_unselected(void)
{
    for (mca_base_component_item_t *item = framework.items; item != NULL; item = item->next) {
        if (!item->selected) {
            mca_base_component_release(item);
        }
    }
}

static void publish(void)
{
    const opal_memory_base_active_t *polled = find_active(is_polled);
    int support = 0;
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        const opal_memory_base_active_t *active = &opal_memory_base_active[i];
        support |= active->module == NULL ? active->plain_support : active->module->support;
    }
    if (opal_memory_base_active_count == 1) {
        opal_memory = opal_memory_base_active[0].component;
    } else if (opal_memory_base_active_count > 1) {
        opal_memory = &opal_memory_base_composite_component;
    }
    if (polled == NULL) {
        opal_memory_base_set_counter(NULL);
    } else if (polled->module != NULL) {
        opal_memory_base_set_counter(polled->module->counter);
    } else {
        opal_memory_base_always_ask();
    }
    opal_mem_hooks_set_support(support);
}

int opal_memory_base_open(void)
{
    opal_mem_hooks_set_support(0);
    int rc = mca_base_framework_open(&framework);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    drop_incomplete();
    rc = framework.selection_kind == MCA_BASE_SELECT_SUM ? select_sum() : select_best();
    if (rc != OPAL_SUCCESS) {
        opal_mem_hooks_set_support(0); /* An enable may have set it. */
        mca_base_framework_close(&framework);
        return rc;
    }
    mca_base_framework_report_empty(&framework, "releases are not noticed, and caches keep nothing");
    mca_base_framework_explain_losers(&framework);
    release_unselected();
    publish();
    return OPAL_SUCCESS;
}

void opal_memory_base_close(void)
{
    opal_mem_hooks_set_support(0);
    opal_memory_base_set_counter(NULL);
    opal_memory = &opal_memory_base_null_component;
    disable_all();
    mca_base_framework_close(&framework);
}
