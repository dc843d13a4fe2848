/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings that nobody asked for are mistakes, as a rule slips of the pen: each
 * one is reported with the nearest name that is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_var_table.h"

#define ORIGIN_MAX 320

bool mca_base_warn_unknown = true;

/* ---- The nearest name ---------------------------------------------------------------------------- */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Number of letters to insert, delete, replace or swap with their neighbour to make b of a. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][MCA_BASE_VAR_NAME_MAX + 1];
    unsigned *before_last = rows[0], *last = rows[1], *row = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    for (size_t j = 0; j <= b_length; j++) {
        last[j] = (unsigned) j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = (unsigned) i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = smaller(last[j], row[j - 1]) + 1;
            best = smaller(best, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = smaller(best, before_last[j - 2] + 1);
            }
            row[j] = best;
        }
        unsigned *free_row = before_last;
        before_last = last;
        last = row;
        row = free_row;
    }
    return last[b_length];
}

/* How far a name may be from another to count as the same with a slip: 1 for "rcache", 4 for a long name.
 * More would suggest names that have nothing to do with it. */
static unsigned tolerance(const char *name)
{
    return 1 + smaller((unsigned) strlen(name) / 8, 3);
}

void mca_base_var_nearest(const char *name, char nearest[MCA_BASE_VAR_NAME_MAX + 1])
{
    nearest[0] = '\0';
    if (strlen(name) > MCA_BASE_VAR_NAME_MAX) {
        return;
    }
    unsigned best = tolerance(name) + 1;
    mca_base_var_lock();
    for (const mca_base_var_t *var = mca_base_var_first_locked(); var != NULL; var = var->next) {
        unsigned distance = edit_distance(name, var->full_name);
        if (distance < best) {
            best = distance;
            snprintf(nearest, MCA_BASE_VAR_NAME_MAX + 1, "%s", var->full_name);
        }
    }
    mca_base_var_unlock();
}

/* ---- What is unknown ----------------------------------------------------------------------------- */

/* Is it known, or can it not be known because its component was not tried? */
static bool is_accounted_for(const char *name)
{
    return mca_base_var_is_known(name) || mca_base_component_owns(name);
}

static bool begins_with_framework(const char *name, const char *framework)
{
    size_t length = framework != NULL ? strlen(framework) : 0;
    return length > 0 && strncmp(name, framework, length) == 0 && (name[length] == '_' || name[length] == '\0');
}

/* Does the name begin with a framework of ours (one that has variables)? */
static bool is_in_framework(const char *name)
{
    mca_base_var_lock();
    const mca_base_var_t *var = mca_base_var_first_locked();
    while (var != NULL && !begins_with_framework(name, var->def.framework)) {
        var = var->next;
    }
    mca_base_var_unlock();
    return var != NULL;
}

/* A name in OMPI_MCA_* that resembles none of ours is Open MPI's own (memory_patcher_priority): that is
 * not worth a warning. */
static void report(const char *name, const char *origin, bool for_open_mpi)
{
    char nearest[MCA_BASE_VAR_NAME_MAX + 1];
    mca_base_var_nearest(name, nearest);
    mca_base_log_level_t level = for_open_mpi && nearest[0] == '\0' ? MCA_BASE_LOG_INFO : MCA_BASE_LOG_WARN;
    if (nearest[0] != '\0') {
        mca_base_log(level, "there is no variable %s (%s); did you mean %s?", name, origin, nearest);
    } else {
        mca_base_log(level, "there is no variable %s (%s); opalmem-info lists those that there are", name, origin);
    }
}

/* One warning a name: is there a stronger place that has it, and from which it is reported? The rank says who asks. */
static bool is_reported_from_above(const char *name, mca_base_setting_rank_t rank)
{
    mca_base_setting_t setting;
    for (mca_base_setting_rank_t above = 0; above < rank; above++) {
        bool counts = above != MCA_BASE_RANK_OPEN_MPI || is_in_framework(name);
        if (counts && mca_base_setting_find(above, name, false, &setting)) {
            return true;
        }
    }
    return false;
}

