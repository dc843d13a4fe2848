/* SPDX-License-Identifier: BSD-3-Clause */
/* The components: which there are, which was selected, and why the others were
 * not. */
#include <stdio.h>

#include "opal/mca/base/base.h"
#include "tools/info/info.h"

static const char *yes_or_no(bool answer)
{
    return answer ? "yes" : "no";
}

static void print_for_programs(const mca_base_component_info_t *info)
{
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", info->version[0], info->version[1], info->version[2]);
    info_field(text, "mca:%s:%s:version:component", info->framework, info->name);
    info_field(info->path != NULL ? "dso" : "static", "mca:%s:%s:linkage", info->framework, info->name);
    if (info->path != NULL) {
        info_field(info->path, "mca:%s:%s:path", info->framework, info->name);
    }
    info_field(yes_or_no(info->available), "mca:%s:%s:available", info->framework, info->name);
    info_field(yes_or_no(info->selected), "mca:%s:%s:selected", info->framework, info->name);
    if (info->available) {
        snprintf(text, sizeof text, "%d", info->priority);
        info_field(text, "mca:%s:%s:priority", info->framework, info->name);
    }
    if (info->reason[0] != '\0') {
        info_field(info->reason, "mca:%s:%s:reason", info->framework, info->name);
    }
}

static const char *state(const mca_base_component_info_t *info)
{
    if (info->selected) {
        return "selected";
    }
    return info->available ? "can run here, not selected" : "cannot run here, or was not asked";
}

static void print_for_people(const mca_base_component_info_t *info)
{
    printf("  %s %s", info->framework, info->name);
    if (info->version[0] != 0 || info->version[1] != 0 || info->version[2] != 0) {
        printf(" %d.%d.%d", info->version[0], info->version[1], info->version[2]);
    }
    printf(" (%s%s", info->path != NULL ? "DSO " : "static", info->path != NULL ? info->path : "");
    if (info->available) {
        printf(", priority %d", info->priority);
    }
    printf("): %s\n", state(info));
    info_paragraph(6, info->reason);
}

void info_print_components(void)
{
    mca_base_component_info_t info;
    info_section("Components");
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (info_is_parsable()) {
            print_for_programs(&info);
        } else {
            print_for_people(&info);
        }
    }
}
