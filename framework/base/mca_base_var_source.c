/* SPDX-License-Identifier: BSD-3-Clause */
/* Where settings come from: a table of sources, the strongest first. A further
 * source (a file) is a further line of that table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_var.h"

typedef bool (*source_fn_t)(const mca_base_var_def_t *def, const char *full_name, mca_base_setting_t *setting);

static bool from_command_line(const mca_base_var_def_t *def, const char *full_name, mca_base_setting_t *setting)
{
    (void) def;
    const mca_base_cmd_line_setting_t *found = mca_base_cmd_line_find(full_name);
    if (found == NULL) {
        return false;
    }
    *setting = (mca_base_setting_t){ .text = found->value, .source = MCA_BASE_VAR_SOURCE_COMMAND_LINE };
    snprintf(setting->detail, sizeof setting->detail, "argument %d", found->position);
    return true;
}

static bool from_environment(const char *prefix, const char *full_name, mca_base_setting_t *setting)
{
    char name[sizeof setting->detail];
    int length = snprintf(name, sizeof name, "%s%s", prefix, full_name);
    if (!mca_base_trusts_user() || length < 0 || (size_t) length >= sizeof name) {
        return false;
    }
    const char *text = getenv(name);
    if (text == NULL) {
        return false;
    }
    *setting = (mca_base_setting_t){ .text = text, .source = MCA_BASE_VAR_SOURCE_ENV };
    memcpy(setting->detail, name, sizeof name);
    return true;
}

static bool from_own_environment(const mca_base_var_def_t *def, const char *full_name, mca_base_setting_t *setting)
{
    (void) def;
    return from_environment(MCA_BASE_ENV_PREFIX, full_name, setting);
}

/* Variables of the library itself have Open MPI's names (mca_base_verbose, mca_base_component_path) but other
 * values: "stderr,level:10", and a directory of components for another program. What is set there for Open
 * MPI is not for us. */
static bool from_open_mpi_environment(const mca_base_var_def_t *def, const char *full_name,
                                      mca_base_setting_t *setting)
{
    if (def->framework == NULL || !from_environment(MCA_BASE_ENV_PREFIX_OMPI, full_name, setting)) {
        return false;
    }
    setting->for_open_mpi = true;
    return true;
}

static const source_fn_t sources[] = { from_command_line, from_own_environment, from_open_mpi_environment };

bool mca_base_setting_find(const mca_base_var_def_t *def, const char *full_name, mca_base_setting_t *setting)
{
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (sources[i](def, full_name, setting)) {
            return true;
        }
    }
    return false;
}

const char *mca_base_setting_origin(mca_base_var_source_t source)
{
    switch (source) {
    case MCA_BASE_VAR_SOURCE_ENV: return "environment variable ";
    case MCA_BASE_VAR_SOURCE_COMMAND_LINE: return "command line, ";
    default: return "default";
    }
}
