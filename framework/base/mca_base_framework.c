/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens a framework: finds its components, keeps those that the selection
 * admits, starts them and sorts them by priority. Which of the available ones
 * are used in the end is the framework's own choice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_selection.h"
#include "framework/base/mca_base_var.h"

#define ORIGIN_MAX 256
#define PATH_TEXT_MAX 1024
#define NAMES_MAX 512
#define PRIORITY_MAX 100

/* ---- Variables and selection -------------------------------------------------------------------- */

static int register_variables(mca_base_framework_t *framework)
{
    int rc = mca_base_var_register(&(mca_base_var_def_t){
        .framework = framework->name,
        .help = framework->no_sum
                    ? "Components to use: \"a,b\" any of these, \"^a,b\" any but these; empty: whatever runs here "
                      "best."
                    : "Components to use: \"a,b\" any of these, \"^a,b\" any but these, \"a+b\" these together; "
                      "empty: whatever runs here best.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 2,
        .storage = &framework->selection,
    });
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = framework->name,
        .component = "base",
        .name = "verbose",
        .help = "How much the framework tells: 10 which components it tries and why not, 40 and more for "
                "developers.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 8,
        .enumerator = mca_base_verbosity_names,
        .min = 0,
        .max = 100,
        .storage = &framework->verbose,
        .scope = MCA_BASE_VAR_SCOPE_LOCAL,
        .flags = MCA_BASE_VAR_FLAG_SETTABLE,
    });
}

/* Where the selection came from, for messages. @return Was it meant for Open MPI, perhaps? */
static bool selection_origin(const mca_base_framework_t *framework, char origin[ORIGIN_MAX])
{
    return mca_base_var_origin(framework->name, origin, ORIGIN_MAX);
}

static void forget_selection(mca_base_framework_t *framework)
{
    const char *problem;
    mca_base_var_unset(framework->name);
    mca_base_selection_parse(framework->selection, &framework->selection_kind, &problem);
}

static int parse_selection(mca_base_framework_t *framework)
{
    const char *problem = "its components are never used together";
    if (mca_base_selection_parse(framework->selection, &framework->selection_kind, &problem) == OPAL_SUCCESS
        && !(framework->no_sum && framework->selection_kind == MCA_BASE_SELECT_SUM)) {
        return OPAL_SUCCESS;
    }
    char origin[ORIGIN_MAX];
    bool for_open_mpi = selection_origin(framework, origin);
    mca_base_log(for_open_mpi ? MCA_BASE_LOG_WARN : MCA_BASE_LOG_ERROR,
                 "variable %s %s the value \"%s\" (%s): %s; expected %s", framework->name,
                 for_open_mpi ? "ignores" : "cannot have", framework->selection, origin, problem,
                 framework->no_sum ? "\"a,b\" or \"^a,b\"" : "\"a,b\", \"^a,b\" or \"a+b\"");
    if (!for_open_mpi) {
        return OPAL_ERR_BAD_PARAM;
    }
    forget_selection(framework);
    return OPAL_SUCCESS;
}

static int refuse_name(const mca_base_framework_t *framework, const mca_base_selection_name_t *name,
                       const char *origin)
{
    char known[NAMES_MAX], where[PATH_TEXT_MAX] = "";
    mca_base_framework_list(framework, known, sizeof known);
    if (mca_base_repository_is_disabled()) {
        snprintf(where, sizeof where, " (mca_base_component_disable_dlopen forbids to load any other)");
    } else if (framework->items == NULL) {
        snprintf(where, sizeof where, " in %s (mca_base_component_path; SYSTEM_DEFAULT is %s)",
                 mca_base_repository_component_path(), OPALMEM_COMPONENTDIR);
    }
    mca_base_log(MCA_BASE_LOG_ERROR, "framework %s has no component \"%.*s\" (%s); there are: %s%s",
                 framework->name, (int) name->length, name->start, origin, known, where);
    return OPAL_ERR_NOT_FOUND;
}

/* A list that excludes what is not there does no harm, but may be a slip of the pen. What Open MPI's variable
 * says of Open MPI's components ("patcher") is no mistake at all. */
static int judge_unknown(const mca_base_framework_t *framework, const mca_base_selection_name_t *name)
{
    char origin[ORIGIN_MAX];
    bool for_open_mpi = selection_origin(framework, origin);
    if (!for_open_mpi && framework->selection_kind != MCA_BASE_SELECT_EXCLUDE) {
        return refuse_name(framework, name, origin);
    }
    mca_base_log(for_open_mpi ? MCA_BASE_LOG_INFO : MCA_BASE_LOG_WARN,
                 "framework %s has no component \"%.*s\" (%s); the name is ignored", framework->name,
                 (int) name->length, name->start, origin);
    return OPAL_SUCCESS;
}