static void report_setting(mca_base_setting_rank_t rank, const char *name)
{
    mca_base_setting_t setting;
    if (is_accounted_for(name) || is_reported_from_above(name, rank)
        || !mca_base_setting_find(rank, name, false, &setting)) {
        return;
    }
    char origin[ORIGIN_MAX];
    snprintf(origin, sizeof origin, "%s%s", mca_base_setting_origin(setting.source, setting.detail),
             setting.detail);
    report(name, origin, setting.for_open_mpi);
}

/* ---- Places --------------------------------------------------------------------------------------- */

static void report_command_line(void)
{
    mca_base_cmd_line_setting_t setting;
    for (size_t i = 0; mca_base_cmd_line_get(i, &setting) == OPAL_SUCCESS; i++) {
        report_setting(MCA_BASE_RANK_ARGUMENTS, setting.name);
    }
}

/* Of several settings of a name the one that counts is reported. */
static bool is_the_one_that_counts(mca_base_file_kind_t kind, const mca_base_file_setting_t *setting)
{
    const mca_base_file_setting_t *found = mca_base_file_find(kind, setting->name);
    return found != NULL && found->line == setting->line && strcmp(found->path, setting->path) == 0;
}

static void report_files(mca_base_file_kind_t kind, mca_base_setting_rank_t rank)
{
    const mca_base_file_setting_t *setting;
    for (size_t i = 0; (setting = mca_base_file_get(kind, i)) != NULL; i++) {
        if (is_the_one_that_counts(kind, setting)) {
            report_setting(rank, setting->name);
        }
    }
}

/* Behind the prefix, if the entry of the environment has it; else NULL. */
static const char *behind(const char *entry, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(entry, prefix, length) == 0 ? entry + length : NULL;
}

/* No variable has such a name, and no setting can be looked up by it: it is reported here, as far as it is read. */
static void report_long_name(const char *name)
{
    char origin[ORIGIN_MAX];
    snprintf(origin, sizeof origin, "environment variable %s%s...", MCA_BASE_ENV_PREFIX, name);
    report(name, origin, false);
}

static void report_bad_marker(const char *name)
{
    const char *text = mca_base_setting_bad_marker(name);
    if (text != NULL) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "environment variable %s%s%s has the value \"%.100s\", which says nothing; expected COMMAND or "
            "FILE:PATH:LINE",
            MCA_BASE_ENV_PREFIX, MCA_BASE_ENV_MARKER, name, text);
    }
}

static void report_own(const char *name)
{
    const char *marked = behind(name, MCA_BASE_ENV_MARKER);
    if (marked != NULL) {
        report_bad_marker(marked);
        return;
    }
    report_setting(MCA_BASE_RANK_PARENT_ARGUMENTS, name);
    report_setting(MCA_BASE_RANK_ENVIRONMENT, name);
    report_setting(MCA_BASE_RANK_PARENT_TUNE, name);
}

static void report_entry(const char *entry)
{
    const char *start = behind(entry, MCA_BASE_ENV_PREFIX);
    bool own = start != NULL;
    if (!own) {
        start = behind(entry, MCA_BASE_ENV_PREFIX_OMPI);
    }
    size_t length = start != NULL ? strcspn(start, "=") : 0;
    char name[MCA_BASE_VAR_NAME_MAX + 1];
    if (own && length == 0) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "environment variable " MCA_BASE_ENV_PREFIX " lacks the name of a variable");
    }
    if (length == 0) {
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int) length, start);
    if (own && length > MCA_BASE_VAR_NAME_MAX) {
        report_long_name(name);
    } else if (own) {
        report_own(name);
    } else if (is_in_framework(name)) {
        report_setting(MCA_BASE_RANK_OPEN_MPI, name);
    }
}

int mca_base_report_unknown(void)
{
    if (!mca_base_var_load(mca_base_warn_unknown)) {
        return OPAL_SUCCESS;
    }
    report_files(MCA_BASE_FILE_OVERRIDE, MCA_BASE_RANK_OVERRIDE);
    report_command_line();
    if (mca_base_trusts_user()) {
        for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
            report_entry(*entry);
        }
    }
    report_files(MCA_BASE_FILE_TUNE, MCA_BASE_RANK_TUNE);
    report_files(MCA_BASE_FILE_PARAMS, MCA_BASE_RANK_PARAMS);
    return OPAL_SUCCESS;
}
