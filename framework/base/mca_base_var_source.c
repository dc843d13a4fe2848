/* SPDX-License-Identifier: BSD-3-Clause */
/* Where settings come from: a table of places, the strongest first. Which of
 * them wins, and what is an error, is decided in mca_base_var_resolve.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_var.h"

#define ARGUMENT "argument "

/* ---- Files --------------------------------------------------------------------------------------- */

/* PATH:LINE; of a path that is too long, the end. */
static void describe_place(char detail[MCA_BASE_DETAIL_MAX], const char *path, unsigned line)
{
    char number[16];
    int digits = snprintf(number, sizeof number, ":%u", line);
    size_t room = MCA_BASE_DETAIL_MAX - 1 - (size_t) digits, length = strlen(path);
    bool fits = length <= room;
    snprintf(detail, MCA_BASE_DETAIL_MAX, "%s%s%s", fits ? "" : "...", fits ? path : path + length - (room - 3),
             number);
}

static bool from_file(mca_base_file_kind_t kind, mca_base_var_source_t source, const char *name,
                      mca_base_setting_t *setting)
{
    const mca_base_file_setting_t *found = mca_base_file_find(kind, name);
    if (found == NULL) {
        return false;
    }
    *setting = (mca_base_setting_t){ .text = found->value, .source = source };
    describe_place(setting->detail, found->path, found->line);
    return true;
}

static bool from_override_file(const char *name, mca_base_setting_t *setting)
{
    return from_file(MCA_BASE_FILE_OVERRIDE, MCA_BASE_VAR_SOURCE_OVERRIDE, name, setting);
}

static bool from_tune_file(const char *name, mca_base_setting_t *setting)
{
    return from_file(MCA_BASE_FILE_TUNE, MCA_BASE_VAR_SOURCE_TUNE, name, setting);
}

static bool from_parameter_file(const char *name, mca_base_setting_t *setting)
{
    return from_file(MCA_BASE_FILE_PARAMS, MCA_BASE_VAR_SOURCE_FILE, name, setting);
}

/* ---- Command line -------------------------------------------------------------------------------- */

static bool from_arguments(const char *name, mca_base_setting_t *setting)
{
    const mca_base_cmd_line_setting_t *found = mca_base_cmd_line_find(name);
    if (found == NULL) {
        return false;
    }
    *setting = (mca_base_setting_t){ .text = found->value, .source = MCA_BASE_VAR_SOURCE_COMMAND_LINE };
    snprintf(setting->detail, sizeof setting->detail, ARGUMENT "%d", found->position);
    return true;
}

/* ---- Environment --------------------------------------------------------------------------------- */

/* What a marker makes of the entry that it belongs to. */
typedef enum marker_t {
    MARKER_NONE,    /* A setting of the environment. */
    MARKER_COMMAND, /* Of a parent's command line. */
    MARKER_FILE,    /* Of a parent's tune file. */
    MARKER_BAD      /* It says nothing: as none. */
} marker_t;

#define MARKER_FILE_PREFIX "FILE:"

static const char *get_marker(const char *name)
{
    char marker[sizeof MCA_BASE_ENV_PREFIX MCA_BASE_ENV_MARKER + MCA_BASE_VAR_NAME_MAX];
    snprintf(marker, sizeof marker, "%s%s%s", MCA_BASE_ENV_PREFIX, MCA_BASE_ENV_MARKER, name);
    return getenv(marker);
}

static marker_t judge_marker(const char *text)
{
    size_t length = strlen(MARKER_FILE_PREFIX);
    if (text == NULL) {
        return MARKER_NONE;
    }
    if (strcmp(text, "COMMAND") == 0) {
        return MARKER_COMMAND;
    }
    return strncmp(text, MARKER_FILE_PREFIX, length) == 0 && text[length] != '\0' ? MARKER_FILE : MARKER_BAD;
}

const char *mca_base_setting_bad_marker(const char *name)
{
    const char *text = strlen(name) <= MCA_BASE_VAR_NAME_MAX ? get_marker(name) : NULL;
    return judge_marker(text) == MARKER_BAD ? text : NULL;
}