static int check_names(mca_base_framework_t *framework)
{
    const char *cursor = framework->selection;
    mca_base_selection_name_t name;
    unsigned known = 0, unknown = 0;
    while (mca_base_selection_next(&cursor, &name)) {
        if (mca_base_framework_find(framework, name.start, name.length) != NULL) {
            known++;
            continue;
        }
        unknown++;
        int rc = judge_unknown(framework, &name);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    if (known == 0 && unknown > 0) {
        forget_selection(framework); /* Of a list for Open MPI nothing is left. */
    }
    return OPAL_SUCCESS;
}

bool mca_base_framework_names(const mca_base_framework_t *framework, const char *component)
{
    return (framework->selection_kind == MCA_BASE_SELECT_INCLUDE
            || framework->selection_kind == MCA_BASE_SELECT_SUM)
           && mca_base_selection_lists(framework->selection, component);
}

/* False leaves the reason in the item. */
static bool is_admitted(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    bool listed = mca_base_selection_lists(framework->selection, item->name);
    bool exclude = framework->selection_kind == MCA_BASE_SELECT_EXCLUDE;
    if (framework->selection_kind == MCA_BASE_SELECT_ALL || listed != exclude) {
        return true;
    }
    char origin[ORIGIN_MAX];
    selection_origin(framework, origin);
    snprintf(item->reason, sizeof item->reason, "%s \"%.64s\" (%.120s)",
             exclude ? "excluded by" : "not in the list", framework->selection, origin);
    return false;
}

/* ---- Starting components ------------------------------------------------------------------------ */

#define FULL_NAME_MAX (MCA_BASE_MAX_TYPE_NAME_LEN + MCA_BASE_MAX_COMPONENT_NAME_LEN + 16)

static void name_priority(const mca_base_framework_t *framework, const mca_base_component_item_t *item,
                          char full_name[FULL_NAME_MAX])
{
    snprintf(full_name, FULL_NAME_MAX, "%s_%s_priority", framework->name, item->name);
}

/* Every component has a variable for its priority. Where it has registered none itself, this one has what query
 * said as its default, and what the user says counts. @return Codes of mca_base_var_register(). */
static int register_priority(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    char full_name[FULL_NAME_MAX];
    name_priority(framework, item, full_name);
    if (mca_base_var_is_known(full_name)) {
        return OPAL_SUCCESS;
    }
    item->priority_setting = item->priority;
    int rc = mca_base_var_register(&(mca_base_var_def_t){
        .framework = framework->name,
        .component = item->name,
        .name = "priority",
        .help = "Priority of this component: of those that can run here, the one with the highest is used. The "
                "default is what the component says itself.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 5,
        .min = 0,
        .max = PRIORITY_MAX,
        .storage = &item->priority_setting,
    });
    item->priority = item->priority_setting;
    return rc;
}

/* The component cannot be used. @return OPAL_SUCCESS, unless the framework cannot do without it, or a setting of
 * the user's is wrong. */
static int give_up(const mca_base_framework_t *framework, mca_base_component_item_t *item, const char *what,
                   int code)
{
    if (item->reason[0] == '\0') {
        snprintf(item->reason, sizeof item->reason, "%s: %s", what, opal_strerror(code));
    }
    mca_base_verbose(framework, 10, "component %s cannot run here: %s", item->name, item->reason);
    bool required = item->component != NULL && (item->component->flags & MCA_BASE_COMPONENT_FLAG_REQUIRED) != 0;
    if (required) {
        mca_base_log(MCA_BASE_LOG_ERROR, "framework %s needs component %s, which cannot run here: %s",
                     framework->name, item->name, item->reason);
    }
    int rc = register_priority(framework, item);
    mca_base_component_release(item);
    return required ? code : rc;
}

static int register_component(mca_base_component_item_t *item)
{
    int rc = OPAL_SUCCESS;
    if (item->component->mca_register_component_params != NULL) {
        rc = item->component->mca_register_component_params();
    }
    item->registered = true;
    return rc;
}

static int open_component(mca_base_component_item_t *item)
{
    mca_base_component_begin(item);
    int rc = item->component->mca_open_component != NULL ? item->component->mca_open_component() : OPAL_SUCCESS;
    mca_base_component_end();
    item->opened = rc == OPAL_SUCCESS;
    return rc;
}

static int clamp_priority(const mca_base_framework_t *framework, const char *component, int priority)
{
    int clamped = priority < 0 ? 0 : priority > PRIORITY_MAX ? PRIORITY_MAX : priority;
    if (clamped != priority) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "component %s of framework %s has priority %d, not in 0 to %d: taken as %d", component,
                     framework->name, priority, PRIORITY_MAX, clamped);
    }
    return clamped;
}

static int query_component(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    mca_base_module_t *module = NULL;
    int priority = 0;
    int rc = OPAL_SUCCESS;
    if (item->component->mca_query_component != NULL) {
        mca_base_component_begin(item);
        rc = item->component->mca_query_component(&module, &priority);
        mca_base_component_end();
    }
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    item->module = module;
    item->priority = clamp_priority(framework, item->name, priority);
    item->available = true;
    item->reason[0] = '\0';
    return OPAL_SUCCESS;
}

