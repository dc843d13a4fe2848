/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings that mca_base_cmd_line_take() has kept, for the variables and
 * for the search of unknown names. */
#ifndef FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H
#define FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H

#include <stddef.h>

/** One `--mca NAME VALUE`. The strings are those of argv. */
typedef struct mca_base_cmd_line_setting_t {
    const char *name;
    const char *value;
    int position; /**< Of the --mca in argv: 1 is the first argument. */
} mca_base_cmd_line_setting_t;

/** The setting of a name, or NULL. */
const mca_base_cmd_line_setting_t *mca_base_cmd_line_find(const char *name);

/** The index-th setting in the order of argv, or NULL behind the last. */
const mca_base_cmd_line_setting_t *mca_base_cmd_line_get(size_t index);

#endif
