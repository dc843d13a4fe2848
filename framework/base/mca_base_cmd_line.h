/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings that mca_base_cmd_line_take() has kept, for the variables and
 * for the search of unknown names. */
#ifndef FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H
#define FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H

#include <stddef.h>

#include "opal/mca/base/cmd_line.h"

/** The setting of a name, or NULL. */
const mca_base_cmd_line_setting_t *mca_base_cmd_line_find(const char *name);

#endif
