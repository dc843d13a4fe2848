/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of frameworks, components and types: which there are, and which of them
 * --param asks for. A framework is known by its components and its variables. */
#include <stdio.h>
#include <string.h>

#include "tools/info/info.h"

#define LIST_MAX 1024

const char *info_framework_of(const mca_base_var_info_t *info)
{
    return info->framework[0] != '\0' ? info->framework : "mca";
}

const char *info_type_name(mca_base_var_type_t type)
{
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT: return "int";
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: return "unsigned_int";
    case MCA_BASE_VAR_TYPE_DOUBLE: return "double";
    case MCA_BASE_VAR_TYPE_SIZE_T: return "size_t";
    case MCA_BASE_VAR_TYPE_BOOL: return "bool";
    case MCA_BASE_VAR_TYPE_STRING: return "string";
    case MCA_BASE_VAR_TYPE_ENUM: return "enum";
    }
    return "unknown";
}

static bool fits(const char *wanted, const char *name)
{
    return strcmp(wanted, "all") == 0 || strcmp(wanted, name) == 0;
}

bool info_is_asked_for(const info_options_t *options, const char *framework, const char *component)
{
    for (size_t i = 0; i < options->param_count; i++) {
        if (fits(options->params[i].framework, framework) && fits(options->params[i].component, component)) {
            return true;
        }
    }
    return options->param_count == 0;
}

/* ---- Which there are ---------------------------------------------------------------------------------- */

/* Receives a pair that exists. @return False: that is enough. */
typedef bool (*visit_fn_t)(const char *framework, const char *component, void *arg);

static void visit_all(visit_fn_t visit, void *arg)
{
    mca_base_component_info_t component;
    mca_base_var_info_t variable;
    for (size_t i = 0; mca_base_var_get_info(i, &variable) == OPAL_SUCCESS; i++) {
        if (!visit(info_framework_of(&variable), variable.component, arg)) {
            return;
        }
    }
    for (size_t i = 0; mca_base_component_get_info(i, &component) == OPAL_SUCCESS; i++) {
        if (!visit(component.framework, component.name, arg)) {
            return;
        }
    }
}

/* Looks for what a --param names. */
typedef struct search_t {
    const char *framework, *component;
    bool found;
} search_t;

static bool compare(const char *framework, const char *component, void *arg)
{
    search_t *search = arg;
    search->found = fits(search->framework, framework) && fits(search->component, component);
    return !search->found;
}

static bool exists(const char *framework, const char *component)
{
    search_t search = { framework, component, false };
    visit_all(compare, &search);
    return search.found;
}

/* Collects names, each once, for a message; where there are too many for it, the first ones. */
typedef struct list_t {
    const char *framework; /* List its components; NULL: list the frameworks. */
    size_t length;
    char text[LIST_MAX]; /* " a, b," */
} list_t;

static bool collect(const char *framework, const char *component, void *arg)
{
    list_t *list = arg;
    char entry[LIST_MAX];
    const char *name = list->framework == NULL ? framework : component;
    if (list->framework != NULL && !fits(list->framework, framework)) {
        return true;
    }
    int length = snprintf(entry, sizeof entry, " %s,", name);
    if (length > 0 && list->length + (size_t) length < sizeof list->text && strstr(list->text, entry) == NULL) {
        memcpy(list->text + list->length, entry, (size_t) length + 1);
        list->length += (size_t) length;
    }
    return true;
}

static void print_list(const char *framework)
{
    list_t list = { .framework = framework };
    visit_all(collect, &list);
    fprintf(stderr, "; there are:%.*s\n", (int) list.length - 1, list.text);
}

static bool is_known(const info_param_t *param)
{
    if (exists(param->framework, param->component)) {
        return true;
    }
    fprintf(stderr, "opalmem-info: --param (argument %d): ", param->position);
    if (!exists(param->framework, "all")) {
        fprintf(stderr, "there is no framework \"%s\"", param->framework);
        print_list(NULL);
    } else if (strcmp(param->framework, "all") == 0) {
        fprintf(stderr, "no framework has a component \"%s\"", param->component);
        print_list(param->framework);
    } else {
        fprintf(stderr, "the framework %s has no component \"%s\"", param->framework, param->component);
        print_list(param->framework);
    }
    return false;
}

bool info_params_are_known(const info_options_t *options)
{
    for (size_t i = 0; i < options->param_count; i++) {
        if (!is_known(&options->params[i])) {
            return false;
        }
    }
    return true;
}