static bool from_environment(const char *prefix, const char *name, mca_base_setting_t *setting)
{
    char variable[MCA_BASE_DETAIL_MAX];
    int length = snprintf(variable, sizeof variable, "%s%s", prefix, name);
    if (!mca_base_trusts_user() || length < 0 || (size_t) length >= sizeof variable) {
        return false;
    }
    const char *text = getenv(variable);
    if (text == NULL) {
        return false;
    }
    *setting = (mca_base_setting_t){ .text = text, .source = MCA_BASE_VAR_SOURCE_ENV };
    memcpy(setting->detail, variable, sizeof variable);
    return true;
}

/* With our own prefix, the marker decides about the rank. */
static bool from_own_environment(const char *name, marker_t wanted, mca_base_setting_t *setting)
{
    mca_base_setting_t found;
    if (!from_environment(MCA_BASE_ENV_PREFIX, name, &found)) {
        return false;
    }
    const char *text = get_marker(name);
    marker_t marker = judge_marker(text);
    if ((marker == MARKER_BAD ? MARKER_NONE : marker) != wanted) {
        return false;
    }
    if (marker == MARKER_COMMAND) {
        found.source = MCA_BASE_VAR_SOURCE_COMMAND_LINE;
    } else if (marker == MARKER_FILE) {
        found.source = MCA_BASE_VAR_SOURCE_TUNE;
        snprintf(found.detail, sizeof found.detail, "%s", text + strlen(MARKER_FILE_PREFIX));
    }
    *setting = found;
    return true;
}

/* Variables of the library itself have Open MPI's names (mca_base_verbose, mca_base_component_path) but other
 * values: "stderr,level:10", and a directory of components for another program. What is set there for Open
 * MPI is not for us. */
static bool from_open_mpi_environment(const char *name, bool of_library, mca_base_setting_t *setting)
{
    if (of_library || !from_environment(MCA_BASE_ENV_PREFIX_OMPI, name, setting)) {
        return false;
    }
    setting->for_open_mpi = true;
    return true;
}

/* ---- All ----------------------------------------------------------------------------------------- */

bool mca_base_setting_find(mca_base_setting_rank_t rank, const char *name, bool of_library,
                           mca_base_setting_t *setting)
{
    switch (rank) {
    case MCA_BASE_RANK_OVERRIDE: return from_override_file(name, setting);
    case MCA_BASE_RANK_ARGUMENTS: return from_arguments(name, setting);
    case MCA_BASE_RANK_PARENT_ARGUMENTS: return from_own_environment(name, MARKER_COMMAND, setting);
    case MCA_BASE_RANK_ENVIRONMENT: return from_own_environment(name, MARKER_NONE, setting);
    case MCA_BASE_RANK_OPEN_MPI: return from_open_mpi_environment(name, of_library, setting);
    case MCA_BASE_RANK_TUNE: return from_tune_file(name, setting);
    case MCA_BASE_RANK_PARENT_TUNE: return from_own_environment(name, MARKER_FILE, setting);
    case MCA_BASE_RANK_PARAMS: return from_parameter_file(name, setting);
    default: return false;
    }
}

const char *mca_base_setting_origin(mca_base_var_source_t source, const char *detail)
{
    switch (source) {
    case MCA_BASE_VAR_SOURCE_FILE: return "parameter file ";
    case MCA_BASE_VAR_SOURCE_TUNE: return "tune file ";
    case MCA_BASE_VAR_SOURCE_ENV: return "environment variable ";
    case MCA_BASE_VAR_SOURCE_COMMAND_LINE:
        return strncmp(detail, ARGUMENT, strlen(ARGUMENT)) == 0 ? "command line, "
                                                                : "command line of a parent process, ";
    case MCA_BASE_VAR_SOURCE_SET: return "mca_base_var_set()";
    case MCA_BASE_VAR_SOURCE_OVERRIDE: return "override file ";
    default: return "default";
    }
}
