/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings from files: parameter files, files of --tune, and the override file.
 *
 * Grammar of parameter and override files, by lines:
 *   NAME = VALUE        the value is the rest of the line without blanks around it; it may be empty
 *   # ...  or  // ...   comment, at the start of a line (after blanks) only
 * Files of --tune may also hold, any number on a line:
 *   --mca NAME VALUE    -mca, --gmca, -gmca: the same
 *   -x VARIABLE[=VALUE] for the environment of children only
 *
 * All under the init lock or the lock of the command line, which hold each other's place: see mca_base_file.c. */
#ifndef FRAMEWORK_BASE_MCA_BASE_FILE_H
#define FRAMEWORK_BASE_MCA_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/mca/base/var.h"

typedef enum mca_base_file_kind_t {
    MCA_BASE_FILE_PARAMS,
    MCA_BASE_FILE_TUNE,
    MCA_BASE_FILE_OVERRIDE,
    MCA_BASE_FILE_KINDS
} mca_base_file_kind_t;

/** One setting. The strings live until mca_base_file_release(). */
typedef struct mca_base_file_setting_t {
    const char *name;
    const char *value;
    const char *path;
    unsigned line; /**< From 1. */
} mca_base_file_setting_t;

/** The setting of a name that counts (of several files the first, of several lines the last), or NULL. */
const mca_base_file_setting_t *mca_base_file_find(mca_base_file_kind_t kind, const char *name);

/** The index-th setting of that kind, those without effect included, or NULL behind the last. */
const mca_base_file_setting_t *mca_base_file_get(mca_base_file_kind_t kind, size_t index);

#endif
