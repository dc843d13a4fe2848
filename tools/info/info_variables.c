/* SPDX-License-Identifier: BSD-3-Clause */
/* The variables: value, where it came from, and what they are for. The lines
 * for programs have the form of Open MPI's ompi_info. */
#include <stdio.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "tools/info/info.h"

static const char *type_name(mca_base_var_type_t type)
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

static const char *source_name(mca_base_var_source_t source)
{
    switch (source) {
    case MCA_BASE_VAR_SOURCE_DEFAULT: return "default";
    case MCA_BASE_VAR_SOURCE_ENV: return "environment";
    case MCA_BASE_VAR_SOURCE_COMMAND_LINE: return "command line";
    case MCA_BASE_VAR_SOURCE_FILE:
    case MCA_BASE_VAR_SOURCE_TUNE:
    case MCA_BASE_VAR_SOURCE_OVERRIDE: return "file";
    case MCA_BASE_VAR_SOURCE_SET: return "set";
    }
    return "unknown";
}

static const char *level_name(int level)
{
    static const char *const names[] = { "user/basic", "user/detail", "user/all",   "tuner/basic", "tuner/detail",
                                         "tuner/all",  "dev/basic",   "dev/detail", "dev/all" };
    return level >= 1 && level <= 9 ? names[level - 1] : "no level";
}

/* Variables of the library itself belong to "mca", as with Open MPI. */
static const char *framework_of(const mca_base_var_info_t *info)
{
    return info->framework[0] != '\0' ? info->framework : "mca";
}

static void print_for_programs(const mca_base_var_info_t *info)
{
    char key[256], level[16];
    snprintf(key, sizeof key, "mca:%s:%s:param:%s", framework_of(info), info->component, info->full_name);
    snprintf(level, sizeof level, "%d", info->info_level);
    info_field(info->value, "%s:value", key);
    info_field(source_name(info->source), "%s:source", key);
    if (info->source_detail[0] != '\0') {
        info_field(info->source_detail, "%s:source_detail", key);
    }
    info_field("writeable", "%s:status", key);
    info_field(level, "%s:level", key);
    info_field(info->help, "%s:help", key);
    for (const mca_base_var_enum_value_t *e = info->enumerator; e != NULL && e->name != NULL; e++) {
        info_field(e->name, "%s:enumerator:value:%d", key, e->value);
    }
    info_field("no", "%s:deprecated", key);
    info_field(type_name(info->type), "%s:type", key);
}

static void print_names(const mca_base_var_enum_value_t *names)
{
    char text[512] = "Valid values:";
    size_t length = strlen(text);
    for (; names != NULL && names->name != NULL && length < sizeof text; names++) {
        int added =
            snprintf(text + length, sizeof text - length, " %s%s", names->name, names[1].name != NULL ? "," : "");
        length += added > 0 ? (size_t) added : 0;
    }
    info_paragraph(6, text);
}

static void print_for_people(const mca_base_var_info_t *info)
{
    bool given = info->source_detail[0] != '\0';
    printf("  %s = \"%s\" (%s%s%s, %s, level %d %s)\n", info->full_name, info->value, source_name(info->source),
           given ? " " : "", info->source_detail, type_name(info->type), info->info_level,
           level_name(info->info_level));
    info_paragraph(6, info->help);
    if (info->type == MCA_BASE_VAR_TYPE_ENUM) {
        print_names(info->enumerator);
    }
}

void info_print_variables(void)
{
    mca_base_var_info_t info;
    info_section("Variables (set one with --mca NAME VALUE, or in the environment as OPALMEM_MCA_<name>)");
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (info_is_parsable()) {
            print_for_programs(&info);
        } else {
            print_for_people(&info);
        }
    }
}