static int settle_priority(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    char full_name[FULL_NAME_MAX], origin[ORIGIN_MAX];
    int rc = register_priority(framework, item);
    if (rc == OPAL_SUCCESS) {
        name_priority(framework, item, full_name);
        mca_base_var_origin(full_name, origin, sizeof origin);
        mca_base_verbose(framework, 10, "component %s can run here, priority %d (%s)", item->name, item->priority,
                         origin);
    }
    return rc;
}

static void report_load_error(const mca_base_framework_t *framework, const mca_base_component_item_t *item)
{
    if (mca_base_load_error_is_shown(framework->name, item->name)) {
        mca_base_log(MCA_BASE_LOG_WARN, "component %s of framework %s cannot be loaded: %s", item->name,
                     framework->name, item->reason);
    } else {
        mca_base_verbose(framework, 10, "component %s cannot be loaded: %s", item->name, item->reason);
    }
}

static int start_component(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    mca_base_verbose(framework, 10, "component %s is tried (%s)", item->name,
                     item->path != NULL ? item->path : "linked in");
    if (mca_base_repository_load(framework, item) != OPAL_SUCCESS) {
        report_load_error(framework, item);
        return OPAL_SUCCESS;
    }
    unsigned refused = mca_base_var_refused();
    int rc = register_component(item);
    if (mca_base_var_refused() != refused) {
        return OPAL_ERR_BAD_PARAM; /* The user's error, whatever the component makes of it. */
    }
    if (rc != OPAL_SUCCESS) {
        return give_up(framework, item, "its variables cannot be registered", rc);
    }
    rc = open_component(item);
    if (rc != OPAL_SUCCESS) {
        return give_up(framework, item, "it does not open", rc);
    }
    rc = query_component(framework, item);
    return rc != OPAL_SUCCESS ? give_up(framework, item, "it cannot run here", rc)
                              : settle_priority(framework, item);
}

static int start_components(const mca_base_framework_t *framework)
{
    for (mca_base_component_item_t *item = framework->items; item != NULL; item = item->next) {
        if (!is_admitted(framework, item)) {
            mca_base_verbose(framework, 10, "component %s is not tried: %s", item->name, item->reason);
            continue;
        }
        int rc = start_component(framework, item);
        if (framework->after_try != NULL) {
            framework->after_try(item);
        }
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    return OPAL_SUCCESS;
}

/* ---- Result ------------------------------------------------------------------------------------- */

static bool comes_before(const mca_base_component_item_t *a, const mca_base_component_item_t *b)
{
    if (a->available != b->available) {
        return a->available;
    }
    if (a->available && a->priority != b->priority) {
        return a->priority > b->priority;
    }
    return strcmp(a->name, b->name) < 0;
}

static void sort_items(mca_base_framework_t *framework)
{
    mca_base_component_item_t *sorted = NULL;
    while (framework->items != NULL) {
        mca_base_component_item_t *item = framework->items;
        framework->items = item->next;
        mca_base_component_item_t **link = &sorted;
        while (*link != NULL && !comes_before(item, *link)) {
            link = &(*link)->next;
        }
        item->next = *link;
        *link = item;
    }
    framework->items = sorted;
}

/* A component that was asked for by name and is broken, while another one of the list will do. Without
 * another one, the framework reports that nothing of what was asked for can run. */
static void report_broken(const mca_base_framework_t *framework)
{
    if (framework->items == NULL || !framework->items->available
        || framework->selection_kind != MCA_BASE_SELECT_INCLUDE) {
        return;
    }
    for (const mca_base_component_item_t *item = framework->items; item != NULL; item = item->next) {
        if (item->failed && mca_base_framework_names(framework, item->name)
            && !mca_base_load_error_is_shown(framework->name, item->name)) {
            mca_base_log(MCA_BASE_LOG_WARN, "component %s of framework %s cannot be loaded: %s", item->name,
                         framework->name, item->reason);
        }
    }
}

static int find_and_start(mca_base_framework_t *framework)
{
    int rc = register_variables(framework);
    if (rc == OPAL_SUCCESS) {
        rc = parse_selection(framework);
    }
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_repository_find(framework);
    }
    if (rc == OPAL_SUCCESS) {
        rc = check_names(framework);
    }
    return rc == OPAL_SUCCESS ? start_components(framework) : rc;
}

int mca_base_framework_open(mca_base_framework_t *framework)
{
    if (framework->is_open) {
        return OPAL_SUCCESS;
    }
    int rc = find_and_start(framework);
    if (rc != OPAL_SUCCESS) {
        mca_base_framework_free_items(framework);
        return rc;
    }
    sort_items(framework);
    report_broken(framework);
    mca_base_framework_remember(framework);
    framework->is_open = true;
    return OPAL_SUCCESS;
}

void mca_base_framework_close(mca_base_framework_t *framework)
{
    for (mca_base_component_item_t *item = framework->items; item != NULL; item = item->next) {
        mca_base_component_release(item);
        item->selected = false;
    }
    framework->is_open = false;
}
