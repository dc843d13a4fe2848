/* SPDX-License-Identifier: BSD-3-Clause */
/* What a framework tells its user about its components: why what was asked for
 * cannot be had. */
#include <stdio.h>
#include <stdlib.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_var.h"

#define ORIGIN_MAX 256

static void print_components(const mca_base_framework_t *framework, FILE *text)
{
    const char *separator = "";
    for (const mca_base_component_item_t *item = framework->items; item != NULL; item = item->next) {
        fprintf(text, "%s%s: %s", separator, item->name, item->reason[0] != '\0' ? item->reason : "can run here");
        separator = "; ";
    }
    if (framework->items == NULL) {
        fprintf(text, "none");
    }
}

static void print_wish(const mca_base_framework_t *framework, const char *component, FILE *text)
{
    char origin[ORIGIN_MAX];
    if (component != NULL) {
        fprintf(text, "framework %s has no component \"%s\" that can be used", framework->name, component);
    } else if (framework->selection_kind == MCA_BASE_SELECT_ALL) {
        fprintf(text, "framework %s has no component that can run here", framework->name);
    } else {
        mca_base_var_origin(framework->name, origin, sizeof origin);
        fprintf(text, "framework %s cannot do what \"%s\" (%s) asks for", framework->name, framework->selection,
                origin);
    }
}

char *mca_base_framework_describe_refusal(const mca_base_framework_t *framework, const char *component)
{
    char *message = NULL;
    size_t size;
    FILE *text = open_memstream(&message, &size);
    if (text != NULL) {
        print_wish(framework, component, text);
        fprintf(text, "; there are: ");
        print_components(framework, text);
        fclose(text);
    }
    return message;
}

int mca_base_framework_unavailable(const mca_base_framework_t *framework)
{
    char *message = mca_base_framework_describe_refusal(framework, NULL);
    mca_base_log(MCA_BASE_LOG_ERROR, "%s", message != NULL ? message : "no component can run here");
    free(message);
    return OPAL_ERR_NOT_FOUND;
}

void mca_base_framework_report_empty(const mca_base_framework_t *framework, const char *consequence)
{
    if (framework->items == NULL && !mca_base_repository_is_disabled()) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "framework %s has no components: %s. None are linked in, and none were found in %s "
                     "(mca_base_component_path; SYSTEM_DEFAULT is %s)",
                     framework->name, consequence, mca_base_repository_component_path(), OPALMEM_COMPONENTDIR);
    }
}

void mca_base_framework_explain_losers(const mca_base_framework_t *framework)
{
    const mca_base_component_item_t *winner = framework->items;
    while (winner != NULL && !winner->selected) {
        winner = winner->next;
    }
    if (winner == NULL) {
        mca_base_verbose(framework, 10, "no component is selected");
    }
    for (const mca_base_component_item_t *item = framework->items; item != NULL; item = item->next) {
        if (winner == NULL || !item->available || item->selected) {
            continue;
        }
        if (item->priority == winner->priority) {
            mca_base_verbose(framework, 10,
                             "component %s is not selected: %s has the same priority %d, and comes first "
                             "by name",
                             item->name, winner->name, winner->priority);
        } else {
            mca_base_verbose(framework, 10, "component %s is not selected: its priority is %d, that of %s is %d",
                             item->name, item->priority, winner->name, winner->priority);
        }
    }
}
