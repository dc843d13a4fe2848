/* SPDX-License-Identifier: BSD-3-Clause */
/* The variables: value, where it came from, and what they are for. The lines
 * for programs have the form of Open MPI's ompi_info. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/constants.h"
#include "tools/info/info.h"

#define NAMES_MAX 2048

/* ---- Words ------------------------------------------------------------------------------------------- */

static const char *source_name(mca_base_var_source_t source)
{
    switch (source) {
    case MCA_BASE_VAR_SOURCE_DEFAULT: return "default";
    case MCA_BASE_VAR_SOURCE_FILE: return "parameter file";
    case MCA_BASE_VAR_SOURCE_TUNE: return "tune file";
    case MCA_BASE_VAR_SOURCE_ENV: return "environment";
    case MCA_BASE_VAR_SOURCE_COMMAND_LINE: return "command line";
    case MCA_BASE_VAR_SOURCE_SET: return "set";
    case MCA_BASE_VAR_SOURCE_OVERRIDE: return "override file";
    }
    return "unknown";
}

static bool is_file(mca_base_var_source_t source)
{
    return source == MCA_BASE_VAR_SOURCE_FILE || source == MCA_BASE_VAR_SOURCE_TUNE
           || source == MCA_BASE_VAR_SOURCE_OVERRIDE;
}

static const char *scope_name(mca_base_var_scope_t scope)
{
    switch (scope) {
    case MCA_BASE_VAR_SCOPE_READONLY: return "readonly";
    case MCA_BASE_VAR_SCOPE_CONSTANT: return "constant";
    case MCA_BASE_VAR_SCOPE_LOCAL: return "local";
    case MCA_BASE_VAR_SCOPE_GROUP: return "group";
    case MCA_BASE_VAR_SCOPE_GROUP_EQ: return "group_eq";
    case MCA_BASE_VAR_SCOPE_ALL: return "all";
    case MCA_BASE_VAR_SCOPE_ALL_EQ: return "all_eq";
    }
    return "unknown";
}

static const char *level_name(int level)
{
    static const char *const names[] = { "user/basic", "user/detail", "user/all",   "tuner/basic", "tuner/detail",
                                         "tuner/all",  "dev/basic",   "dev/detail", "dev/all" };
    return level >= 1 && level <= 9 ? names[level - 1] : "no level";
}

static const char *status(const mca_base_var_info_t *info)
{
    return (info->flags & MCA_BASE_VAR_FLAG_SETTABLE) != 0 ? "writeable" : "read-only";
}

static bool has_flag(const mca_base_var_info_t *info, uint32_t flag)
{
    return (info->flags & flag) != 0;
}

/* ---- Synonyms ---------------------------------------------------------------------------------------- */

/* The next synonym of this variable, from *index on; NULL: no more. */
static const char *next_synonym(const char *full_name, size_t *index)
{
    mca_base_var_info_t info;
    while (mca_base_var_get_info((*index)++, &info) == OPAL_SUCCESS) {
        if (info.synonym_of != NULL && strcmp(info.synonym_of, full_name) == 0) {
            return info.full_name;
        }
    }
    return NULL;
}

/* ---- For programs ------------------------------------------------------------------------------------ */

static void print_parsable_names(const mca_base_var_info_t *info, const char *key)
{
    size_t index = 0;
    const char *synonym;
    while ((synonym = next_synonym(info->full_name, &index)) != NULL) {
        info_field(synonym, "%s:synonym:name", key);
    }
    if (info->synonym_of != NULL) {
        info_field(info->synonym_of, "%s:synonym_of:name", key);
    }
}

static void print_parsable_source(const mca_base_var_info_t *info, const char *key)
{
    char text[sizeof info->source_detail + 16];
    if (is_file(info->source)) {
        snprintf(text, sizeof text, "file (%s)", info->source_detail);
        info_field(text, "%s:source", key);
    } else {
        info_field(source_name(info->source), "%s:source", key);
    }
    if (info->source_detail[0] != '\0') {
        info_field(info->source_detail, "%s:source_detail", key);
    }
}

