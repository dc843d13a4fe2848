/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings that nobody asked for are mistakes, as a rule slips of the pen: each
 * one is reported with the nearest name that is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_var.h"

#define NAME_MAX_COMPARED 127

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Number of letters to insert, delete, replace or swap with their neighbour to make b of a. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_COMPARED + 1];
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

/* The nearest known name, or "" if none is near. */
static void find_nearest(const char *name, char nearest[NAME_MAX_COMPARED + 1])
{
    nearest[0] = '\0';
    if (strlen(name) > NAME_MAX_COMPARED) {
        return;
    }
    unsigned best = tolerance(name) + 1;
    mca_base_var_info_t info;
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strlen(info.full_name) > NAME_MAX_COMPARED) {
            continue;
        }
        unsigned distance = edit_distance(name, info.full_name);
        if (distance < best) {
            best = distance;
            snprintf(nearest, NAME_MAX_COMPARED + 1, "%s", info.full_name);
        }
    }
}

/* Is it known, or can it not be known because its component was not tried? */
static bool is_accounted_for(const char *name)
{
    return mca_base_var_is_known(name) || mca_base_component_owns(name);
}

/* Does the name begin with a framework of ours (one that has variables)? */
static bool is_in_framework(const char *name)
{
    mca_base_var_info_t info;
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        size_t length = strlen(info.framework);
        if (length > 0 && strncmp(name, info.framework, length) == 0
            && (name[length] == '_' || name[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* A name in OMPI_MCA_* that resembles none of ours is Open MPI's own (memory_patcher_priority): that is
 * not worth a warning. */
static void report(const char *name, const char *origin, bool for_open_mpi)
{
    char nearest[NAME_MAX_COMPARED + 1];
    find_nearest(name, nearest);
    mca_base_log_level_t level = for_open_mpi && nearest[0] == '\0' ? MCA_BASE_LOG_INFO : MCA_BASE_LOG_WARN;
    if (nearest[0] != '\0') {
        mca_base_log(level, "there is no variable %s (%s); did you mean %s?", name, origin, nearest);
    } else {
        mca_base_log(level, "there is no variable %s (%s); opalmem-info lists those that there are", name, origin);
    }
}

static void report_command_line(void)
{
    mca_base_cmd_line_setting_t setting;
    for (size_t i = 0; mca_base_cmd_line_get(i, &setting) == OPAL_SUCCESS; i++) {
        if (!is_accounted_for(setting.name)) {
            char origin[64];
            snprintf(origin, sizeof origin, "%sargument %d",
                     mca_base_setting_origin(MCA_BASE_VAR_SOURCE_COMMAND_LINE), setting.position);
            report(setting.name, origin, false);
        }
    }
}

/* Behind the prefix, if the entry of the environment has it; else NULL. */
static const char *behind(const char *entry, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(entry, prefix, length) == 0 ? entry + length : NULL;
}

/* One warning a name: what the command line or our own prefix reports already is not said again. */
static bool is_reported_elsewhere(const char *name, bool for_open_mpi)
{
    char own[sizeof MCA_BASE_ENV_PREFIX + NAME_MAX_COMPARED];
    snprintf(own, sizeof own, "%s%s", MCA_BASE_ENV_PREFIX, name);
    return mca_base_cmd_line_find(name) != NULL || (for_open_mpi && getenv(own) != NULL);
}

static void check_entry(const char *entry)
{
    const char *start = behind(entry, MCA_BASE_ENV_PREFIX);
    bool for_open_mpi = start == NULL;
    if (for_open_mpi) {
        start = behind(entry, MCA_BASE_ENV_PREFIX_OMPI);
    }
    size_t length = start != NULL ? strcspn(start, "=") : 0;
    char name[NAME_MAX_COMPARED + 1];
    if (length == 0) {
        return;
    }
    if (length > NAME_MAX_COMPARED) {
        length = NAME_MAX_COMPARED; /* No variable has such a name; so much of it is enough for a message. */
    }
    memcpy(name, start, length);
    name[length] = '\0';
    if ((for_open_mpi && !is_in_framework(name)) || is_accounted_for(name)
        || is_reported_elsewhere(name, for_open_mpi)) {
        return;
    }
    char origin[256];
    snprintf(origin, sizeof origin, "%s%.*s", mca_base_setting_origin(MCA_BASE_VAR_SOURCE_ENV),
             (int) (start + length - entry), entry);
    report(name, origin, for_open_mpi);
}

int mca_base_report_unknown(void)
{
    report_command_line();
    if (mca_base_trusts_user()) {
        for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
            check_entry(*entry);
        }
    }
    return OPAL_SUCCESS;
}
