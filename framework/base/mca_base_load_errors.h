/* SPDX-License-Identifier: BSD-3-Clause */
/* Grammar of mca_base_component_show_load_errors:
 *
 *   text = "" | "all" | "none" | names | "^" names
 *   names = FRAMEWORK [ "/" COMPONENT ] { "," names } */
#ifndef FRAMEWORK_BASE_MCA_BASE_LOAD_ERRORS_H
#define FRAMEWORK_BASE_MCA_BASE_LOAD_ERRORS_H

#include <stdbool.h>

/** Check a text; NULL and "" are as "none".
 * @param[out] problem  On error, what is wrong; a constant.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM; no message. */
int mca_base_load_errors_parse(const char *text, const char **problem);

/** Does a text that has been checked ask for the load errors of this component? */
bool mca_base_load_errors_shown(const char *text, const char *framework, const char *component);

#endif