static void print_parsable(const mca_base_var_info_t *info, const char *value)
{
    char key[256], level[16];
    snprintf(key, sizeof key, "mca:%s:%s:param:%s", info_framework_of(info), info->component, info->full_name);
    snprintf(level, sizeof level, "%d", info->info_level);
    info_field(value, "%s:value", key);
    print_parsable_source(info, key);
    info_field(status(info), "%s:status", key);
    info_field(level, "%s:level", key);
    info_field(info->help, "%s:help", key);
    for (const mca_base_var_enum_value_t *e = info->enumerator; e != NULL && e->name != NULL; e++) {
        info_field(e->name, "%s:enumerator:value:%d", key, e->value);
    }
    info_field(has_flag(info, MCA_BASE_VAR_FLAG_DEPRECATED) ? "yes" : "no", "%s:deprecated", key);
    info_field(info_type_name(info->type), "%s:type", key);
    print_parsable_names(info, key);
}

static void print_json_lists(const mca_base_var_info_t *info)
{
    json_t *json = info_json();
    size_t index = 0;
    const char *synonym;
    json_array_begin(json, "enumerator", JSON_LINES);
    for (const mca_base_var_enum_value_t *e = info->enumerator; e != NULL && e->name != NULL; e++) {
        json_object_begin(json, NULL, JSON_ONE_LINE);
        json_int(json, "value", e->value);
        json_string(json, "name", e->name);
        json_object_end(json);
    }
    json_array_end(json);
    json_array_begin(json, "synonyms", JSON_ONE_LINE);
    while ((synonym = next_synonym(info->full_name, &index)) != NULL) {
        json_string(json, NULL, synonym);
    }
    json_array_end(json);
}

static void print_json_range(const mca_base_var_info_t *info)
{
    json_t *json = info_json();
    if (info->min < info->max) {
        json_int(json, "minimum", info->min);
        json_int(json, "maximum", info->max);
    } else {
        json_null(json, "minimum");
        json_null(json, "maximum");
    }
}

static void print_json(const mca_base_var_info_t *info, const char *value)
{
    json_t *json = info_json();
    json_object_begin(json, NULL, JSON_LINES);
    json_string(json, "name", info->full_name);
    json_string(json, "framework", info_framework_of(info));
    json_string(json, "component", info->component);
    json_string(json, "value", value);
    json_string(json, "type", info_type_name(info->type));
    json_string(json, "source", source_name(info->source));
    json_string_or_null(json, "source_detail", info->source_detail[0] != '\0' ? info->source_detail : NULL);
    json_string(json, "status", status(info));
    json_string(json, "scope", scope_name(info->scope));
    json_int(json, "level", info->info_level);
    json_string(json, "help", info->help);
    json_bool(json, "deprecated", has_flag(info, MCA_BASE_VAR_FLAG_DEPRECATED));
    json_bool(json, "internal", has_flag(info, MCA_BASE_VAR_FLAG_INTERNAL));
    print_json_range(info);
    print_json_lists(info);
    json_string_or_null(json, "synonym_of", info->synonym_of);
    json_object_end(json);
}

/* ---- For people -------------------------------------------------------------------------------------- */

/* Names after the text, separated by commas. */
typedef struct names_t {
    char text[NAMES_MAX];
    size_t length;
} names_t;

static void add_name(names_t *names, const char *separator, const char *name)
{
    if (names->length < sizeof names->text) {
        int added =
            snprintf(names->text + names->length, sizeof names->text - names->length, "%s%s", separator, name);
        names->length += added > 0 ? (size_t) added : 0;
    }
}

static void print_values(const mca_base_var_info_t *info)
{
    names_t names = { .text = "" };
    const char *separator = "Valid values: ";
    for (const mca_base_var_enum_value_t *e = info->enumerator; e != NULL && e->name != NULL; e++) {
        add_name(&names, separator, e->name);
        separator = ", ";
    }
    if (info->min < info->max) {
        char range[64];
        snprintf(range, sizeof range, "%ld to %ld", info->min, info->max);
        add_name(&names, separator, range);
    }
    info_paragraph(6, names.text);
}

