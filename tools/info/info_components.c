/* SPDX-License-Identifier: BSD-3-Clause */
/* The components: which there are, which was selected, and why the others were
 * not, or could not be loaded. */
#include <stdio.h>

#include "tools/info/info.h"

static const char *yes_or_no(bool answer)
{
    return answer ? "yes" : "no";
}

static bool has_version(const mca_base_component_info_t *info)
{
    return info->version[0] != 0 || info->version[1] != 0 || info->version[2] != 0;
}

/* text is filled and returned. */
static const char *version(const mca_base_component_info_t *info, char *text, size_t size)
{
    snprintf(text, size, "%d.%d.%d", info->version[0], info->version[1], info->version[2]);
    return text;
}

static const char *linkage(const mca_base_component_info_t *info)
{
    return info->path != NULL ? "dso" : "static";
}

static void print_parsable(const mca_base_component_info_t *info)
{
    char text[64];
    info_field(version(info, text, sizeof text), "mca:%s:%s:version:component", info->framework, info->name);
    info_field(linkage(info), "mca:%s:%s:linkage", info->framework, info->name);
    if (info->path != NULL) {
        info_field(info->path, "mca:%s:%s:path", info->framework, info->name);
    }
    info_field(yes_or_no(info->available), "mca:%s:%s:available", info->framework, info->name);
    info_field(yes_or_no(info->selected), "mca:%s:%s:selected", info->framework, info->name);
    info_field(yes_or_no(info->failed), "mca:%s:%s:failed", info->framework, info->name);
    if (info->available) {
        snprintf(text, sizeof text, "%d", info->priority);
        info_field(text, "mca:%s:%s:priority", info->framework, info->name);
    }
    if (info->reason[0] != '\0') {
        info_field(info->reason, "mca:%s:%s:reason", info->framework, info->name);
    }
}

static void print_json(const mca_base_component_info_t *info)
{
    json_t *json = info_json();
    char text[64];
    json_object_begin(json, NULL, JSON_LINES);
    json_string(json, "framework", info->framework);
    json_string(json, "name", info->name);
    json_string_or_null(json, "version", has_version(info) ? version(info, text, sizeof text) : NULL);
    json_string(json, "linkage", linkage(info));
    json_string_or_null(json, "path", info->path);
    json_bool(json, "available", info->available);
    json_bool(json, "selected", info->selected);
    json_bool(json, "failed", info->failed);
    if (info->available) {
        json_int(json, "priority", info->priority);
    } else {
        json_null(json, "priority");
    }
    json_string_or_null(json, "reason", info->reason[0] != '\0' ? info->reason : NULL);
    json_object_end(json);
}

static const char *state(const mca_base_component_info_t *info)
{
    if (info->failed) {
        return "could not be loaded";
    }
    if (info->selected) {
        return "selected";
    }
    return info->available ? "can run here, not selected" : "cannot run here, or was not asked";
}

static void print_pretty(const mca_base_component_info_t *info)
{
    char text[64];
    printf("  %s %s", info->framework, info->name);
    if (has_version(info)) {
        printf(" %s", version(info, text, sizeof text));
    }
    printf(" (%s", info->path != NULL ? "DSO " : "static");
    info_visible(info->path != NULL ? info->path : "");
    if (info->available) {
        printf(", priority %d", info->priority);
    }
    printf("): %s\n", state(info));
    info_paragraph(6, info->reason);
}

static void print(const mca_base_component_info_t *info)
{
    switch (info_form()) {
    case INFO_FORM_PRETTY: print_pretty(info); break;
    case INFO_FORM_PARSABLE: print_parsable(info); break;
    case INFO_FORM_JSON: print_json(info); break;
    }
}

static bool is_asked_for(const mca_base_component_info_t *info, const info_options_t *options)
{
    bool listed =
        (options->sections & INFO_SECTION_COMPONENTS) != 0 && (!options->selected_only || info->selected);
    bool failed = (options->sections & INFO_SECTION_FAILED) != 0 && info->failed;
    return (listed || failed) && info_is_asked_for(options, info->framework, info->name);
}

static bool any_is_asked_for(const info_options_t *options)
{
    mca_base_component_info_t info;
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (is_asked_for(&info, options)) {
            return true;
        }
    }
    return false;
}

void info_print_components(const info_options_t *options)
{
    mca_base_component_info_t info;
    bool any = any_is_asked_for(options);
    if (!any && options->param_count > 0 && info_form() == INFO_FORM_PRETTY) {
        return; /* --param names a framework's own variables. */
    }
    info_array_begin("components", (options->sections & INFO_SECTION_COMPONENTS) != 0
                                       ? "Components"
                                       : "Components that could not be loaded");
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (is_asked_for(&info, options)) {
            print(&info);
        }
    }
    info_array_end(any);
}
