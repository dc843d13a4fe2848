/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a selection variable: a | a,b | ^a,b | a+b. */
#ifndef FRAMEWORK_BASE_MCA_BASE_SELECTION_H
#define FRAMEWORK_BASE_MCA_BASE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "framework/base/base_internal.h"

/** Check a selection and say what kind it is.
 *
 * @param[in]  text     NULL and "" select everything.
 * @param[out] kind     Untouched on error.
 * @param[out] problem  On error, what is wrong with the text; a constant.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM; no message.
 */
int mca_base_selection_parse(const char *text, mca_base_selection_kind_t *kind, const char **problem);

/** One name of a selection, a piece of its text. */
typedef struct mca_base_selection_name_t {
    const char *start;
    size_t length;
} mca_base_selection_name_t;

/** Walk over the names of a selection that has been parsed.
 *
 * @param[in,out] cursor  The text at first (may be NULL); moved on.
 * @return false: no more.
 */
bool mca_base_selection_next(const char **cursor, mca_base_selection_name_t *name);

/** Is this the name of that component? */
bool mca_base_selection_equals(const mca_base_selection_name_t *name, const char *component);

/** Is the component among the names, whatever that means for this kind? */
bool mca_base_selection_lists(const char *text, const char *component);

#endif