static void print_synonyms(const mca_base_var_info_t *info)
{
    names_t names = { .text = "" };
    const char *separator = "Synonyms: ";
    const char *synonym;
    for (size_t index = 0; (synonym = next_synonym(info->full_name, &index)) != NULL; separator = ", ") {
        add_name(&names, separator, synonym);
    }
    info_paragraph(6, names.text);
}

static void print_pretty(const mca_base_var_info_t *info, const char *value)
{
    printf("  %s = \"", info->full_name);
    info_visible(value);
    printf("\" (%s%s", source_name(info->source), info->source_detail[0] != '\0' ? " " : "");
    info_visible(info->source_detail);
    printf(", %s, level %d %s%s%s", info_type_name(info->type), info->info_level, level_name(info->info_level),
           has_flag(info, MCA_BASE_VAR_FLAG_SETTABLE) ? ", settable" : "",
           has_flag(info, MCA_BASE_VAR_FLAG_DEPRECATED) ? ", deprecated" : "");
    printf("%s%s)\n", info->synonym_of != NULL ? ", synonym of " : "",
           info->synonym_of != NULL ? info->synonym_of : "");
    if (info->synonym_of != NULL) {
        return; /* The rest is told of the variable itself. */
    }
    info_paragraph(6, info->help);
    print_values(info);
    print_synonyms(info);
}

/* ---- Which ones -------------------------------------------------------------------------------------- */

static bool print(const mca_base_var_info_t *info)
{
    char *value;
    int rc = mca_base_var_get_text(info->full_name, &value);
    if (rc != OPAL_SUCCESS) {
        fprintf(stderr, "opalmem-info: the value of %s cannot be read: %s\n", info->full_name, opal_strerror(rc));
        return false;
    }
    switch (info_form()) {
    case INFO_FORM_PRETTY: print_pretty(info, value); break;
    case INFO_FORM_PARSABLE: print_parsable(info, value); break;
    case INFO_FORM_JSON: print_json(info, value); break;
    }
    free(value);
    return true;
}

/* Does it belong to a component that is in use, or to none? */
static bool is_of_selected(const mca_base_var_info_t *info)
{
    mca_base_component_info_t component;
    for (size_t i = 0; mca_base_component_get_info(i, &component) == OPAL_SUCCESS; i++) {
        if (strcmp(component.framework, info->framework) == 0 && strcmp(component.name, info->component) == 0) {
            return component.selected;
        }
    }
    return true;
}

/* All that was asked for but the level. */
static bool is_asked_for(const mca_base_var_info_t *info, const info_options_t *options)
{
    return info_is_asked_for(options, info_framework_of(info), info->component)
           && (options->internal || !has_flag(info, MCA_BASE_VAR_FLAG_INTERNAL))
           && (options->types == 0 || (options->types & 1U << info->type) != 0)
           && (!options->selected_only || is_of_selected(info));
}

static void print_hidden(unsigned hidden, int level)
{
    if (info_form() == INFO_FORM_PRETTY && hidden > 0) {
        printf("  %u more above level %d: --level %d shows them.\n", hidden, level, INFO_LEVEL_MAX);
    }
}

bool info_print_variables(const info_options_t *options)
{
    mca_base_var_info_t info;
    bool any = false;
    unsigned hidden = 0;
    info_array_begin("variables", "Variables (set one with --mca NAME VALUE, or in the environment as "
                                  "OPALMEM_MCA_<name>)");
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (!is_asked_for(&info, options)) {
            continue;
        }
        if (info.info_level > options->level) {
            hidden++;
            continue;
        }
        if (!print(&info)) {
            return false;
        }
        any = true;
    }
    print_hidden(hidden, options->level);
    info_array_end(any || hidden > 0);
    return true;
}
